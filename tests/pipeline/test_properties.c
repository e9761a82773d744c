// SPDX-License-Identifier: Apache-2.0
/* test_properties.c - what a filter's settings accept, refuse and remember. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "nearest_name.h"
#include "properties.h"

static const char *const modes[] = {"write-back", "write-through", NULL};

static const struct forebay_property table[] = {
	{
		.name = "iops",
		.description = "Number.",
		.type = FOREBAY_PROPERTY_INTEGER,
		.default_integer = 7,
		.maximum = 1000,
		.online = true,
	},
	{
		.name = "limit",
		.description = "Size.",
		.type = FOREBAY_PROPERTY_SIZE,
		.default_integer = 1 << 30,
		.minimum = 1 << 20,
		.maximum = INT64_MAX,
	},
	{
		.name = "max_dirty_age",
		.description = "Duration.",
		.type = FOREBAY_PROPERTY_DURATION,
		.default_integer = 60000000000,
		.maximum = INT64_MAX,
		.online = true,
	},
	{
		.name = "mode",
		.description = "Choice.",
		.type = FOREBAY_PROPERTY_STRING,
		.choices = modes,
		.default_string = "write-back",
		.online = true,
	},
	{
		.name = "pool",
		.description = "Text.",
		.type = FOREBAY_PROPERTY_STRING,
		.default_string = "",
	},
	{
		.name = "verify",
		.description = "Boolean.",
		.type = FOREBAY_PROPERTY_BOOLEAN,
		.online = true,
	},
	{0},
};

static struct properties *create(const char *text)
{
	json_t *document = text ? json_loads(text, 0, NULL) : NULL;
	struct properties *set = NULL;
	struct error error = {0};

	assert_true(!text || document);
	assert_int_equal(
		properties_create(table, "test", document, &set, &error), 0);
	json_decref(document);
	return set;
}

static void refused(const char *text, const char *message)
{
	json_t *document = json_loads(text, JSON_ALLOW_NUL, NULL);
	struct properties *set = NULL;
	struct error error = {0};

	assert_non_null(document);
	assert_true(properties_create(table, "test", document, &set, &error) <
		    0);
	assert_null(set);
	assert_string_equal(error.message, message);
	json_decref(document);
}

static int64_t integer(const struct properties *set, const char *name)
{
	int64_t value = -1;

	assert_int_equal(properties_integer(set, name, &value), 0);
	return value;
}

static const char *string(const struct properties *set, const char *name)
{
	const char *value = NULL;

	assert_int_equal(properties_string(set, name, &value), 0);
	return value;
}

static void what_is_not_said_has_its_default(void **state)
{
	struct properties *set = create(NULL);
	bool verify = true;

	(void)state;
	assert_int_equal(integer(set, "iops"), 7);
	assert_int_equal(integer(set, "limit"), 1 << 30);
	assert_int_equal(integer(set, "max_dirty_age"), 60000000000);
	assert_string_equal(string(set, "mode"), "write-back");
	assert_string_equal(string(set, "pool"), "");
	assert_int_equal(properties_boolean(set, "verify", &verify), 0);
	assert_false(verify);
	properties_destroy(set);
}

static void sizes_and_durations_may_be_text_or_numbers(void **state)
{
	struct properties *text = create("{\"limit\": \"1.5GiB\","
					 " \"max_dirty_age\": \"250ms\"}");
	struct properties *number = create("{\"limit\": 1610612736,"
					   " \"max_dirty_age\": 250000000}");

	(void)state;
	assert_int_equal(integer(text, "limit"), 1610612736);
	assert_int_equal(integer(number, "limit"), 1610612736);
	assert_int_equal(integer(text, "max_dirty_age"), 250000000);
	assert_int_equal(integer(number, "max_dirty_age"), 250000000);
	properties_destroy(text);
	properties_destroy(number);
}

static void a_property_is_read_with_its_own_type_only(void **state)
{
	struct properties *set = create(NULL);
	const char *text;
	int64_t number;
	bool truth;

	(void)state;
	assert_int_equal(properties_integer(set, "mode", &number), -ENOENT);
	assert_int_equal(properties_integer(set, "verify", &number), -ENOENT);
	assert_int_equal(properties_string(set, "limit", &text), -ENOENT);
	assert_int_equal(properties_boolean(set, "iops", &truth), -ENOENT);
	assert_int_equal(properties_integer(set, "none", &number), -ENOENT);
	properties_destroy(set);
}

static void an_unknown_name_is_refused_with_the_near_one(void **state)
{
	(void)state;
	refused("{\"iop\": 5}",
		"filter test has no property 'iop': did you mean 'iops'? It "
		"knows iops, limit, max_dirty_age, mode, pool, verify");
	refused("{\"colour\": 5}",
		"filter test has no property 'colour'; it knows iops, limit, "
		"max_dirty_age, mode, pool, verify");
}

static void a_value_of_the_wrong_type_is_refused(void **state)
{
	(void)state;
	refused("{\"iops\": \"5\"}",
		"property 'iops' of filter test takes a whole number");
	refused("{\"iops\": 5.5}",
		"property 'iops' of filter test takes a whole number");
	refused("{\"limit\": \"much\"}",
		"property 'limit' of filter test takes a size such as 4096 or "
		"\"4KiB\"");
	refused("{\"max_dirty_age\": true}",
		"property 'max_dirty_age' of filter test takes a duration such "
		"as \"60s\" or nanoseconds");
	refused("{\"pool\": 1}", "property 'pool' of filter test takes text");
	refused("{\"pool\": \"a\\u0000b\"}",
		"property 'pool' of filter test takes text");
	refused("{\"verify\": 1}",
		"property 'verify' of filter test takes true or false");
	refused("[]", "the properties of filter test aren't an object");
}

static void a_value_out_of_range_is_refused_in_its_own_unit(void **state)
{
	(void)state;
	refused("{\"iops\": 1001}",
		"property 'iops' of filter test is 1001, must be at most 1000");
	refused("{\"iops\": -1}",
		"property 'iops' of filter test is -1, must be at least 0");
	refused("{\"limit\": \"4KiB\"}",
		"property 'limit' of filter test is 4KiB, must be at least "
		"1MiB");
	refused("{\"mode\": \"write-never\"}",
		"property 'mode' of filter test is 'write-never', must be one "
		"of write-back, write-through");
}

/* As an open disk does when nobody objects. */
static int change_set(struct properties **set, const json_t *change,
		      struct error *error)
{
	struct properties *next;
	int status = properties_propose(*set, change, &next, error);

