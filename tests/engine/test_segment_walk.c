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

/* A summary of the segment in one block. */
static union record_block copies;

static struct log_summary *make_summary(void)
{
	struct log_summary *summary =
		(void *)(copies.bytes + LOG_BLOCK_BYTES - sizeof(*summary));

	memset(&copies, 0, sizeof(copies));
	summary->epoch = 1;
	summary->incarnation = 1;
	summary->first_sequence = FIRST;
	summary->blocks = 1;
	for (uint32_t i = 0; i < 4; i++) {
		const struct log_record_header *header = &segment[AT[i]].header;

		memcpy(copies.bytes + summary->copies_bytes, header,
		       header->used_bytes);
		summary->copies_bytes += header->used_bytes;
	}
	return summary;
}

static struct segment_walk start_summary(const struct log_summary *summary)
{
	struct segment_walk walk = start();

	segment_walk_start_summary(&walk, summary);
	return walk;
}

static void a_summary_tells_the_same_places(void **state)
{
	struct segment_walk walk = start_summary(make_summary());

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		assert_true(segment_walk_next(&walk));
		assert_int_equal(walk.sequence, FIRST + i);
		assert_int_equal(walk.block, AT[i]);
		assert_int_equal(walk.header->crc, segment[AT[i]].header.crc);
	}
	assert_false(segment_walk_next(&walk));
	assert_int_equal(walk.sequence, FIRST + 3);
}

static void it_ends_before_a_copy_that_is_damaged_or_cut_off(void **state)
{
	struct log_summary *summary = make_summary();
	uint32_t third = segment[AT[0]].header.used_bytes +
			 segment[AT[1]].header.used_bytes;

	(void)state;
	copies.bytes[third + 130] ^= 1;
	assert_int_equal(seen(start_summary(summary)), 2);
	copies.bytes[third + 130] ^= 1;
	summary->copies_bytes--;
	assert_int_equal(seen(start_summary(summary)), 3);
	summary->copies_bytes = third + 100;
	assert_int_equal(seen(start_summary(summary)), 2);
	summary->copies_bytes = 0;
	assert_int_equal(seen(start_summary(summary)), 0);
}

static void no_record_of_a_summary_reaches_into_it(void **state)
{
	struct log_summary *summary = make_summary();
	struct segment_walk walk = start();

	(void)state;
	/* The last record's data end where the segment would. */
	walk.block_count = AT[3] + 2;
	segment_walk_start_summary(&walk, summary);
	assert_int_equal(seen(walk), 3);
	walk.block_count = AT[3] + 3;
	segment_walk_start_summary(&walk, summary);
	assert_int_equal(seen(walk), 4);
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
		TEST(a_summary_tells_the_same_places),
		TEST(it_ends_before_a_copy_that_is_damaged_or_cut_off),
		TEST(no_record_of_a_summary_reaches_into_it),
	};

	return cmocka_run_group_tests_name("segment walk", tests, NULL, NULL);
}
