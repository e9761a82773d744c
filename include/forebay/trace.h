/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forebay/trace.h - what a trace file holds, for programs that read or write
 * one. The format is a promise: docs/filters/trace.md describes it in words.
 *
 * A file is a row of blocks. A block begins at a multiple of 4096 bytes, takes
 * a multiple of 4096 bytes, 64 KiB at most, and can be read without those
 * before it. Numbers are little-endian.
 *
 *    0 +---------------------------+----------------+----------------+
 *      | magic "FBTRACE\0"         | version        | crc32c         |
 *   16 +---------------------------+----------------+----------------+
 *      | number of the block       | bytes used     | records        |
 *   32 +---------------------------+----------------+----------------+
 *      | base time, ns             | begin of the trace, ns of 1970  |
 *   48 +---------------------------+---------------------------------+
 *      | size of the disk, bytes   | lost before this block          |
 *   64 +---------------------------+---------------------------------+
 *      | UUID of the disk                                            |
 *   80 +-------------------------------------------------------------+
 *      | zeros                                                       |
 *   96 +-------------------------------------------------------------+
 *      | records ... up to `bytes used`, then zeros to the end        |
 *      +-------------------------------------------------------------+
 *
 * The crc covers all bytes that are used, its own field as zeros. Times are
 * nanoseconds since the trace began. `lost` counts requests since then that
 * found no room.
 *
 * A record is a request that has ended, in the order of the ends:
 *
 *   1 byte   bits 0-2 operation, 3-5 flags (FUA, NO_HOLE, FAST), 6 failed
 *   signed   begin of the request, minus that of the record before; of the
 *            first one of a block minus the base time
 *   number   how long it took, ns
 *   signed   sector of 512 bytes, minus where the record before ended; but not
 *   number   sectors                                         of a FLUSH
 *   number   errno, if it failed
 *
 * "Where the record before ended" is sector 0 at the begin of a block, and a
 * FLUSH leaves it as it is. A number is written in groups of 7 bits, the lowest
 * first, with bit 7 set in all bytes but the last, 10 bytes at most. A signed
 * one is 2n for n >= 0 and -2n - 1 for n < 0, as such a number.
 */
#ifndef FOREBAY_TRACE_H
#define FOREBAY_TRACE_H

#include <stdint.h>

#define FOREBAY_TRACE_MAGIC "FBTRACE" /* and its NUL */
#define FOREBAY_TRACE_VERSION 1u
#define FOREBAY_TRACE_BLOCK_BYTES 65536u
#define FOREBAY_TRACE_ALIGNMENT 4096u
#define FOREBAY_TRACE_HEAD_BYTES 96u
/* A byte, four numbers and an errno. */
#define FOREBAY_TRACE_RECORD_BYTES_MAX 51u

#define FOREBAY_TRACE_FLAGS_SHIFT 3u
#define FOREBAY_TRACE_FAILED (1u << 6)

/* The head, as it stands in the file on a little-endian machine. */
struct forebay_trace_head {
	uint8_t magic[8];
	uint32_t version;
	uint32_t crc32c;
	uint64_t number;
	uint32_t used_bytes;
	uint32_t record_count;
	uint64_t base_ns;
	uint64_t begin_unix_ns;
	uint64_t disk_bytes;
	uint64_t lost_count;
	uint8_t uuid[16];
	uint8_t zeros[16];
};

#endif