	if (status < 0)
		return status;
	properties_destroy(*set);
	*set = next;
	return 0;
}

static void a_change_is_all_or_nothing(void **state)
{
	struct properties *set = create("{\"iops\": 100}");
	json_t *change =
		json_loads("{\"iops\": 200, \"mode\": \"x\"}", 0, NULL);
	struct error error = {0};

	(void)state;
	assert_int_equal(change_set(&set, change, &error), -EINVAL);
	assert_int_equal(integer(set, "iops"), 100);
	json_object_set_new(change, "mode", json_string("write-through"));
	assert_int_equal(change_set(&set, change, &error), 0);
	assert_int_equal(integer(set, "iops"), 200);
	assert_string_equal(string(set, "mode"), "write-through");
	json_decref(change);
	properties_destroy(set);
}

static void what_is_not_online_stays_while_the_disk_is_open(void **state)
{
	struct properties *set = create(NULL);
	json_t *change = json_loads("{\"pool\": \"fast\"}", 0, NULL);
	json_t *same = json_loads("{\"limit\": \"1GiB\"}", 0, NULL);
	struct error error = {0};

	(void)state;
	assert_int_equal(change_set(&set, change, &error), -EBUSY);
	assert_string_equal(error.message,
			    "property 'pool' of filter test can't change while "
			    "the disk is open: close it first");
	assert_string_equal(string(set, "pool"), "");
	assert_int_equal(change_set(&set, same, &error), 0);
	json_decref(change);
	json_decref(same);
	properties_destroy(set);
}

