// SPDX-License-Identifier: Apache-2.0
/* test_history_record.c - what a disk's process may write of events, or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "history_record.h"

#define NOW_MS 5000

static json_t *parse(const char *line)
{
	return history_record_parse(line, strlen(line), NOW_MS);
}

static void refused(const char *line)
{
	assert_null(parse(line));
}

static const char *text(const json_t *entry, const char *member)
{
	return json_string_value(json_object_get(entry, member));
}

static void a_record_becomes_an_entry(void **state)
{
	json_t *entry =
		parse("{\"kind\": \"grow\", \"outcome\": \"refused\","
		      " \"time_ms\": 4000, \"size_bytes\": 8192, \"missed\": 3,"
		      " \"reason\": \"full\", \"filters\": [{\"filter\": \"f\","
		      " \"phase\": \"pre\", \"outcome\": \"refused\","
		      " \"reason\": \"full\", \"ms\": 2}]}");
	json_t *wanted = json_loads(
		"{\"time_ms\": 4000, \"source\": \"disk\", \"kind\": \"grow\","
		" \"outcome\": \"refused\", \"reason\": \"full\","
		" \"size_bytes\": 8192, \"missed\": 3, \"filters\":"
		" [{\"filter\": \"f\", \"phase\": \"pre\", \"outcome\":"
		" \"refused\", \"reason\": \"full\", \"ms\": 2}]}",
		0, NULL);

	(void)state;
	assert_true(json_equal(entry, wanted));
	json_decref(entry);
	json_decref(wanted);
}

static void a_line_that_is_no_record_is_left_out(void **state)
{
	(void)state;
	refused("");
	refused("{\"kind\": \"grow\", \"outco");
	refused("[]");
	refused("null");
	refused("{}");
	refused("{\"kind\": 7, \"outcome\": \"done\"}");
	refused("{\"kind\": \"grow\"}");
	refused("{\"kind\": \"grow\", \"outcome\": \"done\"} x");
	refused("{\"kind\": \"\xff\", \"outcome\": \"done\"}");
	refused("{\"outcome\": \"done\", \"kind\":"
		" \"a-kind-of-event-whose-name-is-too-long\"}");
}

static void what_a_process_cant_know_is_left_out(void **state)
{
	json_t *entry = parse("{\"kind\": \"vm\", \"outcome\": \"done\","
			      " \"source\": \"operator\", \"policy\": \"x\","
			      " \"size_bytes\": -1, \"filters\": 5}");

	(void)state;
	assert_string_equal(text(entry, "source"), "disk");
	assert_null(json_object_get(entry, "policy"));
	assert_null(json_object_get(entry, "size_bytes"));
	assert_int_equal(json_array_size(json_object_get(entry, "filters")), 0);
	json_decref(entry);
}

static void nothing_happens_in_the_future(void **state)
{
	json_t *entry = parse("{\"kind\": \"vm\", \"outcome\": \"done\","
			      " \"time_ms\": 5001}");

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(entry, "time_ms")),
			 NOW_MS);
	json_decref(entry);
}

static void append(char *line, size_t bytes, const char *text)
{
	size_t used = strlen(line);

	(void)snprintf(line + used, bytes - used, "%s", text);
}

static void answers_beyond_what_filters_can_give_are_left_out(void **state)
{
	static char line[8192] =
		"{\"kind\": \"vm\", \"outcome\": \"done\", \"filters\": [{}";
	json_t *entry;

	(void)state;
	for (int i = 0; i < 99; i++)
		append(line, sizeof(line), ", {\"filter\": \"f\"}");
	append(line, sizeof(line), "]}");
	entry = parse(line);
	assert_int_equal(json_array_size(json_object_get(entry, "filters")),
			 64);
	json_decref(entry);
}

static void a_text_that_is_too_long_is_left_out(void **state)
{
	static char line[2048] =
		"{\"kind\": \"vm\", \"outcome\": \"done\", \"reason\": \"";
	json_t *entry;

	(void)state;
	memset(line + strlen(line), 'x', 512);
	append(line, sizeof(line), "\"}");
	entry = parse(line);
	assert_non_null(entry);
	assert_null(json_object_get(entry, "reason"));
	json_decref(entry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_becomes_an_entry),
		cmocka_unit_test(a_line_that_is_no_record_is_left_out),
		cmocka_unit_test(what_a_process_cant_know_is_left_out),
		cmocka_unit_test(nothing_happens_in_the_future),
		cmocka_unit_test(
			answers_beyond_what_filters_can_give_are_left_out),
		cmocka_unit_test(a_text_that_is_too_long_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
