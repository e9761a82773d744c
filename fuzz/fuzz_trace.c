/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_trace.c - blocks of trace files. The sum is made right, so that what is
 * behind it is reached; what is read and written again is read as the same.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "block.h"
#include "crc32c.h"
#include "trace_block.h"

static bool same(const struct trace_record *a, const struct trace_record *b)
{
	return a->operation == b->operation && a->flags == b->flags &&
	       a->begin_ns == b->begin_ns && a->took_ns == b->took_ns &&
	       a->offset == b->offset && a->length == b->length &&
	       a->status == b->status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static uint8_t mended[FOREBAY_TRACE_BLOCK_BYTES];
static uint8_t again[FOREBAY_TRACE_BLOCK_BYTES];

static void mend(size_t count)
{
	struct forebay_trace_head head;

	if (count < sizeof(head))
		return;
	memcpy(&head, mended, sizeof(head));
	if (head.used_bytes < sizeof(head) || head.used_bytes > count)
		return;
	head.crc32c = 0;
	memcpy(mended, &head, sizeof(head));
	head.crc32c = crc32c(0, mended, head.used_bytes);
	memcpy(mended, &head, sizeof(head));
}

static void write_again(struct block *block, const struct trace_record *record)
{
	/* A number may have been written with more bytes than it needs, and
	 * never fits into fewer. */
	assert(block_add(block,
			 &(struct block_record){
				 .operation = record->operation,
				 .flags = record->flags,
				 .begin_ns = record->begin_ns,
				 .took_ns = record->took_ns,
				 .offset = record->offset,
				 .length = record->length,
				 .status = record->status,
			 }) ||
	       block->used_bytes + FOREBAY_TRACE_RECORD_BYTES_MAX >
		       FOREBAY_TRACE_BLOCK_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct trace_block first, second;
	struct trace_record record, other;
	struct forebay_trace_head head;
	struct block block;
	uint32_t left;

	if (count > sizeof(mended))
		count = sizeof(mended);
	memcpy(mended, bytes, count);
	mend(count);
	if (trace_block_parse(mended, count, &first) == 0)
		return 0;
	second = first;
	head = first.head;
	block_begin(&block, again);
	while (trace_block_next(&first, &record) == 1)
		write_again(&block, &record);
	block_seal(&block, &head);
	left = block.record_count;
	first = second;
	assert(trace_block_parse(again, sizeof(again), &second) > 0);
	while (left-- > 0) {
		assert(trace_block_next(&first, &record) == 1);
		assert(trace_block_next(&second, &other) == 1);
		assert(same(&record, &other));
	}
	assert(trace_block_next(&second, &other) == 0);
	return 0;
}
