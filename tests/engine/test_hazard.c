// SPDX-License-Identifier: Apache-2.0
/* test_hazard.c - who keeps whom waiting, by units of 16 blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "hazard.h"

static struct hazards hazards;

static int nobody(void **state)
{
	(void)state;
	memset(&hazards, 0, sizeof(hazards));
	return 0;
}

static void a_write_is_seen_from_its_beginning_to_its_end(void **state)
{
	(void)state;
	assert_false(hazard_writes(&hazards, 10, 1));
	hazard_write_begin(&hazards, 10, 1);
	assert_true(hazard_writes(&hazards, 10, 1));
	hazard_write_end(&hazards, 10, 1);
	assert_false(hazard_writes(&hazards, 10, 1));
}

static void two_writes_of_a_unit_must_both_end(void **state)
{
	(void)state;
	hazard_write_begin(&hazards, 10, 1);
	hazard_write_begin(&hazards, 11, 1);
	hazard_write_end(&hazards, 10, 1);
	assert_true(hazard_writes(&hazards, 10, 1));
	hazard_write_end(&hazards, 11, 1);
	assert_false(hazard_writes(&hazards, 10, 1));
}

static void a_range_counts_for_each_unit_that_it_touches(void **state)
{
	(void)state;
	hazard_write_begin(&hazards, 15, 18);
	assert_true(hazard_writes(&hazards, 0, 1));
	assert_true(hazard_writes(&hazards, 16, 1));
	assert_true(hazard_writes(&hazards, 32, 1));
	assert_false(hazard_writes(&hazards, 48, 1));
	hazard_write_end(&hazards, 15, 18);
	assert_false(hazard_writes(&hazards, 0, 48));
}

static void a_range_of_nothing_touches_nothing(void **state)
{
	(void)state;
	hazard_write_begin(&hazards, 10, 0);
	assert_false(hazard_writes(&hazards, 10, 1));
	assert_int_equal(hazard_generation(&hazards, 10, 1), 0);
}

static void a_write_that_came_and_went_still_raised_the_generation(void **state)
{
	uint64_t before = hazard_generation(&hazards, 0, 64);

	(void)state;
	hazard_write_begin(&hazards, 20, 1);
	hazard_write_end(&hazards, 20, 1);
	assert_int_not_equal(hazard_generation(&hazards, 0, 64), before);
	assert_int_equal(hazard_generation(&hazards, 0, 16), 0);
}

static void units_that_share_a_bucket_wait_for_each_other(void **state)
{
	uint64_t far = (uint64_t)HAZARD_UNIT_BLOCKS * HAZARD_BUCKETS;

	(void)state;
	hazard_write_begin(&hazards, 10, 1);
	assert_true(hazard_writes(&hazards, far + 10, 1));
	assert_false(hazard_writes(&hazards, far + 26, 1));
}

static void a_fill_is_seen_until_it_ends(void **state)
{
	(void)state;
	hazard_fill_begin(&hazards, 30, 4);
	assert_true(hazard_fills(&hazards, 32, 1));
	assert_true(hazard_fills(&hazards, 16, 1));
	assert_false(hazard_writes(&hazards, 30, 4));
	hazard_fill_end(&hazards, 30, 4);
	assert_false(hazard_fills(&hazards, 0, 64));
}

static void a_blocked_block_keeps_its_unit_waiting(void **state)
{
	(void)state;
	hazard_block(&hazards, 5);
	assert_true(hazard_blocked(&hazards, 0, 1));
	assert_false(hazard_blocked(&hazards, 16, 100));
	hazard_unblock(&hazards, 5);
	assert_false(hazard_blocked(&hazards, 0, 1));
}

static void below_belongs_to_one_write_at_a_time(void **state)
{
	(void)state;
	assert_true(hazard_below_take(&hazards, 0, 4));
	assert_false(hazard_below_take(&hazards, 8, 1));
	assert_true(hazard_below_take(&hazards, 16, 1));
	hazard_below_release(&hazards, 0, 4);
	assert_true(hazard_below_take(&hazards, 8, 1));
}

static void a_refused_range_takes_nothing(void **state)
{
	(void)state;
	assert_true(hazard_below_take(&hazards, 32, 1));
	assert_false(hazard_below_take(&hazards, 0, 48));
	assert_true(hazard_below_take(&hazards, 0, 32));
}

static void a_guests_write_keeps_the_destager_away(void **state)
{
	(void)state;
	assert_true(hazard_below_take(&hazards, 3, 1));
	assert_false(hazard_destage_take(&hazards, 4));
	hazard_below_release(&hazards, 3, 1);
	assert_true(hazard_destage_take(&hazards, 4));
	assert_false(hazard_below_take(&hazards, 3, 1));
}

static void the_destager_may_meet_itself(void **state)
{
	(void)state;
	assert_true(hazard_destage_take(&hazards, 4));
	assert_true(hazard_destage_take(&hazards, 5));
	hazard_destage_release(&hazards, 4);
	hazard_destage_release(&hazards, 5);
	assert_true(hazard_below_take(&hazards, 4, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			a_write_is_seen_from_its_beginning_to_its_end, nobody),
		cmocka_unit_test_setup(two_writes_of_a_unit_must_both_end,
				       nobody),
		cmocka_unit_test_setup(
			a_range_counts_for_each_unit_that_it_touches, nobody),
		cmocka_unit_test_setup(a_range_of_nothing_touches_nothing,
				       nobody),
		cmocka_unit_test_setup(
			a_write_that_came_and_went_still_raised_the_generation,
			nobody),
		cmocka_unit_test_setup(
			units_that_share_a_bucket_wait_for_each_other, nobody),
		cmocka_unit_test_setup(a_fill_is_seen_until_it_ends, nobody),
		cmocka_unit_test_setup(a_blocked_block_keeps_its_unit_waiting,
				       nobody),
		cmocka_unit_test_setup(below_belongs_to_one_write_at_a_time,
				       nobody),
		cmocka_unit_test_setup(a_refused_range_takes_nothing, nobody),
		cmocka_unit_test_setup(a_guests_write_keeps_the_destager_away,
				       nobody),
		cmocka_unit_test_setup(the_destager_may_meet_itself, nobody),
	};

	return cmocka_run_group_tests_name("hazard", tests, NULL, NULL);
}
