/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - the figures of what is cached and what stays.
 *
 * The engine keeps to them, and so do the miniatures that say what it would do
 * with a log of another size. Where they come from: ADR 0031.
 */
#ifndef FOREBAY_ENGINE_POLICY_H
#define FOREBAY_ENGINE_POLICY_H

#include <stdint.h>

/* Larger misses are streams: they would push out what is used again. */
#define POLICY_FILL_BLOCKS_MAX 64u

/*
 * When all that is cached is in use, a newcomer would only push out what is as
 * good, as in a loop that is larger than the cache. So many are let in, out of
 * so many: enough to fill records, and to see when that has changed.
 */
#define POLICY_LET_IN 64u
#define POLICY_LET_IN_OF 1024u

/* Of a segment's blocks: so many may move up for having been used. */
#define POLICY_HOT_PERCENT 50u
/* So many in all, if others go as well, from a log that has less than this
 * share of live data. */
#define POLICY_COLD_PERCENT 40u
#define POLICY_SPARSE_PERCENT 75u
/*
 * With more of a segment's room than this taken by what was used, the mean of
 * the last so many, there is nothing that a newcomer could be better than.
 */
#define POLICY_ALL_USED_PERMILLE 900u
#define POLICY_MEAN_OF 16u
/* Head, headers and summary of what moves up: it must free more than it uses.
 */
#define POLICY_OVERHEAD_BLOCKS 4u

/* One segment in so many of the grant is kept free, besides the reserve, up to
 * a limit. */
#define POLICY_FREE_SHARE 64u
#define POLICY_FREE_MAX 32u
/* Rule 12; small logs have less to reserve from. */
#define POLICY_RESERVE 4u
#define POLICY_RESERVE_SMALL 2u
#define POLICY_SMALL_LOG_SEGMENTS 32u

static inline uint32_t policy_reserve(uint32_t segments)
{
	return segments >= POLICY_SMALL_LOG_SEGMENTS ? POLICY_RESERVE
						     : POLICY_RESERVE_SMALL;
}

/* Of a log that may have so many: what is to be free, the reserve included. */
static inline uint32_t policy_free(uint32_t segments)
{
	uint32_t share = segments / POLICY_FREE_SHARE;

	return policy_reserve(segments) + 1 +
	       (share < POLICY_FREE_MAX ? share : POLICY_FREE_MAX);
}

#endif
