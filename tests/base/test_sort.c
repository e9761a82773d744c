// SPDX-License-Identifier: Apache-2.0
/* test_sort.c - order, nothing lost, at every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "sort.h"

#define MOST 300u

static int by_number(const void *left, const void *right)
{
	const uint32_t *a = left;
	const uint32_t *b = right;

	return (*a > *b) - (*a < *b);
}

/* A permutation of 0..count - 1 when @step and @count share no factor. */
static void scatter(uint32_t *numbers, uint32_t count, uint32_t step)
{
	for (uint32_t i = 0; i < count; i++)
		numbers[i] = (uint32_t)((uint64_t)i * step % count);
}

static void any_five_numbers_are_sorted(void **state)
{
	(void)state;
	for (uint32_t code = 0; code < 3125; code++) {
		uint32_t numbers[5];
		uint32_t counts[5] = {0};
		uint32_t rest = code;

		for (uint32_t i = 0; i < 5; i++, rest /= 5) {
			numbers[i] = rest % 5;
			counts[rest % 5]++;
		}
		sort_in_place(numbers, 5, sizeof(*numbers), by_number);
		for (uint32_t i = 0; i < 5; i++) {
			counts[numbers[i]]--;
			if (i > 0)
				assert_true(numbers[i - 1] <= numbers[i]);
		}
		for (uint32_t i = 0; i < 5; i++)
			assert_int_equal(counts[i], 0);
	}
}

static void a_permutation_of_any_size_comes_out_in_order(void **state)
{
	uint32_t numbers[MOST];

	(void)state;
	for (uint32_t count = 0; count < MOST; count++) {
		/* 307 is a prime above every size. */
		scatter(numbers, count, 307);
		sort_in_place(numbers, count, sizeof(*numbers), by_number);
		for (uint32_t i = 0; i < count; i++)
			assert_int_equal(numbers[i], i);
	}
}

static void what_is_in_order_or_reversed_is_sorted_too(void **state)
{
	uint32_t numbers[MOST];

	(void)state;
	for (uint32_t i = 0; i < MOST; i++)
		numbers[i] = i;
	sort_in_place(numbers, MOST, sizeof(*numbers), by_number);
	for (uint32_t i = 0; i < MOST; i++)
		assert_int_equal(numbers[i], i);
	for (uint32_t i = 0; i < MOST; i++)
		numbers[i] = MOST - 1 - i;
	sort_in_place(numbers, MOST, sizeof(*numbers), by_number);
	for (uint32_t i = 0; i < MOST; i++)
		assert_int_equal(numbers[i], i);
}

struct largest {
	uint32_t key;
	uint8_t rest[SORT_ELEMENT_BYTES_MAX - sizeof(uint32_t)];
};

static void the_largest_element_moves_whole(void **state)
{
	struct largest elements[17];

	(void)state;
	for (uint32_t i = 0; i < 17; i++) {
		elements[i].key = i * 5 % 17;
		memset(elements[i].rest, (int)elements[i].key,
		       sizeof(elements[i].rest));
	}
	sort_in_place(elements, 17, sizeof(*elements), by_number);
	for (uint32_t i = 0; i < 17; i++) {
		assert_int_equal(elements[i].key, i);
		for (size_t j = 0; j < sizeof(elements[i].rest); j++)
			assert_int_equal(elements[i].rest[j], i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_five_numbers_are_sorted),
		cmocka_unit_test(a_permutation_of_any_size_comes_out_in_order),
		cmocka_unit_test(what_is_in_order_or_reversed_is_sorted_too),
		cmocka_unit_test(the_largest_element_moves_whole),
	};

	return cmocka_run_group_tests_name("sort", tests, NULL, NULL);
}
