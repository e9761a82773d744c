// SPDX-License-Identifier: Apache-2.0
/*
 * test_cache.c - the cache filter in a real pipeline, over an image file, with
 * forebay-cached as the process that it is.
 *
 *   test_cache CACHE_SO FOREBAY_CACHED
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "loop.h"
#include "pipeline.h"

#define DISK_BYTES (UINT64_C(32) << 20)
#define BLOCK 4096u
#define BATCH 64u
#define PATH_BYTES 128u

static char *cache_library;
static char *cached_program;

struct scene {
	char root[32];
	char image[PATH_BYTES];
	char uri[PATH_BYTES + 8];
	char pool[PATH_BYTES];
	char config[PATH_BYTES];
	char socket[PATH_BYTES];
	char control[PATH_BYTES];
	pid_t daemon;
	struct loop *loop;
	struct loop_timer watchdog;
	struct pipeline *pipeline;
	json_t *properties;
	struct pipeline_filter_spec filter;
	struct pipeline_open_request opening;
	bool ended;
	int status;
	struct error error;
	unsigned int pending;
	int first_failure;
	uint8_t *memory; /* BATCH blocks */
	struct iovec iov[BATCH];
};

static void on_watchdog(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("waited for something that never came");
}

static void run(struct scene *scene)
{
	loop_timer_arm(scene->loop, &scene->watchdog, 60 * NS_PER_SECOND);
	assert_int_equal(loop_run(scene->loop), 0);
	loop_timer_cancel(scene->loop, &scene->watchdog);
}

