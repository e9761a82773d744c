// SPDX-License-Identifier: Apache-2.0
/*
 * warm.c - a start from kept memory: where it ends, the log goes on.
 *
 *   tail ... applied | applied .. S, S+1 ... | S+n ... | free
 *   known from kept    read from the SSD
 *
 * Records behind S, the last one that was applied, were on their way when the
 * predecessor died: some are on the SSD, perhaps not in order. They are found,
 * verified and applied as after any other end (recovery.c), from the segment
 * that holds S on. Which segments that can be is limited by how many records
 * can be on their way.
 *
 * Whatever doesn't fit ends in a cold start: kept memory is a copy of what the
 * SSD says, and nothing is lost with it.
 */
#include "core.h"

#include "recovery.h"

static struct segment *segment_at(struct engine *engine, uint32_t number)
{
	return &engine->segments.segments[number];
}

/*
 * From the tail to the segment that holds the last applied record. Returns:
 * false if the kept segments aren't a log that goes so far.
 */
static bool find_applied(struct engine *engine)
{
	const struct kept *kept = engine->kept;
	struct recovery *recovery = &engine->recovery;
	uint32_t at = (uint32_t)kept->tail;
	uint64_t expected = kept->tail_sequence;

	for (uint32_t i = 0; i < engine->segments.count; i++) {
		const struct segment *segment;

		if (at >= engine->segments.count)
			return false;
		segment = segment_at(engine, at);
		if (segment->first_sequence != expected ||
		    segment->last_sequence < expected)
			return false;
		recovery->warm_held++;
		recovery->warm_last = at;
		if (segment->last_sequence >= kept->sequence)
			return true;
		expected = segment->last_sequence + 1;
		at = segments_after(&engine->segments, at);
	}
	return false;
}

/* It ended in order: there is nothing behind what was applied. */
static bool closed(const struct engine *engine)
{
	const struct log_superblock *image = engine->superblock.image;

	return image->row_count > 0 &&
	       image->rows[image->row_count - 1].last_sequence ==
		       engine->kept->sequence;
}

bool warm_begin(struct engine *engine)
{
	const struct kept *kept = engine->kept;
	struct recovery *recovery = &engine->recovery;

	recovery->warm_held = 0;
	if (!kept_good(engine) || kept->tail_sequence > kept->sequence + 1 ||
	    engine->superblock.image->tail_sequence > kept->tail_sequence)
		return false;
	if (kept->tail_sequence <= kept->sequence && !find_applied(engine))
		return false;
	recovery->no_heads = closed(engine);
	recovery->durable = kept->sequence;
	return true;
}

/*
 * A segment is opened in memory before the first of its records is on its way,
 * so no other one can have any.
 */
bool warm_asks(const struct engine *engine, uint32_t segment)
{
	const struct recovery *recovery = &engine->recovery;

	return !recovery->no_heads &&
	       (engine->segments.segments[segment].first_sequence >
			engine->kept->sequence ||
		(recovery->warm_held > 0 && segment == recovery->warm_last));
}

bool warm_wants(const struct engine *engine, uint32_t segment,
		uint64_t first_sequence)
{
	const struct recovery *recovery = &engine->recovery;

	return first_sequence > engine->kept->sequence ||
	       (recovery->warm_held > 0 && segment == recovery->warm_last);
}

bool warm_chain(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	const struct survey *first = recovery->surveys;
	uint64_t applied = engine->kept->sequence;
	bool held = recovery->warm_held > 0;

	/* What has been flushed was applied. */
	if (recovery->durable != applied)
		return false;
	recovery_order(recovery);
	if (!recovery->no_heads && held &&
	    (recovery->survey_count == 0 ||
	     first->segment != recovery->warm_last ||
	     first->first_sequence > applied || first->last_sequence < applied))
		return false;
	recovery->start = 0;
	recovery->end = recovery->survey_count > 0 &&
			(held || first->first_sequence == applied + 1);
	while (recovery->end > 0 && recovery->end < recovery->survey_count &&
	       recovery_follows(&recovery->surveys[recovery->end - 1],
				&recovery->surveys[recovery->end]))
		recovery->end++;
	recovery->cut =
		recovery->end > 0
			? recovery->surveys[recovery->end - 1].last_sequence
			: applied;
	return true;
}

/* As far as kept memory knows it, and then as far as records were found. */
static void list_segments(struct engine *engine)
{
	const struct recovery *recovery = &engine->recovery;
	struct segment_table *table = &engine->segments;
	uint32_t at = (uint32_t)engine->kept->tail;
	uint32_t again = recovery->end > 0 && recovery->warm_held > 0;

	segments_list_none(table);
	for (uint32_t i = 0; i < recovery->warm_held; i++) {
		uint32_t after = segments_after(table, at);

		segments_list_held(table, at);
		at = after;
	}
	for (uint32_t i = again; i < recovery->end; i++)
		segments_list_held(table, recovery->surveys[i].segment);
	segments_list_others(table, engine->config.granted_segments > 0);
	engine->destage.oldest = table->tail;
}

/*
 * What isn't held is free or away, whatever the predecessor had in mind with
 * it. Returns: the copies in it that must go.
 */
static uint32_t take_segment(struct engine *engine, uint32_t number)
{
	struct segment *segment = segment_at(engine, number);

	segment->readers = 0;
	engine->cached_blocks += segment->live - segment->zeros;
	engine->zero_blocks += segment->zeros;
	engine->dirty_blocks += segment->dirty;
	engine->lost_blocks += segment->lost;
	return segment->state == SEGMENT_SEALED ? 0 : segment->live;
}

/* It had given up a segment, and forgotten some of the copies there. */
static bool end_eviction(struct engine *engine)
{
	uint64_t block = 0;

	for (; index_next(&engine->index, &block); block++) {
		struct index_copy copy = index_get(&engine->index, block);

		if (segment_at(engine,
			       segments_of(&engine->segments, copy.location))
			    ->state == SEGMENT_SEALED)
			continue;
		if (copy.dirty)
			return false;
		apply_forget(engine, block);
	}
	return true;
}

bool warm_segments(struct engine *engine)
{
	struct segment_table *table = &engine->segments;
	uint32_t evicted = 0;

	list_segments(engine);
	engine->cached_blocks = 0;
	engine->zero_blocks = 0;
	/* Zeros may have been among them: nobody knows. */
	engine->zeros_spilled = engine->kept->unsaid;
	engine->dirty_blocks = 0;
	engine->lost_blocks = 0;
	for (uint32_t i = 0; i < table->count; i++)
		evicted += take_segment(engine, i);
	if (evicted > 0 && !end_eviction(engine))
		return false;
	engine->stats.warm = true;
	return true;
}
