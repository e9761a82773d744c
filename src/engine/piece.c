// SPDX-License-Identifier: Apache-2.0
/*
 * piece.c - a closer look at one block of a read.
 *
 * For reads of part of a block, for blocks of which only some sectors are
 * cached, and for copies that came wrong or were overwritten while they were
 * read. A whole block still goes straight to the guest's memory; only when that
 * came wrong (the guest may write into its own buffer) or the block isn't whole
 * does it take a buffer of ours. What isn't cached comes from below first; then
 * the cached sectors are laid over it. If the copy moved in between, it starts
 * again: the newest state decides.
 *
 * A wrong check value of a clean copy: below has the same data. Of a dirty
 * copy: the read fails, and so does every other until the block is overwritten.
 */
#include "core.h"

#include <assert.h>
#include <errno.h>

static void look(struct engine *engine, struct io_slot *slot);

static void end(struct engine *engine, struct io_slot *slot, int status)
{
	if (slot->buffer)
		io_buffer_put(engine, slot->buffer);
	slot->buffer = NULL;
	if (status < 0 && slot->request->status == 0)
		slot->request->status = status;
	slot->checked += slot->piece_count;
	read_run_check(engine, slot);
}

static uint64_t block_of(const struct io_slot *slot)
{
	return log_block_of(slot->piece_sector);
}

static uint64_t offset_of(const struct io_slot *slot)
{
	return (slot->piece_sector - slot->request->sector) * LOG_SECTOR_BYTES;
}

/* Sectors of the block that this read wants. */
static uint8_t wanted(const struct io_slot *slot)
{
	return log_sector_mask(block_of(slot), slot->piece_sector,
			       slot->piece_count);
}

/* Hands out the sectors of the buffer that are both wanted and cached. */
static void lay_over(struct engine *engine, struct io_slot *slot)
{
	uint64_t begin = block_of(slot) * LOG_SECTORS_PER_BLOCK;

	for (uint64_t i = 0; i < slot->piece_count; i++) {
		uint64_t in_block = slot->piece_sector + i - begin;

		if (!(slot->piece.mask >> in_block & 1))
			continue;
		io_copy_out(engine, slot->request,
			    offset_of(slot) + i * LOG_SECTOR_BYTES,
			    slot->buffer + in_block * LOG_SECTOR_BYTES,
			    LOG_SECTOR_BYTES);
	}
}

/* Points the io at the piece's place in the guest's memory. */
static void aim_at_guest(struct io_slot *slot)
{
	struct iov_cursor cursor = io_seek(slot->request, offset_of(slot));
	uint64_t bytes;

	slot->io.iov = slot->iov;
	slot->io.length = slot->piece_count * LOG_SECTOR_BYTES;
	slot->io.iov_count = io_slice(slot->request, &cursor, slot->io.length,
				      slot->iov, SLOT_IOV_MAX, &bytes);
	assert(bytes == slot->io.length);
}

static void from_below(struct engine *engine, struct io_slot *slot,
		       void (*done)(struct engine *, struct engine_io *, int))
{
	slot->io = (struct engine_io){
		.type = ENGINE_BELOW_READ,
		.offset = slot->piece_sector * LOG_SECTOR_BYTES,
		.done = done,
		.owner = slot,
	};
	aim_at_guest(slot);
	io_out(engine, &slot->io);
}

static bool moved(const struct engine *engine, const struct io_slot *slot)
{
	return index_get(&engine->index, block_of(slot)).location !=
	       slot->piece.location;
}

static void below_only(struct engine *engine, struct engine_io *io, int status)
{
	struct io_slot *slot = io->owner;

	/* It was cached meanwhile, so what came may be too old. */
	if (status == 0 && moved(engine, slot))
		look(engine, slot);
	else
		end(engine, slot, status);
}

static bool copy_good(const struct engine *engine, const struct io_slot *slot)
{
	struct iov_cursor cursor = {0};
	uint32_t seed = log_check_seed(
		engine->identity.uuid,
		segments_sequence(&engine->segments, slot->piece.location));

	return io_check(seed, block_of(slot), slot->iov, &cursor) ==
	       slot->piece.check;
}

