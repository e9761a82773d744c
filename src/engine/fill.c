// SPDX-License-Identifier: Apache-2.0
/*
 * fill.c - blocks that were missed, or are asked for, come into the log.
 *
 * The guest has its answer first. Then what was admitted is read from below
 * once more, into buffers of ours, and appended from there. Not from the
 * guest's memory: it is the guest's, and another read may have landed in the
 * same page by now (some guests read what they don't want into one page). A
 * check value made of that would vouch for wrong data.
 *
 * A copy in the log that is clean outlives a power failure, so below must have
 * it for good as well: what a guest's write has put there since the last flush
 * isn't cached yet (I2).
 *
 * A fill may enter the log only if nothing was submitted for its block since
 * the read was issued, nor was on its way then (rule 3); append.c looks again
 * when the fill gets its place.
 */
#include "core.h"

#include <assert.h>

#include "policy.h"

/* Reads for the log under way at once; what is more isn't cached this time. */
#define FILLS_MAX 8u

static bool let_in(struct engine *engine)
{
	return !reappend_all_used(engine) ||
	       engine->reads.turned_away++ % POLICY_LET_IN_OF < POLICY_LET_IN;
}

/*
 * Was most of the run missed before? Notes the rest either way. While nothing
 * has to be given up for it, a first miss is enough, unless it is a stream's.
 * *ret_refused counts what isn't admitted for the same reason.
 */
static bool admitted(struct engine *engine, uint64_t block, uint64_t count,
		     bool streaming, uint64_t **ret_refused)
{
	struct engine_stats *stats = &engine->stats;
	bool spare = evict_has_spare(engine);
	uint64_t again = 0;

	for (uint64_t i = 0; i < count; i++)
		again += ghost_missed_again(&engine->ghosts, block + i);
	if (again * 2 >= count) {
		*ret_refused = &stats->bypassed_in_use_bytes;
		return spare || let_in(engine);
	}
	*ret_refused = streaming ? &stats->bypassed_stream_bytes
				 : &stats->bypassed_first_bytes;
	return spare && !streaming;
}

static_assert(ENGINE_FILL_BYTES == SLOT_IOV_MAX * LOG_BLOCK_BYTES &&
		      HAZARD_UNIT_BLOCKS <= SLOT_IOV_MAX,
	      "one read brings so much");

bool engine_may_fill(const struct engine *engine)
{
	return fill_has_room(engine, SLOT_IOV_MAX) && !withdrawn(engine);
}

static bool append_block(struct engine *engine, uint64_t block, uint8_t *buffer)
{
	struct append_item *item = append_item_get(engine, false);

	if (!item)
		return false;
	item->type = LOG_FILL;
	item->block = block;
	item->block_count = 1;
	item->fill_block = block;
	item->buffer = buffer;
	item->generation = hazard_generation(engine->hazards, block, 1);
	hazard_fill_begin(engine->hazards, block, 1);
	engine->stats.fill_bytes += LOG_BLOCK_BYTES;
	append_queue(engine, item);
	return true;
}

static void filled(struct engine *engine, struct engine_io *io, int status)
{
	struct io_slot *slot = io->owner;
	uint64_t first = log_block_of(slot->sector);
	uint64_t count = io->iov_count;
	bool unmoved = hazard_generation(engine->hazards, first, count) ==
			       slot->generation ||
		       engine_bug(engine, ENGINE_BUG_FILL_UNCHECKED);
	/* Before the loop: from its first block on this one fills, too. */
	bool good = status == 0 && engine->state == ENGINE_RUNNING && unmoved &&
		    !hazard_fills(engine->hazards, first, count);

	if (!unmoved)
		engine->stats.bypassed_fenced_bytes += count * LOG_BLOCK_BYTES;
	for (uint64_t i = 0; i < count; i++) {
		uint8_t *buffer = slot->iov[i].iov_base;
		uint64_t block = first + i;

		if (!good || index_get(&engine->index, block).location != 0 ||
		    !append_block(engine, block, buffer))
			io_buffer_put(engine, buffer);
	}
	engine->reads.fills--;
	io_slot_put(engine, slot);
}

