// SPDX-License-Identifier: Apache-2.0
/*
 * test_engine_destage.c - the three modes, what goes below and when, and the
 * log's space.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "scene.h"

static enum log_entry_type entry_type(struct scene *scene, uint64_t sequence)
{
	const struct log_record_header *header = scene_record(scene, sequence);

	assert_non_null(header);
	return (enum log_entry_type)(
		       (const struct log_entry *)(const void *)header->entries)
		->type;
}

/* The superblock has been told that writes go below. */
static void set_mode(struct scene *scene, enum engine_mode mode)
{
	engine_set_mode(scene->engine, mode);
	scene_write_now(scene, 255, 1, 'z');
	scene_drain(scene);
	scene_flush_now(scene);
}

static void a_write_through_is_acked_after_below(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	set_mode(scene, ENGINE_WRITE_THROUGH);
	write = scene_write(scene, 3, 1, 'a');
	scene_poll(scene);
	assert_int_equal(scene->waiting_count, 1);
	scene_end(scene, ENGINE_SSD_WRITE);
	/* Log before backend: its record is durable first. */
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 0);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_false(write->done);
	assert_below(scene, 3, 'o');
	scene_end(scene, ENGINE_BELOW_WRITE);
	assert_true(write->done);
	assert_below(scene, 3, 'a');
	assert_int_equal(scene_stats(scene).copied_bytes, 0);
}

static void a_write_through_becomes_clean_when_below_is_flushed(void **state)
{
	struct scene *scene = *state;

	set_mode(scene, ENGINE_WRITE_THROUGH);
	scene_write_now(scene, 3, 2, 'a');
	assert_int_equal(scene_stats(scene).dirty_bytes, 2 * LOG_BLOCK_BYTES);
	scene_flush_now(scene);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
	assert_int_equal(entry_type(scene, scene_stats(scene).sequence),
			 LOG_CLEAN);
	assert_true(engine_clean(scene->engine));
	assert_int_equal(scene_read_now(scene, 3), 'a');
}

static void a_failed_write_of_below_fails_the_write_through(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	set_mode(scene, ENGINE_WRITE_THROUGH);
	write = scene_write(scene, 3, 1, 'a');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	scene_end(scene, ENGINE_SSD_FLUSH);
	scene_end_with(scene, ENGINE_BELOW_WRITE, -ENOSPC);
	assert_true(write->done);
	assert_int_equal(write->request.status, -ENOSPC);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
}

static void two_writes_through_of_a_block_reach_below_in_order(void **state)
{
	struct scene *scene = *state;

	set_mode(scene, ENGINE_WRITE_THROUGH);
	scene_write(scene, 3, 1, 'a');
	scene_poll(scene);
	scene_write(scene, 3, 1, 'b');
	scene_poll(scene);
	/* Not even in the log together: an amendment could mix them there. */
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 1);
	scene_end(scene, ENGINE_SSD_WRITE);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 1);
	scene_end(scene, ENGINE_BELOW_WRITE);
	assert_below(scene, 3, 'a');
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 1);
	scene_end_all(scene);
	assert_below(scene, 3, 'b');
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'b');
}

static void write_around_drops_then_writes(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	scene_read_now(scene, 3);
	scene_read_now(scene, 3);
	assert_int_equal(scene_stats(scene).cached_bytes, LOG_BLOCK_BYTES);
	set_mode(scene, ENGINE_WRITE_AROUND);
	write = scene_write(scene, 3, 1, 'a');
	scene_poll(scene);
	assert_int_equal(scene->waiting_count, 1);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_int_equal(entry_type(scene, scene_stats(scene).sequence),
			 LOG_DROP);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 0);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_false(write->done);
	scene_end(scene, ENGINE_BELOW_WRITE);
	assert_true(write->done);
	assert_int_equal(scene_stats(scene).cached_bytes, 0);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'a');
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 3), 'a');
}

static void write_around_of_what_is_not_cached_goes_straight_below(void **state)
{
	struct scene *scene = *state;
	uint64_t records;

	set_mode(scene, ENGINE_WRITE_AROUND);
	records = scene_stats(scene).records;
	scene_write(scene, 3, 1, 'a');
	scene_poll(scene);
	assert_int_equal(scene->waiting_count, 1);
	scene_end(scene, ENGINE_BELOW_WRITE);
	assert_true(scene->guests[0].done);
	assert_int_equal(scene_stats(scene).records, records);
}

