// SPDX-License-Identifier: Apache-2.0
/* test_engine_read.c - hits, misses, fills, and copies that went bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "scene.h"
#include "stream.h"

/* Misses twice, so that the block is cached. */
static void cache(struct scene *scene, uint64_t block)
{
	scene_read_now(scene, block);
	scene_read_now(scene, block);
	assert_non_null(scene_copy(scene, block));
}

/* Reads @block and stops when its read waits. Returns: which it is. */
static enum engine_io_type read_goes_to(struct scene *scene, uint64_t block,
					struct guest **ret_guest)
{
	*ret_guest = scene_read(scene, block, 1);
	scene_poll(scene);
	assert_int_equal(scene->waiting_count, 1);
	return scene->waiting[0]->type;
}

static void what_is_not_cached_is_read_from_below(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	assert_int_equal(read_goes_to(scene, 3, &read), ENGINE_BELOW_READ);
	scene_end(scene, ENGINE_BELOW_READ);
	assert_true(read->done);
	assert_block(read->bytes, 'o');
	assert_int_equal(scene_stats(scene).read_miss_bytes, LOG_BLOCK_BYTES);
}

/* Reads from @block on until the log has no room that is nobody's. */
static uint64_t fill_log(struct scene *scene, uint64_t block)
{
	uint64_t missed;

	do {
		missed = scene_stats(scene).bypassed_first_bytes;
		scene_read_now(scene, block++);
	} while (scene_stats(scene).bypassed_first_bytes == missed);
	return block;
}

static void a_first_miss_is_cached_while_there_is_room(void **state)
{
	struct scene *scene = *state;

	scene_read_now(scene, 3);
	assert_int_equal(scene_stats(scene).cached_bytes, LOG_BLOCK_BYTES);
}

static void the_second_miss_admits_a_block_to_a_full_log(void **state)
{
	struct scene *scene = *state;
	uint64_t block = fill_log(scene, 0) - 1;
	uint64_t fills = scene_stats(scene).fill_bytes;
	struct guest *read;

	scene_read_now(scene, block);
	assert_int_equal(scene_stats(scene).fill_bytes,
			 fills + LOG_BLOCK_BYTES);
	scene_pass_ns(scene, SCENE_SECOND_NS);
	scene_end_all(scene);
	assert_int_equal(read_goes_to(scene, block, &read), ENGINE_SSD_READ);
	scene_end_all(scene);
	assert_block(read->bytes, 'o');
}

/* What a stream brings, once it is known to be one. */
static void a_stream_is_not_cached_when_it_is_missed_first(void **state)
{
	struct scene *scene = *state;
	struct engine_stats stats;

	scene_grow(scene, SCENE_DISK_BLOCKS_MAX);
	for (uint64_t block = 0; block < STREAM_BLOCKS + 64; block += 16) {
		scene_forget_guests(scene);
		scene_read(scene, block, 16);
		scene_poll(scene);
		scene_end_all(scene);
	}
	stats = scene_stats(scene);
	assert_int_equal(stats.bypassed_stream_bytes, 64 * LOG_BLOCK_BYTES);
	assert_int_not_equal(stats.fill_bytes, 0);
}

/* It isn't a scan if it comes again. */
static void a_stream_is_cached_when_it_is_missed_again(void **state)
{
	struct scene *scene = *state;
	uint64_t fills;

	a_stream_is_not_cached_when_it_is_missed_first(state);
	fills = scene_stats(scene).fill_bytes;
	scene_read_now(scene, STREAM_BLOCKS + 40);
	assert_int_equal(scene_stats(scene).fill_bytes,
			 fills + LOG_BLOCK_BYTES);
}

/* As in a loop that is larger than the cache: nothing is better than the rest.
 */
static void what_is_used_throughout_makes_no_room(void **state)
{
	struct scene *scene = *state;

	for (uint64_t i = 0; i < 8000; i++) {
		scene_forget_guests(scene);
		scene_read_now(scene, i % 100);
		if (i % 32 == 31)
			scene_pass_ns(scene, SCENE_SECOND_NS);
		scene_end_all(scene);
	}
	assert_int_not_equal(scene_stats(scene).bypassed_in_use_bytes, 0);
	assert_int_not_equal(scene_stats(scene).read_hit_bytes, 0);
}

