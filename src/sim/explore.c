// SPDX-License-Identifier: Apache-2.0
/*
 * explore.c - see explore.h.
 *
 * One world lives; at many of its event boundaries a second world is made of
 * what a crash would leave, recovered, read whole and checked. Now and then the
 * recovery is itself cut short by a crash, up to three times. Sometimes the
 * first world really crashes and goes on from what it recovered.
 */
#include "explore.h"

#include <stdio.h>
#include <string.h>

#include "damage.h"
#include "kill.h"

#define RECOVERY_CRASHES_MAX 3u
/* Events between two looks, on average. */
#define EVENTS_PER_LOOK 6u
/* Crowds and faults need time to do harm, and the log to go around. */
#define EVENTS_PER_LOOK_LONG 80u
#define LOOKS_PER_BOUNDARY 3u
/* To the kept memory, between two kills of the living process, at most. */
#define STORES_PER_KILL 300u
#define REAL_CRASH_PERCENT 2u
#define RESTART_PERCENT 3u
/* Half of the restarts are broken off before so many steps. */
#define RESTART_STEPS 16u
#define CLOSE_STEPS_MAX 100000u
#define DRAIN_PERCENT 2u

struct explorer {
	struct world lives;
	struct world left; /* by the crash that is looked at */
	struct world again; /* by a crash in its recovery */
	struct oracle oracle;
	struct explore_result *result;
};

static enum world_crash draw_crash(struct random *random)
{
	return random_percent(random, 75) ? WORLD_POWER_FAILURE
					  : WORLD_PROCESS_KILLED;
}

/* Recovers @world, crashing on the way as chance wants. */
static bool recover(struct explorer *explorer, struct world *world,
		    enum world_crash *kind)
{
	struct random *random = &world->random;
	uint32_t crashes = 0;

	world_boot(world, true);
	while (crashes < RECOVERY_CRASHES_MAX && random_percent(random, 25)) {
		uint64_t steps = random_below(random, 60);
		enum world_crash again = draw_crash(random);

		while (steps-- > 0 &&
		       engine_state(world->engine) == ENGINE_STARTING)
			world_step(world);
		explorer->again.random.state = random_next(random);
		world_crash(&explorer->again, world, again);
		/* Back into the same world, with a new engine. */
		medium_copy(&world->ssd, &explorer->again.ssd);
		medium_copy(&world->below, &explorer->again.below);
		if (again == WORLD_POWER_FAILURE)
			*kind = again;
		world_boot(world, true);
		crashes++;
	}
	return world_recover(world);
}

static void report(struct explorer *explorer, const struct world *world,
		   const char *when)
{
	if (!world->failure[0] || explorer->result->failure[0])
		return;
	snprintf(explorer->result->failure, sizeof(explorer->result->failure),
		 "%s: %s", when, world->failure);
}

static void look_at_crash(struct explorer *explorer)
{
	struct world *left = &explorer->left;
	enum world_crash kind = draw_crash(&explorer->lives.random);

	left->random.state = random_next(&explorer->lives.random);
	world_crash(left, &explorer->lives, kind);
	if (recover(explorer, left, &kind) &&
	    world_check_all(left, kind, explorer->oracle.time, false) &&
	    random_percent(&left->random, DRAIN_PERCENT) && world_drain(left) &&
	    kind == WORLD_PROCESS_KILLED && left->options.kind != WORLD_FAULTY)
		world_check_backend(left);
	explorer->result->crash_states++;
	report(explorer, left, "crash");
}

/*
 * The process was killed between two stores. Now and then so is the next one,
 * while it starts. What it knows at last is what the log alone says.
 */
