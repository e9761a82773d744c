// SPDX-License-Identifier: Apache-2.0
/* trace_block.c - bytes are read up to the block's end, and no number beyond
 * 64 bits. */
#include "trace_block.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "crc32c.h"

#define SECTOR_BYTES 512u
#define OPERATION_MASK 7u
#define FLAGS_MASK (FOREBAY_FUA | FOREBAY_NO_HOLE | FOREBAY_FAST)
#define UNKNOWN_BIT 0x80u
#define ERRNO_MAX 4095u
/* Times and sectors: differences of such numbers don't overflow. */
#define NUMBER_MAX ((uint64_t)INT64_MAX)

static_assert(sizeof(struct forebay_trace_head) == FOREBAY_TRACE_HEAD_BYTES,
	      "the head is what the format says");

static bool head_valid(const struct forebay_trace_head *head)
{
	return memcmp(head->magic, FOREBAY_TRACE_MAGIC, sizeof(head->magic)) ==
		       0 &&
	       head->version == FOREBAY_TRACE_VERSION &&
	       head->used_bytes >= FOREBAY_TRACE_HEAD_BYTES &&
	       head->used_bytes <= FOREBAY_TRACE_BLOCK_BYTES &&
	       head->base_ns <= NUMBER_MAX && head->disk_bytes <= NUMBER_MAX;
}

static uint32_t crc_of(const struct forebay_trace_head *head,
		       const uint8_t *bytes)
{
	struct forebay_trace_head without = *head;

	without.crc32c = 0;
	return crc32c(crc32c(0, &without, sizeof(without)),
		      bytes + sizeof(without),
		      head->used_bytes - sizeof(without));
}

size_t trace_block_parse(const uint8_t *bytes, size_t count,
			 struct trace_block *ret_block)
{
	struct forebay_trace_head head;
	size_t whole;

	if (count < sizeof(head))
		return 0;
	memcpy(&head, bytes, sizeof(head));
	if (!head_valid(&head) || head.used_bytes > count ||
	    crc_of(&head, bytes) != head.crc32c)
		return 0;
	*ret_block = (struct trace_block){
		.head = head,
		.at = bytes + sizeof(head),
		.end = bytes + head.used_bytes,
		.left = head.record_count,
		.last_ns = head.base_ns,
	};
	whole = (head.used_bytes + FOREBAY_TRACE_ALIGNMENT - 1) /
		FOREBAY_TRACE_ALIGNMENT * FOREBAY_TRACE_ALIGNMENT;
	return whole < count ? whole : count;
}

/* Returns: whether there was a number. */
static bool take_number(struct trace_block *block, uint64_t *ret_number)
{
	uint64_t number = 0;

	for (unsigned int shift = 0; shift < 64; shift += 7) {
		uint8_t byte;

		if (block->at == block->end)
			return false;
		byte = *block->at++;
		/* Of the tenth byte one bit fits. */
		if (shift == 63 && byte > 1)
			return false;
		number |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_number = number;
			return true;
		}
	}
	return false;
}

/* What lies a signed number away from @from, from 0 to NUMBER_MAX. */
static bool take_difference(struct trace_block *block, uint64_t from,
			    uint64_t *ret_number)
{
	uint64_t folded;
	int64_t sum;

	if (!take_number(block, &folded))
		return false;
	if (__builtin_add_overflow(
		    (int64_t)from,
		    (int64_t)(folded >> 1) ^ -(int64_t)(folded & 1), &sum) ||
	    sum < 0)
		return false;
	*ret_number = (uint64_t)sum;
	return true;
}

static bool take_range(struct trace_block *block, struct trace_record *record)
{
	uint64_t sector, sectors, end;
	uint64_t disk_sectors = block->head.disk_bytes / SECTOR_BYTES;

	if (!take_difference(block, block->last_sector, &sector) ||
	    !take_number(block, &sectors) ||
	    __builtin_add_overflow(sector, sectors, &end) || end > disk_sectors)
		return false;
	record->offset = sector * SECTOR_BYTES;
	record->length = sectors * SECTOR_BYTES;
	block->last_sector = end;
	return true;
}

static bool take_record(struct trace_block *block, struct trace_record *record)
{
	uint8_t first;
	uint64_t number;

	if (block->at == block->end)
		return false;
	first = *block->at++;
	record->operation = (enum forebay_operation)(first & OPERATION_MASK);
	record->flags = first >> FOREBAY_TRACE_FLAGS_SHIFT & FLAGS_MASK;
	if (record->operation > FOREBAY_CACHE || first & UNKNOWN_BIT ||
	    !take_difference(block, block->last_ns, &record->begin_ns) ||
	    !take_number(block, &record->took_ns) ||
	    record->took_ns > NUMBER_MAX)
		return false;
	block->last_ns = record->begin_ns;
	if (record->operation != FOREBAY_FLUSH && !take_range(block, record))
		return false;
	if (!(first & FOREBAY_TRACE_FAILED))
		return true;
	if (!take_number(block, &number) || number == 0 || number > ERRNO_MAX)
		return false;
	record->status = -(int)number;
	return true;
}

int trace_block_next(struct trace_block *block, struct trace_record *ret_record)
{
	struct trace_record record = {0};

	if (block->left == 0 && block->at == block->end)
		return 0;
	/* Bytes behind the last record are nonsense, too. */
	if (block->left == 0 || !take_record(block, &record)) {
		block->left = 0;
		block->at = block->end;
		return -EPROTO;
	}
	block->left--;
	*ret_record = record;
	return 1;
}
