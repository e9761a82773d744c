/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hazard.h - who is busy with which part of the disk.
 *
 * The disk is cut into units of 16 blocks, and units share the buckets of a
 * table. A bucket in use by two units at once costs a wait, never an error.
 *
 * generation: raised by every write, discard or drop when it is submitted. A
 * read fill may enter the log only if it is as it was when the fill's read was
 * issued (rule 3).
 *
 * writes: writes submitted and not completed yet; a read that starts while
 * there are any may not fill.
 *
 * fills: fills on their way into the log; a write around must forget them.
 *
 * blocked: a write of part of a block reads the rest first; later writes wait
 * until it has its place in the log.
 *
 * below: nobody, a guest's write, or the destager writes the layers below here;
 * so no older version lands after a newer one (I6).
 */
#ifndef FOREBAY_ENGINE_HAZARD_H
#define FOREBAY_ENGINE_HAZARD_H

#include <stdbool.h>
#include <stdint.h>

#define HAZARD_UNIT_BLOCKS 16u
/*
 * More than a request of 32 MiB or a part of a ZERO has units, so that none
 * meets itself.
 */
#define HAZARD_BUCKETS 4096u

enum hazard_below {
	HAZARD_BELOW_FREE,
	HAZARD_BELOW_GUEST,
	HAZARD_BELOW_DESTAGE
};

struct hazard_bucket {
	uint64_t unflushed;
	uint32_t generation;
	uint16_t writes;
	uint16_t fills;
	uint16_t blocked;
	uint8_t below; /* enum hazard_below */
};

struct hazards {
	struct hazard_bucket buckets[HAZARD_BUCKETS];
};

/* Ranges are [first, first + count) in blocks. */
void hazard_write_begin(struct hazards *hazards, uint64_t first,
			uint64_t count);
void hazard_write_end(struct hazards *hazards, uint64_t first, uint64_t count);
bool hazard_writes(const struct hazards *hazards, uint64_t first,
		   uint64_t count);
/* Sum over the range: equal later means that nothing was submitted there. */
uint64_t hazard_generation(const struct hazards *hazards, uint64_t first,
			   uint64_t count);

void hazard_fill_begin(struct hazards *hazards, uint64_t first, uint64_t count);
void hazard_fill_end(struct hazards *hazards, uint64_t first, uint64_t count);
bool hazard_fills(const struct hazards *hazards, uint64_t first,
		  uint64_t count);

void hazard_block(struct hazards *hazards, uint64_t block);
void hazard_unblock(struct hazards *hazards, uint64_t block);
bool hazard_blocked(const struct hazards *hazards, uint64_t first,
		    uint64_t count);

/* Returns: false, with nothing taken, if somebody else has a part of it. */
bool hazard_below_take(struct hazards *hazards, uint64_t first, uint64_t count);
void hazard_below_release(struct hazards *hazards, uint64_t first,
			  uint64_t count);
/* Write below number @number, which rises, hit the range. */
void hazard_below_written(struct hazards *hazards, uint64_t first,
			  uint64_t count, uint64_t number);
/* Number of the last write below that hit the range; 0: none. */
uint64_t hazard_last_below(const struct hazards *hazards, uint64_t first,
			   uint64_t count);
/* The destager takes block by block and may meet buckets that it has. */
bool hazard_destage_take(struct hazards *hazards, uint64_t block);
void hazard_destage_release(struct hazards *hazards, uint64_t block);

#endif
