// SPDX-License-Identifier: Apache-2.0
/* test_histogram.c - quantiles are right to 3 %. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "histogram.h"

static void assert_near(uint64_t value, uint64_t wanted)
{
	assert_in_range(value, wanted - wanted / 32, wanted + wanted / 32);
}

static void quantiles_of_a_ramp_are_near(void **state)
{
	struct histogram histogram = {0};

	(void)state;
	for (uint64_t i = 1; i <= 100000; i++)
		histogram_add(&histogram, i);
	assert_near(histogram_quantile(&histogram, .5), 50000);
	assert_near(histogram_quantile(&histogram, .9), 90000);
	assert_near(histogram_quantile(&histogram, .999), 99900);
	assert_int_equal(histogram.max_ns, 100000);
	assert_int_equal((uint64_t)histogram_mean_ns(&histogram), 50000);
}

static void no_quantile_exceeds_the_largest_value(void **state)
{
	struct histogram histogram = {0};

	(void)state;
	histogram_add(&histogram, 1000001);
	assert_int_equal(histogram_quantile(&histogram, .5), 1000001);
	histogram_add(&histogram, UINT64_MAX);
	assert_int_equal(histogram_quantile(&histogram, 1), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_of_a_ramp_are_near),
		cmocka_unit_test(no_quantile_exceeds_the_largest_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
