/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_keep.h - images that were opened early, for an open that comes late.
 *
 * A process that has entered its sandbox opens no file. So what it will open
 * then, or open again, is opened before and kept here, without a lock: the lock
 * is the open's, and is given back by its close. The descriptions are this
 * process's own, so its locks still prove that a predecessor's I/O has ended.
 *
 * Thread: all calls are the loop's.
 */
#ifndef FOREBAY_BACKEND_IMAGE_KEEP_H
#define FOREBAY_BACKEND_IMAGE_KEEP_H

#include <stdbool.h>

#include "error.h"
#include "image.h"

#define IMAGE_KEPT_MAX 4u

struct image_fds {
	int buffered_fd;
	int direct_fd; /* -1: not opened, or there is no direct I/O */
	struct image_facts facts;
};

/*
 * Opens and keeps. Twice is once. A block device that is to be written is
 * claimed from here on: nothing on this host can mount it.
 * Returns: 0 or @error's code.
 */
int image_keep(const char *path, bool read_only, struct error *error);
/* Keeps what is open already; -1 for no direct I/O.
 * Owns: takes both, if it can. Returns: 0, -ENOSPC or -ENOMEM. */
int image_keep_opened(const char *path, bool read_only, int buffered_fd,
		      int direct_fd);
/*
 * The kept descriptors, with the facts as they are now. They stay kept.
 * Returns: 1, 0 if there are none, or @error's code.
 */
int image_kept(const char *path, bool read_only, struct image_fds *ret_fds,
	       struct error *error);
/* Closes what is kept. */
void image_keep_clear(void);

#endif
