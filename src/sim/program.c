// SPDX-License-Identifier: Apache-2.0
/*
 * program.c - see program.h.
 */
#include "program.h"

#include <stdio.h>
#include <string.h>

#include "backup.h"
#include "crc32c.h"
#include "guest.h"
#include "log_format.h"

#define BLOCKS 3u
#define SEGMENT_BLOCKS 8u
#define SECTORS (BLOCKS * LOG_SECTORS_PER_BLOCK)
/* An operation that takes more has come to a stop. */
#define EVENTS_MAX 2000u
/* The log that is about to wrap has no more free segments than that. */
#define FULL_SEGMENTS 3u
#define FILLERS_MAX 60u
/* Longer than any program. */
#define HOLD_NS 1000000000000ull

enum operation {
	WRITE_0,
	WRITE_1,
	WRITE_ALL,
	WRITE_PART_0,
	WRITE_PART_1_2, /* the end of one block, the beginning of the next */
	WRITE_0_FUA,
	WRITE_1_GO_ON, /* isn't waited for */
	READ_ALL,
	FLUSH,
	DRAIN,
	HOLD, /* or release */
	SWITCH_THROUGH, /* or back */
	SWITCH_AROUND, /* or back */
	RESTART,
	KILL,
	POWER_FAILURE,
	OPERATIONS
};

static const char *const NAMES[OPERATIONS] = {
	[WRITE_0] = "write 0",
	[WRITE_1] = "write 1",
	[WRITE_ALL] = "write all",
	[WRITE_PART_0] = "write part of 0",
	[WRITE_PART_1_2] = "write parts of 1 and 2",
	[WRITE_0_FUA] = "write 0 with FUA",
	[WRITE_1_GO_ON] = "write 1 and go on",
	[READ_ALL] = "read all",
	[FLUSH] = "flush",
	[DRAIN] = "drain",
	[HOLD] = "hold",
	[SWITCH_THROUGH] = "write-through",
	[SWITCH_AROUND] = "write-around",
	[RESTART] = "restart",
	[KILL] = "kill",
	[POWER_FAILURE] = "power failure",
};

struct place {
	uint64_t sector;
	uint64_t count;
};

static const struct place PLACES[OPERATIONS] = {
	[WRITE_0] = {0, 8},	    [WRITE_1] = {8, 8},
	[WRITE_ALL] = {0, SECTORS}, [WRITE_PART_0] = {2, 3},
	[WRITE_PART_1_2] = {14, 4}, [WRITE_0_FUA] = {0, 8},
	[WRITE_1_GO_ON] = {8, 8},   [READ_ALL] = {0, SECTORS},
};

struct machine {
	struct world lives;
	struct oracle oracle;
	struct look look;
	struct medium blank_ssd;
	struct medium blank_below;
	struct program_result *result;
	enum operation operations[PROGRAM_OPERATIONS_MAX];
	uint32_t length;
	bool full; /* the log is about to wrap */
	bool looking;
};

static bool good(const struct machine *machine)
{
	return !machine->look.failure[0];
}

static void look(struct machine *machine)
{
	look_report(&machine->look, &machine->lives, "life");
	if (machine->looking && good(machine))
		look_at(&machine->look, &machine->lives);
}

/* Returns: false if nothing goes on. */
static bool step(struct machine *machine)
{
	bool went_on = world_step(&machine->lives);

	machine->result->events++;
	look(machine);
	return went_on && good(machine);
}

static void wait_for(struct machine *machine,
		     const struct world_request *request)
{
	for (uint32_t i = 0; request->busy && i < EVENTS_MAX; i++) {
		if (!step(machine))
			break;
	}
	if (request->busy && good(machine))
		world_fail(&machine->lives, "a request doesn't end");
	look_report(&machine->look, &machine->lives, "waiting");
}

static void wait_for_all(struct machine *machine)
{
	for (uint32_t i = 0; i < WORLD_REQUESTS_MAX; i++) {
		if (good(machine))
			wait_for(machine, &machine->lives.requests[i]);
	}
}

static void do_request(struct machine *machine, enum operation operation)
{
	struct world *lives = &machine->lives;
	struct world_request *request = guest_idle(lives);
	const struct place *place = &PLACES[operation];

	if (!request) {
		wait_for_all(machine);
		request = guest_idle(lives);
	}
	if (!good(machine))
		return;
	request->engine.fua = operation == WRITE_0_FUA;
	request->engine.admit = operation == READ_ALL;
	if (operation == READ_ALL || operation == FLUSH)
		guest_submit(lives, request,
			     operation == FLUSH ? ENGINE_FLUSH : ENGINE_READ,
			     place->sector, place->count);
	else
		guest_write(lives, request, place->sector, place->count);
	world_pump(lives);
	look(machine);
	if (operation != WRITE_1_GO_ON)
		wait_for(machine, request);
}

