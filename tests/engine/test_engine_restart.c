// SPDX-License-Identifier: Apache-2.0
/*
 * test_engine_restart.c - how little a start has to read: summaries of full
 * segments, and a log that was closed in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

/* Two records of one block fit in a segment beside their summary. */
#define RECORDS 11u

static int with_summaries(void **state)
{
	struct scene *scene;

	scene_set_up(state);
	scene = *state;
	scene->config.summaries = true;
	scene_restart(scene);
	return 0;
}

static uint8_t *segment_end(struct scene *scene, uint32_t segment)
{
	return scene->ssd + (size_t)(SCENE_FIRST_SEGMENT +
				     (segment + 1) * SCENE_SEGMENT_BLOCKS) *
				    LOG_BLOCK_BYTES;
}

/* Returns: the segment's summary, or NULL. */
static struct log_summary *summary_of(struct scene *scene, uint32_t segment)
{
	struct log_summary *summary =
		(void *)(segment_end(scene, segment) - sizeof(*summary));

	return log_summary_valid(summary, scene->config.uuid,
				 SCENE_SEGMENT_BLOCKS)
		       ? summary
		       : NULL;
}

static void write_records(struct scene *scene)
{
	for (uint64_t i = 0; i < RECORDS; i++)
		scene_write_now(scene, i * 20, 1, (char)('a' + i));
}

static void assert_records(struct scene *scene)
{
	if (engine_state(scene->engine) == ENGINE_FAILED)
		fail_msg("%s", engine_failure(scene->engine)->message);
	for (uint64_t i = 0; i < RECORDS; i++)
		assert_int_equal(scene_read_now(scene, i * 20), 'a' + i);
	assert_int_equal(scene_stats(scene).dirty_bytes,
			 RECORDS * LOG_BLOCK_BYTES);
}

/* All of them known to be durable, by the row that the next start closed. */
static void write_durable_records(struct scene *scene)
{
	write_records(scene);
	scene_restart(scene);
}

static void close_in_order(struct scene *scene)
{
	engine_close(scene->engine);
	scene_poll(scene);
	scene_end_all(scene);
	assert_true(engine_closed(scene->engine));
}

static void a_full_segment_is_known_by_its_summary(void **state)
{
	struct scene *scene = *state;
	struct engine_stats stats;

	write_durable_records(scene);
	scene_restart(scene);
	stats = scene_stats(scene);
	assert_int_equal(stats.recovered_records, RECORDS);
	/* All but the last segment were full. */
	assert_int_equal(stats.recovery_summaries, RECORDS / 2);
	assert_int_equal(stats.recovery_checked_records, 0);
	assert_records(scene);
}

static void a_log_without_summaries_is_read_whole(void **state)
{
	struct scene *scene = *state;

	scene->config.summaries = false;
	scene_restart(scene);
	write_durable_records(scene);
	scene_restart(scene);
	assert_int_equal(scene_stats(scene).recovery_summaries, 0);
	assert_records(scene);
}

static void a_summary_is_not_believed_above_what_is_durable(void **state)
{
	struct scene *scene = *state;

	write_records(scene);
	assert_non_null(summary_of(scene, 2));
	/* The second record of the third segment never got to the SSD. */
	memset(scene_record(scene, 6), 0, LOG_BLOCK_BYTES);
	scene_restart(scene);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
	assert_int_equal(scene_stats(scene).sequence, 5);
	assert_int_equal(scene_read_now(scene, 80), 'e');
	assert_int_equal(scene_read_now(scene, 100), 'o');
	assert_int_equal(scene_read_now(scene, 120), 'o');
}

static void a_torn_summary_costs_nothing_but_time(void **state)
{
	struct scene *scene = *state;

	write_durable_records(scene);
	/* In its own words, and in a copy of a header. */
	summary_of(scene, 0)->record_count++;
	segment_end(scene, 1)[-(int)LOG_BLOCK_BYTES + 60] ^= 1;
	scene_restart(scene);
	assert_int_equal(scene_stats(scene).recovery_summaries,
			 RECORDS / 2 - 2);
	assert_records(scene);
}

static void a_summary_of_another_use_of_the_segment_is_ignored(void **state)
{
	struct scene *scene = *state;

	write_durable_records(scene);
	memcpy(segment_end(scene, 3) - LOG_BLOCK_BYTES,
	       segment_end(scene, 1) - LOG_BLOCK_BYTES, LOG_BLOCK_BYTES);
	scene_restart(scene);
	assert_int_equal(scene_stats(scene).recovery_summaries,
			 RECORDS / 2 - 1);
	assert_records(scene);
}

static void a_header_that_went_bad_is_known_by_the_summary(void **state)
{
	struct scene *scene = *state;

	write_durable_records(scene);
	scene_record(scene, 3)->mode ^= 1;
	scene_restart(scene);
	assert_records(scene);
	scene_drain(scene);
	for (uint64_t i = 0; i < RECORDS; i++)
		assert_below(scene, i * 20, (char)('a' + i));
}

static struct engine_io *waiting_summary(const struct scene *scene)
{
	for (uint32_t i = 0; i < scene->waiting_count; i++) {
		struct engine_io *io = scene->waiting[i];
		uint64_t end = (io->offset + io->length) / LOG_BLOCK_BYTES;

		if (io->type == ENGINE_SSD_WRITE &&
		    io->length == LOG_BLOCK_BYTES &&
		    (end - SCENE_FIRST_SEGMENT) % SCENE_SEGMENT_BLOCKS == 0)
			return io;
	}
	return NULL;
}

