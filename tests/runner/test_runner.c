// SPDX-License-Identifier: Apache-2.0
/*
 * test_runner.c - the real engine on a real file, over layers below in memory.
 *
 * A "kill" frees the runner without closing it, once the I/O that was already
 * given to the kernel has ended: what the exclusive lock on the cache file
 * assures a successor of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log_format.h"
#include "loop_host.h"
#include "runner.h"

#define MIB (UINT64_C(1) << 20)
#define FILE_BYTES (64 * MIB)
#define DISK_BYTES (32 * MIB)
#define SECTOR 512u
#define BLOCK 4096u
#define REQUESTS_MAX 600u
#define SECOND_NS UINT64_C(1000000000)

struct scene {
	struct loop_host host;
	struct runner *runner;
	struct engine_config config;
	char path[32];
	int file;
	enum engine_state state;
	unsigned int failures;
	char failure[ERROR_MESSAGE_BYTES];
	unsigned int pending;
	bool closed;
	struct loop_timer watchdog;
	uint8_t *memory; /* aligned; REQUESTS_MAX blocks */
	struct engine_request requests[REQUESTS_MAX];
	struct iovec iov[REQUESTS_MAX];
};

static void on_watchdog(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the runner waits for something that never comes");
}

static void state_changed(void *owner, enum engine_state state,
			  const struct error *failure)
{
	struct scene *scene = owner;

	scene->state = state;
	if (state == ENGINE_FAILED) {
		scene->failures++;
		snprintf(scene->failure, sizeof(scene->failure), "%s",
			 failure->message);
	}
	loop_stop(scene->host.loop);
}

static void completed(void *owner, struct engine_request *request)
{
	struct scene *scene = owner;

	(void)request;
	if (--scene->pending == 0)
		loop_stop(scene->host.loop);
}

static void run(struct scene *scene)
{
	loop_timer_arm(scene->host.loop, &scene->watchdog, 60 * SECOND_NS);
	assert_int_equal(loop_run(scene->host.loop), 0);
	loop_timer_cancel(scene->host.loop, &scene->watchdog);
}

static void on_turn(struct loop_timer *timer)
{
	struct scene *scene = timer->owner;

	loop_stop(scene->host.loop);
}

/* Lets the loop do what there is to do for a moment. */
static void turn(struct scene *scene)
{
	struct loop_timer timer = {.expired = on_turn, .owner = scene};

	loop_timer_arm(scene->host.loop, &timer, 100 * 1000);
	run(scene);
	loop_timer_cancel(scene->host.loop, &timer);
}

/* Opens the cache; the state tells how that went. */
static void open_cache(struct scene *scene)
{
	struct runner_setup setup = {
		.config = scene->config,
		.file = scene->file,
		.host = &loop_runner_host,
		.context = &scene->host,
		.state_changed = state_changed,
		.completed = completed,
		.owner = scene,
	};
	struct error error;

	scene->state = ENGINE_STARTING;
	scene->failures = 0;
	if (runner_create(&setup, &scene->runner, &error) < 0)
		fail_msg("%s", error.message);
	runner_start(scene->runner);
	while (scene->state == ENGINE_STARTING)
		run(scene);
}

static void on_closed(void *context)
{
	struct scene *scene = context;

	scene->runner = NULL;
	scene->closed = true;
	loop_stop(scene->host.loop);
}

static void close_cache(struct scene *scene)
{
	scene->closed = false;
	runner_close(scene->runner, on_closed, scene);
	while (!scene->closed)
		run(scene);
}

/* The process dies, and the kernel ends the I/O that it had been given. */
static void kill_cache(struct scene *scene)
{
	scene->host.dead = true;
	do
		turn(scene);
	while (scene->host.in_flight > 0);
	loop_destroy(scene->host.loop);
	runner_destroy(scene->runner);
	scene->runner = NULL;
	scene->pending = 0;
	scene->host.dead = false;
	assert_int_equal(loop_create(&scene->host.loop), 0);
}

