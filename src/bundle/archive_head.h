/* SPDX-License-Identifier: Apache-2.0 */
/* archive_head.h - the one head that a file of an archive can have. Pure. */
#ifndef FOREBAY_BUNDLE_ARCHIVE_HEAD_H
#define FOREBAY_BUNDLE_ARCHIVE_HEAD_H

#include "bundle_format.h"

/* @path of at most BUNDLE_PATH_LENGTH_MAX, @bytes under 8 GiB. */
void archive_head_make(const char *path, uint64_t bytes,
		       uint8_t ret_head[BUNDLE_BLOCK_BYTES]);
/* Returns: 0 with the size if this is the head of @path, else -EBADMSG. */
int archive_head_read(const uint8_t head[BUNDLE_BLOCK_BYTES], const char *path,
		      uint64_t *ret_bytes);

/* What @bytes take in the archive, without the head. */
static inline uint64_t archive_padded(uint64_t bytes)
{
	return (bytes + BUNDLE_BLOCK_BYTES - 1) / BUNDLE_BLOCK_BYTES *
	       BUNDLE_BLOCK_BYTES;
}

#endif
