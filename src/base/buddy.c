// SPDX-License-Identifier: Apache-2.0
/*
 * buddy.c - a block is known by its first page: its order stands there, with a
 * bit if it is out; a free one is in the list of its order. All other pages say
 * that they are inside of one.
 */
#include "buddy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define TAKEN 0x80u
#define INSIDE UINT8_MAX

static uint32_t order_of(uint32_t pages)
{
	uint32_t order = 0;

	while ((UINT32_C(1) << order) < pages)
		order++;
	return order;
}

static void add(struct buddy *buddy, uint32_t page, uint32_t order)
{
	buddy->order[page] = (uint8_t)order;
	buddy->previous[page] = BUDDY_NONE;
	buddy->next[page] = buddy->first[order];
	if (buddy->first[order] != BUDDY_NONE)
		buddy->previous[buddy->first[order]] = page;
	buddy->first[order] = page;
}

static void take_out(struct buddy *buddy, uint32_t page)
{
	uint32_t next = buddy->next[page];
	uint32_t previous = buddy->previous[page];

	if (next != BUDDY_NONE)
		buddy->previous[next] = previous;
	if (previous != BUDDY_NONE)
		buddy->next[previous] = next;
	else
		buddy->first[buddy->order[page]] = next;
	buddy->order[page] = INSIDE;
}

int buddy_init(struct buddy *buddy, uint32_t page_count, uint32_t orders)
{
	uint32_t largest = UINT32_C(1) << (orders - 1);

	assert(orders > 0 && orders <= BUDDY_ORDERS_MAX);
	assert(page_count > 0 && page_count % largest == 0);
	*buddy = (struct buddy){
		.orders = orders,
		.page_count = page_count,
		.free_pages = page_count,
		.next = calloc(page_count, sizeof(*buddy->next)),
		.previous = calloc(page_count, sizeof(*buddy->previous)),
		.order = calloc(page_count, sizeof(*buddy->order)),
	};
	if (!buddy->next || !buddy->previous || !buddy->order) {
		buddy_release(buddy);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < BUDDY_ORDERS_MAX; i++)
		buddy->first[i] = BUDDY_NONE;
	for (uint32_t i = 0; i < page_count; i++)
		buddy->order[i] = INSIDE;
	/* The lowest is given first. */
	for (uint32_t page = page_count; page > 0; page -= largest)
		add(buddy, page - largest, orders - 1);
	return 0;
}

void buddy_release(struct buddy *buddy)
{
	free(buddy->next);
	free(buddy->previous);
	free(buddy->order);
	*buddy = (struct buddy){0};
}

uint32_t buddy_take(struct buddy *buddy, uint32_t pages)
{
	uint32_t wanted = order_of(pages);
	uint32_t order = wanted;
	uint32_t page;

	assert(pages > 0 && pages <= UINT32_C(1) << BUDDY_ORDERS_MAX);
	while (order < buddy->orders && buddy->first[order] == BUDDY_NONE)
		order++;
	if (order >= buddy->orders)
		return BUDDY_NONE;
	page = buddy->first[order];
	take_out(buddy, page);
	/* The upper half goes back, until the rest is small enough. */
	while (order > wanted) {
		order--;
		add(buddy, page + (UINT32_C(1) << order), order);
	}
	buddy->order[page] = (uint8_t)(TAKEN | wanted);
	buddy->free_pages -= UINT32_C(1) << wanted;
	return page;
}

int buddy_give(struct buddy *buddy, uint32_t page)
{
	uint32_t order;

	if (page >= buddy->page_count || buddy->order[page] == INSIDE ||
	    !(buddy->order[page] & TAKEN))
		return -EINVAL;
	order = buddy->order[page] & ~TAKEN;
	buddy->order[page] = INSIDE;
	buddy->free_pages += UINT32_C(1) << order;
	while (order + 1 < buddy->orders) {
		uint32_t other = page ^ (UINT32_C(1) << order);

		if (buddy->order[other] != order)
			break;
		take_out(buddy, other);
		page &= ~(UINT32_C(1) << order);
		order++;
	}
	add(buddy, page, order);
	return 0;
}
