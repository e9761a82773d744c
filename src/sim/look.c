// SPDX-License-Identifier: Apache-2.0
/*
 * look.c - see look.h.
 */
#include "look.h"

#include <stdio.h>
#include <string.h>

#include "crc32c.h"
#include "damage.h"
#include "kill.h"
#include "log_format.h"

#define RECOVERY_CRASHES_MAX 3u
#define RECOVERY_CRASH_PERCENT 25u
/* What a kill leaves isn't durable yet, so more can go wrong. */
#define KILL_RECOVERY_CRASH_PERCENT 50u
#define RECOVERY_STEPS 60u
/* Of the states whose media are known. */
#define SAMPLE_PERMILLE 5u
#define DRAIN_PERCENT 3u
#define RANDOM_FATES 3u
#define TORN_PERCENT 10u
#define KILLS 3u
/* With more writes than that, sets of whole ones are sampled. */
#define WRITES_MAX 12u

void look_init(struct look *look, const struct world *lives)
{
	memset(look, 0, sizeof(*look));
	world_init_like(&look->base, lives);
	world_init_like(&look->left, lives);
	world_init_like(&look->again, lives);
	known_init(&look->known, lives->below.sector_count);
}

void look_free(struct look *look)
{
	world_free(&look->base);
	world_free(&look->left);
	world_free(&look->again);
	known_free(&look->known);
}

void look_report(struct look *look, const struct world *world, const char *when)
{
	if (!world->failure[0] || look->failure[0])
		return;
	snprintf(look->failure, sizeof(look->failure), "%s: %s", when,
		 world->failure);
}

static bool writes(const struct world *world)
{
	for (uint32_t i = 0; i < world->io_count; i++) {
		if (world->ios[i].io->type == ENGINE_SSD_WRITE)
			return true;
	}
	return false;
}

/*
 * Part of a recovery: some steps of it, or all until it writes and a few more.
 * Until then it could do no harm.
 */
static void begin_recovery(struct world *world)
{
	struct random *random = &world->random;
	uint64_t steps = random_below(random, RECOVERY_STEPS);
	bool until_write = random_percent(random, 50);

	while (until_write && engine_state(world->engine) == ENGINE_STARTING &&
	       !writes(world))
		world_step(world);
	if (until_write)
		steps = random_below(random, 3);
	while (steps-- > 0 && engine_state(world->engine) == ENGINE_STARTING)
		world_step(world);
}

/* Recovers @world, crashing on the way as chance wants. */
static bool recover(struct look *look, struct world *world,
		    enum world_crash *kind)
{
	struct random *random = &world->random;
	uint32_t crashes = 0;

	world_boot(world, true);
	while (crashes < RECOVERY_CRASHES_MAX &&
	       random_percent(random, crashes == 0 ? 100 : 50)) {
		enum world_crash again = random_percent(random, 75)
						 ? WORLD_POWER_FAILURE
						 : WORLD_PROCESS_KILLED;

		begin_recovery(world);
		world_crash(world, again);
		if (again == WORLD_POWER_FAILURE)
			*kind = again;
		world_boot(world, true);
		crashes++;
		look->counts.crashes_in_recovery++;
		look->counts.states++;
	}
	return world_started(world);
}

static bool lenient(const struct world *world)
{
	return world->options.kind == WORLD_LYING;
}

/* Does one state read the same however it is recovered? */
static bool steady(const struct world *world)
{
	return !lenient(world);
}

bool look_comparable(const struct world *world)
{
	/* A page cache that forgot what it failed to flush shows it still. */
	return steady(world) && world->options.kind != WORLD_FAULTY;
}

/*
 * Starts and reads it. Returns: false if something was wrong, or if the SSD has
 * lied and the engine saw it.
 */
static bool read_left(struct look *look, struct world *world, bool started,
		      uint64_t *ret_versions)
{
	bool read;

	if (!started && lenient(world) &&
	    engine_failure(world->engine)->message[0]) {
		look->counts.refused++;
		return false;
	}
	if (!started) {
		world_fail(world, "recovery failed: %s",
			   engine_failure(world->engine)->message);
		return false;
	}
	world->may_fail = lenient(world);
	read = world_read_all(world, ret_versions);
	world->may_fail = false;
	return read;
}

/*
 * What a failed flush of below has dropped may still be read there, and so be
 * cached by a process that has never heard of it. The guest was told.
 */
static void compare(struct look *look, struct world *world, const uint64_t *one,
		    const uint64_t *other)
{
	uint64_t count = look->known.sector_count;

	for (uint64_t i = 0; i < count; i++) {
		if (one[i] == other[i] || oracle_in_doubt(world->oracle, i))
			continue;
		world_fail(world,
			   "two recoveries differ: sector %llu: version %llu, "
			   "version %llu",
			   (unsigned long long)i, (unsigned long long)one[i],
			   (unsigned long long)other[i]);
		return;
	}
}

