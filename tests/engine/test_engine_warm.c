// SPDX-License-Identifier: Apache-2.0
/*
 * test_engine_warm.c - starts from memory that outlived a process: when it is
 * believed, what is read all the same, and what happens if it isn't.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "scene.h"

#define RECORDS 8u

static void write_records(struct scene *scene)
{
	for (uint64_t i = 0; i < RECORDS; i++)
		scene_write_now(scene, i * 20, 3, (char)('a' + i));
}

static void assert_records(struct scene *scene)
{
	if (engine_state(scene->engine) == ENGINE_FAILED)
		fail_msg("%s", engine_failure(scene->engine)->message);
	for (uint64_t i = 0; i < RECORDS; i++)
		assert_int_equal(scene_read_now(scene, i * 20), 'a' + i);
	assert_int_equal(scene_stats(scene).dirty_bytes,
			 RECORDS * 3 * LOG_BLOCK_BYTES);
}

static void assert_cold(struct scene *scene)
{
	assert_false(scene_stats(scene).warm);
	assert_true(scene_stats(scene).recovered_records >= RECORDS);
	assert_records(scene);
}

static void assert_warm(struct scene *scene)
{
	assert_true(scene_stats(scene).warm);
	assert_records(scene);
}

static void a_killed_process_leaves_what_it_knew(void **state)
{
	struct scene *scene = *state;
	uint64_t cold_bytes;

	write_records(scene);
	scene_restart_warm(scene);
	assert_warm(scene);
	assert_int_equal(scene_stats(scene).recovered_records, 0);
	scene_restart(scene);
	cold_bytes = scene_stats(scene).recovery_read_bytes;
	scene_write_now(scene, 200, 1, 'z');
	scene_restart_warm(scene);
	assert_true(scene_stats(scene).recovery_read_bytes < cold_bytes);
	assert_int_equal(scene_read_now(scene, 200), 'z');
}

static void a_hole_that_a_killed_process_left_is_filled(void **state)
{
	struct scene *scene = *state;
	struct chunks *chunks = &scene->engine->index.chunks;

	write_records(scene);
	chunks_give_back(chunks, chunks_take(chunks, 0, 0));
	undo_commit(chunks->memory.undo);
	assert_true(chunks_has_hole(chunks));
	scene_restart_warm(scene);
	assert_warm(scene);
	assert_false(chunks_has_hole(&scene->engine->index.chunks));
}

static void what_was_on_its_way_is_found_on_the_ssd(void **state)
{
	struct scene *scene = *state;
	struct engine_io *io;

	write_records(scene);
	scene_write(scene, 0, 1, 'n');
	scene_poll(scene);
	/* It gets to the SSD, and nobody hears of it. */
	io = scene_oldest(scene, ENGINE_SSD_WRITE);
	for (uint32_t i = 0; i < io->iov_count; i++) {
		memcpy(scene->ssd + io->offset, io->iov[i].iov_base,
		       io->iov[i].iov_len);
		io->offset += io->iov[i].iov_len;
	}
	scene_restart_warm(scene);
	assert_true(scene_stats(scene).warm);
	assert_int_equal(scene_stats(scene).recovered_records, 1);
	assert_int_equal(scene_read_now(scene, 0), 'n');
	assert_int_equal(scene_read_now(scene, 20), 'b');
}

static void what_never_got_to_the_ssd_is_not_there(void **state)
{
	struct scene *scene = *state;

	write_records(scene);
	scene_write(scene, 0, 1, 'n');
	scene_poll(scene);
	scene_restart_warm(scene);
	assert_warm(scene);
	/* And the log goes on behind it. */
	scene_write_now(scene, 0, 1, 'm');
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 0), 'm');
}

static void an_orderly_end_leaves_nothing_to_read(void **state)
{
	struct scene *scene = *state;

	write_records(scene);
	engine_close(scene->engine);
	scene_poll(scene);
	scene_end_all(scene);
	scene_restart_warm(scene);
	assert_true(scene_stats(scene).warm);
	/* But for the superblock. */
	assert_int_equal(scene_stats(scene).recovery_read_bytes,
			 LOG_SUPERBLOCK_COPIES * LOG_SUPERBLOCK_BLOCKS *
				 LOG_BLOCK_BYTES);
	assert_records(scene);
}