static void daemon_start(struct scene *scene)
{
	pid_t parent = getpid();

	scene->daemon = fork();
	assert_true(scene->daemon >= 0);
	if (scene->daemon > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	dup2(2, 1);
	execl(cached_program, "forebay-cached", "--config", scene->config,
	      "--socket", scene->socket, "--control-socket", scene->control,
	      NULL);
	_exit(127);
}

static void daemon_kill(struct scene *scene)
{
	if (scene->daemon <= 0)
		return;
	kill(scene->daemon, SIGKILL);
	waitpid(scene->daemon, NULL, 0);
	scene->daemon = 0;
}

static void on_opened(struct pipeline_open_request *request, int status,
		      struct pipeline *pipeline, const struct error *error)
{
	struct scene *scene = request->owner;

	scene->pipeline = pipeline;
	scene->status = status;
	if (status < 0)
		scene->error = *error;
	scene->ended = true;
	loop_stop(scene->loop);
}

static void open_start(struct scene *scene)
{
	scene->filter = (struct pipeline_filter_spec){
		.name = "cache",
		.library = cache_library,
		.properties = scene->properties,
		.daemon_socket = scene->socket,
	};
	scene->opening = (struct pipeline_open_request){
		.uuid = {0xaa, 0xaa},
		.name = "web-1",
		.backend_uri = scene->uri,
		.size_bytes = DISK_BYTES,
		.filters = &scene->filter,
		.filter_count = 1,
		.lock_timeout_ns = 30 * NS_PER_SECOND,
		.done = on_opened,
		.owner = scene,
	};
	scene->ended = false;
	pipeline_open(scene->loop, &scene->opening);
}

static int open_disk(struct scene *scene)
{
	open_start(scene);
	while (!scene->ended)
		run(scene);
	return scene->status;
}

static void on_ended(void *context, int status)
{
	struct scene *scene = context;

	scene->status = status;
	scene->ended = true;
	loop_stop(scene->loop);
}

static int close_disk(struct scene *scene)
{
	struct pipeline *pipeline = scene->pipeline;

	scene->ended = false;
	scene->pipeline = NULL;
	pipeline_close(pipeline, on_ended, scene);
	while (!scene->ended)
		run(scene);
	return scene->status;
}

static int act(struct scene *scene, const char *action)
{
	scene->ended = false;
	pipeline_action(scene->pipeline, "cache", action, on_ended, scene);
	while (!scene->ended)
		run(scene);
	return scene->status;
}

static void on_done(struct pipeline_request *request, int status)
{
	struct scene *scene = request->owner;

	if (status < 0 && scene->first_failure == 0)
		scene->first_failure = status;
	pipeline_request_put(scene->pipeline, request);
	if (--scene->pending == 0)
		loop_stop(scene->loop);
}

static void submit(struct scene *scene, enum forebay_operation operation,
		   uint64_t block, unsigned int slot)
{
	struct pipeline_request *request =
		pipeline_request_get(scene->pipeline);

	assert_non_null(request);
	request->operation = operation;
	request->flags = 0;
	request->offset = operation == FOREBAY_FLUSH ? 0 : block * BLOCK;
	request->length = operation == FOREBAY_FLUSH ? 0 : BLOCK;
	request->iov = operation == FOREBAY_FLUSH ? NULL : &scene->iov[slot];
	request->iov_count = operation == FOREBAY_FLUSH ? 0 : 1;
	request->done = on_done;
	request->owner = scene;
	scene->pending++;
	pipeline_submit(scene->pipeline, request);
}

static int finish(struct scene *scene)
{
	int status;

	while (scene->pending > 0)
		run(scene);
	status = scene->first_failure;
	scene->first_failure = 0;
	return status;
}

/* Each block is filled with a value of its own. */
static int write_blocks(struct scene *scene, uint64_t first, uint8_t value)
{
	for (unsigned int i = 0; i < BATCH; i++) {
		memset(scene->memory + (size_t)i * BLOCK, value + (int)i,
		       BLOCK);
		submit(scene, FOREBAY_WRITE, first + i, i);
	}
	return finish(scene);
}

static int flush(struct scene *scene)
{
	submit(scene, FOREBAY_FLUSH, 0, 0);
	return finish(scene);
}

static void blocks_are(struct scene *scene, uint64_t first, uint8_t value)
{
	memset(scene->memory, 0x5a, (size_t)BATCH * BLOCK);
	for (unsigned int i = 0; i < BATCH; i++)
		submit(scene, FOREBAY_READ, first + i, i);
	assert_int_equal(finish(scene), 0);
	for (unsigned int i = 0; i < BATCH; i++)
		for (unsigned int at = 0; at < BLOCK; at++)
			assert_int_equal(scene->memory[(size_t)i * BLOCK + at],
					 (uint8_t)(value + i));
}

/* What the image holds, read past every cache. */
static uint8_t image_byte(struct scene *scene, uint64_t block)
{
	_cleanup_fd_ int fd = open(scene->image, O_RDONLY);
	uint8_t byte = 0;

	assert_int_equal(pread(fd, &byte, 1, (off_t)(block * BLOCK)), 1);
	return byte;
}

static json_t *cache_status(struct scene *scene, json_t **ret_stats)
{
	json_t *filter;

	*ret_stats = pipeline_stats(scene->pipeline);
	filter = json_array_get(json_object_get(*ret_stats, "filters"), 0);
	return json_object_get(filter, "status");
}

static int64_t cache_number(struct scene *scene, const char *name)
{
	json_t *stats;
	json_t *value = json_object_get(cache_status(scene, &stats), name);
	int64_t number;

	assert_true(json_is_integer(value));
	number = json_integer_value(value);
	json_decref(stats);
	return number;
}

static void image_make(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_CREAT | O_RDWR, 0600);

	assert_int_equal(ftruncate(fd, (off_t)DISK_BYTES), 0);
}

static void config_write(const struct scene *scene)
{
	json_t *config = json_pack("{s:[{s:s, s:[s]}]}", "pools", "name",
				   "fast", "paths", scene->pool);

	assert_int_equal(json_dump_file(config, scene->config, 0), 0);
	json_decref(config);
}

