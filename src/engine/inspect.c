// SPDX-License-Identifier: Apache-2.0
/*
 * inspect.c - see inspect.h. Reads what recovery left; changes nothing.
 */
#include "core.h"

#include <assert.h>

#include "recovery.h"

void inspect_finish(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;

	/* A record that is known to be durable may lie behind all that is left.
	 */
	if (salvaging(engine))
		salvage_pass(engine, recovery->durable > recovery->cut
					     ? recovery->durable + 1
					     : recovery->cut + 1);
	recovery->state = RECOVERY_OFF;
	engine->state = ENGINE_INSPECTED;
}

void inspect_log(const struct engine *engine, struct inspect_log *ret_log)
{
	const struct recovery *recovery = &engine->recovery;

	assert(engine->state == ENGINE_INSPECTED);
	*ret_log = (struct inspect_log){
		.superblock = engine->superblock.image,
		.gaps = engine->salvage.gaps,
		.gap_count = engine->salvage.gap_count,
		.overlaps = engine->salvage.overlaps,
		.segments = engine->segments.count,
		.segments_used = recovery->end - recovery->first,
		.tail_sequence = engine->tail_sequence,
		.durable_sequence = recovery->durable,
		.last_sequence = recovery->cut,
		.records = engine->stats.recovered_records,
		.cached_blocks = engine->cached_blocks,
		.zero_blocks = engine->zero_blocks,
		.dirty_blocks = engine->dirty_blocks,
		.lost_blocks = engine->lost_blocks,
	};
}

static uint64_t last_missing(const struct salvage *salvage)
{
	return salvage->gap_count > 0
		       ? salvage->gaps[salvage->gap_count - 1].last
		       : 0;
}

/* index_next() leaves out leaves that are zeros as a whole. */
static bool find_next(const struct index *index, uint64_t *block)
{
	uint64_t end = index->leaf_count * INDEX_LEAF_BLOCKS;

	while (*block < end) {
		uint64_t next = *block;

		switch (index_leaf_state(index, *block)) {
		case INDEX_LEAF_EMPTY:
			break;
		case INDEX_LEAF_ZEROED:
			return true;
		case INDEX_LEAF_SLOTS:
			if (!index_next(index, &next) ||
			    next >= index_leaf_end(*block))
				break;
			*block = next;
			return true;
		}
		*block = index_leaf_end(*block);
	}
	return false;
}

bool inspect_next(const struct engine *engine, uint64_t block,
		  struct inspect_copy *ret_copy)
{
	struct index_copy copy;
	uint64_t sequence;

	assert(engine->state == ENGINE_INSPECTED);
	if (!find_next(&engine->index, &block))
		return false;
	copy = index_get(&engine->index, block);
	sequence = segments_sequence(&engine->segments, copy.location);
	*ret_copy = (struct inspect_copy){
		.block = block,
		.block_count = index_leaf_state(&engine->index, block) ==
					       INDEX_LEAF_ZEROED
				       ? index_leaf_end(block) - block
				       : 1,
		.sequence = sequence,
		.location = copy.location,
		.check = copy.check,
		.mask = copy.mask,
		.zero = copy.zero,
		.dirty = copy.dirty,
		.lost = copy.lost,
		.doubtful = sequence < last_missing(&engine->salvage),
	};
	return true;
}
