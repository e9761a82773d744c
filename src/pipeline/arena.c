// SPDX-License-Identifier: Apache-2.0
/* arena.c - on the disk's loop. */
#include "arena.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "forebay/filter.h"

#define ORDERS 14u /* 32 MiB are 2^13 pages */
#define PAGES (FOREBAY_ARENA_BYTES_MAX / ARENA_PAGE_BYTES)

static_assert((ARENA_PAGE_BYTES << (ORDERS - 1)) == FOREBAY_LENGTH_MAX,
	      "a block takes the data of the largest request");

static int reserve(struct arena *arena)
{
	void *memory;
	int status;

	if (arena->memory)
		return 0;
	memory = mmap(NULL, FOREBAY_ARENA_BYTES_MAX, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	status = buddy_init(&arena->buddy, PAGES, ORDERS);
	if (status < 0) {
		munmap(memory, FOREBAY_ARENA_BYTES_MAX);
		return status;
	}
	arena->memory = memory;
	return 0;
}

void *arena_take(struct arena *arena, uint64_t bytes)
{
	uint32_t page;

	if (bytes == 0 || bytes > FOREBAY_LENGTH_MAX || reserve(arena) < 0)
		return NULL;
	page = buddy_take(
		&arena->buddy,
		(uint32_t)((bytes + ARENA_PAGE_BYTES - 1) / ARENA_PAGE_BYTES));
	return page == BUDDY_NONE
		       ? NULL
		       : arena->memory + (size_t)page * ARENA_PAGE_BYTES;
}

int arena_give(struct arena *arena, void *block)
{
	uint64_t offset =
		(uint64_t)((uintptr_t)block - (uintptr_t)arena->memory);

	if (!arena->memory || offset >= FOREBAY_ARENA_BYTES_MAX ||
	    offset % ARENA_PAGE_BYTES)
		return -EINVAL;
	return buddy_give(&arena->buddy, (uint32_t)(offset / ARENA_PAGE_BYTES));
}

uint64_t arena_used_bytes(const struct arena *arena)
{
	return (uint64_t)(arena->buddy.page_count - arena->buddy.free_pages) *
	       ARENA_PAGE_BYTES;
}

void arena_release(struct arena *arena)
{
	if (!arena->memory)
		return;
	buddy_release(&arena->buddy);
	munmap(arena->memory, FOREBAY_ARENA_BYTES_MAX);
	arena->memory = NULL;
}
