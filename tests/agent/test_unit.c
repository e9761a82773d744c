// SPDX-License-Identifier: Apache-2.0
/* test_unit.c - the life of a supervised process, in virtual time. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit.h"

#include <errno.h>

#define SECOND UINT64_C(1000000000)

static const struct unit_end by_signal = {.known = true, .signal = SIGKILL};
static const struct unit_end with_zero = {.known = true};
static const struct unit_end unknown = {0};

static uint64_t now;

static enum unit_action decide(struct unit *unit)
{
	uint64_t wake_ns;

	return unit_decide(unit, now, &wake_ns);
}

/* When unit_decide() wants to be asked again. */
static uint64_t wake_of(struct unit *unit)
{
	uint64_t wake_ns;

	assert_int_equal(unit_decide(unit, now, &wake_ns), UNIT_NOTHING);
	return wake_ns;
}

static void bring_up(struct unit *unit, bool drains)
{
	now = 100 * SECOND;
	unit_init(unit, drains);
	unit_want_up(unit, true, now);
	assert_int_equal(decide(unit), UNIT_START);
	unit_started(unit, 7);
	unit_ready(unit, now);
	assert_int_equal(unit->state, UNIT_UP);
}

static void start_again(struct unit *unit)
{
	assert_int_equal(unit->state, UNIT_WAITING);
	now = unit->next_ns;
	assert_int_equal(decide(unit), UNIT_START);
	unit_started(unit, 8);
}

static void a_unit_that_nobody_wants_is_left_alone(void **state)
{
	struct unit unit;

	(void)state;
	unit_init(&unit, true);
	assert_int_equal(decide(&unit), UNIT_NOTHING);
	assert_true(unit_is_settled(&unit));
}

static void a_wanted_unit_is_started_at_once(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	assert_true(unit_is_settled(&unit));
	assert_int_equal(unit.restarts, 0);
	assert_int_equal(unit.pid, 7);
}

static void a_crash_is_restarted_at_once(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	now += 5 * SECOND;
	unit_exited(&unit, by_signal, NULL, now);
	assert_false(unit_is_settled(&unit));
	assert_non_null(strstr(unit.reason, "signal 9"));
	assert_int_equal(decide(&unit), UNIT_START);
	assert_int_equal(unit.restarts, 1);
}

static void crashes_in_a_row_wait_longer_each_time(void **state)
{
	uint64_t last_ns = 0;

	(void)state;
	assert_int_equal(unit_delay_ns(1), 0);
	assert_int_equal(unit_delay_ns(2), UNIT_DELAY_FIRST_NS);
	for (unsigned int i = 2; i < 64; i++) {
		uint64_t delay_ns = unit_delay_ns(i);

		assert_true(delay_ns > last_ns ||
			    delay_ns == UNIT_DELAY_MAX_NS);
		last_ns = delay_ns;
	}
	assert_int_equal(last_ns, UNIT_DELAY_MAX_NS);
}

static void a_unit_waits_for_its_delay(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit_exited(&unit, by_signal, NULL, now);
	start_again(&unit);
	unit_exited(&unit, by_signal, NULL, now);
	assert_int_equal(wake_of(&unit), now + UNIT_DELAY_FIRST_NS);
	now += UNIT_DELAY_FIRST_NS - 1;
	assert_int_equal(decide(&unit), UNIT_NOTHING);
	now += 1;
	assert_int_equal(decide(&unit), UNIT_START);
}

static void a_crash_loop_is_given_up(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	for (unsigned int i = 0; i < UNIT_CRASHES_MAX; i++) {
		unit_exited(&unit, by_signal, NULL, now);
		start_again(&unit);
	}
	unit_exited(&unit, by_signal, "segment missing", now);
	assert_int_equal(unit.state, UNIT_GAVE_UP);
	assert_true(unit_is_settled(&unit));
	assert_string_equal(unit.reason, "segment missing");
	now += 1000 * SECOND;
	assert_int_equal(decide(&unit), UNIT_NOTHING);
}

static void a_unit_that_was_healthy_starts_a_new_row(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	for (unsigned int i = 0; i < 5 * UNIT_CRASHES_MAX; i++) {
		now += UNIT_HEALTHY_NS;
		unit_exited(&unit, by_signal, NULL, now);
		assert_int_equal(unit.next_ns, now);
		start_again(&unit);
		unit_ready(&unit, now);
	}
	assert_int_equal(unit.state, UNIT_UP);
	assert_int_equal(unit.restarts, 5 * UNIT_CRASHES_MAX);
}

