// SPDX-License-Identifier: Apache-2.0
/* What waits after a connection to an NBD server broke; in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nbd_hold.h"

#define HOLD_NS 1000u
#define KIB 1024u

static struct nbd_hold hold;
static uint64_t last_sequence;

static int set_up(void **state)
{
	(void)state;
	nbd_hold_init(&hold, HOLD_NS);
	last_sequence = 0;
	return 0;
}

static struct nbd_hold_request make(uint64_t offset, uint64_t length,
				    bool changes)
{
	struct nbd_hold_request request;

	nbd_hold_request_init(&request, ++last_sequence, offset, length,
			      changes);
	return request;
}

/* list_init() points into the object, so a request can't be returned as it is.
 */
#define DECLARE(name, offset, length, changes)                              \
	struct nbd_hold_request name = make((offset), (length), (changes)); \
	list_init(&(name).redo_node)

static void nothing_waits_in_fair_weather(void **state)
{
	DECLARE(write, 0, 4 * KIB, true);
	DECLARE(over, 0, 4 * KIB, true);

	(void)state;
	assert_true(nbd_hold_may_issue(&hold, &write));
	assert_true(nbd_hold_may_issue(&hold, &over));
	assert_true(nbd_hold_next_ns(&hold) == UINT64_MAX);
}

static void what_was_in_flight_is_issued_again_at_once(void **state)
{
	DECLARE(write, 0, 4 * KIB, true);

	(void)state;
	nbd_hold_broken(&hold, &write);
	assert_true(nbd_hold_may_issue(&hold, &write));
}

static void a_later_write_over_it_waits_until_no_late_write_can_land(
	void **state)
{
	DECLARE(write, 4 * KIB, 4 * KIB, true);
	DECLARE(over, 7 * KIB, 4 * KIB, true);

	(void)state;
	nbd_hold_broken(&hold, &write);
	nbd_hold_start_clock(&hold, 5000);
	assert_int_equal(nbd_hold_next_ns(&hold), 5000 + HOLD_NS);
	assert_false(nbd_hold_may_issue(&hold, &over));
	nbd_hold_ended(&write);
	nbd_hold_expire(&hold, 5000 + HOLD_NS - 1);
	assert_false(nbd_hold_may_issue(&hold, &over));
	nbd_hold_expire(&hold, 5000 + HOLD_NS);
	assert_true(nbd_hold_may_issue(&hold, &over));
}

static void the_clock_does_not_run_while_nobody_is_there(void **state)
{
	DECLARE(write, 0, 4 * KIB, true);
	DECLARE(over, 0, 4 * KIB, true);

	(void)state;
	nbd_hold_broken(&hold, &write);
	nbd_hold_ended(&write);
	nbd_hold_expire(&hold, UINT64_MAX - 1);
	assert_false(nbd_hold_may_issue(&hold, &over));
}

static void a_read_waits_for_the_write_to_be_made_again_and_no_longer(
	void **state)
{
	DECLARE(write, 0, 4 * KIB, true);
	DECLARE(read, 2 * KIB, 8 * KIB, false);

	(void)state;
	nbd_hold_broken(&hold, &write);
	nbd_hold_start_clock(&hold, 0);
	assert_false(nbd_hold_may_issue(&hold, &read));
	nbd_hold_ended(&write);
	assert_true(nbd_hold_may_issue(&hold, &read));
}

static void neighbours_and_flushes_do_not_wait(void **state)
{
	DECLARE(write, 4 * KIB, 4 * KIB, true);
	DECLARE(before, 0, 4 * KIB, true);
	DECLARE(after, 8 * KIB, 4 * KIB, true);
	DECLARE(flush, 0, 0, false);

	(void)state;
	nbd_hold_broken(&hold, &write);
	assert_true(nbd_hold_may_issue(&hold, &before));
	assert_true(nbd_hold_may_issue(&hold, &after));
	assert_true(nbd_hold_may_issue(&hold, &flush));
}

