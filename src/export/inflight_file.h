/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inflight_file.h - the shared memory that holds every queue's in-flight
 * region, one behind the other, and behind them what a device must remember.
 *
 *   | region of queue 0 | ... | region of the last | struct inflight_device |
 *
 * That last part is ours: a VMM keeps the file without looking into it, from
 * the start of the device to its reset, so it lives exactly as long as what a
 * driver has set. A file without it is fine.
 *
 * This process makes the file, the VMM keeps it, and gives it to whoever
 * serves the disk: perhaps this process, perhaps the one after it. So what
 * comes back is checked like any foreign file.
 */
#ifndef FOREBAY_EXPORT_INFLIGHT_FILE_H
#define FOREBAY_EXPORT_INFLIGHT_FILE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inflight.h"

enum inflight_cache_mode {
	INFLIGHT_CACHE_UNKNOWN = 0, /* as the file is made */
	INFLIGHT_CACHE_WRITETHROUGH = 1,
	INFLIGHT_CACHE_WRITEBACK = 2
};

struct inflight_device {
	uint32_t cache_mode;
	/* vhost_trial.h's: the request that is being tried. */
	uint32_t trial_queue; /* from 1; 0: none */
	uint32_t trial_head;
	uint32_t condemned; /* requests that were failed so far */
	uint8_t reserved[48];
};

static_assert(sizeof(struct inflight_device) == 64, "shared format");

struct inflight_file {
	uint8_t *map; /* NULL: none */
	size_t bytes;
	struct inflight_device *device; /* NULL: not kept */
	uint16_t queue_count;
	uint16_t queue_size;
	bool packed; /* the kind of its regions */
};

/*
 * Makes a file with room for either kind of regions: the driver may not have
 * chosen yet. Returns: its descriptor, or -errno.
 */
int inflight_file_create(uint16_t queue_count, uint16_t queue_size,
			 uint64_t *ret_bytes);
/*
 * Maps what lies at @offset of @fd, as counts, size and kind in @file say.
 * @bytes is how much the VMM thinks that is.
 * Returns: 0, -EINVAL or a negative errno.
 */
int inflight_file_map(struct inflight_file *file, int fd, uint64_t offset,
		      uint64_t bytes);
void inflight_file_unmap(struct inflight_file *file);
/* Returns: NULL if there is none for this queue. */
void *inflight_file_region(const struct inflight_file *file,
			   unsigned int queue);

/* What is kept for the device. Read once: the VMM can write there. */
enum inflight_cache_mode inflight_file_cache_mode(
	const struct inflight_file *file);
void inflight_file_set_cache_mode(struct inflight_file *file, bool writeback);

#endif