static void who_gave_up_tries_again_when_asked(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit.crashes = UNIT_CRASHES_MAX;
	unit_exited(&unit, by_signal, NULL, now);
	assert_int_equal(unit.state, UNIT_GAVE_UP);
	unit_want_up(&unit, true, now);
	assert_int_equal(decide(&unit), UNIT_START);
	assert_string_equal(unit.reason, "");
}

static void the_first_failure_answers_who_asked(void **state)
{
	struct unit unit;

	(void)state;
	unit_init(&unit, true);
	unit_want_up(&unit, true, now);
	assert_int_equal(decide(&unit), UNIT_START);
	unit_started(&unit, 7);
	unit_exited(&unit, with_zero, "image is locked", now);
	assert_int_equal(unit.state, UNIT_GAVE_UP);
	assert_string_equal(unit.reason, "image is locked");
}

static void a_program_that_is_missing_answers_who_asked(void **state)
{
	struct unit unit;

	(void)state;
	unit_init(&unit, true);
	unit_want_up(&unit, true, now);
	assert_int_equal(decide(&unit), UNIT_START);
	unit_start_failed(&unit, "not there", now);
	assert_int_equal(unit.state, UNIT_GAVE_UP);
	assert_string_equal(unit.reason, "not there");
}

static void without_anybody_waiting_a_failed_start_is_repeated(void **state)
{
	struct unit unit;

	(void)state;
	unit_init(&unit, true);
	unit_want_up(&unit, false, now);
	assert_int_equal(decide(&unit), UNIT_START);
	unit_start_failed(&unit, "not there", now);
	assert_int_equal(unit.state, UNIT_WAITING);
}

static void a_close_drains_and_ends_clean(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit_want_down(&unit);
	assert_int_equal(decide(&unit), UNIT_CLOSE);
	assert_int_equal(wake_of(&unit), UNIT_NEVER);
	now += 3600 * SECOND;
	assert_int_equal(decide(&unit), UNIT_NOTHING);
	unit_close_answered(&unit, 0, NULL, now);
	unit_exited(&unit, with_zero, NULL, now);
	assert_int_equal(unit.state, UNIT_DOWN);
	assert_true(unit.clean);
	assert_string_equal(unit.reason, "");
}

static void a_close_that_fails_leaves_it_up(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit_want_down(&unit);
	assert_int_equal(decide(&unit), UNIT_CLOSE);
	unit_close_answered(&unit, -5, "backend is gone", now);
	assert_int_equal(unit.state, UNIT_UP);
	assert_true(unit_is_settled(&unit));
	assert_string_equal(unit.reason, "backend is gone");
	assert_int_equal(decide(&unit), UNIT_NOTHING);
}

static void a_close_that_nobody_took_is_repeated(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit_want_down(&unit);
	assert_int_equal(decide(&unit), UNIT_CLOSE);
	unit_close_unsent(&unit, "busy", now);
	assert_int_equal(wake_of(&unit), now + UNIT_CLOSE_RETRY_NS);
	now += UNIT_CLOSE_RETRY_NS;
	assert_int_equal(decide(&unit), UNIT_CLOSE);
}

static void a_crash_while_closing_is_not_clean(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit_want_down(&unit);
	assert_int_equal(decide(&unit), UNIT_CLOSE);
	unit_exited(&unit, by_signal, NULL, now);
	assert_int_equal(unit.state, UNIT_DOWN);
	assert_false(unit.clean);
	assert_non_null(strstr(unit.reason, "signal 9"));
}

static void the_last_word_counts_when_the_exit_is_not_known(void **state)
{
	struct unit unit;
	struct unit_end closed = unknown;

	(void)state;
	bring_up(&unit, true);
	unit_want_down(&unit);
	assert_int_equal(decide(&unit), UNIT_CLOSE);
	closed.closed = true;
	unit_exited(&unit, closed, NULL, now);
	assert_true(unit.clean);
}

static void an_orderly_exit_alone_is_not_clean(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit_want_down(&unit);
	assert_int_equal(decide(&unit), UNIT_CLOSE);
	unit_exited(&unit, with_zero, NULL, now);
	assert_int_equal(unit.state, UNIT_DOWN);
	assert_false(unit.clean);
}