static void memory_prepare(struct scene *scene)
{
	scene->memory = aligned_alloc(BLOCK, (size_t)BATCH * BLOCK);
	assert_non_null(scene->memory);
	for (unsigned int i = 0; i < BATCH; i++)
		scene->iov[i] = (struct iovec){
			.iov_base = scene->memory + (size_t)i * BLOCK,
			.iov_len = BLOCK,
		};
}

static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	snprintf(scene->root, sizeof(scene->root), "/tmp/fbXXXXXX");
	assert_non_null(mkdtemp(scene->root));
	snprintf(scene->image, PATH_BYTES, "%s/image", scene->root);
	snprintf(scene->uri, sizeof(scene->uri), "file:%s", scene->image);
	snprintf(scene->pool, PATH_BYTES, "%s/ssd", scene->root);
	snprintf(scene->config, PATH_BYTES, "%s/cached.json", scene->root);
	snprintf(scene->socket, PATH_BYTES, "%s/cached.sock", scene->root);
	snprintf(scene->control, PATH_BYTES, "%s/control.sock", scene->root);
	mkdir(scene->pool, 0700);
	image_make(scene->image);
	config_write(scene);
	memory_prepare(scene);
	scene->properties = json_pack("{s:s, s:s}", "limit", "64MiB",
				      "max_dirty_age", "1h");
	scene->watchdog.expired = on_watchdog;
	assert_int_equal(loop_create(&scene->loop), 0);
	daemon_start(scene);
	*state = scene;
	return 0;
}

static int remove_entry(const char *path, const struct stat *stat, int type,
			struct FTW *where)
{
	(void)stat;
	(void)type;
	(void)where;
	return remove(path);
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	if (scene->pipeline)
		close_disk(scene);
	daemon_kill(scene);
	loop_destroy(scene->loop);
	nftw(scene->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	json_decref(scene->properties);
	free(scene->memory);
	free(scene);
	return 0;
}

static void opens(struct scene *scene)
{
	if (open_disk(scene) < 0)
		fail_msg("%s", scene->error.message);
}

static void writes_stay_on_the_ssd_until_they_are_flushed_down(void **state)
{
	struct scene *scene = *state;

	opens(scene);
	assert_int_equal(write_blocks(scene, 100, 1), 0);
	assert_int_equal(flush(scene), 0);
	blocks_are(scene, 100, 1);
	assert_int_equal(image_byte(scene, 100), 0);
	assert_int_equal(cache_number(scene, "dirty_bytes"), BATCH * BLOCK);
	assert_int_equal(act(scene, "flush"), 0);
	assert_int_equal(image_byte(scene, 100), 1);
	assert_int_equal(image_byte(scene, 163), 64);
	assert_int_equal(cache_number(scene, "dirty_bytes"), 0);
	blocks_are(scene, 100, 1);
	assert_int_equal(act(scene, "dance"), -ENOTSUP);
}

/* Says that a range will be read. */
static void hint(struct scene *scene, uint64_t offset, uint64_t length)
{
	struct pipeline_request *request =
		pipeline_request_get(scene->pipeline);

	*request = (struct pipeline_request){
		.operation = FOREBAY_CACHE,
		.offset = offset,
		.length = length,
		.done = on_done,
		.owner = scene,
	};
	scene->pending++;
	pipeline_submit(scene->pipeline, request);
}

/* Asks for the extents of @count blocks. */
static void ask(struct scene *scene, uint64_t block, uint64_t count,
		struct forebay_extents *extents)
{
	struct pipeline_request *request =
		pipeline_request_get(scene->pipeline);