static void look_at_kill(struct explorer *explorer, uint64_t time)
{
	struct world *left = &explorer->left;
	struct world *again = &explorer->again;
	struct engine_stats stats;

	for (uint32_t kills = 0;
	     kills < RECOVERY_CRASHES_MAX && random_percent(&left->random, 40);
	     kills++) {
		uint64_t ignored;

		again->random.state = random_next(&left->random);
		kill_arm(left, again, random_below(&left->random, 150));
		world_boot_warm(left);
		world_started(left);
		if (!kill_happened(&ignored))
			break;
		medium_copy(&left->ssd, &again->ssd);
		medium_copy(&left->below, &again->below);
		memcpy(left->memory.kept, again->memory.kept,
		       again->kept_bytes);
	}
	kill_disarm();
	world_boot_warm(left);
	if (world_recover(left)) {
		engine_stats(left->engine, &stats);
		explorer->result->warm_starts += stats.warm;
		medium_copy(&again->ssd, &left->ssd);
		medium_copy(&again->below, &left->below);
		again->failure[0] = 0;
		world_boot(again, true);
		if (world_recover(again))
			kill_compare(left, again);
		report(explorer, again, "rebuilt after a kill");
		world_check_all(left, WORLD_PROCESS_KILLED, time, false);
	}
	explorer->result->crash_states++;
	report(explorer, left, "warm start");
}

/* The engine must not start, or read what is right, or fail the read. */
static void check_damaged(struct explorer *explorer, struct world *world)
{
	world->may_fail = true;
	world_boot(world, false);
	if (world_started(world))
		world_check_all(world, WORLD_PROCESS_KILLED,
				explorer->oracle.time, false);
	else if (!engine_failure(world->engine)->message[0])
		world_fail(world, "no words for a damage");
	world->may_fail = false;
	report(explorer, world, "damage");
}

/*
 * The file is changed between two starts. All that the log holds is known to be
 * durable then, so that damage can't be taken for its end.
 */
static void look_at_damage(struct explorer *explorer)
{
	struct world *left = &explorer->left;
	struct world *again = &explorer->again;
	struct random *random = &explorer->lives.random;

	left->random.state = random_next(random);
	again->random.state = random_next(random);
	explorer->result->crash_states++;
	world_crash(left, &explorer->lives, WORLD_PROCESS_KILLED);
	if (random_percent(random, 20)) {
		damage_superblock(left);
		check_damaged(explorer, left);
		return;
	}
	world_boot(left, true);
	if (world_recover(left)) {
		world_crash(again, left, WORLD_PROCESS_KILLED);
		damage_log(again);
		check_damaged(explorer, again);
	}
	report(explorer, left, "before the damage");
}

/* Requests may fail from now on, as I/O does, or they may not. */
static void set_faults(struct world *world, bool faults)
{
	world->faults = faults && world->options.kind == WORLD_FAULTY;
	world->may_fail = world->faults;
}

/* The living world crashes for good and goes on. */
static void crash_for_good(struct explorer *explorer)
{
	struct world *lives = &explorer->lives;
	struct world *left = &explorer->left;
	enum world_crash kind = draw_crash(&lives->random);

	left->random.state = random_next(&lives->random);
	world_crash(left, lives, kind);
	medium_copy(&lives->ssd, &left->ssd);
	medium_copy(&lives->below, &left->below);
	/* That below refused a flush, and nobody was told yet, dies with it. */
	if (lives->options.kind == WORLD_FAULTY)
		oracle_flush_failed(&explorer->oracle);
	set_faults(lives, false);
	if (recover(explorer, lives, &kind))
		world_check_all(lives, kind, explorer->oracle.time, true);
	set_faults(lives, true);
	lives->drained = false;
	explorer->result->crash_states++;
	report(explorer, lives, "crash and go on");
}

/* In order, unless a crash breaks it off, and then the living world goes on. */
static void restart(struct explorer *explorer)
{
	struct world *lives = &explorer->lives;
	uint64_t steps = random_percent(&lives->random, 50)
				 ? CLOSE_STEPS_MAX
				 : random_below(&lives->random, RESTART_STEPS);

	if (!world_settle(lives))
		return;
	if (!world_close(lives, steps) ||
	    engine_state(lives->engine) == ENGINE_FAILED) {
		if (steps == CLOSE_STEPS_MAX && !lives->may_fail)
			world_fail(lives, "closing doesn't end");
		else
			crash_for_good(explorer);
		return;
	}
	look_at_crash(explorer);
	if (lives->options.kind == WORLD_FAULTY)
		oracle_flush_failed(&explorer->oracle);
	set_faults(lives, false);
	if (random_percent(&lives->random, 50))
		world_boot_warm(lives);
	else
		world_boot(lives, true);
	if (world_recover(lives))
		world_check_all(lives, WORLD_PROCESS_KILLED,
				explorer->oracle.time, true);
	set_faults(lives, true);
	lives->drained = false;
	explorer->result->restarts++;
	report(explorer, lives, "restart and go on");
}

