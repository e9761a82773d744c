/* SPDX-License-Identifier: Apache-2.0 */
/* pool_directory.h - whether a directory can be part of a pool. */
#ifndef FOREBAY_AGENT_POOL_DIRECTORY_H
#define FOREBAY_AGENT_POOL_DIRECTORY_H

#include <stdint.h>

#include "problem.h"

/* A pool's directory must have at least so much free. */
#define POOL_DIRECTORY_FREE_MIN (UINT64_C(64) << 20)

/*
 * Tries it: existing, writable, O_DIRECT, enough space; leaves nothing behind.
 * Returns: 0 and the path without links (the caller frees it), or a problem.
 */
int pool_directory_check(const char *path, char **ret_path,
			 struct problem *problem);

struct pool_directory_space {
	uint64_t size_bytes;
	uint64_t free_bytes;
};

/* Returns: 0 or -errno. */
int pool_directory_space(const char *path,
			 struct pool_directory_space *ret_space);

#endif