static void the_document_shows_values_in_base_units(void **state)
{
	struct properties *set = create("{\"limit\": \"4MiB\"}");
	json_t *document = properties_document(set);
	json_t *expected = json_loads(
		"{\"iops\": 7, \"limit\": 4194304, \"max_dirty_age\": "
		"60000000000, \"mode\": \"write-back\", \"pool\": \"\", "
		"\"verify\": false}",
		0, NULL);

	(void)state;
	assert_true(json_equal(document, expected));
	json_decref(document);
	json_decref(expected);
	properties_destroy(set);
}

static void the_description_names_type_default_and_bounds(void **state)
{
	json_t *description = properties_describe(table);
	json_t *limit = json_loads(
		"{\"name\": \"limit\", \"type\": \"size\", \"description\": "
		"\"Size.\", \"online\": false, \"default\": 1073741824, "
		"\"minimum\": 1048576, \"maximum\": 9223372036854775807}",
		0, NULL);
	json_t *mode = json_loads(
		"{\"name\": \"mode\", \"type\": \"string\", \"description\": "
		"\"Choice.\", \"online\": true, \"default\": \"write-back\", "
		"\"choices\": [\"write-back\", \"write-through\"]}",
		0, NULL);

	(void)state;
	assert_int_equal(json_array_size(description), 6);
	assert_true(json_equal(json_array_get(description, 1), limit));
	assert_true(json_equal(json_array_get(description, 3), mode));
	json_decref(description);
	json_decref(limit);
	json_decref(mode);
}

static void a_senseless_declaration_is_refused(void **state)
{
	const struct forebay_property good = table[0];
	struct forebay_property bad[3] = {good};
	struct error error = {0};

	(void)state;
	assert_int_equal(properties_check_table(table, "test", &error), 0);
	assert_int_equal(properties_check_table(NULL, "test", &error), 0);
	bad[0].default_integer = 1001;
	assert_int_equal(properties_check_table(bad, "test", &error), -EINVAL);
	bad[0] = good;
	bad[0].type = (enum forebay_property_type)9;
	assert_int_equal(properties_check_table(bad, "test", &error), -EINVAL);
	bad[0] = table[3];
	bad[0].default_string = "write-never";
	assert_int_equal(properties_check_table(bad, "test", &error), -EINVAL);
	bad[0] = good;
	bad[1] = good;
	assert_int_equal(properties_check_table(bad, "test", &error), -EINVAL);
	assert_string_equal(error.message,
			    "filter test declares property 'iops' twice");
}

static void a_long_list_of_names_is_cut(void **state)
{
	const char *const names[] = {"alpha", "beta", "gamma", "delta"};
	char text[20];

	(void)state;
	nearest_name_list(names, 4, text, sizeof(text));
	assert_string_equal(text, "alpha, beta, ...");
	assert_null(nearest_name(names, 4, "omega-omega"));
	assert_string_equal(nearest_name(names, 4, "gama"), "gamma");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_said_has_its_default),
		cmocka_unit_test(sizes_and_durations_may_be_text_or_numbers),
		cmocka_unit_test(a_property_is_read_with_its_own_type_only),
		cmocka_unit_test(an_unknown_name_is_refused_with_the_near_one),
		cmocka_unit_test(a_value_of_the_wrong_type_is_refused),
		cmocka_unit_test(
			a_value_out_of_range_is_refused_in_its_own_unit),
		cmocka_unit_test(a_change_is_all_or_nothing),
		cmocka_unit_test(
			what_is_not_online_stays_while_the_disk_is_open),
		cmocka_unit_test(the_document_shows_values_in_base_units),
		cmocka_unit_test(the_description_names_type_default_and_bounds),
		cmocka_unit_test(a_senseless_declaration_is_refused),
		cmocka_unit_test(a_long_list_of_names_is_cut),
	};

	return cmocka_run_group_tests_name("properties", tests, NULL, NULL);
}