/* Nobody waits for them, and a header for each would be half of the log. */
static void fills_of_a_full_log_share_a_record(void **state)
{
	struct scene *scene = *state;
	uint64_t block = fill_log(scene, 0);
	uint64_t records = scene_stats(scene).records;

	for (uint64_t i = 0; i < 6; i++)
		scene_read_now(scene, block + i % 3);
	assert_int_equal(scene_stats(scene).records, records);
	assert_in_range(engine_next_poll_ns(scene->engine), scene->now_ns + 1,
			scene->now_ns + SCENE_SECOND_NS);
	scene_pass_ns(scene, SCENE_SECOND_NS);
	scene_end_all(scene);
	assert_int_equal(scene_stats(scene).records, records + 1);
}

/* Twice round the log with what is read twice and never again. */
static void what_is_used_outlives_what_is_not(void **state)
{
	struct scene *scene = *state;
	uint64_t missed;

	scene_read_now(scene, 3);
	for (uint64_t i = 0; i < 400; i++) {
		scene_read_now(scene, 10 + i / 2 % 240);
		if (i % 10 == 0)
			scene_read_now(scene, 3);
		scene_pass_ns(scene, SCENE_SECOND_NS);
		scene_end_all(scene);
	}
	missed = scene_stats(scene).read_miss_bytes;
	assert_int_equal(scene_read_now(scene, 3), 'o');
	assert_int_equal(scene_stats(scene).read_miss_bytes, missed);
	assert_in_range(scene_stats(scene).reappended_bytes, LOG_BLOCK_BYTES,
			400 * LOG_BLOCK_BYTES);
}

static void what_moves_up_the_log_is_there_after_a_restart(void **state)
{
	struct scene *scene = *state;

	what_is_used_outlives_what_is_not(state);
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 3), 'o');
	assert_int_equal(scene_stats(scene).read_miss_bytes, 0);
}

static void a_read_is_cached_at_once_and_hits(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_read_now(scene, 3);
	assert_int_equal(scene_stats(scene).cached_bytes, LOG_BLOCK_BYTES);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
	assert_int_equal(read_goes_to(scene, 3, &read), ENGINE_SSD_READ);
	scene_end_all(scene);
	assert_block(read->bytes, 'o');
}

static void all_blocks_of_a_run_are_cached(void **state)
{
	struct scene *scene = *state;

	for (unsigned int i = 0; i < 2; i++) {
		scene_read(scene, 10, 20);
		scene_poll(scene);
		scene_end_all(scene);
	}
	assert_int_equal(scene_stats(scene).cached_bytes, 20 * LOG_BLOCK_BYTES);
}

static void a_read_that_asks_for_it_is_cached_at_once(void **state)
{
	struct scene *scene = *state;
	struct guest *read = scene_read(scene, 3, 4);

	assert_true(engine_may_fill(scene->engine));
	read->request.admit = true;
	scene_poll(scene);
	scene_end_all(scene);
	assert_true(read->done);
	assert_int_equal(scene_stats(scene).cached_bytes, 4 * LOG_BLOCK_BYTES);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
	assert_int_equal(read_goes_to(scene, 3, &read), ENGINE_SSD_READ);
	scene_end_all(scene);
	assert_block(read->bytes, 'o');
}

/* Reads @block until its fill is at the backend. */
static struct guest *read_until_fill(struct scene *scene, uint64_t block)
{
	struct guest *read;

	assert_int_equal(read_goes_to(scene, block, &read), ENGINE_BELOW_READ);
	scene_end(scene, ENGINE_BELOW_READ);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_READ), 1);
	return read;
}

static void a_read_completes_before_its_fill(void **state)
{
	struct scene *scene = *state;
	struct guest *read = read_until_fill(scene, 3);

	assert_true(read->done);
	assert_block(read->bytes, 'o');
	/* The memory is the guest's again; the fill has its own. */
	memset(read->bytes, 'x', LOG_BLOCK_BYTES);
	scene_end(scene, ENGINE_BELOW_READ);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_int_equal(scene_stats(scene).cached_bytes, LOG_BLOCK_BYTES);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'o');
	assert_int_equal(scene_stats(scene).copied_bytes, 0);
}

