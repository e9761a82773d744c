// SPDX-License-Identifier: Apache-2.0
/*
 * world.c - see world.h.
 */
#include "world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "log_format.h"

#define STEP_NS 50000u
#define STEPS_MAX 200000u
#define SECTORS_PER_BLOCK (LOG_BLOCK_BYTES / ORACLE_SECTOR_BYTES)

static const uint8_t UUID[16] = {'s', 'i', 'm', 'u', 'l', 'a', 't', 'e'};

static const char *const IO_NAMES[] = {
	[ENGINE_SSD_READ] = "  ssd read",
	[ENGINE_SSD_WRITE] = "  ssd write",
	[ENGINE_SSD_FLUSH] = "  ssd flush",
	[ENGINE_BELOW_READ] = "  below read",
	[ENGINE_BELOW_WRITE] = "  below write",
	[ENGINE_BELOW_FLUSH] = "  below flush",
};

static const char *const OPERATION_NAMES[] = {
	[ENGINE_READ] = "-> read",
	[ENGINE_WRITE] = "-> write",
	[ENGINE_FLUSH] = "-> flush",
};

void world_fail(struct world *world, const char *format, ...)
{
	va_list arguments;

	if (world->failure[0])
		return;
	va_start(arguments, format);
	vsnprintf(world->failure, sizeof(world->failure), format, arguments);
	va_end(arguments);
}

/* Goes into the hash, and onto the terminal when somebody looks. */
static void trace(struct world *world, const char *what, uint64_t place,
		  uint64_t amount)
{
	uint64_t numbers[] = {(uint64_t)what[0], place, amount};

	world->trace = crc32c(world->trace, numbers, sizeof(numbers));
	if (world->options.verbose && !world->witness)
		printf("%8llu %-14s %8llu %6llu\n",
		       (unsigned long long)world->oracle->time, what,
		       (unsigned long long)place, (unsigned long long)amount);
}

void world_options_draw(struct world_options *options, struct random *random)
{
	static const enum engine_mode modes[] = {
		ENGINE_WRITE_BACK, ENGINE_WRITE_BACK, ENGINE_WRITE_BACK,
		ENGINE_WRITE_THROUGH, ENGINE_WRITE_AROUND};
	uint32_t segments = 8 + (uint32_t)random_below(random, 9);
	uint64_t sectors = (8 + random_below(random, 56)) * SECTORS_PER_BLOCK;

	/* Some disks end inside a block. */
	if (random_percent(random, 20))
		sectors -= random_below(random, SECTORS_PER_BLOCK);
	*options = (struct world_options){
		.disk_bytes = sectors * ORACLE_SECTOR_BYTES,
		.segment_blocks = random_percent(random, 70) ? 8 : 16,
		.records_in_flight = 1 + (uint32_t)random_below(random, 4),
		.queue_depth = 1 + (uint32_t)random_below(random, 12),
		.write_blocks_max = 1 + (uint32_t)random_below(random, 6),
		.read_blocks_max = 1 + (uint32_t)random_below(random, 16),
		.part_percent = (uint32_t)random_below(random, 3) * 20,
		.read_percent = 10 + (uint32_t)random_below(random, 40),
		.flush_percent = 2 + (uint32_t)random_below(random, 15),
		.fua_percent = (uint32_t)random_below(random, 3) * 10,
		.mutate_percent = random_percent(random, 25) ? 10 : 0,
		.mode_percent = random_percent(random, 25) ? 1 : 0,
		.drain_percent = random_percent(random, 50) ? 1 : 0,
		.complete_percent = 30 + (uint32_t)random_below(random, 50),
		.hot_blocks = 1 + random_below(random, 8),
		.mode = modes[random_below(random, 5)],
	};
	options->file_bytes =
		((uint64_t)log_first_segment_block(options->segment_blocks) +
		 (uint64_t)segments * options->segment_blocks) *
		LOG_BLOCK_BYTES;
}

