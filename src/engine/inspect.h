/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h - what an engine that only looks has found in a cache file.
 *
 * An engine whose configuration asks for ENGINE_INSPECT runs the recovery of a
 * start, from the same code, and stops before the first write: state
 * ENGINE_INSPECTED. With ENGINE_INSPECT_HEADERS it believes no summary, and so
 * finds headers that are damaged though a start gets along without them. With
 * ENGINE_SALVAGE it goes on where a start would refuse:
 * it passes over records that are damaged and says which, invents the rows of
 * incarnations that no superblock knows, and takes a copy as it is. What lies
 * above the records that are known to be durable ends at the first gap, as
 * ever.
 *
 * All of it is the engine's, until the host takes the memory back.
 */
#ifndef FOREBAY_ENGINE_INSPECT_H
#define FOREBAY_ENGINE_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "log_format.h"

struct engine;

/* The newest copy of a block of the disk, or of several that are zeros. */
struct inspect_copy {
	uint64_t block;
	uint64_t block_count; /* 1, or of zeros */
	uint64_t sequence; /* of its record */
	uint32_t location; /* block of the file; of zeros: of the header */
	uint32_t check;
	uint8_t mask; /* valid sectors */
	bool zero; /* dirty, and has no data */
	bool dirty;
	bool lost; /* dirty, and its data were given up earlier */
	/* A missing record may have held a newer version. */
	bool doubtful;
};

/* Records that were needed and are missing: salvage only. */
struct inspect_gap {
	uint64_t first;
	uint64_t last;
};

struct inspect_log {
	const struct log_superblock *superblock; /* as read, or as invented */
	const struct inspect_gap *gaps;
	uint32_t gap_count;
	uint32_t overlaps; /* segments left out: another says the same */
	uint32_t segments;
	uint32_t segments_used;
	uint64_t tail_sequence;
	uint64_t durable_sequence;
	uint64_t last_sequence; /* the cut */
	uint64_t records; /* from the tail's segment to the cut */
	uint64_t cached_blocks; /* with data */
	uint64_t zero_blocks; /* dirty, without */
	uint64_t dirty_blocks; /* of both */
	uint64_t lost_blocks;
};

/* Order: the engine's state is ENGINE_INSPECTED. */
void inspect_log(const struct engine *engine, struct inspect_log *ret_log);
/*
 * The copy of the first cached block at or after @block. Returns: false if
 * there is none.
 */
bool inspect_next(const struct engine *engine, uint64_t block,
		  struct inspect_copy *ret_copy);

#endif
