/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known.h - what a recovery of media in a certain state reads.
 *
 * A recovery depends on nothing but the media and the mode, so media that were
 * recovered once needn't be again: only what must hold has changed, and that is
 * checked each time. Keys are hashes of the media's whole content. A table that
 * is full forgets.
 */
#ifndef FOREBAY_SIM_KNOWN_H
#define FOREBAY_SIM_KNOWN_H

#include <stdint.h>

struct known {
	uint64_t *keys; /* 0: nothing */
	uint64_t *versions; /* of a disk's sectors, a key each */
	uint64_t sector_count;
};

void known_init(struct known *known, uint64_t sector_count);
void known_free(struct known *known);
/* Returns: the disk's versions, or NULL. */
const uint64_t *known_find(const struct known *known, uint64_t key);
/* Returns: where to put the versions of @key. */
uint64_t *known_add(struct known *known, uint64_t key);

#endif
