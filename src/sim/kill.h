/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill.h - a process that is killed between two stores to its kept memory.
 *
 * kill_arm() says after how many stores of a world it happens. What is left
 * then is copied aside, and the world lives on. At most one is armed.
 */
#ifndef FOREBAY_SIM_KILL_H
#define FOREBAY_SIM_KILL_H

#include <stdbool.h>
#include <stdint.h>

#include "world.h"

/* After @stores more of @lives, @left becomes what a kill leaves of it. */
void kill_arm(const struct world *lives, struct world *left, uint64_t stores);
void kill_disarm(void);
/* It has happened: at @ret_time, of the oracle. */
bool kill_happened(uint64_t *ret_time);
/*
 * Both worlds have started on the same media, the one from kept memory and the
 * other without. Returns: true if they know the same.
 */
bool kill_compare(struct world *warm, const struct world *cold);

#endif
