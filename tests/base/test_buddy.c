// SPDX-License-Identifier: Apache-2.0
/* test_buddy.c - blocks never overlap, and all of a region comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "buddy.h"

#define PAGES 64u
#define ORDERS 6u /* 32 pages are the largest */

static int begin(void **state)
{
	static struct buddy buddy;

	assert_int_equal(buddy_init(&buddy, PAGES, ORDERS), 0);
	*state = &buddy;
	return 0;
}

static int end(void **state)
{
	buddy_release(*state);
	return 0;
}

static void the_largest_block_is_there_as_often_as_it_fits(void **state)
{
	struct buddy *buddy = *state;

	assert_int_equal(buddy_take(buddy, 32), 0);
	assert_int_equal(buddy_take(buddy, 17), 32);
	assert_int_equal(buddy_take(buddy, 1), BUDDY_NONE);
	assert_int_equal(buddy->free_pages, 0);
	assert_int_equal(buddy_give(buddy, 32), 0);
	assert_int_equal(buddy_take(buddy, 32), 32);
}

static void more_than_the_largest_block_is_refused(void **state)
{
	assert_int_equal(buddy_take(*state, 33), BUDDY_NONE);
}

static void halves_that_come_back_are_one_again(void **state)
{
	struct buddy *buddy = *state;
	uint32_t pages[PAGES];

	for (uint32_t i = 0; i < PAGES; i++) {
		pages[i] = buddy_take(buddy, 1);
		assert_int_equal(pages[i], i);
	}
	assert_int_equal(buddy_take(buddy, 1), BUDDY_NONE);
	/* Odd ones first: nothing can be joined until the even ones come. */
	for (uint32_t i = 1; i < PAGES; i += 2)
		assert_int_equal(buddy_give(buddy, pages[i]), 0);
	assert_int_equal(buddy_take(buddy, 2), BUDDY_NONE);
	for (uint32_t i = 0; i < PAGES; i += 2)
		assert_int_equal(buddy_give(buddy, pages[i]), 0);
	assert_int_equal(buddy->free_pages, PAGES);
	assert_int_not_equal(buddy_take(buddy, 32), BUDDY_NONE);
	assert_int_not_equal(buddy_take(buddy, 32), BUDDY_NONE);
}

static void what_is_not_out_is_not_taken_back(void **state)
{
	struct buddy *buddy = *state;

	assert_int_equal(buddy_take(buddy, 4), 0);
	assert_int_equal(buddy_give(buddy, 1), -EINVAL);
	assert_int_equal(buddy_give(buddy, 4), -EINVAL);
	assert_int_equal(buddy_give(buddy, PAGES), -EINVAL);
	assert_int_equal(buddy_give(buddy, 0), 0);
	assert_int_equal(buddy_give(buddy, 0), -EINVAL);
}

/* Any order of taking and giving, against a map of who has which page. */
static void blocks_never_overlap(void **state)
{
	struct buddy *buddy = *state;
	struct {
		uint32_t page;
		uint32_t pages;
	} blocks[PAGES] = {0};
	bool taken[PAGES] = {false};
	uint64_t random = 1;

	for (unsigned int step = 0; step < 20000; step++) {
		unsigned int i;

		random = random * UINT64_C(6364136223846793005) + 1;
		i = (unsigned int)(random >> 40) % PAGES;
		if (blocks[i].pages) {
			memset(taken + blocks[i].page, 0, blocks[i].pages);
			assert_int_equal(buddy_give(buddy, blocks[i].page), 0);
			blocks[i].pages = 0;
			continue;
		}
		blocks[i].pages = 1 + (uint32_t)(random >> 50) % 12;
		blocks[i].page = buddy_take(buddy, blocks[i].pages);
		if (blocks[i].page == BUDDY_NONE) {
			blocks[i].pages = 0;
			continue;
		}
		for (uint32_t page = 0; page < blocks[i].pages; page++) {
			assert_false(taken[blocks[i].page + page]);
			taken[blocks[i].page + page] = true;
		}
	}
	for (unsigned int i = 0; i < PAGES; i++)
		if (blocks[i].pages)
			assert_int_equal(buddy_give(buddy, blocks[i].page), 0);
	assert_int_equal(buddy->free_pages, PAGES);
	assert_int_not_equal(buddy_take(buddy, 32), BUDDY_NONE);
	assert_int_not_equal(buddy_take(buddy, 32), BUDDY_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_largest_block_is_there_as_often_as_it_fits),
		TEST(more_than_the_largest_block_is_refused),
		TEST(halves_that_come_back_are_one_again),
		TEST(what_is_not_out_is_not_taken_back),
		TEST(blocks_never_overlap),
	};

	return cmocka_run_group_tests_name("buddy", tests, NULL, NULL);
}
