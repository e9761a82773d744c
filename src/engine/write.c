// SPDX-License-Identifier: Apache-2.0
/*
 * write.c - a guest's write, from its arrival to its place in the log.
 *
 *   waiting -> admitted -> (rest of part blocks read) -> items in the log
 *           -> write-back: done            (FUA: after an SSD flush)
 *           -> through, around: through.c writes it below as well
 *
 * Writes are admitted in order of arrival. A write of part of a block waits
 * until no other write of that block is under way, and those behind it wait
 * until it has its place: so the union of old and new sectors is that of the
 * newest old.
 */
#include "core.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "pressure.h"

void write_submit(struct engine *engine, struct engine_request *request)
{
	list_append(&engine->writes.waiting, &request->link);
	engine->progress = true;
}

/* What it may need of the log: zeros have no data but at their ends. */
static uint64_t data_blocks(const struct engine_request *request)
{
	return request_zeroes(request) ? 2 : request_blocks(request);
}

static void leave(struct engine *engine, struct engine_request *request)
{
	hazard_write_end(engine->hazards, request_block(request),
			 request_blocks(request));
	list_remove(&request->active);
	engine->writes.in_flight--;
	pressure_arrived(engine, data_blocks(request));
	if (request->path != PATH_BACK) {
		engine->writes.not_back--;
		destage_guest_done(engine);
	}
}

void write_again(struct engine *engine, struct engine_request *request)
{
	leave(engine, request);
	request->retry = false;
	request->target_sequence = 0;
	list_prepend(&engine->writes.waiting, &request->link);
	engine->progress = true;
}

void write_finish(struct engine *engine, struct engine_request *request,
		  int status)
{
	leave(engine, request);
	if (request->path == PATH_BACK &&
	    request->target_sequence > engine->mode_barrier &&
	    engine->config.mode != ENGINE_WRITE_BACK)
		/* It was admitted before the switch, and logged after it. */
		engine->mode_barrier = request->target_sequence;
	if (status == 0) {
		uint64_t *bytes = request_zeroes(request)
					  ? &engine->stats.zeroed_bytes
					  : &engine->stats.write_bytes;

		*bytes += request->part_count * LOG_SECTOR_BYTES;
		if (request->target_sequence >
		    engine->append.acked_write_sequence)
			engine->append.acked_write_sequence =
				request->target_sequence;
		if (!request_last_part(request)) {
			zeroing_go_on(engine, request);
			return;
		}
		if (request_zeroes(request))
			status = zeroing_status(engine, request);
	}
	io_request_done(engine, request, status);
}

bool write_to_be_durable(const struct engine *engine,
			 const struct engine_request *request)
{
	bool fua = request->fua && !engine_bug(engine, ENGINE_BUG_FUA_DROPPED);

	return (fua || engine->config.durable_writes) &&
	       request_last_part(request);
}

void write_in_log(struct engine *engine, struct engine_request *request)
{
	if (request->status < 0 || engine->state != ENGINE_RUNNING) {
		write_finish(engine, request,
			     request->status < 0 ? request->status : -EIO);
		return;
	}
	if (request->retry) {
		write_again(engine, request);
		return;
	}
	switch ((enum write_path)request->path) {
	case PATH_BACK:
		if (write_to_be_durable(engine, request))
			flush_wait(engine, request);
		else
			write_finish(engine, request, 0);
		return;
	case PATH_THROUGH:
	case PATH_AROUND:
		through_queue(engine, request);
		return;
	}
}

/* A block of which the request has only these sectors; 0xff: a whole one. */
static uint8_t mask_at(const struct engine_request *request, uint64_t block)
{
	return log_sector_mask(block, request->part_sector,
			       request->part_count);
}

/* Blocks of which the request has a part: at most its first and its last. */
static uint32_t part_blocks(const struct engine_request *request,
			    uint64_t ret_blocks[2])
{
	uint64_t first = request_block(request);
	uint64_t last = first + request_blocks(request) - 1;
	uint32_t count = 0;

	if ((request->part_sector | request->part_count) %
		    LOG_SECTORS_PER_BLOCK ==
	    0)
		return 0;
	if (mask_at(request, first) != LOG_MASK_WHOLE)
		ret_blocks[count++] = first;
	if (last != first && mask_at(request, last) != LOG_MASK_WHOLE)
		ret_blocks[count++] = last;
	return count;
}