/* @wrong: it was read, and isn't what was written. */
static void copy_bad(struct engine *engine, struct io_slot *slot, bool wrong)
{
	engine->stats.bad_blocks++;
	kept_doubt(engine);
	if (index_get(&engine->index, block_of(slot)).dirty &&
	    !engine_bug(engine, ENGINE_BUG_STALE_ON_ERROR)) {
		/* A read that failed may succeed another time. */
		if (wrong)
			apply_lost(engine, block_of(slot));
		end(engine, slot, -EIO);
		return;
	}
	from_below(engine, slot, below_only);
}

static void copy_read(struct engine *engine, struct engine_io *io, int status)
{
	struct io_slot *slot = io->owner;
	bool good = status == 0 && copy_good(engine, slot);

	engine->segments.segments[slot->piece_segment].readers--;
	slot->piece_pinned = false;
	if (good && slot->direct) {
		end(engine, slot, 0);
	} else if (moved(engine, slot)) {
		look(engine, slot);
	} else if (good) {
		lay_over(engine, slot);
		end(engine, slot, 0);
	} else if (slot->direct) {
		slot->suspicious = true;
		look(engine, slot);
	} else {
		copy_bad(engine, slot, status == 0);
	}
}

static void read_copy(struct engine *engine, struct io_slot *slot)
{
	slot->piece_segment =
		segments_of(&engine->segments, slot->piece.location);
	slot->piece_pinned = true;
	engine->segments.segments[slot->piece_segment].readers++;
	slot->io = (struct engine_io){
		.type = ENGINE_SSD_READ,
		.offset = (uint64_t)slot->piece.location * LOG_BLOCK_BYTES,
		.done = copy_read,
		.owner = slot,
	};
	if (slot->direct) {
		aim_at_guest(slot);
	} else {
		slot->iov[0] = (struct iovec){slot->buffer, LOG_BLOCK_BYTES};
		slot->io.iov = slot->iov;
		slot->io.iov_count = 1;
		slot->io.length = LOG_BLOCK_BYTES;
	}
	io_out(engine, &slot->io);
}

/* The sectors that aren't cached are there: now those that are. */
static void rest_there(struct engine *engine, struct engine_io *io, int status)
{
	struct io_slot *slot = io->owner;

	if (status < 0)
		end(engine, slot, status);
	else if (moved(engine, slot))
		look(engine, slot);
	else
		read_copy(engine, slot);
}

/* It became zeros since the read was issued. */
static void zeros(struct engine *engine, struct io_slot *slot)
{
	struct iov_cursor cursor = io_seek(slot->request, offset_of(slot));

	io_zero(slot->request, &cursor, slot->piece_count * LOG_SECTOR_BYTES);
	end(engine, slot, 0);
}

static void look(struct engine *engine, struct io_slot *slot)
{
	slot->piece = index_get(&engine->index, block_of(slot));
	slot->direct = !slot->suspicious &&
		       slot->piece.mask == LOG_MASK_WHOLE &&
		       wanted(slot) == LOG_MASK_WHOLE;
	if (engine_bug(engine, ENGINE_BUG_PART_SERVED_WHOLE) &&
	    slot->piece.location != 0)
		slot->piece.mask = LOG_MASK_WHOLE;
	if (slot->piece.location == 0) {
		from_below(engine, slot, below_only);
	} else if (slot->piece.zero) {
		zeros(engine, slot);
	} else if (slot->piece.lost) {
		end(engine, slot, -EIO);
	} else if (!slot->direct && !slot->buffer &&
		   !(slot->buffer = io_buffer_get(engine, false))) {
		/* It looks again when there is one. */
		list_append(&engine->reads.pieces, &slot->link);
	} else if ((wanted(slot) & ~slot->piece.mask) != 0) {
		from_below(engine, slot, rest_there);
	} else {
		read_copy(engine, slot);
	}
}

void piece_start(struct engine *engine, struct io_slot *slot, uint64_t sector,
		 uint64_t count)
{
	slot->piece_sector = sector;
	slot->piece_count = count;
	slot->suspicious = false;
	look(engine, slot);
}

void piece_advance(struct engine *engine)
{
	struct list *pieces = &engine->reads.pieces;

	while (!list_is_empty(pieces) && io_buffers_free(engine, 1)) {
		struct io_slot *slot =
			list_entry(pieces->next, struct io_slot, link);

		list_remove(&slot->link);
		list_init(&slot->link);
		look(engine, slot);
	}
}
