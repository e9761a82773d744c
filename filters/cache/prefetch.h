/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefetch.h - reads that bring a range into the cache: the CACHE operation.
 *
 * One request at a time, in pieces, into memory that nobody looks at; the
 * engine caches what it missed, and when it has room again the next piece
 * follows. So a hint takes one read's share of the backend and of the SSD,
 * however large it is. It is a hint: an engine that has no room for long ends
 * it, and of a long range only the beginning is read.
 *
 *   prefetch_submit -> read, wait, read, ... -> request_complete
 */
#ifndef FOREBAY_CACHE_PREFETCH_H
#define FOREBAY_CACHE_PREFETCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "forebay/filter.h"
#include "runner.h"

/* The engine caches a piece in one go. */
#define PREFETCH_PIECE_BYTES ENGINE_FILL_BYTES
/* Most of one request that is read. */
#define PREFETCH_BYTES_MAX (32u << 20)
/* How often it looks for room, and how long a piece waits for it. */
#define PREFETCH_LOOK_NS UINT64_C(500000)
#define PREFETCH_PATIENCE_NS UINT64_C(200000000)

/* What a request needs; lies in its context. */
struct prefetch_request {
	struct prefetch_request *next; /* that waits behind it */
	struct forebay_request *request;
};

struct prefetch {
	const struct forebay_host *host;
	struct forebay_instance *instance;
	struct runner *runner;
	struct forebay_timer look;
	uint64_t waiting_since_ns; /* for room */
	struct engine_request read;
	struct iovec iov;
	void *memory; /* NULL until somebody hints */
	struct prefetch_request *current;
	uint64_t at; /* bytes; behind what was read */
	uint64_t end;
	struct prefetch_request *first; /* waiting */
	struct prefetch_request *last;
};

void prefetch_begin(struct prefetch *prefetch, const struct forebay_host *host,
		    struct forebay_instance *instance, struct runner *runner);
/* No request is under way. */
void prefetch_end(struct prefetch *prefetch);
void prefetch_submit(struct prefetch *prefetch, struct prefetch_request *entry);
/* For the runner's completed(): whether this is our read; it has ended. */
bool prefetch_completed(struct prefetch *prefetch, struct engine_request *read);

#endif
