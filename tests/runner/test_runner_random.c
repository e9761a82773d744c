// SPDX-License-Identifier: Apache-2.0
/*
 * test_runner_random.c - random work on a small real file, killed again and
 * again, against an oracle of every sector.
 *
 * Each sector that is written carries its number and a version. Of a sector
 * only one write is in flight at a time, so it may hold the version that was
 * acknowledged last or, if it was being written when the process died, the one
 * that was under way; nothing else, ever. The file is small, so that segments
 * are recycled all the time. Same seed, same requests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop_host.h"
#include "runner.h"

#define SECTOR 512u
#define DISK_SECTORS 8192u
#define SEGMENT_BLOCKS 64u
#define FILE_BYTES (UINT64_C(5) << 20)
#define SLOTS 16u
#define SLOT_SECTORS_MAX 64u
#define OPERATIONS_PER_LIFE 300u
#define LIVES 12u
#define SECOND_NS UINT64_C(1000000000)

struct stamp {
	uint64_t sector;
	uint64_t version;
};

struct slot {
	struct engine_request request;
	struct iovec iov;
	uint8_t *memory;
	uint64_t floor[SLOT_SECTORS_MAX]; /* see stamp_check() */
	bool busy;
};

struct scene {
	struct loop_host host;
	struct runner *runner;
	struct engine_config config;
	char path[32];
	int file;
	uint64_t random;
	uint64_t version;
	unsigned int life;
	const char *doing; /* for messages */
	enum engine_state state;
	unsigned int operations_left;
	unsigned int busy;
	struct loop_timer watchdog;
	struct loop_timer moment;
	uint64_t acked[DISK_SECTORS];
	uint64_t written[DISK_SECTORS]; /* in flight, 0: none */
	struct slot slots[SLOTS];
};

static uint64_t next_random(struct scene *scene)
{
	scene->random ^= scene->random << 13;
	scene->random ^= scene->random >> 7;
	scene->random ^= scene->random << 17;
	return scene->random;
}

static uint64_t below(struct scene *scene, uint64_t limit)
{
	return next_random(scene) % limit;
}

static void on_watchdog(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the runner waits for something that never comes");
}

static void run(struct scene *scene)
{
	loop_timer_arm(scene->host.loop, &scene->watchdog, 60 * SECOND_NS);
	assert_int_equal(loop_run(scene->host.loop), 0);
	loop_timer_cancel(scene->host.loop, &scene->watchdog);
}

static void on_moment(struct loop_timer *timer)
{
	struct scene *scene = timer->owner;

	loop_stop(scene->host.loop);
}

static void turn(struct scene *scene)
{
	loop_timer_arm(scene->host.loop, &scene->moment, 100 * 1000);
	run(scene);
	loop_timer_cancel(scene->host.loop, &scene->moment);
}

/*
 * @floor: the version that was acknowledged when the read was started. What was
 * written to the sector since is right, too; versions only grow.
 */
static void stamp_check(const struct scene *scene, uint64_t sector,
			uint64_t floor, const uint8_t *data)
{
	struct stamp stamp;

	memcpy(&stamp, data, sizeof(stamp));
	if (stamp.version >= floor && stamp.version <= scene->version &&
	    (stamp.sector == sector || stamp.version == 0))
		return;
	fail_msg("life %u of seed %llu, %s: sector %llu holds version %llu of "
		 "sector %llu; acknowledged was %llu",
		 scene->life, (unsigned long long)scene->config.uuid[1],
		 scene->doing, (unsigned long long)sector,
		 (unsigned long long)stamp.version,
		 (unsigned long long)stamp.sector, (unsigned long long)floor);
}

static void slot_fill(struct scene *scene, struct slot *slot)
{
	const struct engine_request *request = &slot->request;

	scene->version++;
	for (uint64_t i = 0; i < request->sector_count; i++) {
		const struct stamp stamp = {request->sector + i,
					    scene->version};

		memset(slot->memory + i * SECTOR, (int)scene->version, SECTOR);
		memcpy(slot->memory + i * SECTOR, &stamp, sizeof(stamp));
		scene->written[request->sector + i] = scene->version;
	}
}

static bool range_is_free(const struct scene *scene, uint64_t first,
			  uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (scene->written[first + i] != 0)
			return false;
	return true;
}

