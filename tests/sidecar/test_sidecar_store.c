// SPDX-License-Identifier: Apache-2.0
/* test_sidecar_store.c - what a store does for each kind of request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "sidecar_scene.h"

#define LENGTH 16u

static int begin(void **state)
{
	struct scene *scene = scene_new(7);

	scene_format(scene);
	assert_int_equal(scene_open(scene, true), 0);
	scene_resize(scene, LENGTH);
	scene_settle(scene);
	*state = scene;
	return 0;
}

static int end(void **state)
{
	scene_free(*state);
	return 0;
}

static struct sidecar_store_figures figures_of(const struct scene *scene)
{
	struct sidecar_store_figures figures;

	sidecar_store_figures(scene->store, &figures);
	return figures;
}

static void check_state(struct scene *scene, uint32_t unit)
{
	struct scene_state found;

	scene_look(scene, &found);
	assert_memory_equal(&found, &scene->states[unit], sizeof(found));
}

static void writes_that_wait_together_share_a_record(void **state)
{
	struct scene *scene = *state;
	uint64_t before = figures_of(scene).records;

	for (uint32_t i = 0; i < 5; i++)
		scene_write(scene, i, 1, false);
	scene_settle(scene);
	assert_int_equal(figures_of(scene).records, before + 2);
	check_state(scene, scene->units);
}

static void a_group_that_is_larger_than_a_record_fails_whole(void **state)
{
	struct scene *scene = *state;
	uint32_t before = scene->units;

	scene_write(scene, 0, 6, true);
	scene_write(scene, 6, 6, false);
	scene_settle(scene);
	assert_int_equal(scene->last_result, -EMSGSIZE);
	check_state(scene, before);
}

static void a_write_that_cannot_be_takes_its_group_with_it(void **state)
{
	struct scene *scene = *state;
	uint32_t before = scene->units;

	scene_write(scene, 0, 1, true);
	scene_write(scene, LENGTH, 1, true);
	scene_write(scene, 1, 1, false);
	scene_settle(scene);
	assert_int_equal(scene->last_result, -EINVAL);
	check_state(scene, before);
	scene_write(scene, 2, 1, false);
	assert_int_equal(scene->io_count, 1);
	scene_settle(scene);
}

static void a_group_waits_until_it_is_whole(void **state)
{
	struct scene *scene = *state;
	uint32_t before = scene->ended_requests;

	scene_write(scene, 0, 1, true);
	scene_write(scene, 1, 1, true);
	assert_int_equal(scene->io_count, 0);
	assert_int_equal(scene->ended_requests, before);
	scene_write(scene, 2, 1, false);
	scene_settle(scene);
	assert_int_equal(scene->ended_requests, before + 3);
}

static void a_flush_of_nothing_takes_no_io(void **state)
{
	struct scene *scene = *state;

	scene_flush(scene);
	assert_int_equal(scene->io_count, 1);
	scene_settle(scene);
	scene_flush(scene);
	assert_int_equal(scene->io_count, 0);
}

static void fill_journal(struct scene *scene)
{
	for (uint32_t i = 0; i < 12; i++) {
		scene_write(scene, i, 3, false);
		while (scene->io_count > 0)
			scene_step(scene);
	}
}

static void a_full_file_system_fails_what_needs_room_and_then_heals(
	void **state)
{
	struct scene *scene = *state;
	uint32_t good;

	scene->fail_write = -ENOSPC;
	fill_journal(scene);
	assert_int_equal(scene->last_result, -ENOSPC);
	assert_int_equal(figures_of(scene).failed, 0);
	good = scene->completed;
	assert_true(good < scene->units);
	check_state(scene, good);
	scene->fail_write = 0;
	scene->states[scene->units + 1] = scene->states[good];
	scene->units = good;
	scene->states[good + 1] = scene->states[good];
	fill_journal(scene);
	check_state(scene, scene->units);
}

static void a_place_that_is_read_is_not_used_again(void **state)
{
	struct scene *scene = *state;
	uint32_t before;

	scene_write(scene, 0, 1, false);
	scene_settle(scene);
	before = scene->ended_requests;
	scene_read(scene, 0, 1);
	scene->held = scene->ios[0];
	/* More than the journal holds. */
	for (uint32_t i = 0; i < 12; i++)
		scene_write(scene, 1 + i, 3, false);
	while (scene->io_count > 1)
		scene_step(scene);
	assert_true(scene->ended_requests < before + 12);
	/* It checks what it reads. */
	scene_settle(scene);
	assert_int_equal(scene->ended_requests, before + 13);
	check_state(scene, scene->units);
}

