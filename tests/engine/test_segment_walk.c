// SPDX-License-Identifier: Apache-2.0
/* test_segment_walk.c - the walk ends where the log's continuity does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "record_maker.h"
#include "segment_walk.h"

#define BLOCKS 16u
#define DISK_BLOCKS 1000u
#define FIRST 40u

/* Head, then records 40 (2 data blocks), 41 (none), 42 (3) and 43 (1). */
static const uint32_t DATA[] = {2, 0, 3, 1};
static const uint32_t AT[] = {1, 4, 5, 9};
static union record_block segment[BLOCKS];

/* Seals record @index and those behind it, which name its checksum. */
static void seal_from(uint32_t index)
{
	for (; index < 4; index++) {
		struct log_record_header *header = &segment[AT[index]].header;

		header->previous_crc =
			index > 0 ? segment[AT[index - 1]].header.crc : 77;
		record_end(&segment[AT[index]]);
	}
}

static int four_records(void **state)
{
	struct log_segment_head *head = (void *)segment[0].bytes;

	(void)state;
	memset(segment, 0, sizeof(segment));
	memcpy(head->uuid, RECORD_UUID, 16);
	head->epoch = 1;
	head->incarnation = 1;
	head->first_sequence = FIRST;
	log_segment_head_seal(head);
	for (uint32_t i = 0; i < 4; i++) {
		record_begin(&segment[AT[i]], FIRST + i);
		if (DATA[i] > 0)
			record_add(&segment[AT[i]], LOG_WRITE, i * 10, DATA[i]);
		for (uint32_t j = 0; j < DATA[i]; j++)
			memset(&segment[AT[i] + 1 + j], (int)(16 * i + j),
			       LOG_BLOCK_BYTES);
	}
	seal_from(0);
	return 0;
}

static struct segment_walk start(void)
{
	struct segment_walk walk = {
		.uuid = RECORD_UUID,
		.last_sequence = LOG_ROW_OPEN,
		.disk_blocks = DISK_BLOCKS,
		.block_count = BLOCKS,
	};

	segment_walk_start(&walk, segment[0].bytes);
	return walk;
}

/* How many records the walk sees. */
static uint32_t seen(struct segment_walk walk)
{
	uint32_t count = 0;

	while (segment_walk_next(&walk))
		count++;
	return count;
}

static void each_record_comes_with_its_place_and_data(void **state)
{
	struct segment_walk walk = start();

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		assert_true(segment_walk_next(&walk));
		assert_int_equal(walk.sequence, FIRST + i);
		assert_int_equal(walk.block, AT[i]);
		assert_ptr_equal(walk.header, &segment[AT[i]].header);
		for (uint32_t j = 0; j < DATA[i]; j++)
			assert_int_equal(segment_walk_data(&walk, j)[0],
					 16 * i + j);
	}
	assert_false(segment_walk_next(&walk));
	/* Asking again changes nothing. */
	assert_false(segment_walk_next(&walk));
	assert_int_equal(walk.sequence, FIRST + 3);
}

static void it_ends_before_a_damaged_record(void **state)
{
	(void)state;
	segment[AT[2]].bytes[130] ^= 1;
	assert_int_equal(seen(start()), 2);
}

static void it_ends_before_a_gap_in_the_sequence(void **state)
{
	(void)state;
	segment[AT[2]].header.sequence++;
	seal_from(2);
	assert_int_equal(seen(start()), 2);
}

static void it_ends_before_a_record_that_follows_another_one(void **state)
{
	(void)state;
	segment[AT[2]].header.previous_crc ^= 1;
	record_end(&segment[AT[2]]);
	assert_int_equal(seen(start()), 2);
}

static void it_ends_before_a_record_of_another_incarnation(void **state)
{
	(void)state;
	segment[AT[1]].header.incarnation++;
	seal_from(1);
	assert_int_equal(seen(start()), 1);
	segment[AT[1]].header.incarnation--;
	segment[AT[1]].header.epoch++;
	seal_from(1);
	assert_int_equal(seen(start()), 1);
}

static void it_ends_before_an_entry_beyond_the_disk(void **state)
{
	struct log_entry *entry = (void *)segment[AT[2]].header.entries;

	(void)state;
	entry->first_block = DISK_BLOCKS - 2;
	seal_from(2);
	assert_int_equal(seen(start()), 2);
	entry->first_block = DISK_BLOCKS - 3;
	seal_from(2);
	assert_int_equal(seen(start()), 4);
	entry->first_block = DISK_BLOCKS;
	seal_from(2);
	assert_int_equal(seen(start()), 2);
}

static void a_clean_beyond_the_disk_ends_it_too(void **state)
{
	(void)state;
	record_begin(&segment[AT[1]], FIRST + 1);
	record_add(&segment[AT[1]], LOG_CLEAN, 1, DISK_BLOCKS);
	seal_from(1);
	assert_int_equal(seen(start()), 1);
}

static void it_ends_where_its_row_does(void **state)
{
	struct segment_walk walk = start();

	(void)state;
	walk.last_sequence = FIRST + 1;
	assert_int_equal(seen(walk), 2);
	walk.last_sequence = FIRST - 1;
	assert_int_equal(seen(walk), 0);
}

static void it_ends_before_a_record_that_is_only_partly_there(void **state)
{
	struct segment_walk walk = start();

	(void)state;
	walk.block_count = AT[2] + 3;
	assert_int_equal(seen(walk), 2);
	walk.block_count = AT[2] + 4;
	assert_int_equal(seen(walk), 3);
}

static void a_segment_of_another_disk_has_no_record(void **state)
{
	struct segment_walk walk = start();

	(void)state;
	walk.uuid = (const uint8_t *)"another disk's..";
	assert_int_equal(seen(walk), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, four_records)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_record_comes_with_its_place_and_data),
		TEST(it_ends_before_a_damaged_record),
		TEST(it_ends_before_a_gap_in_the_sequence),
		TEST(it_ends_before_a_record_that_follows_another_one),
		TEST(it_ends_before_a_record_of_another_incarnation),
		TEST(it_ends_before_an_entry_beyond_the_disk),
		TEST(a_clean_beyond_the_disk_ends_it_too),
		TEST(it_ends_where_its_row_does),
		TEST(it_ends_before_a_record_that_is_only_partly_there),
		TEST(a_segment_of_another_disk_has_no_record),
	};

	return cmocka_run_group_tests_name("segment walk", tests, NULL, NULL);
}
