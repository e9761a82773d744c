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

#include "world.h"

#define RECOVERY_CRASHES_MAX 3u
/* Events between two looks, on average. */
#define EVENTS_PER_LOOK 6u
#define LOOKS_PER_BOUNDARY 3u
#define REAL_CRASH_PERCENT 2u
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
	    kind == WORLD_PROCESS_KILLED)
		world_check_backend(left);
	explorer->result->crash_states++;
	report(explorer, left, "crash");
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
	if (recover(explorer, lives, &kind))
		world_check_all(lives, kind, explorer->oracle.time, true);
	lives->drained = false;
	explorer->result->crash_states++;
	report(explorer, lives, "crash and go on");
}

static void live(struct explorer *explorer, uint64_t crash_states)
{
	struct world *lives = &explorer->lives;
	struct explore_result *result = explorer->result;

	while (result->crash_states < crash_states && !result->failure[0]) {
		uint64_t events =
			1 + random_below(&lives->random, 2 * EVENTS_PER_LOOK);

		for (uint64_t i = 0; i < events; i++, result->events++) {
			if (!world_step(lives) && !lives->failure[0])
				world_fail(lives, "nothing goes on");
		}
		report(explorer, lives, "life");
		for (uint32_t i = 0;
		     i < LOOKS_PER_BOUNDARY && !result->failure[0]; i++)
			look_at_crash(explorer);
		if (!result->failure[0] &&
		    random_percent(&lives->random, REAL_CRASH_PERCENT))
			crash_for_good(explorer);
	}
	if (!result->failure[0] && world_drain(lives))
		world_check_backend(lives);
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
	world_options_draw(&options, &random);
	options.bug = plan->bug;
	options.verbose = plan->verbose;
	oracle_init(&explorer.oracle, options.disk_bytes / ORACLE_SECTOR_BYTES);
	world_init(&explorer.lives, &options, random_next(&random),
		   &explorer.oracle);
	world_init_like(&explorer.left, &explorer.lives);
	world_init_like(&explorer.again, &explorer.lives);
	world_boot(&explorer.lives, true);
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
