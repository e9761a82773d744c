/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space.h - the owner of the cache file: it changes an engine's grant, takes
 * segments back and hands others over.
 */
#ifndef FOREBAY_SIM_SPACE_H
#define FOREBAY_SIM_SPACE_H

#include <stdbool.h>

#include "world.h"

/* Draws how it treats a world; takes nothing out of @random. */
void space_draw(struct world_options *options, const struct random *random);
/* What an engine may have when it starts. 0: all that there is. */
uint32_t space_at_start(const struct world *world);
/* Another grant. */
void space_change(struct world *world);
/* What stands in segments that were given back is anything from now on. */
void space_take_back(struct world *world);
/* Hands one segment over, if the engine is to have more. */
bool space_hand_over(struct world *world);

#endif
