/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fence.h - requests that nobody waits for any more, and those that they stop.
 *
 * An export that must end gives up a request that doesn't (pipeline_abandon()).
 * The request goes on somewhere below, and may change the disk at any time
 * until it has really ended. So whatever overlaps it waits until then, above
 * the chain: a later write must not be overtaken by an earlier one, and two
 * reads must not see the block change under them.
 *
 *   list `stuck`     given up, still below us
 *   list `waiting`   overlap one of them; in order of arrival
 */
#ifndef FOREBAY_PIPELINE_FENCE_H
#define FOREBAY_PIPELINE_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "request_pool.h"

struct fence {
	struct forebay_request *stuck;
	struct forebay_request *waiting;
	uint32_t stuck_count;
	uint32_t waiting_count;
};

/* A range of the disk; a FLUSH has none and is never stopped. */
bool fence_stops(const struct fence *fence,
		 const struct forebay_request *request);
/* @request waits, where fence_next() finds it. */
void fence_wait(struct fence *fence, struct forebay_request *request);
/* Returns: false if it doesn't wait here. */
bool fence_leave(struct fence *fence, struct forebay_request *request);

/* @request lies in the chain and stops all of [@offset, @offset + @length). */
void fence_raise(struct fence *fence, struct forebay_request *request,
		 uint64_t offset, uint64_t length, uint64_t now_ns);
/* It has ended. */
void fence_drop(struct fence *fence, struct forebay_request *request);
/* Takes out the first that nothing stops now. Returns: NULL if there is none.
 */
struct forebay_request *fence_next(struct fence *fence);
/* When the oldest was given up; 0 if there is none. */
uint64_t fence_since_ns(const struct fence *fence);

#endif