	*request = (struct pipeline_request){
		.operation = FOREBAY_EXTENTS,
		.offset = block * BLOCK,
		.length = count * BLOCK,
		.extents = extents,
		.done = on_done,
		.owner = scene,
	};
	extents->count = 0;
	scene->pending++;
	pipeline_submit(scene->pipeline, request);
	assert_int_equal(finish(scene), 0);
}

static void extent_is(const struct forebay_extents *extents, unsigned int i,
		      uint64_t blocks, uint32_t flags)
{
	assert_true(i < extents->count);
	assert_int_equal(extents->list[i].length, blocks * BLOCK);
	assert_int_equal(extents->list[i].flags, flags);
}

static void what_is_dirty_is_no_hole_although_the_image_has_one(void **state)
{
	struct scene *scene = *state;
	const uint32_t hole = FOREBAY_EXTENT_HOLE | FOREBAY_EXTENT_ZERO;
	struct forebay_extent list[FOREBAY_EXTENTS_MIN];
	struct forebay_extents extents = {list, FOREBAY_EXTENTS_MIN, 0};

	opens(scene);
	ask(scene, 0, DISK_BYTES / BLOCK, &extents);
	assert_int_equal(extents.count, 1);
	extent_is(&extents, 0, DISK_BYTES / BLOCK, hole);
	assert_int_equal(write_blocks(scene, 128, 1), 0);
	ask(scene, 0, DISK_BYTES / BLOCK, &extents);
	assert_int_equal(extents.count, 3);
	extent_is(&extents, 0, 128, hole);
	extent_is(&extents, 1, BATCH, FOREBAY_EXTENT_DIRTY);
	assert_int_equal(extents.capacity, FOREBAY_EXTENTS_MIN);
	/* Below it is data like any other. */
	assert_int_equal(act(scene, "flush"), 0);
	ask(scene, 0, DISK_BYTES / BLOCK, &extents);
	assert_int_equal(extents.count, 3);
	extent_is(&extents, 1, BATCH, 0);
	extent_is(&extents, 2, DISK_BYTES / BLOCK - 128 - BATCH, hole);
	/* And dirty again: a part of it. */
	submit(scene, FOREBAY_WRITE, 130, 0);
	assert_int_equal(finish(scene), 0);
	ask(scene, 128, 8, &extents);
	assert_int_equal(extents.count, 3);
	extent_is(&extents, 0, 2, 0);
	extent_is(&extents, 1, 1, FOREBAY_EXTENT_DIRTY);
	extent_is(&extents, 2, 5, 0);
}

/* The log gets its segments one after the other when the disk is open. */
static void wait_for_room(struct scene *scene)
{
	while (cache_number(scene, "capacity_bytes") < INT64_C(60) << 20)
		assert_int_equal(act(scene, "flush"), 0);
}

static void a_hint_brings_a_range_into_the_cache(void **state)
{
	struct scene *scene = *state;
	const uint64_t bytes = 4u << 20;

	opens(scene);
	wait_for_room(scene);
	/* Not aligned to anything but sectors, and longer than is read. */
	hint(scene, 512, DISK_BYTES - 512);
	hint(scene, DISK_BYTES - bytes, bytes);
	assert_int_equal(finish(scene), 0);
	/* A piece that the engine has no room for is rare. */
	assert_in_range(cache_number(scene, "cached_bytes"), DISK_BYTES / 2,
			DISK_BYTES);
	assert_int_equal(cache_number(scene, "dirty_bytes"), 0);
	/* Whatever they brought, a write is seen by reads after it. */
	assert_int_equal(write_blocks(scene, 64, 7), 0);
	hint(scene, 64 * BLOCK, BATCH * BLOCK);
	assert_int_equal(finish(scene), 0);
	blocks_are(scene, 64, 7);
}

static void nothing_aligned_is_ever_copied(void **state)
{
	struct scene *scene = *state;
	json_t *stats;

	opens(scene);
	assert_int_equal(write_blocks(scene, 0, 9), 0);
	blocks_are(scene, 0, 9);
	for (unsigned int i = 0; i < 3; i++)
		submit(scene, FOREBAY_READ, 5000, 0);
	assert_int_equal(finish(scene), 0);
	assert_int_equal(act(scene, "flush"), 0);
	stats = pipeline_stats(scene->pipeline);
	assert_int_equal(
		json_integer_value(json_object_get(stats, "copied_bytes")), 0);
	json_decref(stats);
}

static void dirty_data_is_there_again_after_a_close(void **state)
{
	struct scene *scene = *state;

	opens(scene);
	assert_int_equal(write_blocks(scene, 7, 3), 0);
	assert_int_equal(close_disk(scene), 0);
	assert_int_equal(image_byte(scene, 7), 0);
	opens(scene);
	blocks_are(scene, 7, 3);
	assert_int_equal(cache_number(scene, "dirty_bytes"), BATCH * BLOCK);
}

/* In a child of the test: writes, tells the parent, then more and more. */
static void victim(struct scene *scene, int pipe_fd)
{
	/* The parent's ring is not ours to use. */
	if (loop_create(&scene->loop) < 0 || open_disk(scene) < 0 ||
	    write_blocks(scene, 300, 50) < 0 || write(pipe_fd, "w", 1) != 1)
		_exit(1);
	for (uint64_t round = 0;; round++)
		write_blocks(scene, 1000 + round % 60 * BATCH, (uint8_t)round);
}

static void acknowledged_writes_survive_kill_9(void **state)
{
	struct scene *scene = *state;

	for (unsigned int round = 0; round < 3; round++) {
		int ends[2];
		char byte;
		pid_t child;

		assert_int_equal(pipe(ends), 0);
		child = fork();
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			victim(scene, ends[1]);
		}
		close(ends[1]);
		assert_int_equal(read(ends[0], &byte, 1), 1);
		close(ends[0]);
		usleep(1000 * (round * 20));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		opens(scene);
		blocks_are(scene, 300, 50);
		assert_int_equal(close_disk(scene), 0);
	}
}

