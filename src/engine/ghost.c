// SPDX-License-Identifier: Apache-2.0
/*
 * ghost.c - see ghost.h.
 */
#include "ghost.h"

#include <string.h>

#define ENTRIES_MIN 64u
#define ENTRIES_MAX (1u << 24)

uint32_t ghost_entries(uint64_t cache_blocks)
{
	uint32_t entries = ENTRIES_MIN;

	while (entries < cache_blocks && entries < ENTRIES_MAX)
		entries *= 2;
	return entries;
}

void ghost_init(struct ghosts *ghosts, uint32_t entries, uint16_t *fingerprints)
{
	ghosts->fingerprints = fingerprints;
	ghosts->mask = entries - 1;
}

void ghost_clear(struct ghosts *ghosts)
{
	memset(ghosts->fingerprints, 0,
	       (ghosts->mask + UINT64_C(1)) * sizeof(*ghosts->fingerprints));
}

static uint16_t *place_of(struct ghosts *ghosts, uint64_t block,
			  uint16_t *ret_fingerprint)
{
	/* Fibonacci hashing: 2^64 divided by the golden ratio, made odd. */
	uint64_t hash = block * 0x9e3779b97f4a7c15ull;

	/* 0 means empty, so no fingerprint is 0. */
	*ret_fingerprint = (uint16_t)((hash >> 48) | 1u);
	return &ghosts->fingerprints[(hash >> 20) & ghosts->mask];
}

void ghost_note(struct ghosts *ghosts, uint64_t block)
{
	uint16_t fingerprint;
	uint16_t *entry = place_of(ghosts, block, &fingerprint);

	*entry = fingerprint;
}

bool ghost_missed_again(struct ghosts *ghosts, uint64_t block)
{
	uint16_t fingerprint;
	uint16_t *entry = place_of(ghosts, block, &fingerprint);

	if (*entry == fingerprint) {
		*entry = 0;
		return true;
	}
	*entry = fingerprint;
	return false;
}
