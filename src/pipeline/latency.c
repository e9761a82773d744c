// SPDX-License-Identifier: Apache-2.0
/*
 * latency.c - bucket numbers: with the highest set bit at position h, a value
 * of h < 4 is its own bucket, and otherwise the four bits under the highest
 * one are the step in the row h - 3.
 */
#include "latency.h"

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int shift;

	if (ns < LATENCY_STEPS)
		return (unsigned int)ns;
	if (ns >= UINT64_C(1) << LATENCY_BITS_MAX)
		return LATENCY_BUCKETS - 1;
	shift = 63u - (unsigned int)__builtin_clzll(ns) - LATENCY_STEP_BITS;
	/* ns >> shift is 16 to 31: the row's number is shift + 1. */
	return shift * LATENCY_STEPS + (unsigned int)(ns >> shift);
}

/* Largest value that falls into @bucket. */
static uint64_t bucket_last_ns(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < LATENCY_STEPS)
		return bucket;
	shift = bucket / LATENCY_STEPS - 1;
	return ((uint64_t)(bucket - shift * LATENCY_STEPS + 1) << shift) - 1;
}

void latency_add(struct latency *latency, uint64_t ns)
{
	latency->count++;
	latency->sum_ns += ns;
	if (ns > latency->max_ns)
		latency->max_ns = ns;
	latency->buckets[bucket_of(ns)]++;
}

uint64_t latency_quantile_ns(const struct latency *latency,
			     unsigned int permille)
{
	uint64_t wanted = (latency->count * permille + 999) / 1000;
	uint64_t seen = 0;

	if (latency->count == 0)
		return 0;
	for (unsigned int i = 0; i < LATENCY_BUCKETS - 1; i++) {
		uint64_t last = bucket_last_ns(i);

		seen += latency->buckets[i];
		if (seen >= wanted)
			return last < latency->max_ns ? last : latency->max_ns;
	}
	return latency->max_ns;
}

uint64_t latency_below(const struct latency *latency, unsigned int bits)
{
	uint64_t count = 0;

	for (unsigned int i = 0;
	     i < LATENCY_BUCKETS - 1 && bucket_last_ns(i) < UINT64_C(1) << bits;
	     i++)
		count += latency->buckets[i];
	return count;
}

static double us(uint64_t ns)
{
	return (double)ns / 1000.0;
}

static json_t *histogram(const struct latency *latency)
{
	json_t *counts = json_array();
	uint64_t count = 0;
	unsigned int bucket = 0;

	for (unsigned int bits = LATENCY_HISTOGRAM_FIRST_BITS;
	     bits <= LATENCY_HISTOGRAM_LAST_BITS; bits++) {
		while (bucket_last_ns(bucket) < UINT64_C(1) << bits)
			count += latency->buckets[bucket++];
		json_array_append_new(counts, json_integer((json_int_t)count));
	}
	return counts;
}

json_t *latency_summary(const struct latency *latency)
{
	uint64_t count = latency->count > 0 ? latency->count : 1;

	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:I, s:o}", "p50",
			 us(latency_quantile_ns(latency, 500)), "p99",
			 us(latency_quantile_ns(latency, 990)), "p999",
			 us(latency_quantile_ns(latency, 999)), "mean",
			 us(latency->sum_ns / count), "max",
			 us(latency->max_ns), "sum_ns",
			 (json_int_t)latency->sum_ns, "histogram",
			 histogram(latency));
}
