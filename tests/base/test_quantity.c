// SPDX-License-Identifier: Apache-2.0
/* test_quantity.c - what people may write, what they may not, and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "quantity.h"

#define GIB (UINT64_C(1) << 30)

struct sample {
	const char *text;
	uint64_t value;
};

static void sizes_are_understood_in_every_spelling(void **state)
{
	static const struct sample samples[] = {
		{"0", 0},
		{"512", 512},
		{"512B", 512},
		{"4KiB", 4096},
		{"4K", 4096},
		{"1.5GiB", 3 * GIB / 2},
		{"0.5K", 512},
		{"10.000MiB", 10 << 20},
		{"2T", UINT64_C(2) << 40},
		{"9223372036854775807", INT64_MAX},
		{"8388607TiB", UINT64_C(8388607) << 40},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		uint64_t value = 1;

		if (quantity_parse_size(samples[i].text, &value) != 0)
			fail_msg("%s is refused", samples[i].text);
		if (value != samples[i].value)
			fail_msg("%s is %" PRIu64, samples[i].text, value);
	}
}

static void durations_are_understood_in_every_unit(void **state)
{
	static const struct sample samples[] = {
		{"7ns", 7},
		{"7us", 7000},
		{"1.5ms", 1500000},
		{"60s", UINT64_C(60000000000)},
		{"2min", UINT64_C(120000000000)},
		{"0.5h", UINT64_C(1800000000000)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		uint64_t value = 1;

		if (quantity_parse_duration(samples[i].text, &value) != 0)
			fail_msg("%s is refused", samples[i].text);
		if (value != samples[i].value)
			fail_msg("%s is %" PRIu64, samples[i].text, value);
	}
}

static void what_is_no_size_is_refused(void **state)
{
	static const char *const refused[] = {
		"",
		"B",
		"GiB",
		"-1",
		"+1",
		" 1",
		"1 ",
		"1 KiB",
		"1kb",
		"1KB",
		"1kib",
		"0x10",
		"1e3",
		"1.",
		".5K",
		"1.5",
		"0.3K",
		"1.2.3K",
		"1KiBx",
		"1s",
		"4KiB\n",
		"1,5GiB",
		"1.0000000000000000000GiB",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		uint64_t value = 77;

		if (quantity_parse_size(refused[i], &value) != -EINVAL)
			fail_msg("'%s' is taken for %" PRIu64, refused[i],
				 value);
		assert_int_equal(value, 77);
	}
}

static void what_is_no_duration_is_refused(void **state)
{
	static const char *const refused[] = {
		"", "60", "1m", "1d", "60S", "0.5ns", "1.5", "1 s", "-1s",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		uint64_t value = 77;

		if (quantity_parse_duration(refused[i], &value) != -EINVAL)
			fail_msg("'%s' is taken for %" PRIu64, refused[i],
				 value);
		assert_int_equal(value, 77);
	}
}

static void what_does_not_fit_is_out_of_range(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(quantity_parse_size("9223372036854775808", &value),
			 -ERANGE);
	assert_int_equal(quantity_parse_size("8388608TiB", &value), -ERANGE);
	assert_int_equal(quantity_parse_size("99999999999999999999999", &value),
			 -ERANGE);
	assert_int_equal(quantity_parse_duration("2562048h", &value), -ERANGE);
}

static void the_shortest_exact_form_is_written(void **state)
{
	char text[32];

	(void)state;
#define size_of(bytes) quantity_format_size(bytes, text, sizeof(text))
#define duration_of(ns) quantity_format_duration(ns, text, sizeof(text))
	assert_string_equal(size_of(0), "0B");
	assert_string_equal(size_of(1000), "1000B");
	assert_string_equal(size_of(1024), "1KiB");
	assert_string_equal(size_of(GIB), "1GiB");
	assert_string_equal(size_of(GIB + GIB / 2), "1536MiB");
	assert_string_equal(size_of(GIB + 1), "1073741825B");
	assert_string_equal(duration_of(0), "0s");
	assert_string_equal(duration_of(1500), "1500ns");
	assert_string_equal(duration_of(UINT64_C(60000000000)), "60s");
	assert_string_equal(duration_of(UINT64_C(3600000000000)), "1h");
}

static void what_is_written_is_understood_as_the_same(void **state)
{
	char text[32];
	uint64_t random = 1;

	(void)state;
	for (unsigned int i = 0; i < 10000; i++) {
		uint64_t value, again;

		random = random * UINT64_C(6364136223846793005) +
			 UINT64_C(1442695040888963407);
		value = random >> 1 >> i % 63 << i % 7;
		value &= INT64_MAX;
		size_of(value);
		assert_int_equal(quantity_parse_size(text, &again), 0);
		assert_int_equal(again, value);
		duration_of(value);
		assert_int_equal(quantity_parse_duration(text, &again), 0);
		assert_int_equal(again, value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_understood_in_every_spelling),
		cmocka_unit_test(durations_are_understood_in_every_unit),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(what_is_no_duration_is_refused),
		cmocka_unit_test(what_does_not_fit_is_out_of_range),
		cmocka_unit_test(the_shortest_exact_form_is_written),
		cmocka_unit_test(what_is_written_is_understood_as_the_same),
	};

	return cmocka_run_group_tests_name("quantity", tests, NULL, NULL);
}