static void a_start_that_is_taken_back_is_terminated(void **state)
{
	struct unit unit;

	(void)state;
	unit_init(&unit, true);
	unit_want_up(&unit, true, now);
	assert_int_equal(decide(&unit), UNIT_START);
	unit_started(&unit, 7);
	unit_opening(&unit, "waits for its predecessor");
	unit_want_down(&unit);
	assert_int_equal(decide(&unit), UNIT_TERMINATE);
	unit_exited(&unit, with_zero, NULL, now);
	assert_int_equal(unit.state, UNIT_DOWN);
	assert_false(unit.clean);
}

static void who_does_not_terminate_is_killed_and_then_stuck(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, false);
	unit_want_down(&unit);
	assert_int_equal(decide(&unit), UNIT_TERMINATE);
	now += UNIT_TERMINATE_NS;
	assert_int_equal(decide(&unit), UNIT_KILL);
	assert_int_equal(wake_of(&unit), now + UNIT_KILL_NS);
	now += UNIT_KILL_NS;
	assert_int_equal(decide(&unit), UNIT_NOTHING);
	assert_int_equal(unit.state, UNIT_STUCK);
	assert_true(unit_is_settled(&unit));
	assert_non_null(strstr(unit.reason, "killed"));
	unit_exited(&unit, by_signal, NULL, now);
	assert_int_equal(unit.state, UNIT_DOWN);
	assert_string_equal(unit.reason, "");
}

static void who_is_wanted_again_while_closing_comes_back(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit_want_down(&unit);
	assert_int_equal(decide(&unit), UNIT_CLOSE);
	unit_want_up(&unit, true, now);
	assert_false(unit_is_settled(&unit));
	unit_exited(&unit, with_zero, NULL, now);
	assert_int_equal(decide(&unit), UNIT_START);
	assert_int_equal(unit.crashes, 0);
}

static void an_adopted_process_is_watched_like_our_own(void **state)
{
	struct unit unit;

	(void)state;
	now = 100 * SECOND;
	unit_init(&unit, true);
	unit_adopted(&unit, 9, false);
	unit_want_up(&unit, false, now);
	assert_int_equal(decide(&unit), UNIT_NOTHING);
	unit_ready(&unit, now);
	assert_int_equal(unit.state, UNIT_UP);
	now += 5 * SECOND;
	unit_exited(&unit, unknown, NULL, now);
	assert_int_equal(decide(&unit), UNIT_START);
}

static void an_adopted_process_that_nobody_wants_is_closed(void **state)
{
	struct unit unit;

	(void)state;
	unit_init(&unit, true);
	unit_adopted(&unit, 9, false);
	unit_ready(&unit, now);
	assert_int_equal(decide(&unit), UNIT_CLOSE);
}

static void a_restart_is_no_crash_and_knows_no_delay(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	assert_int_equal(unit_restart(&unit, now), 0);
	assert_false(unit_is_settled(&unit));
	assert_int_equal(decide(&unit), UNIT_TERMINATE);
	assert_false(unit_is_settled(&unit));
	now += 3;
	unit_exited(&unit, with_zero, NULL, now);
	assert_int_equal(decide(&unit), UNIT_START);
	unit_started(&unit, 8);
	now += 4;
	unit_ready(&unit, now);
	assert_true(unit_is_settled(&unit));
	assert_int_equal(unit.stall_ns, 7);
	assert_int_equal(unit.crashes, 0);
	assert_int_equal(unit.restarts, 0);
	assert_int_equal(decide(&unit), UNIT_NOTHING);
}

static void a_restart_outlives_a_crash_that_comes_first(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	assert_int_equal(unit_restart(&unit, now), 0);
	unit_exited(&unit, unknown, NULL, now);
	start_again(&unit);
	unit_ready(&unit, now);
	assert_true(unit_is_settled(&unit));
	assert_int_equal(decide(&unit), UNIT_NOTHING);
}

static void only_what_is_up_can_be_restarted(void **state)
{
	struct unit unit;

	(void)state;
	unit_init(&unit, true);
	assert_int_equal(unit_restart(&unit, now), -EAGAIN);
	bring_up(&unit, true);
	unit_want_down(&unit);
	assert_int_equal(unit_restart(&unit, now), -EAGAIN);
	assert_int_equal(decide(&unit), UNIT_CLOSE);
}

