// SPDX-License-Identifier: Apache-2.0
/*
 * test_engine_stale.c - a log meets layers below that have changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "scene.h"

#define FIRST 0x100000001ull
#define SECOND 0x200000002ull
#define THIRD 0x300000003ull
#define FOREIGN 0x200000009ull

/* The next start finds this; @held as the marker of the last one. */
static void find(struct scene *scene, uint64_t found, uint64_t next, bool held)
{
	scene->config.below = (struct engine_below){
		.looked = true,
		.found = found,
		.next = next,
		.held = held,
	};
}

static void restart_with(struct scene *scene, uint64_t found, uint64_t next,
			 bool held)
{
	find(scene, found, next, held);
	scene_restart(scene);
}

/* A log that knows FIRST and SECOND, with a clean block. */
static void make_clean(struct scene *scene)
{
	restart_with(scene, FIRST, SECOND, false);
	scene_write_now(scene, 7, 1, 'a');
	scene_drain(scene);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
	assert_int_equal(scene_stats(scene).cached_bytes, LOG_BLOCK_BYTES);
	/* What another would have written there. */
	memset(scene->below + 7 * LOG_BLOCK_BYTES, 'b', LOG_BLOCK_BYTES);
}

static void make_dirty(struct scene *scene)
{
	restart_with(scene, FIRST, SECOND, false);
	scene_write_now(scene, 7, 1, 'a');
}

static void assert_refused(struct scene *scene, const char *word)
{
	assert_int_equal(engine_state(scene->engine), ENGINE_FAILED);
	assert_int_equal(engine_failure(scene->engine)->code, -ESTALE);
	assert_non_null(strstr(engine_failure(scene->engine)->message, word));
}

static void what_is_clean_stays_if_the_generation_is_its_own(void **state)
{
	struct scene *scene = *state;

	make_clean(scene);
	restart_with(scene, SECOND, THIRD, false);
	assert_int_equal(scene_read_now(scene, 7), 'a');
	assert_int_equal(scene_stats(scene).forgotten_bytes, 0);
}

static void a_host_that_died_before_it_wrote_its_generation_is_known(
	void **state)
{
	struct scene *scene = *state;

	make_clean(scene);
	restart_with(scene, FIRST, THIRD, false);
	assert_int_equal(scene_read_now(scene, 7), 'a');
	/* And again. */
	restart_with(scene, FIRST, SECOND, false);
	assert_int_equal(scene_read_now(scene, 7), 'a');
}

static void what_is_clean_is_forgotten_after_a_foreign_open(void **state)
{
	struct scene *scene = *state;

	make_clean(scene);
	restart_with(scene, FOREIGN, THIRD, false);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
	assert_int_equal(scene_stats(scene).forgotten_bytes, LOG_BLOCK_BYTES);
	assert_int_equal(scene_stats(scene).forgotten_because,
			 ENGINE_FORGOT_OPENED);
	assert_int_equal(scene_stats(scene).cached_bytes, 0);
	assert_int_equal(scene_read_now(scene, 7), 'b');
}

static void what_was_forgotten_does_not_come_back(void **state)
{
	struct scene *scene = *state;

	make_clean(scene);
	restart_with(scene, FOREIGN, THIRD, false);
	restart_with(scene, THIRD, FIRST, false);
	assert_int_equal(scene_stats(scene).cached_bytes, 0);
	assert_int_equal(scene_read_now(scene, 7), 'b');
	/* Nor with records that have the numbers after its own. */
	scene_write_now(scene, 9, 1, 'c');
	restart_with(scene, FIRST, SECOND, true);
	assert_int_equal(scene_read_now(scene, 7), 'b');
	assert_int_equal(scene_read_now(scene, 9), 'c');
}

static void a_log_that_forgot_works_on_around_its_circle(void **state)
{
	struct scene *scene = *state;

	make_clean(scene);
	restart_with(scene, FOREIGN, THIRD, false);
	for (uint64_t i = 0; i < 200; i++) {
		scene_forget_guests(scene);
		scene_write_now(scene, i % 64, 1, (char)('a' + i % 26));
		if (i % 16 == 15)
			scene_drain(scene);
	}
	restart_with(scene, THIRD, FIRST, true);
	for (uint64_t i = 136; i < 200; i++)
		assert_int_equal(scene_read_now(scene, i % 64), 'a' + i % 26);
}

static void what_is_clean_is_forgotten_after_a_change(void **state)
{
	struct scene *scene = *state;

	make_clean(scene);
	find(scene, SECOND, THIRD, false);
	scene->config.below.changed = true;
	scene_restart(scene);
	assert_int_equal(scene_stats(scene).forgotten_because,
			 ENGINE_FORGOT_CHANGED);
	assert_int_equal(scene_read_now(scene, 7), 'b');
}

