// SPDX-License-Identifier: Apache-2.0
/* test_latency.c - how far a percentile may be from the truth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "latency.h"

static struct latency *latency_new(void)
{
	struct latency *latency = calloc(1, sizeof(*latency));

	assert_non_null(latency);
	return latency;
}

static void an_empty_histogram_says_zero(void **state)
{
	struct latency *latency = latency_new();

	(void)state;
	assert_int_equal(latency_quantile_ns(latency, 500), 0);
	free(latency);
}

static void a_percentile_is_at_most_a_sixteenth_too_high(void **state)
{
	(void)state;
	for (uint64_t ns = 1; ns < UINT64_C(1) << LATENCY_BITS_MAX;
	     ns += ns / 3 + 1) {
		struct latency *latency = latency_new();
		uint64_t median;

		latency_add(latency, ns);
		latency_add(latency, UINT64_MAX / 4);
		median = latency_quantile_ns(latency, 500);
		assert_true(median >= ns);
		assert_true(median - ns <= ns / LATENCY_STEPS);
		free(latency);
	}
}

static void percentiles_count_from_the_fastest(void **state)
{
	struct latency *latency = latency_new();

	(void)state;
	for (unsigned int i = 0; i < 989; i++)
		latency_add(latency, 10);
	for (unsigned int i = 0; i < 10; i++)
		latency_add(latency, 12);
	latency_add(latency, 15);
	assert_int_equal(latency_quantile_ns(latency, 500), 10);
	assert_int_equal(latency_quantile_ns(latency, 989), 10);
	assert_int_equal(latency_quantile_ns(latency, 990), 12);
	assert_int_equal(latency_quantile_ns(latency, 999), 12);
	assert_int_equal(latency_quantile_ns(latency, 1000), 15);
	free(latency);
}

static void no_percentile_exceeds_the_largest_value(void **state)
{
	struct latency *latency = latency_new();

	(void)state;
	latency_add(latency, 1000003);
	assert_int_equal(latency_quantile_ns(latency, 999), 1000003);
	latency_add(latency, UINT64_MAX / 4);
	assert_int_equal(latency_quantile_ns(latency, 999), UINT64_MAX / 4);
	free(latency);
}

static void the_histogram_counts_what_took_less(void **state)
{
	struct latency *latency = latency_new();
	json_t *summary, *counts;

	(void)state;
	latency_add(latency, 0);
	latency_add(latency, (1 << 20) - 1);
	latency_add(latency, 1 << 20);
	latency_add(latency, UINT64_C(1) << 39);
	summary = latency_summary(latency);
	counts = json_object_get(summary, "histogram");
	assert_int_equal(json_array_size(counts),
			 LATENCY_HISTOGRAM_LAST_BITS -
				 LATENCY_HISTOGRAM_FIRST_BITS + 1);
	for (unsigned int i = 0; i < json_array_size(counts); i++) {
		unsigned int bits = i + LATENCY_HISTOGRAM_FIRST_BITS;

		assert_int_equal(json_integer_value(json_array_get(counts, i)),
				 bits < 20    ? 1
				 : bits == 20 ? 2
					      : 3);
	}
	json_decref(summary);
	free(latency);
}

static void the_summary_is_in_microseconds(void **state)
{
	struct latency *latency = latency_new();
	json_t *summary;

	(void)state;
	latency_add(latency, 1500);
	summary = latency_summary(latency);
	assert_true(json_real_value(json_object_get(summary, "max")) == 1.5);
	assert_true(json_real_value(json_object_get(summary, "p50")) == 1.5);
	assert_true(json_real_value(json_object_get(summary, "mean")) == 1.5);
	assert_int_equal(json_integer_value(json_object_get(summary, "sum_ns")),
			 1500);
	assert_int_equal(json_object_size(summary), 7);
	json_decref(summary);
	free(latency);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_histogram_says_zero),
		cmocka_unit_test(a_percentile_is_at_most_a_sixteenth_too_high),
		cmocka_unit_test(percentiles_count_from_the_fastest),
		cmocka_unit_test(no_percentile_exceeds_the_largest_value),
		cmocka_unit_test(the_summary_is_in_microseconds),
		cmocka_unit_test(the_histogram_counts_what_took_less),
	};

	return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
