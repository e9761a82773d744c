// SPDX-License-Identifier: Apache-2.0
/*
 * hold.c - see hold.h.
 *
 * `left` counts the blocks that were dirty at the point and aren't below yet:
 * each of them is either still in the index, dirty, or kept. One that becomes
 * clean leaves by its CLEAN, one that is kept when the flush of below has
 * covered it. So HELD is reached when it is zero, whatever the guest does.
 *
 * While it is held, the log fills. A hold that would make a write wait ends
 * itself: the VM is worth more than a backup.
 */
#include "hold.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "bitmap.h"
#include "core.h"
#include "selection.h"

bool hold_stands(const struct engine *engine)
{
	switch (engine->hold.stage) {
	case HOLD_GATHER:
	case HOLD_DESTAGE:
	case HOLD_FLUSH:
	case HOLD_HELD:
		return true;
	case HOLD_OFF:
	case HOLD_ENDED:
		return false;
	}
	__builtin_unreachable();
}

bool hold_drains(const struct engine *engine)
{
	return engine->hold.stage == HOLD_DESTAGE && engine->hold.left > 0;
}

bool hold_bars(const struct engine *engine, uint64_t first_sequence)
{
	const struct hold *hold = &engine->hold;

	if (!hold_stands(engine) || hold->stage == HOLD_GATHER ||
	    engine_bug(engine, ENGINE_BUG_HOLD_PASSED))
		return false;
	return !hold_drains(engine) || first_sequence > hold->sequence;
}

uint64_t hold_upto(const struct engine *engine)
{
	if (!hold_stands(engine) || engine->hold.stage == HOLD_GATHER ||
	    engine_bug(engine, ENGINE_BUG_HOLD_PASSED))
		return UINT64_MAX;
	return engine->hold.sequence;
}

bool hold_keeps(const struct engine *engine, uint32_t segment)
{
	return engine->hold.kept_counts[segment] > 0;
}

static size_t bit_of(const struct engine *engine, uint32_t location)
{
	return location - engine->segments.first_block;
}

bool hold_keeps_copy(const struct engine *engine, uint32_t location)
{
	return hold_keeps(engine, segments_of(&engine->segments, location)) &&
	       bitmap_test(engine->hold.kept, bit_of(engine, location));
}

static uint32_t *count_of(struct engine *engine, uint32_t location)
{
	return &engine->hold
			.kept_counts[segments_of(&engine->segments, location)];
}

/* Was it dirty at the point? */
static bool was_dirty(const struct engine *engine,
		      const struct index_copy *copy)
{
	return copy->dirty &&
	       segments_sequence(&engine->segments, copy->location) <=
		       engine->hold.sequence;
}

static void keep_zeros(struct engine *engine, uint64_t block, uint32_t count,
		       uint32_t location)
{
	struct hold *hold = &engine->hold;
	struct hold_zeros *last =
		hold->zero_count ? &hold->zeros[hold->zero_count - 1] : NULL;

	if (last && !last->going && last->location == location &&
	    last->block + last->count == block &&
	    last->count <= UINT32_MAX - count) {
		last->count += count;
	} else if (hold->zero_count == HOLD_ZEROS_MAX) {
		hold_end(engine, ENGINE_HOLD_END_ZEROS);
		return;
	} else {
		hold->zeros[hold->zero_count++] = (struct hold_zeros){
			.block = block,
			.count = count,
			.location = location,
		};
	}
	*count_of(engine, location) += count;
}

void hold_replaced(struct engine *engine, uint64_t block, uint32_t count,
		   const struct index_copy *copy)
{
	struct hold *hold = &engine->hold;

	if (hold->stage != HOLD_DESTAGE || !was_dirty(engine, copy))
		return;
	if (engine_bug(engine, ENGINE_BUG_HOLD_FORGETS)) {
		hold->left -= count;
		return;
	}
	if (copy->lost) {
		hold_end(engine, ENGINE_HOLD_END_DATA_LOST);
	} else if (copy->zero) {
		keep_zeros(engine, block, count, copy->location);
	} else {
		bitmap_set(hold->kept, bit_of(engine, copy->location));
		++*count_of(engine, copy->location);
	}
}

