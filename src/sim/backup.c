// SPDX-License-Identifier: Apache-2.0
/*
 * backup.c - see backup.h.
 */
#include "backup.h"

#include "world.h"

#define TIMEOUT_STEPS_MAX 3000u

static bool writes_below(const struct engine_io *io)
{
	return io->type == ENGINE_BELOW_WRITE || io->type == ENGINE_BELOW_ZERO;
}

static uint64_t sector_count(const struct world *world)
{
	return world->options.disk_bytes / ORACLE_SECTOR_BYTES;
}

bool backup_begin(struct world *world, uint64_t timeout_ns)
{
	world->backup = (struct backup){0};
	world_trace(world, "hold", timeout_ns, 0);
	return engine_hold(world->engine, timeout_ns) == 0;
}

static void note_point(struct world *world)
{
	struct backup *backup = &world->backup;

	backup->fixed = true;
	backup->time = world->oracle->time;
	for (uint64_t sector = 0; sector < sector_count(world); sector++)
		backup->floors[sector] =
			oracle_floor(world->oracle, sector, backup->time);
}

static void check_sector(struct world *world, uint64_t sector,
			 const uint8_t *bytes, const char *where)
{
	const struct backup *backup = &world->backup;
	uint64_t version = oracle_identify(sector, bytes);

	if (version == UINT64_MAX)
		world_fail(world, "held: sector %llu %s isn't one",
			   (unsigned long long)sector, where);
	else if (!oracle_allows_between(world->oracle, sector, version,
					backup->floors[sector], backup->time))
		world_fail(world,
			   "held: sector %llu %s: version %llu isn't of that "
			   "moment",
			   (unsigned long long)sector, where,
			   (unsigned long long)version);
}

/* A flush that failed may have forgotten what the guest knows to be lost. */
static bool durable_is_known(const struct world *world)
{
	return world->options.kind != WORLD_FAULTY;
}

static void check(struct world *world)
{
	/* Of an SSD that lied nobody can say which version it still has. */
	if (world->options.kind == WORLD_LYING)
		return;
	for (uint64_t sector = 0; sector < sector_count(world); sector++) {
		check_sector(world, sector,
			     medium_visible(&world->below, sector), "below");
		if (durable_is_known(world))
			check_sector(world, sector,
				     medium_durable(&world->below, sector),
				     "durable below");
	}
	if (durable_is_known(world) && world->below.write_count > 0)
		world_fail(world, "held: below has not been flushed");
}

static void note_held(struct world *world)
{
	world->backup.held = true;
	world_trace(world, "held", world->backup.time, 0);
	for (uint32_t i = 0; i < world->io_count; i++) {
		if (writes_below(world->ios[i].io))
			world_fail(world, "held while a write below is on its "
					  "way");
	}
	check(world);
}

void backup_watch(struct world *world)
{
	struct backup *backup = &world->backup;

	switch (engine_hold_now(world->engine).state) {
	case ENGINE_HOLD_MAKING:
		if (!backup->fixed)
			note_point(world);
		return;
	case ENGINE_HOLD_HELD:
		if (!backup->fixed)
			note_point(world);
		if (!backup->held)
			note_held(world);
		return;
	case ENGINE_HOLD_NONE:
	case ENGINE_HOLD_GATHERING:
	case ENGINE_HOLD_ENDED:
		return;
	}
}

void backup_watch_io(struct world *world, const struct engine_io *io)
{
	if (writes_below(io) &&
	    engine_hold_now(world->engine).state == ENGINE_HOLD_HELD)
		world_fail(world, "a write below under a hold");
}

bool backup_end(struct world *world)
{
	bool held = engine_hold_now(world->engine).state == ENGINE_HOLD_HELD;
	bool good;

	if (held)
		check(world);
	good = engine_release(world->engine) == 0;
	if (good != held)
		world_fail(world, "a release says the wrong thing");
	world_trace(world, "release", good, 0);
	world->backup = (struct backup){0};
	return good;
}

void backup_step(struct world *world)
{
	struct random *random = &world->random;
	uint64_t steps;

	switch (engine_hold_now(world->engine).state) {
	case ENGINE_HOLD_NONE:
		steps = 1 + random_below(random, TIMEOUT_STEPS_MAX);
		backup_begin(world, steps * WORLD_STEP_NS);
		return;
	case ENGINE_HOLD_GATHERING:
	case ENGINE_HOLD_MAKING:
		/* Few are given up before there was anything to copy. */
		if (random_percent(random, 5))
			backup_end(world);
		return;
	case ENGINE_HOLD_HELD:
	case ENGINE_HOLD_ENDED:
		if (random_percent(random, 30))
			backup_end(world);
		return;
	}
}

uint64_t backup_oldest_read(const struct world *world, uint64_t oldest)
{
	const struct backup *backup = &world->backup;

	return backup->fixed && backup->time < oldest ? backup->time : oldest;
}
