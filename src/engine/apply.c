// SPDX-License-Identifier: Apache-2.0
/*
 * apply.c - what a record of the log does to the index and the counts.
 *
 * Used when a record retires and when recovery reads it again: one piece of
 * code, so that a recovered index is the index there was. Records are applied
 * in the order of their sequence; the newest copy wins. A record that was
 * applied in part may be applied again: the result is the same.
 *
 * What is done to one block is committed as one change of the kept memory.
 */
#include "core.h"

#include <assert.h>
#include <errno.h>

#include "bitmap.h"

static struct segment *segment_at(struct engine *engine, uint32_t location)
{
	return &engine->segments
			.segments[segments_of(&engine->segments, location)];
}

static struct undo *undo_of(struct engine *engine)
{
	return engine->index.memory.undo;
}

/* The copy at @block stops to count where it stands. */
static void uncount(struct engine *engine, const struct index_copy *copy)
{
	struct segment *segment = segment_at(engine, copy->location);

	assert(segment->live > 0);
	UNDO_SET(undo_of(engine), segment->live, segment->live - 1);
	engine->cached_blocks--;
	if (copy->dirty) {
		assert(segment->dirty > 0 && engine->dirty_blocks > 0);
		UNDO_SET(undo_of(engine), segment->dirty, segment->dirty - 1);
		engine->dirty_blocks--;
	}
	if (copy->lost) {
		UNDO_SET(undo_of(engine), segment->lost, segment->lost - 1);
		engine->lost_blocks--;
	}
}

static void map(struct engine *engine, uint64_t block,
		const struct index_copy *copy)
{
	struct index_copy old = index_get(&engine->index, block);
	struct segment *segment = segment_at(engine, copy->location);

	if (old.location != 0)
		uncount(engine, &old);
	index_set(&engine->index, block, copy);
	UNDO_SET(undo_of(engine), segment->live, segment->live + 1);
	engine->cached_blocks++;
	if (copy->dirty) {
		UNDO_SET(undo_of(engine), segment->dirty, segment->dirty + 1);
		engine->dirty_blocks++;
	}
	undo_commit(undo_of(engine));
}

void apply_forget(struct engine *engine, uint64_t block)
{
	struct index_copy old = index_get(&engine->index, block);

	if (old.location == 0)
		return;
	uncount(engine, &old);
	index_unmap(&engine->index, block);
	undo_commit(undo_of(engine));
}

static void mark_lost(struct engine *engine, uint64_t block, uint32_t location)
{
	struct segment *segment = segment_at(engine, location);

	index_set_lost(&engine->index, block);
	UNDO_SET(undo_of(engine), segment->lost, segment->lost + 1);
	engine->lost_blocks++;
	undo_commit(undo_of(engine));
}

void apply_lost(struct engine *engine, uint64_t block)
{
	struct index_copy copy = index_get(&engine->index, block);

	if (!copy.dirty || copy.lost)
		return;
	mark_lost(engine, block, copy.location);
	engine->stats.lost_blocks++;
	/* Lost blocks move up the log, and need their share of it. */
	if (engine->lost_blocks > engine->data_blocks_max / 2)
		engine_fail(engine, -EIO,
			    "half of what the SSD may hold can't be read");
}

static void apply_data(struct engine *engine, const struct apply *apply,
		       const struct log_entry_cursor *cursor)
{
	const struct log_entry *entry = cursor->entry;
	uint64_t first = entry->first_block;
	bool dirty = entry->type == LOG_WRITE ||
		     (entry->flags & LOG_ENTRY_DIRTY) != 0;

	for (uint32_t i = 0; i < entry->block_count; i++) {
		uint32_t data = cursor->data_block + i;
		struct index_copy copy = {
			.location = apply->location + 1 + data,
			.check = cursor->checks[i],
			.mask = entry->mask ? entry->mask : LOG_MASK_WHOLE,
			.dirty = dirty,
		};

		if (bitmap_test(apply->bad, data))
			continue;
		map(engine, first + i, &copy);
		if (dirty && (entry->flags & LOG_ENTRY_LOST))
			mark_lost(engine, first + i, copy.location);
	}
}

/* Versions that a CLEAN covers are those up to its `upto`, not newer ones. */
void apply_clean(struct engine *engine, const struct log_entry *entry)
{
	uint64_t end = entry->first_block + entry->block_count;

	for (uint64_t block = entry->first_block; block < end; block++) {
		struct index_copy copy = index_get(&engine->index, block);
		struct segment *segment;

		if (!copy.dirty || copy.lost ||
		    segments_sequence(&engine->segments, copy.location) >
			    entry->upto)
			continue;
		segment = segment_at(engine, copy.location);
		index_set_clean(&engine->index, block);
		UNDO_SET(undo_of(engine), segment->dirty, segment->dirty - 1);
		engine->dirty_blocks--;
		undo_commit(undo_of(engine));
	}
}

static void apply_drop(struct engine *engine, const struct log_entry *entry)
{
	uint64_t end = entry->first_block + entry->block_count;

	for (uint64_t block = entry->first_block; block < end; block++)
		apply_forget(engine, block);
}

void apply_entry(struct engine *engine, const struct apply *apply,
		 const struct log_entry_cursor *cursor)
{
	switch ((enum log_entry_type)cursor->entry->type) {
	case LOG_WRITE:
	case LOG_FILL:
	case LOG_REAPPEND:
		apply_data(engine, apply, cursor);
		return;
	case LOG_CLEAN:
		apply_clean(engine, cursor->entry);
		return;
	case LOG_DROP:
		apply_drop(engine, cursor->entry);
		return;
	case LOG_ZERO:
	case LOG_DISCARD:
		/* Appended by nobody: recovery refuses a log that has them. */
		assert(false && "unknown entry in an accepted record");
	}
}