static void write_around_of_what_is_dirty_stays_in_the_log(void **state)
{
	struct scene *scene = *state;
	uint64_t sequence;

	scene_write_now(scene, 3, 1, 'a');
	sequence = scene_stats(scene).sequence;
	engine_set_mode(scene->engine, ENGINE_WRITE_AROUND);
	scene_write_now(scene, 3, 1, 'b');
	assert_below(scene, 3, 'b');
	assert_int_equal(entry_type(scene, sequence + 1), LOG_WRITE);
	assert_int_equal(scene_read_now(scene, 3), 'b');
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 3), 'b');
}

static void a_mode_is_not_reached_before_nothing_is_dirty(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	assert_int_equal(scene_stats(scene).mode_requested,
			 ENGINE_WRITE_THROUGH);
	assert_int_equal(scene_stats(scene).mode_actual, ENGINE_WRITE_BACK);
	scene_drain(scene);
	assert_int_equal(scene_stats(scene).mode_actual, ENGINE_WRITE_THROUGH);
	engine_set_mode(scene->engine, ENGINE_WRITE_BACK);
	assert_int_equal(scene_stats(scene).mode_actual, ENGINE_WRITE_BACK);
}

static void what_only_awaits_a_flush_below_is_not_called_draining(void **state)
{
	struct scene *scene = *state;

	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	scene_write_now(scene, 3, 1, 'a');
	assert_below(scene, 3, 'a');
	assert_true(scene_stats(scene).dirty_bytes > 0);
	assert_int_equal(scene_stats(scene).mode_actual, ENGINE_WRITE_THROUGH);
}

static void leaving_write_back_drains_by_itself(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	scene_end_all(scene);
	assert_below(scene, 3, 'a');
	assert_int_equal(scene_stats(scene).mode_actual, ENGINE_WRITE_THROUGH);
}

static void what_is_left_before_a_mode_is_reached_is_told(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 0, 4, 'a');
	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	scene_poll(scene);
	assert_int_equal(scene_stats(scene).mode_left_bytes,
			 4 * LOG_BLOCK_BYTES);
	assert_int_equal(scene_stats(scene).mode_reason, ENGINE_MODE_DRAINING);
	while (scene_waiting(scene, ENGINE_BELOW_WRITE) == 0)
		scene_end_io(scene, scene->waiting[0], 0);
	scene_end_with(scene, ENGINE_BELOW_WRITE, -ENOSPC);
	assert_int_equal(scene_stats(scene).mode_reason,
			 ENGINE_MODE_BACKEND_REFUSING);
	scene_pass_ns(scene, SCENE_SECOND_NS);
	scene_end_all(scene);
	assert_int_equal(scene_stats(scene).mode_left_bytes, 0);
	assert_int_equal(scene_stats(scene).mode_reason,
			 ENGINE_MODE_AS_REQUESTED);
	assert_int_equal(scene_stats(scene).mode_actual, ENGINE_WRITE_THROUGH);
}

/* It was acknowledged when it was in the log: that is a promise of write-back.
 */
static void a_write_that_was_under_way_is_of_the_mode_before(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	/* Two records are in flight; the third write waits for its own. */
	scene_write(scene, 0, 1, 'a');
	scene_poll(scene);
	scene_write(scene, 10, 1, 'b');
	scene_poll(scene);
	write = scene_write(scene, 20, 1, 'c');
	scene_poll(scene);
	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	scene_poll(scene);
	assert_int_equal(scene_stats(scene).mode_actual, ENGINE_WRITE_BACK);
	while (!write->done)
		scene_end(scene, ENGINE_SSD_WRITE);
	assert_int_equal(scene_stats(scene).mode_actual, ENGINE_WRITE_BACK);
	assert_int_equal(scene_stats(scene).mode_left_bytes,
			 3 * LOG_BLOCK_BYTES);
	scene_end_all(scene);
	assert_int_equal(scene_stats(scene).mode_actual, ENGINE_WRITE_THROUGH);
	assert_below(scene, 20, 'c');
}

static void each_record_says_in_which_mode_it_was_written(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	assert_int_equal(scene_record(scene, scene_stats(scene).sequence)->mode,
			 ENGINE_WRITE_BACK);
	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	scene_write_now(scene, 3, 1, 'b');
	assert_int_equal(scene_record(scene, scene_stats(scene).sequence)->mode,
			 ENGINE_WRITE_THROUGH);
}