static void slot_submit(struct scene *scene, struct slot *slot)
{
	struct engine_request *request = &slot->request;

	slot->iov.iov_base = slot->memory;
	slot->iov.iov_len = request->sector_count * SECTOR;
	request->iov = &slot->iov;
	request->iov_count = request->operation == ENGINE_FLUSH ? 0 : 1;
	request->owner = slot;
	memcpy(slot->floor, &scene->acked[request->sector],
	       request->sector_count * sizeof(slot->floor[0]));
	slot->busy = true;
	scene->busy++;
	runner_submit(scene->runner, request);
}

static void slot_start(struct scene *scene, struct slot *slot)
{
	struct engine_request *request = &slot->request;
	uint64_t choice = below(scene, 100);
	uint64_t count = 1 + below(scene, SLOT_SECTORS_MAX);

	/* Half of it in whole blocks, as most guests do. */
	if (choice % 2 == 0)
		count = 8 * (1 + below(scene, SLOT_SECTORS_MAX / 8));
	memset(request, 0, sizeof(*request));
	request->sector = below(scene, DISK_SECTORS - count);
	if (choice % 2 == 0)
		request->sector &= ~UINT64_C(7);
	request->sector_count = count;
	request->operation = ENGINE_READ;
	if (choice < 60 && range_is_free(scene, request->sector, count)) {
		request->operation = ENGINE_WRITE;
		request->fua = choice < 6;
		slot_fill(scene, slot);
	} else if (choice >= 90) {
		request->operation = ENGINE_FLUSH;
		request->sector = 0;
		request->sector_count = 0;
	}
	slot_submit(scene, slot);
}

static void work_on(struct scene *scene)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		if (scene->slots[i].busy || scene->operations_left == 0)
			continue;
		scene->operations_left--;
		slot_start(scene, &scene->slots[i]);
	}
	if (scene->busy == 0)
		loop_stop(scene->host.loop);
}

static void completed(void *owner, struct engine_request *request)
{
	struct scene *scene = owner;
	struct slot *slot = request->owner;

	assert_int_equal(request->status, 0);
	slot->busy = false;
	scene->busy--;
	for (uint64_t i = 0; i < request->sector_count; i++) {
		uint64_t sector = request->sector + i;

		if (request->operation == ENGINE_WRITE) {
			scene->acked[sector] = scene->written[sector];
			scene->written[sector] = 0;
		} else {
			stamp_check(scene, sector, slot->floor[i],
				    slot->memory + i * SECTOR);
		}
	}
	work_on(scene);
}

static void state_changed(void *owner, enum engine_state state,
			  const struct error *failure)
{
	struct scene *scene = owner;

	scene->state = state;
	if (state == ENGINE_FAILED)
		fail_msg("%s", failure->message);
	loop_stop(scene->host.loop);
}

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

	if (runner_create(&setup, &scene->runner, &error) < 0)
		fail_msg("%s", error.message);
	scene->state = ENGINE_STARTING;
	runner_start(scene->runner);
	while (scene->state == ENGINE_STARTING)
		run(scene);
	scene->config.may_format = false;
}

static void kill_cache(struct scene *scene)
{
	scene->host.dead = true;
	do
		turn(scene);
	while (scene->host.in_flight > 0);
	loop_destroy(scene->host.loop);
	runner_destroy(scene->runner);
	scene->host.dead = false;
	assert_int_equal(loop_create(&scene->host.loop), 0);
	for (unsigned int i = 0; i < SLOTS; i++)
		scene->slots[i].busy = false;
	scene->busy = 0;
	scene->operations_left = 0;
}

/* What a write that died with its process left is what counts from now on. */
static void settle(struct scene *scene)
{
	struct slot *slot = &scene->slots[0];

	for (uint64_t sector = 0; sector < DISK_SECTORS;
	     sector += SLOT_SECTORS_MAX) {
		memset(&slot->request, 0, sizeof(slot->request));
		slot->request.sector = sector;
		slot->request.sector_count = SLOT_SECTORS_MAX;
		slot_submit(scene, slot);
		while (slot->busy)
			run(scene);
		for (uint64_t i = 0; i < SLOT_SECTORS_MAX; i++) {
			struct stamp stamp;

			memcpy(&stamp, slot->memory + i * SECTOR,
			       sizeof(stamp));
			scene->acked[sector + i] = stamp.version;
			scene->written[sector + i] = 0;
		}
	}
}

