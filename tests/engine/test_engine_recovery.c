// SPDX-License-Identifier: Apache-2.0
/*
 * test_engine_recovery.c - a new engine on what an old one left, whole or
 * damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "crc32c.h"
#include "scene.h"

static void assert_runs(struct scene *scene)
{
	scene_restart(scene);
	if (engine_state(scene->engine) == ENGINE_FAILED)
		fail_msg("%s", engine_failure(scene->engine)->message);
}

static void assert_refused(struct scene *scene, int code, const char *words)
{
	const struct error *failure;

	scene_restart(scene);
	assert_int_equal(engine_state(scene->engine), ENGINE_FAILED);
	failure = engine_failure(scene->engine);
	assert_int_equal(failure->code, code);
	if (!strstr(failure->message, words))
		fail_msg("no '%s' in: %s", words, failure->message);
}

static void what_was_acked_is_there_after_a_kill(void **state)
{
	struct scene *scene = *state;

	for (uint64_t i = 0; i < 12; i++)
		scene_write_now(scene, i * 20, 2, (char)('a' + i));
	assert_runs(scene);
	for (uint64_t i = 0; i < 12; i++) {
		assert_int_equal(scene_read_now(scene, i * 20), 'a' + i);
		assert_int_equal(scene_read_now(scene, i * 20 + 1), 'a' + i);
	}
	assert_int_equal(scene_stats(scene).dirty_bytes, 24 * LOG_BLOCK_BYTES);
	scene_drain(scene);
	for (uint64_t i = 0; i < 12; i++)
		assert_below(scene, i * 20, (char)('a' + i));
}

static void clean_copies_are_kept_and_stay_clean(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_write_now(scene, 3, 1, 'a');
	scene_drain(scene);
	assert_runs(scene);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
	assert_int_equal(scene_stats(scene).cached_bytes, LOG_BLOCK_BYTES);
	read = scene_read(scene, 3, 1);
	scene_poll(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_READ), 1);
	scene_end_all(scene);
	assert_block(read->bytes, 'a');
}

static void an_unfinished_record_is_the_cut(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	scene_write(scene, 3, 1, 'b');
	scene_poll(scene);
	/* Killed before it was written. */
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 3), 'a');
}

static void a_record_with_torn_data_is_the_cut(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	scene_write_now(scene, 3, 1, 'b');
	scene_write_now(scene, 50, 1, 'c');
	scene_copy(scene, 3)[4095] ^= 1;
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 3), 'a');
	assert_int_equal(scene_read_now(scene, 50), 'o');
}

static void an_abandoned_tail_never_comes_back(void **state)
{
	struct scene *scene = *state;
	uint8_t *copy;

	scene_write_now(scene, 3, 1, 'a');
	scene_write_now(scene, 3, 1, 'b');
	scene_write_now(scene, 50, 1, 'c');
	copy = scene_copy(scene, 3);
	copy[0] ^= 1;
	assert_runs(scene);
	/* What tore it is well again, but time has gone on. */
	copy[0] ^= 1;
	assert_int_equal(scene_read_now(scene, 3), 'a');
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 3), 'a');
	assert_int_equal(scene_read_now(scene, 50), 'o');
	scene_write_now(scene, 3, 1, 'd');
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 3), 'd');
	assert_int_equal(scene_read_now(scene, 50), 'o');
}

static void recovery_may_be_cut_short_anywhere(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 6, 'a');
	scene_write_now(scene, 100, 6, 'b');
	for (uint32_t steps = 0; steps < 60; steps++) {
		scene_boot(scene);
		for (uint32_t i = 0; i < steps && scene->waiting_count > 0; i++)
			scene_end_io(scene, scene->waiting[0], 0);
	}
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 8), 'a');
	assert_int_equal(scene_read_now(scene, 100), 'b');
}

