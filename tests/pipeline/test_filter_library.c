// SPDX-License-Identifier: Apache-2.0
/* test_filter_library.c - which libraries are refused, and in which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter_library.h"

#define PATH_BYTES 512u

static const char *filter_dir;
static const char *null_library;

/* @message: a part of the error. */
static void refused(const char *path, int code, const char *message)
{
	struct filter_library *library = NULL;
	struct error error = {0};

	assert_int_equal(filter_library_open(path, &library, &error), code);
	assert_null(library);
	if (!strstr(error.message, message))
		fail_msg("'%s' isn't in: %s", message, error.message);
}

static void refused_variant(const char *name, int code, const char *message)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s.so", filter_dir, name);
	refused(path, code, message);
}

static void a_good_filter_is_described(void **state)
{
	struct filter_library *library = NULL;
	struct error error = {0};
	json_t *description;

	(void)state;
	assert_int_equal(filter_library_open(null_library, &library, &error),
			 0);
	description = filter_library_describe(library);
	assert_string_equal(
		json_string_value(json_object_get(description, "class")),
		"inspection");
	assert_int_equal(
		json_array_size(json_object_get(description, "operations")), 7);
	assert_int_equal(
		json_array_size(json_object_get(description, "properties")), 0);
	json_decref(description);
	filter_library_close(library);
}

static void a_path_must_be_absolute_and_there(void **state)
{
	(void)state;
	refused("null.so", -EINVAL,
		"the filter library 'null.so' isn't an absolute path");
	refused("/nowhere/null.so", -ENOENT,
		"the filter library /nowhere/null.so: No such file");
}

static void a_file_that_is_no_library_is_refused(void **state)
{
	char path[] = "/tmp/fbXXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "not ELF", 7), 7);
	close(fd);
	refused(path, -ENOEXEC, "can't be loaded");
	unlink(path);
}

/* As after it was removed, or in a sandbox. */
static void a_kept_library_is_opened_without_its_file(void **state)
{
	struct filter_library *library = NULL;
	struct error error = {0};
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/fbkeep%d.so", (int)getpid());
	assert_int_equal(symlink(null_library, path), 0);
	assert_int_equal(filter_library_keep(path, &error), 0);
	assert_int_equal(unlink(path), 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(filter_library_open(path, &library, &error),
				 0);
		assert_string_equal(library->filter.name, "null");
		filter_library_close(library);
	}
	assert_int_equal(filter_library_keep("/nowhere/null.so", &error),
			 -ENOENT);
	assert_int_equal(filter_library_keep("null.so", &error), -EINVAL);
}

static void a_library_without_the_symbol_is_no_filter(void **state)
{
	(void)state;
	refused_variant("no-filter", -ENOSYS,
			"isn't a Forebay filter: it doesn't export "
			"'forebay_filter'");
}

static void another_abi_is_refused(void **state)
{
	(void)state;
	refused_variant("bad-abi", -EPROTONOSUPPORT,
			"was built for filter ABI 99, this Forebay speaks 1: "
			"build the filter again");
	refused_variant("bad-struct-size", -EPROTONOSUPPORT,
			"exports a filter table of 16 bytes");
}

static void a_table_with_something_wrong_is_refused(void **state)
{
	(void)state;
	refused_variant("bad-name", -EINVAL,
			"its filter's name isn't 1 to 31 of a-z, 0-9 and '-'");
	refused_variant("bad-class", -EDOM,
			"filter bad is of an unknown class (42)");
	refused_variant("bad-operations", -EINVAL,
			"filter bad understands no operation");
	refused_variant("bad-context", -EINVAL,
			"filter bad wants 4097 context bytes in each request, "
			"more than 4096");
	refused_variant("bad-submit", -EINVAL,
			"filter bad lacks open, close or submit");
	refused_variant("bad-events", -EINVAL,
			"filter bad names events and lacks event");
	refused_variant("bad-files", -EINVAL,
			"filter bad declares a file of 'number', which isn't a "
			"property for folders");
	refused_variant("bad-default", -EINVAL,
			"filter bad declares property 'number' with");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_filter_is_described),
		cmocka_unit_test(a_path_must_be_absolute_and_there),
		cmocka_unit_test(a_file_that_is_no_library_is_refused),
		cmocka_unit_test(a_kept_library_is_opened_without_its_file),
		cmocka_unit_test(a_library_without_the_symbol_is_no_filter),
		cmocka_unit_test(another_abi_is_refused),
		cmocka_unit_test(a_table_with_something_wrong_is_refused),
	};

	filter_dir = getenv("TEST_FILTER_DIR");
	null_library = getenv("TEST_NULL_FILTER");
	assert_non_null(filter_dir);
	assert_non_null(null_library);
	return cmocka_run_group_tests_name("filter_library", tests, NULL, NULL);
}
