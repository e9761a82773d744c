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

#include "pressure.h"
#include "segment_walk.h"
#include "sort.h"

#define RETRY_NS 500000000ull

/*
 * Finds the oldest segment with dirty blocks that can be read. `oldest` is
 * where to begin: every segment before it has retired all its records and is
 * clean, and stays so. It holds records, or is SEGMENT_NONE: the tail.
 */
static const struct segment *oldest_dirty(struct engine *engine,
					  uint32_t *ret_number)
{
	struct segment_table *table = &engine->segments;
	struct destage *destage = &engine->destage;
	uint32_t at =
		destage->oldest == SEGMENT_NONE ? table->tail : destage->oldest;
	bool retired = true;

	for (; at != SEGMENT_NONE; at = segments_after(table, at)) {
		const struct segment *segment = &table->segments[at];

		if (retired)
			destage->oldest = at;
		*ret_number = at;
		if (segment->dirty > segment->lost || hold_keeps(engine, at))
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
	if (engine->config.mode != ENGINE_WRITE_BACK &&
	    (engine->lost_blocks > 0 ||
	     engine->writes.in_flight > engine->writes.not_back))
		return true;
	return oldest && before_switch(engine, oldest);
}

uint64_t destage_mode_left_blocks(const struct engine *engine)
{
	const struct segment_table *table = &engine->segments;
	uint64_t blocks = 0;

	for (uint32_t at = table->tail; at != SEGMENT_NONE;
	     at = segments_after(table, at)) {
		const struct segment *segment = &table->segments[at];

		if (before_switch(engine, segment))
			blocks += segment->dirty;
	}
	return blocks;
}

enum engine_mode_reason destage_mode_reason(struct engine *engine)
{
	if (withdrawn(engine))
		return below_alone(engine) ? ENGINE_MODE_SSD_FAILED
					   : ENGINE_MODE_SSD_FAILING;
	if (!destage_mode_draining(engine))
		return ENGINE_MODE_AS_REQUESTED;
	if (engine->lost_blocks > 0)
		return ENGINE_MODE_DATA_LOST;
	return engine->destage.refused ? ENGINE_MODE_BACKEND_REFUSING
				       : ENGINE_MODE_DRAINING;
}

/* The oldest that may go below now: a hold may bar it. */
static const struct segment *next_dirty(struct engine *engine,
					uint32_t *ret_number)
{
	const struct segment *oldest = oldest_dirty(engine, ret_number);

	return oldest && !hold_bars(engine, oldest->first_sequence) ? oldest
								    : NULL;
}

uint32_t destage_backlog(struct engine *engine, uint64_t *ret_since_ns)
{
	const struct segment_table *table = &engine->segments;
	uint32_t number;
	const struct segment *oldest = oldest_dirty(engine, &number);

	if (!oldest)
		return 0;
	*ret_since_ns = oldest->opened_ns;
	return (uint32_t)(table->segments[table->newest].order - oldest->order +
			  1);
}

static bool due(struct engine *engine, const struct segment *oldest)
{
	return engine->destage.draining || evict_is_barred(engine) ||
	       withdrawn(engine) || hold_drains(engine) ||
	       before_switch(engine, oldest) || pressure_due(engine, oldest);
}

uint64_t destage_next_ns(struct engine *engine)
{
	const struct segment *oldest;
	uint32_t number;
	uint64_t next;

	if (engine->destage.state != DESTAGE_IDLE)
		return pressure_capped_until_ns(engine);
	if (engine->destage.quiesced || !(oldest = next_dirty(engine, &number)))
		return UINT64_MAX;
	next = due(engine, oldest) ? engine->now_ns
				   : pressure_due_ns(engine, oldest);
	return next < engine->destage.retry_at_ns ? engine->destage.retry_at_ns
						  : next;
}

static void begin(struct engine *engine)
{
	struct destage *destage = &engine->destage;
	const struct segment *segment;
	uint32_t blocks;
	uint32_t number;

	if (destage->quiesced || engine->now_ns < destage->retry_at_ns)
		return;
	segment = next_dirty(engine, &number);
	if (!segment || !due(engine, segment))
		return;
	destage->upto = engine->append.completed_sequence;
	if (destage->upto > segment->last_sequence)
		destage->upto = segment->last_sequence;
	blocks = segment->retired_blocks;
	if (destage->upto > hold_upto(engine)) {
		destage->upto = hold_upto(engine);
		blocks = segments_blocks_up_to(&engine->segments, number,
					       destage->upto);
	}
	flush_want(engine, destage->upto);
	destage->state = DESTAGE_READ;
	pace_pass_began(&engine->pace, engine->now_ns);
	segment_read(engine, number, blocks, true);
}

static uint64_t unit_end(uint64_t block)
{
	return (block / HAZARD_UNIT_BLOCKS + 1) * HAZARD_UNIT_BLOCKS;
}

static void release_blocks(struct engine *engine)
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

static void give_up(struct engine *engine)
{
	struct destage *destage = &engine->destage;

	release_blocks(engine);
	hold_pass_ended(engine, false);
	destage->block_count = 0;
	destage->retry_at_ns = engine->now_ns + RETRY_NS;
	destage->state = DESTAGE_IDLE;
	destage->refused = true;
	pace_pass_ended(&engine->pace, engine->now_ns, true);
	engine->stats.destage_failures++;
	engine->progress = true;
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

	if ((!longer && selection_full(engine)) ||
	    !hazard_destage_take(engine->hazards, block))
		return false;
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

bool destage_select_zeros(struct engine *engine, uint64_t block, uint64_t count)
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
	if (selection_full(engine) || through_owns(engine, block) ||
	    !hazard_destage_take(engine->hazards, block))
		return;
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

bool destage_has(const struct engine *engine, uint64_t first, uint64_t count)
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

static uint32_t selected_data_blocks(const struct destage *destage)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < destage->block_count; i++)
		count += !destage->blocks[i].zero;
	return count;
}

