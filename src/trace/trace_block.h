/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_block.h - the gate for a block of a trace file (forebay/trace.h).
 *
 * Behind it a record's numbers are whole, its operation and flags are known and
 * its range is within the disk. Pure.
 */
#ifndef FOREBAY_TRACE_TRACE_BLOCK_H
#define FOREBAY_TRACE_TRACE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "forebay/filter.h"
#include "forebay/trace.h"

struct trace_record {
	enum forebay_operation operation;
	uint32_t flags;
	uint64_t begin_ns; /* since the trace began */
	uint64_t took_ns;
	uint64_t offset;
	uint64_t length;
	int status; /* 0 or a negative errno */
};

/* A block's bytes, and how far it has been read. */
struct trace_block {
	struct forebay_trace_head head;
	const uint8_t *at;
	const uint8_t *end;
	uint32_t left; /* records */
	uint64_t last_ns;
	uint64_t last_sector;
};

/*
 * @bytes: what the file has from here on. Returns: how many of them the block
 * takes, or 0 if here is none that is whole. Owns: @bytes stay the caller's.
 */
size_t trace_block_parse(const uint8_t *bytes, size_t count,
			 struct trace_block *ret_block);
/* Returns: 1, 0 at the end, or -EPROTO: the rest is nonsense. */
int trace_block_next(struct trace_block *block,
		     struct trace_record *ret_record);

#endif
