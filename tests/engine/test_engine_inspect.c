// SPDX-License-Identifier: Apache-2.0
/*
 * test_engine_inspect.c - an engine that only looks: at whole files, and at
 * damaged ones that a start refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core.h"
#include "inspect.h"
#include "recovery.h"
#include "scene.h"

static struct inspect_log look(struct scene *scene, enum engine_inspection how)
{
	struct inspect_log log = {0};

	scene->config.may_format = false;
	scene->config.inspection = how;
	scene_boot(scene);
	while (scene_waiting(scene, ENGINE_SSD_READ) > 0)
		scene_end(scene, ENGINE_SSD_READ);
	/* Neither a write nor a flush. */
	assert_int_equal(scene->waiting_count, 0);
	if (engine_state(scene->engine) == ENGINE_INSPECTED)
		inspect_log(scene->engine, &log);
	scene->config.inspection = ENGINE_INSPECT_NOT;
	return log;
}

static struct inspect_log salvage(struct scene *scene)
{
	struct inspect_log log;

	look(scene, ENGINE_INSPECT);
	assert_int_equal(engine_state(scene->engine), ENGINE_FAILED);
	log = look(scene, ENGINE_SALVAGE);
	assert_int_equal(engine_state(scene->engine), ENGINE_INSPECTED);
	return log;
}

static struct inspect_copy copy_of(struct scene *scene, uint64_t block)
{
	struct inspect_copy copy = {0};

	if (!inspect_next(scene->engine, block, &copy) || copy.block != block)
		return (struct inspect_copy){0};
	return copy;
}

/* The copy is whole, by its own check value, and full of @letter. */
static void assert_copy(struct scene *scene, uint64_t block, char letter)
{
	struct inspect_copy copy = copy_of(scene, block);
	const uint8_t *bytes = scene->ssd + (size_t)copy.location * 4096;

	assert_int_not_equal(copy.location, 0);
	assert_block(bytes, letter);
	assert_int_equal(
		log_check(log_check_seed(scene->config.uuid, copy.sequence),
			  block, bytes),
		copy.check);
}

static void assert_gap(const struct inspect_log *log, uint32_t index,
		       uint64_t first, uint64_t last)
{
	assert_true(index < log->gap_count);
	assert_int_equal(log->gaps[index].first, first);
	assert_int_equal(log->gaps[index].last, last);
}

/* Records 1 to @count, each a block: number i is block i, letter 'a' + i. */
static void write_records(struct scene *scene, uint64_t count)
{
	for (uint64_t i = 1; i <= count; i++)
		scene_write_now(scene, i, 1, (char)('a' + i));
	scene_flush_now(scene);
	/* It says that the others are durable. */
	scene_write_now(scene, 200, 1, 'z');
}

static void an_inspection_finds_what_a_start_finds(void **state)
{
	struct scene *scene = *state;
	struct engine_stats stats;
	struct inspect_log log;

	for (uint32_t i = 0; i < 100; i++) {
		scene_write_now(scene, i * 7 % 240, 1 + i % 6, (char)i);
		scene->now_ns += SCENE_SECOND_NS / 4;
	}
	log = look(scene, ENGINE_INSPECT);
	assert_int_equal(engine_state(scene->engine), ENGINE_INSPECTED);
	scene_restart(scene);
	stats = scene_stats(scene);
	assert_int_equal(log.last_sequence, stats.sequence);
	assert_int_equal(log.tail_sequence, stats.tail_sequence);
	assert_int_equal(log.dirty_blocks * 4096, stats.dirty_bytes);
	assert_int_equal(log.cached_blocks * 4096, stats.cached_bytes);
	assert_int_equal(log.records, stats.recovered_records);
	assert_int_equal(log.gap_count, 0);
	assert_true(log.segments_used > 2 && log.segments_used < log.segments);
}

