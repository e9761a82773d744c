// SPDX-License-Identifier: Apache-2.0
/*
 * segment_walk.c - see segment_walk.h. The gate through which recovery, destage
 * and eviction see what stands in a segment.
 */
#include "segment_walk.h"

void segment_walk_start(struct segment_walk *walk, const uint8_t *bytes)
{
	const struct log_segment_head *head = (const void *)bytes;

	walk->bytes = bytes;
	walk->copies = NULL;
	walk->epoch = head->epoch;
	walk->incarnation = head->incarnation;
	walk->sequence = head->first_sequence - 1;
	walk->block = 0;
	walk->header = NULL;
}

void segment_walk_start_summary(struct segment_walk *walk,
				const struct log_summary *summary)
{
	const uint8_t *end = (const uint8_t *)(summary + 1);

	walk->bytes = NULL;
	walk->copies = end - (size_t)summary->blocks * LOG_BLOCK_BYTES;
	walk->copies_bytes = summary->copies_bytes;
	/* No record reaches into it. */
	walk->block_count -= summary->blocks;
	walk->epoch = summary->epoch;
	walk->incarnation = summary->incarnation;
	walk->sequence = summary->first_sequence - 1;
	walk->block = 0;
	walk->header = NULL;
}

/* The header at block @next. Returns: NULL if a summary has no more. */
static const struct log_record_header *header_at(
	const struct segment_walk *walk, uint32_t next)
{
	const struct log_record_header *header = (const void *)walk->copies;

	if (walk->bytes)
		return (const void *)(walk->bytes +
				      (size_t)next * LOG_BLOCK_BYTES);
	if (walk->copies_bytes < sizeof(*header) ||
	    walk->copies_bytes < header->used_bytes)
		return NULL;
	return header;
}

static bool entries_on_disk(const struct segment_walk *walk,
			    const struct log_record_header *header)
{
	struct log_entry_cursor cursor;

	log_entries_start(&cursor, header);
	while (log_entries_next(&cursor)) {
		const struct log_entry *entry = cursor.entry;

		if (entry->first_block >= walk->disk_blocks ||
		    entry->block_count > walk->disk_blocks - entry->first_block)
			return false;
	}
	return true;
}

/* A record of the walk's segment at block @at. Returns: NULL if there is none.
 */
static const struct log_record_header *record_at(
	const struct segment_walk *walk, uint32_t at)
{
	const struct log_record_header *header = header_at(walk, at);

	if (!header ||
	    !log_record_valid(header, walk->uuid, walk->block_count - at) ||
	    header->epoch != walk->epoch ||
	    header->incarnation != walk->incarnation ||
	    !entries_on_disk(walk, header))
		return NULL;
	return header;
}

/* The record at block @at, if it follows on. */
static const struct log_record_header *following(
	const struct segment_walk *walk, uint32_t at)
{
	const struct log_record_header *header = record_at(walk, at);

	if (!header || header->sequence != walk->sequence + 1 ||
	    (walk->header && header->previous_crc != walk->header->crc))
		return NULL;
	return header;
}

/* The next whole record behind the gap at block *at, which it moves there. */
static const struct log_record_header *behind_gap(
	const struct segment_walk *walk, uint32_t *at)
{
	uint32_t gap = *at;

	if (!walk->bytes || walk->sequence >= walk->pass_gaps)
		return NULL;
	for (uint32_t block = gap + 1; block < walk->block_count; block++) {
		const struct log_record_header *header = record_at(walk, block);

		/* Each missing record took a block at least. */
		if (header && header->sequence > walk->sequence + 1 &&
		    header->sequence - walk->sequence - 1 <= block - gap &&
		    header->sequence <= walk->last_sequence) {
			*at = block;
			return header;
		}
	}
	return NULL;
}

bool segment_walk_next(struct segment_walk *walk)
{
	uint32_t next =
		walk->header ? walk->block + 1 + walk->header->data_blocks : 1;
	const struct log_record_header *header;

	if (next >= walk->block_count || walk->sequence >= walk->last_sequence)
		return false;
	header = following(walk, next);
	if (!header)
		header = behind_gap(walk, &next);
	if (!header)
		return false;
	walk->missing = header->sequence - walk->sequence - 1;
	walk->block = next;
	walk->sequence = header->sequence;
	walk->header = header;
	if (!walk->bytes) {
		walk->copies += header->used_bytes;
		walk->copies_bytes -= header->used_bytes;
	}
	return true;
}
