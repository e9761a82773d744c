// SPDX-License-Identifier: Apache-2.0
/* histogram.c - log-linear buckets: small values exact, large ones to 3 %. */
#include "histogram.h"

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int exponent, index;

	if (ns < HISTOGRAM_STEPS)
		return (unsigned int)ns;
	/* The five bits behind the leading one choose within its octave. */
	exponent = 63u - (unsigned int)__builtin_clzll(ns);
	index = (exponent - 4u) * HISTOGRAM_STEPS +
		(unsigned int)(ns >> (exponent - 5u)) % HISTOGRAM_STEPS;
	return index < HISTOGRAM_BUCKETS ? index : HISTOGRAM_BUCKETS - 1;
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_end(unsigned int index)
{
	unsigned int exponent = index / HISTOGRAM_STEPS + 4u;
	uint64_t step = index % HISTOGRAM_STEPS;

	if (index < HISTOGRAM_STEPS)
		return index;
	return ((HISTOGRAM_STEPS + step + 1) << (exponent - 5u)) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->count++;
	histogram->sum_ns += ns;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
	histogram->buckets[bucket_of(ns)]++;
}

uint64_t histogram_quantile(const struct histogram *histogram, double fraction)
{
	uint64_t wanted = (uint64_t)((double)histogram->count * fraction);
	uint64_t seen = 0;

	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > wanted)
			return bucket_end(i) < histogram->max_ns
				       ? bucket_end(i)
				       : histogram->max_ns;
	}
	return histogram->max_ns;
}

double histogram_mean_ns(const struct histogram *histogram)
{
	if (histogram->count == 0)
		return 0;
	return (double)histogram->sum_ns / (double)histogram->count;
}
