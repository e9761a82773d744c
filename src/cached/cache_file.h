/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_file.h - making, opening and deleting the cache file of one disk.
 *
 * A file appears under its name only when it is whole: of its full size, with
 * the blocks that a small log needs, and durable. So a kill at any instant
 * leaves either nothing or a file that a disk can start on. Who may use it is
 * decided by the exclusive flock() that its user holds, never by this process's
 * memory.
 */
#ifndef FOREBAY_CACHED_CACHE_FILE_H
#define FOREBAY_CACHED_CACHE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "pool.h"

/* Allocated from the beginning. */
#define CACHE_FILE_BYTES_BORN (UINT64_C(32) << 20)

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
/* The file is a larger one, sparse; a smaller size is ignored. */
int cache_file_grow(struct cache_file *file, uint64_t bytes,
		    struct error *error);
#define CACHE_FILE_PATH_BYTES (POOL_PATH_BYTES + POOL_FILE_NAME_BYTES + 16u)

struct cache_file_info {
	char path[CACHE_FILE_PATH_BYTES];
	uint64_t bytes;
	uint64_t allocated_bytes;
	/* A process holds its lock, or still has I/O in the kernel. */
	bool in_use;
};

int cache_file_inspect(const struct pool_directory *directory,
		       const uint8_t uuid[UUID_BYTES],
		       struct cache_file_info *ret_info, struct error *error);
/*
 * Its disk was closed, and nothing in the file is needed: it is read-only from
 * now on, until it is opened again.
 */
int cache_file_let_go(const struct pool_directory *directory,
		      const uint8_t uuid[UUID_BYTES]);
/* Whether that is so. Returns: 0, or -EBUSY when it is in use. */
int cache_file_look(const struct pool_directory *directory,
		    const uint8_t uuid[UUID_BYTES], bool *ret_needless);
/* Deletes one that is needless. Returns: 0, or -EBUSY: it isn't, or in use. */
int cache_file_evict(const struct pool_directory *directory,
		     const uint8_t uuid[UUID_BYTES], struct error *error);
/* Returns: 0, or -EBUSY when it is in use. */
int cache_file_delete(const struct pool_directory *directory,
		      const uint8_t uuid[UUID_BYTES], struct error *error);

#endif
