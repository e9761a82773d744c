/* SPDX-License-Identifier: Apache-2.0 */
/* test_yaml.c - what YAML means, where it is wrong, and writing it back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "error.h"
#include "yaml_read.h"
#include "yaml_write.h"

static int read_bytes(const char *bytes, size_t count,
		      struct yaml_source *ret_source, struct error *error)
{
	FILE *stream = tmpfile();
	int ret;

	assert_non_null(stream);
	assert_int_equal(fwrite(bytes, 1, count, stream), count);
	rewind(stream);
	ret = yaml_read(stream, "p.yaml", ret_source, error);
	(void)fclose(stream);
	return ret;
}

static void assert_means(const char *yaml, const char *json)
{
	struct yaml_source source;
	struct error error = {0};
	char *text;

	assert_int_equal(read_bytes(yaml, strlen(yaml), &source, &error), 0);
	text = json_dumps(source.value, JSON_COMPACT | JSON_ENCODE_ANY);
	assert_string_equal(text, json);
	free(text);
	yaml_source_close(&source);
}

static void assert_refused(const char *yaml, const char *message)
{
	struct yaml_source source;
	struct error error = {0};

	assert_int_equal(read_bytes(yaml, strlen(yaml), &source, &error),
			 -EINVAL);
	assert_string_equal(error.message, message);
}

static void a_policy_becomes_json_in_its_order(void **state)
{
	(void)state;
	assert_means("name: gold\n"
		     "filters:\n"
		     "  - filter: throttle\n"
		     "    properties: { iops: 20000 }\n"
		     "  - filter: cache\n"
		     "    properties: { mode: write-back, limit: 40GiB }\n",
		     "{\"name\":\"gold\",\"filters\":["
		     "{\"filter\":\"throttle\",\"properties\":{\"iops\":20000}}"
		     ",{\"filter\":\"cache\",\"properties\":"
		     "{\"mode\":\"write-back\",\"limit\":\"40GiB\"}}]}");
}

static void json_is_yaml_too(void **state)
{
	(void)state;
	assert_means("{\"name\": \"x\", \"filters\": [], \"n\": -1.5e3}",
		     "{\"name\":\"x\",\"filters\":[],\"n\":-1500.0}");
}

static void plain_words_have_types_and_quoted_ones_do_not(void **state)
{
	(void)state;
	assert_means("[true, False, ~, null, 12, +7, -3, 0x1F, 0o17, 1.5, .5]",
		     "[true,false,null,null,12,7,-3,31,15,1.5,0.5]");
	assert_means("a:\nb: ~\n", "{\"a\":null,\"b\":null}");
	assert_means("['true', \"12\", '', yes, no, 60s, 1.2.3, e5, 0x]",
		     "[\"true\",\"12\",\"\",\"yes\",\"no\",\"60s\",\"1.2.3\","
		     "\"e5\",\"0x\"]");
}

static void errors_name_the_line(void **state)
{
	(void)state;
	assert_refused("name: x\nfilters:\n  - a\n - b\n",
		       "p.yaml:4: not YAML: did not find expected key, "
		       "while parsing a block mapping");
	assert_refused("name: x\nname: y\n",
		       "p.yaml:2: key 'name' is here twice; keep one of them");
	assert_refused("a: 1\nb: [1, 99999999999999999999]\n",
		       "p.yaml:2: the number is too large; use a smaller one");
	assert_refused("a: 1\n---\nb: 2\n",
		       "p.yaml:2: a second document begins; put each into a "
		       "file of its own");
	assert_refused("a: &x 1\n",
		       "p.yaml:1: anchors aren't taken; remove it");
	assert_refused("a: 1\nb: !!binary aGk=\n",
		       "p.yaml:2: tags aren't taken; remove it");
	assert_refused("a:\n  - *x\n",
		       "p.yaml:2: aliases aren't taken; write the value out");
	assert_refused("[1, 2]: 3\n",
		       "p.yaml:1: a key must be a plain word; write "
		       "'key: value'");
	assert_refused("# nothing\n",
		       "p.yaml: is empty; see 'forebay policy create --help' "
		       "for an example");
}

static void bytes_that_are_not_text_are_refused(void **state)
{
	struct yaml_source source;
	struct error error = {0};

	(void)state;
	assert_int_equal(read_bytes("a: \xff\xfe", 5, &source, &error),
			 -EINVAL);
	assert_non_null(strstr(error.message, "write it in UTF-8"));
	assert_int_equal(read_bytes("a: \"\\0\"", 7, &source, &error), -EINVAL);
	assert_string_equal(error.message,
			    "p.yaml:1: holds a NUL character; remove it");
}

static void depth_count_and_length_have_limits(void **state)
{
	static char text[YAML_READ_MAX_BYTES + 2];
	struct yaml_source source;
	struct error error = {0};

	(void)state;
	memset(text, '[', YAML_READ_MAX_DEPTH + 1);
	assert_int_equal(
		read_bytes(text, YAML_READ_MAX_DEPTH + 1, &source, &error),
		-EINVAL);
	assert_string_equal(error.message,
			    "p.yaml:1: nested too deeply; flatten it");
	for (size_t i = 0; i <= YAML_READ_MAX_VALUES; i++)
		(void)snprintf(text + 4 * i, 5, "- 1\n");
	assert_int_equal(read_bytes(text, 4 * (size_t)YAML_READ_MAX_VALUES,
				    &source, &error),
			 -EINVAL);
	assert_string_equal(error.message,
			    "p.yaml:10000: too many values; shorten it");
	memset(text, ' ', sizeof(text));
	assert_int_equal(
		read_bytes(text, YAML_READ_MAX_BYTES + 1, &source, &error),
		-EINVAL);
	assert_string_equal(error.message,
			    "p.yaml: longer than 1 MiB; shorten it");
}

static void every_value_knows_its_line(void **state)
{
	static const char yaml[] = "name: x\n"
				   "filters:\n"
				   "  - filter: a\n"
				   "  - filter: b\n"
				   "    properties:\n"
				   "      we/ird~: 1\n";
	struct yaml_source source;
	struct error error = {0};

	(void)state;
	assert_int_equal(read_bytes(yaml, sizeof(yaml) - 1, &source, &error),
			 0);
	assert_int_equal(yaml_source_line(&source, ""), 1);
	assert_int_equal(yaml_source_line(&source, "/filters"), 2);
	assert_int_equal(yaml_source_line(&source, "/filters/1"), 4);
	assert_int_equal(
		yaml_source_line(&source, "/filters/1/properties/we~1ird~0"),
		6);
	/* What isn't there has the line of what is around it. */
	assert_int_equal(yaml_source_line(&source, "/filters/1/missing/x"), 4);
	yaml_source_close(&source);
}

