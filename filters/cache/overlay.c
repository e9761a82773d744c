// SPDX-License-Identifier: Apache-2.0
/* overlay.c - pure; see overlay.h for what lies where. */
#include "overlay.h"

#include <string.h>

/* Most of a list's entries that our runs take, and their room as much again. */
#define RUNS_SHARE 4u

void overlay_begin(struct overlay *overlay,
		   const struct forebay_extents *extents)
{
	*overlay = (struct overlay){.capacity = extents->capacity};
}

bool overlay_note(struct overlay *overlay, struct forebay_extents *extents,
		  uint64_t length, bool dirty)
{
	if (overlay->count >= overlay->capacity / RUNS_SHARE)
		return false;
	overlay->count++;
	extents->list[overlay->capacity - overlay->count] =
		(struct forebay_extent){
			.length = length,
			.flags = dirty ? FOREBAY_EXTENT_DIRTY : 0,
		};
	extents->capacity = overlay->capacity - 2 * overlay->count;
	return true;
}

void overlay_forget(const struct overlay *overlay,
		    struct forebay_extents *extents)
{
	extents->capacity = overlay->capacity;
	extents->count = 0;
}

static void put(struct forebay_extents *extents, uint64_t length,
		uint32_t flags)
{
	struct forebay_extent *last =
		extents->count > 0 ? &extents->list[extents->count - 1] : NULL;

	if (last && last->flags == flags) {
		last->length += length;
		return;
	}
	extents->list[extents->count++] = (struct forebay_extent){
		.length = length,
		.flags = flags,
	};
}

/* Takes @length off the extent. Returns: whether nothing of it is left. */
static bool use_up(struct forebay_extent *extent, uint64_t length)
{
	extent->length -= length;
	return extent->length == 0;
}

void overlay_merge(const struct overlay *overlay,
		   struct forebay_extents *extents)
{
	struct forebay_extent *below = extents->list + overlay->count;
	struct forebay_extent *below_end = below + extents->count;
	struct forebay_extent *run = extents->list + overlay->capacity;
	struct forebay_extent *run_end = run - overlay->count;

	memmove(below, extents->list, extents->count * sizeof(*below));
	overlay_forget(overlay, extents);
	/* Runs grow downwards: `run` is one behind the next. */
	while (below < below_end && run > run_end) {
		struct forebay_extent *own = run - 1;
		uint64_t length = below->length < own->length ? below->length
							      : own->length;
		uint32_t flags = own->flags & FOREBAY_EXTENT_DIRTY
					 ? FOREBAY_EXTENT_DIRTY
					 : below->flags;

		put(extents, length, flags);
		if (use_up(own, length))
			run--;
		if (use_up(below, length))
			below++;
	}
}
