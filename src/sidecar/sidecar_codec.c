// SPDX-License-Identifier: Apache-2.0
/*
 * sidecar_codec.c - see sidecar_format.h.
 *
 * Structures are stored as they lie in memory: the machines that we run on are
 * little-endian.
 */
#include <errno.h>
#include <string.h>

#include "crc32c.h"
#include "sidecar_format.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "what is stored is little-endian");

static const uint8_t label_magic[8] = "FBSIDLAB";
static const uint8_t head_magic[8] = "FBSIDHED";
static const uint8_t record_magic[8] = "FBSIDREC";

/* Of a structure whose own CRC, at 8, counts as 0. */
static uint32_t crc_of(const void *structure, size_t bytes)
{
	static const uint8_t none[4];
	const uint8_t *at = structure;
	uint32_t crc = crc32c(0, at, 8);

	crc = crc32c(crc, none, sizeof(none));
	return crc32c(crc, at + 12, bytes - 12);
}

void sidecar_label_seal(struct sidecar_label *label)
{
	memcpy(label->magic, label_magic, sizeof(label->magic));
	label->version = SIDECAR_VERSION;
	label->crc = crc_of(label, sizeof(*label));
}

void sidecar_head_seal(struct sidecar_head *head)
{
	memcpy(head->magic, head_magic, sizeof(head->magic));
	head->version = SIDECAR_VERSION;
	head->crc = crc_of(head, sizeof(*head));
}

void sidecar_record_seal(struct sidecar_record *record)
{
	memcpy(record->magic, record_magic, sizeof(record->magic));
	record->crc = crc_of(record, sizeof(*record));
}

/* What labels and heads begin with. */
static int check_sector(const uint8_t *sector, const uint8_t magic[8])
{
	static const uint8_t blank[SIDECAR_SECTOR_BYTES];
	uint32_t crc, version;

	if (memcmp(sector, blank, sizeof(blank)) == 0)
		return -ENODATA;
	memcpy(&crc, sector + 8, sizeof(crc));
	memcpy(&version, sector + 12, sizeof(version));
	if (memcmp(sector, magic, 8) != 0 ||
	    crc != crc_of(sector, SIDECAR_SECTOR_BYTES))
		return -EUCLEAN;
	return version == SIDECAR_VERSION ? 0 : -EPROTONOSUPPORT;
}

static bool is_text(const char field[SIDECAR_TEXT_FIELD_BYTES])
{
	return memchr(field, '\0', SIDECAR_TEXT_FIELD_BYTES) != NULL;
}

int sidecar_label_parse(const void *bytes, struct sidecar_label *ret_label)
{
	struct sidecar_label label;
	int status = check_sector(bytes, label_magic);

	if (status < 0)
		return status;
	memcpy(&label, bytes, sizeof(label));
	if (label.serial == 0 || label.serial > SIDECAR_NUMBER_MAX ||
	    label.pending > SIDECAR_PENDING_NEW || !is_text(label.filter) ||
	    !is_text(label.filter_version) || !is_text(label.name))
		return -EUCLEAN;
	*ret_label = label;
	return 0;
}

int sidecar_head_parse(const void *bytes, struct sidecar_head *ret_head)
{
	struct sidecar_head head;
	int status = check_sector(bytes, head_magic);

	if (status < 0)
		return status;
	memcpy(&head, bytes, sizeof(head));
	if (head.serial == 0 || head.serial > SIDECAR_NUMBER_MAX ||
	    head.tail_sequence == 0 ||
	    head.tail_sequence > SIDECAR_NUMBER_MAX ||
	    head.length_bytes > SIDECAR_LENGTH_BYTES_MAX ||
	    head.length_bytes % SIDECAR_BLOCK_BYTES != 0 ||
	    head.journal_blocks < SIDECAR_JOURNAL_BLOCKS_MIN ||
	    head.journal_blocks > SIDECAR_JOURNAL_BLOCKS_MAX ||
	    head.tail_block > head.journal_blocks)
		return -EUCLEAN;
	*ret_head = head;
	return 0;
}

/* Returns: blocks of data that the entry has, or UINT32_MAX. */
static uint32_t check_entry(const struct sidecar_entry *entry)
{
	const uint64_t end = SIDECAR_LENGTH_BYTES_MAX / SIDECAR_BLOCK_BYTES;

	if (entry->type == SIDECAR_ENTRY_RESIZE)
		return entry->count == 0 && entry->first <= end ? 0
								: UINT32_MAX;
	if (entry->type != SIDECAR_ENTRY_WRITE || entry->count == 0 ||
	    entry->count > SIDECAR_RECORD_BLOCKS_MAX || entry->first > end ||
	    entry->count > end - entry->first)
		return UINT32_MAX;
	return entry->count;
}

/* A RESIZE stands alone. */
static bool check_entries(const struct sidecar_record *record)
{
	uint32_t blocks = 0;

	if (record->entry_count == 0 ||
	    record->entry_count > SIDECAR_ENTRIES_MAX)
		return false;
	for (uint32_t i = 0; i < record->entry_count; i++) {
		uint32_t count = check_entry(&record->entries[i]);

		if (count == UINT32_MAX ||
		    (count == 0 && record->entry_count > 1))
			return false;
		blocks += count;
	}
	return blocks == record->data_blocks;
}

bool sidecar_record_parse(const void *bytes, const struct sidecar_head *head,
			  uint64_t sequence, uint32_t at,
			  struct sidecar_record *ret_record)
{
	memcpy(ret_record, bytes, sizeof(*ret_record));
	return memcmp(ret_record->magic, record_magic, sizeof(record_magic)) ==
		       0 &&
	       ret_record->incarnation == head->incarnation &&
	       ret_record->sequence == sequence &&
	       ret_record->data_blocks <= SIDECAR_RECORD_BLOCKS_MAX &&
	       at < head->journal_blocks &&
	       ret_record->data_blocks < head->journal_blocks - at &&
	       ret_record->crc == crc_of(ret_record, sizeof(*ret_record)) &&
	       check_entries(ret_record);
}
