/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spin.h - whether to look for work a little longer before sleeping, and how
 * long.
 *
 * Sleeping and being woken costs 5-30 us, so spinning pays when work comes
 * sooner, and only then: on a CPU shared with the guest it can never succeed.
 * No fixed bound wins everywhere; this one follows its own success. A hit sets
 * the budget to twice the usual time to a hit. A miss makes the loop sleep
 * without spinning for a number of times that doubles with each miss in a row,
 * then tries once more with the full budget.
 */
#ifndef FOREBAY_EVENT_SPIN_H
#define FOREBAY_EVENT_SPIN_H

#include <stdint.h>

/* Most sleeps without a trial. */
#define SPIN_SKIP_MAX 256u
/* A smaller budget can't see anything that comes from another CPU. */
#define SPIN_BUDGET_MIN_NS UINT64_C(4000)

struct spin {
	uint64_t budget_max_ns;
	uint64_t budget_ns;
	uint64_t usual_hit_ns; /* moving average, 0: unknown */
	uint32_t skip; /* sleeps to go without a trial */
	uint32_t skip_next; /* what a miss sets skip to */
};

void spin_init(struct spin *spin, uint64_t budget_max_ns);
/* Called before each sleep. Returns: how long to spin first, 0 for not. */
uint64_t spin_begin(struct spin *spin);
/* How the spin that spin_begin() allowed went. */
void spin_hit(struct spin *spin, uint64_t after_ns);
void spin_miss(struct spin *spin);

#endif
