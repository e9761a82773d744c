/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inflight_file.h - the shared memory that holds every queue's in-flight
 * region, one behind the other.
 *
 * This process makes the file, the VMM keeps it, and gives it to whoever
 * serves the disk: perhaps this process, perhaps the one after it. So what
 * comes back is checked like any foreign file.
 */
#ifndef FOREBAY_EXPORT_INFLIGHT_FILE_H
#define FOREBAY_EXPORT_INFLIGHT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "inflight.h"

struct inflight_file {
	uint8_t *map; /* NULL: none */
	size_t bytes;
	uint16_t queue_count;
	uint16_t queue_size;
};

/* Returns: a descriptor of a formatted file of @ret_bytes, or -errno. */
int inflight_file_create(uint16_t queue_count, uint16_t queue_size,
			 uint64_t *ret_bytes);
/*
 * Maps what lies at @offset of @fd, as counts and sizes in @file say. @bytes
 * is how much the VMM thinks that is.
 * Returns: 0, -EINVAL or a negative errno.
 */
int inflight_file_map(struct inflight_file *file, int fd, uint64_t offset,
		      uint64_t bytes);
void inflight_file_unmap(struct inflight_file *file);
/* Returns: NULL if there is none for this queue. */
struct inflight_region *inflight_file_region(const struct inflight_file *file,
					     unsigned int queue);

#endif
