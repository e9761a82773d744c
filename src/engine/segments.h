/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segments.h - the segments of a cache file, and those that make the log.
 *
 *   chain   LIMBO LIMBO -> SEALED SEALED ... SEALED ACTIVE
 *                          tail                     newest
 *   spare   FREE FREE FREE      the next one is opened first
 *   away    RETURNED, AWAY      not of the log
 *
 * LIMBO: behind the tail, but the tail isn't durable yet or it is being read.
 * Where a segment stands in the file means nothing: the chain is in the order
 * of the records' sequences, the spare ones in that in which they came free.
 * `starts` has a bit for the header of each record, so that the sequence of any
 * location is a count of bits: the index need not store it.
 *
 * The segments' memory outlives the process (kept.h). What is written of one
 * while records are placed in it is final when the last of them is applied, and
 * made anew until then; so is `after`, once a record in the segment that it
 * names is applied; `live`, `dirty`, `lost` and `zeros` can be undone; the rest
 * is this process's own. So the lists are made when a start knows the log, and
 * not before.
 */
#ifndef FOREBAY_ENGINE_SEGMENTS_H
#define FOREBAY_ENGINE_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "log_format.h"

enum segment_state {
	SEGMENT_FREE,
	SEGMENT_ACTIVE,
	SEGMENT_SEALED,
	SEGMENT_LIMBO,
	SEGMENT_RETURNED, /* given back, and the host hasn't heard of it yet */
	SEGMENT_AWAY, /* the host's */
};

struct segment {
	uint64_t starts[LOG_SEGMENT_BLOCKS_MAX / 64];
	uint64_t first_sequence;
	uint64_t last_sequence; /* placed; first_sequence - 1 when empty */
	uint64_t opened_ns;
	uint64_t order; /* in the chain: higher than all before it by one */
	uint32_t used_blocks; /* head included; where the next record goes */
	uint32_t retired_blocks; /* of these: behind the last retired record */
	uint32_t live; /* blocks whose newest copy is here */
	uint32_t dirty; /* of these: dirty ones */
	uint32_t lost; /* of these: dirty and unreadable */
	uint32_t zeros; /* of the live ones: dirty and without data */
	uint32_t readers; /* SSD reads under way */
	uint32_t after; /* the next one in its list, or SEGMENT_NONE */
	enum segment_state state;
	bool written; /* its blocks were written once, if only with zeros */
};

#define SEGMENT_NONE UINT32_MAX

struct segment_table {
	struct segment *segments;
	uint32_t count;
	uint32_t segment_blocks;
	uint32_t first_block; /* of segment 0, in the file */
	uint32_t held; /* how many have records: SEALED or ACTIVE */
	uint32_t free; /* how many are FREE */
	uint32_t limbo; /* how many are LIMBO */
	uint32_t away; /* how many are RETURNED or AWAY */
	uint32_t chain; /* its first one, in limbo or not */
	uint32_t tail; /* oldest that isn't FREE or LIMBO, or SEGMENT_NONE */
	uint32_t newest; /* last of the chain */
	uint32_t next; /* first of the spare ones: it is opened next */
	uint32_t last_spare;
	uint64_t order; /* of the next one in the chain */
	uint32_t returned; /* first of the RETURNED ones */
};

void segments_init(struct segment_table *table, uint32_t count,
		   uint32_t segment_blocks, struct segment *segments);

/* All of them are free, and nothing is known of them. */
void segments_clear(struct segment_table *table);
/*
 * Makes the lists: first nothing is in any of them, then those that hold the
 * log are, oldest first, and at last the others are spare, or away.
 */
void segments_list_none(struct segment_table *table);
void segments_list_held(struct segment_table *table, uint32_t segment);
void segments_list_others(struct segment_table *table, bool away);

static inline uint32_t segments_of(const struct segment_table *table,
				   uint32_t location)
{
	return (location - table->first_block) / table->segment_blocks;
}

/* First block of a segment in the file. */
static inline uint32_t segments_block(const struct segment_table *table,
				      uint32_t segment)
{
	return table->first_block + segment * table->segment_blocks;
}

/* The next one in its list, or SEGMENT_NONE. */
static inline uint32_t segments_after(const struct segment_table *table,
				      uint32_t segment)
{
	return table->segments[segment].after;
}

/* Sequence of the record that holds @location. */
uint64_t segments_sequence(const struct segment_table *table,
			   uint32_t location);

/* Blocks of @segment up to the end of record @sequence, which is in it. */
uint32_t segments_blocks_up_to(const struct segment_table *table,
			       uint32_t segment, uint64_t sequence);

/* Makes the next segment the active one. It must be FREE. */
struct segment *segments_open(struct segment_table *table,
			      uint64_t first_sequence, uint64_t now_ns,
			      uint32_t *ret_segment);
/* The tail's copies are gone: it waits for the tail to be durable. */
void segments_pass_tail(struct segment_table *table);
/*
 * Frees the LIMBO segments whose sequences lie below @durable_tail and that
 * nobody reads. Returns: how many.
 */
uint32_t segments_reclaim(struct segment_table *table, uint64_t durable_tail);

/* The next spare one is given back. There is one. */
void segments_give_back(struct segment_table *table);
/* One that was given back is the host's now. Returns: false if there is none.
 */
bool segments_hand_over(struct segment_table *table, uint32_t *ret_segment);
/* One that is AWAY is spare again; nothing of it was written. */
void segments_take(struct segment_table *table, uint32_t segment);

#endif
