// SPDX-License-Identifier: Apache-2.0
/*
 * test_pool.c - pools and cache files on real file systems.
 *
 * The small and the read-only file systems are tmpfs mounts in a namespace of
 * this process; where mounting isn't allowed those tests are skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cache_file.h"
#include "config.h"
#include "fd.h"
#include "folder.h"
#include "pool.h"

#define MIB (UINT64_C(1) << 20)
#define FILE_BYTES (64 * MIB)

static const uint8_t disk_a[UUID_BYTES] = {0xaa, 1};
static const uint8_t disk_b[UUID_BYTES] = {0xbb, 2};

struct scene {
	char root[FOLDER_BYTES];
	char one[64];
	char two[64];
	char config[64];
	struct pool_set set;
	struct error error;
};

static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	assert_int_equal(folder_make(scene->root), 0);
	snprintf(scene->one, sizeof(scene->one), "%s/one", scene->root);
	snprintf(scene->two, sizeof(scene->two), "%s/two", scene->root);
	snprintf(scene->config, sizeof(scene->config), "%s/cached.json",
		 scene->root);
	mkdir(scene->one, 0700);
	mkdir(scene->two, 0700);
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	umount2(scene->one, MNT_DETACH);
	folder_remove(scene->root);
	free(scene);
	return 0;
}

/* One pool, "ssd", with one or two directories. */
static int pools_set(struct scene *scene, const char *first, const char *second)
{
	struct pool_set before = scene->set;
	json_t *pools;
	int status;

	if (second)
		pools = json_pack("[{s:s, s:[s, s]}]", "name", "ssd", "paths",
				  first, second);
	else
		pools = json_pack("[{s:s, s:[s]}]", "name", "ssd", "paths",
				  first);
	status = pool_set_parse(pools, &scene->set, &scene->error);
	json_decref(pools);
	if (status == 0) {
		pool_set_inherit(&scene->set, &before);
		status = pool_set_join(&scene->set, &scene->error);
	}
	return status;
}

static void says(const struct scene *scene, const char *word)
{
	if (!strstr(scene->error.message, word))
		fail_msg("'%s' doesn't say '%s'", scene->error.message, word);
}

static unsigned int entries(const char *directory)
{
	struct pool_directory pool = {.pool = "ssd"};
	struct pool_space space;
	struct error error;

	snprintf(pool.path, sizeof(pool.path), "%s", directory);
	assert_int_equal(pool_directory_space(&pool, &space, &error), 0);
	return space.file_count;
}

