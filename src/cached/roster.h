/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roster.h - which directory holds whose cache file, as far as can be said
 * without looking there.
 *
 *   CONFIG.disks/UUID    text: the path of the directory
 *
 * A note is durable before a cache file has its name, and is there until the
 * file is deleted. So when a directory is missing, who has no note has no file
 * in it, and can be served from another one; for the others it is refused.
 */
#ifndef FOREBAY_CACHED_ROSTER_H
#define FOREBAY_CACHED_ROSTER_H

#include <jansson.h>

#include "error.h"
#include "pool.h"

/* Returns: 0, also if it is noted already. */
int roster_note(const char *config_path, const uint8_t uuid[UUID_BYTES],
		const char *directory, struct error *error);
void roster_forget(const char *config_path, const uint8_t uuid[UUID_BYTES]);
/* In doubt there is one. */
bool roster_knows(const char *config_path, const uint8_t uuid[UUID_BYTES]);
/*
 * Notes whose files are in the directories that can be looked into; each of
 * them is `listed` from then on. Returns: whether one has become so.
 */
bool roster_list(const char *config_path, struct pool_set *set);
/* The disks whose files are noted to be in @directory. Returns: an array. */
json_t *roster_disks(const char *config_path, const char *directory);

#endif
