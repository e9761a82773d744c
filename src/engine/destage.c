// SPDX-License-Identifier: Apache-2.0
/*
 * destage.c - dirty blocks go below, oldest segment first.
 *
 *   IDLE -> READ   the segment comes into the buffer, in one read, and the
 *                  records that it holds become durable (rule 9)
 *        -> WRITE  its blocks that are still the newest and dirty, sorted by
 *                  address, in large writes
 *        -> FLUSH  of below: only now are they safe there (I2)
 *        -> CLEAN  records that say so, up to the sequence that was read (rule
 * 6)
 *
 * Blocks that a guest's own write is writing below are left for later. A
 * failure below leaves everything dirty; it is tried again after a while.
 */
#include "core.h"

#include <assert.h>
#include <string.h>

#include "segment_walk.h"
#include "sort.h"

#define RETRY_NS 500000000ull
/* Begin to destage when so much of the dirty limit is used. */
#define HIGH_PERCENT 75u

/*
 * Finds the oldest segment with dirty blocks that can be read. `oldest` is
 * where to begin: every segment before it has retired all its records and is
 * clean, and stays so.
 */
static const struct segment *oldest_dirty(struct engine *engine,
					  uint32_t *ret_number)
{
	struct segment_table *table = &engine->segments;
	struct destage *destage = &engine->destage;
	uint32_t held = segments_held(table);
	uint32_t behind =
		(destage->oldest + table->count - table->tail) % table->count;
	bool retired = true;

	if (behind >= held)
		behind = 0;
	for (uint32_t i = behind; i < held; i++) {
		uint32_t at = (table->tail + i) % table->count;
		const struct segment *segment = &table->segments[at];

		if (retired)
			destage->oldest = at;
		*ret_number = at;
		if (segment->dirty > segment->lost)
			return segment;
		retired &=
			segment->dirty == 0 &&
			segment->last_sequence < engine->append.first_in_flight;
	}
	return NULL;
}

uint64_t destage_oldest_sequence(struct engine *engine)
{
	uint32_t number;
	const struct segment *segment = oldest_dirty(engine, &number);

	/* Dirty blocks that can't be read never become clean. */
	if (engine->lost_blocks > 0)
		return 0;
	return segment ? segment->first_sequence : UINT64_MAX;
}

static bool before_switch(const struct engine *engine,
			  const struct segment *oldest)
{
	return engine->config.mode != ENGINE_WRITE_BACK &&
	       oldest->first_sequence <= engine->mode_barrier;
}

bool destage_mode_draining(struct engine *engine)
{
	uint32_t number;
	const struct segment *oldest = oldest_dirty(engine, &number);

	/* What can't be read is dirty for good, and of write-back. */
	if (engine->config.mode != ENGINE_WRITE_BACK && engine->lost_blocks > 0)
		return true;
	return oldest && before_switch(engine, oldest);
}

static bool due(struct engine *engine, const struct segment *oldest)
{
	return engine->destage.draining || evict_wanted(engine) ||
	       before_switch(engine, oldest) ||
	       engine->dirty_blocks * 100 >=
		       engine->data_blocks_max * HIGH_PERCENT ||
	       engine->now_ns - oldest->opened_ns >=
		       engine->config.max_dirty_age_ns;
}

uint64_t destage_next_ns(struct engine *engine)
{
	const struct segment *oldest;
	uint32_t number;
	uint64_t next;

	if (engine->destage.quiesced || engine->destage.state != DESTAGE_IDLE ||
	    !(oldest = oldest_dirty(engine, &number)))
		return UINT64_MAX;
	next = due(engine, oldest)
		       ? engine->now_ns
		       : oldest->opened_ns + engine->config.max_dirty_age_ns;
	return next < engine->destage.retry_at_ns ? engine->destage.retry_at_ns
						  : next;
}

static void begin(struct engine *engine)
{
	struct destage *destage = &engine->destage;
	const struct segment *segment;
	uint32_t number;

	if (destage->quiesced || engine->now_ns < destage->retry_at_ns)
		return;
	segment = oldest_dirty(engine, &number);
	if (!segment || !due(engine, segment))
		return;
	destage->upto = engine->append.completed_sequence;
	if (destage->upto > segment->last_sequence)
		destage->upto = segment->last_sequence;
	flush_want(engine, destage->upto);
	destage->state = DESTAGE_READ;
	segment_read(engine, number, segment->retired_blocks, true);
}