static void what_is_written_reads_back_the_same(void **state)
{
	json_t *value = json_pack(
		"{s:[s,s,s,s,s,s], s:{}, s:[], s:[i,f,b,n], s:{s:[{s:s}]}}",
		"strings", "true", "12", "", "60s", "two\nlines", "# - : {",
		"empty", "none", "others", -5, 0.25, 1, "deep", "a", "b",
		"\xc3\xa4");
	char *text = NULL;
	size_t count = 0;
	FILE *stream = open_memstream(&text, &count);
	struct yaml_source source;
	struct error error = {0};

	(void)state;
	assert_non_null(value);
	assert_int_equal(yaml_write(stream, value), 0);
	(void)fclose(stream);
	assert_int_equal(read_bytes(text, count, &source, &error), 0);
	assert_true(json_equal(value, source.value));
	yaml_source_close(&source);
	json_decref(value);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_becomes_json_in_its_order),
		cmocka_unit_test(json_is_yaml_too),
		cmocka_unit_test(plain_words_have_types_and_quoted_ones_do_not),
		cmocka_unit_test(errors_name_the_line),
		cmocka_unit_test(bytes_that_are_not_text_are_refused),
		cmocka_unit_test(depth_count_and_length_have_limits),
		cmocka_unit_test(every_value_knows_its_line),
		cmocka_unit_test(what_is_written_reads_back_the_same),
	};

	return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
