// SPDX-License-Identifier: Apache-2.0
/*
 * flush.c - the SSD's flush, the flush of below, and who waits for them.
 *
 * One flush of each kind is in flight at a time; it covers what had completed
 * when it was started, and one flush serves all that wait for it. A FLUSH from
 * above flushes each store that holds an acknowledged write not yet flushed
 * there (rule 10): the SSD in write-back, below in write-through and
 * write-around. With nothing unflushed it completes at once.
 */
#include "core.h"

#include <assert.h>
#include <errno.h>

/* The log is flushed by itself, so that recovery has little to verify. */
#define FLUSH_AFTER_BYTES (16u << 20)
#define FLUSH_AFTER_NS 1000000000ull

void flush_submit(struct engine *engine, struct engine_request *request)
{
	int failed = engine->flusher.below_failed;

	request->target_sequence = engine->append.acked_write_sequence;
	request->below_target = engine->flusher.below_writes;
	if (failed < 0) {
		engine->flusher.below_failed = 0;
		io_request_done(engine, request, failed);
		return;
	}
	if (engine_bug(engine, ENGINE_BUG_FLUSH_LEFT_OUT)) {
		io_request_done(engine, request, 0);
		return;
	}
	flush_wait(engine, request);
}

static bool satisfied(const struct flusher *flusher,
		      const struct engine_request *request)
{
	return request->target_sequence <= flusher->durable_sequence &&
	       request->below_target <= flusher->below_flushed;
}

static void finish(struct engine *engine, struct engine_request *request,
		   int status)
{
	if (request->operation != ENGINE_FLUSH)
		write_finish(engine, request, status);
	else
		io_request_done(engine, request, status);
}

void flush_wait(struct engine *engine, struct engine_request *request)
{
	struct flusher *flusher = &engine->flusher;

	if (satisfied(flusher, request)) {
		finish(engine, request, 0);
		return;
	}
	list_append(&flusher->waiting, &request->link);
	flush_want(engine, request->target_sequence);
	if (request->below_target > flusher->below_wanted)
		flusher->below_wanted = request->below_target;
	engine->progress = true;
}

void flush_want(struct engine *engine, uint64_t sequence)
{
	if (sequence > engine->flusher.wanted_sequence)
		engine->flusher.wanted_sequence = sequence;
}

bool flush_below_durable(struct engine *engine, uint64_t first, uint64_t count)
{
	struct flusher *flusher = &engine->flusher;
	uint64_t last = hazard_last_below(engine->hazards, first, count);

	if (last < flusher->below_unknown)
		last = flusher->below_unknown;
	if (flusher->below_doubtful)
		return false;
	if (last <= flusher->below_flushed)
		return true;
	if (engine->now_ns >= flusher->below_flush_ns + FLUSH_AFTER_NS) {
		flusher->below_flush_ns = engine->now_ns;
		flusher->below_wanted = flusher->below_writes;
		engine->progress = true;
	}
	return false;
}

uint64_t flush_want_below(struct engine *engine)
{
	engine->progress = true;
	return ++engine->flusher.below_destage_wanted;
}

static void complete_waiting(struct engine *engine)
{
	struct flusher *flusher = &engine->flusher;

	list_for_each_safe (node, &flusher->waiting) {
		struct engine_request *request =
			list_entry(node, struct engine_request, link);

		if (!satisfied(flusher, request))
			continue;
		list_remove(node);
		finish(engine, request, 0);
	}
}

static void ssd_flushed(struct engine *engine, struct engine_io *io, int status)
{
	struct flusher *flusher = &engine->flusher;

	(void)io;
	flusher->ssd_busy = false;
	engine->progress = true;
	if (status < 0) {
		/* What it should have covered can't be trusted any more. */
		engine_withdraw(engine, status, "flushing the SSD failed");
		return;
	}
	engine->stats.ssd_flushes++;
	flusher->durable_sequence = flusher->covers_sequence;
	if (flusher->covers_tail > flusher->durable_tail)
		flusher->durable_tail = flusher->covers_tail;
}

static bool ssd_flush_due(const struct engine *engine)
{
	const struct flusher *flusher = &engine->flusher;
	const struct append *append = &engine->append;

	if (append->completed_sequence <= flusher->durable_sequence ||
	    withdrawn(engine))
		return false;
	if (flusher->wanted_sequence > flusher->durable_sequence &&
	    append->completed_sequence >= flusher->wanted_sequence)
		return true;
	/* Segments wait for a tail that a completed record carries. */
	if (engine->segments.limbo > 0 &&
	    append->completed_tail > flusher->durable_tail &&
	    evict_wanted(engine))
		return true;
	if (append->unflushed_bytes >= FLUSH_AFTER_BYTES)
		return true;
	return append->unflushed_bytes > 0 && !engine->destage.quiesced &&
	       engine->now_ns - append->unflushed_since_ns >= FLUSH_AFTER_NS;
}

