// SPDX-License-Identifier: Apache-2.0
/*
 * test_store.c - what every store does: the same tests against each driver.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "store.h"

struct fixture {
	struct store *store;
	char folder[32];
	char path[64];
};

static int open_mem(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = fixture;
	return store_open_mem(&fixture->store);
}

static int open_sqlite(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct error error = {0};

	*state = fixture;
	strcpy(fixture->folder, "/tmp/fbstoreXXXXXX");
	if (!mkdtemp(fixture->folder))
		return -1;
	snprintf(fixture->path, sizeof(fixture->path), "%s/store.db",
		 fixture->folder);
	return store_open_sqlite(fixture->path, &fixture->store, &error);
}

static int close_any(void **state)
{
	struct fixture *fixture = *state;
	char command[64];

	store_close(fixture->store);
	snprintf(command, sizeof(command), "rm -r %s", fixture->folder);
	if (fixture->folder[0] && system(command) != 0)
		return -1;
	free(fixture);
	return 0;
}

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->store;
}

/* One change under one compare. */
static int change_if(struct store *store, const char *key, int64_t revision,
		     const char *value)
{
	const struct store_compare compare = {key, revision};
	const struct store_change change = {key, value};
	const struct store_txn txn = {&compare, 1, &change, 1};

	return store_txn(store, &txn);
}

static int64_t revision_of(struct store *store, const char *key)
{
	_cleanup_entry_ struct store_entry entry = {0};

	return store_get(store, key, &entry) == 0 ? entry.revision : 0;
}

static void assert_value(struct store *store, const char *key,
			 const char *value)
{
	_cleanup_entry_ struct store_entry entry = {0};

	assert_int_equal(store_get(store, key, &entry), 0);
	assert_string_equal(entry.key, key);
	assert_string_equal(entry.value, value);
}

static void a_value_put_is_got(void **state)
{
	struct store *store = store_of(state);

	assert_int_equal(store_put(store, "a", "1"), 0);
	assert_value(store, "a", "1");
	assert_int_equal(store_put(store, "a", "2"), 0);
	assert_value(store, "a", "2");
}

static void a_key_that_is_not_there_is_told_so(void **state)
{
	struct store_entry entry = {0};

	assert_int_equal(store_get(store_of(state), "a", &entry), -ENOENT);
	assert_null(entry.key);
}

static void revisions_only_grow(void **state)
{
	struct store *store = store_of(state);
	int64_t first, second;

	assert_int_equal(store_put(store, "a", "1"), 0);
	first = revision_of(store, "a");
	assert_true(first > 0);
	assert_int_equal(store_put(store, "a", NULL), 0);
	assert_int_equal(store_put(store, "a", "1"), 0);
	second = revision_of(store, "a");
	assert_true(second > first);
}

static void all_changes_of_a_transaction_have_its_revision(void **state)
{
	struct store *store = store_of(state);
	const struct store_change changes[] = {{"a", "1"}, {"b", "2"}};
	const struct store_txn txn = {.changes = changes, .change_count = 2};

	assert_int_equal(store_txn(store, &txn), 0);
	assert_int_equal(revision_of(store, "a"), revision_of(store, "b"));
}

static void a_list_is_in_order_and_has_just_the_prefix(void **state)
{
	static const char *const keys[] = {"disks/b", "disks",	 "disks/a",
					   "disks0",  "pools/a", "Disks/c",
					   "disks/%", "disks/_"};
	static const char *const found[] = {"disks/%", "disks/_", "disks/a",
					    "disks/b"};
	_cleanup_list_ struct store_list list = {0};
	struct store *store = store_of(state);

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		assert_int_equal(store_put(store, keys[i], "{}"), 0);
	assert_int_equal(store_list(store, "disks/", &list), 0);
	assert_int_equal(list.count, 4);
	for (size_t i = 0; i < list.count; i++)
		assert_string_equal(list.entries[i].key, found[i]);
}

static void a_list_of_nothing_is_empty(void **state)
{
	_cleanup_list_ struct store_list list = {0};

	assert_int_equal(store_list(store_of(state), "x/", &list), 0);
	assert_int_equal(list.count, 0);
}

static void a_key_is_made_only_once(void **state)
{
	struct store *store = store_of(state);

	assert_int_equal(change_if(store, "a", 0, "1"), 0);
	assert_int_equal(change_if(store, "a", 0, "2"), -ESTALE);
	assert_value(store, "a", "1");
}

static void a_change_needs_the_revision_that_was_read(void **state)
{
	struct store *store = store_of(state);
	int64_t read;

	assert_int_equal(store_put(store, "a", "1"), 0);
	read = revision_of(store, "a");
	assert_int_equal(store_put(store, "a", "2"), 0);
	assert_int_equal(change_if(store, "a", read, "3"), -ESTALE);
	assert_int_equal(change_if(store, "a", revision_of(store, "a"), "3"),
			 0);
	assert_value(store, "a", "3");
}

