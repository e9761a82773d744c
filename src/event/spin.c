// SPDX-License-Identifier: Apache-2.0
/* spin.c - the arithmetic of spin.h; pure, time is a parameter. */
#include "spin.h"

/* Weight of the past in the moving average of hits: 7/8. */
#define USUAL_HIT_SHIFT 3u

void spin_init(struct spin *spin, uint64_t budget_max_ns)
{
	*spin = (struct spin){
		.budget_max_ns = budget_max_ns,
		.budget_ns = budget_max_ns,
		.credit_ns = (int64_t)budget_max_ns,
		.skip_next = 1,
	};
}

uint64_t spin_begin(struct spin *spin)
{
	if (spin->skip > 0) {
		spin->skip--;
		return 0;
	}
	return spin->budget_ns;
}

void spin_hit(struct spin *spin, uint64_t after_ns)
{
	uint64_t budget;

	if (spin->usual_hit_ns == 0)
		spin->usual_hit_ns = after_ns;
	else
		spin->usual_hit_ns += (after_ns >> USUAL_HIT_SHIFT) -
				      (spin->usual_hit_ns >> USUAL_HIT_SHIFT);
	budget = 2 * spin->usual_hit_ns;
	if (budget < SPIN_BUDGET_MIN_NS)
		budget = SPIN_BUDGET_MIN_NS;
	if (budget > spin->budget_max_ns)
		budget = spin->budget_max_ns;
	spin->budget_ns = budget;
	spin->credit_ns += SPIN_GAIN_NS;
	if (spin->credit_ns >= (int64_t)spin->budget_max_ns) {
		spin->credit_ns = (int64_t)spin->budget_max_ns;
		spin->probation = false;
		spin->skip_next = 1;
	}
	if (spin->probation)
		spin->skip = spin->skip_next;
}

void spin_miss(struct spin *spin)
{
	spin->credit_ns -= (int64_t)spin->budget_ns;
	/* The next trial looks at the whole range again. */
	spin->budget_ns = spin->budget_max_ns;
	spin->usual_hit_ns = 0;
	if (spin->credit_ns > 0 && !spin->probation)
		return;
	spin->credit_ns = 0;
	spin->probation = true;
	spin->skip = spin->skip_next;
	if (spin->skip_next < SPIN_SKIP_MAX)
		spin->skip_next *= 2;
}
