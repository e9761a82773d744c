/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - the directories that hold cache files, grouped into named pools.
 *
 *   DIRECTORY/              given by the operator, on a local SSD
 *     forebay/              ours, mode 0700, made once when it joins a pool
 *       UUID.cache          one per disk, sparse
 *
 * The folder `forebay` is made only when a directory joins its pool. When it is
 * missing later, the directory's file system is probably not mounted, and a new
 * cache file beside the lost one would hide acknowledged writes: every question
 * that the missing directory could answer fails instead.
 */
#ifndef FOREBAY_CACHED_POOL_H
#define FOREBAY_CACHED_POOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "error.h"
#include "pool_protocol.h"
#include "uuid_text.h"

#define POOL_DIRECTORIES_MAX 64u
#define POOL_PATH_BYTES 1024u
#define POOL_FOLDER "forebay"

struct pool_directory {
	char pool[POOL_NAME_BYTES];
	char path[POOL_PATH_BYTES]; /* absolute, no '/' at the end */
	bool joined; /* its folder was made once */
	bool listed; /* all its files have a note (roster.h) */
};

struct pool_set {
	unsigned int count;
	struct pool_directory directories[POOL_DIRECTORIES_MAX];
};

struct pool_space {
	uint64_t size_bytes;
	uint64_t free_bytes;
	unsigned int file_count;
	uint64_t file_bytes; /* allocated, in whole granules */
};

/*
 * Reads [{"name": N, "paths": [P, ...], "joined": [P, ...], "listed": [P,
 * ...]}, ...]; the last two may be missing.
 * Returns: 0 or -EINVAL; @ret_set is untouched on failure.
 */
int pool_set_parse(const json_t *pools, struct pool_set *ret_set,
		   struct error *error);
/* The same, back. Returns: a new reference. */
json_t *pool_set_json(const struct pool_set *set);
/* Marks in @set the directories that were marked in @before. */
void pool_set_inherit(struct pool_set *set, const struct pool_set *before);
/*
 * Refuses to lose sight of cache files: a directory of @before that @set leaves
 * out, and that can be looked into, must hold none.
 * Returns: 0 or -EBUSY.
 */
int pool_set_check_leavers(const struct pool_set *set,
			   const struct pool_set *before, struct error *error);
/*
 * Makes the folders of the directories that haven't joined yet, after a test
 * that cache files can live there. On failure those made by this call are gone
 * again.
 */
int pool_set_join(struct pool_set *set, struct error *error);

/* Opens DIRECTORY/forebay. Returns: a descriptor or a negative errno. */
int pool_directory_open(const struct pool_directory *directory,
			struct error *error);
int pool_directory_space(const struct pool_directory *directory,
			 struct pool_space *ret_space, struct error *error);

/*
 * Finds the directory that has the cache file of @uuid.
 * Returns: 0, -ENOENT when it is certain that there is none, -ENOTUNIQ when two
 * have one, or why a directory could not be asked.
 */
int pool_set_find(const struct pool_set *set, const uint8_t uuid[UUID_BYTES],
		  const struct pool_directory **ret_directory,
		  struct error *error);
/* What a new cache file looks for. */
struct pool_wish {
	const char *pool; /* its name; empty: any */
	/*
	 * What @directory has free, in the caller's unit; or why the file
	 * can't live there, with words.
	 */
	int64_t (*weigh)(void *owner, const struct pool_directory *directory,
			 struct error *error);
	void *owner;
};
/*
 * Chooses the directory with most free space of those where the file can live.
 * Returns: 0, -ENOENT (no such pool), or why it can't live in the last one.
 */
int pool_set_choose(const struct pool_set *set, const struct pool_wish *wish,
		    const struct pool_directory **ret_directory,
		    struct error *error);

/* "UUID.cache". */
#define POOL_FILE_NAME_BYTES (UUID_TEXT_BYTES + 6u)
void pool_file_name(const uint8_t uuid[UUID_BYTES],
		    char ret_name[POOL_FILE_NAME_BYTES]);
/* Returns: 0, or -EINVAL: it is no cache file's name. */
int pool_file_name_parse(const char *name, uint8_t ret_uuid[UUID_BYTES]);
/* What a file takes, in whole granules. */
uint64_t pool_file_allocated(const struct stat *stat);

#endif
