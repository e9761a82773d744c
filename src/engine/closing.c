// SPDX-License-Identifier: Apache-2.0
/*
 * closing.c - an orderly end: nothing is lost by leaving it out, but a start
 * after it is short.
 *
 *   wait      what is under way ends, nothing new begins
 *   summary   the last segment gets one as well, though it isn't full
 *   flush     all records are durable
 *   row       the superblock says so: the incarnation ended at the last record
 *
 * Then the next start has no record to verify, for a closed row vouches for all
 * that it accepts, and reads summaries alone. A flush that fails ends the
 * closing where a kill would have: the row stays open.
 */
#include "core.h"

void closing_start(struct engine *engine)
{
	engine->closing.state = CLOSING_WAIT;
	engine->progress = true;
}

static void row_closed(struct engine *engine)
{
	engine->closing.state = CLOSING_DONE;
}

static void write_row(struct engine *engine)
{
	engine->closing.state = CLOSING_ROW;
	superblock_close_row(engine, engine->append.completed_sequence);
	superblock_write(engine, engine->tail_sequence, row_closed);
}

static void flushed(struct engine *engine, struct engine_io *io, int status)
{
	(void)io;
	engine->progress = true;
	if (status < 0)
		engine->closing.state = CLOSING_DONE;
	else
		write_row(engine);
}

static void flush(struct engine *engine)
{
	struct closing *closing = &engine->closing;

	if (engine_bug(engine, ENGINE_BUG_CLOSED_UNFLUSHED)) {
		write_row(engine);
		return;
	}
	closing->state = CLOSING_FLUSH;
	closing->io = (struct engine_io){
		.type = ENGINE_SSD_FLUSH,
		.done = flushed,
	};
	engine->stats.ssd_flushes++;
	io_out(engine, &closing->io);
}

void closing_advance(struct engine *engine)
{
	struct closing *closing = &engine->closing;

	switch (closing->state) {
	case CLOSING_WAIT:
		if (!engine_idle(engine) ||
		    engine->destage.state != DESTAGE_IDLE ||
		    engine->superblock.state != SUPERBLOCK_IDLE)
			return;
		if (withdrawn(engine)) {
			closing->state = CLOSING_DONE;
			return;
		}
		if (engine->append.has_active)
			summary_write(engine);
		closing->state = CLOSING_SUMMARY;
		engine->progress = true;
		return;
	case CLOSING_SUMMARY:
		if (!engine->summary.busy)
			flush(engine);
		return;
	case CLOSING_OFF:
	case CLOSING_FLUSH:
	case CLOSING_ROW:
	case CLOSING_DONE:
		return;
	}
}