static void a_deleted_key_can_be_made_again(void **state)
{
	struct store *store = store_of(state);

	assert_int_equal(store_put(store, "a", "1"), 0);
	assert_int_equal(change_if(store, "a", revision_of(store, "a"), NULL),
			 0);
	assert_int_equal(revision_of(store, "a"), 0);
	assert_int_equal(change_if(store, "a", 0, "2"), 0);
}

static void a_transaction_changes_all_or_nothing(void **state)
{
	struct store *store = store_of(state);
	const struct store_compare compares[] = {{"a", 0}, {"b", 0}};
	const struct store_change changes[] = {{"a", "1"}, {"b", "1"}};
	const struct store_txn txn = {compares, 2, changes, 2};

	assert_int_equal(store_put(store, "b", "0"), 0);
	assert_int_equal(store_txn(store, &txn), -ESTALE);
	assert_int_equal(revision_of(store, "a"), 0);
	assert_value(store, "b", "0");
}

static void a_key_over_its_limit_is_refused(void **state)
{
	char key[STORE_KEY_BYTES_MAX + 2];

	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	assert_int_equal(store_put(store_of(state), key, "1"), -E2BIG);
	key[STORE_KEY_BYTES_MAX] = '\0';
	assert_int_equal(store_put(store_of(state), key, "1"), 0);
}

static void a_value_over_its_limit_is_refused(void **state)
{
	char *value = malloc(STORE_VALUE_BYTES_MAX + 2);

	memset(value, 'v', STORE_VALUE_BYTES_MAX + 1);
	value[STORE_VALUE_BYTES_MAX + 1] = '\0';
	assert_int_equal(store_put(store_of(state), "a", value), -E2BIG);
	value[STORE_VALUE_BYTES_MAX] = '\0';
	assert_int_equal(store_put(store_of(state), "a", value), 0);
	free(value);
}

/* -- of sqlite alone ---------------------------------------------------- */

static void what_was_put_is_there_when_opened_again(void **state)
{
	struct fixture *fixture = *state;
	struct error error = {0};
	int64_t revision;

	assert_int_equal(store_put(fixture->store, "a", "1"), 0);
	revision = revision_of(fixture->store, "a");
	store_close(fixture->store);
	assert_int_equal(
		store_open_sqlite(fixture->path, &fixture->store, &error), 0);
	assert_value(fixture->store, "a", "1");
	assert_int_equal(revision_of(fixture->store, "a"), revision);
	assert_int_equal(store_put(fixture->store, "b", "1"), 0);
	assert_true(revision_of(fixture->store, "b") > revision);
}

static void a_later_layout_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct error error = {0};
	sqlite3 *database;

	store_close(fixture->store);
	fixture->store = NULL;
	sqlite3_open(fixture->path, &database);
	sqlite3_exec(database, "PRAGMA user_version = 2", NULL, NULL, NULL);
	sqlite3_close(database);
	assert_int_equal(
		store_open_sqlite(fixture->path, &fixture->store, &error),
		-EPROTO);
	assert_non_null(strstr(error.message, fixture->path));
}

static void a_file_that_is_no_store_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct error error = {0};
	FILE *file;

	store_close(fixture->store);
	fixture->store = NULL;
	file = fopen(fixture->path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("no store at all ", file);
	fclose(file);
	assert_true(store_open_sqlite(fixture->path, &fixture->store, &error) <
		    0);
	assert_non_null(strstr(error.message, fixture->path));
}

#define CONFORMANCE(name)                                            \
	{"mem: " #name, name, open_mem, close_any, NULL},            \
	{                                                            \
		"sqlite: " #name, name, open_sqlite, close_any, NULL \
	}
#define OF_SQLITE(name)                                              \
	{                                                            \
		"sqlite: " #name, name, open_sqlite, close_any, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONFORMANCE(a_value_put_is_got),
		CONFORMANCE(a_key_that_is_not_there_is_told_so),
		CONFORMANCE(revisions_only_grow),
		CONFORMANCE(all_changes_of_a_transaction_have_its_revision),
		CONFORMANCE(a_list_is_in_order_and_has_just_the_prefix),
		CONFORMANCE(a_list_of_nothing_is_empty),
		CONFORMANCE(a_key_is_made_only_once),
		CONFORMANCE(a_change_needs_the_revision_that_was_read),
		CONFORMANCE(a_deleted_key_can_be_made_again),
		CONFORMANCE(a_transaction_changes_all_or_nothing),
		CONFORMANCE(a_key_over_its_limit_is_refused),
		CONFORMANCE(a_value_over_its_limit_is_refused),
		OF_SQLITE(what_was_put_is_there_when_opened_again),
		OF_SQLITE(a_later_layout_is_refused),
		OF_SQLITE(a_file_that_is_no_store_is_refused),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
