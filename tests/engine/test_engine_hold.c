// SPDX-License-Identifier: Apache-2.0
/*
 * test_engine_hold.c - below is brought to a point of the log, and stays there
 * while the guest goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "hold.h"
#include "scene.h"

#define MINUTE_NS (60 * SCENE_SECOND_NS)

static enum engine_hold_state state_of(const struct scene *scene)
{
	return engine_hold_now(scene->engine).state;
}

static enum engine_hold_end end_of(const struct scene *scene)
{
	assert_int_equal(state_of(scene), ENGINE_HOLD_ENDED);
	return engine_hold_now(scene->engine).end;
}

static void begin(struct scene *scene)
{
	assert_int_equal(engine_hold(scene->engine, MINUTE_NS), 0);
	scene_poll(scene);
}

static void hold(struct scene *scene)
{
	begin(scene);
	scene_end_all(scene);
	assert_int_equal(state_of(scene), ENGINE_HOLD_HELD);
}

/* Everything that was submitted comes into the log. */
static void end_appends(struct scene *scene)
{
	scene_poll(scene);
	while (scene_waiting(scene, ENGINE_SSD_WRITE) > 0)
		scene_end(scene, ENGINE_SSD_WRITE);
}

static void a_hold_brings_down_what_was_acknowledged(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 2, 'a');
	scene_zero_now(scene, 8, 2);
	hold(scene);
	assert_below(scene, 3, 'a');
	assert_below(scene, 4, 'a');
	assert_below(scene, 8, 0);
	assert_true(scene_stats(scene).below_flushes > 0);
}

static void nothing_newer_goes_below_until_the_release(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	hold(scene);
	scene_write_now(scene, 3, 1, 'b');
	scene_write_now(scene, 9, 1, 'c');
	scene_pass_ns(scene, MINUTE_NS / 2);
	scene_end_all(scene);
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	scene_end_all(scene);
	assert_below(scene, 3, 'a');
	assert_below(scene, 9, 'o');
	assert_int_equal(engine_release(scene->engine), 0);
	scene_drain(scene);
	assert_below(scene, 3, 'b');
	assert_below(scene, 9, 'c');
}

static void a_copy_that_is_replaced_meanwhile_goes_below_all_the_same(
	void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 2, 'a');
	scene_write_sectors(scene, 5 * LOG_SECTORS_PER_BLOCK + 2, 3, 'p');
	scene_end_all(scene);
	begin(scene);
	/* Nothing of it has been read from the SSD yet. */
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 0);
	scene_write(scene, 4, 2, 'b');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	scene_end_all(scene);
	assert_int_equal(state_of(scene), ENGINE_HOLD_HELD);
	assert_below(scene, 3, 'a');
	assert_below(scene, 4, 'a');
	/* Of a part block its sectors, and no others. */
	assert_int_equal(
		scene->below[5 * LOG_BLOCK_BYTES + 2 * LOG_SECTOR_BYTES], 'p');
	assert_int_equal(
		scene->below[5 * LOG_BLOCK_BYTES + 5 * LOG_SECTOR_BYTES], 'o');
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 4), 'b');
}

static void zeros_that_are_replaced_meanwhile_go_below_all_the_same(
	void **state)
{
	struct scene *scene = *state;

	scene_zero_now(scene, 16, 20);
	begin(scene);
	scene_write(scene, 20, 1, 'b');
	scene_write(scene, 30, 1, 'c');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	scene_end_all(scene);
	assert_int_equal(state_of(scene), ENGINE_HOLD_HELD);
	for (uint64_t block = 16; block < 36; block++)
		assert_below(scene, block, 0);
}

static void a_write_in_the_same_segment_may_be_behind_the_point(void **state)
{
	struct scene *scene = *state;
	struct engine_hold now;

	scene_write_now(scene, 3, 1, 'a');
	begin(scene);
	now = engine_hold_now(scene->engine);
	assert_int_equal(now.state, ENGINE_HOLD_MAKING);
	assert_int_equal(now.left_bytes, LOG_BLOCK_BYTES);
	scene_write(scene, 4, 1, 'b');
	scene_poll(scene);
	scene_end_all(scene);
	assert_int_equal(state_of(scene), ENGINE_HOLD_HELD);
	assert_int_equal(engine_hold_now(scene->engine).sequence, now.sequence);
	assert_below(scene, 3, 'a');
	assert_below(scene, 4, 'o');
	assert_int_equal(scene_stats(scene).bad_blocks, 0);
}

