/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirty_log.h - the bitmap in which a VMM that migrates finds the pages that
 * we have written.
 *
 * One bit stands for VHOST_USER_LOG_PAGE_BYTES of guest-physical memory, from
 * address 0 on. The VMM reads and clears bits at any time, so they are set
 * atomically, and after what they announce was written.
 *
 * A log that doesn't reach over all memory is refused (vhost_handlers.c); what
 * would still be marked beyond its end is left out. A VMM that truncates the
 * file later takes the log away: `lost` is set then, for good, and marks go
 * nowhere.
 */
#ifndef FOREBAY_EXPORT_DIRTY_LOG_H
#define FOREBAY_EXPORT_DIRTY_LOG_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero it before the first use. */
struct dirty_log {
	bool active; /* the VMM wants to know */
	uint8_t *bits; /* NULL: there is no log */
	uint64_t bytes;
	void *map;
	size_t map_bytes;
	volatile sig_atomic_t lost;
};

/*
 * Maps @bytes at @offset of the file @fd, which stays the caller's, in place
 * of the log that there was. @log stays where it is until it is unmapped.
 * Returns: 0, -EINVAL if the file is too short for it, or an errno of mmap.
 */
int dirty_log_map(struct dirty_log *log, int fd, uint64_t offset,
		  uint64_t bytes);
void dirty_log_unmap(struct dirty_log *log);

/* Whether all pages of [@address, @address + @bytes) have a bit. */
bool dirty_log_covers(const struct dirty_log *log, uint64_t address,
		      uint64_t bytes);
/* Order: @bytes at @address have been written, and nobody was told of them. */
void dirty_log_mark(struct dirty_log *log, uint64_t address, uint64_t bytes);

#endif
