// SPDX-License-Identifier: Apache-2.0
/* test_memory.c - a region goes back to what it held, whatever was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "memory.h"

#define PAGES 64u
#define BYTES (PAGES * 4096u)

static void what_was_written_is_gone_again(void **state)
{
	static uint8_t expected[BYTES];
	struct memory memory;

	(void)state;
	memory_init(&memory, BYTES);
	for (uint32_t i = 0; i < BYTES; i++)
		memory.base[i] = expected[i] = (uint8_t)(i * 7 + i / 4096);
	memory_keep(&memory);
	for (uint32_t round = 0; round < 3 * PAGES; round++) {
		/* Other pages each time, and some again. */
		memory.base[round * 4096 % BYTES] ^= 1;
		memset(memory.base + (round * 5 + 3) % (PAGES - 1) * 4096, 1,
		       5000);
		memory_back(&memory);
		assert_memory_equal(memory.base, expected, BYTES);
	}
	memory_free(&memory);
}

static void only_pages_that_were_written_are_copied(void **state)
{
	struct memory memory;
	volatile uint8_t *bytes;

	(void)state;
	memory_init(&memory, BYTES);
	memory_keep(&memory);
	/* The compiler doesn't know that a write can change the count. */
	bytes = memory.base;
	bytes[5] = 1;
	bytes[3 * 4096] = 1;
	bytes[6] = 1;
	assert_int_equal(*(volatile uint32_t *)&memory.changed_count, 2);
	memory_back(&memory);
	bytes[3 * 4096 + 1] = 1;
	assert_int_equal(*(volatile uint32_t *)&memory.changed_count, 2);
	memory_free(&memory);
}

static void two_regions_go_back_each_to_its_own(void **state)
{
	struct memory one;
	struct memory other;

	(void)state;
	memory_init(&one, BYTES);
	memory_init(&other, BYTES);
	one.base[100] = 1;
	memory_keep(&one);
	other.base[100] = 2;
	memory_keep(&other);
	one.base[100] = 3;
	other.base[100] = 4;
	memory_back(&one);
	assert_int_equal(one.base[100], 1);
	assert_int_equal(other.base[100], 4);
	memory_back(&other);
	assert_int_equal(other.base[100], 2);
	memory_clear(&one);
	assert_int_equal(one.base[100], 0);
	memory_free(&other);
	memory_free(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_gone_again),
		cmocka_unit_test(only_pages_that_were_written_are_copied),
		cmocka_unit_test(two_regions_go_back_each_to_its_own),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