void hold_cleaned(struct engine *engine, uint32_t count,
		  const struct index_copy *copy)
{
	struct hold *hold = &engine->hold;

	if (hold->stage != HOLD_DESTAGE || !was_dirty(engine, copy))
		return;
	assert(hold->left >= count);
	hold->left -= count;
	engine->progress = true;
}

void hold_select_zeros(struct engine *engine, uint32_t segment)
{
	struct hold *hold = &engine->hold;

	for (uint32_t i = 0; i < hold->zero_count; i++) {
		struct hold_zeros *zeros = &hold->zeros[i];

		if (segments_of(&engine->segments, zeros->location) == segment)
			zeros->going = selection_zeros(engine, zeros->block,
						       zeros->count);
	}
}

void hold_read_up_to(struct engine *engine, uint32_t segment, uint32_t blocks)
{
	size_t end = (size_t)(segment + 1) * engine->segments.segment_blocks;
	size_t from = end - engine->segments.segment_blocks + blocks;

	if (hold_keeps(engine, segment) &&
	    bitmap_find_set(engine->hold.kept, end, from) < end)
		hold_end(engine, ENGINE_HOLD_END_DATA_LOST);
}

static void copy_down(struct engine *engine, uint32_t location)
{
	struct hold *hold = &engine->hold;

	/* Another hold by now may know nothing of it. */
	if (!hold_keeps_copy(engine, location))
		return;
	bitmap_clear(hold->kept, bit_of(engine, location));
	--*count_of(engine, location);
	hold->left--;
}

static void zeros_down(struct engine *engine, bool good)
{
	struct hold *hold = &engine->hold;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < hold->zero_count; i++) {
		struct hold_zeros *zeros = &hold->zeros[i];

		if (zeros->going && good) {
			*count_of(engine, zeros->location) -= zeros->count;
			hold->left -= zeros->count;
			continue;
		}
		zeros->going = false;
		hold->zeros[kept++] = *zeros;
	}
	hold->zero_count = kept;
}

void hold_pass_ended(struct engine *engine, bool good)
{
	const struct destage *destage = &engine->destage;
	uint32_t begin = segments_block(&engine->segments, destage->segment);

	if (engine->hold.stage != HOLD_DESTAGE)
		return;
	for (uint32_t i = 0; good && i < destage->block_count; i++) {
		const struct destage_block *block = &destage->blocks[i];

		if (block->kept)
			copy_down(engine, begin + block->offset);
	}
	zeros_down(engine, good);
}

static void forget_kept(struct engine *engine)
{
	struct hold *hold = &engine->hold;
	size_t blocks = engine->segments.segment_blocks;

	for (uint32_t i = 0; i < engine->segments.count; i++) {
		if (hold->kept_counts[i] == 0)
			continue;
		hold->kept_counts[i] = 0;
		bitmap_clear_range(hold->kept, i * blocks, blocks);
	}
	hold->zero_count = 0;
}

void hold_end(struct engine *engine, uint32_t why)
{
	struct hold *hold = &engine->hold;

	if (!hold_stands(engine))
		return;
	forget_kept(engine);
	hold->stage = HOLD_ENDED;
	hold->end = why;
	hold->ended_ns = engine->now_ns;
	engine->progress = true;
}

void hold_flush_failed(struct engine *engine)
{
	if (engine->hold.stage == HOLD_FLUSH)
		hold_end(engine, ENGINE_HOLD_END_BELOW);
}

/* What is acknowledged now is the point. */
static void fix(struct engine *engine)
{
	struct hold *hold = &engine->hold;

	if (engine->lost_blocks > 0) {
		hold_end(engine, ENGINE_HOLD_END_DATA_LOST);
		return;
	}
	hold->sequence = engine->append.completed_sequence;
	hold->left = engine->dirty_blocks;
	hold->stage = HOLD_DESTAGE;
	engine->progress = true;
}

/* Is a pass of the destager writing below? */
static bool pass_writes(const struct engine *engine)
{
	switch (engine->destage.state) {
	case DESTAGE_READ:
	case DESTAGE_WRITE:
	case DESTAGE_FLUSH:
		return true;
	case DESTAGE_IDLE:
	case DESTAGE_CLEAN:
	case DESTAGE_EVICT:
	case DESTAGE_REAPPEND:
		return false;
	}
	__builtin_unreachable();
}