static void a_drain_writes_flushes_and_only_then_marks_clean(void **state)
{
	struct scene *scene = *state;
	uint64_t written;

	scene_write_now(scene, 3, 2, 'a');
	written = scene_stats(scene).sequence;
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	/* Not below before it is durable on the SSD. */
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_READ), 1);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_FLUSH), 1);
	scene_end(scene, ENGINE_SSD_READ);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 0);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_int_equal(scene->waiting_count, 1);
	assert_int_equal(scene->waiting[0]->length, 2 * LOG_BLOCK_BYTES);
	scene_end(scene, ENGINE_BELOW_WRITE);
	assert_int_equal(scene->waiting_count, 1);
	assert_int_equal(scene_stats(scene).sequence, written);
	scene_end(scene, ENGINE_BELOW_FLUSH);
	assert_false(engine_clean(scene->engine));
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_int_equal(entry_type(scene, written + 1), LOG_CLEAN);
	assert_true(engine_clean(scene->engine));
	assert_below(scene, 3, 'a');
	assert_below(scene, 4, 'a');
}

static void blocks_go_below_sorted_and_merged(void **state)
{
	struct scene *scene = *state;

	scene_write(scene, 7, 1, 'c');
	scene_write(scene, 5, 1, 'a');
	scene_write(scene, 6, 1, 'b');
	scene_write(scene, 9, 1, 'd');
	scene_end_all(scene);
	scene_forget_guests(scene);
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_READ);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 2);
	assert_int_equal(scene->waiting[0]->offset, 5 * LOG_BLOCK_BYTES);
	assert_int_equal(scene->waiting[0]->length, 3 * LOG_BLOCK_BYTES);
	assert_int_equal(scene->waiting[1]->offset, 9 * LOG_BLOCK_BYTES);
	scene_end_all(scene);
	for (uint32_t i = 0; i < 3; i++)
		assert_below(scene, 5 + i, "abc"[i]);
}

static void what_was_overwritten_while_it_was_destaged_stays_dirty(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	scene_write_now(scene, 3, 1, 'a');
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_READ);
	scene_end(scene, ENGINE_SSD_FLUSH);
	engine_set_draining(scene->engine, false);
	write = scene_write(scene, 3, 1, 'b');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_true(write->done);
	scene_end_all(scene);
	assert_below(scene, 3, 'a');
	assert_int_equal(scene_stats(scene).dirty_bytes, LOG_BLOCK_BYTES);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'b');
	scene_drain(scene);
	assert_below(scene, 3, 'b');
}

static void dirty_blocks_go_below_when_they_are_old_enough(void **state)
{
	struct scene *scene = *state;
	uint64_t born = scene->now_ns;

	scene_write_now(scene, 3, 1, 'a');
	scene_flush_now(scene);
	scene_pass_ns(scene, 60 * SCENE_SECOND_NS - 1);
	scene_end_all(scene);
	assert_below(scene, 3, 'o');
	assert_int_equal(engine_next_poll_ns(scene->engine),
			 born + 60 * SCENE_SECOND_NS);
	scene_pass_ns(scene, 1);
	scene_end_all(scene);
	assert_below(scene, 3, 'a');
	assert_true(engine_clean(scene->engine));
}

static void a_shorter_age_counts_at_once(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	scene_flush_now(scene);
	scene_pass_ns(scene, 5 * SCENE_SECOND_NS);
	assert_int_equal(scene->waiting_count, 0);
	engine_set_max_dirty_age(scene->engine, 5 * SCENE_SECOND_NS);
	scene_end_all(scene);
	assert_below(scene, 3, 'a');
}

static void what_below_refuses_stays_dirty_and_is_tried_again(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_READ);
	scene_end(scene, ENGINE_SSD_FLUSH);
	scene_end_with(scene, ENGINE_BELOW_WRITE, -ENOSPC);
	assert_int_equal(scene->waiting_count, 0);
	assert_int_equal(scene_stats(scene).destage_failures, 1);
	assert_int_equal(scene_stats(scene).dirty_bytes, LOG_BLOCK_BYTES);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
	assert_true(engine_next_poll_ns(scene->engine) > scene->now_ns);
	scene->now_ns = engine_next_poll_ns(scene->engine);
	scene_end_all(scene);
	assert_below(scene, 3, 'a');
	assert_true(engine_clean(scene->engine));
}

