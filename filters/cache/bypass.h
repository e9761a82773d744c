/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bypass.h - a disk whose cache can't be had goes on without it, and back.
 *
 * Only if nothing in the cache is needed: no marker stands beside the backend,
 * so all that was acknowledged is there. Requests go straight below then. The
 * cache is asked for again after BYPASS_RETRY_FIRST_NS, twice as long, and so
 * on up to BYPASS_RETRY_MOST_NS. When its engine runs, which has forgotten all
 * that it had, requests wait until those on their way below have ended; then
 * they go through the engine.
 *
 *   open fails -> bypass_goes_on ---------------------> requests go below
 *                      ^    `-> asks again -> fails        |
 *                      `-------------------------'         | engine runs
 *                 requests go through the engine <- bypass_end
 */
#ifndef FOREBAY_CACHE_BYPASS_H
#define FOREBAY_CACHE_BYPASS_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "forebay/filter.h"
#include "list.h"

#define BYPASS_RETRY_FIRST_NS (UINT64_C(2) * 1000 * 1000 * 1000)
#define BYPASS_RETRY_MOST_NS (UINT64_C(60) * 1000 * 1000 * 1000)

struct cache;
struct cache_request;

struct bypass {
	bool on;
	bool ending; /* the engine runs: new requests wait */
	uint64_t in_flight; /* below */
	uint64_t read_bytes; /* that could not be cached, since the open */
	struct list waiting; /* for that end */
	struct error why; /* the cache can't be had */
	struct forebay_timer retry;
	uint64_t retry_ns;
};

/*
 * The open has failed for cache->failure, and nothing of it is left. Returns:
 * false if the disk must not be served without its cache.
 */
bool bypass_goes_on(struct cache *cache);
/* There may be room now: it is tried at once. */
void bypass_may_end(struct cache *cache);
/* The engine runs. */
void bypass_end(struct cache *cache);
void bypass_submit(struct cache *cache, struct cache_request *context);
void bypass_completed(struct cache *cache, struct cache_request *context,
		      int status);
/* The disk is closing, and no request is under way. */
void bypass_cancel(struct cache *cache);

#endif