static void give_up(struct engine *engine)
{
	struct destage *destage = &engine->destage;

	for (uint32_t i = 0; i < destage->block_count; i++)
		hazard_destage_release(engine->hazards,
				       destage->blocks[i].block);
	destage->block_count = 0;
	destage->retry_at_ns = engine->now_ns + RETRY_NS;
	destage->state = DESTAGE_IDLE;
	engine->stats.destage_failures++;
	engine->progress = true;
}

static void select_block(struct engine *engine, uint64_t block,
			 uint32_t location)
{
	struct destage *destage = &engine->destage;
	struct index_copy copy = index_get(&engine->index, block);
	uint32_t offset =
		location - segments_block(&engine->segments, destage->segment);
	uint32_t seed;

	if (copy.location != location || !copy.dirty || copy.lost)
		return;
	seed = log_check_seed(engine->identity.uuid,
			      segments_sequence(&engine->segments, location));
	if (log_check(seed, block,
		      destage->buffer + (size_t)offset * LOG_BLOCK_BYTES) !=
	    copy.check) {
		engine->stats.bad_blocks++;
		kept_doubt(engine);
		apply_lost(engine, block);
		return;
	}
	if (!hazard_destage_take(engine->hazards, block))
		return;
	destage->blocks[destage->block_count++] = (struct destage_block){
		.block = block,
		.offset = offset,
		.mask = copy.mask,
	};
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
	while (segment_walk_next(&walk)) {
		struct log_entry_cursor cursor;
		uint32_t location =
			segments_block(&engine->segments, destage->segment) +
			walk.block + 1;

		end = walk.block + 1 + walk.header->data_blocks;
		log_entries_start(&cursor, walk.header);
		while (log_entries_next(&cursor)) {
			uint32_t count = log_entry_data_blocks(cursor.entry);

			for (uint32_t i = 0; i < count; i++)
				select_block(engine,
					     cursor.entry->first_block + i,
					     location + cursor.data_block + i);
		}
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
	while (index_next(&engine->index, &block)) {
		uint32_t location = index_get(&engine->index, block).location;

		if (location >= begin + from &&
		    location < begin + destage->blocks_read)
			select_block(engine, block, location);
		block++;
	}
}

static void read_advance_destage(struct engine *engine)
{
	struct destage *destage = &engine->destage;
	uint32_t end;

	if (!destage->read_done ||
	    engine->flusher.durable_sequence < destage->upto)
		return;
	destage->block_count = 0;
	destage->failed = false;
	end = select_walked(engine);
	if (end < destage->blocks_read)
		select_swept(engine, end);
	sort_in_place(destage->blocks, destage->block_count,
		      sizeof(struct destage_block), by_block);
	if (destage->block_count == 0) {
		/* Somebody else is at them, or they can't be read. */
		destage->retry_at_ns = engine->now_ns + RETRY_NS / 100;
		destage->state = DESTAGE_IDLE;
		engine->progress = true;
		return;
	}
	destage->next_block = 0;
	destage->state = DESTAGE_WRITE;
	engine->progress = true;
}

static void below_written(struct engine *engine, struct engine_io *io,
			  int status)
{
	struct destage_io *own = io->owner;

	own->busy = false;
	engine->destage.ios_busy--;
	engine->destage.failed |= status < 0;
	engine->progress = true;
}

static void add_iov(struct destage_io *own, uint8_t *base, size_t bytes)
{
	uint32_t count = own->io.iov_count;
	struct iovec *last = count > 0 ? &own->iov[count - 1] : NULL;

	if (last && (uint8_t *)last->iov_base + last->iov_len == base)
		last->iov_len += bytes;
	else
		own->iov[own->io.iov_count++] = (struct iovec){base, bytes};
	own->io.length += bytes;
}

/* The first run of sectors of a part block; the rest of its mask stays. */
static void gather_part(struct engine *engine, struct destage_io *own)
{
	struct destage *destage = &engine->destage;
	struct destage_block *block = &destage->blocks[destage->next_block];
	uint32_t first = (uint32_t)__builtin_ctz(block->mask);
	uint32_t count = (uint32_t)__builtin_ctz(~(block->mask >> first));

	own->io.offset = block->block * LOG_BLOCK_BYTES +
			 (uint64_t)first * LOG_SECTOR_BYTES;
	add_iov(own,
		destage->buffer + (size_t)block->offset * LOG_BLOCK_BYTES +
			(size_t)first * LOG_SECTOR_BYTES,
		(size_t)count * LOG_SECTOR_BYTES);
	block->mask = (uint8_t)(block->mask & ~(((1u << count) - 1) << first));
	if (block->mask == 0)
		destage->next_block++;
}

/* Whole blocks that lie side by side on the disk. */
static void gather_whole(struct engine *engine, struct destage_io *own)
{
	struct destage *destage = &engine->destage;
	uint64_t expected = destage->blocks[destage->next_block].block;

	own->io.offset = expected * LOG_BLOCK_BYTES;
	while (destage->next_block < destage->block_count &&
	       own->io.iov_count < DESTAGE_IOV_MAX) {
		const struct destage_block *block =
			&destage->blocks[destage->next_block];

		if (block->block != expected || block->mask != LOG_MASK_WHOLE)
			return;
		add_iov(own,
			destage->buffer +
				(size_t)block->offset * LOG_BLOCK_BYTES,
			LOG_BLOCK_BYTES);
		expected++;
		destage->next_block++;
	}
}

static void write_one(struct engine *engine, struct destage_io *own)
{
	struct destage *destage = &engine->destage;

	own->io = (struct engine_io){
		.type = ENGINE_BELOW_WRITE,
		.iov = own->iov,
		.done = below_written,
		.owner = own,
	};
	if (destage->blocks[destage->next_block].mask == LOG_MASK_WHOLE)
		gather_whole(engine, own);
	else
		gather_part(engine, own);
	own->busy = true;
	destage->ios_busy++;
	engine->stats.destaged_bytes += own->io.length;
	io_out(engine, &own->io);
}

static void write_advance_destage(struct engine *engine)
{
	struct destage *destage = &engine->destage;

	for (uint32_t i = 0; i < DESTAGE_IOS_MAX && !destage->failed; i++) {
		if (destage->next_block < destage->block_count &&
		    !destage->ios[i].busy)
			write_one(engine, &destage->ios[i]);
	}
	if (destage->ios_busy > 0)
		return;
	if (destage->failed) {
		give_up(engine);
	} else if (destage->next_block == destage->block_count) {
		destage->flush_ticket = flush_want_below(engine);
		destage->state = DESTAGE_FLUSH;
	}
}

static void flush_advance_destage(struct engine *engine)
{
	struct destage *destage = &engine->destage;

	if (engine->flusher.below_destage_done < destage->flush_ticket)
		return;
	if (destage->failed) {
		give_up(engine);
		return;
	}
	for (uint32_t i = 0; i < destage->block_count; i++)
		hazard_destage_release(engine->hazards,
				       destage->blocks[i].block);
	destage->next_block = 0;
	destage->clean_items = 0;
	destage->state = DESTAGE_CLEAN;
	engine->progress = true;
}

void destage_clean_done(struct engine *engine)
{
	engine->destage.clean_items--;
	engine->progress = true;
}

/* One CLEAN for blocks that lie side by side. */
static void queue_clean(struct engine *engine, struct append_item *item)
{
	struct destage *destage = &engine->destage;

	item->type = LOG_CLEAN;
	item->destage = true;
	item->upto = engine_bug(engine, ENGINE_BUG_CLEAN_WITHOUT_UPTO)
			     ? LOG_SEQUENCE_MAX
			     : destage->upto;
	item->block = destage->blocks[destage->next_block].block;
	while (destage->next_block < destage->block_count &&
	       destage->blocks[destage->next_block].block ==
		       item->block + item->block_count) {
		item->block_count++;
		destage->next_block++;
	}
	destage->clean_items++;
	append_queue(engine, item);
}

static void clean_advance_destage(struct engine *engine)
{
	struct destage *destage = &engine->destage;
	struct append_item *item;

	while (destage->next_block < destage->block_count &&
	       (item = append_item_get(engine, false)) != NULL)
		queue_clean(engine, item);
	if (destage->next_block < destage->block_count ||
	    destage->clean_items > 0)
		return;
	destage->block_count = 0;
	destage->state = DESTAGE_IDLE;
	engine->progress = true;
}

void destage_advance(struct engine *engine)
{
	switch (engine->destage.state) {
	case DESTAGE_IDLE:
		begin(engine);
		return;
	case DESTAGE_READ:
		read_advance_destage(engine);
		return;
	case DESTAGE_WRITE:
		write_advance_destage(engine);
		return;
	case DESTAGE_FLUSH:
		flush_advance_destage(engine);
		return;
	case DESTAGE_CLEAN:
		clean_advance_destage(engine);
		return;
	case DESTAGE_EVICT:
		if (engine->destage.read_done)
			evict_segment_there(engine);
		return;
	}
}