static void read_advance_destage(struct engine *engine)
{
	struct destage *destage = &engine->destage;
	uint32_t end;

	/* Without a log there is no older copy that could come back. */
	if (!destage->read_done ||
	    (engine->flusher.durable_sequence < destage->upto &&
	     !withdrawn(engine)))
		return;
	destage->block_count = 0;
	destage->failed = false;
	end = select_walked(engine);
	if (end < destage->blocks_read) {
		hold_read_up_to(engine, destage->segment, end);
		select_swept(engine, end);
	}
	hold_select_zeros(engine, destage->segment);
	sort_in_place(destage->blocks, destage->block_count,
		      sizeof(struct destage_block), by_block);
	if (destage->block_count == 0) {
		/* Somebody else is at them, or they can't be read. */
		destage->retry_at_ns = engine->now_ns + RETRY_NS / 100;
		destage->state = DESTAGE_IDLE;
		pace_pass_ended(&engine->pace, engine->now_ns,
				destage->refused);
		engine->progress = true;
		return;
	}
	destage->next_block = 0;
	destage->state = DESTAGE_WRITE;
	pace_pass_selected(&engine->pace, selected_data_blocks(destage));
	engine->progress = true;
}

static void below_written(struct engine *engine, struct engine_io *io,
			  int status)
{
	struct destage_io *own = io->owner;

	own->busy = false;
	engine->destage.ios_busy--;
	engine->destage.answered = true;
	if (status < 0) {
		engine->destage.failed = true;
		engine->destage.error = status;
	}
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

/* Runs of zeros that lie side by side on the disk. */
static void gather_zeros(struct engine *engine, struct destage_io *own)
{
	struct destage *destage = &engine->destage;
	const struct destage_block *run = &destage->blocks[destage->next_block];
	uint64_t end = run->block;
	bool may_unmap = run->may_unmap;

	own->io.type = ENGINE_BELOW_ZERO;
	own->io.iov = NULL;
	own->io.may_unmap = may_unmap;
	own->io.offset = run->block * LOG_BLOCK_BYTES;
	do {
		end += run->count;
		own->io.length += (uint64_t)run->count * LOG_BLOCK_BYTES;
		destage->next_block++;
		run++;
	} while (destage->next_block < destage->block_count && run->zero &&
		 run->may_unmap == may_unmap && run->block == end &&
		 own->io.length < LOG_ZERO_BLOCKS_MAX * LOG_BLOCK_BYTES);
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
	if (destage->blocks[destage->next_block].zero)
		gather_zeros(engine, own);
	else if (destage->blocks[destage->next_block].mask == LOG_MASK_WHOLE)
		gather_whole(engine, own);
	else
		gather_part(engine, own);
	own->busy = true;
	if (destage->ios_busy++ == 0)
		destage->answered_ns = engine->now_ns;
	if (own->io.type == ENGINE_BELOW_ZERO) {
		engine->stats.zeroed_below_bytes += own->io.length;
	} else {
		engine->stats.destaged_bytes += own->io.length;
		width_charge(&engine->width, own->io.length);
	}
	io_out(engine, &own->io);
}

static void write_advance_destage(struct engine *engine)
{
	struct destage *destage = &engine->destage;

	for (uint32_t i = 0; i < DESTAGE_IOS_MAX && !destage->failed; i++) {
		if (destage->next_block < destage->block_count &&
		    !destage->ios[i].busy &&
		    width_admits(&engine->width, destage->ios_busy))
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
	release_blocks(engine);
	hold_pass_ended(engine, true);
	destage->refused = false;
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
		item->block_count += destage->blocks[destage->next_block].count;
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
	pace_pass_ended(&engine->pace, engine->now_ns, false);
	engine->progress = true;
}

void destage_advance(struct engine *engine)
{
	if (engine->destage.answered)
		engine->destage.answered_ns = engine->now_ns;
	engine->destage.answered = false;
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
	case DESTAGE_REAPPEND:
		if (engine->destage.reappends == 0)
			evict_reappended(engine);
		return;
	}
}