static void drain(struct machine *machine)
{
	struct world *lives = &machine->lives;

	wait_for_all(machine);
	backup_end(lives);
	engine_set_draining(lives->engine, true);
	world_pump(lives);
	for (uint32_t i = 0; i < EVENTS_MAX && good(machine); i++) {
		if (engine_clean(lives->engine) || !step(machine))
			break;
	}
	if (good(machine) && !engine_clean(lives->engine))
		world_fail(lives, "draining doesn't end");
	engine_set_draining(lives->engine, false);
	look_report(&machine->look, lives, "draining");
}

/* It is there before the next operation, or has ended. */
static void hold(struct machine *machine)
{
	struct world *lives = &machine->lives;

	if (engine_hold_now(lives->engine).state != ENGINE_HOLD_NONE) {
		backup_end(lives);
		world_pump(lives);
		look(machine);
		return;
	}
	if (!backup_begin(lives, HOLD_NS))
		return;
	world_pump(lives);
	look(machine);
	for (uint32_t i = 0; i < EVENTS_MAX && good(machine); i++) {
		enum engine_hold_state state =
			engine_hold_now(lives->engine).state;

		if (state == ENGINE_HOLD_HELD || state == ENGINE_HOLD_ENDED)
			return;
		step(machine);
	}
	world_fail(lives, "a hold isn't made");
	look_report(&machine->look, lives, "holding");
}

static void switch_mode(struct machine *machine, enum engine_mode mode)
{
	struct world *lives = &machine->lives;

	if (lives->options.mode == mode)
		mode = ENGINE_WRITE_BACK;
	lives->options.mode = mode;
	engine_set_mode(lives->engine, mode);
	world_pump(lives);
	look(machine);
}

static void restart(struct machine *machine)
{
	struct world *lives = &machine->lives;
	uint64_t versions[WORLD_SECTORS_MAX];

	wait_for_all(machine);
	if (!good(machine))
		return;
	engine_close(lives->engine);
	world_pump(lives);
	for (uint32_t i = 0; i < EVENTS_MAX && good(machine); i++) {
		if (engine_closed(lives->engine) || !step(machine))
			break;
	}
	if (good(machine) && !engine_closed(lives->engine))
		world_fail(lives, "closing doesn't end");
	world_boot(lives, true);
	while (good(machine) && engine_state(lives->engine) == ENGINE_STARTING)
		step(machine);
	if (good(machine) && world_recover(lives) &&
	    world_read_all(lives, versions))
		world_check_versions(lives, WORLD_PROCESS_KILLED, versions,
				     true);
	look_report(&machine->look, lives, "restart");
}

static void perform(struct machine *machine, enum operation operation)
{
	switch (operation) {
	case WRITE_0:
	case WRITE_1:
	case WRITE_ALL:
	case WRITE_PART_0:
	case WRITE_PART_1_2:
	case WRITE_0_FUA:
	case WRITE_1_GO_ON:
	case READ_ALL:
	case FLUSH:
		do_request(machine, operation);
		return;
	case DRAIN:
		drain(machine);
		return;
	case HOLD:
		hold(machine);
		return;
	case SWITCH_THROUGH:
		switch_mode(machine, ENGINE_WRITE_THROUGH);
		return;
	case SWITCH_AROUND:
		switch_mode(machine, ENGINE_WRITE_AROUND);
		return;
	case RESTART:
		restart(machine);
		return;
	case KILL:
		look_crash_for_good(&machine->look, &machine->lives,
				    WORLD_PROCESS_KILLED);
		return;
	case POWER_FAILURE:
		look_crash_for_good(&machine->look, &machine->lives,
				    WORLD_POWER_FAILURE);
		return;
	case OPERATIONS:
		return;
	}
}

/* Until the next few records have to reuse a segment. */
static void fill_log(struct machine *machine)
{
	struct engine_stats stats;

	for (uint32_t i = 0; i < FILLERS_MAX && good(machine); i++) {
		do_request(machine, i % 2 ? WRITE_ALL : WRITE_1);
		engine_stats(machine->lives.engine, &stats);
		if (stats.segments_free <= FULL_SEGMENTS)
			return;
	}
}

