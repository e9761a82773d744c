// SPDX-License-Identifier: Apache-2.0
/* test_exposition.c - what Prometheus gets to read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "exposition.h"

static void a_family_is_told_once_before_its_samples(void **state)
{
	const struct exposition_label one[] = {{"disk", "a"}, {0}};
	const struct exposition_label two[] = {
		{"disk", "b"}, {"le", "+Inf"}, {0}};
	struct exposition out;
	char *text;

	(void)state;
	assert_int_equal(exposition_begin(&out), 0);
	exposition_family(&out, "f_seconds", EXPOSITION_HISTOGRAM, "Times.");
	exposition_sample(&out, "_sum", one, 0.25);
	exposition_sample(&out, "_bucket", two, 3);
	exposition_family(&out, "g", EXPOSITION_GAUGE, "None yet.");
	exposition_sample(&out, "", NULL, -1);
	text = exposition_end(&out);
	assert_string_equal(text, "# HELP f_seconds Times.\n"
				  "# TYPE f_seconds histogram\n"
				  "f_seconds_sum{disk=\"a\"} 0.25\n"
				  "f_seconds_bucket{disk=\"b\",le=\"+Inf\"} 3\n"
				  "# HELP g None yet.\n"
				  "# TYPE g gauge\n"
				  "g -1\n");
	free(text);
}

static void a_label_may_hold_any_text(void **state)
{
	const struct exposition_label labels[] = {
		{"path", "a \"b\"\\c\nd\xc3\xa4"}, {"reason", NULL}, {0}};
	struct exposition out;
	char *text;

	(void)state;
	assert_int_equal(exposition_begin(&out), 0);
	exposition_family(&out, "f", EXPOSITION_GAUGE, "F.");
	exposition_sample(&out, "", labels, 1);
	text = exposition_end(&out);
	assert_string_equal(text, "# HELP f F.\n# TYPE f gauge\n"
				  "f{path=\"a \\\"b\\\"\\\\c\\nd\xc3\xa4\","
				  "reason=\"\"} 1\n");
	free(text);
}

static void large_counts_keep_their_last_byte(void **state)
{
	struct exposition out;
	char *text;

	(void)state;
	assert_int_equal(exposition_begin(&out), 0);
	exposition_family(&out, "f", EXPOSITION_COUNTER, "F.");
	exposition_sample(&out, "", NULL, 4503599627370497.0);
	text = exposition_end(&out);
	assert_string_equal(text, "# HELP f F.\n# TYPE f counter\n"
				  "f 4503599627370497\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_family_is_told_once_before_its_samples),
		cmocka_unit_test(a_label_may_hold_any_text),
		cmocka_unit_test(large_counts_keep_their_last_byte),
	};

	return cmocka_run_group_tests_name("exposition", tests, NULL, NULL);
}
