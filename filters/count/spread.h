/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spread.h - a histogram: four buckets for each doubling, so that what a bucket
 * says is at most a quarter too high. Values below 4 have one each.
 */
#ifndef FOREBAY_COUNT_SPREAD_H
#define FOREBAY_COUNT_SPREAD_H

#include <stdint.h>

/* Up to 2^40: microseconds of twelve days, or a terabyte. */
#define SPREAD_BITS 40u
#define SPREAD_BUCKETS (4u * (SPREAD_BITS - 1u))

/* Zero it first. */
struct spread {
	uint64_t count;
	uint64_t max;
	uint64_t buckets[SPREAD_BUCKETS];
};

/* What is 2^40 and more counts as the largest. */
void spread_add(struct spread *spread, uint64_t value);
/* Largest value of a bucket. */
uint64_t spread_bound(uint32_t bucket);
/* What @percent of the values don't exceed, as a bucket's bound; 0: none. */
uint64_t spread_percentile(const struct spread *spread, uint32_t percent);

#endif
