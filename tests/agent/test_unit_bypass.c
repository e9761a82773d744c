// SPDX-License-Identifier: Apache-2.0
/* test_unit_bypass.c - a process that would be given up, and has filters that
 * it can be served without. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit.h"

#define SECOND UINT64_C(1000000000)

static uint64_t now;

static void start(struct unit *unit)
{
	uint64_t wake_ns;

	assert_int_equal(unit->state, UNIT_WAITING);
	now = unit->next_ns;
	assert_int_equal(unit_decide(unit, now, &wake_ns), UNIT_START);
	unit_started(unit, 8);
}

static void bring_up(struct unit *unit)
{
	now = 100 * SECOND;
	unit_init(unit, true);
	unit_want_up(unit, true, now);
	start(unit);
	unit_ready(unit, now);
}

/* Crashes as one that has filters which may be bypassed, until it is up. */
static void crash_until_given_up(struct unit *unit)
{
	const struct unit_end crash = {
		.known = true, .signal = SIGSEGV, .may_bypass = true};

	for (unsigned int i = 0; i < UNIT_FAULTS_MAX; i++) {
		unit_exited(unit, crash, NULL, now);
		assert_int_equal(unit->state, UNIT_WAITING);
		start(unit);
		unit_ready(unit, now);
	}
	unit_exited(unit, crash, NULL, now);
}

static void what_would_be_given_up_is_tried_without_some_filters(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit);
	assert_false(unit.bypasses);
	crash_until_given_up(&unit);
	assert_int_equal(unit.state, UNIT_WAITING);
	assert_true(unit.bypasses);
	assert_false(unit_is_suspicious(&unit));
	/* If it wasn't them, that is the end. */
	start(&unit);
	unit_ready(&unit, now);
	crash_until_given_up(&unit);
	assert_int_equal(unit.state, UNIT_GAVE_UP);
	/* Who asks for it asks for all of it. */
	unit_want_up(&unit, false, now);
	assert_false(unit.bypasses);
}

static void a_restart_brings_back_what_is_bypassed(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit);
	crash_until_given_up(&unit);
	start(&unit);
	unit_ready(&unit, now);
	assert_int_equal(unit_restart(&unit, now), 0);
	assert_false(unit.bypasses);
}

static void what_never_served_is_not_tried_without_filters(void **state)
{
	const struct unit_end crash = {
		.known = true, .signal = SIGSEGV, .may_bypass = true};
	struct unit unit;

	(void)state;
	bring_up(&unit);
	for (unsigned int i = 0; i <= UNIT_CRASHES_MAX; i++) {
		unit_exited(&unit, crash, NULL, now);
		if (unit.state == UNIT_WAITING)
			start(&unit);
	}
	assert_int_equal(unit.state, UNIT_GAVE_UP);
	assert_false(unit.bypasses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_would_be_given_up_is_tried_without_some_filters),
		cmocka_unit_test(a_restart_brings_back_what_is_bypassed),
		cmocka_unit_test(
			what_never_served_is_not_tried_without_filters),
	};

	return cmocka_run_group_tests_name("unit-bypass", tests, NULL, NULL);
}
