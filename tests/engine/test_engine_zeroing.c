// SPDX-License-Identifier: Apache-2.0
/* test_engine_zeroing.c - zeroes and discards: order, parts, recovery. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "scene.h"

#define LEAF 512u
#define SECTORS LOG_SECTORS_PER_BLOCK

static void submit_and_end(struct scene *scene, enum engine_operation operation,
			   uint64_t block, uint64_t count)
{
	struct guest *guest =
		scene_zero(scene, operation, block * SECTORS, count * SECTORS);

	scene_end_all(scene);
	assert_true(guest->done);
	assert_int_equal(guest->request.status, 0);
	scene_forget_guests(scene);
}

static void zeroes_are_read_at_once_and_without_io(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_write_now(scene, 3, 4, 'w');
	scene_zero_now(scene, 0, 20);
	read = scene_read(scene, 1, 8);
	scene_poll(scene);
	assert_int_equal(scene->waiting_count, 0);
	assert_true(read->done);
	for (uint32_t i = 0; i < 8; i++)
		assert_block(read->bytes + i * LOG_BLOCK_BYTES, 0);
	assert_below(scene, 5, 'o');
}

static void a_read_finds_data_between_zeros(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_zero_now(scene, 10, 10);
	scene_write_now(scene, 13, 2, 'd');
	read = scene_read(scene, 8, 14);
	scene_end_all(scene);
	for (uint32_t block = 8; block < 22; block++)
		assert_block(read->bytes + (block - 8) * LOG_BLOCK_BYTES,
			     block < 10 || block >= 20	  ? 'o'
			     : block == 13 || block == 14 ? 'd'
							  : 0);
}

static void zeroes_cost_the_log_a_header_and_no_data(void **state)
{
	struct scene *scene = *state;
	uint64_t records = scene_stats(scene).records;

	scene_zero_now(scene, 0, 200);
	assert_int_equal(scene_stats(scene).records, records + 1);
	assert_int_equal(
		scene_record(scene, scene_stats(scene).sequence)->data_blocks,
		0);
	assert_int_equal(scene_stats(scene).cached_bytes, 0);
	assert_int_equal(scene_stats(scene).dirty_zero_bytes,
			 200 * LOG_BLOCK_BYTES);
}

static void zeroes_and_discards_survive_a_restart(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 0, 8, 'w');
	submit_and_end(scene, ENGINE_ZERO, 1, 3);
	submit_and_end(scene, ENGINE_DISCARD, 5, 100);
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 0), 'w');
	assert_int_equal(scene_read_now(scene, 1), 0);
	assert_int_equal(scene_read_now(scene, 4), 'w');
	assert_int_equal(scene_read_now(scene, 104), 0);
	assert_int_equal(scene_read_now(scene, 105), 'o');
}

static void zeroes_go_below_as_such_and_are_forgotten(void **state)
{
	struct scene *scene = *state;
	struct guest *zero = scene_zero(scene, ENGINE_ZERO, 8 * 8, 9 * 8);
	struct engine_io *io;

	zero->request.no_hole = true;
	scene_end_all(scene);
	scene_forget_guests(scene);
	submit_and_end(scene, ENGINE_DISCARD, 100, 50);
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	while (scene_waiting(scene, ENGINE_BELOW_ZERO) < 2)
		scene_end_io(scene, scene->waiting[0], 0);
	io = scene_oldest(scene, ENGINE_BELOW_ZERO);
	assert_int_equal(io->offset, 8 * LOG_BLOCK_BYTES);
	assert_int_equal(io->length, 9 * LOG_BLOCK_BYTES);
	assert_int_equal(io->iov_count, 0);
	assert_false(io->may_unmap);
	scene_end(scene, ENGINE_BELOW_ZERO);
	io = scene_oldest(scene, ENGINE_BELOW_ZERO);
	assert_int_equal(io->length, 50 * LOG_BLOCK_BYTES);
	assert_true(io->may_unmap);
	scene_end_all(scene);
	assert_true(engine_clean(scene->engine));
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
	assert_below(scene, 7, 'o');
	assert_below(scene, 8, 0);
	assert_below(scene, 149, 0);
	assert_below(scene, 150, 'o');
	scene_restart(scene);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
}

static void what_is_written_after_zeroes_holds(void **state)
{
	struct scene *scene = *state;

	scene_zero_now(scene, 0, 30);
	scene_write_now(scene, 7, 2, 'n');
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 6), 0);
	assert_int_equal(scene_read_now(scene, 7), 'n');
	scene_drain(scene);
	assert_below(scene, 6, 0);
	assert_below(scene, 7, 'n');
	assert_below(scene, 9, 0);
}

static void what_zeroes_supersede_never_goes_below(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 0, 4, 'w');
	scene_flush_now(scene);
	submit_and_end(scene, ENGINE_DISCARD, 0, 4);
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	for (uint32_t i = 0; scene->waiting_count > 0; i++) {
		assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 0);
		assert_in_range(i, 0, 1000);
		scene_end_io(scene, scene->waiting[0], 0);
	}
	assert_below(scene, 0, 0);
}

static void sectors_at_both_ends_are_zeroed_too(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_write_now(scene, 2, 1, 'w');
	scene_zero(scene, ENGINE_ZERO, 2 * 8 + 3, 3 * 8);
	scene_end_all(scene);
	scene_forget_guests(scene);
	for (uint32_t turn = 0; turn < 3; turn++) {
		read = scene_read(scene, 2, 4);
		scene_end_all(scene);
		for (uint32_t i = 0; i < 4 * 8; i++) {
			uint8_t expected = i < 3	   ? 'w'
					   : i < 3 + 3 * 8 ? 0
							   : 'o';

			assert_int_equal(read->bytes[i * LOG_SECTOR_BYTES],
					 expected);
		}
		scene_forget_guests(scene);
		if (turn == 0)
			scene_restart(scene);
		else
			scene_drain(scene);
	}
}

static void sectors_written_into_zeros_need_nothing_read(void **state)
{
	struct scene *scene = *state;

	scene_zero_now(scene, 4, 1);
	scene_write_sectors(scene, 4 * 8 + 2, 1, 's');
	scene_poll(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_READ), 0);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_READ), 0);
	scene_end_all(scene);
	scene_forget_guests(scene);
	scene_drain(scene);
	assert_int_equal(scene->below[4 * LOG_BLOCK_BYTES], 0);
	assert_int_equal(scene->below[4 * LOG_BLOCK_BYTES + 1024], 's');
	assert_int_equal(scene->below[4 * LOG_BLOCK_BYTES + 1536], 0);
}

static void leaves_that_are_zeros_as_a_whole_can_be_written(void **state)
{
	struct scene *scene = *state;

	scene_grow(scene, 4 * LEAF);
	scene_write_now(scene, LEAF + 7, 2, 'w');
	scene_zero_now(scene, LEAF - 3, 2 * LEAF + 3);
	scene_write_now(scene, 2 * LEAF + 9, 1, 'n');
	for (uint32_t turn = 0; turn < 3; turn++) {
		assert_int_equal(scene_read_now(scene, LEAF - 4), 'o');
		assert_int_equal(scene_read_now(scene, LEAF - 3), 0);
		assert_int_equal(scene_read_now(scene, LEAF + 7), 0);
		assert_int_equal(scene_read_now(scene, 2 * LEAF + 9), 'n');
		assert_int_equal(scene_read_now(scene, 3 * LEAF - 1), 0);
		assert_int_equal(scene_read_now(scene, 3 * LEAF), 'o');
		if (turn == 0) {
			assert_int_equal(scene_stats(scene).dirty_zero_bytes,
					 (2 * LEAF + 2) * LOG_BLOCK_BYTES);
			scene_restart(scene);
		} else {
			scene_drain(scene);
		}
	}
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
	assert_below(scene, 2 * LEAF + 9, 'n');
	assert_below(scene, 3 * LEAF - 1, 0);
}

static void more_runs_than_a_pass_holds_go_below_in_several(void **state)
{
	struct scene *scene = *state;

	/* A pass selects as many runs as a segment has blocks: eight. */
	for (uint64_t block = 0; block < 40; block += 2)
		scene_zero(scene, ENGINE_ZERO, block * 8, 8);
	scene_end_all(scene);
	scene_forget_guests(scene);
	scene_drain(scene);
	for (uint64_t block = 0; block < 40; block++)
		assert_below(scene, block, block % 2 ? 'o' : 0);
}

