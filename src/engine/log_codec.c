// SPDX-License-Identifier: Apache-2.0
/*
 * log_codec.c - see log_codec.h. Pure functions of their arguments.
 */
#include "log_codec.h"

#include <errno.h>
#include <string.h>

#include "crc32c.h"

#define SUPERBLOCK_BYTES (LOG_SUPERBLOCK_BLOCKS * LOG_BLOCK_BYTES)

uint32_t log_check_seed(const uint8_t uuid[16], uint64_t sequence)
{
	return crc32c(crc32c(0, uuid, 16), &sequence, sizeof(sequence));
}

uint32_t log_check_start(uint32_t seed, uint64_t block)
{
	return crc32c(seed, &block, sizeof(block));
}

uint32_t log_check(uint32_t seed, uint64_t block, const void *bytes)
{
	return crc32c(log_check_start(seed, block), bytes, LOG_BLOCK_BYTES);
}

/* CRC of @count bytes in which the four at @crc_offset count as zero. */
static uint32_t crc_without_itself(const void *bytes, size_t crc_offset,
				   size_t count)
{
	const uint8_t *at = bytes;
	const uint32_t zero = 0;
	uint32_t crc = crc32c(0, at, crc_offset);

	crc = crc32c(crc, &zero, sizeof(zero));
	return crc32c(crc, at + crc_offset + sizeof(zero),
		      count - crc_offset - sizeof(zero));
}

void log_superblock_seal(struct log_superblock *superblock)
{
	superblock->magic = LOG_SUPERBLOCK_MAGIC;
	superblock->version = LOG_FORMAT_VERSION;
	superblock->crc = crc_without_itself(
		superblock, offsetof(struct log_superblock, crc),
		SUPERBLOCK_BYTES);
}

static bool sequence_possible(uint64_t sequence)
{
	return sequence > 0 && sequence <= LOG_SEQUENCE_MAX;
}

static bool rows_possible(const struct log_superblock *superblock)
{
	uint64_t next = 0;

	for (uint32_t i = 0; i < superblock->row_count; i++) {
		const struct log_row *row = &superblock->rows[i];
		bool last = i + 1 == superblock->row_count;

		if (!sequence_possible(row->first_sequence) ||
		    row->first_sequence < next ||
		    row->last_sequence < row->first_sequence - 1)
			return false;
		if (row->last_sequence == LOG_ROW_OPEN)
			return last;
		if (row->last_sequence > LOG_SEQUENCE_MAX)
			return false;
		next = row->last_sequence + 1;
	}
	return true;
}

int log_superblock_check(const struct log_superblock *superblock,
			 const uint8_t uuid[16], struct error *error)
{
	uint32_t blocks = superblock->segment_blocks;

	if (superblock->magic == 0)
		return error_set(error, -ENODATA, "the superblock is blank");
	if (superblock->magic != LOG_SUPERBLOCK_MAGIC)
		return error_set(error, -EUCLEAN,
				 "the superblock has a wrong "
				 "magic number");
	if (superblock->crc !=
	    crc_without_itself(superblock, offsetof(struct log_superblock, crc),
			       SUPERBLOCK_BYTES))
		return error_set(error, -EUCLEAN,
				 "the superblock has a wrong checksum");
	if (superblock->version < LOG_FORMAT_VERSION_OLDEST ||
	    superblock->version > LOG_FORMAT_VERSION)
		return error_set(error, -EUCLEAN,
				 "it has format version %u, this program knows "
				 "versions up to %u",
				 superblock->version, LOG_FORMAT_VERSION);
	if (memcmp(superblock->uuid, uuid, 16) != 0)
		return error_set(error, -EUCLEAN, "it belongs to another disk");
	if (blocks < LOG_SEGMENT_BLOCKS_MIN ||
	    blocks > LOG_SEGMENT_BLOCKS_MAX || (blocks & (blocks - 1)) != 0 ||
	    superblock->row_count > LOG_ROWS_MAX ||
	    superblock->generation > LOG_SEQUENCE_MAX ||
	    !sequence_possible(superblock->tail_sequence) ||
	    !rows_possible(superblock))
		return error_set(error, -EUCLEAN,
				 "the superblock has impossible values");
	return 0;
}

void log_segment_head_seal(struct log_segment_head *head)
{
	head->magic = LOG_SEGMENT_MAGIC;
	head->crc = crc_without_itself(
		head, offsetof(struct log_segment_head, crc), sizeof(*head));
}

bool log_segment_head_valid(const struct log_segment_head *head,
			    const uint8_t uuid[16])
{
	return head->magic == LOG_SEGMENT_MAGIC &&
	       memcmp(head->uuid, uuid, 16) == 0 &&
	       sequence_possible(head->first_sequence) &&
	       head->crc == crc_without_itself(
				    head,
				    offsetof(struct log_segment_head, crc),
				    sizeof(*head));
}

