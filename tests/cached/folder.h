/* SPDX-License-Identifier: Apache-2.0 */
/* folder.h - a test's own directory, and small file systems inside it. */
#ifndef FOREBAY_TESTS_CACHED_FOLDER_H
#define FOREBAY_TESTS_CACHED_FOLDER_H

#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#define FOLDER_BYTES 32u

static inline int folder_remove_entry(const char *path, const struct stat *stat,
				      int type, struct FTW *where)
{
	(void)stat;
	(void)type;
	(void)where;
	return remove(path);
}

static inline int folder_make(char ret_path[FOLDER_BYTES])
{
	snprintf(ret_path, FOLDER_BYTES, "/tmp/fbXXXXXX");
	return mkdtemp(ret_path) ? 0 : -1;
}

static inline void folder_remove(const char *path)
{
	nftw(path, folder_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/*
 * Mounts a tmpfs that ends with this process: the mount lives in a namespace of
 * its own. Returns: 0, or -1 where that isn't allowed.
 */
static inline int folder_mount(const char *path, const char *options,
			       unsigned long flags)
{
	static bool own_namespace;

	if (!own_namespace &&
	    (unshare(CLONE_NEWNS) < 0 ||
	     mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		return -1;
	own_namespace = true;
	return mount("tmpfs", path, "tmpfs", flags, options);
}

#endif
