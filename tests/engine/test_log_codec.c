// SPDX-License-Identifier: Apache-2.0
/*
 * test_log_codec.c - what is built is accepted, and nothing else is.
 *
 * Each refusal takes something good, changes the one thing that its name says,
 * and seals it again, so that the checksum isn't what refuses it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "crc32c.h"
#include "log_codec.h"
#include "record_maker.h"

static const uint8_t OTHER_UUID[16] = "another disk's..";

/* Superblocks */

union superblock_blocks {
	struct log_superblock superblock;
	uint8_t bytes[LOG_SUPERBLOCK_BLOCKS * LOG_BLOCK_BYTES];
};

static union superblock_blocks made;

static int good_superblock(void **state)
{
	struct log_superblock *superblock = &made.superblock;

	(void)state;
	memset(&made, 0, sizeof(made));
	memcpy(superblock->uuid, RECORD_UUID, 16);
	superblock->generation = 3;
	superblock->disk_bytes = 1 << 20;
	superblock->file_bytes = 1 << 20;
	superblock->tail_sequence = 1;
	superblock->segment_blocks = 8;
	superblock->row_count = 2;
	superblock->rows[0] = (struct log_row){1, 1, 1, 10};
	superblock->rows[1] = (struct log_row){1, 2, 11, LOG_ROW_OPEN};
	log_superblock_seal(superblock);
	return 0;
}

static int check(struct error *error)
{
	return log_superblock_check(&made.superblock, RECORD_UUID, error);
}

/* Sealed anew, it is refused with these words. */
static void assert_refused(const char *words)
{
	struct error error = {0};

	log_superblock_seal(&made.superblock);
	assert_int_equal(check(&error), -EUCLEAN);
	assert_non_null(strstr(error.message, words));
}

static void a_sealed_superblock_is_accepted(void **state)
{
	(void)state;
	assert_int_equal(check(NULL), 0);
}

static void a_blank_superblock_is_told_from_a_damaged_one(void **state)
{
	(void)state;
	memset(&made, 0, sizeof(made));
	assert_int_equal(check(NULL), -ENODATA);
	made.superblock.magic = 1;
	assert_int_equal(check(NULL), -EUCLEAN);
}

static void any_changed_byte_of_a_superblock_is_noticed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(made.bytes); i++) {
		/* Every byte of the fields and rows, then some of the rest. */
		if (i > 512 && i % 509 != 0)
			continue;
		made.bytes[i] ^= 0x40;
		assert_int_equal(check(NULL), -EUCLEAN);
		made.bytes[i] ^= 0x40;
	}
	assert_int_equal(check(NULL), 0);
}

static void a_superblock_of_another_version_is_refused(void **state)
{
	struct error error = {0};

	(void)state;
	made.superblock.version = LOG_FORMAT_VERSION + 1;
	made.superblock.crc = 0;
	made.superblock.crc = crc32c(0, &made, sizeof(made));
	assert_int_equal(check(&error), -EUCLEAN);
	assert_non_null(strstr(error.message, "format version 4"));
}

static void a_superblock_of_the_first_version_is_accepted(void **state)
{
	(void)state;
	made.superblock.version = LOG_FORMAT_VERSION_OLDEST;
	made.superblock.crc = 0;
	made.superblock.crc = crc32c(0, &made, sizeof(made));
	assert_int_equal(check(NULL), 0);
	made.superblock.version = LOG_FORMAT_VERSION_OLDEST - 1;
	made.superblock.crc = 0;
	made.superblock.crc = crc32c(0, &made, sizeof(made));
	assert_int_equal(check(NULL), -EUCLEAN);
}

static void a_superblock_of_another_disk_is_refused(void **state)
{
	(void)state;
	memcpy(made.superblock.uuid, OTHER_UUID, 16);
	assert_refused("another disk");
}

static void segments_of_a_strange_size_are_refused(void **state)
{
	static const uint32_t sizes[] = {0, 4, 12, 100, 1024, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		made.superblock.segment_blocks = sizes[i];
		assert_refused("impossible");
	}
}

static void an_impossible_tail_or_generation_is_refused(void **state)
{
	(void)state;
	made.superblock.tail_sequence = 0;
	assert_refused("impossible");
	made.superblock.tail_sequence = LOG_SEQUENCE_MAX + 1;
	assert_refused("impossible");
	made.superblock.tail_sequence = 1;
	made.superblock.generation = LOG_SEQUENCE_MAX + 1;
	assert_refused("impossible");
}

