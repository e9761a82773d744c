// SPDX-License-Identifier: Apache-2.0
/*
 * hot.c - a hash table finds an extent's counter, a heap finds the smallest.
 *
 * Counters are named by their index, which fits 16 bits, and the heap and the
 * counters know each other's places.
 */
#include "hot.h"

#include <assert.h>
#include <string.h>

#define NONE UINT16_MAX

static_assert(HOT_MAX < NONE, "an index fits");

static uint32_t chain_of(uint64_t number)
{
	/* Fibonacci hashing: neighbours go to chains far apart. */
	return (uint32_t)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 32) %
	       HOT_CHAINS;
}

void hot_init(struct hot *hot)
{
	memset(hot, 0, sizeof(*hot));
	for (uint32_t i = 0; i < HOT_CHAINS; i++)
		hot->chains[i] = NONE;
}

static uint16_t find(const struct hot *hot, uint64_t number)
{
	uint16_t at = hot->chains[chain_of(number)];

	while (at != NONE && hot->extents[at].number != number)
		at = hot->extents[at].next;
	return at;
}

static void unchain(struct hot *hot, uint16_t index)
{
	uint16_t *at = &hot->chains[chain_of(hot->extents[index].number)];

	while (*at != index)
		at = &hot->extents[*at].next;
	*at = hot->extents[index].next;
}

static void chain(struct hot *hot, uint16_t index)
{
	uint16_t *head = &hot->chains[chain_of(hot->extents[index].number)];

	hot->extents[index].next = *head;
	*head = index;
}

static void put(struct hot *hot, uint32_t place, uint16_t index)
{
	hot->heap[place] = index;
	hot->extents[index].place = (uint16_t)place;
}

/* The counter has grown: those below it that are smaller come up. */
static void sink(struct hot *hot, uint16_t index)
{
	uint32_t place = hot->extents[index].place;
	uint64_t count = hot->extents[index].count;

	for (;;) {
		uint32_t child = 2 * place + 1;

		if (child >= hot->used)
			break;
		if (child + 1 < hot->used &&
		    hot->extents[hot->heap[child + 1]].count <
			    hot->extents[hot->heap[child]].count)
			child++;
		if (hot->extents[hot->heap[child]].count >= count)
			break;
		put(hot, place, hot->heap[child]);
		place = child;
	}
	put(hot, place, index);
}

/* A new counter of 1 is nobody's child that is larger: it may have to rise. */
static void rise(struct hot *hot, uint16_t index)
{
	uint32_t place = hot->extents[index].place;

	while (place > 0) {
		uint32_t parent = (place - 1) / 2;

		if (hot->extents[hot->heap[parent]].count <=
		    hot->extents[index].count)
			break;
		put(hot, place, hot->heap[parent]);
		place = parent;
	}
	put(hot, place, index);
}

static void add(struct hot *hot, uint64_t number)
{
	uint16_t index = (uint16_t)hot->used++;

	hot->extents[index] = (struct hot_extent){.number = number, .count = 1};
	put(hot, index, index);
	chain(hot, index);
	rise(hot, index);
}

static void replace_smallest(struct hot *hot, uint64_t number)
{
	uint16_t index = hot->heap[0];
	struct hot_extent *extent = &hot->extents[index];

	unchain(hot, index);
	extent->number = number;
	extent->over = extent->count;
	extent->count++;
	chain(hot, index);
	sink(hot, index);
}

void hot_count(struct hot *hot, uint64_t number)
{
	uint16_t index = find(hot, number);

	hot->total++;
	if (index != NONE) {
		hot->extents[index].count++;
		sink(hot, index);
	} else if (hot->used < HOT_MAX) {
		add(hot, number);
	} else {
		replace_smallest(hot, number);
	}
}

uint32_t hot_largest(const struct hot *hot, uint32_t most,
		     struct hot_extent *ret_extents)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < hot->used; i++) {
		const struct hot_extent *extent = &hot->extents[i];
		uint32_t at = count;

		while (at > 0 && ret_extents[at - 1].count < extent->count)
			at--;
		if (at == most)
			continue;
		if (count < most)
			count++;
		memmove(&ret_extents[at + 1], &ret_extents[at],
			(count - at - 1) * sizeof(*extent));
		ret_extents[at] = *extent;
	}
	return count;
}
