/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup.h - somebody has the layers below held, and copies them.
 *
 * When the engine has fixed the point, what was acknowledged by then must be
 * below, what was submitted later must not, and what was under way may. From
 * the moment at which the engine says that it holds until the release nothing
 * is written there, and nothing of it waits for a flush.
 */
#ifndef FOREBAY_SIM_BACKUP_H
#define FOREBAY_SIM_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

struct world;
struct engine_io;

/* Asks for a hold. Returns: false if the engine refuses. */
bool backup_begin(struct world *world, uint64_t timeout_ns);
/* Releases the hold, if there is one. Returns: false if it didn't hold. */
bool backup_end(struct world *world);
/* The engine was asked to look; before what it completed is taken. */
void backup_watch(struct world *world);
/* It starts an I/O. */
void backup_watch_io(struct world *world, const struct engine_io *io);
/* By chance: one begins, or ends. */
void backup_step(struct world *world);
/* Submission of the oldest read that may still come: the backup's. */
uint64_t backup_oldest_read(const struct world *world, uint64_t oldest);

#endif