static void what_below_may_still_lose_is_not_cached(void **state)
{
	struct scene *scene = *state;

	engine_set_mode(scene->engine, ENGINE_WRITE_AROUND);
	scene_write_now(scene, 3, 1, 'a');
	scene_read_now(scene, 3);
	scene_flush_now(scene);
	assert_int_equal(scene_stats(scene).cached_bytes, 0);
	assert_int_equal(scene_stats(scene).bypassed_undurable_bytes,
			 LOG_BLOCK_BYTES);
	scene_read_now(scene, 3);
	assert_int_equal(scene_stats(scene).cached_bytes, LOG_BLOCK_BYTES);
	assert_int_equal(scene_read_now(scene, 3), 'a');
}

static void a_fill_that_fails_harms_nobody(void **state)
{
	struct scene *scene = *state;
	struct guest *read = read_until_fill(scene, 3);

	assert_true(read->done);
	scene_end_with(scene, ENGINE_BELOW_READ, -EIO);
	assert_int_equal(scene->waiting_count, 0);
	assert_int_equal(scene_stats(scene).cached_bytes, 0);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'o');
}

static void a_long_read_is_a_stream_and_not_kept(void **state)
{
	struct scene *scene = *state;

	for (int i = 0; i < 3; i++) {
		struct guest *read =
			scene_read(scene, 100, SCENE_REQUEST_BLOCKS_MAX);

		scene_end_all(scene);
		assert_true(read->done);
	}
	/* As long as the limit is still kept, one more is not. */
	assert_true(scene_stats(scene).fill_bytes <=
		    SCENE_REQUEST_BLOCKS_MAX * LOG_BLOCK_BYTES);
}

/* A write comes while the fill's read is at the backend. */
static void a_read_fill_never_overtakes_a_write(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	read_until_fill(scene, 3);
	write = scene_write(scene, 3, 1, 'n');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_true(write->done);
	scene_end(scene, ENGINE_BELOW_READ);
	assert_int_equal(scene->waiting_count, 0);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'n');
}

/* It comes while the fill waits for its record. */
static void a_fill_that_waits_is_overtaken_too(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	read_until_fill(scene, 3);
	for (uint64_t i = 0; i < 2; i++) {
		scene_write(scene, 100 + 50 * i, 1, 'x');
		scene_poll(scene);
	}
	scene_end(scene, ENGINE_BELOW_READ);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 2);
	write = scene_write(scene, 3, 1, 'n');
	scene_end_all(scene);
	assert_true(write->done);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'n');
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 3), 'n');
}

/* The superblock knows that writes go below, and below is flushed. */
static void go_around(struct scene *scene)
{
	engine_set_mode(scene->engine, ENGINE_WRITE_AROUND);
	scene_write_now(scene, 255, 1, 'z');
	scene_flush_now(scene);
}

/* Nothing of it is in the log yet, so the write needs no DROP. */
static void a_fill_beside_a_write_around_is_not_kept(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	go_around(scene);
	read_until_fill(scene, 3);
	write = scene_write(scene, 3, 1, 'n');
	scene_poll(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 1);
	/* The fill reads what is there before the write ends. */
	scene_end(scene, ENGINE_BELOW_READ);
	scene_end_all(scene);
	assert_true(write->done);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'n');
}

/* The DROP of a write around the cache goes before what waits. */
static void a_fill_that_waits_is_overtaken_by_a_drop(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	go_around(scene);
	engine_set_mode(scene->engine, ENGINE_WRITE_BACK);
	read_until_fill(scene, 3);
	for (uint64_t i = 0; i < 2; i++) {
		scene_write(scene, 100 + 50 * i, 1, 'x');
		scene_poll(scene);
	}
	scene_end(scene, ENGINE_BELOW_READ);
	engine_set_mode(scene->engine, ENGINE_WRITE_AROUND);
	write = scene_write(scene, 3, 1, 'n');
	scene_end_all(scene);
	assert_true(write->done);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'n');
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 3), 'n');
}

static void a_read_that_ends_beside_a_write_does_not_fill(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_write(scene, 3, 1, 'n');
	scene_poll(scene);
	read = scene_read(scene, 3, 1);
	scene_poll(scene);
	scene_end(scene, ENGINE_BELOW_READ);
	/* Either version is right for it; the newer one stays. */
	assert_true(read->done);
	assert_int_equal(scene->waiting_count, 1);
	scene_end(scene, ENGINE_SSD_WRITE);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'n');
}

