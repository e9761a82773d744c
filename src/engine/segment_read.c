// SPDX-License-Identifier: Apache-2.0
/*
 * segment_read.c - brings a segment into the destager's buffer, in one read.
 *
 * If that fails and it matters, block by block: what can't be read even so is
 * zeros in the buffer, and its check values will tell. Destage and eviction
 * take turns with the buffer.
 */
#include "core.h"

#include <string.h>

#define BLOCK_ATTEMPTS 5u

static void there(struct engine *engine, bool failed)
{
	struct destage *destage = &engine->destage;

	engine->segments.segments[destage->segment].readers--;
	destage->read_done = true;
	destage->failed = failed;
	engine->progress = true;
}

static void read_part(struct engine *engine, uint32_t first, uint32_t count,
		      void (*done)(struct engine *, struct engine_io *, int))
{
	struct destage *destage = &engine->destage;
	uint64_t bytes = (uint64_t)count * LOG_BLOCK_BYTES;
	uint64_t begin = segments_block(&engine->segments, destage->segment);

	destage->read_iov = (struct iovec){
		destage->buffer + (size_t)first * LOG_BLOCK_BYTES, bytes};
	destage->read_io = (struct engine_io){
		.type = ENGINE_SSD_READ,
		.iov = &destage->read_iov,
		.iov_count = 1,
		.offset = (begin + first) * LOG_BLOCK_BYTES,
		.length = bytes,
		.done = done,
	};
	io_out(engine, &destage->read_io);
}

static void block_read(struct engine *engine, struct engine_io *io, int status)
{
	struct destage *destage = &engine->destage;

	if (status < 0 && ++destage->read_attempts < BLOCK_ATTEMPTS) {
		io_out(engine, io);
		return;
	}
	if (status < 0)
		memset(destage->read_iov.iov_base, 0, LOG_BLOCK_BYTES);
	destage->read_attempts = 0;
	if (++destage->read_block == destage->blocks_read)
		there(engine, false);
	else
		read_part(engine, destage->read_block, 1, block_read);
}

static void segment_there(struct engine *engine, struct engine_io *io,
			  int status)
{
	struct destage *destage = &engine->destage;

	(void)io;
	if (status == 0 || !destage->read_thorough) {
		there(engine, status < 0);
		return;
	}
	destage->read_block = 0;
	destage->read_attempts = 0;
	read_part(engine, 0, 1, block_read);
}

void segment_read(struct engine *engine, uint32_t segment, uint32_t blocks,
		  bool thorough)
{
	struct destage *destage = &engine->destage;

	destage->segment = segment;
	destage->blocks_read = blocks;
	destage->read_done = false;
	destage->failed = false;
	destage->read_thorough = thorough;
	engine->segments.segments[segment].readers++;
	engine->progress = true;
	read_part(engine, 0, blocks, segment_there);
}
