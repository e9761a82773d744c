// SPDX-License-Identifier: Apache-2.0
/*
 * withdrawal.c - the SSD fails: the engine goes on without a log.
 *
 *   NONE  -> ABORT  a write or a flush of the SSD has failed for good: nothing
 *                   is appended any more; what was on its way into the log and
 *                   isn't acknowledged begins again, and waits
 *         -> DRAIN  what the log holds is read, checked and written below
 *         -> VOID   that is flushed below, and now it is said there, durably,
 *                   that the log is of no use: whatever of it comes back with
 *                   the SSD, the next start doesn't believe it
 *         -> DONE   everything goes around; clean copies are forgotten
 *
 * Writes wait from ABORT to DONE, as they do at the dirty limit: were one to go
 * below earlier, a crash would bring the older copy back that the log holds.
 * Reads go on all the time. A FLUSH that covers what the SSD may not have kept
 * waits until that is below.
 *
 * What can't be read is lost, and stays known in the index: its reads fail
 * until it has been overwritten. Then VOID says so as well, and the next start
 * is refused until somebody has looked (ENGINE_VOID's `lost`).
 *
 * There is no second try of a flush that failed: what it should have covered is
 * in doubt, and the layers below are a place that isn't.
 */
#include "core.h"

#include <stdarg.h>
#include <stdio.h>

/* Clean copies that are forgotten in one event. */
#define FORGET_BLOCKS 65536u

void engine_withdraw(struct engine *engine, int code, const char *format, ...)
{
	struct withdrawal *withdrawal = &engine->withdrawal;
	char text[sizeof(engine->failure.message)];
	va_list arguments;

	if (withdrawn(engine))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (!engine->config.may_withdraw || engine->state != ENGINE_RUNNING ||
	    engine->closing.state != CLOSING_OFF) {
		engine_fail(engine, code, "%s", text);
		return;
	}
	error_set(&engine->failure, code, "%s", text);
	withdrawal->state = WITHDRAWAL_ABORT;
	kept_forsake(engine);
	hold_end(engine, ENGINE_HOLD_END_FAILED);
	engine->progress = true;
}

void withdrawal_take(struct engine *engine, struct append_item *item)
{
	struct log_entry entry = append_item_entry(item);

	switch (item->type) {
	case LOG_CLEAN:
		apply_spilled_clean(engine, &entry);
		break;
	case LOG_DROP:
		apply_drop(engine, &entry);
		break;
	case LOG_WRITE:
	case LOG_ZERO:
	case LOG_DISCARD:
		item->request->retry = true;
		break;
	case LOG_FILL:
	case LOG_REAPPEND:
		break;
	}
	/* What of it is in a record ends with that record. */
	item->block_count = 0;
	if (item->placed == 0)
		retire_item(engine, item);
}

static bool records_on_their_way(const struct engine *engine)
{
	const struct append *append = &engine->append;

	for (uint64_t sequence = append->first_in_flight;
	     sequence < append->next_sequence; sequence++) {
		if (!append->records[sequence % append->ring].written)
			return true;
	}
	return false;
}

static void abort_log(struct engine *engine)
{
	append_abort(engine);
	through_abort(engine);
	/* Those before the first one that failed have retired. */
	if (records_on_their_way(engine))
		return;
	retire_abort(engine);
	through_abort(engine);
	engine->withdrawal.state = WITHDRAWAL_DRAIN;
	engine->progress = true;
}

static void voided(struct engine *engine, struct engine_io *io, int status)
{
	(void)io;
	engine->progress = true;
	if (status < 0) {
		engine_fail(engine, status,
			    "the SSD failed, and it can't be said beside the "
			    "backend that its log is void");
		return;
	}
	engine->withdrawal.state = WITHDRAWAL_DONE;
	flush_without_log(engine);
}

static void say_void(struct engine *engine)
{
	struct withdrawal *withdrawal = &engine->withdrawal;

	if ((engine->dirty_blocks > engine->lost_blocks &&
	     !engine_bug(engine, ENGINE_BUG_VOID_UNDRAINED)) ||
	    engine->destage.state != DESTAGE_IDLE || engine->destage.quiesced)
		return;
	withdrawal->state = WITHDRAWAL_VOID;
	withdrawal->io = (struct engine_io){
		.type = ENGINE_VOID,
		.lost = engine->lost_blocks > 0,
		.done = voided,
	};
	io_out(engine, &withdrawal->io);
	engine->progress = true;
}

/* A bounded number of them, so that no event takes long. */
static void forget_some(struct engine *engine)
{
	struct withdrawal *withdrawal = &engine->withdrawal;
	uint64_t block = withdrawal->forgotten;
	uint32_t count = 0;

	if (block >= engine->disk_blocks ||
	    withdrawal->forgot_ns == engine->now_ns)
		return;
	withdrawal->forgot_ns = engine->now_ns;
	while (count < FORGET_BLOCKS && index_next(&engine->index, &block)) {
		if (!index_get(&engine->index, block).lost)
			apply_forget(engine, block);
		block++;
		count++;
	}
	withdrawal->forgotten =
		count < FORGET_BLOCKS ? engine->disk_blocks : block;
}

uint64_t withdrawal_next_ns(const struct engine *engine)
{
	return below_alone(engine) && engine->withdrawal.forgotten <
					      engine->disk_blocks
		       ? engine->now_ns
		       : UINT64_MAX;
}

void withdrawal_advance(struct engine *engine)
{
	switch (engine->withdrawal.state) {
	case WITHDRAWAL_NONE:
	case WITHDRAWAL_VOID:
		return;
	case WITHDRAWAL_ABORT:
		abort_log(engine);
		return;
	case WITHDRAWAL_DRAIN:
		say_void(engine);
		return;
	case WITHDRAWAL_DONE:
		forget_some(engine);
		return;
	}
}

void withdrawal_written(struct engine *engine,
			const struct engine_request *request, int status)
{
	uint64_t first = request_block(request);

	for (uint64_t block = first; block < first + request_blocks(request);
	     block++) {
		/* What is lost is overwritten only if it was written. */
		if (status == 0 || !index_get(&engine->index, block).lost)
			apply_forget(engine, block);
	}
}

bool withdrawal_loses(const struct engine *engine,
		      const struct engine_request *request)
{
	uint64_t first = request_block(request);

	for (uint64_t block = first; block < first + request_blocks(request);
	     block++) {
		struct index_copy copy = index_get(&engine->index, block);
		uint8_t written = log_sector_mask(block, request->part_sector,
						  request->part_count);

		if (copy.lost && (copy.mask & ~written) != 0)
			return true;
	}
	return false;
}