static void a_refused_flush_of_below_marks_nothing_clean(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_READ);
	scene_end(scene, ENGINE_SSD_FLUSH);
	scene_end(scene, ENGINE_BELOW_WRITE);
	scene_end_with(scene, ENGINE_BELOW_FLUSH, -EIO);
	assert_int_equal(scene_stats(scene).dirty_bytes, LOG_BLOCK_BYTES);
	assert_int_equal(scene_stats(scene).destage_failures, 1);
	scene->now_ns = engine_next_poll_ns(scene->engine);
	scene_end_all(scene);
	assert_true(engine_clean(scene->engine));
}

static void what_went_below_before_a_refused_flush_goes_again(void **state)
{
	struct scene *scene = *state;

	set_mode(scene, ENGINE_WRITE_AROUND);
	scene_write_now(scene, 50, 1, 'a');
	engine_set_mode(scene->engine, ENGINE_WRITE_BACK);
	scene_write_now(scene, 3, 1, 'b');
	scene_write_now(scene, 100, 1, 'c');
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_FLUSH), 1);
	scene_end(scene, ENGINE_SSD_READ);
	if (scene_waiting(scene, ENGINE_SSD_FLUSH) > 0)
		scene_end(scene, ENGINE_SSD_FLUSH);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 2);
	scene_end(scene, ENGINE_BELOW_WRITE);
	scene_end_with(scene, ENGINE_BELOW_FLUSH, -EIO);
	while (scene_waiting(scene, ENGINE_BELOW_WRITE) > 0)
		scene_end(scene, ENGINE_BELOW_WRITE);
	assert_int_equal(scene_stats(scene).destage_failures, 1);
	assert_int_equal(scene_stats(scene).dirty_bytes, 2 * LOG_BLOCK_BYTES);
}

static void a_refused_flush_is_told_to_the_guest_once(void **state)
{
	struct scene *scene = *state;
	struct guest *flush;

	set_mode(scene, ENGINE_WRITE_AROUND);
	scene_write_now(scene, 3, 1, 'a');
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	scene_end_with(scene, ENGINE_BELOW_FLUSH, -EIO);
	assert_true(engine_drain_failed(scene->engine));
	scene_end_all(scene);
	flush = scene_flush(scene);
	scene_poll(scene);
	assert_true(flush->done);
	assert_int_equal(flush->request.status, -EIO);
	assert_false(engine_drain_failed(scene->engine));
	scene_flush_now(scene);
}

static void writes_wait_while_the_log_is_full_and_never_fail(void **state)
{
	struct scene *scene = *state;
	struct guest *writes[20];
	uint32_t acked = 0;

	for (uint32_t i = 0; i < 20; i++)
		writes[i] = scene_write(scene, i * 10, 6, 'a');
	assert_true(scene_end_all_but_below(scene) > 0);
	for (uint32_t i = 0; i < 20; i++)
		acked += writes[i]->done;
	assert_in_range(acked, 3, 17);
	scene->now_ns += 7 * SCENE_SECOND_NS;
	scene_end_all_but_below(scene);
	/* The backend answers again. */
	for (int i = 0; i < 100; i++) {
		scene_end_all(scene);
		scene->now_ns += SCENE_SECOND_NS;
	}
	for (uint32_t i = 0; i < 20; i++) {
		assert_true(writes[i]->done);
		assert_int_equal(writes[i]->request.status, 0);
	}
	assert_true(scene_stats(scene).throttled_ns >= 7 * SCENE_SECOND_NS);
	scene_forget_guests(scene);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(scene_read_now(scene, i * 10 + 5), 'a');
}

/* The newest tail that an SSD flush has covered. */
static uint64_t durable_tail(struct scene *scene)
{
	uint64_t durable = scene_stats(scene).durable_sequence;
	uint64_t tail = scene_superblock(scene, scene_newer_superblock(scene))
				->tail_sequence;

	for (; durable > 0; durable--) {
		const struct log_record_header *header =
			scene_record(scene, durable);

		if (header && header->tail_sequence > tail)
			tail = header->tail_sequence;
	}
	return tail;
}

/* Newest sequence in each segment of the log that a test watches. */
struct watch {
	uint64_t newest[SCENE_SEGMENTS];
	uint32_t reused;
};

