// SPDX-License-Identifier: Apache-2.0
/*
 * bucket.c - pure arithmetic on times that the caller gives.
 *
 * Units of one cost stay below 2^32 (a request moves at most 32 MiB), and so
 * units * 10^9 fits into 64 bits.
 */
#include "bucket.h"

#define NS_PER_S UINT64_C(1000000000)

static int64_t level_ns(const struct bucket *bucket, uint64_t now_ns)
{
	int64_t level = (int64_t)now_ns - bucket->zero_ns;

	return level < (int64_t)bucket->depth_ns ? level
						 : (int64_t)bucket->depth_ns;
}

void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t depth_ns,
		 uint64_t now_ns)
{
	*bucket = (struct bucket){
		.rate = rate,
		.depth_ns = depth_ns,
		.zero_ns = (int64_t)now_ns - (int64_t)depth_ns,
	};
}

void bucket_change(struct bucket *bucket, uint64_t rate, uint64_t depth_ns,
		   uint64_t now_ns)
{
	int64_t level = level_ns(bucket, now_ns);

	/* What was borrowed at a low rate would take its time to be paid back
	 * at the new one: a changed limit starts with no debt. */
	if (level < 0)
		level = 0;
	if (level > (int64_t)depth_ns)
		level = (int64_t)depth_ns;
	*bucket = (struct bucket){
		.rate = rate,
		.depth_ns = depth_ns,
		.zero_ns = (int64_t)now_ns - level,
	};
}

uint64_t bucket_wait_ns(const struct bucket *bucket, uint64_t units,
			uint64_t now_ns)
{
	uint64_t cost_ns;
	int64_t missing_ns;

	/* What costs nothing doesn't wait for the debt of others. */
	if (bucket->rate == 0 || units == 0)
		return 0;
	cost_ns = (units * NS_PER_S + bucket->remainder) / bucket->rate;
	if (cost_ns > bucket->depth_ns)
		cost_ns = bucket->depth_ns;
	missing_ns = (int64_t)cost_ns - level_ns(bucket, now_ns);
	return missing_ns > 0 ? (uint64_t)missing_ns : 0;
}

void bucket_take(struct bucket *bucket, uint64_t units, uint64_t now_ns)
{
	uint64_t cost;

	if (bucket->rate == 0)
		return;
	cost = units * NS_PER_S + bucket->remainder;
	bucket->remainder = cost % bucket->rate;
	bucket->zero_ns = (int64_t)now_ns - level_ns(bucket, now_ns) +
			  (int64_t)(cost / bucket->rate);
}
