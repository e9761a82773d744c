/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_pool.h - a fixed number of requests, allocated once.
 *
 * One request is a head followed by the context bytes of every layer:
 *
 *   +----------------+-----------+-----------+-----+----------------+
 *   | what the       | context   | context   | ... | context of the |
 *   | export sees    | layer 0   | layer 1   |     | backend        |
 *   +----------------+-----------+-----------+-----+----------------+
 *
 * The memory is reserved at once and touched only as far as it was ever used:
 * the request that came back last goes out first, while it is in the CPU cache.
 */
#ifndef FOREBAY_PIPELINE_REQUEST_POOL_H
#define FOREBAY_PIPELINE_REQUEST_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "forebay/filter.h"
#include "pipeline.h"

struct chain;
struct fallback;

enum request_phase {
	REQUEST_FREE, /* not in the chain */
	REQUEST_WAITING, /* layer `at` gets it again when there is memory */
	REQUEST_DOWN, /* layer `at` may forward or complete it */
	REQUEST_UP /* layer `at` may only complete it */
};

/* A WRITE_ZEROES that goes down as writes; fallback.c's. */
struct request_zeroing {
	struct fallback *fallback;
	void (*ended)(struct forebay_request *request, int status);
	uint32_t flags; /* as asked for, and so on */
	uint64_t offset;
	uint64_t length;
	uint64_t done_bytes;
	struct iovec piece;
};

/* A request that was given up, or waits for one; fence.c's. */
struct request_fence {
	bool abandoned;
	uint64_t offset;
	uint64_t length;
	uint64_t since_ns;
	struct forebay_request *next;
};

/* Where it was found at the last look; held.c's. */
struct request_seen {
	uint64_t submitted_ns; /* which request it was */
	uint64_t since_ns;
	uint32_t layer;
};

struct forebay_request {
	struct pipeline_request user; /* the export's view; first */
	struct chain *chain;
	/* It left the chain on the side where it came in. */
	void (*ended)(struct forebay_request *request, int status);
	struct forebay_request *next_free; /* or the next of another list */
	uint32_t at; /* the layer that has it */
	uint32_t entry; /* the first layer that saw it */
	enum request_phase phase;
	uint32_t saved_layers; /* bits: copies.h's */
	struct request_zeroing zeroing; /* untouched by all others */
	struct request_fence fence;
	struct request_seen seen;
	_Alignas(16) unsigned char contexts[];
};

struct request_pool {
	unsigned char *memory;
	struct forebay_request *free;
	struct chain *chain;
	size_t stride;
	uint32_t capacity;
	uint32_t touched; /* requests [touched, capacity) were never used */
	uint32_t taken;
};

/* @context_bytes: of all layers together. Returns: 0 or -ENOMEM. */
int request_pool_init(struct request_pool *pool, struct chain *chain,
		      size_t context_bytes, uint32_t capacity);
/* Every request must be back. A zeroed pool is fine. */
void request_pool_release(struct request_pool *pool);
/* Returns: a request in phase FREE, or NULL if all are out. */
struct forebay_request *request_pool_get(struct request_pool *pool);
void request_pool_put(struct request_pool *pool,
		      struct forebay_request *request);

/*
 * Whether an operation is one that a disk of @size_bytes can have: within the
 * disk, in whole blocks, with data exactly where there must be some.
 */
static inline bool request_fits(enum forebay_operation operation,
				uint64_t offset, uint64_t length,
				uint32_t iov_count, uint64_t size_bytes)
{
	bool transfers =
		operation == FOREBAY_READ || operation == FOREBAY_WRITE;

	if (operation == FOREBAY_FLUSH)
		return offset == 0 && length == 0;
	if (transfers && (length > PIPELINE_LENGTH_MAX || iov_count == 0 ||
			  iov_count > PIPELINE_IOV_MAX))
		return false;
	return (offset | length) % 512 == 0 && length > 0 &&
	       length <= size_bytes && offset <= size_bytes - length;
}

#endif
