/* SPDX-License-Identifier: Apache-2.0 */
/*
 * latency.h - a histogram of times: exact enough for p99.9, cheap to feed.
 *
 * Each power of two is cut into 16 equal steps, so a percentile is at most
 * 1/16 too high; below 16 ns it is exact. Adding takes a shift and an
 * increment.
 */
#ifndef FOREBAY_PIPELINE_LATENCY_H
#define FOREBAY_PIPELINE_LATENCY_H

#include <jansson.h>
#include <stdint.h>

#define LATENCY_STEP_BITS 4u
#define LATENCY_STEPS (1u << LATENCY_STEP_BITS)
/* Times from 2^40 ns (18 minutes) on share the last step. */
#define LATENCY_BITS_MAX 40u
#define LATENCY_BUCKETS \
	((LATENCY_BITS_MAX - LATENCY_STEP_BITS + 1) * LATENCY_STEPS)

/*
 * What is exported of it: bounds of 8 us, twice as much, ... 17 s. The steps of
 * a power of two end there, so that the counts are exact.
 */
#define LATENCY_HISTOGRAM_FIRST_BITS 13u
#define LATENCY_HISTOGRAM_LAST_BITS 34u

struct latency {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t max_ns;
	uint64_t buckets[LATENCY_BUCKETS];
};

void latency_add(struct latency *latency, uint64_t ns);
/*
 * Returns: a time that @permille of 1000 values don't exceed, rounded up to the
 * end of its step and never above the largest value; 0 if there are none.
 */
uint64_t latency_quantile_ns(const struct latency *latency,
			     unsigned int permille);
/* Returns: how many values were below 2^@bits; @bits: LATENCY_BITS_MAX at most.
 */
uint64_t latency_below(const struct latency *latency, unsigned int bits);
/*
 * {p50, p99, p999, mean, max} in microseconds, sum in nanoseconds, and
 * histogram: how many took less than 2^13 ns, 2^14 ns, ... 2^34 ns, each with
 * all before it (LATENCY_HISTOGRAM_*). Owns: the caller.
 */
json_t *latency_summary(const struct latency *latency);

#endif