/* Crashes in the recovery of what a power failure left change nothing. */
static void recover_again(struct look *look, const uint64_t *versions)
{
	struct world *again = &look->again;
	enum world_crash kind = WORLD_POWER_FAILURE;
	uint64_t read[WORLD_SECTORS_MAX];
	bool started = recover(look, again, &kind);

	if (read_left(look, again, started, read) && steady(again))
		compare(look, again, versions, read);
	look_report(look, again, "crash in the recovery");
}

/* Recovers `left`; what it reads becomes known as @key. */
static bool learn(struct look *look, enum world_crash kind, uint64_t key,
		  uint64_t *versions)
{
	struct world *left = &look->left;
	const uint64_t *before = known_find(&look->known, key);
	bool again = kind == WORLD_POWER_FAILURE &&
		     random_percent(&left->random, RECOVERY_CRASH_PERCENT);
	bool started;

	look->counts.recovered++;
	if (again) {
		world_take(&look->again, left);
		look->again.lied = look->base.lied;
		look->again.random.state = random_next(&left->random);
	}
	if (kind == WORLD_PROCESS_KILLED &&
	    random_percent(&left->random, KILL_RECOVERY_CRASH_PERCENT)) {
		started = recover(look, left, &kind);
		key = 0;
	} else {
		world_boot(left, true);
		started = world_started(left);
	}
	if (!read_left(look, left, started, versions))
		return false;
	look->trace = crc32c(look->trace, versions,
			     look->known.sector_count * sizeof(*versions));
	if (before && key != 0 && steady(left))
		compare(look, left, before, versions);
	if (again)
		recover_again(look, versions);
	if (key != 0)
		memcpy(known_add(&look->known, key), versions,
		       look->known.sector_count * sizeof(*versions));
	left->lied = look->base.lied;
	world_check_versions(left, kind, versions, false);
	if (look_comparable(left) &&
	    random_percent(&left->random, DRAIN_PERCENT))
		world_check_drained(left, versions);
	return !left->failure[0];
}

static uint64_t key_of(const struct world *world)
{
	return world->ssd.visible.hash * 3 + world->below.visible.hash +
	       world->sidecar.generation * 5 + (uint64_t)world->options.mode;
}

/* `left` has the media: recovers them, or knows them, and checks. */
static void look_at_left(struct look *look, enum world_crash kind)
{
	struct world *left = &look->left;
	uint64_t key = key_of(left);
	const uint64_t *known = known_find(&look->known, key);
	uint64_t versions[WORLD_SECTORS_MAX];

	look->counts.states++;
	if (known && random_below(&left->random, 1000) >= SAMPLE_PERMILLE) {
		left->lied = look->base.lied;
		world_check_versions(left, kind, known, false);
	} else {
		learn(look, kind, key, versions);
	}
	look_report(look, left, "crash");
}

static void look_at_power(struct look *look, struct medium_fate fate)
{
	struct world *left = &look->left;
	struct medium_fate below;

	world_take(left, &look->base);
	medium_power_failure(&left->ssd, fate, &left->random);
	below = medium_fate_draw(&left->below, &left->random);
	medium_power_failure(&left->below, below, &left->random);
	look_at_left(look, WORLD_POWER_FAILURE);
}

/* Sets of whole writes, and every tear of the newest; of the rest, some. */
static bool worth_a_look(struct look *look, struct medium_fate fate)
{
	struct random *random = &look->left.random;
	size_t writes = look->base.ssd.write_count;

	if (fate.kind == MEDIUM_PREFIX && fate.sectors > 0)
		return fate.write + 1 == writes ||
		       random_percent(random, TORN_PERCENT);
	return writes <= WRITES_MAX ||
	       random_below(random, writes) < WRITES_MAX;
}

static void look_at_kills(struct look *look, struct world *lives)
{
	for (uint32_t i = 0; i < KILLS && !look->failure[0]; i++) {
		uint64_t which = i == 0	  ? 0
				 : i == 1 ? UINT64_MAX
					  : random_next(&look->left.random);

		world_take(&look->left, lives);
		/* Without a write under way they are all the same. */
		if (world_arrive(&look->left, lives, which) == 0)
			i = KILLS;
		look_at_left(look, WORLD_PROCESS_KILLED);
	}
}

/* Of all that the states at a boundary depend on. */
static uint64_t boundary(const struct world *base, const struct world *lives)
{
	uint64_t numbers[] = {
		base->ssd.visible.hash,	  base->ssd.durable.hash,
		base->ssd.pending_count,  base->below.visible.hash,
		base->below.durable.hash, base->below.pending_count,
		lives->oracle->promises,  (uint64_t)lives->options.mode,
		lives->ssd.visible.hash,  lives->below.visible.hash,
		base->sidecar.generation, lives->sidecar.generation,
	};
	uint64_t hash = 1;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		hash = (hash ^ numbers[i]) * 0xff51afd7ed558ccdull +
		       (hash >> 31);
	return hash;
}

