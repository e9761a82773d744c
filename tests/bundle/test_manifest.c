// SPDX-License-Identifier: Apache-2.0
/* test_manifest.c - what a manifest must be, and what a library must say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_scene.h"
#include "version.h"

static struct scene scene;

static int open_scene(void **state)
{
	(void)state;
	scene_open(&scene);
	return 0;
}

static int close_scene(void **state)
{
	(void)state;
	scene_close(&scene);
	return 0;
}

static int parse(struct bundle_refusal *refusal)
{
	char *text = json_dumps(scene.manifest, 0);
	struct manifest manifest = {0};
	int status;

	assert_non_null(text);
	status = manifest_parse(
		(struct bundle_span){(const uint8_t *)text, strlen(text)},
		&manifest, refusal);
	manifest_release(&manifest);
	free(text);
	return status;
}

/* @value takes the place of @member of @object; it is refused, and undone. */
static void refused(json_t *object, const char *member, json_t *value,
		    enum bundle_issue issue)
{
	json_t *before = json_incref(json_object_get(object, member));
	struct bundle_refusal refusal = {BUNDLE_ISSUE_COUNT, ""};

	if (value)
		json_object_set_new(object, member, value);
	else
		json_object_del(object, member);
	assert_int_equal(parse(&refusal), -EBADMSG);
	if (refusal.issue != issue)
		fail_msg("%s: %s: %s", member, bundle_issue_code(refusal.issue),
			 refusal.detail);
	if (before)
		json_object_set_new(object, member, before);
	else
		json_object_del(object, member);
	assert_int_equal(parse(&refusal), 0);
}

static void a_member_that_is_wrong_or_missing_is_refused(void **state)
{
	static const char *const members[] = {
		"name",	       "version",   "class", "description",
		"abi_version", "interface", "needs", "architecture",
		"library",     "files",
	};
	json_t *manifest = scene.manifest;

	(void)state;
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
		refused(manifest, members[i], NULL, BUNDLE_BAD_MANIFEST);
	refused(manifest, "more", json_true(), BUNDLE_BAD_MANIFEST);
	refused(manifest, "format", json_integer(2), BUNDLE_BAD_MANIFEST);
	refused(manifest, "name", json_string("../null"), BUNDLE_BAD_MANIFEST);
	refused(manifest, "name", json_string("other"), BUNDLE_BAD_MANIFEST);
	refused(manifest, "version", json_string("1.0"), BUNDLE_BAD_MANIFEST);
	refused(manifest, "version", json_string("1.0.0/.."),
		BUNDLE_BAD_MANIFEST);
	refused(manifest, "library", json_string("/null.so"),
		BUNDLE_BAD_MANIFEST);
	refused(manifest, "description", json_string("two\nlines"),
		BUNDLE_BAD_MANIFEST);
	refused(manifest, "abi_version", json_integer(0), BUNDLE_BAD_MANIFEST);
	refused(json_object_get(manifest, "needs"), "keys", json_string("k"),
		BUNDLE_BAD_MANIFEST);
	refused(json_object_get(manifest, "needs"), "memory_bytes",
		json_integer(-1), BUNDLE_BAD_MANIFEST);
}

static void a_path_stays_inside(void **state)
{
	static const char *const paths[] = {
		"",
		"/null.so",
		"../null.so",
		"docs/../null.so",
		"docs/.hidden",
		"docs/a/b",
		"docs/",
		"docs",
		"other.so",
		"a b",
		"manifest.json",
	};
	char longest[83] = "docs/";
	json_t *file =
		json_array_get(json_object_get(scene.manifest, "files"), 1);

	(void)state;
	memset(longest + 5, 'a', sizeof(longest) - 6);
	refused(file, "path", json_string(longest), BUNDLE_UNEXPECTED_FILE);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		refused(file, "path", json_string(paths[i]),
			BUNDLE_UNEXPECTED_FILE);
	refused(file, "path", json_string("null.so"), BUNDLE_BAD_MANIFEST);
	refused(file, "sha256", json_string("00"), BUNDLE_BAD_MANIFEST);
	refused(file, "mode", json_string("04755"), BUNDLE_BAD_MANIFEST);
}

static void sizes_and_counts_have_limits(void **state)
{
	json_t *files = json_object_get(scene.manifest, "files");
	json_t *many = json_array();

	(void)state;
	refused(json_array_get(files, 1), "bytes",
		json_integer(BUNDLE_FILE_BYTES_MAX), BUNDLE_TOO_LARGE);
	refused(json_array_get(files, 1), "bytes",
		json_integer((json_int_t)INT64_MAX), BUNDLE_TOO_LARGE);
	for (unsigned int i = 0; i <= BUNDLE_FILES_MAX; i++)
		json_array_append(many, json_array_get(files, 0));
	refused(scene.manifest, "files", many, BUNDLE_TOO_LARGE);
}

static void a_manifest_has_a_largest_size(void **state)
{
	char *text = malloc(BUNDLE_MANIFEST_BYTES_MAX + 1);
	struct bundle_refusal refusal;
	struct manifest manifest;

	(void)state;
	assert_non_null(text);
	memset(text, ' ', BUNDLE_MANIFEST_BYTES_MAX + 1);
	assert_int_equal(
		manifest_parse(
			(struct bundle_span){(uint8_t *)text,
					     BUNDLE_MANIFEST_BYTES_MAX + 1},
			&manifest, &refusal),
		-EBADMSG);
	assert_int_equal(refusal.issue, BUNDLE_TOO_LARGE);
	assert_int_equal(
		manifest_parse((struct bundle_span){(uint8_t *)text,
						    BUNDLE_MANIFEST_BYTES_MAX},
			       &manifest, &refusal),
		-EBADMSG);
	assert_int_equal(refusal.issue, BUNDLE_BAD_MANIFEST);
	free(text);
}

