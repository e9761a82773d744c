/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_format.h - the bytes of a cache file, version 3.
 *
 *   block 0              16              32, aligned up to a segment
 *   | superblock A | superblock B | ... | segment 0 | segment 1 | ... |
 *
 *   segment: | head | record | record | ...
 *   record:  | header (1 block) | data blocks of its entries, in order |
 *
 * All integers are little-endian, a block is 4096 bytes, a sector 512. A
 * location is a block number in the file. docs/cache-file-format.md explains
 * what each field is for; this file is what the code believes.
 */
#ifndef FOREBAY_ENGINE_LOG_FORMAT_H
#define FOREBAY_ENGINE_LOG_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_BLOCK_BYTES 4096u
#define LOG_SECTOR_BYTES 512u
#define LOG_SECTORS_PER_BLOCK 8u
#define LOG_MASK_WHOLE 0xffu

/*
 * 2 has ZERO and DISCARD, a file of version 1 is one without them; in one of 3
 * the segments stand in any order.
 */
#define LOG_FORMAT_VERSION 3u
#define LOG_FORMAT_VERSION_OLDEST 1u
#define LOG_SUPERBLOCK_BLOCKS 16u
#define LOG_SUPERBLOCK_COPIES 2u

/* Segment size that forebay uses; tests use tiny ones. Powers of two. */
#define LOG_SEGMENT_BLOCKS_DEFAULT 512u
#define LOG_SEGMENT_BLOCKS_MIN 8u
#define LOG_SEGMENT_BLOCKS_MAX 512u

/* Most data blocks in one record: 1 MiB. */
#define LOG_RECORD_DATA_BLOCKS_MAX 256u
/* Most blocks of one ZERO or DISCARD: 64 MiB. */
#define LOG_ZERO_BLOCKS_MAX 16384u
/* Sequences and generations begin at 1 and never come near this. */
#define LOG_SEQUENCE_MAX (1ull << 62)

#define LOG_SUPERBLOCK_MAGIC 0x3130534548434246ull /* "FBCHES01" */
#define LOG_SEGMENT_MAGIC 0x3130544d47455346ull /* "FSEGMT01" */
#define LOG_RECORD_MAGIC 0x3130445243455246ull /* "FRECRD01" */
#define LOG_SUMMARY_MAGIC 0x31305952414d5553ull /* "SUMARY01" */

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "the cache file is little-endian; byte swapping is not written");

/*
 * A time in which one opener appended. A record counts only if its epoch and
 * incarnation have a row and its sequence lies inside the row.
 *
 *   0        8             16               24              32
 *   | epoch | incarnation | first_sequence | last_sequence |
 */
struct log_row {
	uint64_t epoch;
	uint64_t incarnation;
	uint64_t first_sequence;
	uint64_t last_sequence; /* LOG_ROW_OPEN while the incarnation lives */
};
static_assert(sizeof(struct log_row) == 32, "stored layout");

#define LOG_ROW_OPEN UINT64_MAX

/*
 *   0       8     12        16     32           40          48
 *   | magic | crc | version | uuid | generation | disk size | ...
 *
 * The copy with the higher generation and a right checksum holds. A new one
 * is written over the other.
 */
struct log_superblock {
	uint64_t magic;
	uint32_t crc; /* CRC32C of all 64 KiB with this field 0 */
	uint32_t version;
	uint8_t uuid[16];
	uint64_t generation;
	uint64_t disk_bytes;
	uint64_t file_bytes;
	uint64_t tail_sequence; /* nothing below it counts */
	uint32_t segment_blocks;
	uint32_t row_count;
	uint32_t flags;
	uint32_t reserved_too;
	/*
	 * Generations of what is below the log, as its host counts them: the
	 * one that this opener was to write there, and the one that it found.
	 * 0: none.
	 */
	uint64_t below_generation;
	uint64_t below_before;
	uint8_t reserved[256 - 96];
	struct log_row rows[];
};
static_assert(offsetof(struct log_superblock, uuid) == 16, "stored layout");
static_assert(offsetof(struct log_superblock, segment_blocks) == 64,
	      "stored layout");
static_assert(offsetof(struct log_superblock, below_generation) == 80,
	      "stored layout");
static_assert(sizeof(struct log_superblock) == 256, "stored layout");

/*
 * Writes may have been acknowledged that are below only, and not flushed there:
 * write-through and write-around. Set before the first of them.
 */
#define LOG_SUPERBLOCK_BELOW_UNFLUSHED 0x01u

#define LOG_ROWS_MAX                                \
	((LOG_SUPERBLOCK_BLOCKS * LOG_BLOCK_BYTES - \
	  sizeof(struct log_superblock)) /          \
	 sizeof(struct log_row))

