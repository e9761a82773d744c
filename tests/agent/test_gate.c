// SPDX-License-Identifier: Apache-2.0
/* test_gate.c - the words of requests, and properties of filters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate.h"
#include "libvirt_xml.h"
#include "properties.h"
#include "text.h"

static json_t *parse(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

static void names_are_short_and_plain(void **state)
{
	static const char *const good[] = {"a", "0", "db-1.test_x", "a..b"};
	static const char *const bad[] = {
		"",
		"A",
		"-a",
		".a",
		"_a",
		"a b",
		"a/b",
		"\xc3\xa4",
		"a\n",
		"a%41",
		"01234567-89ab-cdef-0123-456789abcdef",
	};
	char longest[GATE_NAME_LENGTH_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(gate_is_name(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(gate_is_name(bad[i]));
	memset(longest, 'a', sizeof(longest));
	longest[GATE_NAME_LENGTH_MAX + 1] = '\0';
	assert_false(gate_is_name(longest));
	longest[GATE_NAME_LENGTH_MAX] = '\0';
	assert_true(gate_is_name(longest));
}

static void check_size(const char *text, int result, uint64_t expected)
{
	json_auto_t *object = parse(text);
	struct problem problem = {0};
	uint64_t bytes = 1;

	assert_int_equal(gate_size(object, "size", &bytes, &problem) < 0,
			 result < 0);
	if (result < 0)
		assert_int_equal(problem.code, PROBLEM_BAD_SIZE);
	else
		assert_int_equal(bytes, expected);
}

static void sizes_are_multiples_of_512(void **state)
{
	(void)state;
	check_size("{}", 0, 0);
	check_size("{\"size\": null}", 0, 0);
	check_size("{\"size\": 512}", 0, 512);
	check_size("{\"size\": 1152921504606846976}", 0, GATE_SIZE_MAX);
	check_size("{\"size\": 0}", -1, 0);
	check_size("{\"size\": 513}", -1, 0);
	check_size("{\"size\": -512}", -1, 0);
	check_size("{\"size\": 512.0}", -1, 0);
	check_size("{\"size\": \"1GiB\"}", -1, 0);
	check_size("{\"size\": 1152921504606847488}", -1, 0);
	check_size("{\"size\": 9223372036854775807}", -1, 0);
}

static void a_wrong_size_is_told_the_next_right_one(void **state)
{
	json_auto_t *object = parse("{\"size\": 1000}");
	struct problem problem = {0};
	uint64_t bytes;

	(void)state;
	assert_true(gate_size(object, "size", &bytes, &problem) < 0);
	assert_non_null(strstr(problem.hint, "1024"));
}

static void backends_are_absolute_paths_or_exports(void **state)
{
	static const char *const exports[] = {
		"nbd://host/d1",
		"nbd://[::1]:10810/",
		"nbd+unix:///d1?socket=/run/s",
	};
	static const char *const bad[] = {
		"",	      "/a",	   "file:",
		"file:a",     "file:../a", "nbd:unix:/tmp",
		"file:/a\nb", "FILE:/a",   "nbd://a b/",
		"nbd:x",      "nbd://a\n", "nbd+vsock://2",
		"nbds://a/",
	};
	struct problem problem = {0};
	const char *path;

	(void)state;
	assert_int_equal(gate_backend("file:/a b/c", &path, &problem), 0);
	assert_string_equal(path, "/a b/c");
	for (size_t i = 0; i < sizeof(exports) / sizeof(*exports); i++) {
		assert_int_equal(gate_backend(exports[i], &path, &problem), 0);
		assert_null(path);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_true(gate_backend(bad[i], &path, &problem) < 0);
		assert_int_equal(problem.code, PROBLEM_BAD_BACKEND);
		assert_true(problem.hint[0] != '\0');
	}
}

static void members_that_nobody_knows_are_named(void **state)
{
	static const char *const members[] = {"name", "size", NULL};
	json_auto_t *object = parse("{\"name\": \"a\", \"sice\": 1}");
	json_auto_t *array = parse("[]");
	struct problem problem = {0};

	(void)state;
	assert_true(gate_object(object, members, &problem) < 0);
	assert_non_null(strstr(problem.detail, "\"sice\""));
	assert_true(gate_object(array, members, &problem) < 0);
	assert_true(gate_object(NULL, members, &problem) < 0);
}

static void a_list_has_its_limit(void **state)
{
	json_auto_t *object = parse("{\"paths\": []}");
	const json_t *list;
	struct problem problem = {0};

	(void)state;
	assert_true(gate_list(object, "paths", true, &list, &problem) < 0);
	for (unsigned int i = 0; i < GATE_LIST_MAX; i++)
		json_array_append_new(json_object_get(object, "paths"),
				      json_integer(1));
	assert_int_equal(gate_list(object, "paths", true, &list, &problem), 0);
	json_array_append_new(json_object_get(object, "paths"),
			      json_integer(1));
	assert_true(gate_list(object, "paths", true, &list, &problem) < 0);
}

/* -- properties --------------------------------------------------------- */

