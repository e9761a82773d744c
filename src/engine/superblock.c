// SPDX-License-Identifier: Apache-2.0
/*
 * superblock.c - the two copies at the head of a cache file.
 *
 * A new superblock is written over the older copy and then flushed. It is
 * written at every start, before the first append (rule 1), and when the log
 * has no room for a record that would carry the tail: then the superblock
 * carries it, after everything that the tail rests on is durable.
 */
#include "core.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "recovery.h"

#define COPY_BYTES ((uint64_t)LOG_SUPERBLOCK_BLOCKS * LOG_BLOCK_BYTES)

static void copy_read(struct engine *engine, struct engine_io *io, int status)
{
	struct superblock *superblock = &engine->superblock;

	assert(superblock->reads_busy > 0);
	superblock->reads_busy--;
	if (status < 0)
		engine_fail(engine, status,
			    "reading the cache file's superblock failed");
	(void)io;
	engine->progress = true;
}

void superblock_read(struct engine *engine)
{
	struct superblock *superblock = &engine->superblock;

	for (uint32_t i = 0; i < LOG_SUPERBLOCK_COPIES; i++) {
		superblock->read_iov[i] =
			(struct iovec){superblock->copies[i], COPY_BYTES};
		superblock->read_io[i] = (struct engine_io){
			.type = ENGINE_SSD_READ,
			.iov = &superblock->read_iov[i],
			.iov_count = 1,
			.offset = i * COPY_BYTES,
			.length = COPY_BYTES,
			.done = copy_read,
		};
		superblock->reads_busy++;
		engine->stats.recovery_read_bytes += COPY_BYTES;
		io_out(engine, &superblock->read_io[i]);
	}
}

bool superblock_find_row(const struct engine *engine, struct survey *survey)
{
	const struct log_superblock *image = engine->superblock.image;

	for (uint32_t i = 0; i < image->row_count; i++) {
		const struct log_row *row = &image->rows[i];

		if (row->epoch != survey->epoch ||
		    row->incarnation != survey->incarnation ||
		    survey->first_sequence < row->first_sequence ||
		    survey->first_sequence > row->last_sequence)
			continue;
		survey->row_last = row->last_sequence;
		survey->row_first =
			survey->first_sequence == row->first_sequence;
		return true;
	}
	return false;
}

uint64_t superblock_rows_durable(const struct log_superblock *image)
{
	uint64_t durable = 0;

	/* A row was closed after what it accepts had been flushed. */
	for (uint32_t i = 0; i < image->row_count; i++) {
		if (image->rows[i].last_sequence != LOG_ROW_OPEN)
			durable = image->rows[i].last_sequence;
	}
	return durable;
}

static void format(struct engine *engine)
{
	struct log_superblock *image = engine->superblock.image;

	engine->superblock.formatted = true;
	memcpy(image->uuid, engine->config.uuid, 16);
	image->disk_bytes = engine->config.disk_bytes;
	image->file_bytes = engine->config.file_bytes;
	image->segment_blocks = engine->config.segment_blocks;
	image->tail_sequence = 1;
}

static int take_geometry(struct engine *engine, struct error *error)
{
	struct log_superblock *image = engine->superblock.image;

	/* A disk grows, and so does the file; the next superblock says so. */
	if (image->disk_bytes > engine->config.disk_bytes)
		return error_set(error, -EUCLEAN,
				 "it was made for a disk of %llu bytes, the "
				 "disk has %llu",
				 (unsigned long long)image->disk_bytes,
				 (unsigned long long)engine->config.disk_bytes);
	/* Salvage may have less of the file than there was. */
	if ((image->file_bytes > engine->config.file_bytes &&
	     !salvaging(engine)) ||
	    image->segment_blocks != engine->config.segment_blocks)
		return error_set(error, -EUCLEAN,
				 "it was made with another size or geometry");
	if (image->row_count > 0 &&
	    image->rows[image->row_count - 1].epoch > engine->config.epoch)
		return error_set(error, -ESTALE,
				 "another host has opened the disk since");
	image->disk_bytes = engine->config.disk_bytes;
	if (!salvaging(engine))
		image->file_bytes = engine->config.file_bytes;
	return 0;
}

int superblock_choose(struct engine *engine, struct error *error)
{
	struct superblock *superblock = &engine->superblock;
	struct error errors[LOG_SUPERBLOCK_COPIES] = {0};
	const struct log_superblock *best = NULL;
	bool blank = false;

	for (uint32_t i = 0; i < LOG_SUPERBLOCK_COPIES; i++) {
		const struct log_superblock *copy = superblock->copies[i];
		int status = log_superblock_check(copy, engine->config.uuid,
						  &errors[i]);

		blank |= status == -ENODATA;
		if (status == 0 &&
		    (!best || copy->generation > best->generation))
			best = copy;
	}
	if (best) {
		memcpy(superblock->image, best, COPY_BYTES);
		return take_geometry(engine, error);
	}
	/*
	 * The first append comes after the second superblock, so while a copy
	 * is blank nothing was ever stored.
	 */
	if ((blank && engine->config.may_format) || salvaging(engine)) {
		format(engine);
		return 0;
	}
	return error_set(error, -EUCLEAN, "%s", errors[0].message);
}