/* First block of a segment; the rest of the block is zero. */
struct log_segment_head {
	uint64_t magic;
	uint32_t crc; /* CRC32C of this struct with this field 0 */
	uint32_t reserved;
	uint8_t uuid[16];
	uint64_t epoch;
	uint64_t incarnation;
	uint64_t first_sequence; /* of the first record: its generation */
};
static_assert(sizeof(struct log_segment_head) == 56, "stored layout");

enum log_entry_type {
	LOG_WRITE = 1, /* data of a guest's write: dirty */
	LOG_FILL = 2, /* data read from the layers below: clean */
	LOG_REAPPEND =
		3, /* a copy moved up the log; dirty or clean as it was */
	LOG_ZERO = 4, /* reads as zeros: dirty */
	LOG_DISCARD = 5, /* not needed any more; reads as zeros: dirty */
	LOG_DROP = 6, /* forget every older copy */
	LOG_CLEAN = 7, /* versions up to `upto` are in the layers below */
};

/*
 * WRITE: the guest changed its buffer while a record was being written. This
 * entry replaces the block's bad copies in the records from `upto` on.
 */
#define LOG_ENTRY_AMENDS 0x01u
/* REAPPEND: the copy is dirty. */
#define LOG_ENTRY_DIRTY 0x02u
/* REAPPEND: the copy couldn't be read any more; nor may the block be. */
#define LOG_ENTRY_LOST 0x04u
/* ZERO: the range shall stay allocated in the layers below. */
#define LOG_ENTRY_NO_HOLE 0x08u

/*
 * An entry is about whole blocks. Entries with data are followed by one check
 * value a block, padded to 8 bytes; their data blocks stand behind the header
 * in the order of the entries. Check value: CRC32C over {uuid, sequence, block
 * number (u64), 4096 bytes}.
 */
struct log_entry {
	uint8_t type; /* enum log_entry_type */
	uint8_t flags;
	uint8_t mask; /* data: 0, or one block of which these sectors are valid
		       */
	uint8_t reserved;
	uint32_t block_count;
	uint64_t first_block;
	uint64_t upto; /* CLEAN; WRITE with LOG_ENTRY_AMENDS */
};
static_assert(sizeof(struct log_entry) == 24, "stored layout");

struct log_record_header {
	uint64_t magic;
	uint32_t crc; /* CRC32C of the first used_bytes with this field 0 */
	uint16_t used_bytes;
	uint16_t entry_count;
	uint8_t uuid[16];
	uint64_t epoch;
	uint64_t incarnation;
	uint64_t sequence;
	uint64_t tail_sequence; /* nothing below it is needed any more */
	uint64_t durable_sequence; /* covered by a finished SSD flush */
	uint32_t previous_crc; /* of the record before, 0 for the first */
	uint32_t data_blocks;
	uint8_t mode;
	uint8_t reserved[47];
	uint8_t entries[];
};
static_assert(sizeof(struct log_record_header) == 128, "stored layout");

#define LOG_ENTRIES_BYTES (LOG_BLOCK_BYTES - sizeof(struct log_record_header))

/*
 * The last bytes of a segment that has a summary: copies of its records'
 * headers, so that who starts need not read the data between them. It may be
 * missing; the headers themselves are the truth.
 *
 *   segment: | head | record | ... | gap | copies | 0 ... | log_summary |
 *   copies:  | used_bytes of a header | used_bytes of the next | ...
 *
 * The copies begin at a block, `blocks` before the segment's end.
 */
struct log_summary {
	uint64_t magic;
	uint32_t crc; /* CRC32C of this struct with this field 0 */
	uint32_t record_count;
	uint8_t uuid[16];
	uint64_t epoch; /* these three are the segment head's */
	uint64_t incarnation;
	uint64_t first_sequence;
	uint32_t copies_bytes;
	uint32_t blocks; /* of the whole summary */
};
static_assert(sizeof(struct log_summary) == 64, "stored layout");

/* Most blocks of a summary: a segment with more headers has none. */
static inline uint32_t log_summary_blocks_max(uint32_t segment_blocks)
{
	return segment_blocks / 4 < 16 ? segment_blocks / 4 : 16;
}

/* Blocks of a summary whose copies are so long. */
static inline uint32_t log_summary_blocks(uint32_t copies_bytes)
{
	return (copies_bytes + (uint32_t)sizeof(struct log_summary) +
		LOG_BLOCK_BYTES - 1) /
	       LOG_BLOCK_BYTES;
}

/* Bytes of an entry with its check values. */
static inline uint32_t log_entry_bytes(uint32_t data_blocks)
{
	return (uint32_t)sizeof(struct log_entry) +
	       ((data_blocks * 4u + 7u) & ~7u);
}

/* Where the first segment begins, in blocks. */
static inline uint32_t log_first_segment_block(uint32_t segment_blocks)
{
	uint32_t used = LOG_SUPERBLOCK_COPIES * LOG_SUPERBLOCK_BLOCKS;

	return (used + segment_blocks - 1) / segment_blocks * segment_blocks;
}

#endif
