// SPDX-License-Identifier: Apache-2.0
/* test_pattern.c - blocks come as often as their distribution says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pattern.h"

#define BLOCKS 1000u
#define DRAWS 1000000u

static unsigned int counts[BLOCKS];

static void draw(enum pattern_kind kind, double theta)
{
	struct pattern pattern;

	memset(counts, 0, sizeof(counts));
	pattern_init(&pattern, kind, theta, BLOCKS, 42);
	for (unsigned int i = 0; i < DRAWS; i++) {
		uint64_t block = pattern_block(&pattern);

		assert_in_range(block, 0, BLOCKS - 1);
		counts[block]++;
	}
}

static int by_falling_count(const void *a, const void *b)
{
	const unsigned int *first = a, *second = b;

	return (*first < *second) - (*first > *second);
}

static void uniform_draws_each_block_as_often(void **state)
{
	(void)state;
	draw(PATTERN_UNIFORM, 0);
	for (unsigned int i = 0; i < BLOCKS; i++)
		assert_in_range(counts[i], 800, 1200);
}

static void check_zipf(double theta)
{
	double sum = 0;

	draw(PATTERN_ZIPF, theta);
	for (unsigned int i = 1; i <= BLOCKS; i++)
		sum += pow(i, -theta);
	qsort(counts, BLOCKS, sizeof(counts[0]), by_falling_count);
	for (unsigned int rank = 1; rank <= 8; rank++) {
		double wanted = DRAWS * pow(rank, -theta) / sum;

		assert_true(fabs(counts[rank - 1] - wanted) <
			    6 * sqrt(wanted) + 1);
	}
}

static void zipf_draws_the_kth_block_as_often_as_theta_says(void **state)
{
	(void)state;
	check_zipf(.5);
	check_zipf(.99);
	check_zipf(1);
	check_zipf(1.5);
	check_zipf(3);
}

static void zipf_scatters_neighbouring_ranks(void **state)
{
	(void)state;
	draw(PATTERN_ZIPF, 3);
	/* Ranks 1 and 2: three quarters and a tenth of all. */
	for (unsigned int i = 0; i + 1 < BLOCKS; i++)
		assert_false(counts[i] > DRAWS / 20 &&
			     counts[i + 1] > DRAWS / 20);
}

static void zipf_reaches_every_size_of_disk(void **state)
{
	struct pattern pattern;

	(void)state;
	for (uint64_t blocks = 1; blocks < UINT64_C(1) << 40;
	     blocks = blocks * 3 + 1) {
		pattern_init(&pattern, PATTERN_ZIPF, .99, blocks, 1);
		for (unsigned int i = 0; i < 1000; i++)
			assert_in_range(pattern_block(&pattern), 0, blocks - 1);
	}
}

static void sequential_starts_again_at_the_end(void **state)
{
	struct pattern pattern;

	(void)state;
	pattern_init(&pattern, PATTERN_SEQUENTIAL, 0, 3, 1);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(pattern_block(&pattern), i % 3);
}

static void one_seed_makes_one_sequence(void **state)
{
	struct pattern first, second, other;
	unsigned int same = 0;

	(void)state;
	pattern_init(&first, PATTERN_UNIFORM, 0, 1u << 30, 7);
	pattern_init(&second, PATTERN_UNIFORM, 0, 1u << 30, 7);
	pattern_init(&other, PATTERN_UNIFORM, 0, 1u << 30, 8);
	for (unsigned int i = 0; i < 100; i++) {
		uint64_t block = pattern_block(&first);

		assert_int_equal(block, pattern_block(&second));
		same += block == pattern_block(&other);
	}
	assert_in_range(same, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uniform_draws_each_block_as_often),
		cmocka_unit_test(
			zipf_draws_the_kth_block_as_often_as_theta_says),
		cmocka_unit_test(zipf_scatters_neighbouring_ranks),
		cmocka_unit_test(zipf_reaches_every_size_of_disk),
		cmocka_unit_test(sequential_starts_again_at_the_end),
		cmocka_unit_test(one_seed_makes_one_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
