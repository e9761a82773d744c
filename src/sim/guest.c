// SPDX-License-Identifier: Apache-2.0
/*
 * guest.c - see guest.h.
 */
#include "guest.h"

#include "backup.h"
#include "log_format.h"
#include "space.h"

static const char *const OPERATION_NAMES[] = {
	[ENGINE_READ] = "-> read",	 [ENGINE_WRITE] = "-> write",
	[ENGINE_FLUSH] = "-> flush",	 [ENGINE_ZERO] = "-> zero",
	[ENGINE_DISCARD] = "-> discard",
};

static void check_read(struct world *world, struct world_request *request)
{
	for (uint64_t i = 0; i < request->engine.sector_count; i++) {
		uint64_t sector = request->engine.sector + i;
		char message[160];
		uint64_t version = oracle_check(
			world->oracle, sector,
			request->bytes + i * ORACLE_SECTOR_BYTES,
			request->floors[i], message, sizeof(message));

		if (version == UINT64_MAX)
			world_fail(world, "read: %s", message);
		else if (!world->witness &&
			 !oracle_read(world->oracle, sector, version,
				      request->submitted))
			world_fail(world,
				   "read: sector %llu: version %llu is back",
				   (unsigned long long)sector,
				   (unsigned long long)version);
	}
}

static void acknowledge(struct world *world, struct world_request *request)
{
	bool durable = request->engine.fua || world->options.durable_writes;

	oracle_tick(world->oracle);
	for (uint64_t i = 0; i < request->engine.sector_count; i++) {
		uint64_t sector = request->engine.sector + i;

		oracle_acked(world->oracle, sector, request->versions[i],
			     durable);
		if (request->changed[i])
			oracle_acked(world->oracle, sector, request->changed[i],
				     durable);
	}
}

/* Is a completed request's memory still used by an I/O under way? */
static void check_memory_free(struct world *world,
			      const struct world_request *request)
{
	const uint8_t *begin = request->bytes;
	const uint8_t *end =
		begin + WORLD_REQUEST_SECTORS_MAX * ORACLE_SECTOR_BYTES;

	for (uint32_t i = 0; i < world->io_count; i++) {
		const struct engine_io *io = world->ios[i].io;

		for (uint32_t j = 0; j < io->iov_count; j++) {
			const uint8_t *at = io->iov[j].iov_base;

			if (at >= begin && at < end)
				world_fail(world, "an I/O uses the memory of a "
						  "completed request");
		}
	}
}

/* The guest knows that these needn't be durable, ever. */
static void note_failure(struct world *world,
			 const struct world_request *request)
{
	if (request->engine.operation == ENGINE_FLUSH)
		oracle_flush_failed(world->oracle);
	if (request->engine.operation == ENGINE_FLUSH ||
	    request->engine.operation == ENGINE_READ)
		return;
	for (uint64_t i = 0; i < request->engine.sector_count; i++)
		oracle_write_failed(world->oracle, request->engine.sector + i,
				    request->versions[i], request->changed[i]);
}

void guest_complete(struct world *world, struct world_request *request)
{
	if (!request->busy)
		world_fail(world, "a request completed twice");
	request->busy = false;
	check_memory_free(world, request);
	world_trace(world, "<- request", (uint64_t)(request - world->requests),
		    (uint64_t)-request->engine.status);
	if (request->engine.status < 0 && world->may_fail) {
		if (!world->witness)
			note_failure(world, request);
		return;
	}
	if (request->engine.status < 0) {
		world_fail(world, "a request failed with %d: %s",
			   request->engine.status,
			   engine_failure(world->engine)->message);
		return;
	}
	switch (request->engine.operation) {
	case ENGINE_READ:
		/* What reads a whole disk after a crash looks by itself. */
		if (!world->aftermath)
			check_read(world, request);
		return;
	case ENGINE_WRITE:
	case ENGINE_ZERO:
	case ENGINE_DISCARD:
		acknowledge(world, request);
		return;
	case ENGINE_FLUSH:
		if (!world->witness)
			oracle_flushed(world->oracle, request->submitted);
		return;
	}
}

struct world_request *guest_idle(struct world *world)
{
	for (uint32_t i = 0; i < world->options.queue_depth; i++) {
		if (!world->requests[i].busy)
			return &world->requests[i];
	}
	return NULL;
}

/* What was acked before a read is submitted must be seen by it. */
static void note_floors(struct world *world, struct world_request *request)
{
	for (uint64_t i = 0; i < request->engine.sector_count; i++)
		request->floors[i] =
			world->witness
				? 0
				: oracle_floor(world->oracle,
					       request->engine.sector + i,
					       request->submitted);
}

void guest_submit(struct world *world, struct world_request *request,
		  enum engine_operation operation, uint64_t sector,
		  uint64_t sectors)
{
	uint64_t split = sectors / 2 * ORACLE_SECTOR_BYTES;
	uint64_t bytes = sectors * ORACLE_SECTOR_BYTES;

	request->engine.operation = operation;
	request->engine.sector = sector;
	request->engine.sector_count = sectors;
	request->engine.owner = request;
	request->iov[0] = (struct iovec){request->bytes, split};
	request->iov[1] = (struct iovec){request->bytes + split, bytes - split};
	request->engine.iov = split ? request->iov : request->iov + 1;
	request->engine.iov_count = split ? 2 : 1;
	request->busy = true;
	request->submitted = oracle_tick(world->oracle);
	if (operation == ENGINE_READ)
		note_floors(world, request);
	world_trace(world, OPERATION_NAMES[operation], sector, sectors);
	engine_submit(world->engine, &request->engine);
}

