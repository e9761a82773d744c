/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ghost.h - remembers which blocks were missed lately.
 *
 * When the log is full, a read is admitted to it when it misses for the second
 * time. The memory of first misses is a direct-mapped table of 16-bit
 * fingerprints: a newcomer overwrites who was there. A wrong match admits a
 * block too early, which costs space and nothing else.
 */
#ifndef FOREBAY_ENGINE_GHOST_H
#define FOREBAY_ENGINE_GHOST_H

#include <stdbool.h>
#include <stdint.h>

struct ghosts {
	uint16_t *fingerprints;
	uint32_t mask; /* entries - 1; entries are a power of two */
};

uint32_t ghost_entries(uint64_t cache_blocks);
void ghost_init(struct ghosts *ghosts, uint32_t entries,
		uint16_t *fingerprints);
void ghost_clear(struct ghosts *ghosts);
/* It was there and is no more: as if it had been missed. */
void ghost_note(struct ghosts *ghosts, uint64_t block);
/* Returns: true if @block was missed before (and forgets it), else notes it. */
bool ghost_missed_again(struct ghosts *ghosts, uint64_t block);

#endif
