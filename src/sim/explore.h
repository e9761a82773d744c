/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explore.h - runs one seed: a guest's life, and what crashes would leave of
 * it.
 */
#ifndef FOREBAY_SIM_EXPLORE_H
#define FOREBAY_SIM_EXPLORE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "look.h"
#include "world.h"

struct explore_result {
	struct look_counts counts;
	uint64_t restarts; /* in order */
	uint64_t voids; /* SSDs that were taken out of use */
	uint64_t warm_starts; /* after a kill between two stores */
	uint64_t events;
	uint64_t liveness_events; /* most until all that was asked had ended */
	uint32_t trace;
	char failure[320]; /* "" if all held */
};

/*
 * Looks at about as many states as planned. The same plan gives the same trace.
 */
struct explore_plan {
	uint64_t seed;
	uint64_t states;
	enum world_kind kind; /* WORLD_KINDS: the seed chooses */
	enum engine_planted_bug bug;
	uint32_t look_permille; /* of the event boundaries; 0: the seed chooses
				 */
	bool verbose; /* print every event */
};

void explore_seed(const struct explore_plan *plan, struct explore_result *ret);

#endif
