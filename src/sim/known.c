// SPDX-License-Identifier: Apache-2.0
/*
 * known.c - see known.h.
 */
#include "known.h"

#include <assert.h>
#include <stdlib.h>

#define ENTRIES 8192u

void known_init(struct known *known, uint64_t sector_count)
{
	*known = (struct known){
		.keys = calloc(ENTRIES, sizeof(uint64_t)),
		.versions = malloc(ENTRIES * sector_count * sizeof(uint64_t)),
		.sector_count = sector_count,
	};
	assert(known->keys && known->versions);
}

void known_free(struct known *known)
{
	free(known->keys);
	free(known->versions);
	*known = (struct known){0};
}

static uint64_t *entry(const struct known *known, uint64_t key)
{
	return known->versions + key % ENTRIES * known->sector_count;
}

const uint64_t *known_find(const struct known *known, uint64_t key)
{
	return key != 0 && known->keys[key % ENTRIES] == key ? entry(known, key)
							     : NULL;
}

uint64_t *known_add(struct known *known, uint64_t key)
{
	known->keys[key % ENTRIES] = key;
	return entry(known, key);
}
