// SPDX-License-Identifier: Apache-2.0
/* test_engine_flush.c - what a FLUSH waits for, and what it leaves alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "scene.h"

static void a_flush_with_nothing_unflushed_completes_at_once(void **state)
{
	struct scene *scene = *state;
	struct guest *flush = scene_flush(scene);

	scene_poll(scene);
	assert_true(flush->done);
	assert_int_equal(flush->request.status, 0);
	assert_int_equal(scene->waiting_count, 0);
	scene_write_now(scene, 1, 1, 'a');
	scene_flush_now(scene);
	flush = scene_flush(scene);
	scene_poll(scene);
	assert_true(flush->done);
	assert_int_equal(scene->waiting_count, 0);
}

static void a_flush_never_reaches_below_in_write_back(void **state)
{
	struct scene *scene = *state;
	uint64_t flushes = scene_stats(scene).below_flushes;
	struct guest *flush;

	scene_write_now(scene, 1, 1, 'a');
	flush = scene_flush(scene);
	scene_poll(scene);
	assert_int_equal(scene->waiting_count, 1);
	assert_false(flush->done);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_true(flush->done);
	assert_int_equal(scene->waiting_count, 0);
	assert_int_equal(scene_stats(scene).below_flushes, flushes);
}

static void a_flush_after_a_start_in_write_back_has_nothing_to_do(void **state)
{
	struct scene *scene = *state;
	struct guest *flush;

	scene_write_now(scene, 1, 1, 'a');
	scene_restart(scene);
	flush = scene_flush(scene);
	scene_poll(scene);
	assert_true(flush->done);
	assert_int_equal(scene->waiting_count, 0);
}

static void a_flush_after_a_start_reaches_below_if_writes_did(void **state)
{
	struct scene *scene = *state;
	struct guest *flush;

	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	scene_write_now(scene, 1, 1, 'a');
	scene_restart(scene);
	flush = scene_flush(scene);
	scene_poll(scene);
	assert_false(flush->done);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_FLUSH), 1);
	scene_end_all(scene);
	assert_true(flush->done);
	flush = scene_flush(scene);
	scene_poll(scene);
	assert_true(flush->done);
}

static void the_superblock_says_so_before_the_first_write_below(void **state)
{
	struct scene *scene = *state;

	engine_set_mode(scene->engine, ENGINE_WRITE_AROUND);
	scene_write(scene, 1, 1, 'a');
	scene_poll(scene);
	assert_int_equal(scene->waiting_count, 1);
	assert_int_equal(scene_oldest(scene, ENGINE_SSD_WRITE)->offset %
				 (LOG_SUPERBLOCK_BLOCKS * LOG_BLOCK_BYTES),
			 0);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 0);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 1);
	assert_int_equal(
		scene_superblock(scene, scene_newer_superblock(scene))->flags,
		LOG_SUPERBLOCK_BELOW_UNFLUSHED);
	scene_end_all(scene);
	/* Once is enough. */
	scene_write(scene, 1, 1, 'b');
	scene_poll(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 1);
	scene_end_all(scene);
}

static void a_flush_covers_only_what_was_acked_before_it_began(void **state)
{
	struct scene *scene = *state;
	struct guest *early;
	struct guest *late;

	scene_write_now(scene, 1, 1, 'a');
	early = scene_flush(scene);
	scene_poll(scene);
	scene_write(scene, 2, 1, 'b');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	late = scene_flush(scene);
	scene_poll(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_FLUSH), 1);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_true(early->done);
	assert_false(late->done);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_true(late->done);
}

static void one_ssd_flush_serves_all_who_wait(void **state)
{
	struct scene *scene = *state;
	struct guest *flushes[3];

	scene_write_now(scene, 1, 1, 'a');
	for (int i = 0; i < 3; i++)
		flushes[i] = scene_flush(scene);
	scene_poll(scene);
	assert_int_equal(scene->waiting_count, 1);
	scene_end(scene, ENGINE_SSD_FLUSH);
	for (int i = 0; i < 3; i++)
		assert_true(flushes[i]->done);
}

static void a_flush_does_not_wait_for_writes_that_are_not_acked(void **state)
{
	struct scene *scene = *state;
	struct guest *flush;

	scene_write(scene, 1, 1, 'a');
	scene_poll(scene);
	flush = scene_flush(scene);
	scene_poll(scene);
	assert_true(flush->done);
	scene_end_all(scene);
}

static void a_forced_write_is_acked_behind_an_ssd_flush(void **state)
{
	struct scene *scene = *state;
	struct guest *write = scene_write(scene, 1, 1, 'a');

	write->request.fua = true;
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_false(write->done);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_FLUSH), 1);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_FLUSH), 0);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_true(write->done);
}

static void the_log_flushes_itself_after_a_second(void **state)
{
	struct scene *scene = *state;
	uint64_t sequence;

	scene_write_now(scene, 1, 1, 'a');
	sequence = scene_stats(scene).sequence;
	assert_int_equal(engine_next_poll_ns(scene->engine),
			 scene->now_ns + SCENE_SECOND_NS);
	scene_pass_ns(scene, SCENE_SECOND_NS - 1);
	assert_int_equal(scene->waiting_count, 0);
	scene_pass_ns(scene, 1);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_FLUSH), 1);
	scene_end_all(scene);
	assert_int_equal(scene_stats(scene).durable_sequence, sequence);
}

