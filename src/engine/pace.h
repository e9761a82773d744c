/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace.h - how fast writers may go, so that they never meet a wall.
 *
 *   rate
 *    ^  |             up to PACE_SLOW: as fast as they like
 *    |  |\
 *    |  | \           then: what the layers below take, times
 *    |  |  `-.__      (1000 - pressure) / (pressure - PACE_SLOW)
 *    +--+---+---`->  pressure
 *      500 750  1000
 *
 * Pressure is how much of a limit is used, in thousandths. Above 750 writers
 * are slower than the layers below, under it they are faster: so a writer that
 * wants more than they take settles there, and each of its writes waits the
 * same short while.
 *
 * While it isn't known what the layers below take (nothing went there yet, they
 * refuse, or have been silent for too long), what is left up to the limit is
 * dealt out: never more than a share of it in PACE_SPREAD_NS.
 *
 * A state machine without clock: the caller says what time it is. One thread.
 */
#ifndef FOREBAY_ENGINE_PACE_H
#define FOREBAY_ENGINE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Pressures, in thousandths of the limit. */
#define PACE_FULL 1000u
/* From here on writers are slowed. */
#define PACE_SLOW 500u
/* Time in which e of what is left would be used without an answer. */
#define PACE_SPREAD_NS 10000000000ull
/* A pass that takes so much longer than others is no longer believed in. */
#define PACE_LATE_NS 1000000000ull
/* What was not used earlier may be used at once, for so long a time. */
#define PACE_BURST_NS 10000000ull
#define PACE_UNLIMITED UINT64_MAX

struct pace {
	uint64_t now_ns;
	uint64_t rate; /* of writers, blocks a second */
	int64_t credit; /* of writers, in billionths of a block */
	uint64_t passed_blocks; /* by passes that ended; older ones fade */
	uint64_t passed_ns;
	uint64_t began_ns; /* the pass under way */
	uint64_t pass_blocks; /* that it brings down */
	bool under_way;
	bool failed; /* the last pass */
};

/* It is @now_ns, and of the limit @room_blocks are left. */
void pace_look(struct pace *pace, uint64_t now_ns, uint32_t pressure,
	       uint64_t room_blocks);
/* May a write begin now? Then pace_charge() follows, with its size. */
bool pace_admits(const struct pace *pace);
void pace_charge(struct pace *pace, uint64_t blocks);
/* When pace_admits() would be true, as it looks now. */
uint64_t pace_next_ns(const struct pace *pace);

/* A pass to the layers below; between them writers may go on. */
void pace_pass_began(struct pace *pace, uint64_t now_ns);
void pace_pass_selected(struct pace *pace, uint64_t blocks);
void pace_pass_ended(struct pace *pace, uint64_t now_ns, bool failed);
/* Blocks a second that passes brought down lately; 0: not known. */
uint64_t pace_below_rate(const struct pace *pace);

#endif
