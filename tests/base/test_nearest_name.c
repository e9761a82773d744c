// SPDX-License-Identifier: Apache-2.0
/* test_nearest_name.c - which slips are forgiven, and which aren't. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nearest_name.h"

static const char *const names[] = {"disk", "policy", "discard-dirty"};

static const char *nearest(const char *typed)
{
	return nearest_name(names, 3, typed);
}

static void one_slip_in_a_short_word_is_forgiven(void **state)
{
	(void)state;
	assert_string_equal(nearest("disk"), "disk");
	assert_string_equal(nearest("dsik"), "disk");
	assert_string_equal(nearest("dis"), "disk");
	assert_string_equal(nearest("disks"), "disk");
	assert_string_equal(nearest("polcy"), "policy");
	assert_string_equal(nearest("discrad-dirt"), "discard-dirty");
	assert_string_equal(nearest("discard"), "discard-dirty");
}

static void far_words_and_very_long_ones_are_not_guessed(void **state)
{
	(void)state;
	assert_null(nearest("dusty"));
	assert_null(nearest(""));
	assert_null(nearest("x"));
	assert_null(nearest("diskdiskdiskdiskdiskdiskdiskdiskdiskdiskdiskdiskdi"
			    "skdiskdiskdiskd"));
}

static void a_list_says_when_it_is_cut(void **state)
{
	char text[32];

	(void)state;
	nearest_name_list(names, 3, text, sizeof(text));
	assert_string_equal(text, "disk, policy, discard-dirty");
	nearest_name_list(names, 3, text, 17);
	assert_string_equal(text, "disk, ...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_slip_in_a_short_word_is_forgiven),
		cmocka_unit_test(far_words_and_very_long_ones_are_not_guessed),
		cmocka_unit_test(a_list_says_when_it_is_cut),
	};

	return cmocka_run_group_tests_name("nearest_name", tests, NULL, NULL);
}