static void watch_io(struct watch *watch, struct scene *scene,
		     const struct engine_io *io)
{
	uint64_t block = io->offset / LOG_BLOCK_BYTES;
	uint64_t *newest;

	if (io->type != ENGINE_SSD_WRITE || block < SCENE_FIRST_SEGMENT)
		return;
	newest = &watch->newest[(block - SCENE_FIRST_SEGMENT) /
				SCENE_SEGMENT_BLOCKS];
	/* A head is written where there was another one. */
	if (*newest != 0 && block % SCENE_SEGMENT_BLOCKS == 0) {
		assert_true(*newest < durable_tail(scene));
		watch->reused++;
	}
	*newest = scene_stats(scene).sequence;
}

static void watch_all(struct watch *watch, struct scene *scene)
{
	while (scene->waiting_count > 0) {
		watch_io(watch, scene, scene->waiting[0]);
		scene_end_io(scene, scene->waiting[0], 0);
	}
}

static void a_segment_is_reused_only_behind_a_durable_tail(void **state)
{
	struct scene *scene = *state;
	struct watch watch = {0};

	engine_set_draining(scene->engine, true);
	for (uint32_t i = 0; i < 80; i++) {
		scene_write(scene, i * 3 % 200, 6, (char)i);
		scene_poll(scene);
		watch_all(&watch, scene);
		scene_pass_ns(scene, SCENE_SECOND_NS / 100);
		watch_all(&watch, scene);
		scene_forget_guests(scene);
	}
	assert_true(watch.reused > SCENE_SEGMENTS);
}

static void the_log_goes_round_and_keeps_the_newest(void **state)
{
	struct scene *scene = *state;

	for (uint32_t round = 0; round < 40; round++) {
		for (uint32_t block = 0; block < 12; block += 3)
			scene_write_now(scene, block, 3,
					(char)('a' + round % 26));
		scene->now_ns += SCENE_SECOND_NS;
	}
	for (uint32_t block = 0; block < 12; block++)
		assert_int_equal(scene_read_now(scene, block), 'a' + 39 % 26);
	scene_restart(scene);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
	for (uint32_t block = 0; block < 12; block++)
		assert_int_equal(scene_read_now(scene, block), 'a' + 39 % 26);
	scene_drain(scene);
	for (uint32_t block = 0; block < 12; block++)
		assert_below(scene, block, 'a' + 39 % 26);
}

/*
 * Block 3 dirty in the oldest segment, and behind it clean copies of blocks
 * from 100 on, until the log begins to want free segments.
 */
static void fill_behind_a_dirty_block(struct scene *scene)
{
	uint64_t block = 100;

	scene_write_now(scene, 3, 1, 'd');
	while (scene_stats(scene).segments_free > 4) {
		scene_read_now(scene, block);
		scene_read_now(scene, block);
		block++;
	}
	assert_int_equal(scene_stats(scene).dirty_bytes, LOG_BLOCK_BYTES);
}

/* Each killed process leaves the rest of a segment unused. */
static void waste_segments(struct scene *scene)
{
	uint64_t block = 100;

	scene->config.mode = ENGINE_WRITE_AROUND;
	for (;;) {
		scene_boot(scene);
		scene_end_all_but_below(scene);
		assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
		if (scene_stats(scene).segments_free == 0)
			return;
		scene_write(scene, block++, 1, 'x');
		scene_end_all_but_below(scene);
	}
}

static void the_superblock_carries_the_tail_when_the_log_has_no_room(
	void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	fill_behind_a_dirty_block(scene);
	waste_segments(scene);
	write = scene_write(scene, 115, 1, 'n');
	scene_end_all_but_below(scene);
	assert_false(write->done);
	assert_int_equal(scene_superblock(scene, scene_newer_superblock(scene))
				 ->tail_sequence,
			 1);
	/* The backend answers: block 3 is clean, and nothing can say so. */
	scene_end_all(scene);
	assert_true(write->done);
	assert_int_equal(write->request.status, 0);
	assert_true(scene_superblock(scene, scene_newer_superblock(scene))
			    ->tail_sequence > 1);
	assert_true(scene_stats(scene).segments_free > 0);
	scene_forget_guests(scene);
	scene_restart(scene);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
	assert_int_equal(scene_read_now(scene, 3), 'd');
	assert_int_equal(scene_read_now(scene, 115), 'n');
	assert_int_equal(scene_read_now(scene, 116), 'o');
}

/*
 * A log that goes round gives up its oldest segments all the time. That is no
 * reason to write back what was written just now.
 */