static void who_was_parked_is_parked_when_it_comes_back(void **state)
{
	struct unit unit;

	(void)state;
	now = 100 * SECOND;
	unit_init(&unit, true);
	unit_want_incoming(&unit, now);
	assert_int_equal(decide(&unit), UNIT_START);
	assert_int_equal(unit.duty, UNIT_EXPECTS);
	unit_started(&unit, 7);
	unit_ready(&unit, now);
	unit_exited(&unit, unknown, NULL, now);
	start_again(&unit);
	assert_int_equal(unit.duty, UNIT_EXPECTS);
}

static void what_serves_already_is_not_parked(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit_want_incoming(&unit, now);
	assert_int_equal(unit.duty, UNIT_SERVES);
	assert_int_equal(decide(&unit), UNIT_NOTHING);
}

static void keep(struct unit *unit)
{
	now = 100 * SECOND;
	unit_init(unit, true);
	unit_keep(unit, now);
	assert_false(unit_is_settled(unit));
	assert_int_equal(decide(unit), UNIT_START);
	assert_int_equal(unit->duty, UNIT_DRAINS);
	unit_started(unit, 7);
	assert_int_equal(decide(unit), UNIT_NOTHING);
}

static void who_is_kept_is_down_when_it_is_drained(void **state)
{
	static const struct unit_end closed = {.known = true, .closed = true};
	struct unit unit;

	(void)state;
	keep(&unit);
	unit_want_down(&unit);
	assert_int_equal(decide(&unit), UNIT_NOTHING);
	assert_false(unit_is_settled(&unit));
	unit_exited(&unit, closed, NULL, now);
	assert_true(unit_is_settled(&unit));
	assert_int_equal(unit.state, UNIT_DOWN);
	assert_true(unit.clean);
	assert_false(unit.kept);
	/* And that it is. */
	unit_keep(&unit, now);
	assert_int_equal(unit.state, UNIT_DOWN);
}

static void a_drainer_that_dies_is_followed_by_others_and_given_up(void **state)
{
	struct unit unit;

	(void)state;
	keep(&unit);
	for (unsigned int i = 0; i < UNIT_CRASHES_MAX; i++) {
		unit_exited(&unit, by_signal, "no backend", now);
		start_again(&unit);
		assert_true(unit.drainer);
	}
	unit_exited(&unit, by_signal, "no backend", now);
	assert_int_equal(unit.state, UNIT_GAVE_UP);
	assert_true(unit_is_settled(&unit));
	assert_string_equal(unit.reason, "no backend");
	unit_keep(&unit, now);
	assert_int_equal(decide(&unit), UNIT_START);
}

static void who_is_wanted_ends_its_drainer_first(void **state)
{
	struct unit unit;

	(void)state;
	keep(&unit);
	unit_want_up(&unit, true, now);
	assert_int_equal(decide(&unit), UNIT_TERMINATE);
	unit_exited(&unit, with_zero, NULL, now);
	assert_int_equal(decide(&unit), UNIT_START);
	assert_int_equal(unit.duty, UNIT_SERVES);
	unit_started(&unit, 8);
	assert_false(unit.drainer);
	unit_ready(&unit, now);
	assert_true(unit_is_settled(&unit));
}

static void who_is_wanted_does_not_wait_for_the_next_drainer(void **state)
{
	struct unit unit;

	(void)state;
	keep(&unit);
	unit_exited(&unit, by_signal, NULL, now);
	start_again(&unit);
	unit_exited(&unit, by_signal, NULL, now);
	assert_int_equal(decide(&unit), UNIT_NOTHING);
	unit_want_up(&unit, true, now);
	assert_int_equal(decide(&unit), UNIT_START);
	assert_int_equal(unit.duty, UNIT_SERVES);
}

static void who_is_let_go_is_down_without_being_drained(void **state)
{
	struct unit unit;

	(void)state;
	keep(&unit);
	unit_release(&unit);
	assert_int_equal(decide(&unit), UNIT_TERMINATE);
	unit_exited(&unit, with_zero, NULL, now);
	assert_int_equal(unit.state, UNIT_DOWN);
	assert_false(unit.clean);
	assert_int_equal(decide(&unit), UNIT_NOTHING);
}

static void who_is_to_be_drained_ends_and_a_drainer_follows(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit_want_drained(&unit, now);
	assert_int_equal(decide(&unit), UNIT_TERMINATE);
	assert_int_equal(decide(&unit), UNIT_NOTHING);
	unit_exited(&unit, with_zero, NULL, now);
	assert_int_equal(decide(&unit), UNIT_START);
	assert_int_equal(unit.duty, UNIT_DRAINS);
	assert_false(unit_is_settled(&unit));
}