static void a_long_discard_is_below_before_it_is_acknowledged(void **state)
{
	struct scene *scene = *state;
	struct guest *discard;
	uint64_t zeroed = 0;

	scene->config.zeroing_blocks_max = 16;
	scene_restart(scene);
	discard = scene_zero(scene, ENGINE_DISCARD, 8 * 8, 56 * 8);
	scene_poll(scene);
	while (!discard->done) {
		struct engine_io *io = scene->waiting[0];

		/* One part at a time. */
		assert_in_range(scene_waiting(scene, ENGINE_BELOW_ZERO), 0, 1);
		if (io->type == ENGINE_BELOW_ZERO) {
			assert_in_range(io->length, 1, 16 * LOG_BLOCK_BYTES);
			zeroed += io->length;
		}
		scene_end_io(scene, io, 0);
	}
	assert_int_equal(discard->request.status, 0);
	assert_int_equal(zeroed, 56 * LOG_BLOCK_BYTES);
	assert_below(scene, 8, 0);
	assert_below(scene, 63, 0);
	scene_drain(scene);
	assert_int_equal(scene_stats(scene).zeroed_bytes, 56 * LOG_BLOCK_BYTES);
}

static void a_long_discard_ends_with_the_error_of_below(void **state)
{
	struct scene *scene = *state;
	struct guest *discard;

	scene->config.zeroing_blocks_max = 16;
	scene_restart(scene);
	discard = scene_zero(scene, ENGINE_DISCARD, 0, 64 * 8);
	scene_poll(scene);
	while (scene_waiting(scene, ENGINE_BELOW_ZERO) == 0)
		scene_end_io(scene, scene->waiting[0], 0);
	scene_end_with(scene, ENGINE_BELOW_ZERO, -EIO);
	scene_end_all(scene);
	assert_true(discard->done);
	assert_int_equal(discard->request.status, -EIO);
	/* Its first part is in the log: it is zeros, as a write would hold. */
	assert_int_equal(scene_read_now(scene, 3), 0);
	assert_int_equal(scene_read_now(scene, 20), 'o');
}

