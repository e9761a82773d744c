// SPDX-License-Identifier: Apache-2.0
/*
 * zeroing.c - zeroes and discards, in parts that bound what one event does.
 *
 *   |<---- part ---->|<---- part ---->|<- part ->|      each ends where a
 *        done          under way        to come         multiple of its most is
 *
 * A part is a write without data: hazards, the log, the layers below see it as
 * one, and nothing but it. The next part goes ahead of the writes that wait, so
 * that one which was submitted later isn't overtaken.
 *
 * Whole blocks become an entry without data. Sectors of a block are written as
 * zeros, like any write of a part of a block.
 */
#include "core.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static_assert(ENGINE_ZEROING_BLOCKS_MAX <= LOG_ZERO_BLOCKS_MAX,
	      "a part fits in one record");
static_assert(ENGINE_ZEROING_BLOCKS_MAX / HAZARD_UNIT_BLOCKS + 1 <
		      HAZARD_BUCKETS,
	      "a part doesn't meet itself");

static uint64_t blocks_max(const struct engine *engine)
{
	return engine->config.zeroing_blocks_max
		       ? engine->config.zeroing_blocks_max
		       : ENGINE_ZEROING_BLOCKS_MAX;
}

bool zeroing_is_long(const struct engine *engine,
		     const struct engine_request *request)
{
	return request_zeroes(request) &&
	       log_blocks_touched(request->sector, request->sector_count) >
		       blocks_max(engine);
}

static void begin_part(const struct engine *engine,
		       struct engine_request *request, uint64_t sector)
{
	uint64_t most = blocks_max(engine) * LOG_SECTORS_PER_BLOCK;
	uint64_t end = (sector / most + 1) * most;
	uint64_t last = request->sector + request->sector_count;

	request->part_sector = sector;
	request->part_count = (end < last ? end : last) - sector;
}

void zeroing_submit(struct engine *engine, struct engine_request *request)
{
	if (request->fast &&
	    (engine->config.mode != ENGINE_WRITE_BACK || withdrawn(engine) ||
	     zeroing_is_long(engine, request))) {
		io_request_done(engine, request, -EOPNOTSUPP);
		return;
	}
	request->around = false;
	begin_part(engine, request, request->sector);
	write_submit(engine, request);
}

void zeroing_go_on(struct engine *engine, struct engine_request *request)
{
	begin_part(engine, request, request->part_sector + request->part_count);
	list_prepend(&engine->writes.waiting, &request->link);
	engine->progress = true;
}

void zeroing_part_below(const struct engine *engine,
			struct engine_request *request)
{
	if (request->path != PATH_AROUND || request->around)
		return;
	request->around = true;
	request->below_failures = engine->flusher.below_failures;
}

int zeroing_status(const struct engine *engine,
		   const struct engine_request *request)
{
	return request->around && request->below_failures !=
					  engine->flusher.below_failures
		       ? engine->flusher.below_failure
		       : 0;
}

void zeroing_item(const struct engine_request *request,
		  struct append_item *item)
{
	item->type =
		request->operation == ENGINE_DISCARD ? LOG_DISCARD : LOG_ZERO;
	if (request->no_hole)
		item->flags = LOG_ENTRY_NO_HOLE;
}

void zeroing_below(const struct engine_request *request, struct engine_io *io)
{
	io->type = ENGINE_BELOW_ZERO;
	io->may_unmap = !request->no_hole;
	io->iov = NULL;
	io->iov_count = 0;
}
