// SPDX-License-Identifier: Apache-2.0
/*
 * explore.c - see explore.h.
 *
 * One world lives; at its event boundaries look.c looks at what a crash would
 * leave. Sometimes the world really crashes and goes on from what it recovered,
 * or restarts in order. At last, when nothing fails any more, everything that
 * was asked for has to end, and all of the disk has to come to stand below.
 */
#include "explore.h"

#include <stdio.h>
#include <string.h>

#include "kill.h"

#define REAL_CRASH_PERCENT 2u
#define RESTART_PERCENT 3u
/* So that a life which is seldom looked at crashes as often. */
#define BOUNDARIES_PER_TURN 20u
/* Half of the restarts are broken off before so many steps. */
#define RESTART_STEPS 16u
#define CLOSE_STEPS_MAX WORLD_LIVENESS_EVENTS
/* A damage is never known: a state costs as much as so many others. */
#define DAMAGE_COST 8u

/* To the kept memory, until the living process is killed, at most. */
#define STORES_PER_KILL 300u

struct explorer {
	struct world lives;
	struct look look;
	struct oracle oracle;
	struct explore_result *result;
	bool over; /* it can't go on: its SSD lost what it needs */
};

/* Requests may fail from now on, as I/O does, or they may not. */
static void set_faults(struct world *world, bool faults)
{
	enum world_kind kind = world->options.kind;

	world->faults = faults && (kind == WORLD_FAULTY || kind == WORLD_LYING);
	/* What an SSD that lied has lost can't be read any more. */
	world->may_fail = world->faults || kind == WORLD_LYING;
}

/* That below refused a flush, and nobody was told yet, dies with the engine. */
static void forget_refusals(struct explorer *explorer)
{
	if (explorer->lives.options.kind == WORLD_FAULTY)
		oracle_flush_failed(&explorer->oracle);
}

static bool failed(const struct explorer *explorer)
{
	return explorer->look.failure[0] || explorer->over;
}

static void crash_for_good(struct explorer *explorer)
{
	struct world *lives = &explorer->lives;
	enum world_crash kind = random_percent(&lives->random, 75)
					? WORLD_POWER_FAILURE
					: WORLD_PROCESS_KILLED;

	forget_refusals(explorer);
	set_faults(lives, false);
	explorer->over = !look_crash_for_good(&explorer->look, lives, kind);
	set_faults(lives, true);
}

/* In order, unless a crash breaks it off, and then the living world goes on. */
static void restart(struct explorer *explorer)
{
	struct world *lives = &explorer->lives;
	struct look *look = &explorer->look;
	uint64_t versions[WORLD_SECTORS_MAX];
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
	if (lives->options.kind == WORLD_LYING) {
		crash_for_good(explorer);
		return;
	}
	look_at(look, lives);
	forget_refusals(explorer);
	set_faults(lives, false);
	if (random_percent(&lives->random, 50))
		world_boot_warm(lives);
	else
		world_boot(lives, true);
	if (world_recover(lives) && world_read_all(lives, versions))
		world_check_versions(lives, WORLD_PROCESS_KILLED, versions,
				     true);
	set_faults(lives, true);
	lives->drained = false;
	explorer->result->restarts++;
	look_report(look, lives, "restart and go on");
}

/* An engine that failed ends every request; a new one goes on. */
static void go_on_after_failure(struct explorer *explorer)
{
	struct world *lives = &explorer->lives;

	if (engine_state(lives->engine) != ENGINE_FAILED || lives->failure[0] ||
	    failed(explorer))
		return;
	if (!lives->may_fail)
		world_fail(lives, "the engine failed: %s",
			   engine_failure(lives->engine)->message);
	if (world_settle(lives))
		crash_for_good(explorer);
}

/*
 * Liveness: nothing fails any more, what failed below has been told, and all
 * that was asked for ends within a bounded number of events.
 */
static void end_well(struct explorer *explorer)
{
	struct world *lives = &explorer->lives;
	uint64_t versions[WORLD_SECTORS_MAX];

	go_on_after_failure(explorer);
	lives->faults = false;
	lives->outage_events = 0;
	lives->options.outage_permille = 0;
	if (failed(explorer) || lives->failure[0] || !world_settle(lives) ||
	    !world_flush(lives))
		return;
	if (engine_state(lives->engine) == ENGINE_FAILED) {
		go_on_after_failure(explorer);
		if (failed(explorer))
			return;
	}
	set_faults(lives, false);
	if (lives->options.kind == WORLD_LYING) {
		world_drain(lives);
		return;
	}
	if (!world_drain(lives) || !world_check_backend(lives) ||
	    !look_comparable(lives))
		return;
	if (world_read_all(lives, versions))
		world_check_drained(lives, versions);
}

