/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_pipeline.h - a pipeline over plain memory, to test exports alone.
 *
 * Linked instead of the real one: memory_pipeline.c defines the functions of
 * pipeline.h that an export calls. Two images are kept: what a read sees, and
 * what is durable (reached by a FLUSH, or by a write with FOREBAY_FUA), so that
 * a test can tell a flush that covers too little.
 *
 * EXTENTS follow the image: blocks of zeros are holes, and what isn't durable
 * is dirty.
 *
 * Completions come as the test wants them: inside pipeline_submit(), a turn of
 * the loop later in reverse order, or when the test releases them.
 */
#ifndef FOREBAY_TESTS_MEMORY_PIPELINE_H
#define FOREBAY_TESTS_MEMORY_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "pipeline.h"

enum memory_pipeline_order {
	MEMORY_PIPELINE_AT_ONCE,
	MEMORY_PIPELINE_LATER_REVERSED,
	MEMORY_PIPELINE_HELD, /* until memory_pipeline_release() */
};

struct memory_pipeline_counts {
	uint64_t requests[FOREBAY_CACHE + 1];
	uint64_t fua;
	uint64_t copied_bytes;
	uint64_t abandoned;
	unsigned int in_flight;
};

struct pipeline *memory_pipeline_create(struct loop *loop, uint64_t size_bytes,
					bool read_only);
/* No request may be in flight. NULL is fine. */
void memory_pipeline_destroy(struct pipeline *pipeline);

void memory_pipeline_set_order(struct pipeline *pipeline,
			       enum memory_pipeline_order order);
/* Completes up to @count held requests, the newest first. Returns: how many. */
unsigned int memory_pipeline_release(struct pipeline *pipeline,
				     unsigned int count);
/* FOREBAY_OPERATION_BIT()s that the chain takes; all of them at first. */
void memory_pipeline_set_operations(struct pipeline *pipeline,
				    uint32_t operations);
/* The next @count requests of @operation end with @status. */
void memory_pipeline_fail(struct pipeline *pipeline,
			  enum forebay_operation operation, int status,
			  unsigned int count);
/* At most @count requests are given out at once (at first all). */
void memory_pipeline_set_requests_max(struct pipeline *pipeline,
				      unsigned int count);

/* Grows the disk; new bytes are zeros. No request may be in flight. */
void memory_pipeline_set_size(struct pipeline *pipeline, uint64_t size_bytes);

uint8_t *memory_pipeline_image(struct pipeline *pipeline);
const uint8_t *memory_pipeline_durable(const struct pipeline *pipeline);
const struct memory_pipeline_counts *memory_pipeline_counts(
	const struct pipeline *pipeline);

#endif
