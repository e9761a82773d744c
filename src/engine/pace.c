// SPDX-License-Identifier: Apache-2.0
/* pace.c - see pace.h. */
#include "pace.h"

#define NS_PER_S 1000000000ull
/* Longest time that is dealt out at once. */
#define LOOK_MAX_NS NS_PER_S
/* 40 GB a second, and no product overflows. */
#define BELOW_RATE_MAX 10000000ull
/* Of what is remembered of earlier passes, each new one takes a quarter off. */
#define FADE(value) ((value) - (value) / 4)

uint64_t pace_below_rate(const struct pace *pace)
{
	uint64_t rate;

	if (pace->passed_blocks == 0)
		return 0;
	rate = pace->passed_blocks * NS_PER_S / (pace->passed_ns + 1) + 1;
	return rate < BELOW_RATE_MAX ? rate : BELOW_RATE_MAX;
}

static uint64_t pass_ns(const struct pace *pace)
{
	return pace->under_way ? pace->now_ns - pace->began_ns : 0;
}

static uint64_t expected_ns(const struct pace *pace, uint64_t rate)
{
	return pace->pass_blocks * NS_PER_S / rate;
}

/* The same, with what is known of the pass under way. */
static uint64_t believed_rate(const struct pace *pace, bool *ret_sure)
{
	uint64_t rate = pace_below_rate(pace);
	uint64_t taken = pass_ns(pace);

	*ret_sure = rate > 0 && !pace->failed;
	if (rate == 0 || taken <= expected_ns(pace, rate))
		return rate;
	if (taken > 2 * expected_ns(pace, rate) + PACE_LATE_NS)
		*ret_sure = false;
	/* So slow it is at best. */
	return pace->pass_blocks * NS_PER_S / taken;
}

static uint64_t allowed(const struct pace *pace, uint32_t pressure,
			uint64_t room_blocks)
{
	bool sure;
	uint64_t rate = believed_rate(pace, &sure);

	if (pressure < PACE_SLOW)
		return PACE_UNLIMITED;
	rate = pressure >= PACE_FULL ? 0
				     : rate * (PACE_FULL - pressure) /
					       (pressure - PACE_SLOW + 1);
	if (!sure && rate < room_blocks * NS_PER_S / PACE_SPREAD_NS)
		rate = room_blocks * NS_PER_S / PACE_SPREAD_NS;
	/* It never stands still: who is at the limit stops others himself. */
	return rate > 0 ? rate : 1;
}

void pace_look(struct pace *pace, uint64_t now_ns, uint32_t pressure,
	       uint64_t room_blocks)
{
	uint64_t passed = now_ns - pace->now_ns;
	int64_t most;

	pace->now_ns = now_ns;
	pace->rate = allowed(pace, pressure, room_blocks);
	if (pace->rate == PACE_UNLIMITED) {
		pace->credit = 1;
		return;
	}
	if (passed > LOOK_MAX_NS)
		passed = LOOK_MAX_NS;
	most = (int64_t)(pace->rate * PACE_BURST_NS) + 1;
	pace->credit += (int64_t)(pace->rate * passed);
	if (pace->credit > most)
		pace->credit = most;
}

bool pace_admits(const struct pace *pace)
{
	return pace->rate == PACE_UNLIMITED || pace->credit > 0;
}

void pace_charge(struct pace *pace, uint64_t blocks)
{
	if (pace->rate != PACE_UNLIMITED)
		pace->credit -= (int64_t)(blocks * NS_PER_S);
}

uint64_t pace_next_ns(const struct pace *pace)
{
	uint64_t debt;

	if (pace_admits(pace))
		return pace->now_ns;
	debt = (uint64_t)-pace->credit / pace->rate + 1;
	return pace->now_ns + (debt < LOOK_MAX_NS ? debt : LOOK_MAX_NS);
}

void pace_pass_began(struct pace *pace, uint64_t now_ns)
{
	pace->began_ns = now_ns;
	pace->under_way = true;
	pace->pass_blocks = 0;
}

void pace_pass_selected(struct pace *pace, uint64_t blocks)
{
	pace->pass_blocks = blocks;
}

void pace_pass_ended(struct pace *pace, uint64_t now_ns, bool failed)
{
	pace->now_ns = now_ns;
	if (!failed && pace->pass_blocks > 0) {
		pace->passed_blocks =
			FADE(pace->passed_blocks) + pace->pass_blocks;
		pace->passed_ns = FADE(pace->passed_ns) + pass_ns(pace);
	}
	pace->failed = failed;
	pace->under_way = false;
}
