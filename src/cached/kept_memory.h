/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept_memory.h - memory of filters that outlives their processes.
 *
 * A memfd per (disk, name), sealed against every change of size, because the
 * two sides don't trust each other not to cut it off under a mapping. It lives
 * until the disk's cache is deleted or this process ends.
 */
#ifndef FOREBAY_CACHED_KEPT_MEMORY_H
#define FOREBAY_CACHED_KEPT_MEMORY_H

#include <stdint.h>

#include "list.h"
#include "uuid_text.h"

/* A client asks in another trust domain's name: what it can take is bounded. */
#define KEPT_MEMORY_NAMES_PER_DISK_MAX 8u
#define KEPT_MEMORY_BYTES_PER_DISK_MAX (UINT64_C(4) << 30)
#define KEPT_MEMORY_DISKS_NAMES_MAX 1024u
#define KEPT_MEMORY_NAME_BYTES 32u

struct kept_memory {
	struct list items;
	unsigned int count;
};

void kept_memory_init(struct kept_memory *kept);
void kept_memory_clear(struct kept_memory *kept);
/*
 * Finds or makes the memory @name of the disk. One of another size is let go
 * first: whoever has it mapped keeps what he has.
 * Returns: 0 with a descriptor that stays the table's; -EINVAL (a size of 0, or
 * no whole pages), -ENOSPC (over a limit above).
 */
int kept_memory_get(struct kept_memory *kept, const uint8_t uuid[UUID_BYTES],
		    const char *name, uint64_t bytes, int *ret_fd);
void kept_memory_forget(struct kept_memory *kept,
			const uint8_t uuid[UUID_BYTES]);
uint64_t kept_memory_bytes(const struct kept_memory *kept);

#endif
