/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cached.h - what forebay-cached knows: pools, kept memory, who is connected
 * and what each has.
 *
 * One thread, one loop. Nothing here is needed by a disk that has its cache
 * file: this process may be killed at any instant, and what it must remember is
 * in its configuration file and in the pools themselves.
 */
#ifndef FOREBAY_CACHED_CACHED_H
#define FOREBAY_CACHED_CACHED_H

#include "error.h"
#include "kept_memory.h"
#include "ledger.h"
#include "list.h"
#include "loop.h"
#include "pool.h"

struct cached {
	struct loop *loop;
	const char *config_path;
	struct pool_set pools;
	struct kept_memory kept;
	struct ledger ledger;
	struct list clients;
	unsigned int client_count;
};

/*
 * Finds the directory that has the cache file of @uuid. Returns: as
 * pool_set_find(), and -ENOENT as well when a directory can't be asked, but the
 * disk is known to have no file there.
 */
int cached_find(const struct cached *cached, const uint8_t uuid[UUID_BYTES],
		const struct pool_directory **ret_directory,
		struct error *error);
/* Replaces the pools: joined, then durable, then in use; or all as before. */
int cached_set_pools(struct cached *cached, const json_t *pools,
		     struct error *error);

#endif
