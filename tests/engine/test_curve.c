// SPDX-License-Identifier: Apache-2.0
/*
 * test_curve.c - what a curve says of sizes whose hit ratio is known.
 *
 * Logs here have segments of 512 blocks as in the product; nothing but the
 * curve runs. Against the engine itself: bench/cachesim/test_advice.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "curve.h"
#include "log_format.h"

#define SEGMENT_BLOCKS 512u
/* 1 GiB: a quarter of a million blocks. */
#define FILE_BYTES (UINT64_C(1) << 30)
#define FILE_BLOCKS (FILE_BYTES / LOG_BLOCK_BYTES)
/* The curve's size that is the log's own, and others by their share of it. */
enum { EIGHTH, QUARTER, HALF, THREE_QUARTERS, OWN, TWICE = 6 };
#define POINTS 0.03

static int begin(void **state)
{
	struct curve *curve = calloc(1, sizeof(*curve));

	assert_non_null(curve);
	curve_init(curve, FILE_BYTES, SEGMENT_BLOCKS);
	*state = curve;
	return 0;
}

static int end(void **state)
{
	free(*state);
	return 0;
}

static double hit_ratio(const struct curve *curve, int size)
{
	struct engine_curve told;

	curve_look(curve, &told);
	return (double)told.points[size].hits / (double)told.reads;
}

