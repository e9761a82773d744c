// SPDX-License-Identifier: Apache-2.0
/*
 * summary.c - a full segment's headers once more, at its end.
 *
 * Who starts would read whole segments for a few blocks of headers each; with a
 * summary it reads these alone. Nothing rests on it: a summary that is missing,
 * torn or of an older use of the segment costs a start time, no more. So its
 * write is neither awaited nor repeated, and none is made while the one before
 * is still under way. It pins its segment as a reader does: the segment isn't
 * used again below a write that is on its way.
 */
#include "core.h"

#include <assert.h>
#include <string.h>

void summary_begin(struct engine *engine)
{
	struct summary *summary = &engine->summary;

	summary->copies_bytes = 0;
	summary->record_count = 0;
	summary->left_out = !engine->config.summaries;
}

void summary_add(struct engine *engine, const struct log_record_header *header)
{
	struct summary *summary = &engine->summary;
	uint32_t bytes = summary->copies_bytes + header->used_bytes;

	if (log_summary_blocks(bytes) >
	    log_summary_blocks_max(engine->config.segment_blocks))
		summary->left_out = true;
	if (summary->left_out)
		return;
	memcpy(summary->buffers[summary->buffer] + summary->copies_bytes,
	       header, header->used_bytes);
	summary->copies_bytes = bytes;
	summary->record_count++;
}

uint32_t summary_reserve(const struct engine *engine)
{
	const struct summary *summary = &engine->summary;
	uint32_t most = log_summary_blocks_max(engine->config.segment_blocks);
	/* How long the next header will be isn't known yet. */
	uint32_t blocks =
		log_summary_blocks(summary->copies_bytes + LOG_BLOCK_BYTES);

	if (summary->left_out)
		return 0;
	return blocks < most ? blocks : most;
}

static void written(struct engine *engine, struct engine_io *io, int status)
{
	struct summary *summary = &engine->summary;

	(void)io;
	(void)status;
	engine->segments.segments[summary->segment].readers--;
	summary->busy = false;
	engine->progress = true;
}

/* Makes the buffer what is to be written. */
static void finish(struct engine *engine, uint8_t *buffer)
{
	struct summary *summary = &engine->summary;
	uint32_t blocks = log_summary_blocks(summary->copies_bytes);
	size_t bytes = (size_t)blocks * LOG_BLOCK_BYTES;
	struct log_summary *end =
		(void *)(buffer + bytes - sizeof(struct log_summary));

	memset(buffer + summary->copies_bytes, 0,
	       bytes - summary->copies_bytes);
	memcpy(end->uuid, engine->identity.uuid, 16);
	end->epoch = engine->identity.epoch;
	end->incarnation = engine->identity.incarnation;
	end->first_sequence =
		engine->segments.segments[summary->segment].first_sequence;
	end->record_count = summary->record_count;
	end->copies_bytes = summary->copies_bytes;
	end->blocks = blocks;
	log_summary_seal(end);
}

void summary_write(struct engine *engine)
{
	struct summary *summary = &engine->summary;
	struct segment_table *table = &engine->segments;
	uint8_t *buffer = summary->buffers[summary->buffer];
	struct segment *segment = &table->segments[engine->append.active];
	uint32_t blocks = log_summary_blocks(summary->copies_bytes);

	if (summary->left_out || summary->record_count == 0 || summary->busy ||
	    table->segment_blocks - segment->used_blocks < blocks)
		return;
	summary->segment = engine->append.active;
	finish(engine, buffer);
	/* What is appended from now on isn't in it: no second one. */
	summary->left_out = true;
	summary->buffer = (summary->buffer + 1) % SUMMARY_BUFFERS;
	summary->busy = true;
	segment->readers++;
	summary->iov = (struct iovec){buffer, (size_t)blocks * LOG_BLOCK_BYTES};
	summary->io = (struct engine_io){
		.type = ENGINE_SSD_WRITE,
		.iov = &summary->iov,
		.iov_count = 1,
		.offset = (uint64_t)(segments_block(table, summary->segment) +
				     table->segment_blocks - blocks) *
			  LOG_BLOCK_BYTES,
		.length = (uint64_t)blocks * LOG_BLOCK_BYTES,
		.done = written,
	};
	engine->stats.ssd_written_bytes += summary->io.length;
	io_out(engine, &summary->io);
}
