/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay.h - what is dirty in the cache, over the extents of the layers below.
 *
 * Both partitions lie in the request's one list. On the way down our own runs
 * are noted at its end, the last one first, and the layers below get a shorter
 * list; on the way up the two become one:
 *
 *   capacity at first                            |
 *   [ for the layers below    | room | run 1 run 0 ]
 *   [ merged ................................... ]
 *
 * `room` is as large as the runs: so the merged list, which may have as many
 * entries as both, never overtakes what it is made of.
 *
 * The runs are those of the moment when the question came. What is written back
 * meanwhile stays dirty in the answer, and must: the layers below may have been
 * asked before it reached them.
 */
#ifndef FOREBAY_CACHE_OVERLAY_H
#define FOREBAY_CACHE_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "forebay/filter.h"

struct overlay {
	uint32_t capacity; /* of the list, at first */
	uint32_t count; /* runs */
};

void overlay_begin(struct overlay *overlay,
		   const struct forebay_extents *extents);
/* Returns: false if the list has no room for another run. */
bool overlay_note(struct overlay *overlay, struct forebay_extents *extents,
		  uint64_t length, bool dirty);
/* The list is whole again, and empty. For a question that has failed. */
void overlay_forget(const struct overlay *overlay,
		    struct forebay_extents *extents);
/* Order: the layers below have answered. Ends where the shorter one ends. */
void overlay_merge(const struct overlay *overlay,
		   struct forebay_extents *extents);

#endif
