// SPDX-License-Identifier: Apache-2.0
/* test_held.c - a hold in the words of the cache's actions and status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "held.h"

#define SECOND_NS 1000000000ull

static void an_action_says_for_how_long(void **state)
{
	uint64_t ns = 0;

	(void)state;
	assert_int_equal(held_parse("hold 600", &ns), 0);
	assert_int_equal(ns, 600 * SECOND_NS);
}

static void bad_times_are_refused(void **state)
{
	static const char *const bad[] = {"hold ",    "hold 0",	 "hold -1",
					  "hold x",   "hold 1 ", "hold 604801",
					  "hold  60", "release", "hold"};
	uint64_t ns = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(held_parse(bad[i], &ns), -EINVAL);
	assert_int_equal(ns, 7);
	assert_int_equal(held_parse("hold 604800", &ns), 0);
}

static json_t *document(const struct engine_hold *hold, uint64_t now_ns)
{
	char json[HELD_JSON_BYTES];
	json_t *root;

	held_format(hold, now_ns, json);
	root = json_loads(json, JSON_DECODE_ANY, NULL);
	assert_non_null(root);
	return root;
}

static json_int_t number(const json_t *root, const char *member)
{
	return json_integer_value(json_object_get(root, member));
}

static const char *word(const json_t *root, const char *member)
{
	return json_string_value(json_object_get(root, member));
}

static void no_hold_is_null(void **state)
{
	const struct engine_hold none = {.state = ENGINE_HOLD_NONE};
	json_t *root = document(&none, SECOND_NS);

	(void)state;
	assert_true(json_is_null(root));
	json_decref(root);
}

static void a_hold_says_since_when_and_until_when(void **state)
{
	const struct engine_hold held = {
		.state = ENGINE_HOLD_HELD,
		.held_ns = 10 * SECOND_NS,
		.until_ns = 60 * SECOND_NS,
	};
	json_t *root = document(&held, 25 * SECOND_NS);

	(void)state;
	assert_string_equal(word(root, "state"), "held");
	assert_int_equal(number(root, "held_for_ns"), 15 * SECOND_NS);
	assert_int_equal(number(root, "ends_in_ns"), 35 * SECOND_NS);
	assert_null(word(root, "reason"));
	json_decref(root);
}

static void an_end_says_when_and_why(void **state)
{
	const struct engine_hold ended = {
		.state = ENGINE_HOLD_ENDED,
		.end = ENGINE_HOLD_END_DEADLINE,
		.held_ns = 10 * SECOND_NS,
		.until_ns = 60 * SECOND_NS,
		.ended_ns = 60 * SECOND_NS,
	};
	json_t *root = document(&ended, 62 * SECOND_NS);

	(void)state;
	assert_string_equal(word(root, "state"), "ended");
	assert_string_equal(word(root, "reason"), "its time was over");
	assert_int_equal(number(root, "held_for_ns"), 50 * SECOND_NS);
	assert_int_equal(number(root, "ended_ago_ns"), 2 * SECOND_NS);
	assert_int_equal(number(root, "ends_in_ns"), 0);
	json_decref(root);
}

/* The longest that can be said. */
static void every_end_is_told_whole(void **state)
{
	(void)state;
	for (int end = ENGINE_HOLD_END_NOT; end <= ENGINE_HOLD_END_CLOSED;
	     end++) {
		const struct engine_hold ended = {
			.state = ENGINE_HOLD_ENDED,
			.end = (enum engine_hold_end)end,
			.left_bytes = INT64_MAX,
			.held_ns = 1,
			.ended_ns = INT64_MAX,
		};
		json_t *root = document(&ended, INT64_MAX);

		assert_string_equal(word(root, "reason"),
				    held_words(ended.end));
		json_decref(root);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_action_says_for_how_long),
		cmocka_unit_test(bad_times_are_refused),
		cmocka_unit_test(no_hold_is_null),
		cmocka_unit_test(a_hold_says_since_when_and_until_when),
		cmocka_unit_test(an_end_says_when_and_why),
		cmocka_unit_test(every_end_is_told_whole),
	};

	return cmocka_run_group_tests_name("held", tests, NULL, NULL);
}