static void more_rows_than_have_room_are_refused(void **state)
{
	(void)state;
	made.superblock.row_count = (uint32_t)LOG_ROWS_MAX + 1;
	assert_refused("impossible");
	made.superblock.row_count = UINT32_MAX;
	assert_refused("impossible");
}

static void as_many_rows_as_have_room_are_accepted(void **state)
{
	(void)state;
	made.superblock.row_count = LOG_ROWS_MAX;
	for (uint32_t i = 0; i < LOG_ROWS_MAX; i++)
		made.superblock.rows[i] =
			(struct log_row){1, i + 1, i + 1, i + 1};
	log_superblock_seal(&made.superblock);
	assert_int_equal(check(NULL), 0);
}

static void impossible_rows_are_refused(void **state)
{
	static const struct log_row rows[][2] = {
		/* Sequences begin at 1. */
		{{1, 1, 0, 10}, {1, 2, 11, LOG_ROW_OPEN}},
		/* They overlap. */
		{{1, 1, 1, 10}, {1, 2, 10, LOG_ROW_OPEN}},
		/* They go back. */
		{{1, 1, 20, 30}, {1, 2, 1, 10}},
		/* One ends before it begins. */
		{{1, 1, 5, 3}, {1, 2, 11, LOG_ROW_OPEN}},
		/* Only the last may be open. */
		{{1, 1, 1, LOG_ROW_OPEN}, {1, 2, 11, 20}},
		{{1, 1, 1, LOG_ROW_OPEN}, {1, 2, 11, LOG_ROW_OPEN}},
		/* No log ever gets so far. */
		{{1, 1, 1, 10}, {1, 2, 11, LOG_SEQUENCE_MAX + 1}},
		{{1, 1, 1, 10}, {1, 2, LOG_SEQUENCE_MAX + 1, LOG_ROW_OPEN}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(made.superblock.rows, rows[i], sizeof(rows[i]));
		assert_refused("impossible");
	}
}

static void a_row_in_which_nothing_was_appended_is_possible(void **state)
{
	(void)state;
	made.superblock.rows[0] = (struct log_row){1, 1, 11, 10};
	log_superblock_seal(&made.superblock);
	assert_int_equal(check(NULL), 0);
}

/* Segment heads */

static struct log_segment_head good_head(void)
{
	struct log_segment_head head = {
		.epoch = 1,
		.incarnation = 2,
		.first_sequence = 3,
	};

	memcpy(head.uuid, RECORD_UUID, 16);
	log_segment_head_seal(&head);
	return head;
}

static void a_sealed_head_is_accepted(void **state)
{
	struct log_segment_head head = good_head();

	(void)state;
	assert_true(log_segment_head_valid(&head, RECORD_UUID));
}

static void any_changed_byte_of_a_head_is_noticed(void **state)
{
	struct log_segment_head head = good_head();
	uint8_t *bytes = (uint8_t *)&head;

	(void)state;
	for (size_t i = 0; i < sizeof(head); i++) {
		bytes[i] ^= 1;
		assert_false(log_segment_head_valid(&head, RECORD_UUID));
		bytes[i] ^= 1;
	}
}

static void a_head_of_another_disk_is_refused(void **state)
{
	struct log_segment_head head = good_head();

	(void)state;
	assert_false(log_segment_head_valid(&head, OTHER_UUID));
}

static void a_head_without_a_first_record_is_refused(void **state)
{
	struct log_segment_head head = good_head();

	(void)state;
	head.first_sequence = 0;
	log_segment_head_seal(&head);
	assert_false(log_segment_head_valid(&head, RECORD_UUID));
}

/* Records */

static union record_block record;

static int good_record(void **state)
{
	(void)state;
	record_begin(&record, 5);
	record_add(&record, LOG_WRITE, 100, 3);
	record_add(&record, LOG_CLEAN, 7, 1000)->upto = 4;
	record_add(&record, LOG_FILL, 200, 2);
	record_add(&record, LOG_DROP, 9, 1);
	record_end(&record);
	return 0;
}

static bool valid(uint32_t blocks_left)
{
	return log_record_valid(&record.header, RECORD_UUID, blocks_left);
}

static bool valid_when_sealed(void)
{
	record_end(&record);
	return valid(LOG_SEGMENT_BLOCKS_MAX);
}

static struct log_entry *first_entry(void)
{
	return (void *)record.header.entries;
}

static void a_sealed_record_is_accepted(void **state)
{
	(void)state;
	assert_true(valid(6));
}

static void its_entries_come_back_in_order_with_their_data(void **state)
{
	static const struct {
		uint64_t first_block;
		uint32_t data_block;
		enum log_entry_type type;
	} expected[] = {{100, 0, LOG_WRITE},
			{7, 3, LOG_CLEAN},
			{200, 3, LOG_FILL},
			{9, 5, LOG_DROP}};
	struct log_entry_cursor cursor;

	(void)state;
	log_entries_start(&cursor, &record.header);
	for (size_t i = 0; i < 4; i++) {
		assert_true(log_entries_next(&cursor));
		assert_int_equal(cursor.index, i);
		assert_int_equal(cursor.entry->type, expected[i].type);
		assert_int_equal(cursor.entry->first_block,
				 expected[i].first_block);
		assert_int_equal(cursor.data_block, expected[i].data_block);
		for (uint32_t j = 0; j < log_entry_data_blocks(cursor.entry);
		     j++)
			assert_int_equal(cursor.checks[j], j);
	}
	assert_false(log_entries_next(&cursor));
}

static void a_record_without_entries_is_accepted(void **state)
{
	struct log_entry_cursor cursor;

	(void)state;
	record_begin(&record, 5);
	assert_true(valid_when_sealed());
	log_entries_start(&cursor, &record.header);
	assert_false(log_entries_next(&cursor));
}

static void any_changed_byte_of_a_record_is_noticed(void **state)
{
	(void)state;
	for (size_t i = 0; i < record.header.used_bytes; i++) {
		record.bytes[i] ^= 0x10;
		assert_false(valid(LOG_SEGMENT_BLOCKS_MAX));
		record.bytes[i] ^= 0x10;
	}
	/* What stands behind the entries is not part of it. */
	record.bytes[record.header.used_bytes] ^= 0x10;
	assert_true(valid(LOG_SEGMENT_BLOCKS_MAX));
}

static void a_record_of_another_disk_is_refused(void **state)
{
	(void)state;
	assert_false(log_record_valid(&record.header, OTHER_UUID,
				      LOG_SEGMENT_BLOCKS_MAX));
}

static void data_beyond_the_segment_are_refused(void **state)
{
	(void)state;
	assert_false(valid(5));
	assert_false(valid(1));
}

static void a_record_longer_or_shorter_than_a_header_is_refused(void **state)
{
	(void)state;
	record.header.used_bytes = LOG_BLOCK_BYTES + 8;
	assert_false(valid(LOG_SEGMENT_BLOCKS_MAX));
	record.header.used_bytes = sizeof(record.header) - 8;
	assert_false(valid(LOG_SEGMENT_BLOCKS_MAX));
}

static void entries_beyond_the_used_bytes_are_refused(void **state)
{
	(void)state;
	record.header.entry_count++;
	assert_false(valid_when_sealed());
	record.header.entry_count = UINT16_MAX;
	assert_false(valid_when_sealed());
}

static void used_bytes_beyond_the_entries_are_refused(void **state)
{
	(void)state;
	record.header.entry_count--;
	assert_false(valid_when_sealed());
}

static void check_values_beyond_the_used_bytes_are_refused(void **state)
{
	(void)state;
	first_entry()->block_count = 256;
	record.header.data_blocks += 253;
	assert_false(valid_when_sealed());
}

static void data_blocks_that_no_entry_has_are_refused(void **state)
{
	(void)state;
	record.header.data_blocks++;
	assert_false(valid_when_sealed());
	record.header.data_blocks -= 2;
	assert_false(valid_when_sealed());
}

static void more_data_than_a_record_holds_are_refused(void **state)
{
	(void)state;
	first_entry()->block_count = LOG_RECORD_DATA_BLOCKS_MAX + 1;
	assert_false(valid_when_sealed());
	first_entry()->block_count = UINT32_MAX;
	assert_false(valid_when_sealed());
}

static void more_data_in_all_than_a_record_holds_are_refused(void **state)
{
	(void)state;
	record_begin(&record, 5);
	record_add(&record, LOG_WRITE, 0, LOG_RECORD_DATA_BLOCKS_MAX);
	record_end(&record);
	assert_true(valid(LOG_SEGMENT_BLOCKS_MAX));
	record_add(&record, LOG_WRITE, 0, 1);
	record_end(&record);
	assert_false(valid(LOG_SEGMENT_BLOCKS_MAX));
}

static void a_record_knows_nothing_of_later_ones(void **state)
{
	(void)state;
	record.header.tail_sequence = record.header.sequence + 1;
	assert_false(valid_when_sealed());
	record.header.tail_sequence = 1;
	record.header.durable_sequence = record.header.sequence;
	assert_false(valid_when_sealed());
}

static void a_sequence_that_could_overflow_is_refused(void **state)
{
	(void)state;
	record.header.sequence = LOG_SEQUENCE_MAX;
	assert_true(valid_when_sealed());
	record.header.sequence++;
	assert_false(valid_when_sealed());
}

static void an_entry_about_nothing_is_refused(void **state)
{
	(void)state;
	record_begin(&record, 5);
	record_add(&record, LOG_DROP, 1, 0);
	assert_false(valid_when_sealed());
}

static void an_entry_so_far_out_that_it_would_overflow_is_refused(void **state)
{
	(void)state;
	first_entry()->first_block = UINT64_MAX - 1;
	assert_false(valid_when_sealed());
}

static void zeroes_have_no_data_no_mask_and_a_limit(void **state)
{
	struct log_entry *entry;

	(void)state;
	record_begin(&record, 5);
	entry = record_add(&record, LOG_CLEAN, 1, 1);
	entry->type = LOG_ZERO;
	entry->block_count = LOG_ZERO_BLOCKS_MAX;
	assert_true(valid_when_sealed());
	assert_int_equal(log_entry_data_blocks(entry), 0);
	entry->block_count++;
	assert_false(valid_when_sealed());
	entry->type = LOG_DISCARD;
	assert_false(valid_when_sealed());
	entry->block_count = 1;
	assert_true(valid_when_sealed());
	entry->mask = 1;
	assert_false(valid_when_sealed());
}

static void a_mask_is_for_single_blocks(void **state)
{
	(void)state;
	first_entry()->mask = 0x0f;
	assert_false(valid_when_sealed());
	record_begin(&record, 5);
	record_add(&record, LOG_WRITE, 1, 1)->mask = 0x0f;
	assert_true(valid_when_sealed());
}

static void an_entry_of_unknown_type_is_refused(void **state)
{
	static const uint8_t types[] = {0, LOG_CLEAN + 1, UINT8_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(types); i++) {
		first_entry()->type = types[i];
		assert_false(valid_when_sealed());
	}
}

static void impossible_sequences_are_refused(void **state)
{
	static const struct {
		uint64_t sequence;
		uint64_t tail;
		uint64_t durable;
	} cases[] = {
		{0, 0, 0},
		/* No tail; a tail beyond itself; durable before it is. */
		{5, 0, 0},
		{5, 6, 0},
		{5, 1, 5},
		{LOG_SEQUENCE_MAX + 1, 1, 0},
		{UINT64_MAX, UINT64_MAX, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		record.header.sequence = cases[i].sequence;
		record.header.tail_sequence = cases[i].tail;
		record.header.durable_sequence = cases[i].durable;
		assert_false(valid_when_sealed());
	}
	record.header.sequence = 5;
	record.header.tail_sequence = 5;
	record.header.durable_sequence = 4;
	assert_true(valid_when_sealed());
}

/* Check values and masks */

static void a_check_value_covers_disk_sequence_block_and_data(void **state)
{
	uint8_t block[LOG_BLOCK_BYTES] = "data";
	uint32_t seed = log_check_seed(RECORD_UUID, 5);
	uint32_t value = log_check(seed, 9, block);

	(void)state;
	assert_int_equal(log_check(seed, 9, block), value);
	assert_int_not_equal(log_check(seed, 10, block), value);
	assert_int_not_equal(
		log_check(log_check_seed(RECORD_UUID, 6), 9, block), value);
	assert_int_not_equal(log_check(log_check_seed(OTHER_UUID, 5), 9, block),
			     value);
	block[4095] = 1;
	assert_int_not_equal(log_check(seed, 9, block), value);
}

static void a_block_in_parts_has_the_same_check_value(void **state)
{
	uint8_t block[LOG_BLOCK_BYTES] = "data";
	uint32_t seed = log_check_seed(RECORD_UUID, 5);
	uint32_t value = log_check_start(seed, 9);

	(void)state;
	value = crc32c(value, block, 512);
	value = crc32c(value, block + 512, LOG_BLOCK_BYTES - 512);
	assert_int_equal(value, log_check(seed, 9, block));
}

static void a_mask_has_a_bit_for_each_sector_of_the_block(void **state)
{
	(void)state;
	assert_int_equal(log_sector_mask(2, 16, 8), 0xff);
	assert_int_equal(log_sector_mask(2, 0, 1000), 0xff);
	assert_int_equal(log_sector_mask(2, 17, 1), 0x02);
	assert_int_equal(log_sector_mask(2, 20, 100), 0xf0);
	assert_int_equal(log_sector_mask(2, 10, 7), 0x01);
	assert_int_equal(log_sector_mask(2, 24, 8), 0);
	assert_int_equal(log_sector_mask(2, 8, 8), 0);
}

static void touched_blocks_are_counted_with_their_parts(void **state)
{
	(void)state;
	assert_int_equal(log_blocks_touched(0, 8), 1);
	assert_int_equal(log_blocks_touched(7, 2), 2);
	assert_int_equal(log_blocks_touched(8, 1), 1);
	assert_int_equal(log_blocks_touched(15, 10), 3);
}

#define TEST(name, setup) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sealed_superblock_is_accepted, good_superblock),
		TEST(a_blank_superblock_is_told_from_a_damaged_one,
		     good_superblock),
		TEST(any_changed_byte_of_a_superblock_is_noticed,
		     good_superblock),
		TEST(a_superblock_of_another_version_is_refused,
		     good_superblock),
		TEST(a_superblock_of_another_disk_is_refused, good_superblock),
		TEST(a_superblock_of_the_first_version_is_accepted,
		     good_superblock),
		TEST(a_superblock_of_another_disk_is_refused, good_superblock),
		TEST(segments_of_a_strange_size_are_refused, good_superblock),
		TEST(an_impossible_tail_or_generation_is_refused,
		     good_superblock),
		TEST(more_rows_than_have_room_are_refused, good_superblock),
		TEST(as_many_rows_as_have_room_are_accepted, good_superblock),
		TEST(impossible_rows_are_refused, good_superblock),
		TEST(a_row_in_which_nothing_was_appended_is_possible,
		     good_superblock),
		cmocka_unit_test(a_sealed_head_is_accepted),
		cmocka_unit_test(any_changed_byte_of_a_head_is_noticed),
		cmocka_unit_test(a_head_of_another_disk_is_refused),
		cmocka_unit_test(a_head_without_a_first_record_is_refused),
		TEST(a_sealed_record_is_accepted, good_record),
		TEST(its_entries_come_back_in_order_with_their_data,
		     good_record),
		TEST(a_record_without_entries_is_accepted, good_record),
		TEST(any_changed_byte_of_a_record_is_noticed, good_record),
		TEST(a_record_of_another_disk_is_refused, good_record),
		TEST(data_beyond_the_segment_are_refused, good_record),
		TEST(a_record_longer_or_shorter_than_a_header_is_refused,
		     good_record),
		TEST(entries_beyond_the_used_bytes_are_refused, good_record),
		TEST(used_bytes_beyond_the_entries_are_refused, good_record),
		TEST(check_values_beyond_the_used_bytes_are_refused,
		     good_record),
		TEST(data_blocks_that_no_entry_has_are_refused, good_record),
		TEST(more_data_than_a_record_holds_are_refused, good_record),
		TEST(more_data_in_all_than_a_record_holds_are_refused,
		     good_record),
		TEST(a_record_knows_nothing_of_later_ones, good_record),
		TEST(a_sequence_that_could_overflow_is_refused, good_record),
		TEST(an_entry_about_nothing_is_refused, good_record),
		TEST(an_entry_so_far_out_that_it_would_overflow_is_refused,
		     good_record),
		TEST(zeroes_have_no_data_no_mask_and_a_limit, good_record),
		TEST(a_mask_is_for_single_blocks, good_record),
		TEST(an_entry_of_unknown_type_is_refused, good_record),
		TEST(impossible_sequences_are_refused, good_record),
		cmocka_unit_test(
			a_check_value_covers_disk_sequence_block_and_data),
		cmocka_unit_test(a_block_in_parts_has_the_same_check_value),
		cmocka_unit_test(a_mask_has_a_bit_for_each_sector_of_the_block),
		cmocka_unit_test(touched_blocks_are_counted_with_their_parts),
	};

	return cmocka_run_group_tests_name("log codec", tests, NULL, NULL);
}