static void two_writes_over_each_other_keep_their_order(void **state)
{
	DECLARE(first, 0, 4 * KIB, true);
	DECLARE(second, 0, 4 * KIB, true);

	(void)state;
	/* The order in which they are found is not the one that counts. */
	nbd_hold_broken(&hold, &second);
	nbd_hold_broken(&hold, &first);
	nbd_hold_start_clock(&hold, 0);
	assert_true(nbd_hold_may_issue(&hold, &first));
	assert_false(nbd_hold_may_issue(&hold, &second));
	nbd_hold_ended(&first);
	/* The first one may still land twice, and would replace the second. */
	assert_false(nbd_hold_may_issue(&hold, &second));
	nbd_hold_expire(&hold, HOLD_NS);
	assert_true(nbd_hold_may_issue(&hold, &second));
}

static void a_read_in_flight_leaves_nothing_behind(void **state)
{
	DECLARE(read, 0, 4 * KIB, false);
	DECLARE(write, 0, 4 * KIB, true);

	(void)state;
	nbd_hold_broken(&hold, &read);
	assert_true(nbd_hold_may_issue(&hold, &write));
	assert_true(nbd_hold_may_issue(&hold, &read));
}

static void a_second_break_starts_the_clock_anew(void **state)
{
	DECLARE(write, 0, 4 * KIB, true);
	DECLARE(over, 0, 4 * KIB, true);

	(void)state;
	nbd_hold_broken(&hold, &write);
	nbd_hold_start_clock(&hold, 0);
	nbd_hold_broken(&hold, &write);
	nbd_hold_start_clock(&hold, 600);
	nbd_hold_ended(&write);
	nbd_hold_expire(&hold, HOLD_NS);
	assert_false(nbd_hold_may_issue(&hold, &over));
	nbd_hold_expire(&hold, 600 + HOLD_NS);
	assert_true(nbd_hold_may_issue(&hold, &over));
}

/* NBD_HOLD_SUSPECTS_MAX */
static void too_many_suspects_hold_the_whole_disk(void **state)
{
	static struct nbd_hold_request writes[NBD_HOLD_SUSPECTS_MAX + 2];

	(void)state;
	for (unsigned int i = 0; i < NBD_HOLD_SUSPECTS_MAX + 2; i++) {
		nbd_hold_request_init(&writes[i], ++last_sequence,
				      (uint64_t)i * KIB, KIB, true);
		nbd_hold_broken(&hold, &writes[i]);
	}
	for (unsigned int i = 0; i < NBD_HOLD_SUSPECTS_MAX + 2; i++)
		nbd_hold_ended(&writes[i]);
	nbd_hold_start_clock(&hold, 0);
	DECLARE(far, UINT64_C(1) << 40, KIB, true);
	DECLARE(over, (NBD_HOLD_SUSPECTS_MAX + 1) * KIB, KIB, true);
	DECLARE(read, 0, KIB, false);
	assert_false(nbd_hold_may_issue(&hold, &far));
	assert_false(nbd_hold_may_issue(&hold, &over));
	assert_true(nbd_hold_may_issue(&hold, &read));
	nbd_hold_expire(&hold, HOLD_NS);
	assert_true(nbd_hold_may_issue(&hold, &far));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_waits_in_fair_weather, set_up),
		cmocka_unit_test_setup(
			what_was_in_flight_is_issued_again_at_once, set_up),
		cmocka_unit_test_setup(
			a_later_write_over_it_waits_until_no_late_write_can_land,
			set_up),
		cmocka_unit_test_setup(
			the_clock_does_not_run_while_nobody_is_there, set_up),
		cmocka_unit_test_setup(
			a_read_waits_for_the_write_to_be_made_again_and_no_longer,
			set_up),
		cmocka_unit_test_setup(neighbours_and_flushes_do_not_wait,
				       set_up),
		cmocka_unit_test_setup(
			two_writes_over_each_other_keep_their_order, set_up),
		cmocka_unit_test_setup(a_read_in_flight_leaves_nothing_behind,
				       set_up),
		cmocka_unit_test_setup(a_second_break_starts_the_clock_anew,
				       set_up),
		cmocka_unit_test_setup(too_many_suspects_hold_the_whole_disk,
				       set_up),
	};

	return cmocka_run_group_tests_name("nbd-hold", tests, NULL, NULL);
}
