// SPDX-License-Identifier: Apache-2.0
/*
 * test_file_io.c - every operation on a real image file, looked at
 * through another descriptor.
 */
#include "image_scene.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static void what_is_written_is_read_again(void **state)
{
	struct scene *scene = *state;
	struct iovec parts[3] = {
		{scene->buffer, 4096},
		{scene->buffer + 8192, 512},
		{scene->buffer + 16384, 3584},
	};
	char seen[8192];

	open_for_writing(scene);
	assert_int_equal(backend_info(scene->backend)->size_bytes, IMAGE_BYTES);
	memset(scene->buffer, 'a', 4096);
	memset(scene->buffer + 8192, 'b', 512);
	memset(scene->buffer + 16384, 'c', 3584);
	assert_int_equal(run_vectored(scene, BACKEND_WRITE, parts, 3, 12288, 0),
			 0);
	read_back(scene, seen, sizeof(seen), 12288);
	assert_true(all_are(seen, 4096, 'a'));
	assert_true(all_are(seen + 4096, 512, 'b'));
	assert_true(all_are(seen + 4608, 3584, 'c'));
	memset(scene->buffer, 0, BUFFER_BYTES);
	assert_int_equal(run_vectored(scene, BACKEND_READ, parts, 3, 12288, 0),
			 0);
	assert_true(all_are(scene->buffer, 4096, 'a'));
	assert_true(all_are(scene->buffer + 8192, 512, 'b'));
	assert_true(all_are(scene->buffer + 16384, 3584, 'c'));
}

static void a_forced_write_and_a_flush_succeed(void **state)
{
	struct scene *scene = *state;
	char seen[4096];

	open_for_writing(scene);
	memset(scene->buffer, 'f', 4096);
	assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer, 4096, 0,
				BACKEND_FUA),
			 0);
	assert_int_equal(run_vectored(scene, BACKEND_FLUSH, NULL, 0, 0, 0), 0);
	read_back(scene, seen, sizeof(seen), 0);
	assert_true(all_are(seen, sizeof(seen), 'f'));
}

static void a_tail_of_one_sector_is_read_and_written_in_place(void **state)
{
	struct scene *scene = *state;
	struct stat facts;

	resize(scene, IMAGE_BYTES + 512);
	open_for_writing(scene);
	memset(scene->buffer, 't', 512);
	assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer, 512,
				IMAGE_BYTES, 0),
			 0);
	memset(scene->buffer, 'x', 4096);
	/* A whole block of which only the first sector exists. */
	assert_int_equal(run_on(scene, BACKEND_READ, scene->buffer, 4096,
				IMAGE_BYTES, 0),
			 0);
	assert_true(all_are(scene->buffer, 512, 't'));
	assert_true(all_are(scene->buffer + 512, 3584, 0));
	assert_int_equal(stat(scene->path, &facts), 0);
	assert_int_equal(facts.st_size, IMAGE_BYTES + 512);
}

static void reads_beyond_the_end_give_zeros_and_writes_fail(void **state)
{
	struct scene *scene = *state;

	open_for_writing(scene);
	memset(scene->buffer, 'x', 4096);
	assert_int_equal(run_on(scene, BACKEND_READ, scene->buffer, 4096,
				IMAGE_BYTES + 4096, 0),
			 0);
	assert_true(all_are(scene->buffer, 4096, 0));
	assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer, 4096,
				IMAGE_BYTES - 512, 0),
			 -ENOSPC);
	assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer, 512,
				UINT64_MAX - 511, 0),
			 -ENOSPC);
}

static void an_image_that_shrinks_gives_errors_and_not_zeros(void **state)
{
	struct scene *scene = *state;

	open_for_writing(scene);
	resize(scene, IMAGE_BYTES / 2);
	assert_int_equal(run_on(scene, BACKEND_READ, scene->buffer, 8192,
				IMAGE_BYTES / 2 - 4096, 0),
			 -EIO);
}

static void memory_without_alignment_works_too(void **state)
{
	struct scene *scene = *state;
	char seen[1024];

	open_for_writing(scene);
	memset(scene->buffer, 'u', 4096);
	assert_int_equal(
		run_on(scene, BACKEND_WRITE, scene->buffer + 1, 1024, 4096, 0),
		0);
	read_back(scene, seen, sizeof(seen), 4096);
	assert_true(all_are(seen, sizeof(seen), 'u'));
	memset(scene->buffer, 0, 4096);
	assert_int_equal(
		run_on(scene, BACKEND_READ, scene->buffer + 3, 1024, 4096, 0),
		0);
	assert_true(all_are(scene->buffer + 3, 1024, 'u'));
}

