// SPDX-License-Identifier: Apache-2.0
/*
 * storage.c - see storage.h.
 */
#include "storage.h"

/* The flushes that are under way cover fewer writes now. */
static void adjust_flushes(struct world *world, bool ssd, size_t flushed)
{
	for (uint32_t i = 0; i < world->io_count; i++) {
		size_t *covers = ssd ? &world->ios[i].ssd_writes
				     : &world->ios[i].below_writes;

		*covers = *covers > flushed ? *covers - flushed : 0;
	}
}

void storage_end(struct world *world, uint32_t chosen)
{
	struct world_io slot = world->ios[chosen];
	struct engine_io *io = slot.io;

	world->ios[chosen] = world->ios[--world->io_count];
	world_trace(world, "io ends", io->offset, (uint64_t)io->type);
	switch (io->type) {
	case ENGINE_SSD_READ:
		medium_read(&world->ssd, io->offset, io->iov, io->iov_count);
		break;
	case ENGINE_SSD_WRITE:
		medium_write(&world->ssd, io->offset, io->iov, io->iov_count);
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
	case ENGINE_BELOW_FLUSH:
		medium_flush(&world->below, slot.below_writes);
		adjust_flushes(world, false, slot.below_writes);
		break;
	}
	engine_io_done(world->engine, io, 0);
	world_pump(world);
}