static void a_read_may_mix_hits_and_misses(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_write_now(scene, 11, 1, 'a');
	scene_write_now(scene, 13, 2, 'b');
	read = scene_read(scene, 10, 6);
	scene_poll(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_READ), 3);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_READ), 2);
	/* In any order. */
	while (scene->waiting_count > 0)
		scene_end_io(scene, scene->waiting[scene->waiting_count - 1],
			     0);
	assert_true(read->done);
	for (uint32_t i = 0; i < 6; i++)
		assert_block(read->bytes + i * LOG_BLOCK_BYTES, "oaobbo"[i]);
}

static void a_read_sees_the_write_that_was_acked_before_it(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	scene_write_now(scene, 3, 1, 'b');
	assert_int_equal(scene_read_now(scene, 3), 'b');
}

static void a_copy_overwritten_while_it_is_read_may_give_either(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_write_now(scene, 3, 1, 'a');
	read_goes_to(scene, 3, &read);
	scene_write(scene, 3, 1, 'b');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	scene_end(scene, ENGINE_SSD_READ);
	assert_true(read->done);
	assert_int_equal(read->request.status, 0);
	assert_block(read->bytes, 'a');
}

static void a_guest_that_writes_into_its_read_buffer_harms_only_itself(
	void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_write_now(scene, 3, 1, 'a');
	scene_copy(scene, 3)[5] ^= 1;
	read_goes_to(scene, 3, &read);
	scene_end(scene, ENGINE_SSD_READ);
	scene_copy(scene, 3)[5] ^= 1;
	scene_end_all(scene);
	/* It came wrong once and right when it was read again. */
	assert_int_equal(read->request.status, 0);
	assert_block(read->bytes, 'a');
	assert_int_equal(scene_stats(scene).bad_blocks, 0);
}

static void a_clean_block_with_a_wrong_check_value_is_read_from_below(
	void **state)
{
	struct scene *scene = *state;

	cache(scene, 3);
	scene_copy(scene, 3)[100] ^= 1;
	assert_int_equal(scene_read_now(scene, 3), 'o');
	assert_int_equal(scene_stats(scene).bad_blocks, 1);
	assert_int_equal(scene_stats(scene).lost_blocks, 0);
}

static void a_dirty_block_with_a_wrong_check_value_fails_the_read(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	scene_write_now(scene, 3, 1, 'b');
	scene_copy(scene, 3)[100] ^= 1;
	assert_int_equal(scene_read_now(scene, 3), -EIO);
	assert_int_equal(scene_read_now(scene, 3), -EIO);
	assert_int_equal(scene_stats(scene).lost_blocks, 1);
}

static void nothing_older_comes_back_for_a_lost_block(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_write_now(scene, 3, 1, 'a');
	scene_drain(scene);
	scene_write_now(scene, 3, 1, 'b');
	/* A later record says that it was durable: else it might be torn. */
	scene_flush_now(scene);
	scene_write_now(scene, 50, 1, 'x');
	scene_copy(scene, 3)[100] ^= 1;
	assert_int_equal(scene_read_now(scene, 3), -EIO);
	engine_set_draining(scene->engine, true);
	scene_end_all(scene);
	assert_false(engine_clean(scene->engine));
	assert_true(engine_drain_failed(scene->engine));
	assert_below(scene, 3, 'a');
	read = scene_read(scene, 2, 3);
	scene_end_all(scene);
	assert_int_equal(read->request.status, -EIO);
	scene_forget_guests(scene);
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 3), -EIO);
}

static void a_lost_block_is_well_again_when_it_is_overwritten(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	scene_copy(scene, 3)[100] ^= 1;
	assert_int_equal(scene_read_now(scene, 3), -EIO);
	scene_write_now(scene, 3, 1, 'b');
	assert_int_equal(scene_read_now(scene, 3), 'b');
	scene_drain(scene);
	assert_below(scene, 3, 'b');
}

