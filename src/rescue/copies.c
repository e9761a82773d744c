// SPDX-License-Identifier: Apache-2.0
/*
 * copies.c - see copies.h.
 *
 * Copies that are neighbours on the disk and in the file are read at once, as a
 * run. If a run can't be read, its blocks are read one by one.
 */
#include "copies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log_codec.h"

#define RUN_BLOCKS 256u

struct run {
	struct inspect_copy copies[RUN_BLOCKS];
	enum copy_fault faults[RUN_BLOCKS];
	uint32_t count;
	uint8_t bytes[RUN_BLOCKS * LOG_BLOCK_BYTES];
};

static bool alike(const struct inspect_copy *last,
		  const struct inspect_copy *next)
{
	return !next->zero && !last->zero && next->block == last->block + 1 &&
	       next->location == last->location + 1 &&
	       next->mask == LOG_MASK_WHOLE && last->mask == LOG_MASK_WHOLE &&
	       next->dirty == last->dirty && next->doubtful == last->doubtful &&
	       next->lost == last->lost;
}

/* From *block on, which moves behind it. Returns: whether there is any. */
static bool gather(const struct copies *copies, struct run *run,
		   uint64_t *block)
{
	struct inspect_copy copy;

	run->count = 0;
	while (run->count < RUN_BLOCKS &&
	       inspect_next(copies->recovered->engine, *block, &copy)) {
		if (copies->dirty_only && !copy.dirty) {
			*block = copy.block + copy.block_count;
			continue;
		}
		if (run->count > 0 &&
		    !alike(&run->copies[run->count - 1], &copy))
			break;
		run->copies[run->count++] = copy;
		*block = copy.block + copy.block_count;
	}
	return run->count > 0;
}

static enum copy_fault judge(const struct recovered *recovered,
			     const struct inspect_copy *copy,
			     const uint8_t *bytes)
{
	uint32_t seed =
		log_check_seed(recovered->source->config.uuid, copy->sequence);

	return log_check(seed, copy->block, bytes) == copy->check
		       ? COPY_GOOD
		       : COPY_DAMAGED;
}

static void read_run(const struct recovered *recovered, struct run *run)
{
	uint64_t offset = (uint64_t)run->copies[0].location * LOG_BLOCK_BYTES;
	bool whole =
		source_read(recovered->source, run->bytes,
			    (size_t)run->count * LOG_BLOCK_BYTES, offset) == 0;

	for (uint32_t i = 0; i < run->count; i++) {
		uint8_t *bytes = run->bytes + (size_t)i * LOG_BLOCK_BYTES;

		if (run->copies[i].lost)
			run->faults[i] = COPY_LOST;
		else if (!whole &&
			 source_read(recovered->source, bytes, LOG_BLOCK_BYTES,
				     offset + (uint64_t)i * LOG_BLOCK_BYTES) <
				 0)
			run->faults[i] = COPY_UNREADABLE;
		else
			run->faults[i] =
				judge(recovered, &run->copies[i], bytes);
	}
}

/* Sectors of blocks @first to @end of the run; none beyond the disk. */
static int give_sectors(const struct copies *copies, const struct run *run,
			uint32_t first, struct range range, struct error *error)
{
	const struct inspect_copy *copy = &run->copies[first];
	uint64_t begin = copy->block * LOG_SECTORS_PER_BLOCK;
	uint64_t disk_sectors =
		copies->recovered->disk_bytes / LOG_SECTOR_BYTES;
	struct copy_piece piece = {.doubtful = copy->doubtful};

	if (disk_sectors > 0 && range.first_sector >= disk_sectors)
		return 0;
	if (disk_sectors > 0 &&
	    range.sector_count > disk_sectors - range.first_sector)
		range.sector_count = disk_sectors - range.first_sector;
	range.fault = run->faults[first];
	range.dirty = copy->dirty;
	piece.range = range;
	piece.zero = copy->zero;
	if (range.fault == COPY_GOOD && !piece.zero)
		piece.bytes = run->bytes + (size_t)first * LOG_BLOCK_BYTES +
			      (range.first_sector - begin) * LOG_SECTOR_BYTES;
	return copies->piece(copies->context, &piece, error);
}

/* A block of which only some sectors are here: each stretch of them. */
static int give_part(const struct copies *copies, const struct run *run,
		     struct error *error)
{
	const struct inspect_copy *copy = &run->copies[0];
	uint32_t sector = 0;
	int status = 0;

	while (sector < LOG_SECTORS_PER_BLOCK && status == 0) {
		uint32_t end = sector;

		while (end < LOG_SECTORS_PER_BLOCK && copy->mask >> end & 1)
			end++;
		if (end > sector)
			status = give_sectors(
				copies, run, 0,
				(struct range){
					.first_sector =
						copy->block *
							LOG_SECTORS_PER_BLOCK +
						sector,
					.sector_count = end - sector,
				},
				error);
		sector = end + 1;
	}
	return status;
}

static int give_zeros(const struct copies *copies, struct run *run,
		      struct error *error)
{
	const struct inspect_copy *copy = &run->copies[0];
	struct range range = {
		.first_sector = copy->block * LOG_SECTORS_PER_BLOCK,
		.sector_count = copy->block_count * LOG_SECTORS_PER_BLOCK,
	};

	run->faults[0] = COPY_GOOD;
	return give_sectors(copies, run, 0, range, error);
}

static int give_run(const struct copies *copies, const struct run *run,
		    struct error *error)
{
	int status = 0;
	uint32_t first = 0;

	if (run->copies[0].mask != LOG_MASK_WHOLE)
		return give_part(copies, run, error);
	while (first < run->count && status == 0) {
		uint32_t end = first + 1;

		while (end < run->count &&
		       run->faults[end] == run->faults[first])
			end++;
		status = give_sectors(
			copies, run, first,
			(struct range){
				.first_sector = run->copies[first].block *
						LOG_SECTORS_PER_BLOCK,
				.sector_count = (uint64_t)(end - first) *
						LOG_SECTORS_PER_BLOCK,
			},
			error);
		first = end;
	}
	return status;
}

int copies_walk(const struct copies *copies, struct error *error)
{
	struct run *run = malloc(sizeof(*run));
	uint64_t blocks_done = 0;
	uint64_t block = 0;
	int status = 0;

	if (!run)
		return error_set(error, -ENOMEM, "no memory");
	while (status == 0 && gather(copies, run, &block)) {
		if (run->copies[0].zero) {
			status = give_zeros(copies, run, error);
			blocks_done += run->copies[0].block_count;
		} else {
			read_run(copies->recovered, run);
			status = give_run(copies, run, error);
			blocks_done += run->count;
		}
		if (copies->progress)
			copies->progress(copies->context, blocks_done);
	}
	free(run);
	return status;
}