static void a_sync_that_failed_is_not_trusted_again(void **state)
{
	struct scene *scene = *state;

	scene_write(scene, 0, 1, false);
	scene_settle(scene);
	scene->fail_sync = -EIO;
	scene_flush(scene);
	scene_settle(scene);
	assert_int_equal(scene->last_result, -EIO);
	scene->fail_sync = 0;
	scene->last_result = 0;
	scene_flush(scene);
	assert_int_equal(scene->last_result, -EIO);
	scene->last_result = 0;
	scene_write(scene, 0, 1, false);
	scene_settle(scene);
	assert_int_equal(scene->last_result, -EIO);
	assert_int_equal(figures_of(scene).failed, -EIO);
}

static void what_is_longer_than_the_most_is_refused(void **state)
{
	struct scene *scene = *state;

	scene_resize(scene, SCENE_BLOCKS + 1);
	scene_settle(scene);
	assert_int_equal(scene->last_result, -EFBIG);
	assert_int_equal(figures_of(scene).length_bytes,
			 LENGTH * SIDECAR_BLOCK_BYTES);
}

static void a_store_to_look_at_takes_no_write(void **state)
{
	struct scene *scene = *state;
	uint32_t unit;

	scene_write(scene, 3, 2, false);
	scene_settle(scene);
	unit = scene->units;
	scene_close(scene);
	assert_int_equal(scene_open(scene, false), 0);
	check_state(scene, unit);
	scene_write(scene, 0, 1, false);
	assert_int_equal(scene->last_result, -EROFS);
	scene->last_result = 0;
	scene_resize(scene, 1);
	assert_int_equal(scene->last_result, -EROFS);
}

static void put_sector(struct scene *scene, uint32_t block, const void *sector)
{
	medium_put(&scene->medium, (uint64_t)block * SIDECAR_BLOCK_BYTES / 512,
		   sector, 1);
}

static void what_was_cut_off_never_comes_back(void **state)
{
	struct scene *scene = *state;
	struct scene *heir = scene_new(1), *last = scene_new(2);
	const struct medium_fate everything = {.kind = MEDIUM_EVERYTHING};
	const struct medium_fate without_first = {.kind = MEDIUM_ALL_BUT};
	uint32_t unit;

	scene->once = true;
	heir->once = true;
	/* Opened again, its journal is empty, and begins at block 0. */
	scene_flush(scene);
	scene_settle(scene);
	unit = scene_crash_as(scene, everything, heir);
	scene_inherit(scene, unit, heir);
	scene_write(heir, 0, 1, false);
	scene_settle(heir);
	scene_write(heir, 1, 1, false);
	scene_settle(heir);
	/* The first is lost, and so is the second: it stays where it is. */
	unit = scene_crash_as(heir, without_first, last);
	assert_int_equal(unit, 0);
	scene_inherit(heir, unit, last);
	last->once = true;
	scene_write(last, 0, 1, false);
	scene_flush(last);
	scene_settle(last);
	assert_int_equal(scene_crash_as(last, everything, heir), 1);
	scene_free(heir);
	scene_free(last);
}

static void a_head_that_is_damaged_is_refused(void **state)
{
	struct scene *scene = *state;
	uint8_t sector[512];

	scene_close(scene);
	memset(sector, 'x', sizeof(sector));
	put_sector(scene, SIDECAR_HEAD_BLOCK, sector);
	assert_int_equal(scene_open(scene, true), -EUCLEAN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(writes_that_wait_together_share_a_record),
		TEST(a_group_that_is_larger_than_a_record_fails_whole),
		TEST(a_write_that_cannot_be_takes_its_group_with_it),
		TEST(a_group_waits_until_it_is_whole),
		TEST(a_flush_of_nothing_takes_no_io),
		TEST(a_full_file_system_fails_what_needs_room_and_then_heals),
		TEST(a_place_that_is_read_is_not_used_again),
		TEST(a_sync_that_failed_is_not_trusted_again),
		TEST(what_is_longer_than_the_most_is_refused),
		TEST(a_store_to_look_at_takes_no_write),
		TEST(what_was_cut_off_never_comes_back),
		TEST(a_head_that_is_damaged_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