static struct engine_request *start(struct scene *scene, unsigned int slot,
				    enum engine_operation operation,
				    uint64_t sector, uint64_t count)
{
	struct engine_request *request = &scene->requests[slot];

	memset(request, 0, sizeof(*request));
	scene->iov[slot].iov_base = scene->memory + (size_t)slot * BLOCK;
	scene->iov[slot].iov_len = count * SECTOR;
	request->operation = operation;
	request->sector = sector;
	request->sector_count = count;
	request->iov = &scene->iov[slot];
	request->iov_count = operation == ENGINE_FLUSH ? 0 : 1;
	scene->pending++;
	runner_submit(scene->runner, request);
	return request;
}

static int do_one(struct scene *scene, enum engine_operation operation,
		  uint64_t sector, uint64_t count)
{
	struct engine_request *request =
		start(scene, 0, operation, sector, count);

	while (scene->pending > 0)
		run(scene);
	return request->status;
}

static uint8_t *data(struct scene *scene)
{
	return scene->memory;
}

static int write_bytes(struct scene *scene, uint64_t sector, uint64_t count,
		       uint8_t value)
{
	memset(data(scene), value, count * SECTOR);
	return do_one(scene, ENGINE_WRITE, sector, count);
}

static int flush(struct scene *scene)
{
	return do_one(scene, ENGINE_FLUSH, 0, 0);
}

static void reads_as(struct scene *scene, uint64_t sector, uint64_t count,
		     uint8_t value)
{
	memset(data(scene), 0x5a, count * SECTOR);
	assert_int_equal(do_one(scene, ENGINE_READ, sector, count), 0);
	for (uint64_t i = 0; i < count * SECTOR; i++)
		if (data(scene)[i] != value)
			fail_msg("sector %llu is %02x, not %02x",
				 (unsigned long long)(sector + i / SECTOR),
				 data(scene)[i], value);
}

static void on_drained(struct runner_drain *drain, int status)
{
	struct scene *scene = drain->owner;

	assert_int_equal(status, 0);
	drain->owner = NULL;
	loop_stop(scene->host.loop);
}

static void drain(struct scene *scene)
{
	struct runner_drain wish = {.done = on_drained, .owner = scene};

	runner_drain(scene->runner, &wish);
	while (wish.owner)
		run(scene);
}

static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	assert_int_equal(loop_host_init(&scene->host, DISK_BYTES), 0);
	snprintf(scene->path, sizeof(scene->path), "/tmp/fbXXXXXX");
	scene->file = mkostemp(scene->path, O_DIRECT | O_CLOEXEC);
	assert_true(scene->file >= 0);
	assert_int_equal(posix_fallocate(scene->file, 0, FILE_BYTES), 0);
	scene->memory = aligned_alloc(BLOCK, (size_t)REQUESTS_MAX * BLOCK);
	assert_non_null(scene->memory);
	scene->watchdog.expired = on_watchdog;
	scene->config = (struct engine_config){
		.uuid = {0xaa, 0xbb},
		.disk_bytes = DISK_BYTES,
		.file_bytes = FILE_BYTES,
		.epoch = 1,
		.max_dirty_age_ns = 3600 * SECOND_NS,
		.mode = ENGINE_WRITE_BACK,
		.segment_blocks = LOG_SEGMENT_BLOCKS_DEFAULT,
		.records_in_flight_max = 4,
		.dirty_limit_percent = 70,
		.may_format = true,
	};
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	if (scene->runner)
		close_cache(scene);
	close(scene->file);
	unlink(scene->path);
	loop_host_release(&scene->host);
	free(scene->memory);
	free(scene);
	return 0;
}

