// SPDX-License-Identifier: Apache-2.0
/* test_archive.c - an archive is read as it was written, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive_head.h"
#include "bundle_scene.h"

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

static struct bundle_span whole(void)
{
	return (struct bundle_span){scene.archive, scene.bytes};
}

static void what_was_written_is_read(void **state)
{
	struct bundle_span contents[BUNDLE_FILES_MAX];
	struct bundle_refusal refusal;
	struct bundle_head head;
	struct manifest manifest;

	(void)state;
	scene_write(&scene, true);
	assert_int_equal(scene_read(&scene, whole(), &refusal), 0);
	assert_int_equal(bundle_read_head(whole(), &head, &refusal), 0);
	assert_int_equal(head.manifest.count, strlen(scene.text));
	assert_memory_equal(head.manifest.bytes, scene.text,
			    head.manifest.count);
	assert_int_equal(manifest_parse(head.manifest, &manifest, &refusal), 0);
	assert_int_equal(bundle_read_files(whole(), &head, &manifest, contents,
					   &refusal),
			 0);
	assert_int_equal(manifest.file_count, 2);
	assert_string_equal(manifest.files[1].path, "docs/null.md");
	assert_memory_equal(contents[1].bytes, "# null\n", 7);
	manifest_release(&manifest);
}

static void no_byte_of_a_signed_archive_can_be_another(void **state)
{
	struct bundle_refusal refusal;

	(void)state;
	scene_write(&scene, true);
	for (size_t i = 0; i < scene.bytes; i++) {
		uint8_t bit = (uint8_t)(1u << i % 8);

		scene.archive[i] ^= bit;
		if (scene_read(&scene, whole(), &refusal) != -EBADMSG)
			fail_msg("byte %zu", i);
		scene.archive[i] ^= bit;
	}
	assert_int_equal(scene_read(&scene, whole(), &refusal), 0);
}

static void no_part_of_an_archive_is_one(void **state)
{
	struct bundle_refusal refusal;

	(void)state;
	scene_write(&scene, true);
	for (size_t count = 0; count < scene.bytes; count++) {
		/* In memory of its own, so that a sanitizer sees the end. */
		uint8_t *part = malloc(count + 1);

		assert_non_null(part);
		memcpy(part, scene.archive, count);
		assert_int_equal(scene_read(&scene,
					    (struct bundle_span){part, count},
					    &refusal),
				 -EBADMSG);
		free(part);
	}
}

static void what_stands_behind_the_end_is_refused(void **state)
{
	struct bundle_refusal refusal;
	uint8_t *more;

	(void)state;
	scene_write(&scene, true);
	more = calloc(1, scene.bytes + BUNDLE_BLOCK_BYTES);
	assert_non_null(more);
	memcpy(more, scene.archive, scene.bytes);
	assert_int_equal(
		scene_read(&scene,
			   (struct bundle_span){
				   more, scene.bytes + BUNDLE_BLOCK_BYTES},
			   &refusal),
		-EBADMSG);
	assert_int_equal(refusal.issue, BUNDLE_UNEXPECTED_FILE);
	free(more);
}

static void an_unsigned_archive_says_so(void **state)
{
	struct bundle_refusal refusal;

	(void)state;
	scene_write(&scene, false);
	assert_int_equal(scene_read(&scene, whole(), &refusal), -EBADMSG);
	assert_int_equal(refusal.issue, BUNDLE_UNSIGNED);
}

static void a_file_that_the_manifest_has_otherwise_is_refused(void **state)
{
	struct bundle_refusal refusal;
	json_t *file =
		json_array_get(json_object_get(scene.manifest, "files"), 1);

	(void)state;
	json_object_set_new(file, "bytes", json_integer(6));
	scene_write(&scene, true);
	assert_int_equal(scene_read(&scene, whole(), &refusal), -EBADMSG);
	assert_int_equal(refusal.issue, BUNDLE_TAMPERED);
	json_object_set_new(file, "path", json_string("docs/other.md"));
	scene_write(&scene, true);
	assert_int_equal(scene_read(&scene, whole(), &refusal), -EBADMSG);
	assert_int_equal(refusal.issue, BUNDLE_UNEXPECTED_FILE);
}

static void a_head_has_one_form(void **state)
{
	uint8_t head[BUNDLE_BLOCK_BYTES];
	uint64_t bytes;

	(void)state;
	archive_head_make("null.so", 01234567, head);
	assert_memory_equal(head, "null.so", 8);
	assert_memory_equal(head + 124, "00001234567", 12);
	assert_memory_equal(head + 257, "ustar\00000", 8);
	assert_int_equal(archive_head_read(head, "null.so", &bytes), 0);
	assert_int_equal(bytes, 01234567);
	assert_int_equal(archive_head_read(head, "null.s", &bytes), -EBADMSG);
	/* Blanks instead of zeros are another spelling of the same number. */
	memset(head + 124, ' ', 4);
	assert_int_equal(archive_head_read(head, "null.so", &bytes), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_written_is_read,
						open_scene, close_scene),
		cmocka_unit_test_setup_teardown(
			no_byte_of_a_signed_archive_can_be_another, open_scene,
			close_scene),
		cmocka_unit_test_setup_teardown(no_part_of_an_archive_is_one,
						open_scene, close_scene),
		cmocka_unit_test_setup_teardown(
			what_stands_behind_the_end_is_refused, open_scene,
			close_scene),
		cmocka_unit_test_setup_teardown(an_unsigned_archive_says_so,
						open_scene, close_scene),
		cmocka_unit_test_setup_teardown(
			a_file_that_the_manifest_has_otherwise_is_refused,
			open_scene, close_scene),
		cmocka_unit_test(a_head_has_one_form),
	};

	return cmocka_run_group_tests_name("archive", tests, NULL, NULL);
}
