/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment_walk.h - goes through the records of a segment that is in memory, or
 * through the copies of their headers in its summary.
 */
#ifndef FOREBAY_ENGINE_SEGMENT_WALK_H
#define FOREBAY_ENGINE_SEGMENT_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "log_codec.h"

struct segment_walk {
	const uint8_t *bytes; /* the segment, head first; NULL: a summary */
	const uint8_t *copies; /* the next header of a summary */
	uint32_t copies_bytes; /* of these are left */
	const uint8_t *uuid;
	uint64_t epoch;
	uint64_t incarnation;
	uint64_t last_sequence; /* records above don't count */
	/*
	 * A gap that begins at or below it is passed over, to the next record
	 * that is whole: for salvage. 0: the first gap is the end.
	 */
	uint64_t pass_gaps;
	uint64_t disk_blocks;
	uint32_t block_count; /* how much of the segment is there */
	uint32_t block; /* of the current record's header, in the segment */
	uint64_t sequence; /* of the current record */
	uint64_t missing; /* records in the gap before the current one */
	const struct log_record_header *header;
};

/*
 * Prepares a walk over the segment in @bytes, whose head must be valid. The
 * caller fills uuid, last_sequence, disk_blocks and block_count first.
 */
void segment_walk_start(struct segment_walk *walk, const uint8_t *bytes);
/* The same over a valid summary that stands at the end of its blocks. */
void segment_walk_start_summary(struct segment_walk *walk,
				const struct log_summary *summary);
/*
 * Returns: false behind the last record that follows on without a gap, or
 * behind a gap that is passed over. A summary's gaps never are.
 */
bool segment_walk_next(struct segment_walk *walk);

/* Data block @index of the current record; not from a summary. */
static inline const uint8_t *segment_walk_data(const struct segment_walk *walk,
					       uint32_t index)
{
	return walk->bytes +
	       (size_t)(walk->block + 1 + index) * LOG_BLOCK_BYTES;
}

#endif
