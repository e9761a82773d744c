// SPDX-License-Identifier: Apache-2.0
/*
 * spread.c - a bucket is the value's highest bit and the two bits behind it.
 */
#include "spread.h"

#define LIMIT (UINT64_C(1) << SPREAD_BITS)

static uint32_t bucket_of(uint64_t value)
{
	uint32_t bit;

	if (value < 4)
		return (uint32_t)value;
	if (value >= LIMIT)
		value = LIMIT - 1;
	bit = 63u - (uint32_t)__builtin_clzll(value);
	return 4 * (bit - 1) + (uint32_t)((value >> (bit - 2)) & 3);
}

void spread_add(struct spread *spread, uint64_t value)
{
	spread->count++;
	spread->buckets[bucket_of(value)]++;
	if (value > spread->max)
		spread->max = value;
}

uint64_t spread_bound(uint32_t bucket)
{
	uint32_t bit = bucket / 4 + 1;

	if (bucket < 4)
		return bucket;
	return (UINT64_C(1) << bit) +
	       ((uint64_t)(bucket % 4 + 1) << (bit - 2)) - 1;
}

uint64_t spread_percentile(const struct spread *spread, uint32_t percent)
{
	uint64_t seen = 0;

	for (uint32_t i = 0; i < SPREAD_BUCKETS; i++) {
		uint64_t bound = spread_bound(i);

		seen += spread->buckets[i];
		/* Without a fraction: counts stay far below 2^57. */
		if (seen > 0 && seen * 100 >= spread->count * percent)
			return bound < spread->max ? bound : spread->max;
	}
	return 0;
}
