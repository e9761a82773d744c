// SPDX-License-Identifier: Apache-2.0
/*
 * grant.c - how much of its file the log may use, which changes as it runs.
 *
 * The host says how many segments. Has the log more, the tail moves on as it
 * does for want of room: what is dirty goes below first, and clean copies are
 * forgotten. Segments that come free at the tail are given back one by one, and
 * are the host's, to be made holes. Has it less, the host hands segments over
 * when there is space under them.
 *
 * Nothing of this is in the file. A segment that was given back is one that no
 * record needs, whether it is free or away; a start counts the segments that
 * the log is in as its own, and gets the others from the host (rule 8 has made
 * sure that none of the others is part of the log).
 */
#include "core.h"

#include <assert.h>

#include "policy.h"

static uint64_t data_blocks(const struct engine *engine, uint32_t segments)
{
	return (uint64_t)segments * (engine->config.segment_blocks - 1) *
	       engine->config.dirty_limit_percent / 100;
}

void grant_settle(struct engine *engine, uint32_t segments)
{
	engine->promised_segments = segments;
	if (segments < ENGINE_SEGMENTS_MIN)
		segments = ENGINE_SEGMENTS_MIN;
	/* Lost blocks stay in the log: twice that must have room. */
	while (segments < engine->segments.count &&
	       data_blocks(engine, segments) / 2 <= engine->lost_blocks)
		segments++;
	if (segments > engine->segments.count)
		segments = engine->segments.count;
	engine->granted_segments = segments;
	engine->data_blocks_max = data_blocks(engine, segments);
	engine->reserve_segments = policy_reserve(segments);
}

/* Segments that the log has; of these, what it has beyond its grant. */
static uint32_t own(const struct engine *engine)
{
	return engine->segments.count - engine->segments.away;
}

uint32_t grant_excess(const struct engine *engine)
{
	uint32_t has = own(engine);

	return has > engine->granted_segments ? has - engine->granted_segments
					      : 0;
}

uint32_t grant_expected(const struct engine *engine)
{
	uint32_t has = own(engine);
	uint32_t promised = engine->promised_segments;

	if (promised > engine->segments.count)
		promised = engine->segments.count;
	/* What settling adds to it nobody has promised. */
	return has < promised ? promised - has : 0;
}

void grant_advance(struct engine *engine)
{
	struct segment_table *table = &engine->segments;

	/* One that gets zeros ahead of the log waits for them. */
	while (grant_excess(engine) > 0 &&
	       table->free > engine->reserve_segments + 1 &&
	       !zero_ahead_blocks(engine)) {
		segments_give_back(table);
		engine->stats.returned_segments++;
		engine->progress = true;
	}
}

void engine_set_grant(struct engine *engine, uint32_t segments)
{
	grant_settle(engine, segments);
	engine->progress = true;
}

static struct engine_segment describe(const struct segment_table *table,
				      uint32_t number)
{
	return (struct engine_segment){
		.number = number,
		.offset = (uint64_t)segments_block(table, number) *
			  LOG_BLOCK_BYTES,
		.length = (uint64_t)table->segment_blocks * LOG_BLOCK_BYTES,
	};
}

bool engine_next_returned(struct engine *engine, struct engine_segment *ret)
{
	uint32_t number;

	if (!segments_hand_over(&engine->segments, &number))
		return false;
	*ret = describe(&engine->segments, number);
	return true;
}

bool engine_has_returned(const struct engine *engine)
{
	return engine->segments.returned != SEGMENT_NONE;
}

bool engine_next_away(const struct engine *engine, uint32_t from,
		      struct engine_segment *ret)
{
	const struct segment_table *table = &engine->segments;

	while (from < table->count &&
	       table->segments[from].state != SEGMENT_AWAY)
		from++;
	if (from >= table->count)
		return false;
	*ret = describe(table, from);
	return true;
}

void engine_take_segment(struct engine *engine, uint32_t number)
{
	assert(engine->state == ENGINE_RUNNING &&
	       number < engine->segments.count);
	segments_take(&engine->segments, number);
	engine->progress = true;
}
