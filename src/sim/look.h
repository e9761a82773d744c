/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look.h - looks at what crashes at an event boundary would leave of a world.
 *
 * A state is a boundary and a set of writes that survive a crash there. It is
 * recovered and read whole, now and then with more crashes in the recovery, and
 * what was read is checked against the oracle at that boundary. Media that have
 * the content of media that were recovered before aren't recovered again but
 * for a sample; what must hold is checked for each state.
 */
#ifndef FOREBAY_SIM_LOOK_H
#define FOREBAY_SIM_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "known.h"
#include "world.h"

struct look_counts {
	uint64_t states; /* checked */
	uint64_t recovered; /* of these: by a recovery of their own */
	uint64_t crashes_in_recovery;
	uint64_t warm_starts; /* after kills between two stores */
	uint64_t refused; /* damaged logs that weren't opened */
};

struct look {
	struct world base; /* media of the boundary, with all that is on its way
			    */
	struct world left; /* by the crash that is looked at */
	struct world again; /* the same once more */
	struct known known;
	struct look_counts counts;
	uint64_t last; /* what the boundary looked like that was looked at last
			*/
	uint32_t trace; /* hash of all that was read */
	char failure[320]; /* "" if all held */
};

/* @lives: the world whose crashes are to be looked at. */
void look_init(struct look *look, const struct world *lives);
void look_free(struct look *look);
/*
 * The states at this boundary. A large number of them is sampled; if neither
 * media nor promises changed since the last one, they are the same.
 */
void look_at(struct look *look, struct world *lives);
/* The cache file is changed between two starts. */
void look_at_damage(struct look *look, struct world *lives);
/*
 * The living world crashes for good, recovers, now and then after more crashes,
 * and what it reads then is the truth. @kind: of the first crash.
 */
bool look_crash_for_good(struct look *look, struct world *lives,
			 enum world_crash kind);
/*
 * The process was killed between two stores, and `left` is what that left at
 * @time. Now and then the next one is killed, too, while it starts. What it
 * knows at last is what the log alone says.
 */
void look_at_warm_start(struct look *look, const struct world *lives,
			uint64_t time);
/* What is read now has to stand below once it is drained. */
bool look_comparable(const struct world *world);
void look_report(struct look *look, const struct world *world,
		 const char *when);

#endif
