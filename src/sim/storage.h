/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage.h - ends the engine's I/O on the modelled SSD and backend.
 */
#ifndef FOREBAY_SIM_STORAGE_H
#define FOREBAY_SIM_STORAGE_H

#include "world.h"

/* I/O number @chosen of those under way ends. */
void storage_end(struct world *world, uint32_t chosen);
/* What @io, a write of zeros, does to a medium; @torn: what may be left of it.
 */
void storage_zero(struct world *world, struct medium *medium,
		  const struct engine_io *io, bool torn);

#endif
