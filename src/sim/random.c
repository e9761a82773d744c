// SPDX-License-Identifier: Apache-2.0
/*
 * random.c - see random.h.
 */
#include "random.h"

uint64_t random_next(struct random *random)
{
	uint64_t z;

	random->state += 0x9e3779b97f4a7c15ull;
	z = random->state;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t random_below(struct random *random, uint64_t limit)
{
	return random_next(random) % limit;
}

bool random_percent(struct random *random, uint32_t percent)
{
	return random_below(random, 100) < percent;
}
