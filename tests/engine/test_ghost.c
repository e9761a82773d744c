// SPDX-License-Identifier: Apache-2.0
/* test_ghost.c - the second miss counts, and the memory has a limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ghost.h"

#define ENTRIES 64u

struct memory {
	struct ghosts ghosts;
	uint16_t fingerprints[ENTRIES];
};

static int forget(void **state)
{
	static struct memory memory;

	memset(&memory, 0, sizeof(memory));
	ghost_init(&memory.ghosts, ENTRIES, memory.fingerprints);
	*state = &memory;
	return 0;
}

static void only_the_second_miss_counts(void **state)
{
	struct memory *memory = *state;

	assert_false(ghost_missed_again(&memory->ghosts, 7));
	assert_true(ghost_missed_again(&memory->ghosts, 7));
}

static void a_counted_block_begins_anew(void **state)
{
	struct memory *memory = *state;

	assert_false(ghost_missed_again(&memory->ghosts, 7));
	assert_true(ghost_missed_again(&memory->ghosts, 7));
	assert_false(ghost_missed_again(&memory->ghosts, 7));
	assert_true(ghost_missed_again(&memory->ghosts, 7));
}

static void block_zero_is_a_block_like_others(void **state)
{
	struct memory *memory = *state;

	assert_false(ghost_missed_again(&memory->ghosts, 0));
	assert_true(ghost_missed_again(&memory->ghosts, 0));
}

static void a_scan_of_many_blocks_admits_next_to_none(void **state)
{
	struct memory *memory = *state;
	unsigned int admitted = 0;

	for (uint64_t block = 0; block < 100000; block++)
		admitted += ghost_missed_again(&memory->ghosts, block);
	assert_true(admitted < 100);
}

static void a_newcomer_takes_the_place_of_who_was_there(void **state)
{
	struct memory *memory = *state;
	unsigned int forgotten = 0;

	assert_false(ghost_missed_again(&memory->ghosts, 1));
	for (uint64_t block = 1000; block < 1000 + 100 * ENTRIES; block++)
		ghost_missed_again(&memory->ghosts, block);
	forgotten += !ghost_missed_again(&memory->ghosts, 1);
	assert_int_equal(forgotten, 1);
}

static void there_is_an_entry_a_cached_block_up_to_a_limit(void **state)
{
	(void)state;
	assert_int_equal(ghost_entries(1), ENTRIES);
	assert_int_equal(ghost_entries(65), 128);
	assert_int_equal(ghost_entries(1u << 20), 1u << 20);
	assert_int_equal(ghost_entries((1u << 20) + 1), 1u << 21);
	assert_int_equal(ghost_entries(UINT64_MAX), 1u << 24);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(only_the_second_miss_counts, forget),
		cmocka_unit_test_setup(a_counted_block_begins_anew, forget),
		cmocka_unit_test_setup(block_zero_is_a_block_like_others,
				       forget),
		cmocka_unit_test_setup(
			a_scan_of_many_blocks_admits_next_to_none, forget),
		cmocka_unit_test_setup(
			a_newcomer_takes_the_place_of_who_was_there, forget),
		cmocka_unit_test(
			there_is_an_entry_a_cached_block_up_to_a_limit),
	};

	return cmocka_run_group_tests_name("ghost", tests, NULL, NULL);
}
