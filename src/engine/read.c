// SPDX-License-Identifier: Apache-2.0
/*
 * read.c - a guest's read: runs of hits and misses, straight into its memory.
 *
 * A read is cut into runs: blocks that lie side by side on the SSD, or that are
 * all missing. Each run is one I/O into the request's own iovec. What isn't a
 * whole block, or turns out wrong, goes the slow way block by block (piece.c).
 * Zeros need no I/O at all. A read never waits for a write: it sees the index,
 * and the index has everything that was acknowledged.
 */
#include "core.h"

#include <assert.h>
#include <errno.h>

void read_submit(struct engine *engine, struct engine_request *request)
{
	/* One part more until all runs are issued. */
	request->parts = 1;
	request->next_sector = request->sector;
	request->iov_index = 0;
	request->iov_offset = 0;
	list_append(&engine->reads.issuing, &request->link);
	engine->progress = true;
}

void read_part_done(struct engine *engine, struct engine_request *request,
		    int status)
{
	if (status < 0 && request->status == 0)
		request->status = status;
	assert(request->parts > 0);
	if (--request->parts > 0)
		return;
	io_request_done(engine, request, request->status);
}

static uint64_t request_end(const struct engine_request *request)
{
	return request->sector + request->sector_count;
}

/* Whether all that the request wants of @block is a whole, good copy. */
static bool whole_hit(const struct engine_request *request, uint64_t block,
		      const struct index_copy *copy)
{
	return copy->location != 0 && copy->mask == LOG_MASK_WHOLE &&
	       !copy->lost && !copy->zero &&
	       log_sector_mask(block, request->sector, request->sector_count) ==
		       LOG_MASK_WHOLE;
}

/* Sectors of the run of misses that begins at @sector. */
static uint64_t miss_run(const struct engine *engine,
			 const struct engine_request *request, uint64_t sector)
{
	uint64_t end = request_end(request);
	uint64_t block = log_block_of(sector);

	while (block * LOG_SECTORS_PER_BLOCK < end &&
	       index_get(&engine->index, block).location == 0)
		block++;
	if (block * LOG_SECTORS_PER_BLOCK < end)
		end = block * LOG_SECTORS_PER_BLOCK;
	return end - sector;
}

/* Sectors of the run of hits that lie side by side on the SSD. */
static uint64_t hit_run(const struct engine *engine,
			const struct engine_request *request, uint64_t sector,
			const struct index_copy *first)
{
	uint64_t begin = log_block_of(sector);
	uint64_t block = begin;
	struct index_copy copy = *first;
	uint32_t segment = segments_of(&engine->segments, first->location);

	do {
		block++;
		if (block * LOG_SECTORS_PER_BLOCK >= request_end(request))
			break;
		copy = index_get(&engine->index, block);
	} while (whole_hit(request, block, &copy) &&
		 copy.location == first->location + (block - begin) &&
		 segments_of(&engine->segments, copy.location) == segment);
	return (block - begin) * LOG_SECTORS_PER_BLOCK;
}

static void run_end(struct engine *engine, struct io_slot *slot)
{
	struct engine_request *request = slot->request;

	if (slot->pinned)
		engine->segments.segments[slot->segment].readers--;
	slot->pinned = false;
	io_slot_put(engine, slot);
	read_part_done(engine, request, 0);
}

/* Are the run's data of the block at @sector what the log says? */
static bool block_good(const struct engine *engine, const struct io_slot *slot,
		       uint64_t sector)
{
	const struct engine_request *request = slot->request;
	uint64_t block = log_block_of(sector);
	uint32_t location =
		slot->copy.location + (uint32_t)log_block_of(slot->checked);
	struct index_copy copy = slot->copy;
	struct iov_cursor cursor;
	uint32_t seed;

	if (slot->unread)
		return false;
	/* Only the first block's check value was kept when the run was issued.
	 */
	if (slot->checked > 0)
		copy = index_get(&engine->index, block);
	if (copy.location != location)
		return false;
	seed = log_check_seed(engine->identity.uuid,
			      segments_sequence(&engine->segments, location));
	cursor =
		io_seek(request, (sector - request->sector) * LOG_SECTOR_BYTES);
	return io_check(seed, block, request->iov, &cursor) == copy.check;
}

