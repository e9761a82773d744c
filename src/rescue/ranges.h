/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ranges.h - a list of ranges of a disk, in ascending order, with what they
 * have in common. Neighbours that are alike become one.
 */
#ifndef FOREBAY_RESCUE_RANGES_H
#define FOREBAY_RESCUE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum copy_fault {
	COPY_GOOD,
	COPY_DAMAGED, /* its check value is wrong */
	COPY_UNREADABLE, /* the medium says so */
	COPY_LOST, /* given up earlier, by the disk itself */
};

/* "damaged" and so on. */
const char *copy_fault_name(enum copy_fault fault);

struct range {
	uint64_t first_sector; /* of 512 bytes */
	uint64_t sector_count;
	enum copy_fault fault;
	bool dirty; /* the backend has something older */
};

struct ranges {
	struct range *items;
	size_t count;
	size_t room;
};

/* Order: ascending. Returns: 0 or -ENOMEM. */
int ranges_add(struct ranges *ranges, const struct range *range);
void ranges_release(struct ranges *ranges);

#endif