/* What the flush has dropped may be of a part that was done. */
static void a_long_discard_that_meets_a_failed_flush_fails(void **state)
{
	struct scene *scene = *state;
	struct guest *discard, *flush;

	scene->config.zeroing_blocks_max = 16;
	scene->config.mode = ENGINE_WRITE_AROUND;
	scene_restart(scene);
	discard = scene_zero(scene, ENGINE_DISCARD, 0, 64 * 8);
	scene_poll(scene);
	while (scene_waiting(scene, ENGINE_BELOW_ZERO) == 0)
		scene_end_io(scene, scene->waiting[0], 0);
	scene_end(scene, ENGINE_BELOW_ZERO);
	flush = scene_flush(scene);
	scene_poll(scene);
	scene_end_with(scene, ENGINE_BELOW_FLUSH, -EIO);
	assert_true(flush->done);
	assert_int_equal(flush->request.status, -EIO);
	assert_false(discard->done);
	scene_end_all(scene);
	assert_true(discard->done);
	assert_int_equal(discard->request.status, -EIO);
	/* And another one doesn't. */
	discard = scene_zero(scene, ENGINE_DISCARD, 0, 64 * 8);
	scene_end_all(scene);
	assert_true(discard->done);
	assert_int_equal(discard->request.status, 0);
}

static void forced_zeroes_are_durable_when_acknowledged(void **state)
{
	struct scene *scene = *state;
	struct guest *zero = scene_zero(scene, ENGINE_ZERO, 0, 80);

	zero->request.fua = true;
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_false(zero->done);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_true(zero->done);
}

static void a_flush_covers_zeroes(void **state)
{
	struct scene *scene = *state;
	struct guest *flush;

	scene_zero_now(scene, 0, 9);
	flush = scene_flush(scene);
	scene_poll(scene);
	assert_false(flush->done);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_true(flush->done);
}

static void in_write_through_zeroes_are_below_when_acknowledged(void **state)
{
	struct scene *scene = *state;
	struct guest *zero;

	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	zero = scene_zero(scene, ENGINE_ZERO, 3, 80);
	scene_poll(scene);
	while (scene_waiting(scene, ENGINE_BELOW_ZERO) == 0) {
		assert_false(zero->done);
		scene_end_io(scene, scene->waiting[0], 0);
	}
	/* Not before the log has them for good (rule 9). */
	assert_int_equal(scene_stats(scene).durable_sequence,
			 scene_stats(scene).sequence);
	scene_end(scene, ENGINE_BELOW_ZERO);
	assert_true(zero->done);
	assert_below(scene, 1, 0);
	scene_end_all(scene);
	scene_forget_guests(scene);
	scene_drain(scene);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
}

static void in_write_around_zeroes_are_not_in_the_log(void **state)
{
	struct scene *scene = *state;
	uint64_t records;

	engine_set_mode(scene->engine, ENGINE_WRITE_AROUND);
	scene_write_now(scene, 200, 1, 'a');
	records = scene_stats(scene).records;
	submit_and_end(scene, ENGINE_DISCARD, 0, 30);
	assert_int_equal(scene_stats(scene).records, records);
	assert_below(scene, 29, 0);
	assert_int_equal(scene_read_now(scene, 29), 0);
}

/*
 * The zeros are below and their CLEAN is in the log, but not for good. If a
 * power failure took it, they would come back over what was written since.
 */
