// SPDX-License-Identifier: Apache-2.0
/*
 * test_engine_grant.c - how much of its file a log may use, and that this
 * changes while it runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core.h"
#include "scene.h"

/* Data blocks of a record in a segment by itself, and its letter. */
#define RECORD_BLOCKS 3u

/* So many records that the log is all around its segments. */
static void fill_log(struct scene *scene)
{
	for (uint64_t i = 0; i < 40; i++) {
		scene_write_now(scene, i % 20 * RECORD_BLOCKS, RECORD_BLOCKS,
				(char)('a' + i % 20));
		scene_forget_guests(scene);
	}
}

static void assert_filled(struct scene *scene)
{
	if (engine_state(scene->engine) != ENGINE_RUNNING)
		fail_msg("%s", engine_failure(scene->engine)->message);
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(scene_read_now(scene, i * RECORD_BLOCKS),
				 'a' + i);
	scene_forget_guests(scene);
}

/* Takes back what is given back, and spoils it. Returns: segments. */
static uint32_t take_back(struct scene *scene)
{
	struct engine_segment segment;
	uint32_t count = 0;

	while (engine_next_returned(scene->engine, &segment)) {
		memset(scene->ssd + segment.offset, 0xa5, segment.length);
		count++;
	}
	return count;
}

static uint32_t shrink(struct scene *scene, uint32_t segments)
{
	uint32_t count = 0;

	engine_set_grant(scene->engine, segments);
	for (uint32_t i = 0; i < 100; i++) {
		scene_poll(scene);
		scene_end_all(scene);
		count += take_back(scene);
		scene_pass_ns(scene, SCENE_SECOND_NS);
	}
	return count;
}

/* Hands over until the engine has what it may. */
static void hand_over(struct scene *scene)
{
	struct engine_segment segment;

	while (scene_stats(scene).segments <
		       scene_stats(scene).segments_granted &&
	       engine_next_away(scene->engine, 0, &segment))
		engine_take_segment(scene->engine, segment.number);
	scene_poll(scene);
	scene_end_all(scene);
}

static void a_smaller_grant_gives_segments_back(void **state)
{
	struct scene *scene = *state;

	fill_log(scene);
	assert_int_equal(scene_stats(scene).segments, SCENE_SEGMENTS);
	assert_int_equal(shrink(scene, 10), SCENE_SEGMENTS - 10);
	assert_int_equal(scene_stats(scene).segments, 10);
	assert_filled(scene);
	fill_log(scene);
	assert_filled(scene);
	assert_int_equal(take_back(scene), 0);
}

static void a_grant_does_not_go_below_the_least_that_a_log_needs(void **state)
{
	struct scene *scene = *state;

	fill_log(scene);
	shrink(scene, 1);
	assert_int_equal(scene_stats(scene).segments_granted,
			 ENGINE_SEGMENTS_MIN);
	assert_int_equal(scene_stats(scene).segments, ENGINE_SEGMENTS_MIN);
	fill_log(scene);
	assert_filled(scene);
}

static void no_start_needs_what_was_given_back(void **state)
{
	struct scene *scene = *state;

	fill_log(scene);
	shrink(scene, ENGINE_SEGMENTS_MIN);
	scene_restart_warm(scene);
	assert_true(scene_stats(scene).warm);
	assert_filled(scene);
	scene_restart(scene);
	assert_filled(scene);
}

static void dirty_data_may_take_their_share_of_the_grant(void **state)
{
	struct scene *scene = *state;
	uint64_t all = scene->engine->data_blocks_max;

	shrink(scene, SCENE_SEGMENTS / 2);
	assert_int_equal(scene->engine->data_blocks_max, all / 2);
}

static void a_start_has_no_segments_but_those_of_its_log(void **state)
{
	struct scene *scene = *state;

	scene->config.granted_segments = 12;
	scene_restart(scene);
	assert_int_equal(scene_stats(scene).segments, 0);
	hand_over(scene);
	assert_int_equal(scene_stats(scene).segments, 12);
	scene_write_now(scene, 5, RECORD_BLOCKS, 'x');
	scene_restart(scene);
	assert_int_equal(scene_stats(scene).segments, 1);
	assert_int_equal(scene_read_now(scene, 5), 'x');
	hand_over(scene);
	fill_log(scene);
	assert_filled(scene);
}

