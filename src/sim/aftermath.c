// SPDX-License-Identifier: Apache-2.0
/*
 * aftermath.c - what a crash leaves of a world, and whether it is right.
 */
#include <string.h>

#include "guest.h"
#include "log_format.h"
#include "storage.h"
#include "world.h"

void world_crash(struct world *to, const struct world *from,
		 enum world_crash kind)
{
	medium_copy(&to->ssd, &from->ssd);
	medium_copy(&to->below, &from->below);
	to->options.mode = from->options.mode;
	to->now_ns = from->now_ns;
	to->failure[0] = 0;
	to->drained = false;
	for (uint32_t i = 0; i < from->io_count; i++) {
		const struct engine_io *io = from->ios[i].io;
		struct medium *medium =
			io->type == ENGINE_SSD_WRITE ? &to->ssd : &to->below;

		if (io->type == ENGINE_BELOW_ZERO &&
		    (kind == WORLD_POWER_FAILURE ||
		     random_percent(&to->random, 50)))
			storage_zero(to, medium, io,
				     kind == WORLD_POWER_FAILURE);
		if (io->type != ENGINE_SSD_WRITE &&
		    io->type != ENGINE_BELOW_WRITE)
			continue;
		if (kind == WORLD_PROCESS_KILLED) {
			/* The kernel ends what it has, or never began. */
			if (random_percent(&to->random, 50))
				medium_write(medium, io->offset, io->iov,
					     io->iov_count);
		} else {
			medium_write_torn(medium, &to->random, io->offset,
					  io->iov, io->iov_count);
		}
	}
	if (kind == WORLD_POWER_FAILURE) {
		medium_power_failure(&to->ssd, &to->random);
		medium_power_failure(&to->below, &to->random);
	}
}

static bool check_sector(struct world *world, enum world_crash kind,
			 uint64_t time, uint64_t sector, const uint8_t *bytes,
			 bool settle)
{
	uint64_t floor = kind == WORLD_PROCESS_KILLED
				 ? oracle_floor(world->oracle, sector, time)
				 : world->oracle->sectors[sector].durable_floor;
	char message[160];
	uint64_t version = oracle_check(world->oracle, sector, bytes, floor,
					message, sizeof(message));

	if (version == UINT64_MAX) {
		world_fail(world, "after a crash: %s", message);
		return false;
	}
	if (settle && kind == WORLD_POWER_FAILURE)
		oracle_settle(world->oracle, sector, version);
	else if (settle)
		oracle_seen(world->oracle, sector, version);
	return true;
}

bool world_check_all(struct world *world, enum world_crash kind, uint64_t time,
		     bool settle)
{
	uint64_t disk = world->options.disk_bytes / ORACLE_SECTOR_BYTES;
	struct world_request *request = &world->requests[0];
	bool guest = world->guest;
	/* A block that can't be read hides nothing but itself. */
	uint64_t most = world->may_fail ? LOG_SECTORS_PER_BLOCK
					: WORLD_REQUEST_SECTORS_MAX;

	world->guest = false;
	world->aftermath = true;
	for (uint64_t sector = 0; sector < disk;) {
		uint64_t count = disk - sector;

		if (count > most)
			count = most;
		/* Its bytes are checked here, not as a guest's read. */
		guest_submit(world, request, ENGINE_READ, sector, count);
		memset(request->floors, 0, sizeof(request->floors));
		world_pump(world);
		if (!world_settle(world))
			break;
		for (uint64_t i = 0; i < count; i++) {
			if (request->engine.status < 0)
				break;
			if (!check_sector(world, kind, time, sector + i,
					  request->bytes +
						  i * ORACLE_SECTOR_BYTES,
					  settle))
				break;
		}
		sector += count;
	}
	world->guest = guest;
	world->aftermath = false;
	return !world->failure[0];
}

bool world_check_backend(struct world *world)
{
	uint64_t disk = world->options.disk_bytes / ORACLE_SECTOR_BYTES;
	enum world_crash kind = WORLD_PROCESS_KILLED;

	/* All is durable there, but for what the guest knows to be lost. */
	if (world->options.kind == WORLD_FAULTY) {
		oracle_flushed(world->oracle, world->oracle->time);
		kind = WORLD_POWER_FAILURE;
	}

	for (uint64_t sector = 0; sector < disk; sector++) {
		if (!check_sector(world, kind, world->oracle->time, sector,
				  world->below.durable +
					  sector * ORACLE_SECTOR_BYTES,
				  false))
			return false;
	}
	return true;
}