static void who_is_held_ends_at_once_and_nobody_drains(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit_want_held(&unit);
	assert_int_equal(decide(&unit), UNIT_TERMINATE);
	unit_exited(&unit, with_zero, NULL, now);
	assert_int_equal(decide(&unit), UNIT_NOTHING);
	assert_int_equal(unit.state, UNIT_DOWN);
	assert_true(unit_is_settled(&unit));
	/* Until somebody asks for it. */
	unit_keep(&unit, now);
	assert_int_equal(decide(&unit), UNIT_START);
	assert_int_equal(unit.duty, UNIT_DRAINS);
}

static void who_was_held_once_closes_in_order_the_next_time(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit_want_held(&unit);
	assert_int_equal(decide(&unit), UNIT_TERMINATE);
	unit_exited(&unit, with_zero, NULL, now);
	unit_want_up(&unit, true, now);
	assert_int_equal(decide(&unit), UNIT_START);
	unit_started(&unit, 8);
	unit_ready(&unit, now);
	unit_want_down(&unit);
	assert_int_equal(decide(&unit), UNIT_CLOSE);
}

static void who_is_parked_is_closed_and_not_drained(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	unit_set_duty(&unit, UNIT_HAS_LEFT);
	unit_want_drained(&unit, now);
	assert_int_equal(decide(&unit), UNIT_CLOSE);
	assert_false(unit.kept);
}

/* Up, for @up_ns, and ended by @number. */
static void end_by_signal(struct unit *unit, int number, uint64_t up_ns)
{
	const struct unit_end end = {.known = true, .signal = number};

	unit_ready(unit, now);
	now += up_ns;
	unit_exited(unit, end, NULL, now);
}

static void what_crashes_twice_makes_its_requests_suspicious(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	/* A VMM needs longer to come back than it takes to be healthy. */
	end_by_signal(&unit, SIGSEGV, 2 * UNIT_HEALTHY_NS);
	assert_false(unit_is_suspicious(&unit));
	start_again(&unit);
	end_by_signal(&unit, SIGSEGV, 2 * UNIT_HEALTHY_NS);
	assert_true(unit_is_suspicious(&unit));
	start_again(&unit);
	/* What was steady starts a new row. */
	end_by_signal(&unit, SIGABRT, UNIT_STEADY_NS);
	assert_false(unit_is_suspicious(&unit));
}

static void the_search_for_what_crashes_it_is_no_crash_loop(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	for (unsigned int i = 0; i < 2 * UNIT_CRASHES_MAX; i++) {
		end_by_signal(&unit, SIGSEGV, UNIT_HEALTHY_NS / 2);
		assert_int_equal(unit.state, UNIT_WAITING);
		start_again(&unit);
	}
}

static void what_crashes_before_it_serves_is_given_up_as_ever(void **state)
{
	const struct unit_end crash = {.known = true, .signal = SIGSEGV};
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	for (unsigned int i = 0; i <= UNIT_CRASHES_MAX; i++) {
		assert_int_not_equal(unit.state, UNIT_GAVE_UP);
		unit_exited(&unit, crash, NULL, now);
		if (unit.state == UNIT_WAITING)
			start_again(&unit);
	}
	assert_int_equal(unit.state, UNIT_GAVE_UP);
	assert_false(unit_is_suspicious(&unit));
}

static void kills_from_outside_make_nothing_suspicious(void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	for (unsigned int i = 0; i < 4; i++) {
		end_by_signal(&unit, SIGKILL, 2 * UNIT_HEALTHY_NS);
		start_again(&unit);
	}
	assert_false(unit_is_suspicious(&unit));
}

static void what_crashes_without_end_is_given_up_however_long_it_was_up(
	void **state)
{
	struct unit unit;

	(void)state;
	bring_up(&unit, true);
	for (unsigned int i = 0; i < UNIT_FAULTS_MAX; i++) {
		end_by_signal(&unit, SIGSEGV, 2 * UNIT_HEALTHY_NS);
		assert_int_equal(unit.state, UNIT_WAITING);
		start_again(&unit);
	}
	end_by_signal(&unit, SIGSEGV, 2 * UNIT_HEALTHY_NS);
	assert_int_equal(unit.state, UNIT_GAVE_UP);
	assert_non_null(strstr(unit.reason, "signal 11"));
	unit_want_up(&unit, false, now);
	assert_false(unit_is_suspicious(&unit));
}

