// SPDX-License-Identifier: Apache-2.0
/* width.c - see width.h. */
#include "width.h"

#define NS_PER_S 1000000000ull
/* What no guest feels: 3/2 of very little is very little. */
#define SLACK_NS 100000ull
/* Longest time that is dealt out at once. */
#define LOOK_MAX_NS NS_PER_S
/* No product overflows. */
#define CAP_MAX (1ull << 32)

void width_init(struct width *width)
{
	*width = (struct width){.ios = WIDTH_MAX};
}

void width_set_cap(struct width *width, uint64_t bytes_per_s)
{
	width->cap = bytes_per_s < CAP_MAX ? bytes_per_s : CAP_MAX;
	width->credit = 0;
}

void width_sample(struct width *width, enum width_kind kind, uint64_t count,
		  uint64_t sum_ns)
{
	width->kinds[kind].count += count;
	width->kinds[kind].sum_ns += sum_ns;
}

static void move_norm(struct width_samples *samples)
{
	uint64_t mean = samples->sum_ns / samples->count;

	samples->norm_ns =
		samples->norm_ns == 0
			? mean
			: samples->norm_ns - samples->norm_ns / 8 + mean / 8;
}

static bool slower(const struct width_samples *samples)
{
	return samples->norm_ns > 0 &&
	       samples->sum_ns / samples->count >
		       samples->norm_ns * 3 / 2 + SLACK_NS;
}

/* Returns: whether some kind of I/O is slower than its norm. */
static bool compare(struct width *width)
{
	bool any = false;

	for (uint32_t i = 0; i < WIDTH_KINDS; i++) {
		struct width_samples *samples = &width->kinds[i];

		if (samples->count < WIDTH_SAMPLES_MIN)
			continue;
		any |= width->worked && slower(samples);
		if (!width->worked || width->ios == 1)
			move_norm(samples);
	}
	return any;
}

static void adapt(struct width *width, bool working)
{
	bool slow = compare(width);

	if (width->worked && slow)
		width->ios = width->ios > 1 ? width->ios / 2 : 1;
	else if (width->worked && width->ios < WIDTH_MAX)
		width->ios++;
	for (uint32_t i = 0; i < WIDTH_KINDS; i++) {
		width->kinds[i].count = 0;
		width->kinds[i].sum_ns = 0;
	}
	width->worked = working;
	width->looked_ns = width->now_ns;
}

static void deal_out(struct width *width, uint64_t passed_ns)
{
	int64_t most = (int64_t)(width->cap * WIDTH_BURST_NS);

	if (passed_ns > LOOK_MAX_NS)
		passed_ns = LOOK_MAX_NS;
	width->credit += (int64_t)(width->cap * passed_ns);
	if (width->credit > most)
		width->credit = most;
}

void width_look(struct width *width, uint64_t now_ns, bool working, bool urgent)
{
	deal_out(width, now_ns - width->now_ns);
	width->now_ns = now_ns;
	width->urgent = urgent;
	/* What ended before the work began says what the norm is. */
	if ((working && !width->worked) ||
	    now_ns - width->looked_ns >= WIDTH_LOOK_NS)
		adapt(width, working);
}

static bool capped(const struct width *width)
{
	return width->cap > 0 && !width->urgent && width->credit < 0;
}

bool width_admits(const struct width *width, uint32_t busy)
{
	return busy < (width->urgent ? WIDTH_MAX : width->ios) &&
	       !capped(width);
}

void width_charge(struct width *width, uint64_t bytes)
{
	if (width->cap == 0 || width->urgent)
		return;
	width->credit -= (int64_t)(bytes * NS_PER_S);
}

uint64_t width_next_ns(const struct width *width)
{
	uint64_t debt;

	if (!capped(width))
		return width->now_ns;
	debt = (uint64_t)-width->credit / width->cap + 1;
	return width->now_ns + (debt < LOOK_MAX_NS ? debt : LOOK_MAX_NS);
}