static struct engine_config config_of(const struct world *world,
				      bool may_format)
{
	struct engine_config config = {
		.disk_bytes = world->options.disk_bytes,
		.file_bytes = world->options.file_bytes,
		.epoch = 1,
		.max_dirty_age_ns = STEP_NS * 200ull,
		.mode = world->options.mode,
		.segment_blocks = world->options.segment_blocks,
		.records_in_flight_max = world->options.records_in_flight,
		.dirty_limit_percent = 70,
		.may_format = may_format,
		.planted_bug = (uint32_t)world->options.bug,
	};

	memcpy(config.uuid, UUID, sizeof(UUID));
	return config;
}

static void allocate(struct world *world)
{
	struct engine_config config = config_of(world, true);
	size_t request_bytes = WORLD_REQUEST_SECTORS_MAX * ORACLE_SECTOR_BYTES;

	medium_init(&world->ssd, world->options.file_bytes);
	medium_init(&world->below, world->options.disk_bytes);
	world->memory_bytes = engine_memory_bytes(&config);
	world->memory = aligned_alloc(LOG_BLOCK_BYTES, world->memory_bytes);
	world->request_memory = calloc(WORLD_REQUESTS_MAX, request_bytes);
	assert(world->memory && world->request_memory);
	for (uint32_t i = 0; i < WORLD_REQUESTS_MAX; i++)
		world->requests[i].bytes =
			world->request_memory + i * request_bytes;
}

void world_init(struct world *world, const struct world_options *options,
		uint64_t seed, struct oracle *oracle)
{
	*world = (struct world){
		.options = *options,
		.random = {seed},
		.oracle = oracle,
		.guest = true,
	};
	allocate(world);
}

void world_init_like(struct world *world, const struct world *model)
{
	*world = (struct world){
		.options = model->options,
		.oracle = model->oracle,
		.witness = true,
	};
	allocate(world);
}

void world_free(struct world *world)
{
	medium_free(&world->ssd);
	medium_free(&world->below);
	free(world->memory);
	free(world->request_memory);
}

void world_boot(struct world *world, bool may_format)
{
	struct engine_config config = config_of(world, may_format);
	struct error error = {0};

	memset(world->memory, 0, world->memory_bytes);
	world->io_count = 0;
	for (uint32_t i = 0; i < WORLD_REQUESTS_MAX; i++)
		world->requests[i].busy = false;
	if (engine_create(&config, world->memory, world->memory_bytes,
			  &world->engine, &error) < 0)
		world_fail(world, "engine_create: %s", error.message);
	else
		engine_start(world->engine);
}

/* Takes the engine's actions and what it completed. */
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
	}
}