static void an_inspection_tells_dirty_from_clean_and_part_from_whole(
	void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	scene_drain(scene);
	scene_write_now(scene, 5, 1, 'b');
	scene_write_sectors(scene, 9 * 8 + 1, 2, 'c');
	scene_end_all(scene);
	look(scene, ENGINE_INSPECT);
	assert_false(copy_of(scene, 3).dirty);
	assert_copy(scene, 3, 'a');
	assert_true(copy_of(scene, 5).dirty);
	assert_copy(scene, 5, 'b');
	assert_int_equal(copy_of(scene, 5).mask, LOG_MASK_WHOLE);
	assert_int_equal(copy_of(scene, 9).mask, 6);
	assert_int_equal(copy_of(scene, 4).location, 0);
	assert_false(copy_of(scene, 5).doubtful);
}

static void a_leaf_of_zeros_is_one_copy(void **state)
{
	struct scene *scene = *state;
	uint64_t leaf = INDEX_LEAF_BLOCKS;
	uint64_t last = 2 * leaf - 1;

	scene_grow(scene, 4 * leaf);
	scene_zero(scene, ENGINE_ZERO, (leaf - 1) * LOG_SECTORS_PER_BLOCK,
		   (2 * leaf + 1) * LOG_SECTORS_PER_BLOCK);
	scene_end_all(scene);
	scene_forget_guests(scene);
	scene_write_now(scene, last, 1, 'w');
	look(scene, ENGINE_INSPECT);
	assert_true(copy_of(scene, leaf - 1).zero);
	assert_int_equal(copy_of(scene, leaf - 1).block_count, 1);
	/* Written since: it has slots of its own. */
	assert_true(copy_of(scene, leaf).zero);
	assert_int_equal(copy_of(scene, leaf).block_count, 1);
	assert_false(copy_of(scene, last).zero);
	assert_copy(scene, last, 'w');
	assert_true(copy_of(scene, 2 * leaf).zero);
	assert_true(copy_of(scene, 2 * leaf).dirty);
	assert_int_equal(copy_of(scene, 2 * leaf).block_count, leaf);
	assert_int_equal(copy_of(scene, 2 * leaf + 5).block_count, leaf - 5);
	assert_int_equal(copy_of(scene, 3 * leaf).location, 0);
}

static void an_engine_that_looks_serves_nothing(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	look(scene, ENGINE_INSPECT);
	read = scene_read(scene, 0, 1);
	scene_poll(scene);
	assert_true(read->done);
	assert_int_equal(read->request.status, -EIO);
	assert_int_equal(scene->waiting_count, 0);
}

static void only_who_asks_the_headers_sees_what_summaries_make_up_for(
	void **state)
{
	struct scene *scene = *state;
	struct log_record_header *header;

	scene->config.summaries = true;
	scene_restart(scene);
	write_records(scene, 24);
	header = scene_record(scene, 5);
	header->mode ^= 1;
	look(scene, ENGINE_INSPECT);
	assert_string_equal(engine_failure(scene->engine)->message, "");
	assert_copy(scene, 5, 'f');
	look(scene, ENGINE_INSPECT_HEADERS);
	assert_int_equal(engine_state(scene->engine), ENGINE_FAILED);
	header->mode ^= 1;
	look(scene, ENGINE_INSPECT_HEADERS);
	assert_int_equal(engine_state(scene->engine), ENGINE_INSPECTED);
	assert_copy(scene, 5, 'f');
}

static void salvage_of_a_whole_file_is_an_inspection(void **state)
{
	struct scene *scene = *state;
	struct inspect_log whole;
	struct inspect_log salvaged;

	for (uint32_t i = 0; i < 100; i++)
		scene_write_now(scene, i * 7 % 240, 1 + i % 6, (char)i);
	scene_restart(scene);
	scene_write_now(scene, 3, 1, 'a');
	whole = look(scene, ENGINE_INSPECT);
	salvaged = look(scene, ENGINE_SALVAGE);
	assert_int_equal(whole.last_sequence, salvaged.last_sequence);
	assert_int_equal(whole.tail_sequence, salvaged.tail_sequence);
	assert_int_equal(whole.dirty_blocks, salvaged.dirty_blocks);
	assert_int_equal(whole.cached_blocks, salvaged.cached_blocks);
	assert_int_equal(salvaged.gap_count, 0);
}

