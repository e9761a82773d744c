/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.h - a region that goes back to what it once held, at the cost of the
 * pages that are ever changed.
 *
 * An engine's memory is megabytes, of which a recovery changes a few pages, and
 * nearly always the same ones. Pages are read-only until the first write to
 * them, which is a signal that notes the page and lets it go on; from then on
 * that page is copied back each time. The region keeps its address, so pointers
 * into it stay right. One thread.
 */
#ifndef FOREBAY_SIM_MEMORY_H
#define FOREBAY_SIM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

struct memory {
	uint8_t *base; /* aligned to a page */
	size_t bytes;
	uint8_t *kept; /* what it goes back to */
	uint32_t *changed; /* pages that were ever written */
	uint32_t changed_count;
	struct memory *next; /* of those that there are */
};

/* All zeros. Order: it stays where it is until memory_free(). */
void memory_init(struct memory *memory, size_t bytes);
void memory_free(struct memory *memory);
/* From now on it goes back to what it holds. */
void memory_keep(struct memory *memory);
void memory_back(struct memory *memory);
/* Zeros again, and nothing kept. */
void memory_clear(struct memory *memory);

#endif