static void what_is_dirty_is_refused_after_a_foreign_open(void **state)
{
	struct scene *scene = *state;

	make_dirty(scene);
	restart_with(scene, FOREIGN, THIRD, false);
	assert_refused(scene, "diverged: it holds 4096 bytes");
	/* Nothing was lost by that: who finds the right backend goes on. */
	restart_with(scene, SECOND, THIRD, true);
	assert_int_equal(scene_read_now(scene, 7), 'a');
}

static void what_is_dirty_is_refused_over_new_contents(void **state)
{
	struct scene *scene = *state;

	make_dirty(scene);
	find(scene, SECOND, THIRD, true);
	scene->config.below.changed = true;
	scene->config.below.rewritten = true;
	scene_restart(scene);
	assert_refused(scene, "written while the disk was closed");
}

static void what_is_dirty_stays_over_other_attributes(void **state)
{
	struct scene *scene = *state;

	make_dirty(scene);
	find(scene, SECOND, THIRD, true);
	scene->config.below.changed = true;
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 7), 'a');
}

static void a_new_file_is_not_the_one_that_held_data(void **state)
{
	struct scene *scene = *state;

	memset(scene->ssd, 0, sizeof(scene->ssd));
	scene->config.may_format = true;
	restart_with(scene, SECOND, THIRD, true);
	assert_refused(scene, "it is new");
}

static void an_older_file_is_not_the_one_that_held_data(void **state)
{
	struct scene *scene = *state;

	make_clean(scene);
	restart_with(scene, THIRD, FIRST, true);
	assert_refused(scene, "diverged");
}

static void a_log_from_before_generations_is_believed(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 7, 1, 'a');
	restart_with(scene, FIRST, SECOND, false);
	assert_int_equal(scene_read_now(scene, 7), 'a');
	restart_with(scene, FOREIGN, THIRD, false);
	assert_refused(scene, "diverged");
}

static void a_log_is_not_known_by_a_host_that_has_lost_the_numbers(void **state)
{
	struct scene *scene = *state;

	make_dirty(scene);
	restart_with(scene, 0, 0, false);
	assert_refused(scene, "diverged");
}

static void who_does_not_look_believes_the_log_and_its_numbers(void **state)
{
	struct scene *scene = *state;

	make_dirty(scene);
	scene->config.below = (struct engine_below){0};
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 7), 'a');
	restart_with(scene, SECOND, THIRD, true);
	assert_int_equal(scene_read_now(scene, 7), 'a');
}

static void a_log_that_is_damaged_in_a_forgotten_part_starts(void **state)
{
	struct scene *scene = *state;

	make_clean(scene);
	restart_with(scene, FOREIGN, THIRD, false);
	memset(scene_record(scene, 1), 0xff, LOG_BLOCK_BYTES);
	restart_with(scene, THIRD, FIRST, false);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
}

static void kept_memory_is_no_better_than_the_log(void **state)
{
	struct scene *scene = *state;

	make_clean(scene);
	find(scene, FOREIGN, THIRD, false);
	scene_restart_warm(scene);
	assert_int_equal(scene_stats(scene).cached_bytes, 0);
	assert_int_equal(scene_read_now(scene, 7), 'b');
	scene_write_now(scene, 9, 1, 'c');
	find(scene, THIRD, FIRST, true);
	scene_restart_warm(scene);
	assert_int_equal(scene_read_now(scene, 7), 'b');
	assert_int_equal(scene_read_now(scene, 9), 'c');
	/* And what a warm start has noted, a cold one knows. */
	restart_with(scene, FIRST, SECOND, true);
	assert_int_equal(scene_read_now(scene, 9), 'c');
	find(scene, FOREIGN, THIRD, false);
	scene_restart_warm(scene);
	assert_refused(scene, "diverged");
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(what_is_clean_stays_if_the_generation_is_its_own),
		SCENE_TEST(
			a_host_that_died_before_it_wrote_its_generation_is_known),
		SCENE_TEST(what_is_clean_is_forgotten_after_a_foreign_open),
		SCENE_TEST(what_was_forgotten_does_not_come_back),
		SCENE_TEST(a_log_that_forgot_works_on_around_its_circle),
		SCENE_TEST(what_is_clean_is_forgotten_after_a_change),
		SCENE_TEST(what_is_dirty_is_refused_after_a_foreign_open),
		SCENE_TEST(what_is_dirty_is_refused_over_new_contents),
		SCENE_TEST(what_is_dirty_stays_over_other_attributes),
		SCENE_TEST(a_new_file_is_not_the_one_that_held_data),
		SCENE_TEST(an_older_file_is_not_the_one_that_held_data),
		SCENE_TEST(a_log_from_before_generations_is_believed),
		SCENE_TEST(
			a_log_is_not_known_by_a_host_that_has_lost_the_numbers),
		SCENE_TEST(who_does_not_look_believes_the_log_and_its_numbers),
		SCENE_TEST(kept_memory_is_no_better_than_the_log),
		SCENE_TEST(a_log_that_is_damaged_in_a_forgotten_part_starts),
	};

	return cmocka_run_group_tests_name("engine: stale", tests, NULL, NULL);
}
