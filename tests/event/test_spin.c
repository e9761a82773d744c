// SPDX-License-Identifier: Apache-2.0
/* test_spin.c - the spin follows its own success; time is made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spin.h"

#define MAX_NS UINT64_C(50000)

static void the_first_spin_may_take_all_the_time(void **state)
{
	struct spin spin;

	(void)state;
	spin_init(&spin, MAX_NS);
	assert_int_equal(spin_begin(&spin), MAX_NS);
}

static void quick_hits_make_the_spin_short(void **state)
{
	struct spin spin;

	(void)state;
	spin_init(&spin, MAX_NS);
	for (unsigned int i = 0; i < 10; i++) {
		spin_begin(&spin);
		spin_hit(&spin, 5000);
	}
	assert_int_equal(spin_begin(&spin), 10000);
	for (unsigned int i = 0; i < 200; i++)
		spin_hit(&spin, 10);
	assert_int_equal(spin_begin(&spin), SPIN_BUDGET_MIN_NS);
}

static void slow_hits_never_exceed_the_most(void **state)
{
	struct spin spin;

	(void)state;
	spin_init(&spin, MAX_NS);
	for (unsigned int i = 0; i < 100; i++)
		spin_hit(&spin, MAX_NS - 1);
	assert_int_equal(spin_begin(&spin), MAX_NS);
}

/* Returns: how often of @sleeps the loop spins when each spin misses. */
static unsigned int count_trials(struct spin *spin, unsigned int sleeps)
{
	unsigned int trials = 0;

	while (sleeps-- > 0) {
		if (spin_begin(spin) == 0)
			continue;
		trials++;
		spin_miss(spin);
	}
	return trials;
}

static void a_spin_that_never_hits_nearly_stops(void **state)
{
	struct spin spin;

	(void)state;
	spin_init(&spin, MAX_NS);
	/* 1 + 2 + 4 ... sleeps between the trials. */
	assert_in_range(count_trials(&spin, 1000), 8, 12);
	assert_in_range(count_trials(&spin, 100 * SPIN_SKIP_MAX), 90, 101);
}

static void a_miss_among_hits_is_forgiven(void **state)
{
	struct spin spin;

	(void)state;
	spin_init(&spin, MAX_NS);
	for (unsigned int i = 0; i < 10; i++)
		spin_hit(&spin, 5000);
	assert_int_equal(spin_begin(&spin), 10000);
	spin_miss(&spin);
	assert_int_equal(spin_begin(&spin), MAX_NS);
}

static void misses_that_cost_more_than_hits_earn_end_it(void **state)
{
	struct spin spin;
	unsigned int rounds = 0;

	(void)state;
	spin_init(&spin, MAX_NS);
	/* Two hits of 20 us in three: a gain of 20 us for 40 or more. */
	while (spin_begin(&spin) > 0 && rounds < 100) {
		spin_hit(&spin, 20000);
		spin_hit(&spin, 20000);
		spin_miss(&spin);
		rounds++;
	}
	assert_in_range(rounds, 1, 5);
}

/* Returns: sleeps without a spin before the next trial. */
static unsigned int skip_to_trial(struct spin *spin)
{
	unsigned int skipped = 0;

	while (spin_begin(spin) == 0)
		skipped++;
	return skipped;
}

static void trials_must_fill_the_credit(void **state)
{
	struct spin spin;

	(void)state;
	spin_init(&spin, MAX_NS);
	count_trials(&spin, 10 * SPIN_SKIP_MAX);
	skip_to_trial(&spin);
	for (int64_t earned = SPIN_GAIN_NS; earned < (int64_t)MAX_NS;
	     earned += SPIN_GAIN_NS) {
		spin_hit(&spin, 3000);
		assert_int_equal(skip_to_trial(&spin), SPIN_SKIP_MAX);
	}
	spin_hit(&spin, 3000);
	assert_int_equal(skip_to_trial(&spin), 0);
}

static void a_miss_on_trial_empties_the_credit(void **state)
{
	struct spin spin;

	(void)state;
	spin_init(&spin, MAX_NS);
	spin_miss(&spin);
	assert_int_equal(skip_to_trial(&spin), 1);
	for (int64_t earned = SPIN_GAIN_NS; earned < (int64_t)MAX_NS;
	     earned += SPIN_GAIN_NS) {
		spin_hit(&spin, 3000);
		assert_true(skip_to_trial(&spin) > 0);
	}
	spin_miss(&spin);
	skip_to_trial(&spin);
	spin_hit(&spin, 3000);
	assert_true(skip_to_trial(&spin) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_spin_may_take_all_the_time),
		cmocka_unit_test(quick_hits_make_the_spin_short),
		cmocka_unit_test(slow_hits_never_exceed_the_most),
		cmocka_unit_test(a_spin_that_never_hits_nearly_stops),
		cmocka_unit_test(a_miss_among_hits_is_forgiven),
		cmocka_unit_test(misses_that_cost_more_than_hits_earn_end_it),
		cmocka_unit_test(trials_must_fill_the_credit),
		cmocka_unit_test(a_miss_on_trial_empties_the_credit),
	};

	return cmocka_run_group_tests_name("spin", tests, NULL, NULL);
}
