/* SPDX-License-Identifier: Apache-2.0 */
/*
 * miniature.h - a log of another size, over a sample of a disk's blocks.
 *
 * What a larger or a smaller log would have missed can't be read off the one
 * that is there, and not off LRU's stack distances either: ours keeps what is
 * used through scans and loops. So its policy is run once more, with a log and
 * ghosts that are smaller by the same factor as the sample is (Waldspurger et
 * al., "Cache Modeling and Optimization using Miniature Simulations", ATC
 * 2017). Blocks are sampled by a hash of their number, so each is in the sample
 * always or never.
 *
 * It follows read.c, fill.c, apply.c, evict.c and reappend.c in what decides
 * about hits: admission, heat, what moves up, what is given up, and the room
 * that headers and overwritten copies take. It knows nothing of data, I/O and
 * time. Where the log has segments, it has longer ones, so that each holds
 * enough of the sample; what a segment's limits leave is carried on to the
 * next one, as it evens out over many.
 *
 * Pure: no I/O, clock, allocation or randomness. Room is in units, of which a
 * block takes MINIATURE_UNIT.
 */
#ifndef FOREBAY_ENGINE_MINIATURE_H
#define FOREBAY_ENGINE_MINIATURE_H

#include <stdbool.h>
#include <stdint.h>

/* Blocks that a miniature's log has room for, at most. */
#define MINIATURE_BLOCKS 2048u
/* Copies, the overwritten ones as well, that it can hold. */
#define MINIATURE_COPIES (4 * MINIATURE_BLOCKS)
/* Of live copies, by hash. */
#define MINIATURE_ROWS (2 * MINIATURE_BLOCKS)
#define MINIATURE_SEGMENTS 128u
#define MINIATURE_UNIT 256u
#define MINIATURE_HEATS 4u

/* The log that it is to be like. */
struct miniature_log {
	uint32_t segments;
	uint32_t segment_blocks;
	uint32_t free_segments; /* that are kept free, with the reserve */
};

/* Units that a block of data takes in the log, its share of headers included.
 */
struct miniature_costs {
	uint32_t write;
	uint32_t fill_spare; /* while there is room */
	uint32_t fill;
	uint32_t reappend;
};

enum miniature_read {
	MINIATURE_STREAM = 1, /* belongs to a stream */
	MINIATURE_LARGE = 2, /* of a run that is too large to be cached */
	MINIATURE_PART = 4, /* not a whole block */
	MINIATURE_ADMIT = 8, /* to be cached at once */
};

struct miniature {
	struct miniature_costs costs; /* whoever has it keeps them up to date */
	uint64_t log_units; /* taken, from the oldest copy on */
	uint64_t capacity_units; /* for records */
	uint64_t room_units; /* of all that the log has */
	uint64_t segment_units;
	uint64_t spare_units; /* so many free ones are spare */
	uint64_t data_units; /* of a segment, that a policy's shares are of */
	uint64_t hot_left; /* of what earlier ones might have moved up */
	uint64_t cold_left;
	uint32_t sample; /* hashes below it; of 2^32 */
	uint32_t live; /* blocks cached */
	uint32_t first; /* copy, by number */
	uint32_t next;
	uint32_t segment_first; /* by number */
	uint32_t segment_next; /* the one after the active */
	uint32_t used; /* of what was given up, in 1 / 2^16 */
	uint32_t turned_away;
	uint32_t ghost_count;
	uint32_t ends[MINIATURE_SEGMENTS]; /* copy after it, by number */
	uint32_t units[MINIATURE_SEGMENTS];
	uint64_t copies[MINIATURE_COPIES]; /* block, heat, kind */
	uint16_t heads[MINIATURE_ROWS]; /* of a row of live copies, plus 1 */
	uint16_t rows[MINIATURE_COPIES]; /* the next in it */
	uint16_t ghosts[2 * MINIATURE_BLOCKS];
};

/* All zeros before. Returns: false if the log is too small to be used. */
bool miniature_init(struct miniature *miniature,
		    const struct miniature_log *log);
/* What a block's number is sampled by. */
uint64_t miniature_hash(uint64_t block);
static inline bool miniature_samples(const struct miniature *miniature,
				     uint64_t hash)
{
	return (uint32_t)(hash >> 32) < miniature->sample;
}

/* Of blocks in the sample only. Returns: whether it hit. */
bool miniature_read(struct miniature *miniature, uint64_t block,
		    uint32_t flags);
void miniature_write(struct miniature *miniature, uint64_t block);
/* It is in the log no more. */
void miniature_forget(struct miniature *miniature, uint64_t block);
/* Something had to be given up: it isn't a new log any more. */
bool miniature_full(const struct miniature *miniature);

#endif
