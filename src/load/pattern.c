// SPDX-License-Identifier: Apache-2.0
/*
 * pattern.c - splitmix64, and Zipf by rejection-inversion (Hoermann and
 * Derflinger 1996): no table, so a disk of any size costs nothing to set up.
 */
#include "pattern.h"

#include <math.h>

static uint64_t random_word(struct pattern *pattern)
{
	uint64_t z = (pattern->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t pattern_random(struct pattern *pattern, uint64_t end)
{
	/* The high half of a product: uniform without a division. */
	return (uint64_t)(((unsigned __int128)random_word(pattern) * end) >>
			  64);
}

/* [0, 1) */
static double random_fraction(struct pattern *pattern)
{
	return (double)(random_word(pattern) >> 11) * 0x1p-53;
}

static double density(const struct pattern *pattern, double rank)
{
	return exp(-pattern->theta * log(rank));
}

/* (x^(1-theta) - 1) / (1 - theta), which is log(x) for theta 1. */
static double integral(const struct pattern *pattern, double rank)
{
	double power = (1 - pattern->theta) * log(rank);

	if (fabs(power) < 1e-8)
		return log(rank);
	return expm1(power) / (1 - pattern->theta);
}

static double integral_inverse(const struct pattern *pattern, double area)
{
	double power = area * (1 - pattern->theta);

	if (fabs(power) < 1e-8)
		return exp(area);
	return exp(log1p(power > -1 ? power : -1) / (1 - pattern->theta));
}

/* Returns: from 1 to block_count. */
static uint64_t zipf_rank(struct pattern *pattern)
{
	for (;;) {
		double area =
			pattern->integral_last +
			random_fraction(pattern) * (pattern->integral_first -
						    pattern->integral_last);
		double exact = integral_inverse(pattern, area);
		double rank = floor(exact + .5);

		if (rank < 1)
			rank = 1;
		if (rank > (double)pattern->block_count)
			rank = (double)pattern->block_count;
		if (rank - exact <= pattern->shortcut ||
		    area >= integral(pattern, rank + .5) -
				    density(pattern, rank))
			return (uint64_t)rank;
	}
}

static uint64_t divisor(uint64_t a, uint64_t b)
{
	while (b > 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

void pattern_init(struct pattern *pattern, enum pattern_kind kind, double theta,
		  uint64_t block_count, uint64_t seed)
{
	*pattern = (struct pattern){
		.kind = kind,
		.block_count = block_count,
		.random = seed,
		.theta = theta,
	};
	if (kind != PATTERN_ZIPF)
		return;
	pattern->integral_first = integral(pattern, 1.5) - 1;
	pattern->integral_last = integral(pattern, (double)block_count + .5);
	pattern->shortcut =
		2 - integral_inverse(pattern, integral(pattern, 2.5) -
						      density(pattern, 2));
	/* About the golden section: neighbouring ranks lie far apart. */
	pattern->scatter = (uint64_t)((double)block_count * .618) | 1;
	while (divisor(pattern->scatter, block_count) != 1)
		pattern->scatter += 2;
}

uint64_t pattern_block(struct pattern *pattern)
{
	switch (pattern->kind) {
	case PATTERN_UNIFORM:
		break;
	case PATTERN_SEQUENTIAL:
		return pattern->next++ % pattern->block_count;
	case PATTERN_ZIPF:
		return (uint64_t)((unsigned __int128)(zipf_rank(pattern) - 1) *
				  pattern->scatter % pattern->block_count);
	}
	return pattern_random(pattern, pattern->block_count);
}