void log_summary_seal(struct log_summary *summary)
{
	summary->magic = LOG_SUMMARY_MAGIC;
	summary->crc = crc_without_itself(
		summary, offsetof(struct log_summary, crc), sizeof(*summary));
}

bool log_summary_valid(const struct log_summary *summary,
		       const uint8_t uuid[16], uint32_t segment_blocks)
{
	return summary->magic == LOG_SUMMARY_MAGIC &&
	       memcmp(summary->uuid, uuid, 16) == 0 &&
	       summary->crc ==
		       crc_without_itself(summary,
					  offsetof(struct log_summary, crc),
					  sizeof(*summary)) &&
	       summary->record_count > 0 && summary->blocks > 0 &&
	       summary->blocks <= log_summary_blocks_max(segment_blocks) &&
	       summary->copies_bytes <=
		       summary->blocks * LOG_BLOCK_BYTES - sizeof(*summary);
}

void log_record_seal(struct log_record_header *header)
{
	header->magic = LOG_RECORD_MAGIC;
	header->crc = crc_without_itself(
		header, offsetof(struct log_record_header, crc),
		header->used_bytes);
}

static bool entry_valid(const struct log_entry *entry)
{
	if (entry->block_count == 0 || entry->first_block > UINT64_MAX / 2)
		return false;
	switch (entry->type) {
	case LOG_WRITE:
	case LOG_FILL:
	case LOG_REAPPEND:
		return entry->block_count <= LOG_RECORD_DATA_BLOCKS_MAX &&
		       (entry->mask == 0 || entry->block_count == 1);
	case LOG_ZERO:
	case LOG_DISCARD:
		return entry->block_count <= LOG_ZERO_BLOCKS_MAX &&
		       entry->mask == 0;
	case LOG_DROP:
	case LOG_CLEAN:
		return true;
	default:
		/* Of a later version, or damaged: not ours to guess. */
		return false;
	}
}

static bool entries_valid(const struct log_record_header *header)
{
	uint32_t at = sizeof(*header);
	uint32_t blocks = 0;

	for (uint32_t i = 0; i < header->entry_count; i++) {
		const struct log_entry *entry =
			(const void *)((const uint8_t *)header + at);
		uint32_t data_blocks;

		if (at + sizeof(*entry) > header->used_bytes ||
		    !entry_valid(entry))
			return false;
		data_blocks = log_entry_data_blocks(entry);
		at += log_entry_bytes(data_blocks);
		if (at > header->used_bytes)
			return false;
		blocks += data_blocks;
	}
	return at == header->used_bytes && blocks == header->data_blocks;
}

bool log_record_valid(const struct log_record_header *header,
		      const uint8_t uuid[16], uint32_t blocks_left)
{
	return header->magic == LOG_RECORD_MAGIC &&
	       memcmp(header->uuid, uuid, 16) == 0 &&
	       header->used_bytes >= sizeof(*header) &&
	       header->used_bytes <= LOG_BLOCK_BYTES &&
	       header->data_blocks < blocks_left &&
	       header->data_blocks <= LOG_RECORD_DATA_BLOCKS_MAX &&
	       sequence_possible(header->tail_sequence) &&
	       header->tail_sequence <= header->sequence &&
	       header->durable_sequence < header->sequence &&
	       header->sequence <= LOG_SEQUENCE_MAX &&
	       header->crc == crc_without_itself(
				      header,
				      offsetof(struct log_record_header, crc),
				      header->used_bytes) &&
	       entries_valid(header);
}

void log_entries_start(struct log_entry_cursor *cursor,
		       const struct log_record_header *header)
{
	*cursor = (struct log_entry_cursor){
		.header = header,
		.next_bytes = sizeof(*header),
		.index = UINT16_MAX,
	};
}

bool log_entries_next(struct log_entry_cursor *cursor)
{
	const uint8_t *bytes = (const uint8_t *)cursor->header;

	if ((uint16_t)(cursor->index + 1) >= cursor->header->entry_count)
		return false;
	if (cursor->entry)
		cursor->data_block += log_entry_data_blocks(cursor->entry);
	cursor->index++;
	cursor->entry = (const void *)(bytes + cursor->next_bytes);
	cursor->checks = (const void *)(cursor->entry + 1);
	cursor->next_bytes +=
		log_entry_bytes(log_entry_data_blocks(cursor->entry));
	return true;
}

uint8_t log_sector_mask(uint64_t block, uint64_t first, uint64_t count)
{
	uint64_t begin = block * LOG_SECTORS_PER_BLOCK;
	uint64_t end = begin + LOG_SECTORS_PER_BLOCK;
	uint64_t from = first > begin ? first : begin;
	uint64_t to = first + count < end ? first + count : end;

	if (from >= to)
		return 0;
	return (uint8_t)(((1u << (to - from)) - 1) << (from - begin));
}
