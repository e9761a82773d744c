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

/* @blocks of a copy stop to count where it stands. */
static void uncount(struct engine *engine, const struct index_copy *copy,
		    uint32_t blocks)
{
	struct segment *segment = segment_at(engine, copy->location);

	assert(segment->live >= blocks);
	UNDO_SET(undo_of(engine), segment->live, segment->live - blocks);
	if (copy->zero) {
		UNDO_SET(undo_of(engine), segment->zeros,
			 segment->zeros - blocks);
		engine->zero_blocks -= blocks;
	} else {
		engine->cached_blocks -= blocks;
	}
	if (copy->dirty) {
		assert(segment->dirty >= blocks &&
		       engine->dirty_blocks >= blocks);
		UNDO_SET(undo_of(engine), segment->dirty,
			 segment->dirty - blocks);
		if (!engine_bug(engine, ENGINE_BUG_DIRTY_DRIFT))
			engine->dirty_blocks -= blocks;
	}
	if (copy->lost) {
		UNDO_SET(undo_of(engine), segment->lost,
			 segment->lost - blocks);
		engine->lost_blocks -= blocks;
	}
}

static void count(struct engine *engine, const struct index_copy *copy,
		  uint32_t blocks)
{
	struct segment *segment = segment_at(engine, copy->location);

	UNDO_SET(undo_of(engine), segment->live, segment->live + blocks);
	if (copy->zero) {
		UNDO_SET(undo_of(engine), segment->zeros,
			 segment->zeros + blocks);
		engine->zero_blocks += blocks;
	} else {
		engine->cached_blocks += blocks;
	}
	if (copy->dirty) {
		UNDO_SET(undo_of(engine), segment->dirty,
			 segment->dirty + blocks);
		engine->dirty_blocks += blocks;
	}
}

/* Writes wait for room; a log that others made may know no measure. */
static bool have_room(struct engine *engine, uint64_t block)
{
	if (index_has_room(&engine->index, block))
		return true;
	engine_fail(engine, -ENOSPC, "the index has no room for its zeroes");
	return false;
}

static void map(struct engine *engine, uint64_t block,
		const struct index_copy *copy)
{
	struct index_copy old = index_get(&engine->index, block);

	if (!have_room(engine, block))
		return;
	if (old.location != 0) {
		hold_replaced(engine, block, 1, &old);
		uncount(engine, &old, 1);
	}
	index_set(&engine->index, block, copy);
	/* To be written again is to be used. */
	if (old.location != 0 && copy->dirty)
		index_warm(&engine->index, block);
	count(engine, copy, 1);
	index_commit(&engine->index);
}

void apply_forget(struct engine *engine, uint64_t block)
{
	struct index_copy old = index_get(&engine->index, block);

	if (old.location == 0 || !have_room(engine, block))
		return;
	uncount(engine, &old, 1);
	index_unmap(&engine->index, block);
	index_commit(&engine->index);
}

static void forget_zeroed_leaf(struct engine *engine, uint64_t block)
{
	struct index_copy copy = index_get(&engine->index, block);

	uncount(engine, &copy, INDEX_LEAF_BLOCKS);
	index_forget_zeroed_leaf(&engine->index, block);
	index_commit(&engine->index);
}

/* @block is the first of a leaf, for which there is something newer. */
static void forget_leaf(struct engine *engine, uint64_t block)
{
	uint64_t end = index_leaf_end(block);
	struct index_copy copy = index_get(&engine->index, block);

	switch (index_leaf_state(&engine->index, block)) {
	case INDEX_LEAF_EMPTY:
		return;
	case INDEX_LEAF_ZEROED:
		hold_replaced(engine, block, INDEX_LEAF_BLOCKS, &copy);
		forget_zeroed_leaf(engine, block);
		return;
	case INDEX_LEAF_SLOTS:
		for (; block < end; block++) {
			copy = index_get(&engine->index, block);
			if (copy.location != 0)
				hold_replaced(engine, block, 1, &copy);
			apply_forget(engine, block);
		}
		return;
	}
}

static void mark_lost(struct engine *engine, uint64_t block, uint32_t location)
{
	struct segment *segment = segment_at(engine, location);

	index_set_lost(&engine->index, block);
	UNDO_SET(undo_of(engine), segment->lost, segment->lost + 1);
	engine->lost_blocks++;
	index_commit(&engine->index);
}

void apply_lost(struct engine *engine, uint64_t block)
{
	struct index_copy copy = index_get(&engine->index, block);

	if (!copy.dirty || copy.lost)
		return;
	mark_lost(engine, block, copy.location);
	engine->stats.lost_blocks++;
	if (hold_drains(engine))
		hold_end(engine, ENGINE_HOLD_END_DATA_LOST);
	/* Lost blocks move up the log, and need their share of it. */
	if (engine->lost_blocks > engine->data_blocks_max / 2)
		engine_withdraw(engine, -EIO,
				"half of what the SSD may hold can't be read");
}

