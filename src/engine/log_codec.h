/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_codec.h - builds and checks what stands in a cache file.
 *
 * The _parse functions are the gate for bytes that come from an SSD: what they
 * accept is consistent in itself, and nothing behind them checks it again.
 */
#ifndef FOREBAY_ENGINE_LOG_CODEC_H
#define FOREBAY_ENGINE_LOG_CODEC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "error.h"
#include "log_format.h"

/* What identifies the writer of a record; seed of its check values. */
struct log_identity {
	uint8_t uuid[16];
	uint64_t epoch;
	uint64_t incarnation;
};

/* First half of a check value: covers uuid and sequence. */
uint32_t log_check_seed(const uint8_t uuid[16], uint64_t sequence);
/* Check value of the block in @bytes (4096). */
uint32_t log_check(uint32_t seed, uint64_t block, const void *bytes);
/* Continues over a block in parts: start, add parts, which add up to 4096. */
uint32_t log_check_start(uint32_t seed, uint64_t block);

void log_superblock_seal(struct log_superblock *superblock);
/*
 * Returns: 0; -ENODATA if the copy is blank (all zero at its magic); -EUCLEAN
 * if it is damaged, of another disk or impossible.
 */
int log_superblock_check(const struct log_superblock *superblock,
			 const uint8_t uuid[16], struct error *error);

void log_segment_head_seal(struct log_segment_head *head);
bool log_segment_head_valid(const struct log_segment_head *head,
			    const uint8_t uuid[16]);

void log_summary_seal(struct log_summary *summary);
/* Checks identity and that it can stand at the end of such a segment. */
bool log_summary_valid(const struct log_summary *summary,
		       const uint8_t uuid[16], uint32_t segment_blocks);

void log_record_seal(struct log_record_header *header);
/*
 * Checks checksum, identity and that the entries fit in the header and their
 * data in @blocks_left (header included).
 */
bool log_record_valid(const struct log_record_header *header,
		      const uint8_t uuid[16], uint32_t blocks_left);

static inline bool log_entry_is_zeroes(const struct log_entry *entry)
{
	return entry->type == LOG_ZERO || entry->type == LOG_DISCARD;
}

/* Data blocks of an entry: none for marks, zeroes and discards. */
static inline uint32_t log_entry_data_blocks(const struct log_entry *entry)
{
	return entry->type == LOG_DROP || entry->type == LOG_CLEAN ||
			       log_entry_is_zeroes(entry)
		       ? 0
		       : entry->block_count;
}

/* Walks the entries of a valid header. */
struct log_entry_cursor {
	const struct log_record_header *header;
	const struct log_entry *entry;
	const uint32_t *checks;
	uint32_t next_bytes;
	uint32_t data_block; /* first data block of the entry, from 0 */
	uint16_t index;
};

void log_entries_start(struct log_entry_cursor *cursor,
		       const struct log_record_header *header);
/* Returns: false when there are no more. */
bool log_entries_next(struct log_entry_cursor *cursor);

/* Sectors of @block that [first, first + count) covers, as a mask. */
uint8_t log_sector_mask(uint64_t block, uint64_t first, uint64_t count);

/* Block of a sector; blocks that a range of sectors touches. */
static inline uint64_t log_block_of(uint64_t sector)
{
	return sector / LOG_SECTORS_PER_BLOCK;
}

static inline uint64_t log_blocks_touched(uint64_t first, uint64_t count)
{
	return log_block_of(first + count + LOG_SECTORS_PER_BLOCK - 1) -
	       log_block_of(first);
}

#endif