/* Offset in the request's data of what it has of @block. */
static uint64_t data_offset(const struct engine_request *request,
			    uint64_t block)
{
	uint64_t sector = block * LOG_SECTORS_PER_BLOCK;

	return sector <= request->sector
		       ? 0
		       : (sector - request->sector) * LOG_SECTOR_BYTES;
}

static void overlay(struct engine *engine, struct append_item *item)
{
	const struct engine_request *request = item->request;
	uint8_t mask = mask_at(request, item->block);
	uint32_t first = (uint32_t)__builtin_ctz(mask);
	uint32_t count = (uint32_t)__builtin_popcount(mask);

	if (request_zeroes(request)) {
		memset(item->buffer + (size_t)first * LOG_SECTOR_BYTES, 0,
		       (size_t)count * LOG_SECTOR_BYTES);
		return;
	}
	io_copy_in(engine, request, data_offset(request, item->block),
		   item->buffer + (size_t)first * LOG_SECTOR_BYTES,
		   (size_t)count * LOG_SECTOR_BYTES);
}

static void rest_failed(struct engine *engine, struct append_item *item,
			int status)
{
	item->request->status = status;
	item->block_count = 0;
	retire_item(engine, item);
}

/* The old copy of a part block is in the item's buffer. */
static void rest_read(struct engine *engine, struct engine_io *io, int status)
{
	struct io_slot *slot = io->owner;
	struct append_item *item = slot->item;
	struct index_copy copy = slot->copy;
	uint32_t seed = log_check_seed(
		engine->identity.uuid,
		segments_sequence(&engine->segments, copy.location));
	bool good = status == 0 &&
		    log_check(seed, item->block, item->buffer) == copy.check;

	engine->segments.segments[slot->segment].readers--;
	slot->pinned = false;
	io_slot_put(engine, slot);
	hazard_unblock(engine->hazards, item->block);
	if (!good) {
		engine->stats.bad_blocks++;
		kept_doubt(engine);
		if (index_get(&engine->index, item->block).dirty) {
			/* A read that failed may succeed another time. */
			if (status == 0)
				apply_lost(engine, item->block);
			rest_failed(engine, item, -EIO);
			return;
		}
		/* A clean copy: the layers below have the other sectors. */
		memset(item->buffer, 0, LOG_BLOCK_BYTES);
		copy.mask = 0;
	}
	overlay(engine, item);
	item->mask = (uint8_t)(copy.mask | mask_at(item->request, item->block));
	if (item->mask == LOG_MASK_WHOLE)
		item->mask = 0;
	append_queue(engine, item);
}

static void read_rest(struct engine *engine, struct append_item *item,
		      const struct index_copy *copy)
{
	struct io_slot *slot = io_slot_get(engine);

	assert(slot);
	hazard_block(engine->hazards, item->block);
	slot->item = item;
	slot->copy = *copy;
	slot->segment = segments_of(&engine->segments, copy->location);
	slot->pinned = true;
	engine->segments.segments[slot->segment].readers++;
	slot->iov[0] = (struct iovec){item->buffer, LOG_BLOCK_BYTES};
	slot->io = (struct engine_io){
		.type = ENGINE_SSD_READ,
		.iov = slot->iov,
		.iov_count = 1,
		.offset = (uint64_t)copy->location * LOG_BLOCK_BYTES,
		.length = LOG_BLOCK_BYTES,
		.done = rest_read,
		.owner = slot,
	};
	io_out(engine, &slot->io);
}

static struct append_item *item_for(struct engine *engine,
				    struct engine_request *request,
				    uint64_t block, uint64_t count)
{
	struct append_item *item = append_item_get(engine, false);

	assert(item);
	item->request = request;
	item->type = LOG_WRITE;
	item->block = block;
	item->block_count = count;
	request->parts++;
	return item;
}

static void add_part_block(struct engine *engine,
			   struct engine_request *request, uint64_t block)
{
	struct append_item *item = item_for(engine, request, block, 1);
	struct index_copy copy = index_get(&engine->index, block);