static void a_cache_file_has_its_size_its_blocks_and_its_name(void **state)
{
	struct scene *scene = *state;
	const struct pool_directory *directory;
	struct cache_file file;
	struct stat stat;

	assert_int_equal(pools_set(scene, scene->one, NULL), 0);
	directory = &scene->set.directories[0];
	assert_int_equal(
		cache_file_make(directory, disk_a, FILE_BYTES, &scene->error),
		0);
	assert_int_equal(
		cache_file_open(directory, disk_a, &file, &scene->error), 0);
	assert_int_equal(fstat(file.fd, &stat), 0);
	assert_int_equal(file.bytes, FILE_BYTES);
	assert_in_range((uint64_t)stat.st_blocks * 512, CACHE_FILE_BYTES_BORN,
			FILE_BYTES - 1);
	assert_true(fcntl(file.fd, F_GETFL) & O_DIRECT);
	assert_false(fcntl(file.fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(stat.st_mode & 0777, 0600);
	fd_close(file.fd);
	assert_int_equal(
		pool_set_find(&scene->set, disk_a, &directory, &scene->error),
		0);
	assert_string_equal(directory->path, scene->one);
	assert_int_equal(
		pool_set_find(&scene->set, disk_b, &directory, &scene->error),
		-ENOENT);
}

static void each_open_is_a_description_of_its_own(void **state)
{
	struct scene *scene = *state;
	const struct pool_directory *directory;
	struct cache_file first;
	struct cache_file second;
	struct cache_file_info info;

	assert_int_equal(pools_set(scene, scene->one, NULL), 0);
	directory = &scene->set.directories[0];
	cache_file_make(directory, disk_a, FILE_BYTES, &scene->error);
	cache_file_open(directory, disk_a, &first, &scene->error);
	cache_file_open(directory, disk_a, &second, &scene->error);
	assert_int_equal(
		cache_file_inspect(directory, disk_a, &info, &scene->error), 0);
	assert_false(info.in_use);
	assert_int_equal(info.bytes, FILE_BYTES);
	assert_int_equal(access(info.path, F_OK), 0);
	assert_int_equal(flock(first.fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(flock(second.fd, LOCK_EX | LOCK_NB), -1);
	cache_file_inspect(directory, disk_a, &info, &scene->error);
	assert_true(info.in_use);
	assert_int_equal(cache_file_delete(directory, disk_a, &scene->error),
			 -EBUSY);
	says(scene, "close its disk");
	fd_close(first.fd);
	assert_int_equal(flock(second.fd, LOCK_EX | LOCK_NB), 0);
	fd_close(second.fd);
	assert_int_equal(cache_file_delete(directory, disk_a, &scene->error),
			 0);
	assert_int_equal(entries(scene->one), 0);
}

static void a_full_file_system_leaves_nothing_behind(void **state)
{
	struct scene *scene = *state;
	const struct pool_directory *directory;

	if (folder_mount(scene->one, "size=100m", 0) < 0)
		skip();
	assert_int_equal(pools_set(scene, scene->one, NULL), 0);
	directory = &scene->set.directories[0];
	for (uint8_t i = 0; i < 3; i++)
		assert_int_equal(cache_file_make(directory,
						 (uint8_t[UUID_BYTES]){i},
						 FILE_BYTES, &scene->error),
				 0);
	assert_int_equal(
		cache_file_make(directory, disk_a, FILE_BYTES, &scene->error),
		-ENOSPC);
	says(scene, scene->one);
	says(scene, "lower the policy's limit");
	assert_int_equal(entries(scene->one), 3);
}

static void a_file_system_without_room_joins_no_pool(void **state)
{
	struct scene *scene = *state;
	char folder[80];

	if (folder_mount(scene->one, "size=1m", 0) < 0)
		skip();
	assert_int_equal(pools_set(scene, scene->one, NULL), -ENOSPC);
	says(scene, scene->one);
	snprintf(folder, sizeof(folder), "%s/forebay", scene->one);
	assert_int_equal(access(folder, F_OK), -1);
}

static void a_read_only_file_system_joins_no_pool(void **state)
{
	struct scene *scene = *state;

	if (folder_mount(scene->one, NULL, MS_RDONLY) < 0)
		skip();
	/* The second is fine, and is left as it was found. */
	assert_int_equal(pools_set(scene, scene->two, scene->one), -EROFS);
	says(scene, scene->one);
	assert_int_equal(rmdir(scene->two), 0);
}

static void a_directory_that_was_there_and_is_gone_hides_no_disk(void **state)
{
	struct scene *scene = *state;
	const struct pool_directory *directory;
	char folder[80];
	char away[80];

	assert_int_equal(pools_set(scene, scene->one, scene->two), 0);
	cache_file_make(&scene->set.directories[1], disk_b, FILE_BYTES,
			&scene->error);
	snprintf(folder, sizeof(folder), "%s/forebay", scene->one);
	snprintf(away, sizeof(away), "%s/away", scene->one);
	assert_int_equal(rename(folder, away), 0);
	/* As after a restart without the file system mounted. */
	assert_int_equal(pool_set_join(&scene->set, &scene->error), 0);
	assert_int_equal(access(folder, F_OK), -1);
	assert_int_equal(
		pool_set_find(&scene->set, disk_a, &directory, &scene->error),
		-ENODEV);
	says(scene, folder);
	says(scene, "mount");
}

static void one_disk_in_two_places_is_refused(void **state)
{
	struct scene *scene = *state;
	const struct pool_directory *directory;

	assert_int_equal(pools_set(scene, scene->one, scene->two), 0);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(cache_file_make(&scene->set.directories[i],
						 disk_a, FILE_BYTES,
						 &scene->error),
				 0);
	assert_int_equal(
		pool_set_find(&scene->set, disk_a, &directory, &scene->error),
		-ENOTUNIQ);
	says(scene, scene->one);
	says(scene, scene->two);
}

static void a_directory_with_cache_files_stays_in_its_pool(void **state)
{
	struct scene *scene = *state;
	struct pool_set before;

	assert_int_equal(pools_set(scene, scene->one, scene->two), 0);
	cache_file_make(&scene->set.directories[1], disk_a, FILE_BYTES,
			&scene->error);
	before = scene->set;
	assert_int_equal(pools_set(scene, scene->one, NULL), 0);
	assert_int_equal(
		pool_set_check_leavers(&scene->set, &before, &scene->error),
		-EBUSY);
	says(scene, scene->two);
}

/* As free as the owner, a path, says: 5 there, less elsewhere. */
static int64_t fake_weigh(void *owner, const struct pool_directory *directory,
			  struct error *error)
{
	if (!owner)
		return error_set(error, -ENOSPC, "%s is full", directory->path);
	return strcmp(directory->path, owner) == 0 ? 5 : 2;
}

static void the_directory_with_most_space_is_chosen(void **state)
{
	struct scene *scene = *state;
	const struct pool_directory *directory;
	struct pool_wish wish = {.pool = "", .weigh = fake_weigh};

	assert_int_equal(pools_set(scene, scene->one, scene->two), 0);
	wish.owner = scene->two;
	assert_int_equal(
		pool_set_choose(&scene->set, &wish, &directory, &scene->error),
		0);
	assert_string_equal(directory->path, scene->two);
	wish.owner = NULL;
	assert_int_equal(
		pool_set_choose(&scene->set, &wish, &directory, &scene->error),
		-ENOSPC);
	says(scene, "is full");
	wish.pool = "gold";
	assert_int_equal(
		pool_set_choose(&scene->set, &wish, &directory, &scene->error),
		-ENOENT);
	says(scene, "gold");
}

static void a_file_that_its_disk_has_let_go_of_may_be_evicted(void **state)
{
	struct scene *scene = *state;
	const struct pool_directory *directory;
	struct cache_file file;
	bool needless = true;

	assert_int_equal(pools_set(scene, scene->one, NULL), 0);
	directory = &scene->set.directories[0];
	cache_file_make(directory, disk_a, FILE_BYTES, &scene->error);
	assert_int_equal(cache_file_look(directory, disk_a, &needless), 0);
	assert_false(needless);
	assert_int_equal(cache_file_evict(directory, disk_a, &scene->error),
			 -EBUSY);
	assert_int_equal(cache_file_let_go(directory, disk_a), 0);
	cache_file_look(directory, disk_a, &needless);
	assert_true(needless);
	/* Who may write to it may need it. */
	assert_int_equal(
		cache_file_open(directory, disk_a, &file, &scene->error), 0);
	assert_int_equal(cache_file_evict(directory, disk_a, &scene->error),
			 -EBUSY);
	cache_file_let_go(directory, disk_a);
	assert_int_equal(flock(file.fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(cache_file_look(directory, disk_a, &needless), -EBUSY);
	assert_int_equal(cache_file_evict(directory, disk_a, &scene->error),
			 -EBUSY);
	fd_close(file.fd);
	assert_int_equal(cache_file_evict(directory, disk_a, &scene->error), 0);
	assert_int_equal(entries(scene->one), 0);
}

/* Puts something else where the cache file of disk A belongs. */
static int open_foreign(struct scene *scene, const char *what)
{
	const struct pool_directory *directory = &scene->set.directories[0];
	char name[POOL_FILE_NAME_BYTES];
	struct cache_file file;
	char path[128];
	int status;

	pool_file_name(disk_a, name);
	snprintf(path, sizeof(path), "%s/forebay/%s", scene->one, name);
	if (strcmp(what, "link") == 0)
		assert_int_equal(symlink("/etc/passwd", path), 0);
	else if (strcmp(what, "pipe") == 0)
		assert_int_equal(mkfifo(path, 0600), 0);
	else if (strcmp(what, "folder") == 0)
		assert_int_equal(mkdir(path, 0700), 0);
	else
		assert_int_equal(fd_close(open(path, O_CREAT | O_WRONLY, 0600)),
				 -1);
	if (strcmp(what, "cut") == 0)
		assert_int_equal(truncate(path, 100000000), 0);
	status = cache_file_open(directory, disk_a, &file, &scene->error);
	says(scene, name);
	remove(path);
	return status;
}

static void what_is_no_cache_file_is_named_and_refused(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(pools_set(scene, scene->one, NULL), 0);
	assert_int_equal(open_foreign(scene, "link"), -ELOOP);
	says(scene, "symbolic link");
	assert_true(open_foreign(scene, "pipe") < 0);
	assert_true(open_foreign(scene, "folder") < 0);
	assert_int_equal(open_foreign(scene, "empty"), -EINVAL);
	assert_int_equal(open_foreign(scene, "cut"), -EINVAL);
	says(scene, "100000000");
}

static void pools_that_make_no_sense_are_refused(void **state)
{
	struct scene *scene = *state;
	static const char *const texts[] = {
		"{}",
		"[{}]",
		"[{\"name\":\"\",\"paths\":[\"/a\"]}]",
		"[{\"name\":\"p\",\"paths\":[]}]",
		"[{\"name\":\"p\",\"paths\":[\"relative\"]}]",
		"[{\"name\":\"p\",\"paths\":[\"/a\",\"/a/\"]}]",
		"[{\"name\":\"p\",\"paths\":[1]}]",
		("[{\"name\":\"p\",\"paths\":[\"/a\"]},"
		 "{\"name\":\"q\",\"paths\":[\"/a\"]}]"),
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *pools = json_loads(texts[i], 0, NULL);

		assert_non_null(pools);
		assert_int_equal(
			pool_set_parse(pools, &scene->set, &scene->error),
			-EINVAL);
		json_decref(pools);
	}
	assert_int_equal(scene->set.count, 0);
}

static void two_ways_to_one_directory_are_one_too_many(void **state)
{
	struct scene *scene = *state;

	rmdir(scene->two);
	assert_int_equal(symlink(scene->one, scene->two), 0);
	assert_int_equal(pools_set(scene, scene->one, scene->two), -EINVAL);
	says(scene, "same directory");
	unlink(scene->two);
}

static void the_pools_come_back_from_the_configuration(void **state)
{
	struct scene *scene = *state;
	struct pool_set loaded = {0};

	assert_int_equal(config_load(scene->config, &loaded, &scene->error), 0);
	assert_int_equal(loaded.count, 0);
	assert_int_equal(pools_set(scene, scene->one, scene->two), 0);
	assert_int_equal(
		config_store(scene->config, &scene->set, &scene->error), 0);
	assert_int_equal(config_load(scene->config, &loaded, &scene->error), 0);
	assert_memory_equal(&loaded, &scene->set, sizeof(loaded));
	assert_true(loaded.directories[1].joined);
}

static void a_broken_configuration_is_named(void **state)
{
	struct scene *scene = *state;
	FILE *file = fopen(scene->config, "w");

	fputs("{\"pools\": [", file);
	fclose(file);
	assert_int_equal(config_load(scene->config, &scene->set, &scene->error),
			 -EINVAL);
	says(scene, scene->config);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_cache_file_has_its_size_its_blocks_and_its_name),
		TEST(each_open_is_a_description_of_its_own),
		TEST(a_full_file_system_leaves_nothing_behind),
		TEST(a_file_system_without_room_joins_no_pool),
		TEST(a_read_only_file_system_joins_no_pool),
		TEST(a_directory_that_was_there_and_is_gone_hides_no_disk),
		TEST(one_disk_in_two_places_is_refused),
		TEST(a_directory_with_cache_files_stays_in_its_pool),
		TEST(the_directory_with_most_space_is_chosen),
		TEST(a_file_that_its_disk_has_let_go_of_may_be_evicted),
		TEST(what_is_no_cache_file_is_named_and_refused),
		TEST(pools_that_make_no_sense_are_refused),
		TEST(two_ways_to_one_directory_are_one_too_many),
		TEST(the_pools_come_back_from_the_configuration),
		TEST(a_broken_configuration_is_named),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
