/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.h - a cache file that is read without its disk.
 *
 * Opened for reading only, and never written, whatever comes of it. While it is
 * open nobody else can take its exclusive lock, so no disk starts on it.
 */
#ifndef FOREBAY_RESCUE_SOURCE_H
#define FOREBAY_RESCUE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "error.h"

/* Larger disks than this are taken for damage: 1 PiB. */
#define SOURCE_DISK_BYTES_MAX (UINT64_C(1) << 50)
/* What a disk may have whose size nobody knows: 64 TiB. */
#define SOURCE_DISK_BYTES_GUESS (UINT64_C(1) << 46)

struct source {
	int fd;
	bool in_use; /* somebody has it open for writing: read all the same */
	bool blank; /* nothing was ever stored in it */
	bool superblock; /* a good copy of it was found */
	/* Why a start would refuse before it looks at the log; "" = it
	 * wouldn't.
	 */
	char trouble[ERROR_MESSAGE_BYTES];
	uint64_t bytes; /* of the file, as it is */
	/* For an engine that looks; from the superblock, or guessed without
	 * one.
	 */
	struct engine_config config;
};

/*
 * @force_read: also if it is in use. Returns: 0; -EBUSY, with the owner named;
 * -EUCLEAN if it is no cache file at all; -ENOTSUP if it is of another version;
 * or what open() said. Nothing is left behind on failure.
 */
int source_open(const char *path, bool force_read, struct source *ret_source,
		struct error *error);
void source_close(struct source *source);

/* Returns: 0, or -EIO if not all of it is there or can be read. */
int source_read(const struct source *source, void *bytes, size_t count,
		uint64_t offset);

#endif
