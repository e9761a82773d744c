// SPDX-License-Identifier: Apache-2.0
/*
 * test_trace_block.c - blocks that the filter trace writes, read by
 * forebay-trace; and blocks that nobody should have written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "crc32c.h"
#include "trace_block.h"

#define DISK_BYTES (UINT64_C(1) << 40)

static uint8_t bytes[FOREBAY_TRACE_BLOCK_BYTES];

static struct forebay_trace_head head_of_disk(void)
{
	return (struct forebay_trace_head){
		.number = 3,
		.begin_unix_ns = 77,
		.disk_bytes = DISK_BYTES,
		.lost_count = 9,
		.uuid = {1, 2, 3},
	};
}

static uint64_t draw(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) +
		 UINT64_C(1442695040888963407);
	return *state >> 20;
}

static struct block_record random_record(uint64_t *seed)
{
	struct block_record record = {
		.operation = (enum forebay_operation)(draw(seed) % 7),
		.flags = (uint32_t)(draw(seed) % 8),
		.begin_ns = draw(seed) % (UINT64_C(1) << (draw(seed) % 44)),
		.took_ns = draw(seed) % (UINT64_C(1) << (draw(seed) % 44)),
		.status = draw(seed) % 4 ? 0 : -(int)(1 + draw(seed) % 133),
	};

	if (record.operation == FOREBAY_FLUSH)
		return record;
	record.length = draw(seed) % 65536 * 512;
	record.offset = draw(seed) % ((DISK_BYTES - record.length) / 512) * 512;
	return record;
}

static void check_same(const struct trace_record *read,
		       const struct block_record *written)
{
	assert_int_equal(read->operation, written->operation);
	assert_int_equal(read->flags, written->flags);
	assert_int_equal(read->begin_ns, written->begin_ns);
	assert_int_equal(read->took_ns, written->took_ns);
	assert_int_equal(read->offset, written->offset);
	assert_int_equal(read->length, written->length);
	assert_int_equal(read->status, written->status);
}

static void what_is_written_is_read(void **state)
{
	static struct block_record written[FOREBAY_TRACE_BLOCK_BYTES];
	struct forebay_trace_head head = head_of_disk();
	struct trace_record record;
	struct trace_block read;
	struct block block;
	uint64_t seed = 11;
	uint32_t whole;
	uint32_t count = 0;

	(void)state;
	memset(bytes, 0xee, sizeof(bytes));
	block_begin(&block, bytes);
	do
		written[count] = random_record(&seed);
	while (block_add(&block, &written[count]) && ++count);
	/* Full: not even the largest record would be cut. */
	assert_true(block.used_bytes + FOREBAY_TRACE_RECORD_BYTES_MAX >
		    FOREBAY_TRACE_BLOCK_BYTES);
	whole = block_seal(&block, &head);
	assert_int_equal(whole, FOREBAY_TRACE_BLOCK_BYTES);
	assert_int_equal(trace_block_parse(bytes, whole, &read), whole);
	assert_int_equal(read.head.number, 3);
	assert_int_equal(read.head.lost_count, 9);
	assert_int_equal(read.head.begin_unix_ns, 77);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(trace_block_next(&read, &record), 1);
		check_same(&record, &written[i]);
	}
	assert_int_equal(trace_block_next(&read, &record), 0);
}

/* A sealed block with one record; returns what the file would get. */
static uint32_t small_block(void)
{
	const struct block_record record = {
		.operation = FOREBAY_WRITE,
		.flags = FOREBAY_FUA,
		.begin_ns = 1000,
		.took_ns = 50,
		.offset = 512,
		.length = 1024,
		.status = -5,
	};
	struct forebay_trace_head head = head_of_disk();
	struct block block;

	memset(bytes, 0xee, sizeof(bytes));
	block_begin(&block, bytes);
	assert_true(block_add(&block, &record));
	return block_seal(&block, &head);
}

static void a_small_block_takes_little_of_the_file(void **state)
{
	struct trace_block read;

	(void)state;
	assert_int_equal(small_block(), FOREBAY_TRACE_ALIGNMENT);
	assert_int_equal(trace_block_parse(bytes, sizeof(bytes), &read),
			 FOREBAY_TRACE_ALIGNMENT);
	/* What follows the records is nobody's old memory. */
	for (uint32_t i = read.head.used_bytes; i < FOREBAY_TRACE_ALIGNMENT;
	     i++)
		assert_int_equal(bytes[i], 0);
}

static void the_bytes_are_those_of_the_format(void **state)
{
	/* Operation 1, FUA, failed; 0; 50; +1 sector; 2 sectors; errno 5. */
	static const uint8_t record[] = {0x49, 0, 50, 2, 2, 5};

	(void)state;
	small_block();
	assert_memory_equal(bytes, "FBTRACE\0\1\0\0\0", 12);
	assert_int_equal(bytes[24], FOREBAY_TRACE_HEAD_BYTES + sizeof(record));
	assert_memory_equal(bytes + FOREBAY_TRACE_HEAD_BYTES, record,
			    sizeof(record));
}

