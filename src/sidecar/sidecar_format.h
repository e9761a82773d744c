/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sidecar_format.h - the file of a filter's sidecar, as it is stored.
 *
 * docs/sidecar-format.md is the promise; this is the same in C. Integers are
 * little-endian, a block is 4096 bytes.
 *
 *   block 0         1         2        3        4
 *   | label A | label B | head A | head B | journal ... | data ...
 *
 *   label   whose it is, and as of which generation of the backend
 *   head    where the journal begins, and how long the data are
 *   record  writes that are in force together, or not at all
 *
 * Labels and heads lie in the first 512 bytes of their block, which no power
 * failure tears; of each pair the one with the higher serial number holds.
 *
 * The parse functions are the gate: behind them every number is possible.
 */
#ifndef FOREBAY_SIDECAR_SIDECAR_FORMAT_H
#define FOREBAY_SIDECAR_SIDECAR_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIDECAR_VERSION 1u
#define SIDECAR_BLOCK_BYTES 4096u
#define SIDECAR_SECTOR_BYTES 512u
#define SIDECAR_TEXT_FIELD_BYTES 32u
/* Where things are, in blocks. */
#define SIDECAR_LABEL_BLOCK 0u
#define SIDECAR_HEAD_BLOCK 2u
#define SIDECAR_JOURNAL_BLOCK 4u
/* Of a journal that can be used at all, and of one that is possible. */
#define SIDECAR_JOURNAL_BLOCKS_MIN 8u
#define SIDECAR_JOURNAL_BLOCKS_MAX 65536u
#define SIDECAR_LENGTH_BYTES_MAX (UINT64_C(1) << 43)
#define SIDECAR_ENTRIES_MAX 128u
#define SIDECAR_RECORD_BLOCKS_MAX 256u /* of data */
/* Nobody counts so far: it is no number of ours. */
#define SIDECAR_NUMBER_MAX (UINT64_C(1) << 62)

/* What has been told about a sidecar and not been dealt with yet. */
enum sidecar_pending {
	SIDECAR_PENDING_NOTHING = 0,
	SIDECAR_PENDING_BYPASSED = 1,
	SIDECAR_PENDING_FOREIGN = 2,
	SIDECAR_PENDING_NEW = 3,
};

/*
 *   0       8     12        16              32       40           48
 *   | magic | crc | version | disk uuid     | serial | generation |
 *   48                56        60    64       96               128
 *   | next_generation | pending | 0   | filter | filter_version | name |
 *   160         176
 *   | host uuid | 0 ...
 */
struct sidecar_label {
	uint8_t magic[8];
	uint32_t crc;
	uint32_t version;
	uint8_t disk_uuid[16];
	uint64_t serial;
	uint64_t generation;
	uint64_t next_generation;
	uint32_t pending;
	uint32_t reserved;
	char filter[SIDECAR_TEXT_FIELD_BYTES];
	char filter_version[SIDECAR_TEXT_FIELD_BYTES];
	char name[SIDECAR_TEXT_FIELD_BYTES];
	uint8_t host_uuid[16]; /* that opened it last */
	uint8_t zeros[336];
};

/*
 *   0       8     12        16       24            32              40
 *   | magic | crc | version | serial | incarnation | tail_sequence |
 *   40             48           52               56
 *   | length_bytes | tail_block | journal_blocks | 0 ...
 */
struct sidecar_head {
	uint8_t magic[8];
	uint32_t crc;
	uint32_t version;
	uint64_t serial;
	uint64_t incarnation;
	uint64_t tail_sequence; /* of the oldest record that counts */
	uint64_t length_bytes; /* of the data, before that record */
	uint32_t tail_block; /* where it begins, or would: from 0 */
	uint32_t journal_blocks;
	uint8_t zeros[456];
};

enum sidecar_entry_type {
	SIDECAR_ENTRY_WRITE = 1, /* `count` blocks of data from `first` on */
	SIDECAR_ENTRY_RESIZE = 2, /* the data are `first` blocks long now */
};

struct sidecar_entry {
	uint32_t type;
	uint32_t count;
	uint64_t first;
};

/*
 *   0       8     12            16            24         32            64
 *   | magic | crc | entry_count | incarnation | sequence | data_blocks | 0 |
 *   64                     2112                        3136
 *   | entry | entry | ...  | check value | ...         | 0 ...    | data ...
 */
struct sidecar_record {
	uint8_t magic[8];
	uint32_t crc;
	uint32_t entry_count;
	uint64_t incarnation;
	uint64_t sequence;
	uint32_t data_blocks;
	uint8_t zeros[28];
	struct sidecar_entry entries[SIDECAR_ENTRIES_MAX];
	uint32_t check_values[SIDECAR_RECORD_BLOCKS_MAX]; /* CRC, of a block */
	uint8_t more_zeros[960];
};

static_assert(sizeof(struct sidecar_label) == SIDECAR_SECTOR_BYTES,
	      "a label is a sector");
static_assert(offsetof(struct sidecar_label, serial) == 32, "stored");
static_assert(offsetof(struct sidecar_label, pending) == 56, "stored");
static_assert(offsetof(struct sidecar_label, filter) == 64, "stored");
static_assert(offsetof(struct sidecar_label, host_uuid) == 160, "stored");
static_assert(sizeof(struct sidecar_head) == SIDECAR_SECTOR_BYTES,
	      "a head is a sector");
static_assert(offsetof(struct sidecar_head, tail_block) == 48, "stored");
static_assert(sizeof(struct sidecar_record) == SIDECAR_BLOCK_BYTES,
	      "a record's header is a block");
static_assert(offsetof(struct sidecar_record, entries) == 64, "stored");
static_assert(offsetof(struct sidecar_record, check_values) == 2112, "stored");

/* Fill in magic, version and CRC. */
void sidecar_label_seal(struct sidecar_label *label);
void sidecar_head_seal(struct sidecar_head *head);
void sidecar_record_seal(struct sidecar_record *record);

/*
 * A sector or block as it was read.
 * Returns: 0, -ENODATA (blank), -EUCLEAN, or -EPROTONOSUPPORT (another version)
 */
int sidecar_label_parse(const void *bytes, struct sidecar_label *ret_label);
int sidecar_head_parse(const void *bytes, struct sidecar_head *ret_head);
/*
 * Whether these bytes are the record @sequence of @head's incarnation, with
 * data that would fit at @at, a block of the journal. Check values are for
 * whoever reads the data.
 */
bool sidecar_record_parse(const void *bytes, const struct sidecar_head *head,
			  uint64_t sequence, uint32_t at,
			  struct sidecar_record *ret_record);

#endif
