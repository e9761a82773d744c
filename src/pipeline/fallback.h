/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fallback.h - discards and zeroes for a chain that has none.
 *
 * It stands above the chain, so that what a filter doesn't understand never
 * slips past it: the filter sees plain writes, or nothing. Whether it is needed
 * is decided once, when the chain is built.
 *
 *   DISCARD       ends with success at once: the contents are undefined anyway
 *   WRITE_ZEROES  becomes writes of FALLBACK_PIECE_BYTES, one after the other,
 *                 each in a turn of the loop of its own: others get between
 *
 * The pieces are the request itself with other words in it, which it gets back
 * before it ends. So nothing is allocated and nothing can run out.
 */
#ifndef FOREBAY_PIPELINE_FALLBACK_H
#define FOREBAY_PIPELINE_FALLBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "chain.h"
#include "loop.h"
#include "request_pool.h"

/* One write of zeros. */
#define FALLBACK_PIECE_BYTES (1u << 20)

struct fallback {
	struct loop *loop;
	bool discards; /* the chain has none */
	bool zeroes;
	uint64_t discards_ignored;
	struct iovec zeros; /* of FALLBACK_PIECE_BYTES, read-only */
	struct forebay_request *first; /* their next piece is due */
	struct forebay_request *last;
	struct loop_deferred next;
};

/* Order: @chain is complete. Returns: 0 or -ENOMEM. */
int fallback_prepare(struct fallback *fallback, struct loop *loop,
		     const struct chain *chain);
/* A zeroed one is fine. */
void fallback_release(struct fallback *fallback);

/*
 * Takes a DISCARD or WRITE_ZEROES that the chain doesn't; its ended() is called
 * once, maybe before this returns. Returns: false if the chain takes it.
 */
bool fallback_submit(struct fallback *fallback,
		     struct forebay_request *request);

#endif
