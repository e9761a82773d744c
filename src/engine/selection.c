// SPDX-License-Identifier: Apache-2.0
/*
 * selection.c - which blocks of the segment in the buffer go below.
 *
 * Those that are the newest and dirty, and what a hold keeps of older ones.
 * Blocks that a guest's own write is writing below are left for later.
 */
#include "selection.h"

#include "core.h"
#include "segment_walk.h"
#include "sort.h"

static uint64_t unit_end(uint64_t block)
{
	return (block / HAZARD_UNIT_BLOCKS + 1) * HAZARD_UNIT_BLOCKS;
}

void selection_release(struct engine *engine)
{
	const struct destage *destage = &engine->destage;

	for (uint32_t i = 0; i < destage->block_count; i++) {
		const struct destage_block *run = &destage->blocks[i];
		uint64_t end = run->block + run->count;

		for (uint64_t block = run->block; block < end;
		     block = unit_end(block))
			hazard_destage_release(engine->hazards, block);
	}
}

/* What doesn't fit this time stays dirty, and is selected next time. */
static bool selection_full(const struct engine *engine)
{
	return engine->destage.block_count == engine->config.segment_blocks;
}

/* Do zeros at @block make the last run that was selected longer? */
static bool follows_last(const struct destage *destage, uint64_t block,
			 bool may_unmap)
{
	const struct destage_block *last;

	if (destage->block_count == 0)
		return false;
	last = &destage->blocks[destage->block_count - 1];
	return last->zero && last->may_unmap == may_unmap &&
	       last->block + last->count == block;
}

/*
 * @count blocks of one unit of the hazards are zeros by one record. Returns:
 * false if they are left for later.
 */
static bool select_zeros(struct engine *engine, uint64_t block, uint32_t count,
			 bool may_unmap)
{
	struct destage *destage = &engine->destage;
	bool longer = follows_last(destage, block, may_unmap);
	struct destage_block *run;

	if (!longer && selection_full(engine))
		return false;
	if (!hazard_destage_take(engine->hazards, block)) {
		destage->guests = true;
		return false;
	}
	if (longer) {
		destage->blocks[destage->block_count - 1].count += count;
		return true;
	}
	run = &destage->blocks[destage->block_count++];
	*run = (struct destage_block){
		.block = block,
		.count = count,
		.zero = true,
		.may_unmap = may_unmap,
	};
	return true;
}

bool selection_zeros(struct engine *engine, uint64_t block, uint64_t count)
{
	uint64_t end = block + count;
	bool all = true;

	while (block < end) {
		uint64_t next = unit_end(block) < end ? unit_end(block) : end;

		all &= select_zeros(engine, block, (uint32_t)(next - block),
				    false);
		block = next;
	}
	return all;
}

/* Of a leaf with slots, up to @end. */
static void select_zero_slots(struct engine *engine, uint64_t block,
			      uint64_t end, uint32_t location, bool may_unmap)
{
	for (; block < end; block++) {
		struct index_copy copy = index_get(&engine->index, block);

		if (copy.zero && copy.location == location)
			select_zeros(engine, block, 1, may_unmap);
	}
}

/* A leaf that is zeros as a whole goes as a whole. */
static void select_zeroed_leaf(struct engine *engine, uint64_t block,
			       uint32_t location, bool may_unmap)
{
	uint64_t end = index_leaf_end(block);

	if (index_get(&engine->index, block).location != location)
		return;
	while (block < end) {
		uint64_t next = unit_end(block) < end ? unit_end(block) : end;

		select_zeros(engine, block, (uint32_t)(next - block),
			     may_unmap);
		block = next;
	}
}

static void select_entry_zeroes(struct engine *engine,
				const struct log_entry *entry,
				uint32_t location)
{
	bool may_unmap = !(entry->flags & LOG_ENTRY_NO_HOLE);
	uint64_t block = entry->first_block;
	uint64_t end = block + entry->block_count;

	while (block < end) {
		uint64_t next = index_leaf_end(block);

		switch (index_leaf_state(&engine->index, block)) {
		case INDEX_LEAF_EMPTY:
			break;
		case INDEX_LEAF_ZEROED:
			if (block % INDEX_LEAF_BLOCKS == 0 && next <= end)
				select_zeroed_leaf(engine, block, location,
						   may_unmap);
			break;
		case INDEX_LEAF_SLOTS:
			select_zero_slots(engine, block,
					  next < end ? next : end, location,
					  may_unmap);
			break;
		}
		block = next;
	}
}