static void choose_range(struct world *world, bool write, uint64_t *ret_sector,
			 uint64_t *ret_sectors)
{
	struct random *random = &world->random;
	const struct world_options *options = &world->options;
	uint64_t disk = options->disk_bytes / ORACLE_SECTOR_BYTES;
	uint64_t blocks =
		(disk + LOG_SECTORS_PER_BLOCK - 1) / LOG_SECTORS_PER_BLOCK;
	uint64_t near =
		random_percent(random, 60) ? options->hot_blocks : blocks;
	uint64_t sector = random_below(random, near < blocks ? near : blocks) *
			  LOG_SECTORS_PER_BLOCK;
	uint64_t sectors =
		(1 + random_below(random, write ? options->write_blocks_max
						: options->read_blocks_max)) *
		LOG_SECTORS_PER_BLOCK;

	if (random_percent(random, options->part_percent) ||
	    (!write && random_percent(random, 20))) {
		sector += random_below(random, LOG_SECTORS_PER_BLOCK);
		sectors = 1 + random_below(random, 2 * LOG_SECTORS_PER_BLOCK);
	}
	if (sector >= disk)
		sector = disk - 1;
	if (sectors > disk - sector)
		sectors = disk - sector;
	*ret_sector = sector;
	*ret_sectors = sectors;
}

static void note_oldest_read(struct world *world)
{
	uint64_t oldest = world->oracle->time;

	for (uint32_t i = 0; i < WORLD_REQUESTS_MAX; i++) {
		const struct world_request *request = &world->requests[i];

		if (request->busy && request->submitted < oldest)
			oldest = request->submitted;
	}
	world->oracle->oldest_read = backup_oldest_read(world, oldest);
}

void guest_write(struct world *world, struct world_request *request,
		 uint64_t sector, uint64_t sectors)
{
	note_oldest_read(world);
	for (uint64_t i = 0; i < sectors; i++) {
		request->versions[i] =
			oracle_write(world->oracle, sector + i,
				     request->bytes + i * ORACLE_SECTOR_BYTES);
		request->changed[i] = 0;
	}
	guest_submit(world, request, ENGINE_WRITE, sector, sectors);
}

static void submit_write(struct world *world, struct world_request *request)
{
	uint64_t sector;
	uint64_t sectors;

	choose_range(world, true, &sector, &sectors);
	request->engine.fua =
		random_percent(&world->random, world->options.fua_percent);
	guest_write(world, request, sector, sectors);
}

/* Ranges that take several parts, too. */
static void submit_zeroes(struct world *world, struct world_request *request)
{
	struct random *random = &world->random;
	uint64_t disk = world->options.disk_bytes / ORACLE_SECTOR_BYTES;
	uint64_t sector;
	uint64_t sectors;

	choose_range(world, true, &sector, &sectors);
	if (random_percent(random, 40))
		sectors += random_below(random,
					WORLD_REQUEST_SECTORS_MAX - sectors);
	if (sectors > disk - sector)
		sectors = disk - sector;
	note_oldest_read(world);
	for (uint64_t i = 0; i < sectors; i++) {
		request->versions[i] = oracle_zero(world->oracle, sector + i);
		request->changed[i] = 0;
	}
	request->engine.fua =
		random_percent(random, world->options.fua_percent);
	request->engine.no_hole = random_percent(random, 30);
	guest_submit(world, request,
		     random_percent(random, 50) ? ENGINE_ZERO : ENGINE_DISCARD,
		     sector, sectors);
}

static void submit_something(struct world *world)
{
	struct world_request *request = guest_idle(world);
	uint64_t choice = random_below(&world->random, 100);
	uint64_t sector;
	uint64_t sectors;

	if (!request)
		return;
	request->engine.fua = false;
	if (choice < world->options.flush_percent) {
		guest_submit(world, request, ENGINE_FLUSH, 0, 0);
	} else if (choice <
		   world->options.flush_percent + world->options.read_percent) {
		choose_range(world, false, &sector, &sectors);
		guest_submit(world, request, ENGINE_READ, sector, sectors);
	} else if (world->options.zero_percent > 0 &&
		   random_percent(&world->random,
				  world->options.zero_percent)) {
		submit_zeroes(world, request);
	} else {
		submit_write(world, request);
	}
}

/* The guest writes into a buffer that is being written. */
static void change_a_buffer(struct world *world)
{
	struct world_request *request = &world->requests[random_below(
		&world->random, world->options.queue_depth)];
	uint64_t i;

	if (!request->busy || request->engine.operation != ENGINE_WRITE)
		return;
	i = random_below(&world->random, request->engine.sector_count);
	if (request->changed[i])
		return;
	request->changed[i] = oracle_change(
		world->oracle, request->engine.sector + i, request->versions[i],
		request->bytes + i * ORACLE_SECTOR_BYTES);
}

void guest_step(struct world *world)
{
	struct random *random = &world->random;
	const struct world_options *options = &world->options;

	if (random_percent(random, options->mode_percent)) {
		enum engine_mode mode =
			(enum engine_mode)(1 + random_below(random, 3));

		world->options.mode = mode;
		engine_set_mode(world->engine, mode);
	}
	if (random_percent(random, options->drain_percent)) {
		world->drained = !world->drained;
		engine_set_draining(world->engine, world->drained);
	}
	if (options->hold_percent > 0 &&
	    random_percent(random, options->hold_percent))
		backup_step(world);
	if (options->grant_percent > 0 &&
	    random_percent(random, options->grant_percent))
		space_change(world);
	if (random_percent(random, options->mutate_percent))
		change_a_buffer(world);
	submit_something(world);
	/* Now and then several requests arrive before the engine looks. */
	if (random_percent(random, 60))
		world_pump(world);
}