static void long_zeroes_go_through_the_log_under_a_hold(void **state)
{
	struct scene *scene = *state;
	struct guest *zero;

	scene->config.zeroing_blocks_max = 8;
	scene_restart(scene);
	hold(scene);
	zero = scene_zero(scene, ENGINE_ZERO, 0, 24 * LOG_SECTORS_PER_BLOCK);
	scene_poll(scene);
	scene_end_all(scene);
	assert_true(zero->done);
	assert_int_equal(zero->request.status, 0);
	assert_int_equal(state_of(scene), ENGINE_HOLD_HELD);
	assert_below(scene, 5, 'o');
	assert_int_equal(engine_release(scene->engine), 0);
	scene_drain(scene);
	assert_below(scene, 5, 0);
}

static void a_hold_waits_for_what_goes_below_by_itself(void **state)
{
	struct scene *scene = *state;

	scene->config.zeroing_blocks_max = 8;
	scene_restart(scene);
	scene_zero(scene, ENGINE_ZERO, 0, 9 * LOG_SECTORS_PER_BLOCK);
	scene_poll(scene);
	begin(scene);
	assert_int_equal(state_of(scene), ENGINE_HOLD_GATHERING);
	scene_end_all(scene);
	assert_int_equal(state_of(scene), ENGINE_HOLD_HELD);
	assert_below(scene, 7, 0);
}

static void a_hold_needs_write_back(void **state)
{
	struct scene *scene = *state;

	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	assert_int_equal(engine_hold(scene->engine, MINUTE_NS), -EOPNOTSUPP);
}

static void a_second_hold_is_refused_until_the_first_is_released(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(engine_release(scene->engine), -ENOENT);
	hold(scene);
	assert_int_equal(engine_hold(scene->engine, MINUTE_NS), -EBUSY);
	assert_int_equal(engine_release(scene->engine), 0);
	hold(scene);
}

static void a_hold_ends_by_itself_at_its_deadline(void **state)
{
	struct scene *scene = *state;

	hold(scene);
	assert_true(engine_next_poll_ns(scene->engine) <=
		    scene->now_ns + MINUTE_NS);
	scene_pass_ns(scene, MINUTE_NS);
	assert_int_equal(end_of(scene), ENGINE_HOLD_END_DEADLINE);
	assert_int_equal(engine_hold_now(scene->engine).ended_ns,
			 scene->now_ns);
	/* Not before somebody has been told of it. */
	assert_int_equal(engine_hold(scene->engine, MINUTE_NS), -EBUSY);
	assert_int_equal(engine_release(scene->engine), -ESTALE);
	assert_int_equal(state_of(scene), ENGINE_HOLD_NONE);
}

static void a_hold_of_below_that_hangs_ends_at_its_deadline(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	begin(scene);
	scene_end(scene, ENGINE_SSD_FLUSH);
	scene_end(scene, ENGINE_SSD_READ);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 1);
	scene_pass_ns(scene, MINUTE_NS);
	assert_int_equal(end_of(scene), ENGINE_HOLD_END_DEADLINE);
}

static void a_hold_ends_rather_than_make_a_write_wait(void **state)
{
	struct scene *scene = *state;

	hold(scene);
	/* The log goes around over what is dead, but not over this one. */
	scene_write_now(scene, 9, 1, 'c');
	for (uint64_t i = 0; state_of(scene) == ENGINE_HOLD_HELD; i++) {
		assert_true(i < SCENE_SEGMENTS * SCENE_SEGMENT_BLOCKS);
		scene_write_now(scene, i % 2, 1, 'a');
		scene_forget_guests(scene);
	}
	assert_int_equal(end_of(scene), ENGINE_HOLD_END_SPACE);
	scene_drain(scene);
	assert_below(scene, 0, 'a');
}

static void a_hold_ends_at_its_share_of_the_dirty_limit(void **state)
{
	struct scene *scene = *state;
	uint64_t most = (uint64_t)SCENE_SEGMENTS * (SCENE_SEGMENT_BLOCKS - 1) *
			scene->config.dirty_limit_percent / 100;
	uint64_t block = 0;

	hold(scene);
	while ((block + 1) * 100 < most * HOLD_DIRTY_PERCENT) {
		scene_write_now(scene, block++, 1, 'a');
		scene_forget_guests(scene);
		if (state_of(scene) != ENGINE_HOLD_HELD)
			break;
	}
	/* By then the log has no room for more, either. */
	scene_write_now(scene, block, 1, 'a');
	assert_int_equal(end_of(scene), ENGINE_HOLD_END_SPACE);
}