static void each_start_has_an_incarnation_of_its_own(void **state)
{
	struct scene *scene = *state;
	uint64_t last = 0;

	for (int i = 0; i < 5; i++) {
		const struct log_record_header *header;

		scene_write_now(scene, (uint64_t)i, 1, 'a');
		header = scene_record(scene, scene_stats(scene).sequence);
		assert_true(header->incarnation > last);
		last = header->incarnation;
		assert_runs(scene);
	}
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(scene_read_now(scene, i), 'a');
}

static void ever_so_many_starts_need_no_more_rows(void **state)
{
	struct scene *scene = *state;

	for (uint32_t i = 0; i < 2 * LOG_ROWS_MAX; i += 97) {
		assert_runs(scene);
		assert_in_range(
			scene_superblock(scene, scene_newer_superblock(scene))
				->row_count,
			1, 2);
	}
}

static void damage(struct log_superblock *superblock)
{
	superblock->disk_bytes ^= 1;
}

static void a_corrupt_superblock_fails_over_to_the_other_copy(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	assert_runs(scene);
	damage(scene_superblock(scene, !scene_newer_superblock(scene)));
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 3), 'a');
}

static void a_superblock_torn_while_it_was_written_is_no_loss(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	/* The power failed before the new copy was whole. */
	assert_runs(scene);
	damage(scene_superblock(scene, scene_newer_superblock(scene)));
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 3), 'a');
}

static void a_superblock_that_records_need_is_not_done_without(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	assert_runs(scene);
	scene_write_now(scene, 3, 1, 'b');
	damage(scene_superblock(scene, scene_newer_superblock(scene)));
	/* The other copy would give the older data. */
	assert_refused(scene, -EUCLEAN, "newer copy of its superblock");
}

static void two_corrupt_superblocks_are_a_clear_failure(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	assert_runs(scene);
	damage(scene_superblock(scene, 0));
	damage(scene_superblock(scene, 1));
	assert_refused(scene, -EUCLEAN, "superblock has a wrong checksum");
}

static void a_file_with_data_is_never_formatted_again(void **state)
{
	struct scene *scene = *state;
	uint8_t before[sizeof(scene->ssd) / 8];

	scene_write_now(scene, 3, 1, 'a');
	assert_runs(scene);
	damage(scene_superblock(scene, 0));
	damage(scene_superblock(scene, 1));
	memcpy(before, scene->ssd, sizeof(before));
	assert_refused(scene, -EUCLEAN, "superblock");
	assert_memory_equal(before, scene->ssd, sizeof(before));
}

static void a_blank_file_is_formatted_only_if_that_is_allowed(void **state)
{
	struct scene *scene = *state;

	memset(scene->ssd, 0, sizeof(scene->ssd));
	scene->config.may_format = false;
	assert_refused(scene, -EUCLEAN, "blank");
	scene->config.may_format = true;
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 3), 'o');
}

static void another_disks_file_is_refused(void **state)
{
	struct scene *scene = *state;

	assert_runs(scene);
	scene->config.uuid[0] ^= 1;
	assert_refused(scene, -EUCLEAN, "another disk");
}

static void a_disk_of_another_size_is_refused(void **state)
{
	struct scene *scene = *state;

	scene->config.disk_bytes -= LOG_BLOCK_BYTES;
	assert_refused(scene, -EUCLEAN, "bytes");
}

/* A program that doesn't know zeroes must not open it again. */
static void a_file_of_the_first_version_becomes_one_of_the_newest(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 2, 'a');
	for (uint32_t i = 0; i < LOG_SUPERBLOCK_COPIES; i++) {
		struct log_superblock *copy = scene_superblock(scene, i);

		copy->version = LOG_FORMAT_VERSION_OLDEST;
		copy->crc = 0;
		copy->crc = crc32c(0, copy,
				   LOG_SUPERBLOCK_BLOCKS * LOG_BLOCK_BYTES);
	}
	scene_restart(scene);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
	assert_int_equal(scene_read_now(scene, 4), 'a');
	assert_int_equal(
		scene_superblock(scene, scene_newer_superblock(scene))->version,
		LOG_FORMAT_VERSION);
}