uint64_t flush_next_ns(const struct engine *engine)
{
	const struct append *append = &engine->append;

	if (engine->flusher.ssd_busy || append->unflushed_bytes == 0 ||
	    engine->destage.quiesced || withdrawn(engine))
		return UINT64_MAX;
	return append->unflushed_since_ns + FLUSH_AFTER_NS;
}

static void start_ssd_flush(struct engine *engine)
{
	struct flusher *flusher = &engine->flusher;
	struct append *append = &engine->append;

	flusher->ssd_busy = true;
	flusher->covers_sequence =
		engine_bug(engine, ENGINE_BUG_FLUSH_TOO_EARLY)
			? append->next_sequence - 1
			: append->completed_sequence;
	flusher->covers_tail = append->completed_tail;
	append->unflushed_bytes = 0;
	flusher->ssd_io = (struct engine_io){
		.type = ENGINE_SSD_FLUSH,
		.done = ssd_flushed,
	};
	engine->progress = true;
	io_out(engine, &flusher->ssd_io);
}

/*
 * A flush that failed may have dropped what it should have covered, and the
 * next one would not say so: what relied on it starts again. Write-through has
 * its data in the log. What was written around is lost perhaps, and the guest
 * is told by a FLUSH: by those that wait, or else by the next.
 */
static void below_flush_failed(struct engine *engine, int status)
{
	struct flusher *flusher = &engine->flusher;
	struct destage *destage = &engine->destage;
	bool told = flusher->below_covers == flusher->below_flushed;

	list_for_each_safe (node, &flusher->waiting) {
		struct engine_request *request =
			list_entry(node, struct engine_request, link);

		if (request->below_target <= flusher->below_flushed)
			continue;
		told |= request->operation == ENGINE_FLUSH;
		list_remove(node);
		finish(engine, request, status);
	}
	if (!told)
		flusher->below_failed = status;
	flusher->below_wanted = flusher->below_flushed;
	flusher->below_failures++;
	flusher->below_failure = status;
	flusher->below_doubtful = true;
	flusher->run_count = 0;
	destage->failed |= destage->state == DESTAGE_FLUSH ||
			   destage->state == DESTAGE_WRITE;
	destage->error = status;
	flusher->below_destage_done = flusher->below_destage_covers;
	hold_flush_failed(engine);
}

static void below_flushed(struct engine *engine, struct engine_io *io,
			  int status)
{
	struct flusher *flusher = &engine->flusher;

	(void)io;
	flusher->below_busy = false;
	engine->destage.answered = true;
	engine->progress = true;
	if (status < 0) {
		if (!engine_bug(engine, ENGINE_BUG_FLUSH_RETRIED))
			below_flush_failed(engine, status);
		return;
	}
	engine->stats.below_flushes++;
	flusher->below_flushed = flusher->below_covers;
	flusher->below_destage_done = flusher->below_destage_covers;
	through_flushed(engine);
}

static bool below_flush_due(const struct engine *engine)
{
	const struct flusher *flusher = &engine->flusher;

	return flusher->below_wanted > flusher->below_flushed ||
	       (engine->destage.draining &&
		flusher->below_writes > flusher->below_flushed) ||
	       flusher->below_destage_wanted > flusher->below_destage_done;
}

static void start_below_flush(struct engine *engine)
{
	struct flusher *flusher = &engine->flusher;

	flusher->below_busy = true;
	engine->destage.answered_ns = engine->now_ns;
	flusher->below_covers = flusher->below_writes;
	flusher->below_destage_covers = flusher->below_destage_wanted;
	flusher->below_io = (struct engine_io){
		.type = ENGINE_BELOW_FLUSH,
		.done = below_flushed,
	};
	engine->progress = true;
	io_out(engine, &flusher->below_io);
}

void flush_advance(struct engine *engine)
{
	struct flusher *flusher = &engine->flusher;

	complete_waiting(engine);
	if (!flusher->ssd_busy && ssd_flush_due(engine))
		start_ssd_flush(engine);
	if (!flusher->below_busy && below_flush_due(engine))
		start_below_flush(engine);
}

/*
 * What waited for the SSD has its data below; if anything was lost, it may be
 * theirs, and they say so.
 */
void flush_without_log(struct engine *engine)
{
	struct flusher *flusher = &engine->flusher;

	list_for_each_safe (node, &flusher->waiting) {
		struct engine_request *request =
			list_entry(node, struct engine_request, link);

		if (engine->lost_blocks == 0 ||
		    request->target_sequence <= flusher->durable_sequence)
			continue;
		list_remove(node);
		finish(engine, request, -EIO);
	}
	flusher->durable_sequence = engine->append.next_sequence - 1;
	engine->progress = true;
}

void flush_fail_all(struct engine *engine)
{
	list_for_each_safe (node, &engine->flusher.waiting) {
		list_remove(node);
		finish(engine, list_entry(node, struct engine_request, link),
		       -EIO);
	}
}
