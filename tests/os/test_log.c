// SPDX-License-Identifier: Apache-2.0
/* test_log.c - lines as they arrive at standard error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

/* Runs @write with standard error in a pipe; gives what came out. */
static void capture(void (*write_lines)(void), char *text, size_t text_bytes)
{
	int saved = dup(STDERR_FILENO);
	int ends[2];
	ssize_t count;

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	write_lines();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	count = read(ends[0], text, text_bytes - 1);
	text[count > 0 ? count : 0] = '\0';
	close(ends[0]);
}

static void write_sample(void)
{
	log_open("forebay-disk[a]", LOG_LEVEL_INFO);
	log_info("size %d", 42);
	log_debug("not this");
}

static void a_line_has_time_level_program_and_message(void **state)
{
	char text[512];
	regex_t form;

	(void)state;
	capture(write_sample, text, sizeof(text));
	assert_int_equal(
		regcomp(&form,
			"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
			"\\.[0-9]{3}Z info forebay-disk\\[a\\]: size 42\n$",
			REG_EXTENDED | REG_NOSUB),
		0);
	if (regexec(&form, text, 0, NULL, 0) != 0)
		fail_msg("'%s' has another form", text);
	regfree(&form);
}

static void write_forged(void)
{
	errno = ENOENT;
	log_error("guest says %s", "a\n2026 error b\x1b[0m");
	assert_int_equal(errno, ENOENT);
}

static void words_of_a_guest_cannot_forge_a_line(void **state)
{
	char text[512];

	(void)state;
	capture(write_forged, text, sizeof(text));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_null(strchr(text, '\x1b'));
}

static void write_long(void)
{
	char words[4000];

	memset(words, 'w', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	log_error("%s", words);
}

static void a_long_line_is_cut_and_still_a_line(void **state)
{
	char text[5000];

	(void)state;
	capture(write_long, text, sizeof(text));
	assert_int_equal(strlen(text), 1023);
	assert_int_equal(text[1022], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_time_level_program_and_message),
		cmocka_unit_test(words_of_a_guest_cannot_forge_a_line),
		cmocka_unit_test(a_long_line_is_cut_and_still_a_line),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