static void a_file_of_another_geometry_is_refused(void **state)
{
	struct scene *scene = *state;

	scene->config.file_bytes -=
		(uint64_t)SCENE_SEGMENT_BLOCKS * LOG_BLOCK_BYTES;
	assert_refused(scene, -EUCLEAN, "geometry");
}

static void an_epoch_that_is_over_is_refused(void **state)
{
	struct scene *scene = *state;

	scene->config.epoch = 2;
	assert_runs(scene);
	scene_write_now(scene, 3, 1, 'a');
	scene->config.epoch = 1;
	assert_refused(scene, -ESTALE, "another host");
	scene->config.epoch = 3;
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 3), 'a');
}

/* Writes, flushes, and writes once more, so that the log knows it. */
static uint64_t write_durably(struct scene *scene)
{
	uint64_t sequence;

	for (uint64_t i = 0; i < 8; i++)
		scene_write_now(scene, i * 20, 2, 'a');
	sequence = scene_stats(scene).sequence;
	scene_flush_now(scene);
	scene_write_now(scene, 200, 1, 'b');
	assert_int_equal(scene_record(scene, sequence + 1)->durable_sequence,
			 sequence);
	return sequence;
}

static void a_corrupt_header_below_the_durable_sequence_refuses_the_file(
	void **state)
{
	struct scene *scene = *state;
	uint64_t durable = write_durably(scene);
	uint8_t before[sizeof(scene->ssd)];

	memcpy(before, scene->ssd, sizeof(before));
	for (uint64_t sequence = 1; sequence <= durable; sequence++) {
		scene_record(scene, sequence)->mode ^= 1;
		assert_refused(scene, -EUCLEAN, "record");
		memcpy(scene->ssd, before, sizeof(before));
	}
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 141), 'a');
}

static void lose_segment(struct scene *scene, uint32_t segment)
{
	memset(scene->ssd + (size_t)(SCENE_FIRST_SEGMENT +
				     segment * SCENE_SEGMENT_BLOCKS) *
				    LOG_BLOCK_BYTES,
	       0, (size_t)SCENE_SEGMENT_BLOCKS * LOG_BLOCK_BYTES);
}

static void a_missing_segment_below_the_durable_sequence_refuses_the_file(
	void **state)
{
	struct scene *scene = *state;

	write_durably(scene);
	lose_segment(scene, 1);
	assert_refused(scene, -EUCLEAN, "record");
}

/*
 * A power failure before the first flush of the SSD may take any of it. A
 * record that it left says that the tail had moved on, over segments that were
 * not given up yet.
 */
static void a_log_without_a_durable_record_may_be_lost_in_any_order(
	void **state)
{
	struct scene *scene = *state;
	const struct log_record_header *record = NULL;

	for (uint32_t i = 0; i < 60 && !(record && record->tail_sequence > 1);
	     i++) {
		scene_write(scene, 0, 3, 'a');
		scene_poll(scene);
		while (scene_waiting(scene, ENGINE_SSD_WRITE) > 0)
			scene_end(scene, ENGINE_SSD_WRITE);
		while (scene_waiting(scene, ENGINE_SSD_READ) > 0)
			scene_end(scene, ENGINE_SSD_READ);
		record = scene_record(scene, scene_stats(scene).sequence);
		scene_forget_guests(scene);
	}
	assert_true(record && record->tail_sequence > 1);
	assert_int_equal(record->durable_sequence, 0);
	lose_segment(scene, 0);
	lose_segment(scene, 6);
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 0), 'o');
	scene_write_now(scene, 0, 1, 'b');
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 0), 'b');
}

