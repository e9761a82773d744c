/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram.h - latencies in buckets that are 1/32 wide, from 1 ns to an hour.
 */
#ifndef FOREBAY_LOAD_HISTOGRAM_H
#define FOREBAY_LOAD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 32u /* buckets for each power of two */
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * 40u)

/* Zero it first. */
struct histogram {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t max_ns;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);
/* Returns: the latency that @fraction of the values don't exceed. */
uint64_t histogram_quantile(const struct histogram *histogram, double fraction);
double histogram_mean_ns(const struct histogram *histogram);

#endif
