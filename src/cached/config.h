/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - the file in which forebay-cached remembers its pools.
 *
 *   {"pools": [{"name": N, "paths": [P, ...], "joined": [P, ...],
 *               "listed": [P, ...]}, ...]}
 *
 * forebay-cached writes it when the control plane sets the pools, and reads it
 * when it starts, so that disks can open while the control plane is down.
 */
#ifndef FOREBAY_CACHED_CONFIG_H
#define FOREBAY_CACHED_CONFIG_H

#include "error.h"
#include "pool.h"

/* A file that isn't there means no pools. @ret_set is untouched on failure. */
int config_load(const char *path, struct pool_set *ret_set,
		struct error *error);
/* Replaces the file; after a crash it is the old or the new one, whole. */
int config_store(const char *path, const struct pool_set *set,
		 struct error *error);

#endif
