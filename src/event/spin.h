/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spin.h - whether to look for work a little longer before sleeping, and how
 * long.
 *
 * Sleeping and being woken costs 5-30 us, so spinning pays when work comes
 * sooner, and only then: on a CPU shared with the guest, or with the kernel's
 * threads that do the I/O, it can't succeed, and holds up what it waits for.
 * No fixed bound wins everywhere; this one follows its own success:
 *
 *   budget   twice the usual time to a hit; the most there is after a miss
 *   credit   a hit earns what a wake-up costs, a miss costs what it took
 *   skip     without credit the loop sleeps without spinning, for a number of
 *            times that doubles with each miss, between trials; hits of these
 *            must fill the credit before it spins each time again
 */
#ifndef FOREBAY_EVENT_SPIN_H
#define FOREBAY_EVENT_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/* Most sleeps without a trial. */
#define SPIN_SKIP_MAX 256u
/* What a hit saves: the cheaper end of a sleep and a wake-up. */
#define SPIN_GAIN_NS INT64_C(10000)
/* A smaller budget can't see anything that comes from another CPU. */
#define SPIN_BUDGET_MIN_NS UINT64_C(4000)

struct spin {
	uint64_t budget_max_ns;
	uint64_t budget_ns;
	uint64_t usual_hit_ns; /* moving average, 0: unknown */
	int64_t credit_ns; /* at most budget_max_ns */
	bool probation; /* until the credit is full */
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