	/* With zeros around them the sectors make a whole block. */
	item->mask = copy.zero ? 0 : mask_at(request, block);
	item->buffer = io_buffer_get(engine, false);
	memset(item->buffer, 0, LOG_BLOCK_BYTES);
	if (copy.location == 0 || copy.zero ||
	    (copy.mask & ~mask_at(request, block)) == 0) {
		overlay(engine, item);
		append_queue(engine, item);
	} else if (copy.lost) {
		rest_failed(engine, item, -EIO);
	} else {
		read_rest(engine, item, &copy);
	}
}

static void place_in_log(struct engine *engine, struct engine_request *request)
{
	uint64_t first = request_block(request);
	uint64_t end = first + request_blocks(request);
	uint64_t parts[2];
	uint32_t part_count = part_blocks(request, parts);

	/* One part more, so that it can't end before all have begun. */
	request->parts = 1;
	for (uint32_t i = 0; i < part_count; i++) {
		if (parts[i] == first)
			first++;
		else
			end--;
		add_part_block(engine, request, parts[i]);
	}
	if (first < end) {
		struct append_item *item =
			item_for(engine, request, first, end - first);

		if (request_zeroes(request))
			zeroing_item(request, item);
		else
			item->cursor =
				io_seek(request, data_offset(request, first));
		append_queue(engine, item);
	}
	if (--request->parts == 0)
		write_in_log(engine, request);
}

/* Forgets what is cached of the range, then writes it below. */
static void place_around(struct engine *engine, struct engine_request *request,
			 bool drop)
{
	struct append_item *item;

	if (drop && engine_bug(engine, ENGINE_BUG_DROP_LEFT_OUT)) {
		for (uint32_t i = 0; i < request_blocks(request); i++)
			apply_forget(engine, request_block(request) + i);
		drop = false;
	}
	if (!drop) {
		through_queue(engine, request);
		return;
	}
	item = item_for(engine, request, request_block(request),
			request_blocks(request));
	item->type = LOG_DROP;
	append_queue(engine, item);
}

struct range_state {
	bool cached;
	bool dirty;
};

static struct range_state range_state(const struct engine *engine,
				      const struct engine_request *request)
{
	struct range_state state = {0};
	uint64_t first = request_block(request);

	for (uint64_t block = first; block < first + request_blocks(request);
	     block++) {
		struct index_copy copy = index_get(&engine->index, block);

		state.cached |= copy.location != 0;
		state.dirty |= copy.dirty;
	}
	return state;
}

/* Resources and hazards of a write's part blocks. */
static bool part_blocks_may_start(const struct engine *engine,
				  const struct engine_request *request)
{
	uint64_t parts[2];
	uint32_t count = part_blocks(request, parts);

	if (count == 0)
		return true;
	if (!io_buffers_free(engine, count) ||
	    list_is_empty(&engine->io.free_slots) ||
	    engine->io.free_slots.next->next == &engine->io.free_slots)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (hazard_writes(engine->hazards, parts[i], 1))
			return false;
	}
	return true;
}

/*
 * Does it overlap a write under way, with either of them going below by itself?
 * In the log blocks of both can take turns, when one is amended: the two orders
 * would not be the same. A guest that cares has waited for the first.
 */
static bool crosses(const struct engine *engine,
		    const struct engine_request *request)
{
	uint64_t first = request_block(request);
	uint64_t end = first + request_blocks(request);

	if ((engine->writes.not_back == 0 &&
	     !zeroing_is_long(engine, request) &&
	     engine->config.mode == ENGINE_WRITE_BACK && !withdrawn(engine)) ||
	    engine_bug(engine, ENGINE_BUG_WRITES_CROSS))
		return false;
	list_for_each (node, &engine->writes.admitted) {
		const struct engine_request *other =
			list_entry(node, struct engine_request, active);
		uint64_t begin = request_block(other);

		if (begin < end && first < begin + request_blocks(other))
			return true;
	}
	return false;
}

static enum write_path choose_path(const struct engine *engine,
				   const struct engine_request *request,
				   const struct range_state *state)
{
	switch (engine->config.mode) {
	case ENGINE_WRITE_BACK:
		return zeroing_is_long(engine, request) && !hold_stands(engine)
			       ? PATH_THROUGH
			       : PATH_BACK;
	case ENGINE_WRITE_THROUGH:
		return PATH_THROUGH;
	case ENGINE_WRITE_AROUND:
		/* What is dirty has to stay in the log until it is below. */
		return state->dirty ? PATH_THROUGH : PATH_AROUND;
	}
	__builtin_unreachable();
}

