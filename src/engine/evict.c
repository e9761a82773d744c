// SPDX-License-Identifier: Apache-2.0
/*
 * evict.c - the tail moves on and segments come free.
 *
 * The oldest segment is given up when nothing in it is dirty: its copies leave
 * the index, the tail passes it, and it waits in limbo. It is reused only after
 * an SSD flush has covered a record that carries the new tail (rule 8), and
 * after the last read of it has ended. When the log has no room even for such a
 * record, the superblock carries the tail: after a flush of all that the tail
 * rests on.
 */
#include "core.h"

#include <assert.h>
#include <string.h>

#include "policy.h"
#include "segment_walk.h"

static uint32_t target_free(const struct engine *engine)
{
	return policy_free(engine->granted_segments) + grant_excess(engine);
}

/* What the host is about to hand over is as good as free. */
static uint32_t free_soon(const struct engine *engine)
{
	return engine->segments.free + grant_expected(engine);
}

bool evict_has_spare(const struct engine *engine)
{
	return engine->segments.free > target_free(engine);
}

bool evict_wanted(const struct engine *engine)
{
	return free_soon(engine) < target_free(engine);
}

bool evict_is_barred(const struct engine *engine)
{
	const struct segment_table *table = &engine->segments;
	const struct segment *tail;

	if (table->held == 0 ||
	    free_soon(engine) + table->limbo >= target_free(engine))
		return false;
	tail = &table->segments[table->tail];
	return tail->dirty > tail->lost;
}

/* Forgets the blocks of an entry whose newest copies begin at @location. */
static void forget_entry(struct engine *engine, const struct log_entry *entry,
			 uint32_t location)
{
	uint32_t count = log_entry_data_blocks(entry);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t block = entry->first_block + i;

		if (index_get(&engine->index, block).location == location + i)
			apply_forget(engine, block);
	}
}

static void forget_walked(struct engine *engine, uint32_t segment_number)
{
	const struct segment *segment =
		&engine->segments.segments[segment_number];
	struct segment_walk walk = {
		.uuid = engine->identity.uuid,
		.last_sequence = segment->last_sequence,
		.disk_blocks = engine->disk_blocks,
		.block_count = engine->destage.blocks_read,
	};
	uint32_t begin = segments_block(&engine->segments, segment_number);

	segment_walk_start(&walk, engine->destage.buffer);
	while (segment_walk_next(&walk)) {
		struct log_entry_cursor cursor;

		log_entries_start(&cursor, walk.header);
		while (log_entries_next(&cursor))
			forget_entry(engine, cursor.entry,
				     begin + walk.block + 1 +
					     cursor.data_block);
	}
}

/* The segment's own headers can't be read: ask the whole index instead. */
static void forget_swept(struct engine *engine, uint32_t segment)
{
	uint32_t begin = segments_block(&engine->segments, segment);
	uint32_t end = begin + engine->segments.segment_blocks;
	uint64_t block = 0;

	while (index_next(&engine->index, &block)) {
		uint32_t location = index_get(&engine->index, block).location;

		if (location >= begin && location < end)
			apply_forget(engine, block);
		block++;
	}
}

/* Where the log begins without its oldest segment. */
static uint64_t next_tail(const struct engine *engine)
{
	const struct segment_table *table = &engine->segments;

	return table->held > 1
		       ? table->segments[segments_after(table, table->tail)]
				 .first_sequence
		       : engine->append.next_sequence;
}

static void pass_tail(struct engine *engine)
{
	struct segment_table *table = &engine->segments;
	uint64_t tail = next_tail(engine);

	if (engine->destage.oldest == table->tail)
		engine->destage.oldest = segments_after(table, table->tail);
	segments_pass_tail(table);
	engine_set_tail(engine, tail);
	engine->progress = true;
}

void evict_segment_there(struct engine *engine)
{
	struct destage *destage = &engine->destage;

	assert(destage->segment == engine->segments.tail);
	if (!destage->failed && reappend_start(engine))
		destage->state = DESTAGE_REAPPEND;
	else
		evict_reappended(engine);
}

void evict_reappended(struct engine *engine)
{
	struct segment_table *table = &engine->segments;
	struct destage *destage = &engine->destage;
	struct segment *segment = &table->segments[destage->segment];

	destage->state = DESTAGE_IDLE;
	/*
	 * First: a successor must not find some of the copies forgotten and the
	 * segment a part of the log, or they could come back (rule 7).
	 */
	kept_tail(engine, segments_after(table, table->tail),
		  next_tail(engine));
	if (!destage->failed)
		forget_walked(engine, destage->segment);
	if (segment->live > 0)
		forget_swept(engine, destage->segment);
	pass_tail(engine);
}

