/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_file.h - making, opening and deleting the cache file of one disk.
 *
 * A file appears under its name only when it is whole: of its full size, with
 * every block allocated, and durable. So a kill at any instant leaves either
 * nothing or a file that a disk can start on. Who may use it is decided by the
 * exclusive flock() that its user holds, never by this process's memory.
 */
#ifndef FOREBAY_CACHED_CACHE_FILE_H
#define FOREBAY_CACHED_CACHE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "pool.h"

/* Returns: 0, -EEXIST, -ENOSPC, -EROFS ... with nothing left behind. */
int cache_file_make(const struct pool_directory *directory,
		    const uint8_t uuid[UUID_BYTES], uint64_t bytes,
		    struct error *error);

struct cache_file {
	int fd; /* O_RDWR | O_DIRECT */
	uint64_t bytes;
};

/* Opens it afresh: the caller owns ->fd, and nobody else has it. */
int cache_file_open(const struct pool_directory *directory,
		    const uint8_t uuid[UUID_BYTES], struct cache_file *ret_file,
		    struct error *error);
#define CACHE_FILE_PATH_BYTES (POOL_PATH_BYTES + POOL_FILE_NAME_BYTES + 16u)

struct cache_file_info {
	char path[CACHE_FILE_PATH_BYTES];
	uint64_t bytes;
	/* A process holds its lock, or still has I/O in the kernel. */
	bool in_use;
};

int cache_file_inspect(const struct pool_directory *directory,
		       const uint8_t uuid[UUID_BYTES],
		       struct cache_file_info *ret_info, struct error *error);
/* Returns: 0, or -EBUSY when it is in use. */
int cache_file_delete(const struct pool_directory *directory,
		      const uint8_t uuid[UUID_BYTES], struct error *error);

#endif