static void a_write_reads_back_and_nothing_went_below(void **state)
{
	struct scene *scene = *state;

	open_cache(scene);
	assert_int_equal(scene->state, ENGINE_RUNNING);
	reads_as(scene, 800, 8, 0);
	assert_int_equal(write_bytes(scene, 800, 8, 0x11), 0);
	assert_int_equal(flush(scene), 0);
	reads_as(scene, 800, 8, 0x11);
	assert_int_equal(scene->host.below_writes, 0);
	assert_int_equal(scene->host.below_flushes, 0);
}

static void what_was_acknowledged_survives_a_kill(void **state)
{
	struct scene *scene = *state;

	open_cache(scene);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(
			write_bytes(scene, i * 64, 8, (uint8_t)(i + 1)), 0);
	kill_cache(scene);
	scene->config.may_format = false;
	open_cache(scene);
	assert_int_equal(scene->state, ENGINE_RUNNING);
	for (unsigned int i = 0; i < 20; i++)
		reads_as(scene, i * 64, 8, (uint8_t)(i + 1));
	reads_as(scene, 8, 8, 0);
}

static void a_kill_in_the_middle_of_writes_loses_no_older_ones(void **state)
{
	struct scene *scene = *state;

	open_cache(scene);
	for (unsigned int round = 1; round <= 6; round++) {
		assert_int_equal(write_bytes(scene, 4096, 8, (uint8_t)round),
				 0);
		memset(data(scene), 0xee, REQUESTS_MAX * (size_t)BLOCK);
		for (unsigned int i = 0; i < 100; i++)
			start(scene, i, ENGINE_WRITE, 8000 + i * 8, 8);
		/* Let some of them reach the kernel, or all, or none. */
		for (unsigned int i = 0; i < round; i++)
			turn(scene);
		kill_cache(scene);
		open_cache(scene);
		assert_int_equal(scene->state, ENGINE_RUNNING);
		reads_as(scene, 4096, 8, (uint8_t)round);
	}
}

static void a_drain_brings_everything_below_and_flushes_it(void **state)
{
	struct scene *scene = *state;
	struct engine_stats stats;

	open_cache(scene);
	for (unsigned int i = 0; i < 50; i++)
		assert_int_equal(
			write_bytes(scene, i * 16, 8, (uint8_t)(i + 1)), 0);
	runner_stats(scene->runner, &stats);
	assert_int_equal(stats.dirty_bytes, 50 * BLOCK);
	drain(scene);
	runner_stats(scene->runner, &stats);
	assert_int_equal(stats.dirty_bytes, 0);
	loop_host_cut_power(&scene->host);
	for (unsigned int i = 0; i < 50; i++)
		assert_int_equal(scene->host.below[i * 16 * SECTOR], i + 1);
	assert_false(runner_draining(scene->runner));
}

static void on_drain_failed(struct runner_drain *drain, int status)
{
	int *ret_status = drain->owner;

	*ret_status = status;
}

static void turn_until_refused(struct scene *scene)
{
	while (runner_troubles(scene->runner).below != ENGINE_TROUBLE_REFUSING)
		turn(scene);
}

static void a_drain_that_below_refuses_for_long_ends_with_its_error(
	void **state)
{
	struct scene *scene = *state;
	int status = 1;
	struct runner_drain wish = {.done = on_drain_failed, .owner = &status};

	open_cache(scene);
	assert_int_equal(write_bytes(scene, 0, 8, 1), 0);
	scene->host.below_error = -ENOSPC;
	runner_drain(scene->runner, &wish);
	turn_until_refused(scene);
	assert_int_equal(status, 1);
	scene->host.ahead_ns = RUNNER_DRAIN_STALL_NS;
	while (status == 1)
		turn(scene);
	assert_int_equal(status, -ENOSPC);
	assert_false(runner_draining(scene->runner));
	/* The data are where they were, and the next drain has its own time. */
	status = 1;
	wish = (struct runner_drain){.done = on_drain_failed, .owner = &status};
	runner_drain(scene->runner, &wish);
	turn(scene);
	assert_int_equal(status, 1);
	scene->host.below_error = 0;
	while (status == 1)
		turn(scene);
	assert_int_equal(status, 0);
	assert_int_equal(scene->host.below[0], 1);
}