static void what_is_about_to_come_counts_as_room(void **state)
{
	struct scene *scene = *state;
	struct guest *guest;

	scene->config.granted_segments = 12;
	scene_restart(scene);
	hand_over(scene);
	scene_write_now(scene, 5, RECORD_BLOCKS, 'x');
	scene_drain(scene);
	scene_restart(scene);
	/* Nothing is free, and yet nothing is forgotten. */
	guest = scene_write(scene, 9, 1, 'y');
	scene_poll(scene);
	scene_end_all(scene);
	assert_false(guest->done);
	assert_int_equal(scene_stats(scene).cached_bytes,
			 RECORD_BLOCKS * LOG_BLOCK_BYTES);
	hand_over(scene);
	assert_true(guest->done);
	assert_int_equal(guest->request.status, 0);
}

static void a_start_with_few_segments_is_in_no_hurry_to_destage(void **state)
{
	struct scene *scene = *state;

	scene->config.granted_segments = 12;
	scene->config.paced = true;
	scene_restart(scene);
	hand_over(scene);
	scene_write_now(scene, 5, RECORD_BLOCKS, 'x');
	scene_restart(scene);
	scene_poll(scene);
	scene_end_all(scene);
	assert_int_equal(scene_stats(scene).segments, 1);
	assert_int_equal(scene_stats(scene).destaged_bytes, 0);
	assert_int_equal(scene_stats(scene).dirty_bytes,
			 RECORD_BLOCKS * LOG_BLOCK_BYTES);
}

static void a_log_that_gets_no_more_is_drained_and_closed(void **state)
{
	struct scene *scene = *state;

	scene->config.granted_segments = 12;
	scene_restart(scene);
	hand_over(scene);
	scene_write_now(scene, 5, RECORD_BLOCKS, 'x');
	scene_restart(scene);
	/* All of it is one segment, which is full; and the host is at its end.
	 */
	assert_int_equal(scene_stats(scene).segments, 1);
	engine_set_grant(scene->engine, 1);
	scene_drain(scene);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
	engine_close(scene->engine);
	scene_poll(scene);
	scene_end_all(scene);
	assert_true(engine_closed(scene->engine));
}

static void a_larger_grant_takes_segments_up_in_any_order(void **state)
{
	struct scene *scene = *state;
	struct engine_segment segment;

	fill_log(scene);
	shrink(scene, ENGINE_SEGMENTS_MIN);
	engine_set_grant(scene->engine, SCENE_SEGMENTS);
	/* The last first. */
	for (uint32_t from = SCENE_SEGMENTS; from-- > 0;) {
		if (engine_next_away(scene->engine, from, &segment) &&
		    segment.number == from)
			engine_take_segment(scene->engine, from);
	}
	assert_int_equal(scene_stats(scene).segments, SCENE_SEGMENTS);
	for (uint32_t round = 0; round < 5; round++)
		fill_log(scene);
	scene_restart(scene);
	assert_filled(scene);
}

static void a_file_that_has_grown_is_used_when_the_superblock_says_so(
	void **state)
{
	struct scene *scene = *state;
	uint64_t bytes = scene->config.file_bytes;
	const struct log_superblock *superblock;

	scene->config.file_bytes -=
		4ull * SCENE_SEGMENT_BLOCKS * LOG_BLOCK_BYTES;
	memset(scene->ssd, 0, sizeof(scene->ssd));
	scene_restart(scene);
	assert_int_equal(scene_stats(scene).segments, SCENE_SEGMENTS - 4);
	fill_log(scene);
	scene->config.file_bytes = bytes;
	scene_restart(scene);
	superblock = scene_superblock(scene, scene_newer_superblock(scene));
	assert_int_equal(superblock->file_bytes, bytes);
	assert_int_equal(scene_stats(scene).segments, SCENE_SEGMENTS);
	assert_filled(scene);
	fill_log(scene);
	assert_filled(scene);
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(a_smaller_grant_gives_segments_back),
		SCENE_TEST(
			a_grant_does_not_go_below_the_least_that_a_log_needs),
		SCENE_TEST(no_start_needs_what_was_given_back),
		SCENE_TEST(dirty_data_may_take_their_share_of_the_grant),
		SCENE_TEST(a_start_has_no_segments_but_those_of_its_log),
		SCENE_TEST(what_is_about_to_come_counts_as_room),
		SCENE_TEST(a_start_with_few_segments_is_in_no_hurry_to_destage),
		SCENE_TEST(a_log_that_gets_no_more_is_drained_and_closed),
		SCENE_TEST(a_larger_grant_takes_segments_up_in_any_order),
		SCENE_TEST(
			a_file_that_has_grown_is_used_when_the_superblock_says_so),
	};

	return cmocka_run_group_tests_name("engine: grant", tests, NULL, NULL);
}
