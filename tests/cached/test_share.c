// SPDX-License-Identifier: Apache-2.0
/* test_share.c - the rule by which disks share a directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "share.h"

#define DISKS_MAX 6u
#define TURNS_MAX 400u

static struct share_disk open_disk(uint64_t reserved, uint64_t limit,
				   uint64_t granted, uint64_t use)
{
	return (struct share_disk){
		.state = SHARE_OPEN,
		.reserved = reserved,
		.limit = limit,
		.granted = granted,
		.held = granted,
		.used = granted,
		.use = use,
	};
}

static struct share_disk closed_disk(enum share_state state, uint64_t held,
				     uint64_t closed_at)
{
	return (struct share_disk){
		.state = state,
		.held = held,
		.closed_at = closed_at,
	};
}

/* Disks do as they are told, and the caches that are to go are gone. */
static void obey(struct share_disk *disks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (disks[i].state == SHARE_OPEN)
			disks[i].held = disks[i].used = disks[i].granted;
		if (disks[i].evict)
			disks[i].held = 0;
	}
}

static void settle(struct share_disk *disks, size_t count, uint64_t room)
{
	for (unsigned int turn = 0; turn < TURNS_MAX; turn++) {
		share_decide(disks, count, room);
		obey(disks, count);
	}
}

static void what_is_free_goes_up_to_the_limit_at_once(void **state)
{
	struct share_disk disks[] = {open_disk(0, 500, 16, 0)};

	(void)state;
	share_decide(disks, 1, 1000);
	assert_int_equal(disks[0].granted, 500);
}

static void the_rest_is_shared_by_use(void **state)
{
	struct share_disk disks[] = {
		open_disk(0, 10000, 500, 300),
		open_disk(0, 10000, 500, 100),
	};

	(void)state;
	settle(disks, 2, 1000);
	/* 16 for each, and 968 as 3 to 1; an 8th of difference is let be. */
	assert_in_range(disks[0].granted, 660, 742);
	assert_in_range(disks[0].granted + disks[1].granted, 999, 1000);
}

static void a_shift_of_use_moves_space_step_by_step(void **state)
{
	struct share_disk disks[] = {
		open_disk(0, 1000, 900, 0),
		open_disk(0, 1000, 100, 1000),
	};

	(void)state;
	share_decide(disks, 2, 1000);
	assert_int_equal(disks[0].granted, 900 - 900 / SHARE_STEP_PART);
	/* It gets what the other one has given, not what it is asked for. */
	assert_int_equal(disks[1].granted, 100);
	share_decide(disks, 2, 1000);
	assert_int_equal(disks[1].granted, 100);
	obey(disks, 2);
	share_decide(disks, 2, 1000);
	assert_int_equal(disks[1].granted, 156);
	settle(disks, 2, 1000);
	assert_in_range(disks[1].granted, 860, 984);
}

static void a_small_difference_moves_nothing(void **state)
{
	struct share_disk disks[] = {
		open_disk(0, 1000, 520, 100),
		open_disk(0, 1000, 480, 104),
	};

	(void)state;
	settle(disks, 2, 1000);
	assert_int_equal(disks[0].granted, 520);
	assert_int_equal(disks[1].granted, 480);
}

static void no_disk_falls_below_its_reservation(void **state)
{
	struct share_disk disks[] = {
		open_disk(400, 1000, 900, 0),
		open_disk(0, 1000, 100, 1000000),
	};

	(void)state;
	settle(disks, 2, 1000);
	assert_in_range(disks[0].granted, 400, 450);
}

static void a_reservation_is_asked_back_at_once(void **state)
{
	struct share_disk disks[] = {
		open_disk(0, 1000, 900, 1000000),
		open_disk(600, 1000, 100, 0),
	};

	(void)state;
	share_decide(disks, 2, 1000);
	assert_int_equal(disks[0].granted, 400);
	obey(disks, 2);
	share_decide(disks, 2, 1000);
	assert_int_equal(disks[1].granted, 600);
}

static void a_lower_limit_is_asked_back_at_once(void **state)
{
	struct share_disk disks[] = {open_disk(0, 100, 900, 5)};

	(void)state;
	share_decide(disks, 1, 1000);
	assert_int_equal(disks[0].granted, 100);
}

static void closed_disks_keep_their_caches_while_nobody_lacks_room(void **state)
{
	struct share_disk disks[] = {
		open_disk(0, 300, 300, 50),
		closed_disk(SHARE_CLOSED, 700, 1),
	};

	(void)state;
	settle(disks, 2, 1000);
	assert_int_equal(disks[1].held, 700);
}

static void closed_disks_are_taken_from_first_and_the_oldest_before(
	void **state)
{
	struct share_disk disks[] = {
		open_disk(0, 500, 100, 0),
		open_disk(0, 300, 300, 0),
		closed_disk(SHARE_CLOSED, 300, 2),
		closed_disk(SHARE_CLOSED, 300, 1),
	};

	(void)state;
	share_decide(disks, 4, 1000);
	assert_true(disks[2].evict && disks[3].evict);
	assert_int_equal(disks[1].granted, 300);
	disks[0].limit = 300;
	disks[2].held = 300;
	share_decide(disks, 4, 1000);
	assert_true(disks[3].evict);
	assert_false(disks[2].evict);
}

