/* SPDX-License-Identifier: Apache-2.0 */
/*
 * damage.h - changes a cache file as broken hardware and people do.
 */
#ifndef FOREBAY_SIM_DAMAGE_H
#define FOREBAY_SIM_DAMAGE_H

#include "world.h"

/* One damage of a kind and in a place that chance decides. */
void damage_log(struct world *world);
/* A few bits of one of the copies. */
void damage_superblock(struct world *world);
/* A bit of that byte of the SSD flips. */
void damage_bit(struct world *world, uint64_t offset);

#endif