static void a_close_keeps_dirty_data_in_the_log(void **state)
{
	struct scene *scene = *state;

	open_cache(scene);
	assert_int_equal(write_bytes(scene, 0, 8, 0x77), 0);
	close_cache(scene);
	assert_int_equal(scene->host.below_writes, 0);
	scene->config.may_format = false;
	open_cache(scene);
	assert_int_equal(scene->state, ENGINE_RUNNING);
	reads_as(scene, 0, 8, 0x77);
}

static void aligned_requests_are_never_copied(void **state)
{
	struct scene *scene = *state;

	open_cache(scene);
	assert_int_equal(write_bytes(scene, 64, 8, 1), 0);
	reads_as(scene, 64, 8, 1);
	reads_as(scene, 640, 8, 0);
	reads_as(scene, 640, 8, 0);
	drain(scene);
	close_cache(scene);
	assert_int_equal(scene->host.copied_bytes, 0);
}

static void parts_of_blocks_are_merged_and_their_copies_counted(void **state)
{
	struct scene *scene = *state;

	open_cache(scene);
	memset(scene->host.below, 0x33, DISK_BYTES);
	assert_int_equal(write_bytes(scene, 65, 2, 0x44), 0);
	reads_as(scene, 64, 1, 0x33);
	reads_as(scene, 65, 2, 0x44);
	reads_as(scene, 67, 5, 0x33);
	assert_true(scene->host.copied_bytes > 0);
	drain(scene);
	assert_int_equal(scene->host.below[64 * SECTOR], 0x33);
	assert_int_equal(scene->host.below[65 * SECTOR], 0x44);
	assert_int_equal(scene->host.below[67 * SECTOR], 0x33);
}

static void more_requests_than_slots_all_complete(void **state)
{
	struct scene *scene = *state;

	open_cache(scene);
	memset(scene->host.below, 0x12, DISK_BYTES);
	for (unsigned int i = 0; i < REQUESTS_MAX; i++)
		start(scene, i, ENGINE_READ, i * 64, 8);
	while (scene->pending > 0)
		run(scene);
	for (unsigned int i = 0; i < REQUESTS_MAX; i++) {
		assert_int_equal(scene->requests[i].status, 0);
		assert_int_equal(data(scene)[i * (size_t)BLOCK], 0x12);
		memset(data(scene) + i * (size_t)BLOCK, (int)(i % 251), BLOCK);
	}
	for (unsigned int i = 0; i < REQUESTS_MAX; i++)
		start(scene, i, ENGINE_WRITE, i * 64, 8);
	while (scene->pending > 0)
		run(scene);
	for (unsigned int i = 0; i < REQUESTS_MAX; i++)
		assert_int_equal(scene->requests[i].status, 0);
	reads_as(scene, (REQUESTS_MAX - 1) * 64, 8, (REQUESTS_MAX - 1) % 251);
}

static void writes_that_arrive_together_share_records(void **state)
{
	struct scene *scene = *state;
	struct engine_stats before;
	struct engine_stats after;

	open_cache(scene);
	runner_stats(scene->runner, &before);
	for (unsigned int i = 0; i < 64; i++)
		start(scene, i, ENGINE_WRITE, i * 8, 8);
	while (scene->pending > 0)
		run(scene);
	runner_stats(scene->runner, &after);
	assert_true(after.records - before.records <= 8);
}

