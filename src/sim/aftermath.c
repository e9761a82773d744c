// SPDX-License-Identifier: Apache-2.0
/*
 * aftermath.c - what a crash leaves of a world, and whether it is right.
 */
#include <string.h>

#include "guest.h"
#include "log_format.h"
#include "storage.h"
#include "world.h"

static uint64_t sector_count(const struct world *world)
{
	return world->options.disk_bytes / ORACLE_SECTOR_BYTES;
}

void world_take(struct world *to, const struct world *from)
{
	medium_copy(&to->ssd, &from->ssd);
	medium_copy(&to->below, &from->below);
	to->sidecar = from->sidecar;
	to->options.mode = from->options.mode;
	to->now_ns = from->now_ns;
	to->failure[0] = 0;
	to->drained = false;
}

static bool is_write(const struct engine_io *io)
{
	return io->type == ENGINE_SSD_WRITE || io->type == ENGINE_BELOW_WRITE ||
	       io->type == ENGINE_BELOW_ZERO;
}

static void arrive(struct world *media, const struct engine_io *io)
{
	if (io->type == ENGINE_BELOW_ZERO)
		storage_zero(media, &media->below, io, false);
	else
		medium_write(io->type == ENGINE_SSD_WRITE ? &media->ssd
							  : &media->below,
			     io->offset, io->iov, io->iov_count);
}

uint32_t world_arrive(struct world *media, const struct world *world,
		      uint64_t which)
{
	uint32_t writes = 0;

	for (uint32_t i = 0; i < world->io_count; i++) {
		const struct engine_io *io = world->ios[i].io;

		if (!is_write(io))
			continue;
		if (which >> writes++ % 64 & 1)
			arrive(media, io);
	}
	return writes;
}

void world_crash(struct world *world, enum world_crash kind)
{
	struct random *random = &world->random;
	struct medium_fate fate;

	if (kind == WORLD_PROCESS_KILLED) {
		/* The kernel ends what it has, or never began. */
		world_arrive(world, world, random_next(random));
		return;
	}
	world_arrive(world, world, UINT64_MAX);
	fate = medium_fate_draw(&world->ssd, random);
	medium_power_failure(&world->ssd, fate, random);
	fate = medium_fate_draw(&world->below, random);
	medium_power_failure(&world->below, fate, random);
}

/* A block that can't be read hides nothing but itself. */
static uint64_t read_most(const struct world *world)
{
	return world->may_fail ? LOG_SECTORS_PER_BLOCK
			       : WORLD_REQUEST_SECTORS_MAX;
}

static bool identify(struct world *world, const struct world_request *request,
		     uint64_t *ret_versions)
{
	for (uint64_t i = 0; i < request->engine.sector_count; i++) {
		uint64_t sector = request->engine.sector + i;

		ret_versions[sector] =
			request->engine.status < 0
				? WORLD_UNREADABLE
				: oracle_identify(
					  sector,
					  request->bytes +
						  i * ORACLE_SECTOR_BYTES);
		if (ret_versions[sector] != UINT64_MAX)
			continue;
		world_fail(world, "sector %llu: not a version of it",
			   (unsigned long long)sector);
		return false;
	}
	return true;
}

bool world_read_all(struct world *world, uint64_t *ret_versions)
{
	uint64_t disk = sector_count(world);
	struct world_request *request = &world->requests[0];
	bool guest = world->guest;

	world->guest = false;
	world->aftermath = true;
	for (uint64_t sector = 0; sector < disk;) {
		uint64_t count = disk - sector;

		if (count > read_most(world))
			count = read_most(world);
		guest_submit(world, request, ENGINE_READ, sector, count);
		world_pump(world);
		if (!world_settle(world) ||
		    !identify(world, request, ret_versions))
			break;
		sector += count;
	}
	world->guest = guest;
	world->aftermath = false;
	return !world->failure[0];
}

/* What must hold after a crash at @time. */
static uint64_t floor_after(const struct oracle *oracle, enum world_crash kind,
			    uint64_t time, uint64_t sector)
{
	return kind == WORLD_PROCESS_KILLED
		       ? oracle_floor(oracle, sector, time)
		       : oracle->sectors[sector].durable_floor;
}

static bool check_version(struct world *world, enum world_crash kind,
			  uint64_t time, uint64_t sector, uint64_t version)
{
	const struct oracle *oracle = world->oracle;
	uint64_t floor = floor_after(oracle, kind, time, sector);

	/* Of an SSD that lied nobody can say which version it still has. */
	if (world->lied || version == WORLD_UNREADABLE ||
	    oracle_allows(oracle, sector, version, floor))
		return true;
	world_fail(world,
		   "after a crash: sector %llu: version %llu is too old: one "
		   "submitted at %llu must hold",
		   (unsigned long long)sector, (unsigned long long)version,
		   (unsigned long long)floor);
	return false;
}

bool world_check_killed(struct world *world, uint64_t time,
			const uint64_t *versions)
{
	for (uint64_t sector = 0; sector < sector_count(world); sector++) {
		if (!check_version(world, WORLD_PROCESS_KILLED, time, sector,
				   versions[sector]))
			return false;
	}
	return true;
}

bool world_check_versions(struct world *world, enum world_crash kind,
			  const uint64_t *versions, bool settle)
{
	for (uint64_t sector = 0; sector < sector_count(world); sector++) {
		uint64_t version = versions[sector];

		if (!check_version(world, kind, world->oracle->time, sector,
				   version))
			return false;
		if (!settle)
			continue;
		if (version == WORLD_UNREADABLE) {
			if (kind == WORLD_POWER_FAILURE)
				oracle_unread(world->oracle, sector);
			continue;
		}
		version =
			oracle_which(world->oracle, sector, version,
				     floor_after(world->oracle, kind,
						 world->oracle->time, sector));
		if (kind == WORLD_POWER_FAILURE)
			oracle_settle(world->oracle, sector, version);
		else
			oracle_seen(world->oracle, sector, version);
	}
	return true;
}

bool world_check_all(struct world *world, enum world_crash kind, bool settle)
{
	uint64_t versions[WORLD_SECTORS_MAX];

	return world_read_all(world, versions) &&
	       world_check_versions(world, kind, versions, settle);
}

bool world_check_drained(struct world *world, const uint64_t *versions)
{
	if (!world_drain(world))
		return false;
	for (uint64_t sector = 0; sector < sector_count(world); sector++) {
		uint64_t version = oracle_identify(
			sector, medium_durable(&world->below, sector));

		if (version == versions[sector])
			continue;
		world_fail(world,
			   "drained: sector %llu: version %llu is below, %llu "
			   "was read before",
			   (unsigned long long)sector,
			   (unsigned long long)version,
			   (unsigned long long)versions[sector]);
		return false;
	}
	return true;
}

bool world_check_backend(struct world *world)
{
	uint64_t versions[WORLD_SECTORS_MAX];
	enum world_crash kind = WORLD_PROCESS_KILLED;

	/* All is durable there, but for what the guest knows to be lost. */
	if (world->options.kind == WORLD_FAULTY) {
		oracle_flushed(world->oracle, world->oracle->time);
		kind = WORLD_POWER_FAILURE;
	}
	for (uint64_t sector = 0; sector < sector_count(world); sector++) {
		versions[sector] = oracle_identify(
			sector, medium_durable(&world->below, sector));
		if (versions[sector] == UINT64_MAX) {
			world_fail(world, "below: sector %llu isn't one",
				   (unsigned long long)sector);
			return false;
		}
	}
	return world_check_versions(world, kind, versions, false);
}
