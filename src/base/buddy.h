/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buddy.h - blocks of a fixed region, whose sizes are powers of two.
 *
 * A block of 2^n pages begins at a multiple of its size. Two free halves become
 * one again, so a region that is given back whole can give its largest block.
 * The region itself is never looked at: it is the caller's, and here are page
 * numbers.
 */
#ifndef FOREBAY_BASE_BUDDY_H
#define FOREBAY_BASE_BUDDY_H

#include <stddef.h>
#include <stdint.h>

#define BUDDY_ORDERS_MAX 20u
#define BUDDY_NONE UINT32_MAX

struct buddy {
	uint32_t orders; /* the largest block has 2^(orders - 1) pages */
	uint32_t page_count;
	uint32_t free_pages;
	uint32_t first[BUDDY_ORDERS_MAX]; /* free blocks, or BUDDY_NONE */
	/* By page; of the first page of a free block. */
	uint32_t *next;
	uint32_t *previous;
	/* Of the block that begins at the page, and whether it is out. */
	uint8_t *order;
};

/*
 * @page_count: a multiple of 2^(@orders - 1). Returns: 0 or -ENOMEM.
 */
int buddy_init(struct buddy *buddy, uint32_t page_count, uint32_t orders);
/* A zeroed one is fine. */
void buddy_release(struct buddy *buddy);

/* Returns: the first page of @pages at least, or BUDDY_NONE. */
uint32_t buddy_take(struct buddy *buddy, uint32_t pages);
/* Returns: 0, or -EINVAL if no block that is out begins at @page. */
int buddy_give(struct buddy *buddy, uint32_t page);

#endif
