// SPDX-License-Identifier: Apache-2.0
/* ranges.c - see ranges.h. */
#include "ranges.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define ROOM_FIRST 64u

const char *copy_fault_name(enum copy_fault fault)
{
	switch (fault) {
	case COPY_GOOD:
		return "good";
	case COPY_DAMAGED:
		return "damaged";
	case COPY_UNREADABLE:
		return "unreadable";
	case COPY_LOST:
		return "lost";
	}
	return NULL;
}

int ranges_add(struct ranges *ranges, const struct range *range)
{
	struct range *last =
		ranges->count > 0 ? &ranges->items[ranges->count - 1] : NULL;

	if (last && last->fault == range->fault &&
	    last->dirty == range->dirty &&
	    last->first_sector + last->sector_count == range->first_sector) {
		last->sector_count += range->sector_count;
		return 0;
	}
	if (ranges->count == ranges->room) {
		size_t room = ranges->room ? 2 * ranges->room : ROOM_FIRST;
		struct range *items =
			reallocarray(ranges->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		ranges->items = items;
		ranges->room = room;
	}
	assert(ranges->items);
	ranges->items[ranges->count++] = *range;
	return 0;
}

void ranges_release(struct ranges *ranges)
{
	free(ranges->items);
	*ranges = (struct ranges){0};
}
