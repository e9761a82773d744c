/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern.h - which block comes next, and random numbers for the rest.
 *
 * Zipf: the block of rank k is chosen with probability ~ 1 / k^theta; ranks
 * lie scattered over the disk. One seed makes one sequence.
 */
#ifndef FOREBAY_LOAD_PATTERN_H
#define FOREBAY_LOAD_PATTERN_H

#include <stdint.h>

#define PATTERN_THETA_MAX 10.0

enum pattern_kind { PATTERN_UNIFORM = 0, PATTERN_ZIPF, PATTERN_SEQUENTIAL };

struct pattern {
	enum pattern_kind kind;
	uint64_t block_count;
	uint64_t random; /* state */
	uint64_t next; /* sequential */
	uint64_t scatter; /* coprime with block_count */
	double theta;
	double integral_first, integral_last, shortcut;
};

/* @theta: above 0, at most PATTERN_THETA_MAX; for zipf only. */
void pattern_init(struct pattern *pattern, enum pattern_kind kind, double theta,
		  uint64_t block_count, uint64_t seed);
uint64_t pattern_block(struct pattern *pattern);
/* Returns: below @end. */
uint64_t pattern_random(struct pattern *pattern, uint64_t end);

#endif