static void begin(struct machine *machine, uint64_t number)
{
	struct world *lives = &machine->lives;

	oracle_free(&machine->oracle);
	oracle_init(&machine->oracle, SECTORS);
	medium_copy(&lives->ssd, &machine->blank_ssd);
	medium_copy(&lives->below, &machine->blank_below);
	lives->random.state = number;
	lives->options.mode = ENGINE_WRITE_BACK;
	lives->now_ns = 0;
	machine->looking = false;
	world_boot(lives, true);
	if (!world_recover(lives))
		look_report(&machine->look, lives, "first start");
	if (machine->full)
		fill_log(machine);
}

static void end(struct machine *machine)
{
	struct world *lives = &machine->lives;

	wait_for_all(machine);
	machine->looking = false;
	if (good(machine))
		drain(machine);
	if (good(machine))
		world_check_backend(lives);
	look_report(&machine->look, lives, "at last");
}

static void describe(struct machine *machine)
{
	struct program_result *result = machine->result;
	size_t room = sizeof(result->failure);
	size_t used = (size_t)snprintf(
		result->failure, room, "%s, %s first",
		machine->full ? "full log" : "blank log",
		machine->lives.options.order == WORLD_OLDEST_FIRST ? "oldest"
								   : "newest");

	for (uint32_t i = 0; i < machine->length && used < room; i++)
		used += (size_t)snprintf(result->failure + used, room - used,
					 "%s%s", i ? ", " : ": ",
					 NAMES[machine->operations[i]]);
	if (used < room)
		snprintf(result->failure + used, room - used, ": %s",
			 machine->look.failure);
}

/* The program that @number is, in the system of as many digits. */
static void run(struct machine *machine, uint64_t number)
{
	uint64_t rest = number;

	for (uint32_t i = 0; i < machine->length; i++) {
		machine->operations[i] = (enum operation)(rest % OPERATIONS);
		rest /= OPERATIONS;
	}
	begin(machine, number);
	for (uint32_t i = 0; i < machine->length && good(machine); i++) {
		machine->looking = i + 1 == machine->length;
		perform(machine, machine->operations[i]);
	}
	end(machine);
	machine->result->programs++;
	if (good(machine))
		return;
	machine->result->failures++;
	describe(machine);
}

static void run_all(struct machine *machine, uint32_t length)
{
	uint64_t programs = 1;

	machine->length = length;
	for (uint32_t i = 0; i < length; i++)
		programs *= OPERATIONS;
	for (uint64_t i = 0; i < programs && good(machine); i++)
		run(machine, i);
}

static void explore(struct machine *machine, uint32_t operations)
{
	static const enum world_order orders[] = {WORLD_OLDEST_FIRST,
						  WORLD_NEWEST_FIRST};

	for (uint32_t length = 1; length <= operations; length++) {
		for (uint32_t i = 0; i < 4; i++) {
			machine->full = i / 2;
			machine->lives.options.order = orders[i % 2];
			run_all(machine, length);
		}
	}
}

void program_explore(uint32_t operations, enum engine_planted_bug bug,
		     struct program_result *ret)
{
	static struct machine machine;
	struct world *lives = &machine.lives;
	struct world_options options = {
		.kind = WORLD_CALM,
		.disk_bytes = BLOCKS * LOG_BLOCK_BYTES,
		.segment_blocks = SEGMENT_BLOCKS,
		.records_in_flight = 2,
		.queue_depth = 4,
		.dirty_limit_percent = 70,
		.summaries = true,
		.mode = ENGINE_WRITE_BACK,
		.bug = bug,
	};

	options.file_bytes =
		((uint64_t)log_first_segment_block(SEGMENT_BLOCKS) +
		 (uint64_t)ENGINE_SEGMENTS_MIN * SEGMENT_BLOCKS) *
		LOG_BLOCK_BYTES;
	memset(&machine, 0, sizeof(machine));
	*ret = (struct program_result){0};
	machine.result = ret;
	oracle_init(&machine.oracle, SECTORS);
	world_init(lives, &options, 1, &machine.oracle);
	lives->guest = false;
	look_init(&machine.look, lives);
	medium_init(&machine.blank_ssd, options.file_bytes);
	medium_init(&machine.blank_below, options.disk_bytes);
	explore(&machine, operations);
	ret->counts = machine.look.counts;
	ret->trace = lives->trace ^ machine.look.trace;
	world_free(lives);
	look_free(&machine.look);
	medium_free(&machine.blank_ssd);
	medium_free(&machine.blank_below);
	oracle_free(&machine.oracle);
}