static void a_switch_of_the_mode_ends_a_hold(void **state)
{
	struct scene *scene = *state;

	hold(scene);
	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	assert_int_equal(end_of(scene), ENGINE_HOLD_END_MODE);
}

static void a_flush_of_below_that_fails_ends_a_hold(void **state)
{
	struct scene *scene = *state;

	begin(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_FLUSH), 1);
	scene_end_with(scene, ENGINE_BELOW_FLUSH, -EIO);
	assert_int_equal(end_of(scene), ENGINE_HOLD_END_BELOW);
}

static void a_replaced_copy_that_rots_ends_a_hold(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	begin(scene);
	scene_write(scene, 3, 1, 'b');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	scene->ssd[(SCENE_FIRST_SEGMENT + 2) * LOG_BLOCK_BYTES] ^= 1;
	scene_end_all(scene);
	assert_int_equal(end_of(scene), ENGINE_HOLD_END_DATA_LOST);
}

static void too_many_replaced_zeros_end_a_hold(void **state)
{
	struct scene *scene = *state;

	/* Built with a small limit as well: test_engine_hold_planted. */
	if (HOLD_ZEROS_MAX > 10)
		skip();
	scene_zero_now(scene, 0, 64);
	begin(scene);
	for (uint64_t i = 0; i < HOLD_ZEROS_MAX; i++)
		scene_write(scene, 2 * i, 1, 'b');
	end_appends(scene);
	assert_int_equal(state_of(scene), ENGINE_HOLD_MAKING);
	scene_write(scene, 2ull * HOLD_ZEROS_MAX, 1, 'b');
	end_appends(scene);
	assert_int_equal(end_of(scene), ENGINE_HOLD_END_ZEROS);
	scene_drain(scene);
	assert_below(scene, 0, 'b');
	assert_below(scene, 1, 0);
}

static void a_hold_that_is_given_up_says_so(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	begin(scene);
	assert_int_equal(engine_release(scene->engine), -EINPROGRESS);
	assert_int_equal(state_of(scene), ENGINE_HOLD_NONE);
	scene_drain(scene);
	assert_below(scene, 3, 'a');
}

static void a_start_knows_of_no_hold(void **state)
{
	struct scene *scene = *state;

	hold(scene);
	scene_write_now(scene, 3, 1, 'a');
	scene_restart_warm(scene);
	assert_int_equal(state_of(scene), ENGINE_HOLD_NONE);
	assert_int_equal(engine_release(scene->engine), -ENOENT);
	assert_int_equal(scene_read_now(scene, 3), 'a');
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_hold_brings_down_what_was_acknowledged),
		TEST(nothing_newer_goes_below_until_the_release),
		TEST(a_copy_that_is_replaced_meanwhile_goes_below_all_the_same),
		TEST(zeros_that_are_replaced_meanwhile_go_below_all_the_same),
		TEST(a_write_in_the_same_segment_may_be_behind_the_point),
		TEST(long_zeroes_go_through_the_log_under_a_hold),
		TEST(a_hold_waits_for_what_goes_below_by_itself),
		TEST(a_hold_needs_write_back),
		TEST(a_second_hold_is_refused_until_the_first_is_released),
		TEST(a_hold_ends_by_itself_at_its_deadline),
		TEST(a_hold_of_below_that_hangs_ends_at_its_deadline),
		TEST(a_hold_ends_rather_than_make_a_write_wait),
		TEST(a_hold_ends_at_its_share_of_the_dirty_limit),
		TEST(a_switch_of_the_mode_ends_a_hold),
		TEST(a_flush_of_below_that_fails_ends_a_hold),
		TEST(a_replaced_copy_that_rots_ends_a_hold),
		TEST(too_many_replaced_zeros_end_a_hold),
		TEST(a_hold_that_is_given_up_says_so),
		TEST(a_start_knows_of_no_hold),
	};

	return cmocka_run_group_tests_name("engine_hold", tests, NULL, NULL);
}