/* An engine that failed ends every request; a new one goes on. */
static void go_on_after_failure(struct explorer *explorer)
{
	struct world *lives = &explorer->lives;

	if (engine_state(lives->engine) != ENGINE_FAILED || lives->failure[0])
		return;
	if (!lives->may_fail)
		world_fail(lives, "the engine failed: %s",
			   engine_failure(lives->engine)->message);
	if (world_settle(lives))
		crash_for_good(explorer);
}

/* Nothing fails any more, and what failed below has been told. */
static void drain_at_last(struct explorer *explorer)
{
	struct world *lives = &explorer->lives;

	go_on_after_failure(explorer);
	lives->faults = false;
	if (lives->failure[0] || !world_settle(lives) || !world_flush(lives))
		return;
	lives->may_fail = false;
	if (world_drain(lives))
		world_check_backend(lives);
}

static void arm(struct explorer *explorer)
{
	struct random *random = &explorer->lives.random;

	explorer->left.random.state = random_next(random);
	kill_arm(&explorer->lives, &explorer->left,
		 random_below(random, STORES_PER_KILL));
}

static void live_on(struct explorer *explorer)
{
	struct world *lives = &explorer->lives;
	uint64_t time;

	if (!world_step(lives) && !lives->failure[0])
		world_fail(lives, "nothing goes on");
	if (!kill_happened(&time))
		return;
	kill_disarm();
	look_at_kill(explorer, time);
	arm(explorer);
}

static void live(struct explorer *explorer, uint64_t crash_states)
{
	struct world *lives = &explorer->lives;
	struct explore_result *result = explorer->result;

	set_faults(lives, true);
	while (result->crash_states < crash_states && !result->failure[0]) {
		uint64_t per_look = lives->options.kind == WORLD_CALM
					    ? EVENTS_PER_LOOK
					    : EVENTS_PER_LOOK_LONG;
		uint64_t events =
			1 + random_below(&lives->random, 2 * per_look);

		arm(explorer);
		for (uint64_t i = 0; i < events; i++, result->events++)
			live_on(explorer);
		kill_disarm();
		go_on_after_failure(explorer);
		report(explorer, lives, "life");
		for (uint32_t i = 0;
		     i < LOOKS_PER_BOUNDARY && !result->failure[0]; i++) {
			if (lives->options.kind == WORLD_DAMAGED)
				look_at_damage(explorer);
			else
				look_at_crash(explorer);
		}
		if (!result->failure[0] &&
		    random_percent(&lives->random, REAL_CRASH_PERCENT))
			crash_for_good(explorer);
		if (!result->failure[0] &&
		    random_percent(&lives->random, RESTART_PERCENT))
			restart(explorer);
	}
	if (!result->failure[0])
		drain_at_last(explorer);
	report(explorer, lives, "drained");
}

void explore_seed(const struct explore_plan *plan, struct explore_result *ret)
{
	static struct explorer explorer;
	struct random random = {plan->seed * 0x2545f4914f6cdd1dull + 1};
	struct world_options options;

	memset(&explorer, 0, sizeof(explorer));
	*ret = (struct explore_result){0};
	explorer.result = ret;
	world_options_draw(&options, &random, plan->kind);
	options.bug = plan->bug;
	options.verbose = plan->verbose;
	oracle_init(&explorer.oracle, options.disk_bytes / ORACLE_SECTOR_BYTES);
	world_init(&explorer.lives, &options, random_next(&random),
		   &explorer.oracle);
	world_init_like(&explorer.left, &explorer.lives);
	world_init_like(&explorer.again, &explorer.lives);
	world_boot(&explorer.lives, true);
	set_faults(&explorer.lives, false);
	if (world_recover(&explorer.lives))
		live(&explorer, plan->crash_states);
	else
		report(&explorer, &explorer.lives, "first start");
	ret->trace = explorer.lives.trace;
	world_free(&explorer.lives);
	world_free(&explorer.left);
	world_free(&explorer.again);
	oracle_free(&explorer.oracle);
}
