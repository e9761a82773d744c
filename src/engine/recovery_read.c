// SPDX-License-Identifier: Apache-2.0
/*
 * recovery_read.c - what recovery reads of a segment: its summary, or all.
 *
 * Summaries are small and lie far apart, so several are under way at a time:
 * survey number n has place n % RECOVERY_READS. How long one is stands in its
 * last bytes. The first read of it guesses, and is repeated if that was too
 * little; later passes know. Whole segments come one by one into the destager's
 * buffer.
 */
#include "core.h"

#include <errno.h>

#include "recovery.h"

static uint64_t segment_end(const struct engine *engine, uint32_t segment)
{
	return (uint64_t)(segments_block(&engine->segments, segment) +
			  engine->segments.segment_blocks) *
	       LOG_BLOCK_BYTES;
}

static const struct log_summary *end_of(const struct summary_read *read)
{
	return (const void *)(read->buffer +
			      (size_t)read->blocks * LOG_BLOCK_BYTES -
			      sizeof(struct log_summary));
}

static void summary_there(struct engine *engine, struct engine_io *io,
			  int status);

static void read_summary(struct engine *engine, struct summary_read *read)
{
	uint64_t bytes = (uint64_t)read->blocks * LOG_BLOCK_BYTES;

	read->state = SUMMARY_BUSY;
	read->iov = (struct iovec){read->buffer, bytes};
	read->io = (struct engine_io){
		.type = ENGINE_SSD_READ,
		.iov = &read->iov,
		.iov_count = 1,
		.offset = segment_end(engine, read->segment) - bytes,
		.length = bytes,
		.done = summary_there,
		.owner = read,
	};
	engine->stats.recovery_read_bytes += bytes;
	io_out(engine, &read->io);
}

static void summary_there(struct engine *engine, struct engine_io *io,
			  int status)
{
	struct summary_read *read = io->owner;
	const struct log_summary *summary = end_of(read);

	engine->progress = true;
	read->state = SUMMARY_THERE;
	/* One that can't be read is like one that isn't there. */
	read->failed = status < 0 ||
		       !log_summary_valid(summary, engine->config.uuid,
					  engine->segments.segment_blocks);
	if (read->failed || summary->blocks <= read->blocks)
		return;
	read->blocks = summary->blocks;
	read_summary(engine, read);
}

static void read_ahead(struct engine *engine, uint32_t at, uint32_t end)
{
	struct recovery *recovery = &engine->recovery;
	uint32_t most = log_summary_blocks_max(engine->config.segment_blocks);
	uint32_t guess =
		most < RECOVERY_GUESS_BLOCKS ? most : RECOVERY_GUESS_BLOCKS;

	if (recovery->ahead < at)
		recovery->ahead = at;
	for (; recovery->ahead < end && recovery->ahead < at + RECOVERY_READS;
	     recovery->ahead++) {
		const struct survey *survey =
			&recovery->surveys[recovery->ahead];
		struct summary_read *read =
			&recovery->reads[recovery->ahead % RECOVERY_READS];

		if (survey->whole)
			continue;
		read->segment = survey->segment;
		read->blocks =
			survey->summary_blocks ? survey->summary_blocks : guess;
		read_summary(engine, read);
	}
}

int recovery_summary(struct engine *engine, uint32_t at, uint32_t end,
		     const struct log_summary **ret_summary)
{
	struct survey *survey = &engine->recovery.surveys[at];
	struct summary_read *read =
		&engine->recovery.reads[at % RECOVERY_READS];
	const struct log_summary *summary;

	read_ahead(engine, at, end);
	if (read->state != SUMMARY_THERE)
		return -EAGAIN;
	read->state = SUMMARY_NOT_READ;
	summary = end_of(read);
	if (read->failed ||
	    (!engine_bug(engine, ENGINE_BUG_SUMMARY_OF_ANOTHER) &&
	     (summary->epoch != survey->epoch ||
	      summary->incarnation != survey->incarnation ||
	      summary->first_sequence != survey->first_sequence)))
		return -ENODATA;
	survey->summary_blocks = (uint8_t)summary->blocks;
	*ret_summary = summary;
	return 0;
}

static void segment_there(struct engine *engine, struct engine_io *io,
			  int status)
{
	(void)io;
	engine->recovery.busy = false;
	engine->recovery.there = true;
	engine->progress = true;
	if (status < 0)
		engine_fail(engine, status, "reading the cache file failed");
}

bool recovery_segment(struct engine *engine, uint32_t at)
{
	struct recovery *recovery = &engine->recovery;
	uint64_t bytes =
		(uint64_t)engine->segments.segment_blocks * LOG_BLOCK_BYTES;
	uint32_t segment = recovery->surveys[at].segment;

	if (recovery->there) {
		recovery->there = false;
		return true;
	}
	recovery->busy = true;
	recovery->iov = (struct iovec){engine->destage.buffer, bytes};
	recovery->io = (struct engine_io){
		.type = ENGINE_SSD_READ,
		.iov = &recovery->iov,
		.iov_count = 1,
		.offset = segment_end(engine, segment) - bytes,
		.length = bytes,
		.done = segment_there,
	};
	engine->stats.recovery_read_bytes += bytes;
	io_out(engine, &recovery->io);
	return false;
}

uint32_t recovery_turn(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	uint32_t at = recovery->at;

	if (engine_bug(engine, ENGINE_BUG_REPLAY_REVERSED)) {
		at = recovery->first + recovery->end - 1 - at;
		/* Summaries come in their order only. */
		recovery->surveys[at].whole = true;
	}
	return at;
}