static void an_adopted_drainer_goes_on_or_makes_room(void **state)
{
	struct unit unit;

	(void)state;
	now = 100 * SECOND;
	unit_init(&unit, true);
	unit_adopted(&unit, 9, true);
	assert_int_equal(decide(&unit), UNIT_NOTHING);
	assert_true(unit.kept);
	unit_init(&unit, true);
	unit_want_up(&unit, false, now);
	unit_adopted(&unit, 9, true);
	assert_int_equal(decide(&unit), UNIT_TERMINATE);
	unit_exited(&unit, unknown, NULL, now);
	assert_int_equal(decide(&unit), UNIT_START);
	assert_int_equal(unit.duty, UNIT_SERVES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_unit_that_nobody_wants_is_left_alone),
		cmocka_unit_test(a_wanted_unit_is_started_at_once),
		cmocka_unit_test(a_crash_is_restarted_at_once),
		cmocka_unit_test(crashes_in_a_row_wait_longer_each_time),
		cmocka_unit_test(a_unit_waits_for_its_delay),
		cmocka_unit_test(a_crash_loop_is_given_up),
		cmocka_unit_test(a_unit_that_was_healthy_starts_a_new_row),
		cmocka_unit_test(who_gave_up_tries_again_when_asked),
		cmocka_unit_test(the_first_failure_answers_who_asked),
		cmocka_unit_test(a_program_that_is_missing_answers_who_asked),
		cmocka_unit_test(
			without_anybody_waiting_a_failed_start_is_repeated),
		cmocka_unit_test(a_close_drains_and_ends_clean),
		cmocka_unit_test(a_close_that_fails_leaves_it_up),
		cmocka_unit_test(a_close_that_nobody_took_is_repeated),
		cmocka_unit_test(a_crash_while_closing_is_not_clean),
		cmocka_unit_test(
			the_last_word_counts_when_the_exit_is_not_known),
		cmocka_unit_test(an_orderly_exit_alone_is_not_clean),
		cmocka_unit_test(a_start_that_is_taken_back_is_terminated),
		cmocka_unit_test(
			who_does_not_terminate_is_killed_and_then_stuck),
		cmocka_unit_test(who_is_wanted_again_while_closing_comes_back),
		cmocka_unit_test(an_adopted_process_is_watched_like_our_own),
		cmocka_unit_test(
			an_adopted_process_that_nobody_wants_is_closed),
		cmocka_unit_test(a_restart_is_no_crash_and_knows_no_delay),
		cmocka_unit_test(a_restart_outlives_a_crash_that_comes_first),
		cmocka_unit_test(only_what_is_up_can_be_restarted),
		cmocka_unit_test(who_was_parked_is_parked_when_it_comes_back),
		cmocka_unit_test(what_serves_already_is_not_parked),
		cmocka_unit_test(who_is_kept_is_down_when_it_is_drained),
		cmocka_unit_test(
			a_drainer_that_dies_is_followed_by_others_and_given_up),
		cmocka_unit_test(who_is_wanted_ends_its_drainer_first),
		cmocka_unit_test(
			who_is_wanted_does_not_wait_for_the_next_drainer),
		cmocka_unit_test(who_is_let_go_is_down_without_being_drained),
		cmocka_unit_test(
			who_is_to_be_drained_ends_and_a_drainer_follows),
		cmocka_unit_test(who_is_held_ends_at_once_and_nobody_drains),
		cmocka_unit_test(
			who_was_held_once_closes_in_order_the_next_time),
		cmocka_unit_test(who_is_parked_is_closed_and_not_drained),
		cmocka_unit_test(
			what_crashes_twice_makes_its_requests_suspicious),
		cmocka_unit_test(
			the_search_for_what_crashes_it_is_no_crash_loop),
		cmocka_unit_test(
			what_crashes_before_it_serves_is_given_up_as_ever),
		cmocka_unit_test(kills_from_outside_make_nothing_suspicious),
		cmocka_unit_test(
			what_crashes_without_end_is_given_up_however_long_it_was_up),
		cmocka_unit_test(an_adopted_drainer_goes_on_or_makes_room),
	};

	return cmocka_run_group_tests_name("unit", tests, NULL, NULL);
}
