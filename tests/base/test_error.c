// SPDX-License-Identifier: Apache-2.0
/* test_error.c - an error is one line that fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "error.h"

static void the_code_comes_back_with_words_for_it(void **state)
{
	struct error error = {0};

	(void)state;
	assert_int_equal(error_set(&error, -ENOENT, "disk %s: gone", "a"),
			 -ENOENT);
	assert_int_equal(error.code, -ENOENT);
	assert_string_equal(error.message, "disk a: gone");
}

static void nobody_needs_to_listen(void **state)
{
	(void)state;
	assert_int_equal(error_set(NULL, -EIO, "unheard"), -EIO);
}

static void foreign_bytes_cannot_forge_a_second_line(void **state)
{
	struct error error;

	(void)state;
	error_set(&error, -EIO, "peer says %s", "a\nb\x1b[2Jc\x7f");
	assert_string_equal(error.message, "peer says a b [2Jc ");
}

static void a_long_message_is_cut(void **state)
{
	struct error error;
	char text[2 * ERROR_MESSAGE_BYTES];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&error, -EIO, "%s", text);
	assert_int_equal(strlen(error.message), ERROR_MESSAGE_BYTES - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_code_comes_back_with_words_for_it),
		cmocka_unit_test(nobody_needs_to_listen),
		cmocka_unit_test(foreign_bytes_cannot_forge_a_second_line),
		cmocka_unit_test(a_long_message_is_cut),
	};

	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