static void any_flipped_bit_is_seen(void **state)
{
	struct trace_block read;
	uint32_t used;

	(void)state;
	small_block();
	assert_true(trace_block_parse(bytes, sizeof(bytes), &read) > 0);
	used = read.head.used_bytes;
	for (uint32_t bit = 0; bit < used * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(trace_block_parse(bytes, sizeof(bytes), &read),
				 0);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void a_block_that_is_cut_is_none(void **state)
{
	struct trace_block read;
	size_t used;

	(void)state;
	small_block();
	used = FOREBAY_TRACE_HEAD_BYTES + 6;
	for (size_t count = 0; count < used; count++)
		assert_int_equal(trace_block_parse(bytes, count, &read), 0);
	assert_int_equal(trace_block_parse(bytes, used, &read), used);
}

/* A block whose sum is right and whose records are these bytes. */
static void check_nonsense(const uint8_t *records, size_t count,
			   uint32_t record_count)
{
	struct forebay_trace_head head = head_of_disk();
	struct trace_record record;
	struct trace_block read;
	int status;

	memset(bytes, 0, sizeof(bytes));
	memcpy(head.magic, FOREBAY_TRACE_MAGIC, sizeof(head.magic));
	head.version = FOREBAY_TRACE_VERSION;
	head.used_bytes = (uint32_t)(sizeof(head) + count);
	head.record_count = record_count;
	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), records, count);
	head.crc32c = crc32c(0, bytes, head.used_bytes);
	memcpy(bytes, &head, sizeof(head));
	assert_true(trace_block_parse(bytes, sizeof(bytes), &read) > 0);
	do
		status = trace_block_next(&read, &record);
	while (status == 1);
	assert_int_equal(status, -EPROTO);
	assert_int_equal(trace_block_next(&read, &record), 0);
}

#define NONSENSE(record_count, ...)                    \
	check_nonsense((const uint8_t[]){__VA_ARGS__}, \
		       sizeof((const uint8_t[]){__VA_ARGS__}), record_count)

static void records_that_nobody_wrote_are_refused(void **state)
{
	(void)state;
	NONSENSE(1, 7, 0, 0, 0, 1); /* no such operation */
	NONSENSE(1, 0x80, 0, 0, 0, 1); /* an unknown bit */
	NONSENSE(1, 0, 1, 0, 0, 1); /* before the trace */
	NONSENSE(1, 0, 0, 0, 1, 1); /* before the disk */
	NONSENSE(1, 0x42, 0, 0, 0); /* failed, and didn't */
	NONSENSE(1, 0x42, 0, 0, 0x80, 0x20); /* no errno is so large */
	NONSENSE(2, 2, 0, 0); /* fewer than it says */
	NONSENSE(1, 2, 0, 0, 2, 0, 0); /* more than it says */
	NONSENSE(1, 0, 0, 0, 0); /* cut in a number's place */
	NONSENSE(1, 0, 0, 0, 0, 0x80); /* cut in a number */
	/* Beyond the end of a disk of 2^31 sectors: */
	NONSENSE(1, 0, 0, 0, 0, 0x81, 0x80, 0x80, 0x80, 0x08);
	NONSENSE(1, 0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x10, 1);
	/* Numbers of more than 64 bits, and times of more than 63: */
	NONSENSE(1, 2, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		 0x02);
	NONSENSE(1, 2, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		 0xff, 0x01);
	NONSENSE(1, 2, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		 0x01);
}

static void the_last_sector_of_the_disk_is_fine(void **state)
{
	const struct block_record last = {
		.operation = FOREBAY_READ,
		.offset = DISK_BYTES - 512,
		.length = 512,
	};
	struct forebay_trace_head head = head_of_disk();
	struct trace_record record;
	struct trace_block read;
	struct block block;

	(void)state;
	block_begin(&block, bytes);
	assert_true(block_add(&block, &last));
	block_seal(&block, &head);
	assert_true(trace_block_parse(bytes, sizeof(bytes), &read) > 0);
	assert_int_equal(trace_block_next(&read, &record), 1);
	check_same(&record, &last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_small_block_takes_little_of_the_file),
		cmocka_unit_test(the_bytes_are_those_of_the_format),
		cmocka_unit_test(any_flipped_bit_is_seen),
		cmocka_unit_test(a_block_that_is_cut_is_none),
		cmocka_unit_test(records_that_nobody_wrote_are_refused),
		cmocka_unit_test(the_last_sector_of_the_disk_is_fine),
	};

	return cmocka_run_group_tests_name("trace-block", tests, NULL, NULL);
}