static void flushed(struct engine *engine, struct engine_io *io, int status)
{
	struct superblock *superblock = &engine->superblock;

	(void)io;
	engine->progress = true;
	superblock->state = SUPERBLOCK_IDLE;
	if (status < 0) {
		engine_withdraw(engine, status,
				"flushing the cache file's superblock failed");
		return;
	}
	kept_superblock(engine, true);
	superblock->done(engine);
}

static void written(struct engine *engine, struct engine_io *io, int status)
{
	struct superblock *superblock = &engine->superblock;

	if (status < 0) {
		superblock->state = SUPERBLOCK_IDLE;
		engine_withdraw(engine, status,
				"writing the cache file's superblock failed");
		return;
	}
	superblock->state = SUPERBLOCK_FLUSHING;
	*io = (struct engine_io){.type = ENGINE_SSD_FLUSH, .done = flushed};
	io_out(engine, io);
}

/* Rows whose records are all below the tail say nothing any more. */
static void prune_rows(struct log_superblock *image)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < image->row_count; i++) {
		const struct log_row *row = &image->rows[i];

		if (row->last_sequence >= image->tail_sequence &&
		    row->last_sequence >= row->first_sequence)
			image->rows[kept++] = *row;
	}
	memset(&image->rows[kept], 0,
	       (LOG_ROWS_MAX - kept) * sizeof(struct log_row));
	image->row_count = kept;
}

void superblock_close_row(struct engine *engine, uint64_t cut)
{
	struct log_superblock *image = engine->superblock.image;
	struct log_row *last = &image->rows[image->row_count];

	if (image->row_count > 0 && last[-1].last_sequence == LOG_ROW_OPEN)
		last[-1].last_sequence = cut;
}

void superblock_add_row(struct engine *engine, uint64_t cut)
{
	struct log_superblock *image = engine->superblock.image;
	struct log_row *last = &image->rows[image->row_count];

	if (image->row_count > 0 &&
	    engine_bug(engine, ENGINE_BUG_ROW_NOT_CLOSED)) {
		engine->identity.incarnation = last[-1].incarnation;
		return;
	}
	superblock_close_row(engine, cut);
	image->tail_sequence = engine->tail_sequence;
	prune_rows(image);
	if (image->row_count == LOG_ROWS_MAX) {
		engine_fail(engine, -ENOSPC,
			    "it was opened too often without being destaged");
		return;
	}
	/* The generation that brings the row in names it: never used before. */
	engine->identity.incarnation = image->generation + 1;
	if (engine->config.mode != ENGINE_WRITE_BACK)
		image->flags |= LOG_SUPERBLOCK_BELOW_UNFLUSHED;
	image->rows[image->row_count++] = (struct log_row){
		.epoch = engine->identity.epoch,
		.incarnation = engine->identity.incarnation,
		.first_sequence = cut + 1,
		.last_sequence = LOG_ROW_OPEN,
	};
}

void superblock_write(struct engine *engine, uint64_t tail,
		      void (*done)(struct engine *))
{
	struct superblock *superblock = &engine->superblock;
	struct log_superblock *image = superblock->image;

	assert(superblock->state == SUPERBLOCK_IDLE);
	image->generation++;
	image->tail_sequence = tail;
	prune_rows(image);
	log_superblock_seal(image);
	kept_superblock(engine, false);
	superblock->done = done;
	superblock->state = SUPERBLOCK_WRITING;
	superblock->iov = (struct iovec){image, COPY_BYTES};
	superblock->io = (struct engine_io){
		.type = ENGINE_SSD_WRITE,
		.iov = &superblock->iov,
		.iov_count = 1,
		.offset =
			image->generation % LOG_SUPERBLOCK_COPIES * COPY_BYTES,
		.length = COPY_BYTES,
		.done = written,
	};
	engine->stats.ssd_written_bytes += COPY_BYTES;
	io_out(engine, &superblock->io);
}

static void below_noted(struct engine *engine)
{
	engine->superblock.below_noted = true;
}

bool superblock_note_below(struct engine *engine)
{
	struct superblock *superblock = &engine->superblock;

	if (superblock->below_noted)
		return true;
	if (superblock->state == SUPERBLOCK_IDLE) {
		superblock->image->flags |= LOG_SUPERBLOCK_BELOW_UNFLUSHED;
		superblock_write(engine, superblock->image->tail_sequence,
				 below_noted);
	}
	return false;
}