static void a_part_written_into_a_lost_block_fails(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	scene_write_now(scene, 3, 1, 'a');
	scene_copy(scene, 3)[100] ^= 1;
	write = scene_write_sectors(scene, 3 * 8, 1, 'b');
	scene_end_all(scene);
	assert_true(write->done);
	assert_int_equal(write->request.status, -EIO);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), -EIO);
}

static void a_block_in_anothers_place_is_not_taken_for_it(void **state)
{
	struct scene *scene = *state;

	scene_write_now(scene, 3, 1, 'a');
	scene_write_now(scene, 4, 1, 'b');
	memcpy(scene_copy(scene, 3), scene_copy(scene, 4), LOG_BLOCK_BYTES);
	assert_int_equal(scene_read_now(scene, 3), -EIO);
}

static void an_ssd_read_error_of_a_clean_block_is_read_from_below(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	cache(scene, 3);
	read_goes_to(scene, 3, &read);
	while (scene_waiting(scene, ENGINE_SSD_READ) > 0)
		scene_end_with(scene, ENGINE_SSD_READ, -EIO);
	scene_end_all(scene);
	assert_true(read->done);
	assert_int_equal(read->request.status, 0);
	assert_block(read->bytes, 'o');
}

static void an_ssd_read_error_of_a_dirty_block_fails_the_read(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_write_now(scene, 3, 1, 'a');
	read_goes_to(scene, 3, &read);
	while (scene_waiting(scene, ENGINE_SSD_READ) > 0)
		scene_end_with(scene, ENGINE_SSD_READ, -EIO);
	assert_true(read->done);
	assert_int_equal(read->request.status, -EIO);
	assert_int_equal(scene->waiting_count, 0);
}

static void a_read_error_of_below_is_the_guests(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	read_goes_to(scene, 3, &read);
	scene_end_with(scene, ENGINE_BELOW_READ, -ETIMEDOUT);
	assert_true(read->done);
	assert_int_equal(read->request.status, -ETIMEDOUT);
	assert_int_equal(scene->waiting_count, 0);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'o');
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_not_cached_is_read_from_below),
		TEST(a_first_miss_is_cached_while_there_is_room),
		TEST(the_second_miss_admits_a_block_to_a_full_log),
		TEST(a_stream_is_not_cached_when_it_is_missed_first),
		TEST(a_stream_is_cached_when_it_is_missed_again),
		TEST(what_is_used_throughout_makes_no_room),
		TEST(fills_of_a_full_log_share_a_record),
		TEST(what_is_used_outlives_what_is_not),
		TEST(what_moves_up_the_log_is_there_after_a_restart),
		TEST(a_read_is_cached_at_once_and_hits),
		TEST(all_blocks_of_a_run_are_cached),
		TEST(a_read_that_asks_for_it_is_cached_at_once),
		TEST(a_read_completes_before_its_fill),
		TEST(what_below_may_still_lose_is_not_cached),
		TEST(a_fill_that_fails_harms_nobody),
		TEST(a_long_read_is_a_stream_and_not_kept),
		TEST(a_read_fill_never_overtakes_a_write),
		TEST(a_fill_that_waits_is_overtaken_too),
		TEST(a_fill_beside_a_write_around_is_not_kept),
		TEST(a_fill_that_waits_is_overtaken_by_a_drop),
		TEST(a_read_that_ends_beside_a_write_does_not_fill),
		TEST(a_read_may_mix_hits_and_misses),
		TEST(a_read_sees_the_write_that_was_acked_before_it),
		TEST(a_copy_overwritten_while_it_is_read_may_give_either),
		TEST(a_guest_that_writes_into_its_read_buffer_harms_only_itself),
		TEST(a_clean_block_with_a_wrong_check_value_is_read_from_below),
		TEST(a_dirty_block_with_a_wrong_check_value_fails_the_read),
		TEST(nothing_older_comes_back_for_a_lost_block),
		TEST(a_lost_block_is_well_again_when_it_is_overwritten),
		TEST(a_part_written_into_a_lost_block_fails),
		TEST(a_block_in_anothers_place_is_not_taken_for_it),
		TEST(an_ssd_read_error_of_a_clean_block_is_read_from_below),
		TEST(an_ssd_read_error_of_a_dirty_block_fails_the_read),
		TEST(a_read_error_of_below_is_the_guests),
	};

	return cmocka_run_group_tests_name("engine: reads", tests, NULL, NULL);
}