bool fill_has_room(const struct engine *engine, uint32_t blocks)
{
	return engine->reads.fills < FILLS_MAX &&
	       !list_is_empty(&engine->io.free_slots) &&
	       io_buffers_free(engine, blocks);
}

static bool may_start(const struct engine *engine, uint32_t count)
{
	return fill_has_room(engine, count) && !engine->destage.quiesced &&
	       engine->segments.free > engine->reserve_segments;
}

static void start(struct engine *engine, uint64_t first, uint32_t count)
{
	uint64_t bytes = (uint64_t)count * LOG_BLOCK_BYTES;
	struct io_slot *slot;

	assert(count <= SLOT_IOV_MAX);
	if (hazard_writes(engine->hazards, first, count)) {
		engine->stats.bypassed_fenced_bytes += bytes;
		return;
	}
	if (!may_start(engine, count)) {
		engine->stats.bypassed_busy_bytes += bytes;
		return;
	}
	if (!flush_below_durable(engine, first, count)) {
		engine->stats.bypassed_undurable_bytes += bytes;
		return;
	}
	slot = io_slot_get(engine);
	for (uint32_t i = 0; i < count; i++)
		slot->iov[i] = (struct iovec){io_buffer_get(engine, false),
					      LOG_BLOCK_BYTES};
	slot->sector = first * LOG_SECTORS_PER_BLOCK;
	slot->generation = hazard_generation(engine->hazards, first, count);
	slot->io = (struct engine_io){
		.type = ENGINE_BELOW_READ,
		.iov = slot->iov,
		.iov_count = count,
		.offset = first * LOG_BLOCK_BYTES,
		.length = (uint64_t)count * LOG_BLOCK_BYTES,
		.done = filled,
		.owner = slot,
	};
	engine->reads.fills++;
	io_out(engine, &slot->io);
}

/* [first, end) are whole blocks of what was missed. */
static void note_missed(struct engine *engine, uint64_t sector,
			uint64_t sector_count, uint64_t first, uint64_t end,
			uint32_t flags)
{
	uint64_t begin = log_block_of(sector);
	uint64_t touched = log_blocks_touched(sector, sector_count);

	if (!engine->curve)
		return;
	if (end <= first) {
		curve_read(engine->curve, begin, touched, false,
			   MINIATURE_PART);
		return;
	}
	if (end - first > POLICY_FILL_BLOCKS_MAX)
		flags |= MINIATURE_LARGE;
	curve_read(engine->curve, begin, first - begin, false, MINIATURE_PART);
	curve_read(engine->curve, first, end - first, false, flags);
	curve_read(engine->curve, end, begin + touched - end, false,
		   MINIATURE_PART);
}

void fill_offer(struct engine *engine, uint64_t sector, uint64_t sector_count,
		bool admit)
{
	uint64_t first = log_block_of(sector + LOG_SECTORS_PER_BLOCK - 1);
	uint64_t end = log_block_of(sector + sector_count);
	uint64_t bytes = (end - first) * LOG_BLOCK_BYTES;
	uint64_t *refused;
	bool streaming;

	if (end <= first) {
		note_missed(engine, sector, sector_count, first, end, 0);
		return;
	}
	if (withdrawn(engine)) {
		engine->stats.bypassed_mode_bytes += bytes;
		return;
	}
	streaming = stream_goes_on(&engine->streams, first, end - first);
	note_missed(engine, sector, sector_count, first, end,
		    (streaming ? MINIATURE_STREAM : 0) |
			    (admit ? MINIATURE_ADMIT : 0));
	if (end - first > POLICY_FILL_BLOCKS_MAX) {
		engine->stats.bypassed_large_bytes += bytes;
		return;
	}
	if (!admitted(engine, first, end - first, streaming, &refused) &&
	    !admit) {
		*refused += bytes;
		return;
	}
	/* Reads that share no unit don't meet each other in filled(). */
	while (first < end) {
		uint64_t count =
			HAZARD_UNIT_BLOCKS - first % HAZARD_UNIT_BLOCKS;

		if (count > end - first)
			count = end - first;
		start(engine, first, (uint32_t)count);
		first += count;
	}
}