static void acknowledge(struct world *world, struct world_request *request)
{
	oracle_tick(world->oracle);
	for (uint64_t i = 0; i < request->engine.sector_count; i++) {
		uint64_t sector = request->engine.sector + i;

		oracle_acked(world->oracle, sector, request->versions[i],
			     request->engine.fua);
		if (request->changed[i])
			oracle_acked(world->oracle, sector, request->changed[i],
				     request->engine.fua);
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

static void complete(struct world *world, struct world_request *request)
{
	if (!request->busy)
		world_fail(world, "a request completed twice");
	request->busy = false;
	check_memory_free(world, request);
	trace(world, "<- request", (uint64_t)(request - world->requests),
	      (uint64_t)-request->engine.status);
	if (request->engine.status < 0) {
		world_fail(world, "a request failed with %d: %s",
			   request->engine.status,
			   engine_failure(world->engine)->message);
		return;
	}
	switch (request->engine.operation) {
	case ENGINE_READ:
		check_read(world, request);
		return;
	case ENGINE_WRITE:
		acknowledge(world, request);
		return;
	case ENGINE_FLUSH:
		if (!world->witness)
			oracle_flushed(world->oracle, request->submitted);
		return;
	}
}

static void drain_engine(struct world *world)
{
	struct engine_io *io;
	struct engine_request *request;

	engine_poll(world->engine, world->now_ns);
	while ((io = engine_next_io(world->engine)) != NULL) {
		struct world_io *slot = &world->ios[world->io_count++];

		assert(world->io_count <= WORLD_IOS_MAX);
		*slot = (struct world_io){
			.io = io,
			.ssd_writes = world->ssd.write_count,
			.below_writes = world->below.write_count,
		};
		trace(world, IO_NAMES[io->type], io->offset, io->length);
	}
	while ((request = engine_next_completed(world->engine)) != NULL)
		complete(world, request->owner);
}

/* The flushes that are under way cover fewer writes now. */
static void adjust_flushes(struct world *world, bool ssd, size_t flushed)
{
	for (uint32_t i = 0; i < world->io_count; i++) {
		size_t *covers = ssd ? &world->ios[i].ssd_writes
				     : &world->ios[i].below_writes;

		*covers = *covers > flushed ? *covers - flushed : 0;
	}
}

static void finish_io(struct world *world, uint32_t chosen)
{
	struct world_io slot = world->ios[chosen];
	struct engine_io *io = slot.io;

	world->ios[chosen] = world->ios[--world->io_count];
	trace(world, "io ends", io->offset, (uint64_t)io->type);
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
	drain_engine(world);
}

static struct world_request *free_request(struct world *world)
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

static void submit(struct world *world, struct world_request *request,
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
	trace(world, OPERATION_NAMES[operation], sector, sectors);
	engine_submit(world->engine, &request->engine);
}

static void choose_range(struct world *world, bool write, uint64_t *ret_sector,
			 uint64_t *ret_sectors)
{
	struct random *random = &world->random;
	const struct world_options *options = &world->options;
	uint64_t disk = options->disk_bytes / ORACLE_SECTOR_BYTES;
	uint64_t blocks = (disk + SECTORS_PER_BLOCK - 1) / SECTORS_PER_BLOCK;
	uint64_t near =
		random_percent(random, 60) ? options->hot_blocks : blocks;
	uint64_t sector = random_below(random, near < blocks ? near : blocks) *
			  SECTORS_PER_BLOCK;
	uint64_t sectors =
		(1 + random_below(random, write ? options->write_blocks_max
						: options->read_blocks_max)) *
		SECTORS_PER_BLOCK;

	if (random_percent(random, options->part_percent) ||
	    (!write && random_percent(random, 20))) {
		sector += random_below(random, SECTORS_PER_BLOCK);
		sectors = 1 + random_below(random, 2 * SECTORS_PER_BLOCK);
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
	world->oracle->oldest_read = oldest;
}

static void submit_write(struct world *world, struct world_request *request)
{
	uint64_t sector;
	uint64_t sectors;

	choose_range(world, true, &sector, &sectors);
	note_oldest_read(world);
	for (uint64_t i = 0; i < sectors; i++) {
		request->versions[i] =
			oracle_write(world->oracle, sector + i,
				     request->bytes + i * ORACLE_SECTOR_BYTES);
		request->changed[i] = 0;
	}
	request->engine.fua =
		random_percent(&world->random, world->options.fua_percent);
	submit(world, request, ENGINE_WRITE, sector, sectors);
}

static void submit_something(struct world *world)
{
	struct world_request *request = free_request(world);
	uint64_t choice = random_below(&world->random, 100);
	uint64_t sector;
	uint64_t sectors;

	if (!request)
		return;
	request->engine.fua = false;
	if (choice < world->options.flush_percent) {
		submit(world, request, ENGINE_FLUSH, 0, 0);
	} else if (choice <
		   world->options.flush_percent + world->options.read_percent) {
		choose_range(world, false, &sector, &sectors);
		submit(world, request, ENGINE_READ, sector, sectors);
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

static void guest_step(struct world *world)
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
	if (random_percent(random, options->mutate_percent))
		change_a_buffer(world);
	submit_something(world);
	/* Now and then several requests arrive before the engine looks. */
	if (random_percent(random, 60))
		drain_engine(world);
}

bool world_step(struct world *world)
{
	bool may_submit = world->guest &&
			  engine_state(world->engine) == ENGINE_RUNNING &&
			  free_request(world);
	uint64_t next;

	world->now_ns += STEP_NS;
	if (may_submit && (world->io_count == 0 ||
			   !random_percent(&world->random,
					   world->options.complete_percent))) {
		guest_step(world);
		return true;
	}
	if (world->io_count > 0) {
		finish_io(world, (uint32_t)random_below(&world->random,
							world->io_count));
		return true;
	}
	drain_engine(world);
	if (world->io_count > 0 || (world->guest && free_request(world)))
		return true;
	next = engine_next_poll_ns(world->engine);
	if (next == 0)
		return false;
	if (next > world->now_ns)
		world->now_ns = next;
	drain_engine(world);
	return true;
}

bool world_recover(struct world *world)
{
	for (uint32_t i = 0; i < STEPS_MAX; i++) {
		switch (engine_state(world->engine)) {
		case ENGINE_RUNNING:
			return true;
		case ENGINE_FAILED:
			world_fail(world, "recovery failed: %s",
				   engine_failure(world->engine)->message);
			return false;
		case ENGINE_STARTING:
			world_step(world);
			break;
		}
	}
	world_fail(world, "recovery doesn't end");
	return false;
}

static bool requests_busy(const struct world *world)
{
	for (uint32_t i = 0; i < WORLD_REQUESTS_MAX; i++) {
		if (world->requests[i].busy)
			return true;
	}
	return false;
}

bool world_settle(struct world *world)
{
	bool guest = world->guest;

	world->guest = false;
	for (uint32_t i = 0; i < STEPS_MAX && requests_busy(world); i++) {
		if (world->failure[0] || !world_step(world))
			break;
	}
	world->guest = guest;
	if (requests_busy(world))
		world_fail(world, "requests don't end");
	return !world->failure[0];
}

bool world_drain(struct world *world)
{
	bool guest = world->guest;

	if (!world_settle(world))
		return false;
	world->guest = false;
	engine_set_draining(world->engine, true);
	drain_engine(world);
	for (uint32_t i = 0; i < STEPS_MAX && !engine_clean(world->engine);
	     i++) {
		if (world->failure[0] || !world_step(world))
			break;
	}
	world->guest = guest;
	if (!engine_clean(world->engine)) {
		/* Write-through leaves below's flush to the guest's FLUSH. */
		struct world_request *request = &world->requests[0];

		submit(world, request, ENGINE_FLUSH, 0, 0);
		drain_engine(world);
		world_settle(world);
	}
	if (!engine_clean(world->engine))
		world_fail(world, "draining doesn't end");
	engine_set_draining(world->engine, world->drained);
	return !world->failure[0];
}

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

	world->guest = false;
	for (uint64_t sector = 0; sector < disk;) {
		uint64_t count = disk - sector;

		if (count > WORLD_REQUEST_SECTORS_MAX)
			count = WORLD_REQUEST_SECTORS_MAX;
		/* Its bytes are checked here, not as a guest's read. */
		submit(world, request, ENGINE_READ, sector, count);
		memset(request->floors, 0, sizeof(request->floors));
		drain_engine(world);
		if (!world_settle(world))
			break;
		for (uint64_t i = 0; i < count; i++) {
			if (!check_sector(world, kind, time, sector + i,
					  request->bytes +
						  i * ORACLE_SECTOR_BYTES,
					  settle))
				break;
		}
		sector += count;
	}
	world->guest = guest;
	return !world->failure[0];
}

bool world_check_backend(struct world *world)
{
	uint64_t disk = world->options.disk_bytes / ORACLE_SECTOR_BYTES;

	for (uint64_t sector = 0; sector < disk; sector++) {
		if (!check_sector(world, WORLD_PROCESS_KILLED,
				  world->oracle->time, sector,
				  world->below.durable +
					  sector * ORACLE_SECTOR_BYTES,
				  false))
			return false;
	}
	return true;
}
