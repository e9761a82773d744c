// SPDX-License-Identifier: Apache-2.0
/*
 * through.c - writes that go below before they are acknowledged.
 *
 * Write-through and write-around come here when what they need in the log is
 * there. They are started in order. Log before backend (rule 9): nothing goes
 * below before an SSD flush has covered the record that supersedes the older
 * copies. `below` in the hazards keeps two writers of one place apart, so no
 * older version lands after a newer one (I6).
 *
 * What goes below is what the guest's memory has then, and the guest may have
 * changed it since it was logged. As long as the log's version is dirty that is
 * mended by destaging it. So destage keeps away from such a write once it is in
 * the log as a whole; and what became clean before that is dropped from the log
 * first: then what is below is all there is.
 *
 * What a write-through has written below is dirty until below has been flushed;
 * its runs are remembered and get a CLEAN then. A run that is forgotten for
 * lack of room is only destaged once more.
 */
#include "core.h"

#include <assert.h>
#include <errno.h>

#include "selection.h"

#define RUNS_HIGH (THROUGH_RUNS_MAX * 3 / 4)

void through_queue(struct engine *engine, struct engine_request *request)
{
	list_append(&engine->writes.through, &request->link);
	flush_want(engine, request->target_sequence);
	engine->progress = true;
}

/* The sequence of @block's copy if it is what the request wrote, else 0. */
static uint64_t written_sequence(const struct engine *engine,
				 const struct engine_request *request,
				 uint64_t block)
{
	struct index_copy copy = index_get(&engine->index, block);
	struct iov_cursor cursor;
	uint64_t sequence;

	if (!copy.dirty || copy.lost || copy.mask != LOG_MASK_WHOLE ||
	    copy.zero != request_zeroes(request) ||
	    log_sector_mask(block, request->part_sector, request->part_count) !=
		    LOG_MASK_WHOLE)
		return 0;
	sequence = segments_sequence(&engine->segments, copy.location);
	if (copy.zero)
		return sequence;
	cursor = io_seek(request,
			 (block * LOG_SECTORS_PER_BLOCK - request->sector) *
				 LOG_SECTOR_BYTES);
	if (io_check(log_check_seed(engine->identity.uuid, sequence), block,
		     request->iov, &cursor) != copy.check)
		return 0;
	return sequence;
}

static void remember_run(struct engine *engine,
			 const struct engine_request *request, uint64_t block,
			 uint64_t sequence)
{
	struct flusher *flusher = &engine->flusher;
	struct through_run *last =
		flusher->run_count ? &flusher->runs[flusher->run_count - 1]
				   : NULL;

	if (last && last->block + last->count == block &&
	    last->upto == sequence &&
	    last->below_write == request->below_target) {
		last->count++;
		return;
	}
	if (flusher->run_count == THROUGH_RUNS_MAX)
		return;
	flusher->runs[flusher->run_count++] = (struct through_run){
		.block = block,
		.count = 1,
		.upto = sequence,
		.below_write = request->below_target,
	};
}

static void below_written(struct engine *engine, struct engine_io *io,
			  int status)
{
	struct io_slot *slot = io->owner;
	struct engine_request *request = slot->request;
	uint64_t first = request_block(request);
	uint64_t count = request_blocks(request);

	io_slot_put(engine, slot);
	hazard_below_release(engine->hazards, first, count);
	destage_guest_done(engine);
	/* One that failed may have changed something as well. */
	request->below_target = ++engine->flusher.below_writes;
	hazard_below_written(engine->hazards, first, count,
			     request->below_target);
	if (below_alone(engine))
		withdrawal_written(engine, request, status);
	if (status < 0) {
		write_finish(engine, request, status);
		return;
	}
	if (request_zeroes(request))
		zeroing_part_below(engine, request);
	if (request->path == PATH_THROUGH) {
		for (uint64_t block = first; block < first + count; block++) {
			uint64_t sequence =
				written_sequence(engine, request, block);

			if (sequence != 0)
				remember_run(engine, request, block, sequence);
		}
		if (engine->flusher.run_count >= RUNS_HIGH)
			engine->flusher.below_wanted = request->below_target;
	}
	if (write_to_be_durable(engine, request))
		flush_wait(engine, request);
	else
		write_finish(engine, request, 0);
}