static void who_does_not_fill_what_he_has_takes_nothing(void **state)
{
	struct share_disk disks[] = {
		open_disk(0, 900, 300, 1000000),
		open_disk(0, 900, 400, 0),
		closed_disk(SHARE_CLOSED, 300, 1),
	};

	(void)state;
	disks[0].used = 100;
	disks[1].used = 100;
	share_decide(disks, 3, 1000);
	assert_false(disks[2].evict);
	assert_int_equal(disks[1].granted, 400);
	disks[0].used = 290;
	share_decide(disks, 3, 1000);
	assert_true(disks[2].evict);
}

static void what_a_closed_disk_needs_stays(void **state)
{
	struct share_disk disks[] = {
		open_disk(0, 1000, 100, 9),
		closed_disk(SHARE_KEPT, 500, 1),
		closed_disk(SHARE_UNKNOWN, 400, 1),
	};

	(void)state;
	settle(disks, 3, 1000);
	assert_false(disks[1].evict || disks[2].evict);
	assert_int_equal(disks[0].granted, 100);
	assert_int_equal(share_committed(disks, 3), SHARE_FLOOR + 900);
}

static void room_is_made_for_who_waits(void **state)
{
	struct share_disk disks[] = {
		open_disk(0, 2000, 1000, 1000),
		open_disk(100, 1000, 0, 0),
	};

	(void)state;
	disks[1].state = SHARE_WAITING;
	share_decide(disks, 2, 1000);
	assert_int_equal(disks[0].granted, 900);
	obey(disks, 2);
	/* What is free then isn't given to anyone else. */
	settle(disks, 2, 1000);
	assert_int_equal(disks[0].granted, 900);
	assert_int_equal(share_free(disks, 2, 1000), 100);
}

static void a_file_system_that_others_fill_is_given_back_to(void **state)
{
	struct share_disk disks[] = {
		open_disk(0, 1000, 500, 1),
		open_disk(0, 1000, 500, 1),
	};

	(void)state;
	settle(disks, 2, 600);
	assert_in_range(disks[0].granted + disks[1].granted, 590, 600);
}

struct draw {
	uint64_t state;
};

static uint64_t draw_below(struct draw *draw, uint64_t end)
{
	draw->state = draw->state * 6364136223846793005u + 1442695040888963407u;
	return (draw->state >> 33) % end;
}

/* Whatever happens, what is promised fits, and is what was reserved at least
 * once the disks have obeyed. */
static void check_promises(const struct share_disk *disks, size_t count,
			   uint64_t room, bool settled)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t has = disks[i].granted > disks[i].held
				       ? disks[i].granted
				       : disks[i].held;

		sum += has;
		assert_true(disks[i].granted <= disks[i].limit);
		if (settled)
			assert_true(
				disks[i].granted >=
				share_base(disks[i].reserved, disks[i].limit));
	}
	assert_true(sum <= room);
}

static void at_any_load_what_is_promised_fits(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct draw draw = {seed};
		struct share_disk disks[DISKS_MAX];
		size_t count = 1 + draw_below(&draw, DISKS_MAX);
		uint64_t room = 600 + draw_below(&draw, 2000);

		for (size_t i = 0; i < count; i++)
			disks[i] =
				open_disk(draw_below(&draw, 100),
					  32 + draw_below(&draw, 2000), 0, 0);
		for (unsigned int turn = 0; turn < 200; turn++) {
			size_t who = draw_below(&draw, count);

			disks[who].use = draw_below(&draw, 1000000);
			share_decide(disks, count, room);
			check_promises(disks, count, room, turn > 60);
			/* They obey late. */
			if (disks[who].held != disks[who].granted)
				disks[who].held = disks[who].granted;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_free_goes_up_to_the_limit_at_once),
		cmocka_unit_test(the_rest_is_shared_by_use),
		cmocka_unit_test(a_shift_of_use_moves_space_step_by_step),
		cmocka_unit_test(a_small_difference_moves_nothing),
		cmocka_unit_test(no_disk_falls_below_its_reservation),
		cmocka_unit_test(a_reservation_is_asked_back_at_once),
		cmocka_unit_test(a_lower_limit_is_asked_back_at_once),
		cmocka_unit_test(
			closed_disks_keep_their_caches_while_nobody_lacks_room),
		cmocka_unit_test(
			closed_disks_are_taken_from_first_and_the_oldest_before),
		cmocka_unit_test(who_does_not_fill_what_he_has_takes_nothing),
		cmocka_unit_test(what_a_closed_disk_needs_stays),
		cmocka_unit_test(room_is_made_for_who_waits),
		cmocka_unit_test(
			a_file_system_that_others_fill_is_given_back_to),
		cmocka_unit_test(at_any_load_what_is_promised_fits),
	};

	return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
