/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copies.h - other data in the place of a request's own, below one filter.
 *
 *   request_stable    a private copy of a write's data, from the arena of the
 *                     filter's instance
 *   request_replace   buffers of the filter
 *
 * The request's own iovec is kept in the part of the layer, and is back before
 * the layers above see the request again, or this one its completed().
 *
 * An arena is each instance's own, because a copy is given back when the layers
 * below have done with it: a filter whose copies wait for the arena of a lower
 * one waits for requests that are further down than its own, so it can't
 * deadlock. Its memory takes two of the largest requests; who finds it full
 * waits in a list, and the first of the list is served first.
 */
#ifndef FOREBAY_PIPELINE_COPIES_H
#define FOREBAY_PIPELINE_COPIES_H

#include <stdbool.h>
#include <stdint.h>

#include "buddy.h"
#include "forebay/filter.h"
#include "loop.h"

#define COPIES_PAGE_BYTES 4096u
#define COPIES_BYTES (2u * FOREBAY_LENGTH_MAX)

/* In each request, of each layer that has put something in its place. */
struct request_saved {
	const struct iovec *iov; /* the request's own */
	uint32_t iov_count;
	uint32_t page; /* of the copy, or BUDDY_NONE */
	struct iovec copy;
};

struct copies {
	struct loop *loop;
	unsigned char *memory;
	struct buddy buddy;
	uint64_t *copied_bytes; /* the disk's counter */
	struct forebay_request *first; /* they wait for memory */
	struct forebay_request *last;
	struct forebay_request *serving; /* its turn to have what is free */
	struct loop_deferred retry;
	uint32_t waiting;
};

/* Returns: 0 or -ENOMEM. */
int copies_init(struct copies *copies, struct loop *loop,
		uint64_t *copied_bytes);
/* No copy may be out. A zeroed one is fine. */
void copies_release(struct copies *copies);

/* The host's functions of these names. */
int copies_request_stable(struct forebay_request *request);
int copies_request_replace(struct forebay_request *request,
			   const struct iovec *iov, uint32_t iov_count);
/* For the chain: @layer put something in the place of the request's data. */
void copies_restore(struct forebay_request *request, uint32_t layer);

#endif