static const char description[] =
	"{\"name\": \"cache\", \"properties\": ["
	"{\"name\": \"mode\", \"type\": \"string\", \"default\": \"back\","
	" \"choices\": [\"back\", \"through\"]},"
	"{\"name\": \"pool\", \"type\": \"string\", \"default\": \"\"},"
	"{\"name\": \"limit\", \"type\": \"size\", \"minimum\": 67108864,"
	" \"maximum\": 1099511627776},"
	"{\"name\": \"age\", \"type\": \"duration\", \"minimum\": 0,"
	" \"maximum\": 3600000000000},"
	"{\"name\": \"iops\", \"type\": \"integer\", \"minimum\": 1,"
	" \"maximum\": 100},"
	"{\"name\": \"on\", \"type\": \"boolean\"}]}";

static int check(const char *given, json_t **ret_normal,
		 struct problem *problem)
{
	json_auto_t *schema = parse(description);
	json_auto_t *properties = parse(given);

	*ret_normal = NULL;
	return properties_check(schema, properties, ret_normal, problem);
}

static void quantities_become_bytes_and_nanoseconds(void **state)
{
	json_auto_t *normal = NULL;
	json_auto_t *expected = parse(
		"{\"limit\": 1073741824, \"age\": 60000000000, \"iops\": 7,"
		" \"on\": true, \"mode\": \"through\", \"pool\": \"x\"}");
	struct problem problem = {0};

	(void)state;
	assert_int_equal(check("{\"limit\": \"1GiB\", \"age\": \"60s\","
			       " \"iops\": 7, \"on\": true, \"pool\": \"x\","
			       " \"mode\": \"through\"}",
			       &normal, &problem),
			 0);
	assert_true(json_equal(normal, expected));
}

static void no_properties_are_fine(void **state)
{
	json_auto_t *schema = parse(description);
	json_auto_t *normal = NULL;
	struct problem problem = {0};

	(void)state;
	assert_int_equal(properties_check(schema, NULL, &normal, &problem), 0);
	assert_int_equal(json_object_size(normal), 0);
}

static void an_unknown_property_is_told_the_known_ones(void **state)
{
	json_t *normal;
	struct problem problem = {0};

	(void)state;
	assert_true(check("{\"modus\": 1}", &normal, &problem) < 0);
	assert_int_equal(problem.code, PROBLEM_UNKNOWN_PROPERTY);
	assert_non_null(strstr(problem.detail, "modus"));
	assert_non_null(strstr(problem.hint, "mode, pool, limit"));
}