static void apply_data(struct engine *engine, const struct apply *apply,
		       const struct log_entry_cursor *cursor)
{
	const struct log_entry *entry = cursor->entry;
	uint64_t first = entry->first_block;
	bool dirty = entry->type == LOG_WRITE ||
		     (entry->flags & LOG_ENTRY_DIRTY) != 0;

	if (engine->state == ENGINE_STARTING &&
	    engine_bug(engine, ENGINE_BUG_ALL_CLEAN))
		dirty = false;
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

static void zero_leaf(struct engine *engine, uint64_t block,
		      const struct index_copy *copy)
{
	forget_leaf(engine, block);
	index_zero_leaf(&engine->index, block, copy->location);
	count(engine, copy, INDEX_LEAF_BLOCKS);
	index_commit(&engine->index);
}

static void apply_zeroes(struct engine *engine, const struct apply *apply,
			 const struct log_entry *entry)
{
	struct index_copy copy = {
		.location = apply->location,
		.mask = LOG_MASK_WHOLE,
		.dirty = true,
		.zero = true,
	};
	uint64_t block = entry->first_block;
	uint64_t end = block + entry->block_count;

	while (block < end) {
		if (block % INDEX_LEAF_BLOCKS == 0 &&
		    index_leaf_end(block) <= end) {
			zero_leaf(engine, block, &copy);
			block = index_leaf_end(block);
		} else {
			map(engine, block++, &copy);
		}
	}
}

static bool covers(const struct engine *engine, const struct log_entry *clean,
		   const struct index_copy *copy)
{
	return copy->dirty && !copy->lost &&
	       segments_sequence(&engine->segments, copy->location) <=
		       clean->upto;
}

static void clean_block(struct engine *engine, const struct log_entry *entry,
			uint64_t block)
{
	struct index_copy copy = index_get(&engine->index, block);
	struct segment *segment;

	if (!covers(engine, entry, &copy))
		return;
	hold_cleaned(engine, 1, &copy);
	if (copy.zero) {
		/* The layers below have the same zeros. */
		apply_forget(engine, block);
		return;
	}
	segment = segment_at(engine, copy.location);
	index_set_clean(&engine->index, block);
	UNDO_SET(undo_of(engine), segment->dirty, segment->dirty - 1);
	engine->dirty_blocks--;
	index_commit(&engine->index);
}

/* Returns: true if that is all there was to do up to the leaf's end. */
static bool clean_leaf(struct engine *engine, const struct log_entry *entry,
		       uint64_t block)
{
	uint64_t end = entry->first_block + entry->block_count;
	struct index_copy copy;

	switch (index_leaf_state(&engine->index, block)) {
	case INDEX_LEAF_EMPTY:
		return true;
	case INDEX_LEAF_ZEROED:
		if (block % INDEX_LEAF_BLOCKS != 0 ||
		    index_leaf_end(block) > end)
			return false;
		copy = index_get(&engine->index, block);
		if (covers(engine, entry, &copy)) {
			hold_cleaned(engine, INDEX_LEAF_BLOCKS, &copy);
			forget_zeroed_leaf(engine, block);
		}
		return true;
	case INDEX_LEAF_SLOTS:
		return false;
	}
	__builtin_unreachable();
}

/* Versions that a CLEAN covers are those up to its `upto`, not newer ones. */
static void apply_clean(struct engine *engine, const struct log_entry *entry)
{
	uint64_t block = entry->first_block;
	uint64_t end = block + entry->block_count;

	while (block < end) {
		uint64_t next = index_leaf_end(block);

		if (!clean_leaf(engine, entry, block)) {
			for (; block < next && block < end; block++)
				clean_block(engine, entry, block);
		}
		block = next;
	}
}

void apply_drop(struct engine *engine, const struct log_entry *entry)
{
	uint64_t block = entry->first_block;
	uint64_t end = block + entry->block_count;

	while (block < end) {
		if (index_leaf_state(&engine->index, block) == INDEX_LEAF_EMPTY)
			block = index_leaf_end(block);
		else
			apply_forget(engine, block++);
	}
}

static bool replay_left_out(const struct engine *engine,
			    const struct log_entry *entry)
{
	return engine->state == ENGINE_STARTING &&
	       engine_bug(engine, entry->type == LOG_ZERO
					  ? ENGINE_BUG_ZEROES_LOST
					  : ENGINE_BUG_DISCARD_RESURRECTED);
}

void apply_spilled_clean(struct engine *engine, const struct log_entry *entry)
{
	uint64_t zeros = engine->zero_blocks;

	kept_unsaid(engine, entry->upto);
	apply_clean(engine, entry);
	if (engine->zero_blocks < zeros && entry->upto > engine->zeros_spilled)
		engine->zeros_spilled = entry->upto;
}

void apply_entry(struct engine *engine, const struct apply *apply,
		 const struct log_entry_cursor *cursor)
{
	uint64_t zeros;

	switch ((enum log_entry_type)cursor->entry->type) {
	case LOG_WRITE:
	case LOG_FILL:
	case LOG_REAPPEND:
		apply_data(engine, apply, cursor);
		return;
	case LOG_CLEAN:
		zeros = engine->zero_blocks;
		apply_clean(engine, cursor->entry);
		if (engine->zero_blocks < zeros)
			engine->zeros_cleaned = apply->header->sequence;
		return;
	case LOG_DROP:
		apply_drop(engine, cursor->entry);
		return;
	case LOG_ZERO:
	case LOG_DISCARD:
		if (!replay_left_out(engine, cursor->entry))
			apply_zeroes(engine, apply, cursor->entry);
		return;
	}
}