/*
 * A copy in limbo would come back if we crashed now, and so would a fill whose
 * record is on its way, and zeros whose end isn't durable.
 */
static bool must_drop(const struct engine *engine,
		      const struct engine_request *request,
		      const struct range_state *state)
{
	if (state->cached || engine->segments.limbo > 0 ||
	    hazard_fills(engine->hazards, request_block(request),
			 request_blocks(request)))
		return true;
	if (engine_bug(engine, ENGINE_BUG_ZEROS_RESURRECTED))
		return false;
	return engine->zeros_cleaned > engine->flusher.durable_sequence ||
	       engine->zeros_spilled >= engine->tail_sequence;
}

/* Is there room in the log and the index for what it may need? */
static bool fits(struct engine *engine, const struct engine_request *request)
{
	struct writes *writes = &engine->writes;
	bool zeroes = request_zeroes(request);

	writes->held_back = !append_admits(engine, data_blocks(request)) ||
			    (zeroes && !index_zeros_fit(&engine->index));
	return !writes->held_back;
}

static void enter(struct engine *engine, struct engine_request *request,
		  enum write_path path)
{
	list_remove(&request->link);
	list_init(&request->link);
	hazard_write_begin(engine->hazards, request_block(request),
			   request_blocks(request));
	list_append(&engine->writes.admitted, &request->active);
	pressure_charge(engine, data_blocks(request));
	engine->writes.in_flight++;
	if (path != PATH_BACK)
		engine->writes.not_back++;
	request->path = (uint8_t)path;
	engine->progress = true;
}

/* There is no log, or won't be when what it holds is below. */
static bool admit_below(struct engine *engine, struct engine_request *request)
{
	if ((!below_alone(engine) &&
	     !engine_bug(engine, ENGINE_BUG_AROUND_TOO_EARLY)) ||
	    hazard_blocked(engine->hazards, request_block(request),
			   request_blocks(request)) ||
	    crosses(engine, request))
		return false;
	enter(engine, request, PATH_AROUND);
	if (withdrawal_loses(engine, request))
		write_finish(engine, request, -EIO);
	else
		through_queue(engine, request);
	return true;
}

static void note_written(struct engine *engine,
			 const struct engine_request *request,
			 enum write_path path)
{
	if (!engine->curve)
		return;
	if (path == PATH_AROUND || request_zeroes(request))
		curve_forget(engine->curve, request_block(request),
			     request_blocks(request));
	else
		curve_write(engine->curve, request_block(request),
			    request_blocks(request));
}

static bool admit(struct engine *engine, struct engine_request *request)
{
	uint64_t first = request_block(request);
	uint64_t count = request_blocks(request);
	struct range_state state = {0};
	enum write_path path;

	if (withdrawn(engine))
		return admit_below(engine, request);
	if (!fits(engine, request) ||
	    hazard_blocked(engine->hazards, first, count) ||
	    !part_blocks_may_start(engine, request) || crosses(engine, request))
		return false;
	if (engine->config.mode != ENGINE_WRITE_BACK &&
	    !superblock_note_below(engine))
		return false;
	if (engine->config.mode == ENGINE_WRITE_AROUND)
		state = range_state(engine, request);
	path = choose_path(engine, request, &state);
	enter(engine, request, path);
	note_written(engine, request, path);
	if (path == PATH_AROUND)
		place_around(engine, request,
			     must_drop(engine, request, &state));
	else
		place_in_log(engine, request);
	return true;
}

void write_advance(struct engine *engine)
{
	struct list *waiting = &engine->writes.waiting;

	engine->writes.held_back = false;
	engine->writes.at_limit = false;
	while (!list_is_empty(waiting) &&
	       admit(engine,
		     list_entry(waiting->next, struct engine_request, link)))
		;
}

bool write_waits_for_space(const struct engine *engine)
{
	return engine->writes.at_limit;
}

void write_fail_all(struct engine *engine)
{
	struct list *waiting = &engine->writes.waiting;

	while (!list_is_empty(waiting)) {
		struct engine_request *request =
			list_entry(waiting->next, struct engine_request, link);

		list_remove(&request->link);
		io_request_done(engine, request, -EIO);
	}
}
