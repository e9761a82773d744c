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
 * What is selected is selection.c's to say. A failure below leaves everything
 * dirty; it is tried again after a while.
 */
#include "core.h"

#include "pressure.h"
#include "selection.h"

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

/*
 * After a failure below nothing is tried for a while. A segment that guests'
 * own writes have to themselves waits for the end of one (another that is the
 * oldest by now does not).
 */
static uint64_t not_before_ns(const struct engine *engine, uint32_t segment)
{
	const struct destage *destage = &engine->destage;

	return segment == destage->segment &&
			       destage->guests_until_ns > destage->retry_at_ns
		       ? destage->guests_until_ns
		       : destage->retry_at_ns;
}

void destage_guest_done(struct engine *engine)
{
	if (engine->destage.guests_until_ns == 0)
		return;
	engine->destage.guests_until_ns = 0;
	engine->progress = true;
}

uint64_t destage_next_ns(struct engine *engine)
{
	const struct segment *oldest;
	uint32_t number;
	uint64_t not_before;
	uint64_t next;

	if (engine->destage.state != DESTAGE_IDLE)
		return pressure_capped_until_ns(engine);
	if (engine->destage.quiesced || !(oldest = next_dirty(engine, &number)))
		return UINT64_MAX;
	next = due(engine, oldest) ? engine->now_ns
				   : pressure_due_ns(engine, oldest);
	not_before = not_before_ns(engine, number);
	return next < not_before ? not_before : next;
}

static void begin(struct engine *engine)
{
	struct destage *destage = &engine->destage;
	const struct segment *segment;
	uint32_t blocks;
	uint32_t number;

	if (destage->quiesced)
		return;
	segment = next_dirty(engine, &number);
	if (!segment || engine->now_ns < not_before_ns(engine, number) ||
	    !due(engine, segment))
		return;
	destage->guests = false;
	destage->guests_until_ns = 0;
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

static void give_up(struct engine *engine)
{
	struct destage *destage = &engine->destage;

	selection_release(engine);
	hold_pass_ended(engine, false);
	destage->block_count = 0;
	destage->retry_at_ns = engine->now_ns + RETRY_NS;
	destage->state = DESTAGE_IDLE;
	destage->refused = true;
	pace_pass_ended(&engine->pace, engine->now_ns, true);
	engine->stats.destage_failures++;
	engine->progress = true;
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

	/* Without a log there is no older copy that could come back. */
	if (!destage->read_done ||
	    (engine->flusher.durable_sequence < destage->upto &&
	     !withdrawn(engine)))
		return;
	destage->failed = false;
	selection_make(engine);
	if (destage->block_count == 0) {
		/* Guests are at them, or they can't be read. */
		if (destage->guests)
			destage->guests_until_ns = engine->now_ns + RETRY_NS;
		else
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
	selection_release(engine);
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
