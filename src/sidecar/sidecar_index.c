// SPDX-License-Identifier: Apache-2.0
/*
 * sidecar_index.c - see sidecar_index.h.
 */
#include "sidecar_index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "sort.h"

/* Of a multiplicative hash: 2^32 over the golden ratio. */
#define FACTOR 2654435769u

static uint32_t home_of(const struct sidecar_index *index, uint32_t block)
{
	return ((block * FACTOR) >> 8) & index->mask;
}

int sidecar_index_init(struct sidecar_index *index, uint32_t capacity)
{
	uint32_t slots = 16;

	while (slots < 2 * capacity)
		slots *= 2;
	*index = (struct sidecar_index){
		.slots = calloc(slots, sizeof(*index->slots)),
		.mask = slots - 1,
	};
	return index->slots ? 0 : -ENOMEM;
}

void sidecar_index_release(struct sidecar_index *index)
{
	free(index->slots);
	index->slots = NULL;
}

/* Where @block is, or where it would be put. */
static uint32_t find(const struct sidecar_index *index, uint32_t block)
{
	uint32_t at = home_of(index, block);

	while (index->slots[at].location != 0 &&
	       index->slots[at].block != block)
		at = (at + 1) & index->mask;
	return at;
}

uint32_t sidecar_index_get(const struct sidecar_index *index, uint32_t block)
{
	return index->count == 0 ? 0
				 : index->slots[find(index, block)].location;
}

void sidecar_index_put(struct sidecar_index *index, uint32_t block,
		       uint32_t location)
{
	struct sidecar_place *slot = &index->slots[find(index, block)];

	assert(location != 0 && index->count <= index->mask / 2 + 1);
	index->count += slot->location == 0;
	*slot = (struct sidecar_place){block, location};
}

void sidecar_index_remove(struct sidecar_index *index, uint32_t block,
			  uint32_t location)
{
	uint32_t hole = find(index, block);
	uint32_t at = hole;

	if (index->slots[hole].location != location)
		return;
	index->count--;
	/* What lies behind and would be looked for across the hole moves up. */
	for (;;) {
		uint32_t home;

		at = (at + 1) & index->mask;
		if (index->slots[at].location == 0)
			break;
		home = home_of(index, index->slots[at].block);
		if (((at - home) & index->mask) >=
		    ((at - hole) & index->mask)) {
			index->slots[hole] = index->slots[at];
			hole = at;
		}
	}
	index->slots[hole].location = 0;
}

static int compare(const void *left, const void *right)
{
	uint32_t a = ((const struct sidecar_place *)left)->block;
	uint32_t b = ((const struct sidecar_place *)right)->block;

	return (a > b) - (a < b);
}

void sidecar_index_list(const struct sidecar_index *index,
			struct sidecar_place *ret_places)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i <= index->mask; i++)
		if (index->slots[i].location != 0)
			ret_places[count++] = index->slots[i];
	sort_in_place(ret_places, count, sizeof(*ret_places), compare);
}
