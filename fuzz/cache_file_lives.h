/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_file_lives.h - cache files that a real engine has made and somebody
 * changed, for fuzzers.
 *
 * The input says how: the low bits of the first byte choose a file, and
 * LIVES_SEAL whether checksums are made right again afterwards. Then come
 * changes:
 *
 *   block, offset (2), count, count bytes   bytes of a block of the file
 *   block, offset (2), 0, segments          a segment is copied over another:
 *                                           the two halves of the last byte
 */
#ifndef FOREBAY_FUZZ_CACHE_FILE_LIVES_H
#define FOREBAY_FUZZ_CACHE_FILE_LIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "log_codec.h"

#define SEGMENT_BLOCKS 8u
#define SEGMENTS 8u
#define FIRST_BLOCK (LOG_SUPERBLOCK_COPIES * LOG_SUPERBLOCK_BLOCKS)
#define FILE_BLOCKS (FIRST_BLOCK + SEGMENTS * SEGMENT_BLOCKS)
#define FILE_BYTES (FILE_BLOCKS * LOG_BLOCK_BYTES)
#define DISK_BLOCKS 40u
#define DISK_BYTES (DISK_BLOCKS * LOG_BLOCK_BYTES)
#define BASES 4u

#define LIVES_SEAL 0x80u

struct host {
	uint8_t file[FILE_BYTES];
	uint8_t disk[DISK_BYTES];
	uint8_t data[DISK_BYTES];
	struct engine *engine;
	struct engine_memory memory;
	size_t memory_bytes;
	size_t kept_bytes;
	uint64_t now_ns;
	bool completed;
};

extern struct host host;

/* Makes host.file of the input, which has a byte at least. */
void lives_file(const uint8_t *bytes, size_t count);
/* A new engine on host.file; it runs or has failed. */
void lives_open(bool may_format);
/* Returns: the request's status. */
int lives_submit(enum engine_operation operation, uint64_t sector,
		 uint64_t sectors);

#endif