/* Would the guest be better off without it? */
static bool in_the_way(struct engine *engine)
{
	return dirty_data_blocks(engine) * 100 >=
		       engine->data_blocks_max * HOLD_DIRTY_PERCENT ||
	       !index_zeros_fit(&engine->index) || evict_is_barred(engine) ||
	       write_waits_for_space(engine);
}

void hold_advance(struct engine *engine)
{
	struct hold *hold = &engine->hold;

	if (!hold_stands(engine))
		return;
	if (hold->until_ns == 0)
		hold->until_ns = engine->now_ns + hold->timeout_ns;
	if (engine->now_ns >= hold->until_ns)
		hold_end(engine, ENGINE_HOLD_END_DEADLINE);
	switch (hold->stage) {
	case HOLD_GATHER:
		if (engine->writes.not_back == 0)
			fix(engine);
		return;
	case HOLD_DESTAGE:
		if (hold->left > 0 || pass_writes(engine))
			return;
		hold->flush_ticket = flush_want_below(engine);
		hold->stage = HOLD_FLUSH;
		return;
	case HOLD_FLUSH:
		if (engine->flusher.below_destage_done < hold->flush_ticket)
			return;
		hold->stage = HOLD_HELD;
		hold->held_ns = engine->now_ns;
		engine->progress = true;
		return;
	case HOLD_HELD:
		if (in_the_way(engine))
			hold_end(engine, ENGINE_HOLD_END_SPACE);
		return;
	case HOLD_OFF:
	case HOLD_ENDED:
		return;
	}
}

uint64_t hold_next_ns(const struct engine *engine)
{
	return hold_stands(engine) ? engine->hold.until_ns : UINT64_MAX;
}

int engine_hold(struct engine *engine, uint64_t timeout_ns)
{
	struct hold *hold = &engine->hold;

	if (engine->state != ENGINE_RUNNING || engine->destage.quiesced)
		return -EAGAIN;
	if (hold->stage != HOLD_OFF)
		return -EBUSY;
	if (engine->config.mode != ENGINE_WRITE_BACK || withdrawn(engine))
		return -EOPNOTSUPP;
	hold->stage = HOLD_GATHER;
	hold->timeout_ns = timeout_ns;
	hold->until_ns = 0;
	hold->held_ns = 0;
	hold->ended_ns = 0;
	hold->sequence = 0;
	hold->left = 0;
	hold->end = ENGINE_HOLD_END_NOT;
	engine->progress = true;
	return 0;
}

struct engine_hold engine_hold_now(const struct engine *engine)
{
	static const enum engine_hold_state states[] = {
		[HOLD_OFF] = ENGINE_HOLD_NONE,
		[HOLD_GATHER] = ENGINE_HOLD_GATHERING,
		[HOLD_DESTAGE] = ENGINE_HOLD_MAKING,
		[HOLD_FLUSH] = ENGINE_HOLD_MAKING,
		[HOLD_HELD] = ENGINE_HOLD_HELD,
		[HOLD_ENDED] = ENGINE_HOLD_ENDED,
	};
	const struct hold *hold = &engine->hold;

	return (struct engine_hold){
		.state = states[hold->stage],
		.end = (enum engine_hold_end)hold->end,
		.sequence = hold->sequence,
		.left_bytes = (hold->stage == HOLD_GATHER ? engine->dirty_blocks
							  : hold->left) *
			      LOG_BLOCK_BYTES,
		.held_ns = hold->held_ns,
		.until_ns = hold->until_ns,
		.ended_ns = hold->ended_ns,
	};
}

int engine_release(struct engine *engine)
{
	enum hold_stage stage = engine->hold.stage;

	if (stage == HOLD_OFF)
		return -ENOENT;
	hold_end(engine, ENGINE_HOLD_END_NOT);
	engine->hold.stage = HOLD_OFF;
	engine->progress = true;
	if (stage == HOLD_HELD)
		return 0;
	return stage == HOLD_ENDED ? -ESTALE : -EINPROGRESS;
}