static void salvage_passes_over_a_damaged_record(void **state)
{
	struct scene *scene = *state;
	struct inspect_log log;

	write_records(scene, 12);
	scene_record(scene, 5)->mode ^= 1;
	log = salvage(scene);
	assert_int_equal(log.gap_count, 1);
	assert_gap(&log, 0, 5, 5);
	assert_int_equal(copy_of(scene, 5).location, 0);
	for (uint64_t block = 1; block <= 12; block++) {
		if (block == 5)
			continue;
		assert_copy(scene, block, (char)('a' + block));
		/* Record 5 may have been about an older one, not a newer. */
		assert_int_equal(copy_of(scene, block).doubtful, block < 5);
	}
	assert_copy(scene, 200, 'z');
}

static void salvage_finds_the_first_record_of_a_segment_damaged(void **state)
{
	struct scene *scene = *state;
	struct inspect_log log;

	/* Three records of two blocks each fill a segment. */
	write_records(scene, 12);
	scene_record(scene, 4)->mode ^= 1;
	log = salvage(scene);
	assert_gap(&log, 0, 4, 4);
	assert_copy(scene, 5, 'f');
	assert_int_equal(copy_of(scene, 5).sequence, 5);
}

static void salvage_passes_over_a_segment_whose_head_is_gone(void **state)
{
	struct scene *scene = *state;
	struct inspect_log log;

	write_records(scene, 12);
	memset(scene->ssd + (size_t)(SCENE_FIRST_SEGMENT + 8) * 4096, 0, 4096);
	log = salvage(scene);
	assert_int_equal(log.gap_count, 1);
	assert_gap(&log, 0, 4, 6);
	assert_copy(scene, 3, 'd');
	assert_copy(scene, 7, 'h');
	assert_true(copy_of(scene, 3).doubtful);
	assert_false(copy_of(scene, 7).doubtful);
}

static void salvage_tells_that_the_newest_durable_records_are_missing(
	void **state)
{
	struct scene *scene = *state;
	struct inspect_log log;

	write_records(scene, 12);
	engine_close(scene->engine);
	scene_poll(scene);
	scene_end_all(scene);
	/* The row is closed at 13, the only one in its segment. */
	scene_record(scene, 13)->mode ^= 1;
	log = salvage(scene);
	assert_int_equal(log.last_sequence, 12);
	assert_gap(&log, 0, 13, 13);
	assert_true(copy_of(scene, 12).doubtful);
}

static void salvage_needs_no_superblock(void **state)
{
	struct scene *scene = *state;
	struct inspect_log log;

	write_records(scene, 5);
	scene_restart(scene);
	scene_write_now(scene, 3, 1, 'Y');
	scene_restart(scene);
	scene_write_now(scene, 4, 1, 'X');
	memset(scene->ssd, 0xff, 32 * 4096);
	log = salvage(scene);
	assert_int_equal(log.gap_count, 0);
	assert_int_equal(log.superblock->row_count, 3);
	assert_int_equal(log.dirty_blocks, 6);
	assert_copy(scene, 1, 'b');
	assert_copy(scene, 3, 'Y');
	assert_copy(scene, 4, 'X');
}

static void salvage_makes_up_for_a_newer_superblock_that_is_lost(void **state)
{
	struct scene *scene = *state;
	struct inspect_log log;

	write_records(scene, 5);
	scene_restart(scene);
	scene_write_now(scene, 3, 1, 'Y');
	scene_superblock(scene, scene_newer_superblock(scene))->flags ^= 1;
	log = salvage(scene);
	assert_int_equal(log.gap_count, 0);
	assert_copy(scene, 2, 'c');
	assert_copy(scene, 3, 'Y');
}

/* What a dead opener had under way is no part of the log. */
static void salvage_leaves_abandoned_records_alone(void **state)
{
	struct scene *scene = *state;

	write_records(scene, 5);
	scene_write(scene, 1, 1, 'Q');
	scene_poll(scene);
	scene_write(scene, 2, 1, 'Q');
	scene_poll(scene);
	/* 8 arrived and 7 did not. */
	assert_int_equal(scene->waiting_count, 2);
	scene_end_io(scene, scene->waiting[1], 0);
	scene_restart(scene);
	scene_write_now(scene, 3, 1, 'Y');
	memset(scene->ssd, 0, 32 * 4096);
	look(scene, ENGINE_SALVAGE);
	assert_int_equal(engine_state(scene->engine), ENGINE_INSPECTED);
	assert_copy(scene, 1, 'b');
	assert_copy(scene, 2, 'c');
	assert_copy(scene, 3, 'Y');
}

