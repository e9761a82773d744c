// SPDX-License-Identifier: Apache-2.0
/* test_bitmap.c - against a plain array of bool, at every edge of a word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bitmap.h"

#define BITS 200u

static uint64_t words[BITMAP_WORDS(BITS)];

static size_t find_slowly(size_t from, bool wanted)
{
	while (from < BITS && bitmap_test(words, from) != wanted)
		from++;
	return from < BITS ? from : BITS;
}

static void single_bits_are_set_and_cleared(void **state)
{
	(void)state;
	memset(words, 0, sizeof(words));
	bitmap_set(words, 0);
	bitmap_set(words, 63);
	bitmap_set(words, 64);
	bitmap_set(words, BITS - 1);
	assert_int_equal(words[0], UINT64_C(1) << 63 | 1);
	assert_int_equal(bitmap_count(words, BITS), 4);
	bitmap_clear(words, 63);
	assert_false(bitmap_test(words, 63));
	assert_int_equal(bitmap_count(words, BITS), 3);
}

static void ranges_touch_their_bits_and_no_others(void **state)
{
	static const size_t edges[] = {0,   1,	 62,  63,  64,	65,  66,
				       127, 128, 129, 191, 192, 199, 200};
	const size_t count = sizeof(edges) / sizeof(edges[0]);

	(void)state;
	for (size_t a = 0; a < count; a++) {
		for (size_t b = a; b < count; b++) {
			size_t length = edges[b] - edges[a];

			memset(words, 0, sizeof(words));
			bitmap_set_range(words, edges[a], length);
			assert_int_equal(bitmap_count(words, BITS), length);
			for (size_t bit = edges[a]; bit < edges[b]; bit++)
				assert_true(bitmap_test(words, bit));
			memset(words, 0xff, sizeof(words));
			bitmap_clear_range(words, edges[a], length);
			assert_int_equal(bitmap_count(words, BITS),
					 BITS - length);
		}
	}
}

static void searches_find_what_a_walk_finds(void **state)
{
	uint32_t random = 7;

	(void)state;
	for (unsigned int round = 0; round < 50; round++) {
		memset(words, round % 2 ? 0xff : 0, sizeof(words));
		for (unsigned int i = 0; i < round / 4; i++) {
			random = random * 1664525u + 1013904223u;
			if (round % 2)
				bitmap_clear(words, random % BITS);
			else
				bitmap_set(words, random % BITS);
		}
		for (size_t from = 0; from <= BITS; from++) {
			assert_int_equal(bitmap_find_set(words, BITS, from),
					 find_slowly(from, true));
			assert_int_equal(bitmap_find_clear(words, BITS, from),
					 find_slowly(from, false));
		}
	}
}

static void bits_beyond_the_end_do_not_count(void **state)
{
	(void)state;
	memset(words, 0xff, sizeof(words));
	bitmap_clear_range(words, 0, BITS);
	assert_int_equal(bitmap_count(words, BITS), 0);
	assert_int_equal(bitmap_find_set(words, BITS, 0), BITS);
	assert_int_equal(bitmap_find_set(words, 0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_bits_are_set_and_cleared),
		cmocka_unit_test(ranges_touch_their_bits_and_no_others),
		cmocka_unit_test(searches_find_what_a_walk_finds),
		cmocka_unit_test(bits_beyond_the_end_do_not_count),
	};

	return cmocka_run_group_tests_name("bitmap", tests, NULL, NULL);
}
