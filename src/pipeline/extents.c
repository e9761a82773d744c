// SPDX-License-Identifier: Apache-2.0
/* extents.c - pure; used by the layers on the disk's loop. */
#include "extents.h"

bool extents_add(struct forebay_extents *extents, uint64_t length,
		 uint32_t flags)
{
	uint32_t count = extents->count;

	if (count > 0 && extents->list[count - 1].flags == flags) {
		extents->list[count - 1].length += length;
		return true;
	}
	if (extents->count >= extents->capacity)
		return false;
	extents->list[extents->count++] = (struct forebay_extent){
		.length = length,
		.flags = flags,
	};
	return true;
}