void look_at(struct look *look, struct world *lives)
{
	uint64_t last = look->last;
	struct medium *ssd = &look->base.ssd;
	size_t fates;

	look->left.random.state = random_next(&lives->random);
	world_take(&look->base, lives);
	look->base.lied = lives->lied;
	world_arrive(&look->base, lives, UINT64_MAX);
	look->last = boundary(&look->base, lives);
	if (look->last == last)
		return;
	fates = medium_fates(ssd);
	for (size_t i = 0; i < fates && !look->failure[0]; i++) {
		struct medium_fate fate = medium_fate(ssd, i);

		if (worth_a_look(look, fate))
			look_at_power(look, fate);
	}
	for (uint32_t i = 0; i < RANDOM_FATES && ssd->write_count > 1; i++) {
		if (!look->failure[0])
			look_at_power(look, (struct medium_fate){
						    .kind = MEDIUM_RANDOM});
	}
	look_at_kills(look, lives);
}

/* The engine must not start, or read what is right, or fail the read. */
static void check_damaged(struct look *look, struct world *world)
{
	world->may_fail = true;
	world_boot(world, false);
	if (world_started(world))
		world_check_all(world, WORLD_PROCESS_KILLED, false);
	else if (!engine_failure(world->engine)->message[0])
		world_fail(world, "no words for a damage");
	else
		look->counts.refused++;
	world->may_fail = false;
	look_report(look, world, "damage");
}

/*
 * All that the log holds is known to be durable then, so that damage can't be
 * taken for its end.
 */
void look_at_damage(struct look *look, struct world *lives)
{
	struct world *left = &look->left;
	struct world *again = &look->again;
	struct random *random = &lives->random;

	left->random.state = random_next(random);
	again->random.state = random_next(random);
	look->counts.states++;
	look->counts.recovered++;
	world_take(left, lives);
	world_arrive(left, lives, random_next(random));
	if (random_percent(random, 20)) {
		damage_superblock(left);
		check_damaged(look, left);
		return;
	}
	world_boot(left, true);
	if (world_recover(left)) {
		world_take(again, left);
		damage_log(again);
		check_damaged(look, again);
	}
	look_report(look, left, "before the damage");
}

/* `left` goes on with what the kill of its process left in `again`. */
static void take_over(struct look *look)
{
	struct world *left = &look->left;
	struct world *again = &look->again;

	/* Each lends to the other otherwise. */
	medium_own(&again->ssd);
	medium_own(&again->below);
	medium_copy(&left->ssd, &again->ssd);
	medium_copy(&left->below, &again->below);
	left->sidecar = again->sidecar;
	medium_own(&left->ssd);
	medium_own(&left->below);
	memcpy(left->memory.kept, again->memory.kept, again->kept_bytes);
}

static void start_warm(struct look *look)
{
	struct world *left = &look->left;
	struct world *again = &look->again;

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
		take_over(look);
	}
	kill_disarm();
	world_boot_warm(left);
}

void look_at_warm_start(struct look *look, const struct world *lives,
			uint64_t time)
{
	struct world *left = &look->left;
	struct world *again = &look->again;
	uint64_t versions[WORLD_SECTORS_MAX];
	struct engine_stats stats;

	look->counts.states++;
	look->counts.recovered++;
	start_warm(look);
	if (!world_started(left) && lenient(left))
		return;
	if (world_recover(left)) {
		engine_stats(left->engine, &stats);
		look->counts.warm_starts += stats.warm;
		world_take(again, left);
		world_boot(again, true);
		if (!lenient(left) && world_recover(again))
			kill_compare(left, again);
		look_report(look, again, "rebuilt after a kill");
		left->may_fail = lenient(left);
		left->lied = lives->lied;
		if (world_read_all(left, versions))
			world_check_killed(left, time, versions);
		left->may_fail = false;
	}
	look_report(look, left, "warm start");
}

bool look_crash_for_good(struct look *look, struct world *lives,
			 enum world_crash kind)
{
	uint64_t versions[WORLD_SECTORS_MAX];
	bool lied = lives->lied;
	bool started;

	/* Then what stands there is the truth, and durable. */
	if (lied)
		kind = WORLD_POWER_FAILURE;
	world_crash(lives, kind);
	if (random_percent(&lives->random, RECOVERY_CRASH_PERCENT)) {
		started = recover(look, lives, &kind);
	} else {
		world_boot(lives, true);
		started = world_started(lives);
	}
	look->counts.states++;
	look->counts.recovered++;
	if (!read_left(look, lives, started, versions)) {
		look_report(look, lives, "crash and go on");
		return false;
	}
	lives->lied = lied;
	world_check_versions(lives, kind, versions, true);
	lives->lied = false;
	lives->drained = false;
	look_report(look, lives, "crash and go on");
	/*
	 * The log may have lost a copy that the layers below have: what stands
	 * in the cache is older, and goes when it is evicted.
	 */
	return !lied && !lives->failure[0];
}