static void young_data_stay_dirty_while_clean_segments_are_given_up(
	void **state)
{
	struct scene *scene = *state;
	uint64_t sequence;

	scene_write_now(scene, 3, 1, 'a');
	scene_drain(scene);
	/* Until its clean segments are given up one by one. */
	for (uint64_t block = 100; scene_stats(scene).segments_free > 4;
	     block++) {
		scene_read_now(scene, block);
		scene_read_now(scene, block);
	}
	sequence = scene_stats(scene).tail_sequence;
	for (uint64_t i = 0; i < 12; i++)
		scene_write_now(scene, 10 + i, 1, 'y');
	assert_true(scene_stats(scene).tail_sequence > sequence);
	assert_int_equal(scene_stats(scene).dirty_bytes, 12 * LOG_BLOCK_BYTES);
	assert_int_equal(scene_stats(scene).destaged_bytes, LOG_BLOCK_BYTES);
}

static void a_lost_block_does_not_hold_up_the_log(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	scene_flush_now(scene);
	scene_copy(scene, 3)[9] ^= 1;
	for (uint32_t round = 0; round < 60; round++) {
		scene_write_now(scene, 100, 6, (char)round);
		scene->now_ns += SCENE_SECOND_NS;
	}
	assert_int_equal(scene_read_now(scene, 3), -EIO);
	assert_below(scene, 3, 'o');
	scene_restart(scene);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
	assert_int_equal(scene_read_now(scene, 3), -EIO);
	assert_int_equal(scene_read_now(scene, 105), 59);
}

static void a_drain_ends_although_the_guest_goes_on_writing(void **state)
{
	struct scene *scene = *state;
	struct engine_point point;
	uint32_t writes = 0;

	scene_write_now(scene, 3, 1, 'a');
	point = engine_now(scene->engine);
	assert_false(engine_drained(scene->engine, &point));
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	while (!engine_drained(scene->engine, &point)) {
		struct guest *write =
			scene_write(scene, 100 + writes % 50, 1, 'b');

		scene_poll(scene);
		while (!write->done)
			scene_end_io(scene, scene->waiting[0], 0);
		scene_forget_guests(scene);
		assert_in_range(++writes, 1, 50);
	}
	assert_below(scene, 3, 'a');
	assert_false(engine_clean(scene->engine));
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_write_through_is_acked_after_below),
		TEST(a_write_through_becomes_clean_when_below_is_flushed),
		TEST(a_failed_write_of_below_fails_the_write_through),
		TEST(two_writes_through_of_a_block_reach_below_in_order),
		TEST(write_around_drops_then_writes),
		TEST(write_around_of_what_is_not_cached_goes_straight_below),
		TEST(write_around_of_what_is_dirty_stays_in_the_log),
		TEST(a_mode_is_not_reached_before_nothing_is_dirty),
		TEST(what_is_left_before_a_mode_is_reached_is_told),
		TEST(a_write_that_was_under_way_is_of_the_mode_before),
		TEST(what_only_awaits_a_flush_below_is_not_called_draining),
		TEST(leaving_write_back_drains_by_itself),
		TEST(each_record_says_in_which_mode_it_was_written),
		TEST(a_drain_writes_flushes_and_only_then_marks_clean),
		TEST(blocks_go_below_sorted_and_merged),
		TEST(what_was_overwritten_while_it_was_destaged_stays_dirty),
		TEST(dirty_blocks_go_below_when_they_are_old_enough),
		TEST(a_shorter_age_counts_at_once),
		TEST(what_below_refuses_stays_dirty_and_is_tried_again),
		TEST(a_refused_flush_of_below_marks_nothing_clean),
		TEST(what_went_below_before_a_refused_flush_goes_again),
		TEST(a_refused_flush_is_told_to_the_guest_once),
		TEST(writes_wait_while_the_log_is_full_and_never_fail),
		TEST(a_segment_is_reused_only_behind_a_durable_tail),
		TEST(the_log_goes_round_and_keeps_the_newest),
		TEST(the_superblock_carries_the_tail_when_the_log_has_no_room),
		TEST(young_data_stay_dirty_while_clean_segments_are_given_up),
		TEST(a_lost_block_does_not_hold_up_the_log),
		TEST(a_drain_ends_although_the_guest_goes_on_writing),
	};

	return cmocka_run_group_tests_name("engine: destage", tests, NULL,
					   NULL);
}
