// SPDX-License-Identifier: Apache-2.0
/*
 * storage.c - see storage.h.
 */
#include "storage.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "damage.h"
#include "log_format.h"

/* The flushes that are under way cover fewer writes now. */
static void adjust_flushes(struct world *world, bool ssd, size_t flushed)
{
	for (uint32_t i = 0; i < world->io_count; i++) {
		size_t *covers = ssd ? &world->ios[i].ssd_writes
				     : &world->ios[i].below_writes;

		*covers = *covers > flushed ? *covers - flushed : 0;
	}
}

static bool io_fails(struct world *world, enum engine_io_type type)
{
	uint32_t permille = world->options.fault_permille[type];

	if (world->outage_events > 0 && type >= ENGINE_BELOW_READ)
		return true;
	return world->faults && permille > 0 &&
	       random_below(&world->random, 1000) < permille;
}

/* Nobody may use what a read that failed has left in memory. */
static void spoil(const struct engine_io *io)
{
	for (uint32_t i = 0; i < io->iov_count; i++)
		memset(io->iov[i].iov_base, 0xee, io->iov[i].iov_len);
}

void storage_zero(struct world *world, struct medium *medium,
		  const struct engine_io *io, bool torn)
{
	struct iovec zeros = {calloc(1, io->length), io->length};

	assert(zeros.iov_base);
	if (torn)
		medium_write_torn(medium, &world->random, io->offset, &zeros,
				  1);
	else
		medium_write(medium, io->offset, &zeros, 1);
	free(zeros.iov_base);
}

static void fail_io(struct world *world, const struct world_io *slot)
{
	const struct engine_io *io = slot->io;

	switch (io->type) {
	case ENGINE_SSD_READ:
	case ENGINE_BELOW_READ:
		spoil(io);
		break;
	case ENGINE_SSD_WRITE:
		medium_write_torn(&world->ssd, &world->random, io->offset,
				  io->iov, io->iov_count);
		break;
	case ENGINE_BELOW_WRITE:
		medium_write_torn(&world->below, &world->random, io->offset,
				  io->iov, io->iov_count);
		break;
	case ENGINE_BELOW_ZERO:
		storage_zero(world, &world->below, io, true);
		break;
	case ENGINE_SSD_FLUSH:
		/* What was written stays as it was: perhaps durable. */
		break;
	case ENGINE_VOID:
		break;
	case ENGINE_BELOW_FLUSH:
		/* As a page cache does it: once told, it forgets. */
		medium_flush_failed(&world->below, &world->random,
				    slot->below_writes);
		adjust_flushes(world, false, slot->below_writes);
		break;
	}
}

static uint64_t log_begin(const struct world *world)
{
	return (uint64_t)log_first_segment_block(
		       world->options.segment_blocks) *
	       LOG_BLOCK_BYTES;
}

/* A bit of the log rots. */
static void rot(struct world *world)
{
	uint64_t begin = log_begin(world);
	uint64_t at = begin + random_below(&world->random,
					   world->options.file_bytes - begin);

	world->lied = true;
	world_trace(world, "  a bit rots", at, 1);
	damage_bit(world, at);
}

/* The SSD says that it has written, but not there, or nowhere. */
static bool write_lies(struct world *world, const struct engine_io *io)
{
	struct random *random = &world->random;
	uint64_t begin = log_begin(world);
	uint64_t places;

	if (!world->faults || world->options.lie_permille == 0 ||
	    io->offset < begin ||
	    random_below(random, 1000) >= world->options.lie_permille)
		return false;
	world->lied = true;
	world_trace(world, "  and lies", io->offset, io->length);
	if (random_percent(random, 50))
		return true;
	places = (world->options.file_bytes - begin - io->length) /
			 LOG_BLOCK_BYTES +
		 1;
	medium_write(&world->ssd,
		     begin + random_below(random, places) * LOG_BLOCK_BYTES,
		     io->iov, io->iov_count);
	return true;
}

void storage_end(struct world *world, uint32_t chosen)
{
	struct world_io slot = world->ios[chosen];
	struct engine_io *io = slot.io;

	world->ios[chosen] = world->ios[--world->io_count];
	world_trace(world, "io ends", io->offset, (uint64_t)io->type);
	if (world->faults && world->options.lie_permille > 0 &&
	    random_below(&world->random, 2000) < world->options.lie_permille)
		rot(world);
	if (io_fails(world, io->type)) {
		world_trace(world, "  and fails", io->offset,
			    (uint64_t)io->type);
		fail_io(world, &slot);
		engine_io_done(world->engine, slot.io, -EIO);
		world_pump(world);
		return;
	}
	switch (io->type) {
	case ENGINE_SSD_READ:
		medium_read(&world->ssd, io->offset, io->iov, io->iov_count);
		break;
	case ENGINE_SSD_WRITE:
		if (!write_lies(world, io))
			medium_write(&world->ssd, io->offset, io->iov,
				     io->iov_count);
		break;
	case ENGINE_SSD_FLUSH:
		medium_flush(&world->ssd, slot.ssd_writes);
		adjust_flushes(world, true, slot.ssd_writes);
		break;
	case ENGINE_BELOW_READ:
		medium_read(&world->below, io->offset, io->iov, io->iov_count);
		break;
	case ENGINE_BELOW_WRITE:
		medium_write(&world->below, io->offset, io->iov, io->iov_count);
		break;
	case ENGINE_BELOW_ZERO:
		storage_zero(world, &world->below, io, false);
		break;
	case ENGINE_BELOW_FLUSH:
		medium_flush(&world->below, slot.below_writes);
		adjust_flushes(world, false, slot.below_writes);
		break;
	case ENGINE_VOID:
		world->sidecar.voided = world->sidecar.generation;
		world->sidecar.generation++;
		world->voids++;
		break;
	}
	engine_io_done(world->engine, io, 0);
	world_pump(world);
}