/* @logged: what the record's header says of it. */
static void select_block(struct engine *engine, uint64_t block,
			 const struct index_copy *logged)
{
	struct destage *destage = &engine->destage;
	struct index_copy copy = index_get(&engine->index, block);
	uint32_t location = logged->location;
	uint32_t offset =
		location - segments_block(&engine->segments, destage->segment);
	bool kept =
		copy.location != location && hold_keeps_copy(engine, location);
	uint32_t seed;

	if (kept)
		copy = *logged;
	if (copy.location != location || !copy.dirty || copy.lost || copy.zero)
		return;
	seed = log_check_seed(engine->identity.uuid,
			      segments_sequence(&engine->segments, location));
	if (log_check(seed, block,
		      destage->buffer + (size_t)offset * LOG_BLOCK_BYTES) !=
	    copy.check) {
		engine->stats.bad_blocks++;
		kept_doubt(engine);
		if (kept)
			hold_end(engine, ENGINE_HOLD_END_DATA_LOST);
		else
			apply_lost(engine, block);
		return;
	}
	if (selection_full(engine))
		return;
	if (through_owns(engine, block) ||
	    !hazard_destage_take(engine->hazards, block)) {
		destage->guests = true;
		return;
	}
	destage->blocks[destage->block_count++] = (struct destage_block){
		.block = block,
		.offset = offset,
		.count = 1,
		.mask = copy.mask,
		.kept = kept,
	};
}

static void select_entry(struct engine *engine,
			 const struct log_entry_cursor *cursor,
			 uint32_t location)
{
	const struct log_entry *entry = cursor->entry;
	uint32_t count = log_entry_data_blocks(entry);

	if (log_entry_is_zeroes(entry))
		select_entry_zeroes(engine, entry, location - 1);
	for (uint32_t i = 0; i < count; i++) {
		const struct index_copy logged = {
			.location = location + cursor->data_block + i,
			.check = cursor->checks[i],
			.mask = entry->mask ? entry->mask : LOG_MASK_WHOLE,
			.dirty = true,
		};

		select_block(engine, entry->first_block + i, &logged);
	}
}

static int by_block(const void *left, const void *right)
{
	const struct destage_block *a = left;
	const struct destage_block *b = right;

	return (a->block > b->block) - (a->block < b->block);
}

/* Returns: where the records end that could be walked, in the segment. */
static uint32_t select_walked(struct engine *engine)
{
	struct destage *destage = &engine->destage;
	struct segment_walk walk = {
		.uuid = engine->identity.uuid,
		.last_sequence = destage->upto,
		.disk_blocks = engine->disk_blocks,
		.block_count = destage->blocks_read,
	};
	uint32_t end = 1;

	segment_walk_start(&walk, destage->buffer);
	/* A write that hit the wrong place: good records, of another segment.
	 */
	if (walk.sequence + 1 !=
	    engine->segments.segments[destage->segment].first_sequence)
		return end;
	while (segment_walk_next(&walk)) {
		struct log_entry_cursor cursor;
		uint32_t location =
			segments_block(&engine->segments, destage->segment) +
			walk.block + 1;

		end = walk.block + 1 + walk.header->data_blocks;
		log_entries_start(&cursor, walk.header);
		while (log_entries_next(&cursor))
			select_entry(engine, &cursor, location);
	}
	return end;
}

/* A header went bad on the SSD: the index knows what stands behind it. */
static void select_swept(struct engine *engine, uint32_t from)
{
	struct destage *destage = &engine->destage;
	uint32_t begin = segments_block(&engine->segments, destage->segment);
	uint64_t block = 0;

	engine->stats.bad_blocks++;
	kept_doubt(engine);
	for (; index_next(&engine->index, &block); block++) {
		struct index_copy copy = index_get(&engine->index, block);

		if (copy.location < begin + from ||
		    copy.location >= begin + destage->blocks_read)
			continue;
		if (copy.zero)
			select_zeros(engine, block, 1, false);
		else
			select_block(engine, block, &copy);
	}
	for (block = 0; block < engine->disk_blocks;
	     block = index_leaf_end(block)) {
		struct index_copy copy = index_get(&engine->index, block);

		if (index_leaf_state(&engine->index, block) ==
			    INDEX_LEAF_ZEROED &&
		    copy.location >= begin + from &&
		    copy.location < begin + destage->blocks_read)
			select_zeroed_leaf(engine, block, copy.location, false);
	}
}

bool selection_has(const struct engine *engine, uint64_t first, uint64_t count)
{
	const struct destage *destage = &engine->destage;

	for (uint32_t i = 0; i < destage->block_count; i++) {
		const struct destage_block *run = &destage->blocks[i];

		if (run->block < first + count &&
		    first < run->block + run->count)
			return true;
	}
	return false;
}

void selection_make(struct engine *engine)
{
	struct destage *destage = &engine->destage;
	uint32_t end;

	destage->block_count = 0;
	end = select_walked(engine);
	if (end < destage->blocks_read) {
		hold_read_up_to(engine, destage->segment, end);
		select_swept(engine, end);
	}
	hold_select_zeros(engine, destage->segment);
	sort_in_place(destage->blocks, destage->block_count,
		      sizeof(struct destage_block), by_block);
}
