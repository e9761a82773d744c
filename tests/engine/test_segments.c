// SPDX-License-Identifier: Apache-2.0
/* test_segments.c - the circle: opened, sealed, passed, reclaimed in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bitmap.h"
#include "segments.h"

#define COUNT 4u
#define BLOCKS 8u

static struct segment_table table;
static struct segment segments[COUNT];

static int all_free(void **state)
{
	(void)state;
	memset(segments, 0, sizeof(segments));
	segments_init(&table, COUNT, BLOCKS, segments);
	segments_clear(&table);
	return 0;
}

/* Opens the next segment and seals it at @last. */
static uint32_t fill_one(uint64_t first, uint64_t last)
{
	uint32_t number;
	struct segment *segment = segments_open(&table, first, 0, &number);

	segment->last_sequence = last;
	segment->state = SEGMENT_SEALED;
	return number;
}

static void segments_are_opened_in_the_order_of_their_place(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(fill_one(i * 10 + 1, i * 10 + 10), i);
		assert_int_equal(table.tail, 0);
		assert_int_equal(table.held, i + 1);
	}
	assert_int_equal(table.free, 0);
}

static void an_opened_segment_has_its_head_and_no_record(void **state)
{
	uint32_t number;
	struct segment *segment = segments_open(&table, 7, 99, &number);

	(void)state;
	assert_int_equal(segment->state, SEGMENT_ACTIVE);
	assert_int_equal(segment->first_sequence, 7);
	assert_int_equal(segment->last_sequence, 6);
	assert_int_equal(segment->used_blocks, 1);
	assert_int_equal(segment->opened_ns, 99);
}

static void the_first_segment_begins_on_a_multiple_of_its_size(void **state)
{
	(void)state;
	assert_int_equal(table.first_block, 32);
	assert_int_equal(segments_block(&table, 3), 32 + 3 * BLOCKS);
	assert_int_equal(segments_of(&table, 32 + 3 * BLOCKS), 3);
	assert_int_equal(segments_of(&table, 32 + 3 * BLOCKS - 1), 2);
	assert_int_equal(log_first_segment_block(512), 512);
}

static void a_segment_can_be_read_up_to_a_record(void **state)
{
	uint32_t number = fill_one(7, 9);
	struct segment *segment = &table.segments[number];

	(void)state;
	/* head | 7 d | 8 d d | 9 */
	bitmap_set(segment->starts, 1);
	bitmap_set(segment->starts, 3);
	bitmap_set(segment->starts, 6);
	segment->used_blocks = 7;
	assert_int_equal(segments_blocks_up_to(&table, number, 7), 3);
	assert_int_equal(segments_blocks_up_to(&table, number, 8), 6);
	assert_int_equal(segments_blocks_up_to(&table, number, 9), 7);
}

static void a_location_knows_its_sequence(void **state)
{
	uint32_t number;
	struct segment *segment;

	(void)state;
	fill_one(1, 4);
	segment = segments_open(&table, 5, 0, &number);
	/* Records of 2, 1 and 3 blocks behind the head. */
	bitmap_set(segment->starts, 1);
	bitmap_set(segment->starts, 3);
	bitmap_set(segment->starts, 4);
	assert_int_equal(segments_sequence(&table, 40 + 1), 5);
	assert_int_equal(segments_sequence(&table, 40 + 2), 5);
	assert_int_equal(segments_sequence(&table, 40 + 3), 6);
	assert_int_equal(segments_sequence(&table, 40 + 4), 7);
	assert_int_equal(segments_sequence(&table, 40 + 6), 7);
}

static void a_passed_segment_waits_in_limbo_for_a_durable_tail(void **state)
{
	(void)state;
	fill_one(1, 10);
	fill_one(11, 20);
	segments_pass_tail(&table);
	assert_int_equal(table.tail, 1);
	assert_int_equal(table.limbo, 1);
	assert_int_equal(table.held, 1);
	assert_int_equal(segments_reclaim(&table, 10), 0);
	assert_int_equal(segments_reclaim(&table, 11), 1);
	assert_int_equal(table.limbo, 0);
	assert_int_equal(table.free, COUNT - 1);
}

static void a_segment_that_is_read_is_not_reclaimed(void **state)
{
	(void)state;
	fill_one(1, 10);
	fill_one(11, 20);
	fill_one(21, 30);
	segments[0].readers = 1;
	segments_pass_tail(&table);
	segments_pass_tail(&table);
	/* Nor is what stands behind it in the circle. */
	assert_int_equal(segments_reclaim(&table, 21), 0);
	segments[0].readers = 0;
	assert_int_equal(segments_reclaim(&table, 21), 2);
}

static void the_circle_goes_round(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < COUNT; i++)
		fill_one(i * 10 + 1, i * 10 + 10);
	for (uint64_t round = COUNT; round < 3 * COUNT; round++) {
		segments_pass_tail(&table);
		assert_int_equal(
			segments_reclaim(&table, (round - COUNT) * 10 + 11), 1);
		assert_int_equal(fill_one(round * 10 + 1, round * 10 + 10),
				 round % COUNT);
		assert_int_equal(table.tail, (round + 1) % COUNT);
	}
}

static void an_empty_circle_begins_where_it_ended(void **state)
{
	(void)state;
	fill_one(1, 10);
	segments_pass_tail(&table);
	assert_int_equal(segments_reclaim(&table, 11), 1);
	assert_int_equal(table.held, 0);
	assert_int_equal(fill_one(11, 20), 1);
	assert_int_equal(table.tail, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			segments_are_opened_in_the_order_of_their_place,
			all_free),
		cmocka_unit_test_setup(
			an_opened_segment_has_its_head_and_no_record, all_free),
		cmocka_unit_test_setup(
			the_first_segment_begins_on_a_multiple_of_its_size,
			all_free),
		cmocka_unit_test_setup(a_location_knows_its_sequence, all_free),
		cmocka_unit_test_setup(
			a_passed_segment_waits_in_limbo_for_a_durable_tail,
			all_free),
		cmocka_unit_test_setup(a_segment_that_is_read_is_not_reclaimed,
				       all_free),
		cmocka_unit_test_setup(a_segment_can_be_read_up_to_a_record,
				       all_free),
		cmocka_unit_test_setup(the_circle_goes_round, all_free),
		cmocka_unit_test_setup(an_empty_circle_begins_where_it_ended,
				       all_free),
	};

	return cmocka_run_group_tests_name("segments", tests, NULL, NULL);
}