static void a_gap_above_what_is_durable_ends_a_salvage_too(void **state)
{
	struct scene *scene = *state;
	struct inspect_log log;

	write_records(scene, 3);
	scene_write_now(scene, 5, 1, 'n');
	scene_write_now(scene, 6, 1, 'n');
	scene_record(scene, 5)->mode ^= 1;
	scene_record(scene, 2)->mode ^= 1;
	log = salvage(scene);
	assert_int_equal(log.gap_count, 1);
	assert_gap(&log, 0, 2, 2);
	assert_int_equal(log.last_sequence, 4);
	assert_int_equal(copy_of(scene, 6).location, 0);
}

static void a_segment_that_stands_twice_counts_once(void **state)
{
	struct scene *scene = *state;
	struct inspect_log log;
	uint8_t *first = scene->ssd + (size_t)SCENE_FIRST_SEGMENT * 4096;

	write_records(scene, 12);
	memcpy(first + (size_t)10 * 8 * 4096, first + (size_t)8 * 4096,
	       (size_t)8 * 4096);
	log = salvage(scene);
	assert_int_equal(log.overlaps, 1);
	assert_int_equal(log.gap_count, 0);
	for (uint64_t block = 1; block <= 12; block++)
		assert_copy(scene, block, (char)('a' + block));
}

static void every_gap_is_told_in_order(void **state)
{
	struct scene *scene = *state;
	struct inspect_log log;

	write_records(scene, 24);
	for (uint64_t sequence = 2; sequence < 24; sequence += 2)
		scene_record(scene, sequence)->mode ^= 1;
	log = salvage(scene);
	assert_int_equal(log.gap_count, 11);
	for (uint32_t i = 0; i < log.gap_count; i++)
		assert_gap(&log, i, 2 + 2 * i, 2 + 2 * i);
}

static void gaps_beyond_the_limit_are_told_as_one(void **state)
{
	static struct engine engine;

	(void)state;
	engine.recovery.tail = 1;
	for (uint64_t i = 1; i <= SALVAGE_GAPS_MAX + 5; i++)
		salvage_pass(&engine, 2 * i);
	assert_int_equal(engine.salvage.gap_count, SALVAGE_GAPS_MAX);
	assert_int_equal(engine.salvage.gaps[SALVAGE_GAPS_MAX - 2].last,
			 2 * SALVAGE_GAPS_MAX - 3);
	assert_int_equal(engine.salvage.gaps[SALVAGE_GAPS_MAX - 1].first,
			 2 * SALVAGE_GAPS_MAX - 1);
	assert_int_equal(engine.salvage.gaps[SALVAGE_GAPS_MAX - 1].last,
			 2 * SALVAGE_GAPS_MAX + 9);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_inspection_finds_what_a_start_finds),
		TEST(an_inspection_tells_dirty_from_clean_and_part_from_whole),
		TEST(a_leaf_of_zeros_is_one_copy),
		TEST(an_engine_that_looks_serves_nothing),
		TEST(only_who_asks_the_headers_sees_what_summaries_make_up_for),
		TEST(salvage_of_a_whole_file_is_an_inspection),
		TEST(salvage_passes_over_a_damaged_record),
		TEST(salvage_finds_the_first_record_of_a_segment_damaged),
		TEST(salvage_passes_over_a_segment_whose_head_is_gone),
		TEST(salvage_tells_that_the_newest_durable_records_are_missing),
		TEST(salvage_needs_no_superblock),
		TEST(salvage_makes_up_for_a_newer_superblock_that_is_lost),
		TEST(salvage_leaves_abandoned_records_alone),
		TEST(a_gap_above_what_is_durable_ends_a_salvage_too),
		TEST(a_segment_that_stands_twice_counts_once),
		TEST(every_gap_is_told_in_order),
		cmocka_unit_test(gaps_beyond_the_limit_are_told_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