static void wrong_values_are_told_the_right_ones(void **state)
{
	static const struct {
		const char *given;
		const char *wanted;
	} cases[] = {
		{"{\"mode\": \"front\"}", "one of: back, through"},
		{"{\"mode\": 1}", "a string"},
		{"{\"limit\": \"1MiB\"}", "from 64MiB to 1TiB"},
		{"{\"limit\": \"much\"}", "a size"},
		{"{\"limit\": true}", "a size"},
		{"{\"age\": \"2h\"}", "from 0"},
		{"{\"age\": \"60\"}", "a duration"},
		{"{\"iops\": \"7\"}", "a whole number"},
		{"{\"iops\": 1.5}", "a whole number"},
		{"{\"iops\": 101}", "from 1 to 100"},
		{"{\"iops\": 0}", "from 1 to 100"},
		{"{\"on\": 1}", "true or false"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct problem problem = {0};
		json_t *normal;

		assert_true(check(cases[i].given, &normal, &problem) < 0);
		assert_int_equal(problem.code, PROBLEM_BAD_PROPERTY);
		if (!strstr(problem.detail, cases[i].wanted))
			fail_msg("%s: %s", cases[i].given, problem.detail);
		assert_string_equal(problem.object, "filter cache");
	}
}

/* -- text --------------------------------------------------------------- */

static void check_clean(const char *given, const char *expected)
{
	char text[64];

	snprintf(text, sizeof(text), "%s", given);
	assert_int_equal(text_is_clean(text), strcmp(given, expected) == 0);
	assert_string_equal(text_clean(text), expected);
	assert_true(text_is_clean(text));
}

static void what_is_no_text_becomes_question_marks(void **state)
{
	(void)state;
	check_clean("", "");
	check_clean("plain ~", "plain ~");
	check_clean("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
		    "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
	check_clean("two\nlines\x7f", "two?lines?");
	check_clean("cut \xe2\x82", "cut ??");
	check_clean("\xff\x80"
		    "a",
		    "??a");
	/* Longer than needed, a surrogate, beyond the last one, C1. */
	check_clean("\xc0\xaf", "??");
	check_clean("\xed\xa0\x80", "???");
	check_clean("\xf4\x90\x80\x80", "????");
	check_clean("\xc2\x85", "??");
}

static void a_problem_is_a_document_whatever_is_in_it(void **state)
{
	struct problem problem = {0};
	json_auto_t *document = NULL;

	(void)state;
	problem_set(&problem, PROBLEM_BAD_NAME, "%s\n", "\xff");
	problem_about(&problem, "disk", "\xe2\x82");
	document = problem_document(&problem);
	assert_non_null(document);
	assert_string_equal(
		json_string_value(json_object_get(document, "detail")), "??");
}

/* -- libvirt ------------------------------------------------------------ */

static const char disk[] =
	"{\"id\": \"u1\", \"name\": \"d1\", \"exports\": {"
	"\"vhost-user-blk\": {\"socket\": \"/r/a'&<b.sock\"}}}";

static void xml_escapes_what_it_is_given(void **state)
{
	json_auto_t *document = parse(disk);
	struct problem problem = {0};
	char *text;

	(void)state;
	assert_int_equal(
		libvirt_xml_render(document, NULL, "vdb", &text, &problem), 0);
	assert_non_null(strstr(text, "path='/r/a&apos;&amp;&lt;b.sock'"));
	assert_non_null(strstr(text, "<target dev='vdb' bus='virtio'/>"));
	assert_non_null(strstr(text, "<reconnect enabled='yes' timeout='1'/>"));
	free(text);
}

static void xml_refuses_what_the_disk_has_not(void **state)
{
	json_auto_t *document = parse(disk);
	struct problem problem = {0};
	char *text;

	(void)state;
	assert_true(libvirt_xml_render(document, "nbd", NULL, &text, &problem) <
		    0);
	assert_int_equal(problem.code, PROBLEM_NO_SUCH_EXPORT);
	assert_true(libvirt_xml_render(document, "scsi", NULL, &text,
				       &problem) < 0);
	assert_int_equal(problem.code, PROBLEM_BAD_REQUEST);
	assert_true(libvirt_xml_render(document, NULL, "sda'/>", &text,
				       &problem) < 0);
	assert_int_equal(problem.code, PROBLEM_BAD_REQUEST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_short_and_plain),
		cmocka_unit_test(sizes_are_multiples_of_512),
		cmocka_unit_test(a_wrong_size_is_told_the_next_right_one),
		cmocka_unit_test(backends_are_absolute_paths_or_exports),
		cmocka_unit_test(members_that_nobody_knows_are_named),
		cmocka_unit_test(a_list_has_its_limit),
		cmocka_unit_test(quantities_become_bytes_and_nanoseconds),
		cmocka_unit_test(no_properties_are_fine),
		cmocka_unit_test(an_unknown_property_is_told_the_known_ones),
		cmocka_unit_test(wrong_values_are_told_the_right_ones),
		cmocka_unit_test(what_is_no_text_becomes_question_marks),
		cmocka_unit_test(a_problem_is_a_document_whatever_is_in_it),
		cmocka_unit_test(xml_escapes_what_it_is_given),
		cmocka_unit_test(xml_refuses_what_the_disk_has_not),
	};

	return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