bool through_owns(const struct engine *engine, uint64_t block)
{
	if (engine->writes.not_back == 0)
		return false;
	list_for_each (node, &engine->writes.admitted) {
		const struct engine_request *request =
			list_entry(node, struct engine_request, active);

		if (request->path == PATH_THROUGH && request->parts == 0 &&
		    !request_zeroes(request) &&
		    block - request_block(request) < request_blocks(request))
			return true;
	}
	return false;
}

static bool cleaned(const struct engine *engine, uint64_t block)
{
	struct index_copy copy = index_get(&engine->index, block);

	return copy.location != 0 && !copy.dirty;
}

/* Returns: false if there is nothing to drop. */
static bool drop_cleaned(struct engine *engine, struct engine_request *request)
{
	uint64_t end = request_block(request) + request_blocks(request);
	uint64_t block = request_block(request);

	while (block < end) {
		struct append_item *item;

		if (!cleaned(engine, block)) {
			block++;
			continue;
		}
		item = append_item_get(engine, false);
		if (!item)
			break;
		item->request = request;
		item->type = LOG_DROP;
		item->block = block;
		while (block < end && cleaned(engine, block))
			block++;
		item->block_count = block - item->block;
		request->parts++;
		append_queue(engine, item);
	}
	/* It comes back when these are in the log, and looks again. */
	return request->parts > 0;
}

/* Is what the guest's memory has now safe to go below? */
static bool settled(struct engine *engine, struct engine_request *request)
{
	if (request->path != PATH_THROUGH || request_zeroes(request) ||
	    withdrawn(engine))
		return true;
	/* A pass that began before all was in the log marks it clean. */
	if (selection_has(engine, request_block(request),
			  request_blocks(request)))
		return false;
	if (!drop_cleaned(engine, request))
		return true;
	list_remove(&request->link);
	list_init(&request->link);
	engine->progress = true;
	return false;
}

static bool start(struct engine *engine, struct engine_request *request)
{
	struct io_slot *slot;

	if (request->target_sequence > engine->flusher.durable_sequence) {
		flush_want(engine, request->target_sequence);
		return false;
	}
	if (list_is_empty(&engine->io.free_slots) || !settled(engine, request))
		return false;
	if (!hazard_below_take(engine->hazards, request_block(request),
			       request_blocks(request)))
		return false;
	slot = io_slot_get(engine);
	slot->request = request;
	slot->io = (struct engine_io){
		.type = ENGINE_BELOW_WRITE,
		.iov = request->iov,
		.iov_count = request->iov_count,
		.offset = request->part_sector * LOG_SECTOR_BYTES,
		.length = request->part_count * LOG_SECTOR_BYTES,
		.done = below_written,
		.owner = slot,
	};
	if (request_zeroes(request)) {
		zeroing_below(request, &slot->io);
		engine->stats.zeroed_below_bytes += slot->io.length;
	}
	list_remove(&request->link);
	list_init(&request->link);
	io_out(engine, &slot->io);
	engine->progress = true;
	return true;
}

void through_advance(struct engine *engine)
{
	struct list *through = &engine->writes.through;

	if (withdrawn(engine) && !below_alone(engine) &&
	    !engine_bug(engine, ENGINE_BUG_AROUND_TOO_EARLY))
		return;
	while (!list_is_empty(through) &&
	       start(engine,
		     list_entry(through->next, struct engine_request, link)))
		;
}

void through_flushed(struct engine *engine)
{
	struct flusher *flusher = &engine->flusher;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < flusher->run_count; i++) {
		struct through_run *run = &flusher->runs[i];
		struct append_item *item = NULL;

		if (run->below_write > flusher->below_flushed) {
			flusher->runs[kept++] = *run;
			continue;
		}
		item = append_item_get(engine, false);
		if (!item)
			continue;
		item->type = LOG_CLEAN;
		item->block = run->block;
		item->block_count = run->count;
		item->upto = run->upto;
		append_queue(engine, item);
	}
	flusher->run_count = kept;
}

void through_abort(struct engine *engine)
{
	struct list *through = &engine->writes.through;

	while (!list_is_empty(through)) {
		struct engine_request *request =
			list_entry(through->next, struct engine_request, link);

		list_remove(&request->link);
		write_again(engine, request);
	}
}

void through_fail_all(struct engine *engine)
{
	struct list *through = &engine->writes.through;

	while (!list_is_empty(through)) {
		struct engine_request *request =
			list_entry(through->next, struct engine_request, link);

		list_remove(&request->link);
		write_finish(engine, request, -EIO);
	}
}