void read_run_check(struct engine *engine, struct io_slot *slot)
{
	while (slot->checked < slot->sector_count) {
		uint64_t sector = slot->sector + slot->checked;

		if (!block_good(engine, slot, sector)) {
			piece_start(engine, slot, sector,
				    LOG_SECTORS_PER_BLOCK);
			return;
		}
		slot->checked += LOG_SECTORS_PER_BLOCK;
	}
	run_end(engine, slot);
}

static void hit_read(struct engine *engine, struct engine_io *io, int status)
{
	struct io_slot *slot = io->owner;

	engine->stats.read_hit_bytes += slot->sector_count * LOG_SECTOR_BYTES;
	slot->unread = status < 0;
	read_run_check(engine, slot);
}

static void miss_read(struct engine *engine, struct engine_io *io, int status)
{
	struct io_slot *slot = io->owner;
	struct engine_request *request = slot->request;

	engine->stats.read_miss_bytes += slot->sector_count * LOG_SECTOR_BYTES;
	if (status == 0)
		fill_offer(engine, slot->sector, slot->sector_count,
			   request->admit);
	io_slot_put(engine, slot);
	read_part_done(engine, request, status);
}

/* Points @slot's io at the next @sectors of the request; may take fewer. */
static void aim(struct io_slot *slot, struct engine_request *request,
		uint64_t sectors)
{
	struct iov_cursor cursor = {request->iov_index, request->iov_offset};
	uint64_t bytes = sectors * LOG_SECTOR_BYTES;
	uint64_t unit;

	if (sectors == request->sector_count) {
		slot->io.iov = request->iov;
		slot->io.iov_count = request->iov_count;
	} else {
		slot->io.iov_count = io_slice(request, &cursor, bytes,
					      slot->iov, SLOT_IOV_MAX, &bytes);
		slot->io.iov = slot->iov;
		/* A slice that ends inside a block is cut back. */
		unit = slot->sector % LOG_SECTORS_PER_BLOCK * LOG_SECTOR_BYTES;
		if (bytes < sectors * LOG_SECTOR_BYTES &&
		    (bytes + unit) % LOG_BLOCK_BYTES != 0) {
			bytes -= (bytes + unit) % LOG_BLOCK_BYTES;
			cursor = (struct iov_cursor){request->iov_index,
						     request->iov_offset};
			slot->io.iov_count =
				io_slice(request, &cursor, bytes, slot->iov,
					 SLOT_IOV_MAX, &bytes);
		}
		request->iov_index = cursor.index;
		request->iov_offset = cursor.offset;
	}
	slot->sector_count = bytes / LOG_SECTOR_BYTES;
	slot->io.length = bytes;
	request->next_sector += slot->sector_count;
}

static void warm(struct engine *engine, const struct io_slot *slot)
{
	uint64_t first = log_block_of(slot->sector);
	uint64_t count = log_blocks_touched(slot->sector, slot->sector_count);

	for (uint64_t i = 0; i < count; i++)
		index_warm(&engine->index, first + i);
	if (engine->curve)
		curve_read(engine->curve, first, count, true, 0);
}

static void issue_hits(struct engine *engine, struct engine_request *request,
		       struct io_slot *slot, const struct index_copy *copy)
{
	slot->io = (struct engine_io){
		.type = ENGINE_SSD_READ,
		.timed = true,
		.offset = (uint64_t)copy->location * LOG_BLOCK_BYTES,
		.done = hit_read,
		.owner = slot,
	};
	slot->copy = *copy;
	slot->segment = segments_of(&engine->segments, copy->location);
	slot->pinned = true;
	engine->segments.segments[slot->segment].readers++;
	aim(slot, request, hit_run(engine, request, slot->sector, copy));
	warm(engine, slot);
}