static void the_death_of_the_daemon_is_not_noticed_by_io(void **state)
{
	struct scene *scene = *state;

	opens(scene);
	assert_int_equal(write_blocks(scene, 0, 1), 0);
	daemon_kill(scene);
	blocks_are(scene, 0, 1);
	assert_int_equal(write_blocks(scene, 500, 2), 0);
	assert_int_equal(flush(scene), 0);
	daemon_start(scene);
	blocks_are(scene, 500, 2);
	assert_int_equal(act(scene, "flush"), 0);
	assert_int_equal(close_disk(scene), 0);
	opens(scene);
	blocks_are(scene, 0, 1);
}

static void on_pause(struct loop_timer *timer)
{
	daemon_start(timer->owner);
}

static void an_open_waits_for_a_daemon_that_comes_late(void **state)
{
	struct scene *scene = *state;
	struct loop_timer pause = {.expired = on_pause, .owner = scene};

	daemon_kill(scene);
	loop_timer_arm(scene->loop, &pause, 300 * NS_PER_MS);
	opens(scene);
	assert_int_equal(write_blocks(scene, 0, 1), 0);
}

static void on_changed(void *context, const struct error *error)
{
	struct scene *scene = context;

	scene->status = error ? error->code : 0;
}

/* The cache asks nobody, so this ends at once. */
static int set_property(struct scene *scene, const char *name,
			const char *value)
{
	json_t *changes = json_pack("{s:{s:s}}", "cache", name, value);

	scene->status = 1;
	pipeline_set_properties(scene->pipeline, changes, on_changed, scene);
	json_decref(changes);
	return scene->status;
}

static void a_mode_can_change_while_the_disk_is_used(void **state)
{
	struct scene *scene = *state;

	opens(scene);
	assert_int_equal(write_blocks(scene, 0, 1), 0);
	assert_int_equal(image_byte(scene, 0), 0);
	assert_int_equal(set_property(scene, "mode", "write-through"), 0);
	assert_int_equal(write_blocks(scene, 1000, 7), 0);
	assert_int_equal(image_byte(scene, 1000), 7);
	blocks_are(scene, 0, 1);
	assert_true(set_property(scene, "pool", "slow") < 0);
}

