// SPDX-License-Identifier: Apache-2.0
/*
 * test_lost.c - what an SSD has lost is in the log, and doesn't flood it.
 *
 * The runner is this file: every block from 0 on is lost, one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lost.h"

#define BLOCK 4096u

static uint64_t lost_blocks;
static uint64_t lines;

/* Every second block, so that each is a range of its own. */
bool runner_next_lost(const struct runner *runner, uint64_t *offset,
		      uint64_t *ret_length)
{
	uint64_t number = (*offset + 2 * BLOCK - 1) / (2 * BLOCK);

	(void)runner;
	if (number >= lost_blocks)
		return false;
	*offset = number * 2 * BLOCK;
	*ret_length = BLOCK;
	return true;
}

static void log_line(struct forebay_instance *instance,
		     enum forebay_log_level level, const char *format, ...)
{
	(void)instance;
	(void)level;
	(void)format;
	lines++;
}

static char reported[512];

static void report(struct forebay_instance *instance, const char *what,
		   const char *text)
{
	(void)instance;
	assert_string_equal(what, "loss");
	assert_true(strlen(text) < 500);
	snprintf(reported, sizeof(reported), "%s", text);
}

static const struct forebay_host host = {.log = log_line, .report = report};

static uint64_t tell(uint64_t blocks, uint64_t *told)
{
	lost_blocks = blocks;
	lines = 0;
	lost_tell(NULL, &host, NULL, blocks, told);
	return lines;
}

static void a_report_has_the_exact_ranges(void **state)
{
	uint64_t told = 0;

	(void)state;
	tell(2, &told);
	assert_string_equal(reported, "8192 bytes can't be read from the SSD: "
				      "4096 at 0, 4096 at 8192");
}

static void a_report_of_many_ranges_says_that_there_are_more(void **state)
{
	uint64_t told = 0;

	(void)state;
	tell(1000, &told);
	assert_non_null(strstr(reported, ", and more"));
}

static void the_first_ones_are_told_one_by_one(void **state)
{
	uint64_t told = 0;

	(void)state;
	assert_int_equal(tell(1, &told), 1);
	assert_int_equal(tell(1, &told), 0);
	assert_int_equal(tell(2, &told), 2);
	assert_int_equal(tell(5, &told), 5);
}

static void an_ssd_that_dies_does_not_flood_the_log(void **state)
{
	uint64_t told = 0, all = 0;

	(void)state;
	for (uint64_t blocks = 1; blocks <= 100000; blocks++)
		all += tell(blocks, &told);
	/* 16 and less one by one, then 12 to 13 times 16 and the sum. */
	assert_in_range(all, 16 * 17 / 2, 16 * 17 / 2 + 14 * 17);
	assert_true(told >= 50000);
}

static void what_is_lost_after_some_was_overwritten_is_told(void **state)
{
	uint64_t told = 0;

	(void)state;
	assert_true(tell(1000, &told) > 0);
	assert_int_equal(tell(0, &told), 0);
	assert_int_equal(tell(1, &told), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_report_has_the_exact_ranges),
		cmocka_unit_test(
			a_report_of_many_ranges_says_that_there_are_more),
		cmocka_unit_test(the_first_ones_are_told_one_by_one),
		cmocka_unit_test(an_ssd_that_dies_does_not_flood_the_log),
		cmocka_unit_test(
			what_is_lost_after_some_was_overwritten_is_told),
	};

	return cmocka_run_group_tests_name("cache: lost", tests, NULL, NULL);
}
