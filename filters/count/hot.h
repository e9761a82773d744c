/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hot.h - the extents that are asked for most, in bounded memory.
 *
 * The Space-Saving algorithm (Metwally, Agrawal, El Abbadi, 2005): so many
 * counters as there are, each for an extent. An extent without one takes the
 * smallest, and takes its count over as its `over`: the true count is between
 * count - over and count. Every extent that has more than 1 / HOT_MAX of all
 * counts has a counter.
 *
 * Pure; one owner. A count costs a look-up and a few steps in a heap.
 */
#ifndef FOREBAY_COUNT_HOT_H
#define FOREBAY_COUNT_HOT_H

#include <stdint.h>

#define HOT_MAX 512u
#define HOT_CHAINS 1024u

struct hot_extent {
	uint64_t number; /* the extent: offset / size of an extent */
	uint64_t count;
	uint64_t over; /* at most so much of the count is another's */
	uint16_t next; /* in its chain */
	uint16_t place; /* in the heap */
};

/* Zero it, then hot_init(). */
struct hot {
	uint64_t total;
	uint32_t used;
	/* The smallest count is first, and no child is below its parent. */
	uint16_t heap[HOT_MAX];
	uint16_t chains[HOT_CHAINS];
	struct hot_extent extents[HOT_MAX];
};

void hot_init(struct hot *hot);
void hot_count(struct hot *hot, uint64_t number);
/* Copies the @most largest, the largest first. Returns: how many. */
uint32_t hot_largest(const struct hot *hot, uint32_t most,
		     struct hot_extent *ret_extents);

#endif
