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
		const struct segment *segment = segment_at(engine, at);

		if (segment->first_sequence != expected ||
		    segment->last_sequence < expected)
			return false;
		recovery->warm_held++;
		recovery->head_first = at;
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
	uint32_t most;

	recovery->warm_held = 0;
	if (!kept_good(engine) || kept->tail >= engine->segments.count ||
	    kept->tail_sequence > kept->sequence + 1 ||
	    engine->superblock.image->tail_sequence > kept->tail_sequence)
		return false;
	recovery->head_first = (uint32_t)kept->tail;
	if (kept->tail_sequence <= kept->sequence && !find_applied(engine))
		return false;
	most = engine->segments.count - recovery->warm_held +
	       (recovery->warm_held > 0);
	recovery->head_count = engine->append.ring + 1;
	if (recovery->head_count > most)
		recovery->head_count = most;
	if (closed(engine))
		recovery->head_count = 0;
	recovery->durable = kept->sequence;
	return true;
}

bool warm_wants(const struct engine *engine, uint32_t segment,
		uint64_t first_sequence)
{
	const struct recovery *recovery = &engine->recovery;

	return first_sequence > engine->kept->sequence ||
	       (recovery->warm_held > 0 && segment == recovery->head_first);
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
	if (recovery->head_count > 0 && held &&
	    (recovery->survey_count == 0 ||
	     first->segment != recovery->head_first ||
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

/*
 * What isn't held is free, whatever the predecessor had in mind with it.
 * Returns: the copies in it that must go.
 */
static uint32_t take_segment(struct engine *engine, uint32_t number, bool held)
{
	struct segment *segment = segment_at(engine, number);

	segment->readers = 0;
	segment->state = held ? SEGMENT_SEALED : SEGMENT_FREE;
	engine->cached_blocks += segment->live - segment->zeros;
	engine->zero_blocks += segment->zeros;
	engine->dirty_blocks += segment->dirty;
	engine->lost_blocks += segment->lost;
	return held ? 0 : segment->live;
}

/* It had given up a segment, and forgotten some of the copies there. */
static bool end_eviction(struct engine *engine)
{
	uint64_t block = 0;

	for (; index_next(&engine->index, &block); block++) {
		struct index_copy copy = index_get(&engine->index, block);

		if (segment_at(engine,
			       segments_of(&engine->segments, copy.location))
			    ->state != SEGMENT_FREE)
			continue;
		if (copy.dirty)
			return false;
		apply_forget(engine, block);
	}
	return true;
}

bool warm_circle(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	struct segment_table *table = &engine->segments;
	uint32_t again = recovery->end > 0 && recovery->warm_held > 0;
	uint32_t held = recovery->warm_held + recovery->end - again;
	uint32_t evicted = 0;

	/* The surveys begin at the last applied segment, or at the tail. */
	if (recovery->end > 0 &&
	    recovery->surveys[0].segment != recovery->head_first)
		return false;
	table->tail = (uint32_t)engine->kept->tail;
	table->free = table->count - held;
	table->limbo = 0;
	table->next = (table->tail + held) % table->count;
	engine->destage.oldest = table->tail;
	engine->cached_blocks = 0;
	engine->zero_blocks = 0;
	/* Zeros may have been forgotten without a record: nobody knows which.
	 */
	engine->zeros_spilled = engine->kept->sequence;
	engine->dirty_blocks = 0;
	engine->lost_blocks = 0;
	for (uint32_t i = 0; i < table->count; i++)
		evicted += take_segment(
			engine, (table->tail + i) % table->count, i < held);
	if (evicted > 0 && !end_eviction(engine))
		return false;
	engine->stats.warm = true;
	return true;
}