static const struct log_segment_head *head_of(struct scene *scene,
					      const struct engine_io *summary)
{
	return (const void *)(scene->ssd + summary->offset + summary->length -
			      SCENE_SEGMENT_BLOCKS * LOG_BLOCK_BYTES);
}

static void end_all_but(struct scene *scene, const struct engine_io *held)
{
	uint32_t at = 0;

	while (at < scene->waiting_count) {
		if (scene->waiting[at] == held) {
			at++;
			continue;
		}
		scene_end_io(scene, scene->waiting[at], 0);
		at = 0;
	}
}

static void a_segment_is_not_used_again_below_its_summary(void **state)
{
	struct scene *scene = *state;
	struct engine_io *held = NULL;
	uint64_t first = 0;
	bool stalled = false;

	engine_set_draining(scene->engine, true);
	for (uint32_t i = 0; i < 200; i++) {
		struct guest *write =
			scene_write(scene, i % 200, 1, (char)('a' + i % 20));

		scene_poll(scene);
		if (!held && (held = waiting_summary(scene)))
			first = head_of(scene, held)->first_sequence;
		end_all_but(scene, held);
		stalled = !write->done;
		if (stalled)
			break;
		scene_forget_guests(scene);
	}
	assert_non_null(held);
	/* The log has gone round, and stands before that segment. */
	assert_true(scene_stats(scene).sequence > SCENE_SEGMENTS);
	assert_true(stalled);
	assert_int_equal(head_of(scene, held)->first_sequence, first);
	scene_end_io(scene, held, 0);
	scene_end_all(scene);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
}

static void after_an_orderly_end_nothing_is_verified(void **state)
{
	struct scene *scene = *state;
	uint8_t *killed = malloc(sizeof(scene->ssd));
	struct engine_stats after_close;
	struct engine_stats after_kill;

	assert_non_null(killed);
	write_records(scene);
	memcpy(killed, scene->ssd, sizeof(scene->ssd));
	close_in_order(scene);
	scene_restart(scene);
	after_close = scene_stats(scene);
	assert_int_equal(after_close.recovery_checked_records, 0);
	/* The segment that wasn't full has one as well. */
	assert_int_equal(after_close.recovery_summaries, RECORDS / 2 + 1);
	assert_int_equal(after_close.recovered_records, RECORDS);
	assert_records(scene);

	memcpy(scene->ssd, killed, sizeof(scene->ssd));
	free(killed);
	scene_restart(scene);
	after_kill = scene_stats(scene);
	assert_true(after_kill.recovery_checked_records > 0);
	assert_true(after_kill.recovery_read_bytes >
		    2 * after_close.recovery_read_bytes);
	assert_records(scene);
}

static void a_log_is_closed_after_it_was_flushed(void **state)
{
	struct scene *scene = *state;

	write_records(scene);
	engine_close(scene->engine);
	scene_poll(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 1);
	scene_end(scene, ENGINE_SSD_WRITE);
	/* Only now comes the superblock. */
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_FLUSH), 1);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 0);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 1);
	assert_false(engine_closed(scene->engine));
	scene_end_all(scene);
	assert_true(engine_closed(scene->engine));
}

static void closing_may_be_cut_short_anywhere(void **state)
{
	struct scene *scene = *state;

	write_records(scene);
	for (uint32_t steps = 0; steps < 6; steps++) {
		engine_close(scene->engine);
		scene_poll(scene);
		for (uint32_t i = 0; i < steps && scene->waiting_count > 0; i++)
			scene_end_io(scene, scene->waiting[0], 0);
		scene_restart(scene);
		assert_records(scene);
	}
}

static void a_flush_that_fails_leaves_the_row_open(void **state)
{
	struct scene *scene = *state;
	const struct log_superblock *image;

	write_records(scene);
	engine_close(scene->engine);
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	scene_end_with(scene, ENGINE_SSD_FLUSH, -EIO);
	assert_true(engine_closed(scene->engine));
	image = scene_superblock(scene, scene_newer_superblock(scene));
	assert_int_equal(image->rows[image->row_count - 1].last_sequence,
			 LOG_ROW_OPEN);
	scene_restart(scene);
	assert_records(scene);
}

static void an_empty_log_is_closed_and_opened_as_well(void **state)
{
	struct scene *scene = *state;

	for (uint32_t i = 0; i < 3; i++) {
		close_in_order(scene);
		scene_restart(scene);
	}
	write_records(scene);
	assert_records(scene);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, with_summaries, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_full_segment_is_known_by_its_summary),
		TEST(a_log_without_summaries_is_read_whole),
		TEST(a_summary_is_not_believed_above_what_is_durable),
		TEST(a_torn_summary_costs_nothing_but_time),
		TEST(a_summary_of_another_use_of_the_segment_is_ignored),
		TEST(a_header_that_went_bad_is_known_by_the_summary),
		TEST(a_segment_is_not_used_again_below_its_summary),
		TEST(after_an_orderly_end_nothing_is_verified),
		TEST(a_log_is_closed_after_it_was_flushed),
		TEST(closing_may_be_cut_short_anywhere),
		TEST(a_flush_that_fails_leaves_the_row_open),
		TEST(an_empty_log_is_closed_and_opened_as_well),
	};

	return cmocka_run_group_tests_name("engine: restart", tests, NULL,
					   NULL);
}
