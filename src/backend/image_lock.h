/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_lock.h - the lock that QEMU's tools and we agree on.
 *
 * It belongs to the open file description, so it outlives a killed process
 * until the last I/O of that process has left the kernel: who gets it knows
 * that the predecessor's writes are over.
 */
#ifndef FOREBAY_BACKEND_IMAGE_LOCK_H
#define FOREBAY_BACKEND_IMAGE_LOCK_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Takes the lock without waiting: a writer alone, readers together.
 * Returns: 0, -EBUSY (someone else has it; nothing is held), or -errno.
 */
int image_lock(int fd, bool read_only);

void image_unlock(int fd);

/* Also @fd, another open description of an image that we have: not checked. */
int image_lock_also(int fd, bool read_only);

/*
 * Says who seems to hold it, as "qemu-system-x86 (pid 1234)", as far as we may
 * look into other processes, and where a file system's locks have the device
 * number of its files (on btrfs they don't). Asks no file system anything, so
 * it never waits for one. Returns: whether anyone was found.
 */
bool image_lock_holder(int fd, char *buffer, size_t buffer_bytes);

#endif