/* splitmix64, Steele et al. 2014. */
static uint64_t random_next(uint64_t *random)
{
	uint64_t x = *random += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* Any block of @set as often as any other; so many rounds of it. */
static void read_evenly(struct curve *curve, uint64_t set, uint32_t rounds)
{
	uint64_t random = 1;

	for (uint64_t i = 0; i < set * rounds; i++) {
		curve_read(curve, random_next(&random) % set, 1, false, 0);
		curve_poll(curve);
	}
}

static void a_set_that_fits_hits_and_one_that_does_not_hits_its_share(
	void **state)
{
	struct curve *curve = *state;
	uint64_t set = FILE_BLOCKS / 4;

	read_evenly(curve, set, 40);
	assert_true(hit_ratio(curve, HALF) > 1 - POINTS);
	assert_true(hit_ratio(curve, TWICE) > 1 - POINTS);
	/* What is kept of a set without favourites is what hits: all of the
	 * log but heads, headers, and what is kept free. */
	assert_true(hit_ratio(curve, EIGHTH) < 0.5);
	assert_true(hit_ratio(curve, EIGHTH) > 0.35);
}

static void what_is_read_once_hits_in_no_size(void **state)
{
	struct curve *curve = *state;

	for (uint64_t i = 0; i < 8 * FILE_BLOCKS; i++)
		curve_read(curve, i, 1, false, 0);
	curve_poll(curve);
	for (int i = EIGHTH; i <= TWICE; i++)
		assert_true(hit_ratio(curve, i) < POINTS);
}

/* Where LRU's curve has 0 at every size that is smaller than the loop. */
static void a_loop_hits_by_the_part_of_it_that_is_kept(void **state)
{
	struct curve *curve = *state;
	uint64_t loop = FILE_BLOCKS / 2;

	for (uint64_t i = 0; i < 40 * loop; i++) {
		/* 8191 is prime: no stream has this order. */
		curve_read(curve, i % loop * 8191 % loop, 1, false, 0);
		curve_poll(curve);
	}
	assert_true(hit_ratio(curve, QUARTER) > 0.3);
	assert_true(hit_ratio(curve, QUARTER) < 0.5);
	assert_true(hit_ratio(curve, OWN) > 1 - POINTS);
}

static void a_stream_fills_no_log(void **state)
{
	struct curve *curve = *state;
	struct engine_curve told;

	for (uint64_t i = 0; i < 4 * FILE_BLOCKS; i += 32)
		curve_read(curve, i, 32, false, MINIATURE_STREAM);
	curve_look(curve, &told);
	for (int i = EIGHTH; i <= TWICE; i++)
		assert_false(told.points[i].full);
}

static void a_block_with_half_of_the_reads_does_not_spoil_it(void **state)
{
	struct curve *curve = *state;
	uint64_t random = 1;
	uint64_t set = FILE_BLOCKS / 8;
	struct engine_curve told;

	/* One that no sample has, whatever it hits. */
	uint64_t favourite = 1;

	while ((uint32_t)(miniature_hash(favourite) >> 32) < curve->sample)
		favourite++;
	for (uint64_t i = 0; i < 60 * set; i++) {
		curve_read(curve, favourite, 1, true, 0);
		curve_read(curve, random_next(&random) % set, 1, false, 0);
		curve_poll(curve);
	}
	assert_true(hit_ratio(curve, OWN) > 1 - POINTS);
	/* Half of the reads, and half of the others at most. */
	assert_true(hit_ratio(curve, EIGHTH) > 0.5);
	curve_look(curve, &told);
	assert_true(fabs((double)told.hits / (double)told.reads - 0.5) < 0.01);
}

/* Most writes go to few blocks: as fast as the log turns in all, so fast it
 * turns in each sample. */
static void writes_turn_a_log_whoever_they_go_to(void **state)
{
	struct curve *curve = *state;
	uint64_t random = 1;
	uint64_t set = FILE_BLOCKS / 8;
	double first;

	for (uint64_t i = 0; i < 40 * set; i++) {
		curve_read(curve, random_next(&random) % set, 1, false, 0);
		curve_write(curve, 7 * set + random_next(&random) % 16, 1);
		curve_record(curve, 1, 0, 0, false);
		curve_poll(curve);
	}
	first = hit_ratio(curve, OWN);
	memset(curve, 0, sizeof(*curve));
	curve_init(curve, FILE_BYTES, SEGMENT_BLOCKS);
	for (uint64_t i = 0; i < 40 * set; i++) {
		curve_read(curve, random_next(&random) % set, 1, false, 0);
		curve_write(curve, 6 * set + random_next(&random) % 16, 1);
		curve_record(curve, 1, 0, 0, false);
		curve_poll(curve);
	}
	assert_true(fabs(hit_ratio(curve, OWN) - first) < POINTS);
}

static void what_is_forgotten_misses(void **state)
{
	struct curve *curve = *state;
	uint64_t block = 0;

	while ((uint32_t)(miniature_hash(block) >> 32) >=
	       curve->miniatures[OWN].sample)
		block++;
	curve_write(curve, block, 1);
	curve_read(curve, block, 1, true, 0);
	assert_int_equal(curve->now.misses[OWN], 0);
	curve_forget(curve, block, 1);
	curve_read(curve, block, 1, false, 0);
	assert_int_equal(curve->now.misses[OWN], 1);
}

static void it_says_when_too_little_was_read(void **state)
{
	struct curve *curve = *state;
	struct engine_curve told;

	curve_look(curve, &told);
	assert_int_equal(told.reads, 0);
	assert_true(told.reads_needed >= FILE_BLOCKS);
	curve_read(curve, 5, 3, false, 0);
	curve_read_zeros(curve, 2);
	curve_look(curve, &told);
	assert_int_equal(told.reads, 5);
	assert_int_equal(told.hits, 2);
}

/* What was hit long ago says nothing of today. */
static void it_follows_the_disk(void **state)
{
	struct curve *curve = *state;
	struct engine_curve told;

	curve_look(curve, &told);
	curve_read_zeros(curve, told.reads_needed);
	for (uint64_t i = 0; i < 2 * told.reads_needed; i++) {
		curve_poll(curve);
		curve_read(curve, i, 1, false, 0);
	}
	curve_look(curve, &told);
	assert_int_equal(told.hits, 0);
	assert_true(told.reads >= told.reads_needed);
	assert_true(told.reads <= 2 * told.reads_needed);
}

static void the_smallest_file_has_no_smaller_sizes(void **state)
{
	struct curve *curve = *state;
	struct engine_curve told;

	memset(curve, 0, sizeof(*curve));
	curve_init(curve,
		   (log_first_segment_block(SEGMENT_BLOCKS) +
		    UINT64_C(8) * SEGMENT_BLOCKS) *
			   LOG_BLOCK_BYTES,
		   SEGMENT_BLOCKS);
	curve_look(curve, &told);
	assert_int_equal(told.points[EIGHTH].file_bytes, 0);
	assert_int_not_equal(told.points[ENGINE_CURVE_SIZES - 1].file_bytes, 0);
	read_evenly(curve, FILE_BLOCKS / 8, 2);
}

/* 16 TiB: as much memory as any, and no figure that overflows. */
static void the_largest_file_is_no_different(void **state)
{
	struct curve *curve = *state;
	struct engine_curve told;

	memset(curve, 0, sizeof(*curve));
	curve_init(curve, UINT64_C(16) << 40, SEGMENT_BLOCKS);
	curve_look(curve, &told);
	assert_true(told.points[ENGINE_CURVE_SIZES - 1].file_bytes ==
		    UINT64_C(128) << 40);
	read_evenly(curve, FILE_BLOCKS, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CURVE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
		CURVE_TEST(
			a_set_that_fits_hits_and_one_that_does_not_hits_its_share),
		CURVE_TEST(what_is_read_once_hits_in_no_size),
		CURVE_TEST(a_loop_hits_by_the_part_of_it_that_is_kept),
		CURVE_TEST(a_stream_fills_no_log),
		CURVE_TEST(a_block_with_half_of_the_reads_does_not_spoil_it),
		CURVE_TEST(writes_turn_a_log_whoever_they_go_to),
		CURVE_TEST(what_is_forgotten_misses),
		CURVE_TEST(it_says_when_too_little_was_read),
		CURVE_TEST(it_follows_the_disk),
		CURVE_TEST(the_smallest_file_has_no_smaller_sizes),
		CURVE_TEST(the_largest_file_is_no_different),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
