/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segments.h - the circle of segments that makes the log.
 *
 *       tail                                   head
 *   FREE | SEALED SEALED SEALED ... SEALED ACTIVE | FREE FREE
 *   LIMBO: behind the tail, but the tail isn't durable yet or it is being read
 *
 * Segments are used strictly in the order of their position, and given back in
 * the same order. `starts` has a bit for the header of each record, so that the
 * sequence of any location is a count of bits: the index need not store it.
 *
 * The segments' memory outlives the process (kept.h). What is written of one
 * while records are placed in it is final when the last of them is applied, and
 * made anew until then; `live`, `dirty`, `lost` and `zeros` can be undone; the
 * rest is this process's own.
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
};

struct segment {
	uint64_t starts[LOG_SEGMENT_BLOCKS_MAX / 64];
	uint64_t first_sequence;
	uint64_t last_sequence; /* placed; first_sequence - 1 when empty */
	uint64_t opened_ns;
	uint32_t used_blocks; /* head included; where the next record goes */
	uint32_t retired_blocks; /* of these: behind the last retired record */
	uint32_t live; /* blocks whose newest copy is here */
	uint32_t dirty; /* of these: dirty ones */
	uint32_t lost; /* of these: dirty and unreadable */
	uint32_t zeros; /* of the live ones: dirty and without data */
	uint32_t readers; /* SSD reads under way */
	enum segment_state state;
	bool written; /* its blocks were written once, if only with zeros */
};

struct segment_table {
	struct segment *segments;
	uint32_t count;
	uint32_t segment_blocks;
	uint32_t first_block; /* of segment 0, in the file */
	uint32_t free; /* how many are FREE */
	uint32_t limbo; /* how many are LIMBO */
	uint32_t tail; /* oldest that isn't FREE or LIMBO, if any */
	uint32_t next; /* where the next segment will be opened */
};

void segments_init(struct segment_table *table, uint32_t count,
		   uint32_t segment_blocks, struct segment *segments);

/* All of them are free, and nothing is known of them. */
void segments_clear(struct segment_table *table);

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

static inline uint32_t segments_after(const struct segment_table *table,
				      uint32_t segment)
{
	return segment + 1 == table->count ? 0 : segment + 1;
}

/* Segments that hold records: SEALED or ACTIVE. */
static inline uint32_t segments_held(const struct segment_table *table)
{
	return table->count - table->free - table->limbo;
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

#endif