static void a_write_around_zeros_waits_for_their_end_to_be_durable(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	scene_zero_now(scene, 0, 4);
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	while (!engine_clean(scene->engine)) {
		assert_true(scene->waiting_count > 0);
		scene_end_io(scene, scene->waiting[0], 0);
	}
	assert_true(scene_stats(scene).durable_sequence <
		    scene_stats(scene).sequence);
	engine_set_mode(scene->engine, ENGINE_WRITE_AROUND);
	write = scene_write(scene, 1, 1, 'a');
	scene_poll(scene);
	while (scene_waiting(scene, ENGINE_BELOW_WRITE) == 0) {
		assert_true(scene->waiting_count > 0);
		scene_end_io(scene, scene->waiting[0], 0);
	}
	assert_int_equal(scene_stats(scene).durable_sequence,
			 scene_stats(scene).sequence);
	scene_end_all(scene);
	assert_true(write->done);
}

static void zeroes_that_below_refuses_stay_dirty(void **state)
{
	struct scene *scene = *state;

	scene_zero_now(scene, 0, 8);
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	while (scene_waiting(scene, ENGINE_BELOW_ZERO) == 0)
		scene_end_io(scene, scene->waiting[0], 0);
	scene_end_with(scene, ENGINE_BELOW_ZERO, -ENOSPC);
	scene_end_all(scene);
	assert_int_equal(scene_stats(scene).dirty_zero_bytes,
			 8 * LOG_BLOCK_BYTES);
	scene_pass_ns(scene, SCENE_SECOND_NS);
	scene_end_all(scene);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
	assert_below(scene, 7, 0);
}

static void zeroes_whose_record_went_bad_go_below_all_the_same(void **state)
{
	struct scene *scene = *state;

	scene_grow(scene, 4 * LEAF);
	scene_zero_now(scene, 0, LEAF + 8);
	scene_flush_now(scene);
	scene_record(scene, scene_stats(scene).sequence)->mode ^= 1;
	scene_drain(scene);
	assert_below(scene, 0, 0);
	assert_below(scene, LEAF + 7, 0);
	assert_below(scene, LEAF + 8, 'o');
}

static void fast_zeroes_never_wait_for_below(void **state)
{
	struct scene *scene = *state;
	struct guest *zero;

	for (uint32_t turn = 0; turn < 2; turn++) {
		zero = scene_zero(scene, ENGINE_FLUSH, 0, 0);
		scene_end_all(scene);
		scene_forget_guests(scene);
		zero->request.operation = ENGINE_ZERO;
		zero->request.fast = true;
		zero->request.sector_count = 8;
		engine_submit(scene->engine, &zero->request);
		scene->guest_count = 1;
		zero->done = false;
		scene_end_all(scene);
		assert_true(zero->done);
		assert_int_equal(zero->request.status,
				 turn == 0 ? 0 : -EOPNOTSUPP);
		scene_forget_guests(scene);
		engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	}
}

static void dirty_runs_have_the_zeros_in_them(void **state)
{
	struct scene *scene = *state;
	bool dirty;

	scene_grow(scene, 4 * LEAF);
	scene_zero_now(scene, 10, 2 * LEAF);
	assert_int_equal(
		engine_dirty_run(scene->engine, 0, 4 * LEAF * 8, &dirty),
		10 * 8);
	assert_false(dirty);
	assert_int_equal(engine_dirty_run(scene->engine, 10 * 8,
					  (4 * LEAF - 10) * 8, &dirty),
			 2 * LEAF * 8);
	assert_true(dirty);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(zeroes_are_read_at_once_and_without_io),
		TEST(a_read_finds_data_between_zeros),
		TEST(zeroes_cost_the_log_a_header_and_no_data),
		TEST(zeroes_and_discards_survive_a_restart),
		TEST(zeroes_go_below_as_such_and_are_forgotten),
		TEST(what_is_written_after_zeroes_holds),
		TEST(what_zeroes_supersede_never_goes_below),
		TEST(sectors_at_both_ends_are_zeroed_too),
		TEST(sectors_written_into_zeros_need_nothing_read),
		TEST(leaves_that_are_zeros_as_a_whole_can_be_written),
		TEST(more_runs_than_a_pass_holds_go_below_in_several),
		TEST(a_long_discard_is_below_before_it_is_acknowledged),
		TEST(a_long_discard_ends_with_the_error_of_below),
		TEST(a_long_discard_that_meets_a_failed_flush_fails),
		TEST(forced_zeroes_are_durable_when_acknowledged),
		TEST(a_flush_covers_zeroes),
		TEST(in_write_through_zeroes_are_below_when_acknowledged),
		TEST(in_write_around_zeroes_are_not_in_the_log),
		TEST(a_write_around_zeros_waits_for_their_end_to_be_durable),
		TEST(zeroes_that_below_refuses_stay_dirty),
		TEST(zeroes_whose_record_went_bad_go_below_all_the_same),
		TEST(fast_zeroes_never_wait_for_below),
		TEST(dirty_runs_have_the_zeros_in_them),
	};

	return cmocka_run_group_tests_name("engine_zeroing", tests, NULL, NULL);
}