static void says(const struct scene *scene, const char *word)
{
	if (!strstr(scene->error.message, word))
		fail_msg("'%s' doesn't say '%s'", scene->error.message, word);
}

static void a_pool_too_small_fails_the_open_in_words(void **state)
{
	struct scene *scene = *state;

	json_object_set_new(scene->properties, "limit", json_string("8TiB"));
	json_object_set_new(scene->properties, "reservation",
			    json_string("8TiB"));
	assert_int_equal(open_disk(scene), -ENOSPC);
	says(scene, scene->pool);
	says(scene, "reservation");
	json_object_set_new(scene->properties, "reservation", json_string("0"));
	json_object_set_new(scene->properties, "pool", json_string("slow"));
	assert_int_equal(open_disk(scene), -ENOENT);
	says(scene, "slow");
	json_object_set_new(scene->properties, "limit", json_string("64MiB"));
	json_object_set_new(scene->properties, "pool", json_string("fast"));
	opens(scene);
}

/* Writes junk over the first @bytes of the cache file. */
static void cache_file_damage(struct scene *scene, size_t bytes)
{
	char path[2 * PATH_BYTES];
	uint8_t *junk = malloc(bytes);
	int fd;

	snprintf(path, sizeof(path),
		 "%s/forebay/aaaa0000-0000-0000-0000-000000000000.cache",
		 scene->pool);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	memset(junk, 0x6b, bytes);
	assert_int_equal(pwrite(fd, junk, bytes, 0), bytes);
	close(fd);
	free(junk);
}

static void a_corrupt_cache_file_is_refused_in_words(void **state)
{
	struct scene *scene = *state;

	opens(scene);
	assert_int_equal(write_blocks(scene, 0, 1), 0);
	assert_int_equal(close_disk(scene), 0);
	cache_file_damage(scene, 128 << 10);
	assert_true(open_disk(scene) < 0);
	says(scene, "web-1");
	assert_null(strchr(scene->error.message, '\n'));
}

static void a_file_killed_before_its_first_superblock_is_fresh(void **state)
{
	struct scene *scene = *state;
	char path[2 * PATH_BYTES];
	int fd;

	snprintf(path, sizeof(path), "%s/forebay", scene->pool);
	while (access(path, F_OK) < 0)
		usleep(1000);
	snprintf(path, sizeof(path),
		 "%s/forebay/aaaa0000-0000-0000-0000-000000000000.cache",
		 scene->pool);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(posix_fallocate(fd, 0, 64 << 20), 0);
	close(fd);
	opens(scene);
	assert_int_equal(write_blocks(scene, 0, 1), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(writes_stay_on_the_ssd_until_they_are_flushed_down),
		TEST(what_is_dirty_is_no_hole_although_the_image_has_one),
		TEST(a_hint_brings_a_range_into_the_cache),
		TEST(nothing_aligned_is_ever_copied),
		TEST(dirty_data_is_there_again_after_a_close),
		TEST(acknowledged_writes_survive_kill_9),
		TEST(the_death_of_the_daemon_is_not_noticed_by_io),
		TEST(an_open_waits_for_a_daemon_that_comes_late),
		TEST(a_mode_can_change_while_the_disk_is_used),
		TEST(a_pool_too_small_fails_the_open_in_words),
		TEST(a_corrupt_cache_file_is_refused_in_words),
		TEST(a_file_killed_before_its_first_superblock_is_fresh),
	};

	int failures;

	if (argc != 3)
		return 2;
	cache_library = realpath(argv[1], NULL);
	cached_program = realpath(argv[2], NULL);
	if (!cache_library || !cached_program)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	failures = cmocka_run_group_tests_name("cache", tests, NULL, NULL);
	free(cache_library);
	free(cached_program);
	return failures;
}
