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
		.chain = SEGMENT_NONE,
		.tail = SEGMENT_NONE,
		.newest = SEGMENT_NONE,
		.next = SEGMENT_NONE,
		.last_spare = SEGMENT_NONE,
		.returned = SEGMENT_NONE,
	};
}

void segments_clear(struct segment_table *table)
{
	memset(table->segments, 0, table->count * sizeof(*table->segments));
	segments_list_none(table);
	segments_list_others(table, false);
}

void segments_list_none(struct segment_table *table)
{
	segments_init(table, table->count, table->segment_blocks,
		      table->segments);
	for (uint32_t i = 0; i < table->count; i++)
		table->segments[i].state = SEGMENT_FREE;
}

static void append_to_chain(struct segment_table *table, uint32_t number)
{
	table->segments[number].after = SEGMENT_NONE;
	table->segments[number].order = table->order++;
	if (table->chain == SEGMENT_NONE)
		table->chain = number;
	else
		table->segments[table->newest].after = number;
	table->newest = number;
	if (table->tail == SEGMENT_NONE)
		table->tail = number;
}

void segments_list_held(struct segment_table *table, uint32_t segment)
{
	assert(table->free == 0);
	table->segments[segment].state = SEGMENT_SEALED;
	table->held++;
	append_to_chain(table, segment);
}

static void append_spare(struct segment_table *table, uint32_t number)
{
	table->segments[number].state = SEGMENT_FREE;
	table->segments[number].after = SEGMENT_NONE;
	if (table->next == SEGMENT_NONE)
		table->next = number;
	else
		table->segments[table->last_spare].after = number;
	table->last_spare = number;
	table->free++;
}

void segments_list_others(struct segment_table *table, bool away)
{
	uint32_t at = table->newest == SEGMENT_NONE ? 0 : table->newest + 1;

	/* From where the log ends: it goes round, if nothing else is so. */
	for (uint32_t i = 0; i < table->count; i++) {
		uint32_t number = (at + i) % table->count;

		if (table->segments[number].state != SEGMENT_FREE)
			continue;
		if (away) {
			table->segments[number].state = SEGMENT_AWAY;
			table->away++;
		} else {
			append_spare(table, number);
		}
	}
}

uint64_t segments_sequence(const struct segment_table *table, uint32_t location)
{
	const struct segment *segment =
		&table->segments[segments_of(table, location)];
	uint32_t offset =
		(location - table->first_block) % table->segment_blocks;
	size_t records = bitmap_count(segment->starts, offset + 1);

	assert(records > 0 && (segment->state == SEGMENT_ACTIVE ||
			       segment->state == SEGMENT_SEALED ||
			       segment->state == SEGMENT_LIMBO));
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

static uint32_t take_spare(struct segment_table *table)
{
	uint32_t number = table->next;

	table->next = table->segments[number].after;
	table->free--;
	return number;
}

struct segment *segments_open(struct segment_table *table,
			      uint64_t first_sequence, uint64_t now_ns,
			      uint32_t *ret_segment)
{
	uint32_t number = take_spare(table);
	struct segment *segment = &table->segments[number];

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
	table->held++;
	append_to_chain(table, number);
	*ret_segment = number;
	return segment;
}

void segments_pass_tail(struct segment_table *table)
{
	struct segment *segment = &table->segments[table->tail];

	assert(segment->state == SEGMENT_SEALED && segment->live == 0 &&
	       segment->dirty == 0);
	segment->state = SEGMENT_LIMBO;
	table->held--;
	table->limbo++;
	table->tail = segment->after;
}

uint32_t segments_reclaim(struct segment_table *table, uint64_t durable_tail)
{
	uint32_t reclaimed = 0;

	while (table->limbo > 0) {
		uint32_t number = table->chain;
		struct segment *segment = &table->segments[number];

		assert(segment->state == SEGMENT_LIMBO);
		if (segment->readers > 0 ||
		    segment->last_sequence >= durable_tail)
			break;
		table->chain = segment->after;
		if (table->chain == SEGMENT_NONE)
			table->newest = SEGMENT_NONE;
		table->limbo--;
		append_spare(table, number);
		reclaimed++;
	}
	return reclaimed;
}

void segments_give_back(struct segment_table *table)
{
	uint32_t number = take_spare(table);
	struct segment *segment = &table->segments[number];

	assert(segment->live == 0 && segment->dirty == 0 &&
	       segment->readers == 0);
	segment->state = SEGMENT_RETURNED;
	segment->after = table->returned;
	table->returned = number;
	table->away++;
}

bool segments_hand_over(struct segment_table *table, uint32_t *ret_segment)
{
	uint32_t number = table->returned;

	if (number == SEGMENT_NONE)
		return false;
	table->returned = table->segments[number].after;
	table->segments[number].state = SEGMENT_AWAY;
	*ret_segment = number;
	return true;
}

void segments_take(struct segment_table *table, uint32_t segment)
{
	assert(table->segments[segment].state == SEGMENT_AWAY);
	table->segments[segment].written = false;
	table->away--;
	append_spare(table, segment);
}