static void a_quiet_log_flushes_nothing(void **state)
{
	struct scene *scene = *state;

	scene_pass_ns(scene, 100 * SCENE_SECOND_NS);
	assert_int_equal(scene->waiting_count, 0);
	assert_int_equal(engine_next_poll_ns(scene->engine), 0);
	scene_write_now(scene, 1, 1, 'a');
	engine_quiesce(scene->engine);
	scene_pass_ns(scene, 100 * SCENE_SECOND_NS);
	assert_int_equal(scene->waiting_count, 0);
}

static void a_failed_ssd_flush_is_never_tried_again(void **state)
{
	struct scene *scene = *state;
	struct guest *flush;
	struct guest *write;

	scene_write_now(scene, 1, 1, 'a');
	flush = scene_flush(scene);
	scene_poll(scene);
	scene_end_with(scene, ENGINE_SSD_FLUSH, -EIO);
	assert_true(flush->done);
	assert_int_equal(flush->request.status, -EIO);
	assert_int_equal(engine_state(scene->engine), ENGINE_FAILED);
	assert_non_null(strstr(engine_failure(scene->engine)->message,
			       "flushing the SSD"));
	write = scene_write(scene, 1, 1, 'b');
	flush = scene_flush(scene);
	scene_pass_ns(scene, 100 * SCENE_SECOND_NS);
	assert_int_equal(scene->waiting_count, 0);
	assert_int_equal(write->request.status, -EIO);
	assert_int_equal(flush->request.status, -EIO);
}

static void a_flush_in_write_through_reaches_below(void **state)
{
	struct scene *scene = *state;
	struct guest *flush;

	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	scene_write_now(scene, 1, 1, 'a');
	flush = scene_flush(scene);
	scene_poll(scene);
	assert_false(flush->done);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_FLUSH), 1);
	scene_end(scene, ENGINE_BELOW_FLUSH);
	assert_true(flush->done);
}

static void a_failed_flush_of_below_is_told_and_the_next_one_tries(void **state)
{
	struct scene *scene = *state;
	struct guest *flush;

	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	scene_write_now(scene, 1, 1, 'a');
	flush = scene_flush(scene);
	scene_poll(scene);
	scene_end_with(scene, ENGINE_BELOW_FLUSH, -ENOSPC);
	assert_true(flush->done);
	assert_int_equal(flush->request.status, -ENOSPC);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
	/* What below may have lost is still dirty in the log. */
	assert_int_equal(scene_stats(scene).dirty_bytes, LOG_BLOCK_BYTES);
	scene_forget_guests(scene);
	scene_flush_now(scene);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

static void end_until(struct scene *scene, enum engine_io_type type)
{
	while (scene_waiting(scene, type) == 0) {
		assert_true(scene->waiting_count > 0);
		scene_end_io(scene, scene->waiting[0], 0);
	}
}

static void every_write_is_durable_if_the_disk_wants_it(void **state)
{
	struct scene *scene = *state;
	struct guest *writes[2];

	scene->config.durable_writes = true;
	scene_restart(scene);
	writes[0] = scene_write(scene, 0, 1, 'a');
	writes[1] = scene_write(scene, 9, 1, 'b');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_false(writes[0]->done);
	/* One flush serves all that the record has. */
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_FLUSH), 1);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_true(writes[0]->done && writes[1]->done);
}

static void a_durable_write_around_flushes_below(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	scene->config.durable_writes = true;
	scene->config.mode = ENGINE_WRITE_AROUND;
	scene_restart(scene);
	write = scene_write(scene, 0, 1, 'a');
	scene_poll(scene);
	end_until(scene, ENGINE_BELOW_FLUSH);
	assert_false(write->done);
	assert_below(scene, 0, 'a');
	scene_end(scene, ENGINE_BELOW_FLUSH);
	assert_true(write->done);
}

static void durability_can_be_changed_while_it_runs(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	engine_set_durable_writes(scene->engine, true);
	write = scene_write(scene, 0, 1, 'a');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_false(write->done);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_true(write->done);
	engine_set_durable_writes(scene->engine, false);
	write = scene_write(scene, 0, 1, 'a');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_true(write->done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_flush_with_nothing_unflushed_completes_at_once),
		TEST(a_flush_never_reaches_below_in_write_back),
		TEST(a_flush_after_a_start_in_write_back_has_nothing_to_do),
		TEST(a_flush_after_a_start_reaches_below_if_writes_did),
		TEST(the_superblock_says_so_before_the_first_write_below),
		TEST(a_flush_covers_only_what_was_acked_before_it_began),
		TEST(one_ssd_flush_serves_all_who_wait),
		TEST(a_flush_does_not_wait_for_writes_that_are_not_acked),
		TEST(a_forced_write_is_acked_behind_an_ssd_flush),
		TEST(the_log_flushes_itself_after_a_second),
		TEST(a_quiet_log_flushes_nothing),
		TEST(a_failed_ssd_flush_is_never_tried_again),
		TEST(a_flush_in_write_through_reaches_below),
		TEST(a_failed_flush_of_below_is_told_and_the_next_one_tries),
		TEST(every_write_is_durable_if_the_disk_wants_it),
		TEST(a_durable_write_around_flushes_below),
		TEST(durability_can_be_changed_while_it_runs),
	};

	return cmocka_run_group_tests_name("engine: flushes", tests, NULL,
					   NULL);
}