/* Nothing in the oldest segment is needed below or still on its way to it. */
static bool tail_evictable(const struct engine *engine)
{
	const struct segment_table *table = &engine->segments;
	const struct segment *segment;

	if (table->held == 0)
		return false;
	segment = &table->segments[table->tail];
	return segment->state == SEGMENT_SEALED &&
	       (segment->dirty == 0 ||
		engine_bug(engine, ENGINE_BUG_EVICT_DIRTY)) &&
	       !hold_keeps(engine, table->tail) &&
	       segment->last_sequence < engine->append.first_in_flight;
}

/* Everything in the oldest segment is retired, and what is dirty is lost. */
static bool tail_holds_lost(const struct engine *engine)
{
	const struct segment_table *table = &engine->segments;
	const struct segment *segment;

	if (table->held == 0)
		return false;
	segment = &table->segments[table->tail];
	return segment->state == SEGMENT_SEALED && segment->lost > 0 &&
	       segment->dirty == segment->lost &&
	       segment->last_sequence < engine->append.first_in_flight;
}

static void queue_lost(struct engine *engine, uint64_t block,
		       const struct index_copy *copy)
{
	struct append_item *item;

	if (!io_buffers_free(engine, 1))
		return;
	item = append_item_get(engine, false);
	if (!item)
		return;
	item->buffer = io_buffer_get(engine, false);
	memset(item->buffer, 0, LOG_BLOCK_BYTES);
	item->type = LOG_REAPPEND;
	item->flags = LOG_ENTRY_DIRTY | LOG_ENTRY_LOST;
	item->mask = copy->mask == LOG_MASK_WHOLE ? 0 : copy->mask;
	item->block = block;
	item->block_count = 1;
	item->fill_block = block;
	item->generation = hazard_generation(engine->hazards, block, 1);
	engine->carrying_lost = true;
	append_queue(engine, item);
}

/*
 * A dirty block that can't be read would hold the tail for ever. It moves up
 * the log as what it is: lost, until it is overwritten. One at a time. It must
 * get its place before a write of the block does. With no record in flight no
 * write has one yet: then those that wait for room, which only this can make,
 * don't keep it from going first.
 */
static void carry_lost(struct engine *engine)
{
	const struct append *append = &engine->append;
	bool none_placed = append->first_in_flight == append->next_sequence;
	uint64_t block = 0;

	while (index_next(&engine->index, &block)) {
		struct index_copy copy = index_get(&engine->index, block);

		if (copy.lost &&
		    segments_of(&engine->segments, copy.location) ==
			    engine->segments.tail &&
		    (none_placed ||
		     !hazard_writes(engine->hazards, block, 1))) {
			queue_lost(engine, block, &copy);
			return;
		}
		block++;
	}
}

void evict_lost_carried(struct engine *engine)
{
	engine->carrying_lost = false;
	engine->progress = true;
}

static void evict_tail(struct engine *engine)
{
	struct segment_table *table = &engine->segments;
	const struct segment *segment = &table->segments[table->tail];

	if (segment->live == 0) {
		pass_tail(engine);
		return;
	}
	engine->destage.state = DESTAGE_EVICT;
	segment_read(engine, table->tail, segment->used_blocks, false);
}

static void tail_in_superblock(struct engine *engine)
{
	struct flusher *flusher = &engine->flusher;

	if (engine->superblock.image->tail_sequence > flusher->durable_tail)
		flusher->durable_tail = engine->superblock.image->tail_sequence;
}

/* Sees that a tail which segments in limbo wait for becomes durable. */
static void carry_tail(struct engine *engine)
{
	struct append *append = &engine->append;
	bool idle = append->first_in_flight == append->next_sequence;

	if (engine->segments.limbo == 0 || !evict_wanted(engine) || !idle ||
	    engine->flusher.durable_tail >= engine->tail_sequence)
		return;
	if (append_has_room(engine)) {
		if (append->completed_tail < engine->tail_sequence &&
		    !append->carry_tail) {
			append->carry_tail = true;
			engine->progress = true;
		}
		return;
	}
	if (engine->flusher.durable_sequence < engine->tail_guard) {
		flush_want(engine, engine->tail_guard);
		return;
	}
	if (engine->superblock.state == SUPERBLOCK_IDLE)
		superblock_write(engine, engine->tail_sequence,
				 tail_in_superblock);
}

void evict_advance(struct engine *engine)
{
	struct segment_table *table = &engine->segments;

	uint64_t durable_tail = engine_bug(engine, ENGINE_BUG_TAIL_NOT_DURABLE)
					? engine->tail_sequence
					: engine->flusher.durable_tail;

	if (withdrawn(engine))
		return;
	if (segments_reclaim(table, durable_tail) > 0)
		engine->progress = true;
	if (!append_has_room(engine) && grant_expected(engine) == 0) {
		append_spill_cleans(engine);
		append_drop_reappends(engine);
	}
	while (engine->destage.state == DESTAGE_IDLE &&
	       free_soon(engine) + table->limbo < target_free(engine) &&
	       tail_evictable(engine))
		evict_tail(engine);
	if (evict_wanted(engine) && !engine->carrying_lost &&
	    tail_holds_lost(engine))
		carry_lost(engine);
	carry_tail(engine);
}
