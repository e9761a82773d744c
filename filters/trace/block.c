// SPDX-License-Identifier: Apache-2.0
/*
 * block.c - differences are small, and small numbers take few bytes: a record
 * of a busy disk takes about ten.
 */
#include "block.h"

#include <assert.h>
#include <string.h>

#include "crc32c.h"

#define SECTOR_BYTES 512u

static_assert(sizeof(struct forebay_trace_head) == FOREBAY_TRACE_HEAD_BYTES,
	      "the head is what the format says");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "heads are written as they are");

static uint8_t *put_number(uint8_t *at, uint64_t number)
{
	for (; number >= 0x80; number >>= 7)
		*at++ = (uint8_t)(number | 0x80);
	*at++ = (uint8_t)number;
	return at;
}

/* The difference of two numbers below 2^63. */
static uint8_t *put_difference(uint8_t *at, uint64_t to, uint64_t from)
{
	bool backwards = to < from;
	uint64_t distance = backwards ? from - to : to - from;

	return put_number(at, 2 * distance - backwards);
}

void block_begin(struct block *block, uint8_t *bytes)
{
	*block = (struct block){
		.bytes = bytes,
		.used_bytes = FOREBAY_TRACE_HEAD_BYTES,
	};
}

bool block_add(struct block *block, const struct block_record *record)
{
	uint8_t *begin = block->bytes + block->used_bytes;
	uint8_t *at = begin;

	if (block->used_bytes + FOREBAY_TRACE_RECORD_BYTES_MAX >
	    FOREBAY_TRACE_BLOCK_BYTES)
		return false;
	if (block->record_count == 0) {
		block->base_ns = record->begin_ns;
		block->last_ns = record->begin_ns;
	}
	*at++ = (uint8_t)(record->operation |
			  record->flags << FOREBAY_TRACE_FLAGS_SHIFT |
			  (record->status < 0 ? FOREBAY_TRACE_FAILED : 0));
	at = put_difference(at, record->begin_ns, block->last_ns);
	at = put_number(at, record->took_ns);
	if (record->operation != FOREBAY_FLUSH) {
		uint64_t sector = record->offset / SECTOR_BYTES;
		uint64_t sectors = record->length / SECTOR_BYTES;

		at = put_difference(at, sector, block->last_sector);
		at = put_number(at, sectors);
		block->last_sector = sector + sectors;
	}
	if (record->status < 0)
		at = put_number(at, (uint64_t)-record->status);
	block->last_ns = record->begin_ns;
	block->used_bytes += (uint32_t)(at - begin);
	block->record_count++;
	return true;
}

uint32_t block_seal(struct block *block, struct forebay_trace_head *head)
{
	uint32_t whole = (block->used_bytes + FOREBAY_TRACE_ALIGNMENT - 1) /
			 FOREBAY_TRACE_ALIGNMENT * FOREBAY_TRACE_ALIGNMENT;

	memcpy(head->magic, FOREBAY_TRACE_MAGIC, sizeof(head->magic));
	head->version = FOREBAY_TRACE_VERSION;
	head->crc32c = 0;
	head->used_bytes = block->used_bytes;
	head->record_count = block->record_count;
	head->base_ns = block->base_ns;
	memset(head->zeros, 0, sizeof(head->zeros));
	memcpy(block->bytes, head, sizeof(*head));
	head->crc32c = crc32c(0, block->bytes, block->used_bytes);
	memcpy(block->bytes, head, sizeof(*head));
	memset(block->bytes + block->used_bytes, 0, whole - block->used_bytes);
	return whole;
}