static void look_around(struct explorer *explorer)
{
	struct world *lives = &explorer->lives;

	medium_compact(&lives->ssd);
	medium_compact(&lives->below);
	if (lives->options.kind == WORLD_DAMAGED)
		look_at_damage(&explorer->look, lives);
	else
		look_at(&explorer->look, lives);
}

static void take_turns(struct explorer *explorer)
{
	struct world *lives = &explorer->lives;

	if (!failed(explorer) &&
	    random_percent(&lives->random, REAL_CRASH_PERCENT))
		crash_for_good(explorer);
	if (!failed(explorer) && !lives->failure[0] &&
	    random_percent(&lives->random, RESTART_PERCENT))
		restart(explorer);
}

/* An event, in which the process may be killed between two stores. */
static void live_on(struct explorer *explorer)
{
	struct world *lives = &explorer->lives;
	struct world *left = &explorer->look.left;
	uint64_t time;
	bool killed;

	left->random.state = random_next(&lives->random);
	kill_arm(lives, left, random_below(&lives->random, STORES_PER_KILL));
	if (!world_step(lives) && !lives->failure[0])
		world_fail(lives, "nothing goes on");
	explorer->result->events++;
	killed = kill_happened(&time);
	kill_disarm();
	if (killed)
		look_at_warm_start(&explorer->look, lives, time);
}

static void live(struct explorer *explorer, uint64_t states)
{
	struct world *lives = &explorer->lives;
	struct explore_result *result = explorer->result;
	struct look *look = &explorer->look;

	if (lives->options.kind == WORLD_DAMAGED)
		states = states / DAMAGE_COST + 1;
	set_faults(lives, true);
	while (look->counts.states < states && !failed(explorer)) {
		live_on(explorer);
		go_on_after_failure(explorer);
		look_report(look, lives, "life");
		if (failed(explorer))
			break;
		if (result->events > lives->options.warm_events &&
		    random_below(&lives->random, 1000) <
			    lives->options.look_permille)
			look_around(explorer);
		if (result->events % BOUNDARIES_PER_TURN == 0)
			take_turns(explorer);
	}
	if (!failed(explorer))
		end_well(explorer);
	look_report(look, lives, "at last");
}

/* Most seeds are calm: there one looks at every boundary. */
static enum world_kind draw_kind(struct random *random)
{
	static const enum world_kind kinds[] = {
		WORLD_CALM,    WORLD_CALM,   WORLD_CALM,    WORLD_CALM,
		WORLD_CROWDED, WORLD_FAULTY, WORLD_DAMAGED, WORLD_LYING};

	return kinds[random_below(random, 8)];
}

void explore_seed(const struct explore_plan *plan, struct explore_result *ret)
{
	static struct explorer explorer;
	struct random random = {plan->seed * 0x2545f4914f6cdd1dull + 1};
	struct world *lives = &explorer.lives;
	struct world_options options;
	enum world_kind kind = plan->kind;

	memset(&explorer, 0, sizeof(explorer));
	*ret = (struct explore_result){0};
	explorer.result = ret;
	if (kind == WORLD_KINDS)
		kind = draw_kind(&random);
	world_options_draw(&options, &random, kind);
	options.bug = plan->bug;
	if (plan->look_permille > 0)
		options.look_permille = plan->look_permille;
	options.verbose = plan->verbose;
	oracle_init(&explorer.oracle, options.disk_bytes / ORACLE_SECTOR_BYTES);
	world_init(lives, &options, random_next(&random), &explorer.oracle);
	look_init(&explorer.look, lives);
	world_boot(lives, true);
	set_faults(lives, false);
	if (world_recover(lives))
		live(&explorer, plan->states);
	else
		look_report(&explorer.look, lives, "first start");
	ret->counts = explorer.look.counts;
	ret->liveness_events = lives->settle_events_max;
	ret->voids = lives->voids;
	ret->trace = lives->trace ^ explorer.look.trace;
	memcpy(ret->failure, explorer.look.failure, sizeof(ret->failure));
	world_free(lives);
	look_free(&explorer.look);
	oracle_free(&explorer.oracle);
}