static void it_is_not_believed_without_the_hosts_word(void **state)
{
	struct scene *scene = *state;
	void *kept = malloc(scene->kept_bytes);

	assert_non_null(kept);
	write_records(scene);
	memcpy(kept, scene->memory.kept, scene->kept_bytes);
	scene_restart(scene);
	memcpy(scene->memory.kept, kept, scene->kept_bytes);
	free(kept);
	/* Another process wrote the superblock since. */
	scene_restart_warm(scene);
	assert_cold(scene);
	/* What it made itself it believes. */
	scene_restart_warm(scene);
	assert_warm(scene);
}

static void half_a_change_is_taken_back(void **state)
{
	struct scene *scene = *state;
	struct index_copy copy;

	write_records(scene);
	copy = index_get(&scene->engine->index, 0);
	copy.location++;
	index_set(&scene->engine->index, 0, &copy);
	index_unmap(&scene->engine->index, 1);
	scene_restart_warm(scene);
	assert_warm(scene);
}

static void an_eviction_that_was_cut_short_is_ended(void **state)
{
	struct scene *scene = *state;
	struct segment_table *table = &scene->engine->segments;
	uint64_t cached;
	uint32_t tail;

	write_records(scene);
	scene_drain(scene);
	cached = scene_stats(scene).cached_bytes;
	/* As evict.c: the tail has passed, and one copy was forgotten. */
	tail = table->tail;
	kept_tail(scene->engine, segments_after(table, tail),
		  table->segments[segments_after(table, tail)].first_sequence);
	apply_forget(scene->engine, 0);
	scene_restart_warm(scene);
	assert_true(scene_stats(scene).warm);
	assert_true(scene_stats(scene).cached_bytes < cached - LOG_BLOCK_BYTES);
	assert_int_equal(scene->engine->segments.segments[tail].live, 0);
	assert_int_equal(scene_read_now(scene, 0), 'a');
}

static void after_a_wrong_check_value_memory_may_be_what_is_wrong(void **state)
{
	struct scene *scene = *state;

	write_records(scene);
	kept_doubt(scene->engine);
	scene_restart_warm(scene);
	assert_cold(scene);
	scene->engine->kept->doubt_ns = scene->now_ns - KEPT_DOUBT_NS;
	scene_restart_warm(scene);
	assert_warm(scene);
}

static void an_engine_that_failed_leaves_nothing_to_believe(void **state)
{
	struct scene *scene = *state;

	write_records(scene);
	engine_fail(scene->engine, -EIO, "for the test");
	scene_restart_warm(scene);
	assert_cold(scene);
}

static void memory_of_another_shape_is_not_believed(void **state)
{
	struct scene *scene = *state;

	write_records(scene);
	scene->engine->kept->layout++;
	scene_restart_warm(scene);
	assert_cold(scene);
}

static void nonsense_in_it_ends_in_a_cold_start(void **state)
{
	struct scene *scene = *state;

	write_records(scene);
	scene->engine->kept->tail = 1u << 30;
	scene_restart_warm(scene);
	assert_cold(scene);
	scene->engine->kept->tail_sequence += 2;
	scene_restart_warm(scene);
	assert_cold(scene);
	scene->engine->segments.segments[0].first_sequence++;
	scene_restart_warm(scene);
	assert_cold(scene);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_killed_process_leaves_what_it_knew),
		TEST(a_hole_that_a_killed_process_left_is_filled),
		TEST(what_was_on_its_way_is_found_on_the_ssd),
		TEST(what_never_got_to_the_ssd_is_not_there),
		TEST(an_orderly_end_leaves_nothing_to_read),
		TEST(it_is_not_believed_without_the_hosts_word),
		TEST(half_a_change_is_taken_back),
		TEST(an_eviction_that_was_cut_short_is_ended),
		TEST(after_a_wrong_check_value_memory_may_be_what_is_wrong),
		TEST(an_engine_that_failed_leaves_nothing_to_believe),
		TEST(memory_of_another_shape_is_not_believed),
		TEST(nonsense_in_it_ends_in_a_cold_start),
	};

	return cmocka_run_group_tests_name("engine: warm start", tests, NULL,
					   NULL);
}
