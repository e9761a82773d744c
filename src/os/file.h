/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.h - whole small files: configuration, state, /proc.
 *
 * Not for the I/O path: every call blocks.
 */
#ifndef FOREBAY_OS_FILE_H
#define FOREBAY_OS_FILE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Reads all of @path into fresh memory that ends with a NUL.
 * Returns: 0, -EFBIG if it holds more than @limit_bytes, or -errno.
 */
int file_read(const char *path, size_t limit_bytes, char **ret_text,
	      size_t *ret_bytes);

/*
 * Replaces or makes @path so that, after any crash, it holds either all of the
 * old bytes or all of the new ones, durably. Returns: 0 or -errno.
 */
int file_write_atomically(const char *path, const void *bytes, size_t count,
			  mode_t mode);

/* Writes all, over short writes and signals. Returns: 0 or -errno. */
int file_write_all(int fd, const void *bytes, size_t count);

/* Makes the entry of @path in its directory durable. */
int file_sync_directory_of(const char *path);

/* Like mkdir -p: parents too; what exists as a directory is left as it is. */
int file_make_directory(const char *path, mode_t mode);

#endif
