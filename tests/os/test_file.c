// SPDX-License-Identifier: Apache-2.0
/* test_file.c - whole files, atomically. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "unix_address.h"

struct scene {
	char directory[32];
	char path[64];
};

static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	strcpy(scene->directory, "/tmp/file-XXXXXX");
	assert_non_null(mkdtemp(scene->directory));
	snprintf(scene->path, sizeof(scene->path), "%s/f", scene->directory);
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	unlink(scene->path);
	assert_int_equal(rmdir(scene->directory), 0);
	free(scene);
	return 0;
}

static void what_is_written_is_read_with_its_mode(void **state)
{
	struct scene *scene = *state;
	struct stat facts;
	char *text;
	size_t bytes;

	assert_int_equal(
		file_write_atomically(scene->path, "one\0two", 7, 0640), 0);
	assert_int_equal(file_read(scene->path, 7, &text, &bytes), 0);
	assert_int_equal(bytes, 7);
	assert_memory_equal(text, "one\0two", 8);
	free(text);
	assert_int_equal(stat(scene->path, &facts), 0);
	assert_int_equal(facts.st_mode & 0777, 0640);
}

static void replacing_leaves_no_temporary_behind(void **state)
{
	struct scene *scene = *state;
	char *text;

	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(
			file_write_atomically(scene->path, "x", 1, 0600), 0);
	assert_int_equal(file_read(scene->path, 10, &text, NULL), 0);
	assert_string_equal(text, "x");
	free(text);
	/* scene_end() finds the directory empty. */
}

static void a_write_that_fails_keeps_the_old_file(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(mkdir(scene->path, 0700), 0);
	assert_int_equal(file_write_atomically(scene->path, "x", 1, 0600),
			 -EISDIR);
	assert_int_equal(rmdir(scene->path), 0);
	assert_int_equal(file_write_atomically("/nonexistent/f", "x", 1, 0600),
			 -ENOENT);
}

static void a_file_over_the_limit_is_refused(void **state)
{
	struct scene *scene = *state;
	char bytes[10000];
	char *text = NULL;
	size_t count;

	memset(bytes, 'b', sizeof(bytes));
	assert_int_equal(
		file_write_atomically(scene->path, bytes, sizeof(bytes), 0600),
		0);
	assert_int_equal(file_read(scene->path, sizeof(bytes) - 1, &text, NULL),
			 -EFBIG);
	assert_null(text);
	assert_int_equal(file_read(scene->path, sizeof(bytes), &text, &count),
			 0);
	assert_int_equal(count, sizeof(bytes));
	free(text);
}

static void files_of_proc_are_read_whole(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(file_read("/proc/self/maps", 1 << 20, &text, NULL), 0);
	assert_non_null(strstr(text, "[stack]"));
	free(text);
}

static void directories_are_made_with_their_parents(void **state)
{
	struct scene *scene = *state;
	char path[96];

	snprintf(path, sizeof(path), "%s/a//b/c/", scene->directory);
	assert_int_equal(file_make_directory(path, 0700), 0);
	assert_int_equal(file_make_directory(path, 0700), 0);
	for (unsigned int i = 0; i < 3; i++) {
		static const char *const made[] = {"a/b/c", "a/b", "a"};

		snprintf(path, sizeof(path), "%s/%s", scene->directory,
			 made[i]);
		assert_int_equal(rmdir(path), 0);
	}
	assert_int_equal(file_write_atomically(scene->path, "", 0, 0600), 0);
	snprintf(path, sizeof(path), "%s/sub", scene->path);
	assert_int_equal(file_make_directory(path, 0700), -ENOTDIR);
	assert_int_equal(file_make_directory("", 0700), -ENOENT);
}

static void a_socket_path_of_107_characters_fits(void **state)
{
	struct sockaddr_un address;
	char path[128];

	(void)state;
	memset(path, 'p', sizeof(path));
	path[UNIX_PATH_LENGTH_MAX + 1] = '\0';
	assert_int_equal(unix_address(path, &address), -ENAMETOOLONG);
	path[UNIX_PATH_LENGTH_MAX] = '\0';
	assert_int_equal(unix_address(path, &address), 0);
	assert_string_equal(address.sun_path, path);
	assert_int_equal(unix_address("", &address), -EINVAL);
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(what_is_written_is_read_with_its_mode),
		SCENE_TEST(replacing_leaves_no_temporary_behind),
		SCENE_TEST(a_write_that_fails_keeps_the_old_file),
		SCENE_TEST(a_file_over_the_limit_is_refused),
		SCENE_TEST(files_of_proc_are_read_whole),
		SCENE_TEST(directories_are_made_with_their_parents),
		cmocka_unit_test(a_socket_path_of_107_characters_fits),
	};

	return cmocka_run_group_tests_name("os file", tests, NULL, NULL);
}
