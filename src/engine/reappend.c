// SPDX-License-Identifier: Apache-2.0
/*
 * reappend.c - what was used moves up the log before its segment is given up.
 *
 * The segment that is to be evicted is in the destager's buffer, and everything
 * in it is clean. Its blocks that were read since they came here are appended
 * again, straight from that buffer, the hottest first and no more than a share
 * of the segment: so the log always moves on. Only then are the segment's
 * copies forgotten, so that a read finds one or the other all the time.
 *
 * In the log they are FILLs: the layers below have the same, durably, so a copy
 * that is torn by a power failure costs nothing. As every fill, one loses its
 * place to a write that was submitted meanwhile (rule 3).
 *
 * What was used and finds no place is remembered as if it had been missed once:
 * the next miss brings it back.
 *
 * A log that holds many headers and overwritten copies turns so fast that "not
 * used since it came here" says little. While it is so sparse, blocks stay as
 * hot as they are, and what was read from below and not used yet moves as well:
 * it was missed twice to get here. What the guest wrote once and nobody used
 * doesn't.
 */
#include "core.h"

#include <assert.h>

#include "policy.h"
#include "segment_walk.h"

/* Two walks: one counts, then one chooses. */
struct pass {
	uint32_t wanted[INDEX_HEAT_MAX + 1]; /* blocks, by heat */
	bool choosing;
	bool sparse;
	bool crowded; /* not all that were used find a place */
};

static bool sparse(const struct engine *engine)
{
	return engine->cached_blocks * 100 <
	       (uint64_t)engine->granted_segments *
		       engine->segments.segment_blocks * POLICY_SPARSE_PERCENT;
}

/* A whole, clean copy at this place that was used, or may move without. */
static bool eligible(const struct engine *engine, const struct pass *pass,
		     const struct log_entry *entry, uint64_t block,
		     uint32_t location)
{
	struct index_copy copy = index_get(&engine->index, block);

	return copy.location == location && !copy.dirty && !copy.zero &&
	       copy.mask == LOG_MASK_WHOLE &&
	       (index_heat(&engine->index, block) > 0 ||
		(pass->sparse && entry->type == LOG_FILL));
}

static bool data_good(const struct engine *engine, uint64_t block,
		      uint32_t location, const uint8_t *data)
{
	uint32_t seed =
		log_check_seed(engine->identity.uuid,
			       segments_sequence(&engine->segments, location));

	return log_check(seed, block, data) ==
	       index_get(&engine->index, block).check;
}

static void queue_block(struct engine *engine, uint64_t block, uint8_t *data)
{
	struct append_item *item = append_item_get(engine, false);

	if (!item)
		return;
	item->type = LOG_FILL;
	item->borrowed = true;
	item->buffer = data;
	item->block = block;
	item->block_count = 1;
	item->fill_block = block;
	item->generation = hazard_generation(engine->hazards, block, 1);
	hazard_fill_begin(engine->hazards, block, 1);
	engine->destage.reappends++;
	engine->stats.reappended_bytes += LOG_BLOCK_BYTES;
	append_queue(engine, item);
}

static void choose(struct engine *engine, struct pass *pass, uint64_t block,
		   uint32_t location, uint8_t *data)
{
	uint8_t heat = index_heat(&engine->index, block);

	if (pass->wanted[heat] == 0) {
		if (heat > 0)
			ghost_note(&engine->ghosts, block);
		return;
	}
	if (hazard_writes(engine->hazards, block, 1) ||
	    !data_good(engine, block, location, data))
		return;
	pass->wanted[heat]--;
	if (pass->crowded || !pass->sparse)
		index_cool(&engine->index, block);
	queue_block(engine, block, data);
}

/* Counts one entry's blocks by heat, or chooses among them. */
static void take_entry(struct engine *engine, struct pass *pass,
		       const struct log_entry_cursor *cursor, uint32_t offset)
{
	struct destage *destage = &engine->destage;
	uint32_t begin = segments_block(&engine->segments, destage->segment);

	for (uint32_t i = 0; i < log_entry_data_blocks(cursor->entry); i++) {
		uint64_t block = cursor->entry->first_block + i;
		uint32_t at = offset + cursor->data_block + i;

		if (!eligible(engine, pass, cursor->entry, block, begin + at))
			continue;
		if (pass->choosing)
			choose(engine, pass, block, begin + at,
			       destage->buffer + (size_t)at * LOG_BLOCK_BYTES);
		else
			pass->wanted[index_heat(&engine->index, block)]++;
	}
}

static void walk_segment(struct engine *engine, struct pass *pass)
{
	const struct destage *destage = &engine->destage;
	const struct segment *segment =
		&engine->segments.segments[destage->segment];
	struct segment_walk walk = {
		.uuid = engine->identity.uuid,
		.last_sequence = segment->last_sequence,
		.disk_blocks = engine->disk_blocks,
		.block_count = destage->blocks_read,
	};

	segment_walk_start(&walk, destage->buffer);
	if (walk.sequence + 1 != segment->first_sequence)
		return;
	while (segment_walk_next(&walk)) {
		struct log_entry_cursor cursor;

		log_entries_start(&cursor, walk.header);
		while (log_entries_next(&cursor))
			take_entry(engine, pass, &cursor, walk.block + 1);
	}
}

static uint32_t used_blocks(const struct pass *pass)
{
	uint32_t used = 0;

	for (uint32_t heat = INDEX_HEAT_MAX; heat > 0; heat--)
		used += pass->wanted[heat];
	return used;
}

static void note_used(struct engine *engine, uint32_t used, uint32_t data)
{
	uint32_t sum = engine->used_permille * (POLICY_MEAN_OF - 1);

	engine->used_permille = (sum + used * 1000 / data) / POLICY_MEAN_OF;
}

bool reappend_all_used(const struct engine *engine)
{
	return engine->used_permille > POLICY_ALL_USED_PERMILLE;
}

/* How many of each heat find a place: the hottest first. */
static void settle(struct engine *engine, struct pass *pass)
{
	uint32_t data =
		engine->segments.segment_blocks - POLICY_OVERHEAD_BLOCKS;
	uint32_t room = data * POLICY_HOT_PERCENT / 100;
	uint32_t cold = data * POLICY_COLD_PERCENT / 100;
	uint32_t used = used_blocks(pass);

	note_used(engine, used, data);
	pass->crowded = used > room;
	for (uint32_t heat = INDEX_HEAT_MAX; heat > 0; heat--) {
		if (pass->wanted[heat] > room)
			pass->wanted[heat] = room;
		room -= pass->wanted[heat];
	}
	cold = cold > used ? cold - used : 0;
	if (cold > room)
		cold = room;
	if (pass->wanted[0] > cold)
		pass->wanted[0] = cold;
}

bool reappend_start(struct engine *engine)
{
	struct pass pass = {.sparse = sparse(engine)};

	engine->destage.reappends = 0;
	if (!append_has_room(engine) || engine->destage.quiesced ||
	    withdrawn(engine))
		return false;
	walk_segment(engine, &pass);
	settle(engine, &pass);
	pass.choosing = true;
	walk_segment(engine, &pass);
	return engine->destage.reappends > 0;
}

void reappend_done(struct engine *engine)
{
	assert(engine->destage.reappends > 0);
	engine->destage.reappends--;
	engine->progress = true;
}