static void issue_misses(struct engine *engine, struct engine_request *request,
			 struct io_slot *slot)
{
	slot->io = (struct engine_io){
		.type = ENGINE_BELOW_READ,
		.timed = true,
		.offset = slot->sector * LOG_SECTOR_BYTES,
		.done = miss_read,
		.owner = slot,
	};
	aim(slot, request, miss_run(engine, request, slot->sector));
}

/* What the request wants of one block, whatever its copy looks like. */
static void issue_piece(struct engine *engine, struct engine_request *request,
			struct io_slot *slot)
{
	uint64_t block_end =
		(log_block_of(slot->sector) + 1) * LOG_SECTORS_PER_BLOCK;
	uint64_t end = request_end(request);
	struct iov_cursor cursor;

	slot->sector_count = (block_end < end ? block_end : end) - slot->sector;
	engine->stats.read_hit_bytes += slot->sector_count * LOG_SECTOR_BYTES;
	warm(engine, slot);
	request->next_sector += slot->sector_count;
	cursor = io_seek(request, (request->next_sector - request->sector) *
					  LOG_SECTOR_BYTES);
	request->iov_index = cursor.index;
	request->iov_offset = cursor.offset;
	piece_start(engine, slot, slot->sector, slot->sector_count);
}

/* The run of zeros that the next sector is in. */
static void serve_zeros(struct engine *engine, struct engine_request *request)
{
	struct iov_cursor cursor = {request->iov_index, request->iov_offset};
	uint64_t begin = request->next_sector;
	uint64_t block = log_block_of(begin);
	uint64_t end = request_end(request);

	do {
		block++;
	} while (block * LOG_SECTORS_PER_BLOCK < end &&
		 index_get(&engine->index, block).zero);
	if (block * LOG_SECTORS_PER_BLOCK < end)
		end = block * LOG_SECTORS_PER_BLOCK;
	io_zero(request, &cursor, (end - begin) * LOG_SECTOR_BYTES);
	engine->stats.read_hit_bytes += (end - begin) * LOG_SECTOR_BYTES;
	if (engine->curve)
		curve_read_zeros(engine->curve, block - log_block_of(begin));
	request->next_sector = end;
	request->iov_index = cursor.index;
	request->iov_offset = cursor.offset;
}

/* Returns: false if there is no slot to go on with. */
static bool issue_next(struct engine *engine, struct engine_request *request)
{
	uint64_t block = log_block_of(request->next_sector);
	struct index_copy copy = index_get(&engine->index, block);
	struct io_slot *slot;

	if (copy.zero) {
		serve_zeros(engine, request);
		return true;
	}
	if (list_is_empty(&engine->io.free_slots))
		return false;
	slot = io_slot_get(engine);
	slot->request = request;
	slot->sector = request->next_sector;
	request->parts++;
	if (copy.location != 0 && !whole_hit(request, block, &copy)) {
		issue_piece(engine, request, slot);
		return true;
	}
	if (copy.location != 0)
		issue_hits(engine, request, slot, &copy);
	else
		issue_misses(engine, request, slot);
	io_out(engine, &slot->io);
	return true;
}

void read_advance(struct engine *engine)
{
	struct list *issuing = &engine->reads.issuing;

	while (!list_is_empty(issuing)) {
		struct engine_request *request =
			list_entry(issuing->next, struct engine_request, link);

		while (request->next_sector < request_end(request)) {
			if (!issue_next(engine, request))
				return;
		}
		list_remove(&request->link);
		list_init(&request->link);
		engine->progress = true;
		read_part_done(engine, request, 0);
	}
}

void read_fail_all(struct engine *engine)
{
	struct list *issuing = &engine->reads.issuing;

	while (!list_is_empty(issuing)) {
		struct engine_request *request =
			list_entry(issuing->next, struct engine_request, link);

		list_remove(&request->link);
		list_init(&request->link);
		read_part_done(engine, request, -EIO);
	}
}
