/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory for the buffers of one instance: aligned to a page, limited,
 * counted.
 *
 * Blocks are powers of two pages. The address range is taken at the first use,
 * memory as it is touched.
 */
#ifndef FOREBAY_PIPELINE_ARENA_H
#define FOREBAY_PIPELINE_ARENA_H

#include <stdint.h>

#include "buddy.h"

#define ARENA_PAGE_BYTES 4096u

/* Zero it before the first use. */
struct arena {
	unsigned char *memory;
	struct buddy buddy;
};

/* Returns: a block of @bytes at least, or NULL. */
void *arena_take(struct arena *arena, uint64_t bytes);
/* Returns: 0, or -EINVAL if @block isn't one that is out. */
int arena_give(struct arena *arena, void *block);
/* What is out now. */
uint64_t arena_used_bytes(const struct arena *arena);
/* With all that is out. A zeroed one is fine. */
void arena_release(struct arena *arena);

#endif