static void a_library_must_say_what_its_manifest_says(void **state)
{
	static const struct {
		const char *member;
		const char *value;
		enum bundle_issue issue;
	} lies[] = {
		{"name", "\"other\"", BUNDLE_NAME_MISMATCH},
		{"class", "\"cache\"", BUNDLE_WRONG_CLASS},
		{"abi_version", "2", BUNDLE_WRONG_ABI},
		{"version", "\"1.0.1\"", BUNDLE_DESCRIPTION_MISMATCH},
		{"operations", "[\"write\"]", BUNDLE_DESCRIPTION_MISMATCH},
		{"properties", "[{}]", BUNDLE_DESCRIPTION_MISMATCH},
		{"properties", "{}", BUNDLE_DESCRIPTION_MISMATCH},
		{"description", "\"More.\"", BUNDLE_DESCRIPTION_MISMATCH},
	};
	char *text = json_dumps(scene.manifest, 0);
	json_t *description = json_deep_copy(scene.manifest);
	json_t *interface = json_object_get(description, "interface");
	struct bundle_refusal refusal;
	struct manifest manifest;

	(void)state;
	json_object_update(description, interface);
	/* What another version of Forebay would say. */
	json_object_set_new(description, "events", json_array());
	assert_int_equal(manifest_parse((struct bundle_span){(uint8_t *)text,
							     strlen(text)},
					&manifest, &refusal),
			 0);
	assert_int_equal(
		manifest_check_description(&manifest, description, &refusal),
		0);
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		json_t *before = json_incref(
			json_object_get(description, lies[i].member));

		json_object_set_new(
			description, lies[i].member,
			json_loads(lies[i].value, JSON_DECODE_ANY, NULL));
		assert_int_equal(manifest_check_description(
					 &manifest, description, &refusal),
				 -EBADMSG);
		assert_int_equal(refusal.issue, lies[i].issue);
		json_object_set_new(description, lies[i].member, before);
	}
	json_decref(description);
	manifest_release(&manifest);
	free(text);
}

static void check_order(const char *const *ascending, size_t i, size_t j)
{
	int order = version_compare(ascending[i], ascending[j]);

	if ((order > 0) != (i > j) || (order < 0) != (i < j))
		fail_msg("%s, %s: %d", ascending[i], ascending[j], order);
}

static void versions_are_in_the_order_of_their_numbers(void **state)
{
	static const char *const ascending[] = {
		"0.0.1",	"0.0.2",
		"0.1.0",	"0.9.0",
		"0.10.0",	"1.0.0-1",
		"1.0.0-2",	"1.0.0-10",
		"1.0.0-alpha",	"1.0.0-beta",
		"1.0.0-beta.1", "1.0.0-beta.x",
		"1.0.0-rc-1",	"1.0.0",
		"1.0.10",	"18446744073709551616.0.0",
	};
	const size_t count = sizeof(ascending) / sizeof(*ascending);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		assert_true(version_valid(ascending[i]));
		for (size_t j = 0; j < count; j++)
			check_order(ascending, i, j);
	}
}

static void what_is_no_version_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",	   "1",	     "1.0",	   "1.0.0.0",
		"01.0.0",  "1.0.0-", "1.0.0-a..b", "1.0.0-01",
		"1.0.0+b", "v1.0.0", "1.0.0 ",	   "1.0.0-/",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		if (version_valid(wrong[i]))
			fail_msg("'%s'", wrong[i]);
	}
}

static void every_issue_has_its_words(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < BUNDLE_ISSUE_COUNT; i++) {
		enum bundle_issue issue = (enum bundle_issue)i, found;

		assert_int_equal(
			bundle_issue_find(bundle_issue_code(issue), &found), 0);
		assert_int_equal(found, issue);
		assert_true(bundle_issue_title(issue)[0] != '\0');
		assert_true(bundle_issue_advice(issue)[0] != '\0');
	}
}

/* The codes are promises: their page has each, with the same words. */
static void the_page_of_bundles_has_every_issue(void **state)
{
	FILE *file = fopen(BUNDLES_PAGE, "r");
	static char page[65536];
	char row[256];

	(void)state;
	assert_non_null(file);
	assert_true(fread(page, 1, sizeof(page) - 1, file) > 0);
	fclose(file);
	for (unsigned int i = 0; i < BUNDLE_ISSUE_COUNT; i++) {
		snprintf(row, sizeof(row), "\n| `%s` | %s |\n",
			 bundle_issue_code((enum bundle_issue)i),
			 bundle_issue_title((enum bundle_issue)i));
		if (!strstr(page, row))
			fail_msg("%s", row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_member_that_is_wrong_or_missing_is_refused,
			open_scene, close_scene),
		cmocka_unit_test_setup_teardown(a_path_stays_inside, open_scene,
						close_scene),
		cmocka_unit_test_setup_teardown(sizes_and_counts_have_limits,
						open_scene, close_scene),
		cmocka_unit_test(a_manifest_has_a_largest_size),
		cmocka_unit_test_setup_teardown(
			a_library_must_say_what_its_manifest_says, open_scene,
			close_scene),
		cmocka_unit_test(versions_are_in_the_order_of_their_numbers),
		cmocka_unit_test(what_is_no_version_is_refused),
		cmocka_unit_test(every_issue_has_its_words),
		cmocka_unit_test(the_page_of_bundles_has_every_issue),
	};

	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