static void write_through_is_below_when_it_is_acknowledged(void **state)
{
	struct scene *scene = *state;

	scene->config.mode = ENGINE_WRITE_THROUGH;
	open_cache(scene);
	assert_int_equal(write_bytes(scene, 64, 8, 0x21), 0);
	assert_int_equal(scene->host.below[64 * SECTOR], 0x21);
	runner_set_mode(scene->runner, ENGINE_WRITE_AROUND);
	assert_int_equal(write_bytes(scene, 64, 8, 0x22), 0);
	assert_int_equal(scene->host.below[64 * SECTOR], 0x22);
	reads_as(scene, 64, 8, 0x22);
	assert_int_equal(flush(scene), 0);
	loop_host_cut_power(&scene->host);
	assert_int_equal(scene->host.below[64 * SECTOR], 0x22);
}

static void old_dirty_data_goes_below_by_itself(void **state)
{
	struct scene *scene = *state;
	struct engine_stats stats;

	scene->config.max_dirty_age_ns = 20 * 1000 * 1000;
	open_cache(scene);
	assert_int_equal(write_bytes(scene, 64, 8, 0x31), 0);
	/* Nothing but the runner's own timer moves it on. */
	do {
		turn(scene);
		runner_stats(scene->runner, &stats);
	} while (stats.dirty_bytes > 0);
	assert_int_equal(scene->host.below[64 * SECTOR], 0x31);
}

static void a_blank_file_that_was_in_use_is_refused(void **state)
{
	struct scene *scene = *state;

	scene->config.may_format = false;
	open_cache(scene);
	assert_int_equal(scene->state, ENGINE_FAILED);
	assert_int_equal(scene->failures, 1);
	assert_true(strlen(scene->failure) > 0);
}

static void a_file_of_another_disk_is_refused(void **state)
{
	struct scene *scene = *state;

	open_cache(scene);
	assert_int_equal(write_bytes(scene, 0, 8, 1), 0);
	close_cache(scene);
	scene->config.may_format = false;
	scene->config.uuid[0] = 0xcc;
	open_cache(scene);
	assert_int_equal(scene->state, ENGINE_FAILED);
}

static void a_failing_ssd_fails_requests_and_hangs_none(void **state)
{
	struct scene *scene = *state;

	open_cache(scene);
	assert_int_equal(write_bytes(scene, 0, 8, 1), 0);
	scene->host.file_write_error = -EIO;
	assert_true(write_bytes(scene, 8, 8, 2) < 0);
	scene->host.file_write_error = 0;
}

static void a_backend_that_is_down_stops_no_writes(void **state)
{
	struct scene *scene = *state;

	scene->config.max_dirty_age_ns = 1;
	scene->host.below_error = -EIO;
	open_cache(scene);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(write_bytes(scene, i * 8, 8, 9), 0);
	assert_int_equal(flush(scene), 0);
	reads_as(scene, 0, 8, 9);
	assert_true(do_one(scene, ENGINE_READ, 4096, 8) < 0);
	scene->host.below_error = 0;
	drain(scene);
	assert_int_equal(scene->host.below[0], 9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_write_reads_back_and_nothing_went_below),
		TEST(what_was_acknowledged_survives_a_kill),
		TEST(a_kill_in_the_middle_of_writes_loses_no_older_ones),
		TEST(a_drain_brings_everything_below_and_flushes_it),
		TEST(a_drain_that_below_refuses_for_long_ends_with_its_error),
		TEST(a_close_keeps_dirty_data_in_the_log),
		TEST(aligned_requests_are_never_copied),
		TEST(parts_of_blocks_are_merged_and_their_copies_counted),
		TEST(more_requests_than_slots_all_complete),
		TEST(writes_that_arrive_together_share_records),
		TEST(write_through_is_below_when_it_is_acknowledged),
		TEST(old_dirty_data_goes_below_by_itself),
		TEST(a_blank_file_that_was_in_use_is_refused),
		TEST(a_file_of_another_disk_is_refused),
		TEST(a_failing_ssd_fails_requests_and_hangs_none),
		TEST(a_backend_that_is_down_stops_no_writes),
	};

	return cmocka_run_group_tests_name("runner", tests, NULL, NULL);
}