static void mode_change(struct scene *scene)
{
	static const enum engine_mode modes[] = {
		ENGINE_WRITE_BACK, ENGINE_WRITE_BACK, ENGINE_WRITE_THROUGH,
		ENGINE_WRITE_AROUND};

	scene->config.mode = modes[below(scene, 4)];
	runner_set_mode(scene->runner, scene->config.mode);
	scene->config.max_dirty_age_ns =
		below(scene, 2) ? SECOND_NS / 1000 : 3600 * SECOND_NS;
	runner_set_max_dirty_age(scene->runner, scene->config.max_dirty_age_ns);
}

static void on_drained(struct runner_drain *drain, int status)
{
	struct scene *scene = drain->owner;

	assert_int_equal(status, 0);
	drain->owner = NULL;
	loop_stop(scene->host.loop);
}

/* All work done and destaged: below alone must have it, after a power cut. */
static void below_check(struct scene *scene)
{
	struct runner_drain wish = {.done = on_drained, .owner = scene};

	runner_drain(scene->runner, &wish);
	while (wish.owner)
		run(scene);
	loop_host_cut_power(&scene->host);
	scene->doing = "below, after a drain";
	for (uint64_t sector = 0; sector < DISK_SECTORS; sector++)
		stamp_check(scene, sector, scene->acked[sector],
			    scene->host.below + sector * SECTOR);
}

static void live(struct scene *scene)
{
	scene->life++;
	open_cache(scene);
	scene->doing = "after recovery";
	settle(scene);
	mode_change(scene);
	scene->doing = "at work";
	scene->operations_left = OPERATIONS_PER_LIFE;
	work_on(scene);
	if (below(scene, 3) == 0) {
		while (scene->busy > 0)
			run(scene);
		below_check(scene);
	}
	/* Die in the middle of the work, sooner or later. */
	for (uint64_t turns = below(scene, 40); turns > 0; turns--)
		turn(scene);
	kill_cache(scene);
}

static void scene_open(struct scene *scene, uint64_t seed)
{
	assert_int_equal(
		loop_host_init(&scene->host, (uint64_t)DISK_SECTORS * SECTOR),
		0);
	snprintf(scene->path, sizeof(scene->path), "/tmp/fbXXXXXX");
	scene->file = mkostemp(scene->path, O_DIRECT | O_CLOEXEC);
	assert_true(scene->file >= 0);
	unlink(scene->path);
	assert_int_equal(posix_fallocate(scene->file, 0, FILE_BYTES), 0);
	for (unsigned int i = 0; i < SLOTS; i++)
		scene->slots[i].memory =
			aligned_alloc(4096, (size_t)SLOT_SECTORS_MAX * SECTOR);
	scene->random = seed * UINT64_C(0x9e3779b97f4a7c15);
	scene->watchdog.expired = on_watchdog;
	scene->moment.expired = on_moment;
	scene->moment.owner = scene;
	scene->config = (struct engine_config){
		.uuid = {0xaa, (uint8_t)seed},
		.disk_bytes = (uint64_t)DISK_SECTORS * SECTOR,
		.file_bytes = FILE_BYTES,
		.epoch = 1,
		.max_dirty_age_ns = 3600 * SECOND_NS,
		.mode = ENGINE_WRITE_BACK,
		.segment_blocks = SEGMENT_BLOCKS,
		.records_in_flight_max = 4,
		.dirty_limit_percent = 70,
		.may_format = true,
	};
}

static void every_sector_holds_what_was_acknowledged(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct scene *scene = calloc(1, sizeof(*scene));

		assert_non_null(scene);
		scene_open(scene, seed);
		for (unsigned int i = 0; i < LIVES; i++)
			live(scene);
		close(scene->file);
		for (unsigned int i = 0; i < SLOTS; i++)
			free(scene->slots[i].memory);
		loop_host_release(&scene->host);
		free(scene);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_sector_holds_what_was_acknowledged),
	};

	return cmocka_run_group_tests_name("runner_random", tests, NULL, NULL);
}