static uint64_t allocated_bytes(struct scene *scene)
{
	struct stat facts;

	assert_int_equal(stat(scene->path, &facts), 0);
	return (uint64_t)facts.st_blocks * 512;
}

static void fill_image(struct scene *scene, char value)
{
	memset(scene->buffer, value, BUFFER_BYTES);
	for (uint64_t offset = 0; offset < IMAGE_BYTES; offset += BUFFER_BYTES)
		assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer,
					BUFFER_BYTES, offset, 0),
				 0);
}

static void a_discard_gives_the_space_back(void **state)
{
	struct scene *scene = *state;
	char seen[4096];

	open_for_writing(scene);
	fill_image(scene, 'd');
	assert_true(allocated_bytes(scene) >= IMAGE_BYTES);
	assert_int_equal(run_range(scene, BACKEND_DISCARD, 65536, 524288, 0),
			 0);
	assert_true(allocated_bytes(scene) <= IMAGE_BYTES - 524288 + 16384);
	read_back(scene, seen, sizeof(seen), 65536 + 524288);
	assert_true(all_are(seen, sizeof(seen), 'd'));
}

static void zeroes_read_as_zeros_and_keep_their_space_if_asked(void **state)
{
	struct scene *scene = *state;
	char seen[8192];

	open_for_writing(scene);
	fill_image(scene, 'z');
	assert_int_equal(run_range(scene, BACKEND_WRITE_ZEROES, 4096, 524288,
				   BACKEND_NO_HOLE | BACKEND_FUA),
			 0);
	assert_true(allocated_bytes(scene) >= IMAGE_BYTES);
	read_back(scene, seen, sizeof(seen), 0);
	assert_true(all_are(seen, 4096, 'z'));
	assert_true(all_are(seen + 4096, 4096, 0));
	assert_int_equal(
		run_range(scene, BACKEND_WRITE_ZEROES, 524288, 262144, 0), 0);
	read_back(scene, seen, sizeof(seen), 524288);
	assert_true(all_are(seen, 8192, 0));
	/* Parts of blocks as well. */
	assert_int_equal(run_range(scene, BACKEND_WRITE_ZEROES,
				   IMAGE_BYTES - 1024, 512, 0),
			 0);
	read_back(scene, seen, 1024, IMAGE_BYTES - 1024);
	assert_true(all_are(seen, 512, 0));
	assert_true(all_are(seen + 512, 512, 'z'));
}

static void empty_operations_complete(void **state)
{
	struct scene *scene = *state;

	open_for_writing(scene);
	assert_int_equal(run_range(scene, BACKEND_READ, 0, 0, 0), 0);
	assert_int_equal(run_range(scene, BACKEND_WRITE, 0, 0, 0), 0);
	assert_int_equal(run_range(scene, BACKEND_DISCARD, 0, 0, 0), 0);
	assert_int_equal(run_range(scene, BACKEND_WRITE_ZEROES, 0, 0, 0), 0);
}

static void a_read_only_image_refuses_writes(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(open_image(scene, true, 0), 0);
	assert_int_equal(backend_info(scene->backend)->operations,
			 1u << BACKEND_READ | 1u << BACKEND_FLUSH |
				 1u << BACKEND_EXTENTS);
	assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer, 512, 0, 0),
			 -EROFS);
	assert_int_equal(run_range(scene, BACKEND_DISCARD, 0, 4096, 0), -EROFS);
	assert_int_equal(run_on(scene, BACKEND_READ, scene->buffer, 512, 0, 0),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(what_is_written_is_read_again),
		SCENE_TEST(a_forced_write_and_a_flush_succeed),
		SCENE_TEST(a_tail_of_one_sector_is_read_and_written_in_place),
		SCENE_TEST(reads_beyond_the_end_give_zeros_and_writes_fail),
		SCENE_TEST(an_image_that_shrinks_gives_errors_and_not_zeros),
		SCENE_TEST(memory_without_alignment_works_too),
		SCENE_TEST(a_discard_gives_the_space_back),
		SCENE_TEST(zeroes_read_as_zeros_and_keep_their_space_if_asked),
		SCENE_TEST(empty_operations_complete),
		SCENE_TEST(a_read_only_image_refuses_writes),
	};

	return cmocka_run_group_tests_name("file io", tests, NULL, NULL);
}
