/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block.h - a block of a trace file while it is filled; see forebay/trace.h.
 *
 * Pure. Owns: nothing; the bytes are the caller's, FOREBAY_TRACE_BLOCK_BYTES of
 * them.
 */
#ifndef FOREBAY_TRACE_BLOCK_H
#define FOREBAY_TRACE_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <forebay/filter.h>
#include <forebay/trace.h>

/* A request that has ended. */
struct block_record {
	enum forebay_operation operation;
	uint32_t flags;
	uint64_t begin_ns; /* since the trace began */
	uint64_t took_ns;
	uint64_t offset;
	uint64_t length;
	int status; /* 0 or a negative errno */
};

struct block {
	uint8_t *bytes;
	uint32_t used_bytes;
	uint32_t record_count;
	uint64_t base_ns;
	uint64_t last_ns; /* begin of the last record */
	uint64_t last_sector; /* end of the last record */
};

/* Empty. */
void block_begin(struct block *block, uint8_t *bytes);
/* Returns: false if it has no room; then nothing has changed. */
bool block_add(struct block *block, const struct block_record *record);
/*
 * Completes the head, of which @head says all but what the block knows, and
 * fills up with zeros. Returns: how many bytes go to the file.
 */
uint32_t block_seal(struct block *block, struct forebay_trace_head *head);

#endif
