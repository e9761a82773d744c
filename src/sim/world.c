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

#include "backup.h"
#include "crc32c.h"
#include "guest.h"
#include "log_format.h"
#include "space.h"
#include "storage.h"

#define SECOND_NS 1000000000u
#define STEPS_MAX WORLD_LIVENESS_EVENTS

static const uint8_t UUID[16] = {'s', 'i', 'm', 'u', 'l', 'a', 't', 'e'};

static const char *const IO_NAMES[] = {
	[ENGINE_SSD_READ] = "  ssd read",
	[ENGINE_SSD_WRITE] = "  ssd write",
	[ENGINE_SSD_FLUSH] = "  ssd flush",
	[ENGINE_BELOW_READ] = "  below read",
	[ENGINE_BELOW_WRITE] = "  below write",
	[ENGINE_BELOW_FLUSH] = "  below flush",
	[ENGINE_BELOW_ZERO] = "  below zero",
	[ENGINE_VOID] = "  void",
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
void world_trace(struct world *world, const char *what, uint64_t place,
		 uint64_t amount)
{
	uint64_t numbers[] = {(uint64_t)what[0], place, amount};

	world->trace = crc32c(world->trace, numbers, sizeof(numbers));
	if (world->options.verbose && !world->witness)
		printf("%8llu %-14s %8llu %6llu\n",
		       (unsigned long long)world->oracle->time, what,
		       (unsigned long long)place, (unsigned long long)amount);
}

static void draw_crowd(struct world_options *options, struct random *random)
{
	options->queue_depth = 8 + (uint32_t)random_below(random, 17);
	options->write_blocks_max = 1 + (uint32_t)random_below(random, 12);
	options->hot_blocks = 1 + random_below(random, 4);
	options->read_percent = 10;
	options->mutate_percent = random_percent(random, 60) ? 60 : 0;
	options->mode = (enum engine_mode)(1 + random_below(random, 3));
	options->mode_percent = random_percent(random, 50) ? 2 : 0;
	options->complete_percent = 20 + (uint32_t)random_below(random, 30);
}

/* Each kind of I/O fails often, seldom or never. */
static void draw_faults(struct world_options *options, struct random *random)
{
	for (uint32_t i = 0; i < WORLD_IO_TYPES; i++)
		options->fault_permille[i] =
			random_percent(random, 60)
				? (uint32_t)random_below(random, 200)
				: 0;
	options->fault_permille[ENGINE_BELOW_FLUSH] *= 2;
	options->mode_percent = 3;
	/* Five in a row, and a dirty block counts as lost. */
	options->fault_permille[ENGINE_SSD_READ] /= 4;
	/* One that fails ends the engine, or the SSD. */
	options->fault_permille[ENGINE_SSD_FLUSH] /= 20;
	options->withdraws = random_percent(random, 60);
	/* What is lost with an SSD is the unit tests' question. */
	if (options->withdraws)
		options->fault_permille[ENGINE_SSD_READ] = 0;
}

static void draw_lies(struct world_options *options, struct random *random)
{
	options->lie_permille = 1 + (uint32_t)random_below(random, 20);
	options->mode_percent = random_percent(random, 50) ? 1 : 0;
}

static void draw_geometry(struct world_options *options, struct random *random)
{
	uint32_t segments = ENGINE_SEGMENTS_MIN;
	uint64_t blocks = 3 + random_below(random, 14);
	uint64_t sectors;

	/* Half of the logs are as small as can be, half of the disks, too. */
	if (random_percent(random, 50))
		segments += (uint32_t)random_below(random, 9);
	if (random_percent(random, 50))
		blocks = 8 + random_below(random, 56);
	sectors = blocks * LOG_SECTORS_PER_BLOCK;
	/* Some disks end inside a block. */
	if (random_percent(random, 20))
		sectors -= random_below(random, LOG_SECTORS_PER_BLOCK);
	options->disk_bytes = sectors * ORACLE_SECTOR_BYTES;
	options->segment_blocks = random_percent(random, 80) ? 8 : 16;
	options->file_bytes =
		((uint64_t)log_first_segment_block(options->segment_blocks) +
		 (uint64_t)segments * options->segment_blocks) *
		LOG_BLOCK_BYTES;
}

/* How often one looks, and how much has happened by then. */
static void draw_looks(struct world_options *options, struct random *random)
{
	static const uint32_t often[] = {1000, 1000, 300, 100, 20};
	/* Crowds and faults need time to do harm, and the log to go around. */
	static const uint32_t seldom[] = {200, 100, 50, 20, 5};
	uint64_t choice = random_below(random, 5);

	options->look_permille =
		options->kind == WORLD_CALM ? often[choice] : seldom[choice];
	options->warm_events = (uint32_t)random_below(random, 400);
}

static void draw_guest(struct world_options *options, struct random *random)
{
	options->queue_depth = 1 + (uint32_t)random_below(random, 12);
	options->write_blocks_max = 1 + (uint32_t)random_below(random, 6);
	options->read_blocks_max = 1 + (uint32_t)random_below(random, 16);
	options->part_percent = (uint32_t)random_below(random, 3) * 20;
	options->read_percent = 10 + (uint32_t)random_below(random, 40);
	options->flush_percent = 2 + (uint32_t)random_below(random, 15);
	options->fua_percent = (uint32_t)random_below(random, 3) * 10;
	options->mutate_percent = random_percent(random, 25) ? 10 : 0;
	options->mode_percent = random_percent(random, 25) ? 1 : 0;
	options->drain_percent = random_percent(random, 50) ? 1 : 0;
	options->complete_percent = 30 + (uint32_t)random_below(random, 50);
	options->hot_blocks = 1 + random_below(random, 8);
}

/*
 * In few worlds, and what is drawn otherwise stays as it is: @random is a copy.
 */
static void draw_holds(struct world_options *options, struct random random)
{
	if (random_percent(&random, 30))
		options->hold_percent = 1 + (uint32_t)random_below(&random, 8);
}

/* From a number that was drawn: one more would change all other lives. */
static void take_pace(struct world_options *options)
{
	options->paced = options->warm_events % 2 != 0;
	if (options->warm_events / 2 % 4 == 0)
		options->max_dirty_bytes = options->file_bytes / 8;
	if (options->warm_events / 8 % 4 == 0)
		options->destage_bytes_per_s =
			LOG_BLOCK_BYTES * (SECOND_NS / WORLD_STEP_NS) / 10;
}

/* A statement a draw: compilers choose the order within one. */
void world_options_draw(struct world_options *options, struct random *random,
			enum world_kind kind)
{
	static const enum engine_mode modes[] = {
		ENGINE_WRITE_BACK, ENGINE_WRITE_BACK, ENGINE_WRITE_BACK,
		ENGINE_WRITE_THROUGH, ENGINE_WRITE_AROUND};

	*options = (struct world_options){.kind = kind};
	draw_geometry(options, random);
	draw_guest(options, random);
	options->records_in_flight = 1 + (uint32_t)random_below(random, 4);
	options->dirty_limit_percent =
		random_percent(random, 60)
			? 70
			: 20 + (uint32_t)random_below(random, 81);
	options->mode = modes[random_below(random, 5)];
	options->summaries = random_percent(random, 60);
	options->durable_writes = random_percent(random, 10);
	if (random_percent(random, 70)) {
		options->zero_percent = 5 + (uint32_t)random_below(random, 40);
		options->zeroing_blocks_max =
			1 + (uint32_t)random_below(random, 24);
	}
	options->outage_permille = random_percent(random, 20) ? 2 : 0;
	if (kind == WORLD_CROWDED)
		draw_crowd(options, random);
	if (kind == WORLD_FAULTY)
		draw_faults(options, random);
	if (kind == WORLD_LYING)
		draw_lies(options, random);
	draw_looks(options, random);
	draw_holds(options, *random);
	take_pace(options);
	space_draw(options, random);
}

static struct engine_config config_of(const struct world *world,
				      bool may_format)
{
	struct engine_config config = {
		.disk_bytes = world->options.disk_bytes,
		.file_bytes = world->options.file_bytes,
		.epoch = 1,
		.max_dirty_age_ns = WORLD_STEP_NS * 200ull,
		.max_dirty_bytes = world->options.max_dirty_bytes,
		.destage_bytes_per_s = world->options.destage_bytes_per_s,
		.paced = world->options.paced,
		.mode = world->options.mode,
		.segment_blocks = world->options.segment_blocks,
		.records_in_flight_max = world->options.records_in_flight,
		.durable_writes = world->options.durable_writes,
		.dirty_limit_percent = world->options.dirty_limit_percent,
		.summaries = world->options.summaries,
		.granted_segments = space_at_start(world),
		.may_format = may_format,
		.zeroing_blocks_max = world->options.zeroing_blocks_max,
		.planted_bug = (uint32_t)world->options.bug,
	};

	memcpy(config.uuid, UUID, sizeof(UUID));
	if (world->options.withdraws) {
		config.may_withdraw = true;
		config.below.looked = true;
		config.below.found = world->sidecar.generation;
		config.below.next = world->sidecar.generation + 1;
		config.below.voided = world->sidecar.voided;
	}
	return config;
}

static void allocate(struct world *world)
{
	struct engine_config config = config_of(world, true);
	size_t request_bytes = WORLD_REQUEST_SECTORS_MAX * ORACLE_SECTOR_BYTES;

	medium_init(&world->ssd, world->options.file_bytes);
	medium_init(&world->below, world->options.disk_bytes);
	memory_init(&world->own, engine_memory_bytes(&config));
	world->kept_bytes = engine_kept_bytes(&config);
	memory_init(&world->outliving, world->kept_bytes);
	world->memory = (struct engine_memory){
		.own = world->own.base,
		.kept = world->outliving.base,
	};
	world->request_memory = calloc(WORLD_REQUESTS_MAX, request_bytes);
	assert(world->request_memory);
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
		.sidecar.generation = 1,
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
	memory_free(&world->own);
	memory_free(&world->outliving);
	free(world->request_memory);
}

static void create(struct world *world, const struct engine_config *config)
{
	struct error error = {0};

	if (engine_create(config, &world->memory, &world->engine, &error) < 0)
		world_fail(world, "engine_create: %s", error.message);
}

/* A new engine; where it is known what that looks like, for little. */
static void new_engine(struct world *world, bool may_format)
{
	struct engine_config config = config_of(world, may_format);

	if (world->kept && world->kept_mode == config.mode &&
	    world->kept_format == may_format && !world->options.withdraws) {
		memory_back(&world->own);
		memory_back(&world->outliving);
		return;
	}
	memory_clear(&world->own);
	memory_clear(&world->outliving);
	create(world, &config);
	memory_keep(&world->own);
	memory_keep(&world->outliving);
	world->kept = true;
	world->kept_mode = config.mode;
	world->kept_format = may_format;
}

static void reset(struct world *world)
{
	world_trace(world, "boot", (uint64_t)world->options.mode, 0);
	world->io_count = 0;
	world->taken = false;
	world->backup = (struct backup){0};
	world->lied = false;
	world->outage_events = 0;
	for (uint32_t i = 0; i < WORLD_REQUESTS_MAX; i++)
		world->requests[i].busy = false;
}

void world_boot(struct world *world, bool may_format)
{
	reset(world);
	new_engine(world, may_format);
	if (!world->failure[0])
		engine_start(world->engine);
}

void world_boot_warm(struct world *world)
{
	struct engine_config config = config_of(world, true);

	reset(world);
	config.warm = true;
	memory_clear(&world->own);
	/* What it would go back to fits the other part no more. */
	world->kept = false;
	create(world, &config);
	if (!world->failure[0])
		engine_start(world->engine);
}

/* Before anything is written below, the host says that it has them. */
static void take_below(struct world *world)
{
	if (world->taken || engine_state(world->engine) != ENGINE_RUNNING)
		return;
	world->taken = true;
	world->sidecar.generation++;
}

void world_pump(struct world *world)
{
	struct engine_io *io;
	struct engine_request *request;

	engine_poll(world->engine, world->now_ns);
	take_below(world);
	backup_watch(world);
	while ((io = engine_next_io(world->engine)) != NULL) {
		struct world_io *slot = &world->ios[world->io_count++];

		assert(world->io_count <= WORLD_IOS_MAX);
		*slot = (struct world_io){
			.io = io,
			.number = ++world->io_number,
			.ssd_writes = world->ssd.write_count,
			.below_writes = world->below.write_count,
		};
		world_trace(world, IO_NAMES[io->type], io->offset, io->length);
		backup_watch_io(world, io);
	}
	while ((request = engine_next_completed(world->engine)) != NULL)
		guest_complete(world, request->owner);
	space_take_back(world);
}

static void begin_outage(struct world *world)
{
	struct random *random = &world->random;

	if (world->options.outage_permille == 0 || world->witness ||
	    !world->guest ||
	    random_below(random, 1000) >= world->options.outage_permille)
		return;
	world->outage_events = 1 + (uint32_t)random_below(random, 300);
	/* Only where requests may fail does below say so. */
	world->outage_hangs = !world->may_fail || random_percent(random, 50);
}

/* One of the I/Os that may end now. Returns: false if there is none. */
static bool choose_io(struct world *world, uint32_t *ret_chosen)
{
	bool hangs = world->outage_events > 0 && world->outage_hangs;
	uint32_t start =
		(uint32_t)random_below(&world->random, world->io_count);
	bool found = false;

	for (uint32_t i = 0; i < world->io_count; i++) {
		uint32_t at = (start + i) % world->io_count;
		uint64_t number = world->ios[at].number;
		uint64_t best = world->ios[*ret_chosen].number;

		if (hangs && world->ios[at].io->type >= ENGINE_BELOW_READ)
			continue;
		if (!found ||
		    (world->options.order == WORLD_OLDEST_FIRST &&
		     number < best) ||
		    (world->options.order == WORLD_NEWEST_FIRST &&
		     number > best))
			*ret_chosen = at;
		found = true;
		if (world->options.order == WORLD_BY_CHANCE)
			break;
	}
	return found;
}

/* The guest's turn rather than the storage's? */
static bool guest_turn(struct world *world)
{
	return world->guest && engine_state(world->engine) == ENGINE_RUNNING &&
	       guest_idle(world) &&
	       (world->io_count == 0 ||
		!random_percent(&world->random,
				world->options.complete_percent));
}

bool world_step(struct world *world)
{
	uint32_t chosen = 0;
	uint64_t next;

	world->now_ns += WORLD_STEP_NS;
	if (world->outage_events > 0)
		world->outage_events--;
	else
		begin_outage(world);
	if (guest_turn(world)) {
		guest_step(world);
		return true;
	}
	/* Not at once: it is another process that has to find the space. */
	if (world->options.granted_segments > 0 &&
	    random_percent(&world->random, 30) && space_hand_over(world)) {
		world_pump(world);
		return true;
	}
	if (world->io_count > 0 && choose_io(world, &chosen)) {
		storage_end(world, chosen);
		return true;
	}
	world_pump(world);
	if (world->io_count > 0 || (world->guest && guest_idle(world)))
		return true;
	next = engine_next_poll_ns(world->engine);
	if (next == 0) {
		bool handed = space_hand_over(world);

		world_pump(world);
		return handed || world->io_count > 0;
	}
	if (next > world->now_ns)
		world->now_ns = next;
	world_pump(world);
	return true;
}

bool world_started(struct world *world)
{
	for (uint32_t i = 0; i < STEPS_MAX; i++) {
		if (engine_state(world->engine) != ENGINE_STARTING)
			return engine_state(world->engine) == ENGINE_RUNNING;
		world_step(world);
	}
	world_fail(world, "recovery doesn't end");
	return false;
}

bool world_recover(struct world *world)
{
	if (world_started(world))
		return true;
	world_fail(world, "recovery failed: %s",
		   engine_failure(world->engine)->message);
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
	uint32_t events = 0;

	world->guest = false;
	for (; events < STEPS_MAX && requests_busy(world); events++) {
		if (world->failure[0] || !world_step(world))
			break;
	}
	world->guest = guest;
	if (requests_busy(world))
		world_fail(world, "requests don't end");
	if (events > world->settle_events_max)
		world->settle_events_max = events;
	return !world->failure[0];
}

bool world_flush(struct world *world)
{
	guest_submit(world, &world->requests[0], ENGINE_FLUSH, 0, 0);
	world_pump(world);
	return world_settle(world);
}

/* What an SSD that lies has lost is never drained, and the engine says so. */
static bool gave_up(const struct world *world)
{
	return world->options.kind == WORLD_LYING &&
	       engine_drain_failed(world->engine);
}

bool world_drain(struct world *world)
{
	bool guest = world->guest;

	if (!world_settle(world))
		return false;
	backup_end(world);
	world->guest = false;
	engine_set_draining(world->engine, true);
	world_pump(world);
	for (uint32_t i = 0;
	     i < STEPS_MAX && !engine_clean(world->engine) && !gave_up(world);
	     i++) {
		if (world->failure[0] || !world_step(world))
			break;
	}
	world->guest = guest;
	if (!engine_clean(world->engine)) {
		/* Write-through leaves below's flush to the guest's FLUSH. */
		world_flush(world);
	}
	if (!engine_clean(world->engine) && !gave_up(world))
		world_fail(world, "draining doesn't end");
	engine_set_draining(world->engine, world->drained);
	return !world->failure[0];
}

bool world_close(struct world *world, uint64_t steps)
{
	bool guest = world->guest;

	world->guest = false;
	engine_close(world->engine);
	world_pump(world);
	for (uint64_t i = 0; i < steps && !engine_closed(world->engine); i++) {
		if (world->failure[0])
			break;
		if (!world_step(world) && !engine_closed(world->engine))
			world_fail(world, "closing doesn't go on");
	}
	world->guest = guest;
	return engine_closed(world->engine);
}
