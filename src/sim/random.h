/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.h - numbers that one seed decides (splitmix64).
 */
#ifndef FOREBAY_SIM_RANDOM_H
#define FOREBAY_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

uint64_t random_next(struct random *random);
/* 0 <= result < @limit, which is at least 1. */
uint64_t random_below(struct random *random, uint64_t limit);
bool random_percent(struct random *random, uint32_t percent);

#endif