static void a_corrupt_header_above_it_is_the_cut(void **state)
{
	struct scene *scene = *state;
	uint64_t durable = write_durably(scene);

	scene_record(scene, durable + 1)->mode ^= 1;
	/* Nothing says any more that what is before it was durable. */
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 140), 'a');
	assert_int_equal(scene_read_now(scene, 200), 'o');
}

static void corrupt_data_below_it_cost_only_their_block(void **state)
{
	struct scene *scene = *state;

	write_durably(scene);
	scene_copy(scene, 20)[7] ^= 1;
	assert_runs(scene);
	assert_int_equal(scene_read_now(scene, 20), -EIO);
	assert_int_equal(scene_read_now(scene, 21), 'a');
	assert_int_equal(scene_read_now(scene, 200), 'b');
}

static void a_read_error_of_the_ssd_at_the_start_is_told(void **state)
{
	struct scene *scene = *state;

	scene_boot(scene);
	scene_end_with(scene, ENGINE_SSD_READ, -EIO);
	scene_end_all(scene);
	assert_int_equal(engine_state(scene->engine), ENGINE_FAILED);
	assert_int_equal(engine_failure(scene->engine)->code, -EIO);
	assert_non_null(
		strstr(engine_failure(scene->engine)->message, "reading"));
}

static void nothing_runs_before_the_new_row_is_durable(void **state)
{
	struct scene *scene = *state;

	scene_boot(scene);
	while (scene_waiting(scene, ENGINE_SSD_READ) > 0)
		scene_end(scene, ENGINE_SSD_READ);
	assert_int_equal(scene->waiting_count, 1);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_int_equal(scene_oldest(scene, ENGINE_SSD_WRITE)->length,
			 LOG_SUPERBLOCK_BLOCKS * LOG_BLOCK_BYTES);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_int_equal(engine_state(scene->engine), ENGINE_STARTING);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
}

static void a_request_before_it_runs_fails(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_boot(scene);
	read = scene_read(scene, 0, 1);
	scene_poll(scene);
	assert_true(read->done);
	assert_int_equal(read->request.status, -EIO);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_acked_is_there_after_a_kill),
		TEST(clean_copies_are_kept_and_stay_clean),
		TEST(an_unfinished_record_is_the_cut),
		TEST(a_record_with_torn_data_is_the_cut),
		TEST(an_abandoned_tail_never_comes_back),
		TEST(recovery_may_be_cut_short_anywhere),
		TEST(each_start_has_an_incarnation_of_its_own),
		TEST(ever_so_many_starts_need_no_more_rows),
		TEST(a_corrupt_superblock_fails_over_to_the_other_copy),
		TEST(a_superblock_torn_while_it_was_written_is_no_loss),
		TEST(a_superblock_that_records_need_is_not_done_without),
		TEST(two_corrupt_superblocks_are_a_clear_failure),
		TEST(a_file_with_data_is_never_formatted_again),
		TEST(a_blank_file_is_formatted_only_if_that_is_allowed),
		TEST(another_disks_file_is_refused),
		TEST(a_disk_of_another_size_is_refused),
		TEST(a_file_of_another_geometry_is_refused),
		TEST(a_file_of_the_first_version_becomes_one_of_the_newest),
		TEST(an_epoch_that_is_over_is_refused),
		TEST(a_corrupt_header_below_the_durable_sequence_refuses_the_file),
		TEST(a_missing_segment_below_the_durable_sequence_refuses_the_file),
		TEST(a_log_without_a_durable_record_may_be_lost_in_any_order),
		TEST(a_corrupt_header_above_it_is_the_cut),
		TEST(corrupt_data_below_it_cost_only_their_block),
		TEST(a_read_error_of_the_ssd_at_the_start_is_told),
		TEST(nothing_runs_before_the_new_row_is_durable),
		TEST(a_request_before_it_runs_fails),
	};

	return cmocka_run_group_tests_name("engine: recovery", tests, NULL,
					   NULL);
}
