// SPDX-License-Identifier: Apache-2.0
/*
 * segments.c - see segments.h.
 */
#include "segments.h"

#include <assert.h>
#include <string.h>

#include "bitmap.h"

void segments_init(struct segment_table *table, uint32_t count,
		   uint32_t segment_blocks, struct segment *segments)
{
	*table = (struct segment_table){
		.segments = segments,
		.count = count,
		.segment_blocks = segment_blocks,
		.first_block = log_first_segment_block(segment_blocks),
		.free = count,
	};
}

void segments_clear(struct segment_table *table)
{
	memset(table->segments, 0, table->count * sizeof(*table->segments));
	table->free = table->count;
	table->limbo = 0;
	table->tail = 0;
	table->next = 0;
}

uint64_t segments_sequence(const struct segment_table *table, uint32_t location)
{
	const struct segment *segment =
		&table->segments[segments_of(table, location)];
	uint32_t offset =
		(location - table->first_block) % table->segment_blocks;
	size_t records = bitmap_count(segment->starts, offset + 1);

	assert(segment->state != SEGMENT_FREE && records > 0);
	return segment->first_sequence + records - 1;
}

uint32_t segments_blocks_up_to(const struct segment_table *table,
			       uint32_t number, uint64_t sequence)
{
	const struct segment *segment = &table->segments[number];
	uint64_t records = sequence - segment->first_sequence + 1;
	size_t at = 0;

	if (sequence >= segment->last_sequence)
		return segment->used_blocks;
	/* The header behind it. */
	for (uint64_t i = 0; i <= records; i++)
		at = 1 + bitmap_find_set(segment->starts, table->segment_blocks,
					 at);
	return (uint32_t)at - 1;
}

struct segment *segments_open(struct segment_table *table,
			      uint64_t first_sequence, uint64_t now_ns,
			      uint32_t *ret_segment)
{
	struct segment *segment = &table->segments[table->next];

	assert(segment->state == SEGMENT_FREE && segment->live == 0 &&
	       segment->dirty == 0 && segment->readers == 0);
	memset(segment, 0, sizeof(*segment));
	segment->state = SEGMENT_ACTIVE;
	segment->written = true;
	segment->first_sequence = first_sequence;
	segment->last_sequence = first_sequence - 1;
	segment->opened_ns = now_ns;
	segment->used_blocks = 1;
	segment->retired_blocks = 1;
	if (segments_held(table) == 0)
		table->tail = table->next;
	*ret_segment = table->next;
	table->next = segments_after(table, table->next);
	table->free--;
	return segment;
}

void segments_pass_tail(struct segment_table *table)
{
	struct segment *segment = &table->segments[table->tail];

	assert(segment->state == SEGMENT_SEALED && segment->live == 0 &&
	       segment->dirty == 0);
	segment->state = SEGMENT_LIMBO;
	table->limbo++;
	table->tail = segments_after(table, table->tail);
}

uint32_t segments_reclaim(struct segment_table *table, uint64_t durable_tail)
{
	uint32_t reclaimed = 0;
	uint32_t at = (table->next + table->free) % table->count;

	/* Limbo begins where the free ones end. */
	while (table->limbo > 0) {
		struct segment *segment = &table->segments[at];

		assert(segment->state == SEGMENT_LIMBO);
		if (segment->readers > 0 ||
		    segment->last_sequence >= durable_tail)
			break;
		segment->state = SEGMENT_FREE;
		table->limbo--;
		table->free++;
		reclaimed++;
		at = segments_after(table, at);
	}
	return reclaimed;
}
