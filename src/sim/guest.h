/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest.h - what a guest does to its disk, and what it expects of it.
 */
#ifndef FOREBAY_SIM_GUEST_H
#define FOREBAY_SIM_GUEST_H

#include "world.h"

/* Something by chance: a request, a switch of mode, a changed buffer. */
void guest_step(struct world *world);
/* Returns: a request that isn't under way, or NULL. */
struct world_request *guest_idle(struct world *world);
void guest_submit(struct world *world, struct world_request *request,
		  enum engine_operation operation, uint64_t sector,
		  uint64_t sectors);
/* A write of new versions; its `fua` is the caller's. */
void guest_write(struct world *world, struct world_request *request,
		 uint64_t sector, uint64_t sectors);
/* The engine is done with it: is that right? */
void guest_complete(struct world *world, struct world_request *request);

#endif
