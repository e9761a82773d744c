/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stamp.h - what a verified sector holds.
 *
 *    0        8         16          20          24                     512
 *   +--------+---------+-----------+-----------+------------------------+
 *   | seed   | sector  | sequence  | crc32c    | noise of all three     |
 *   +--------+---------+-----------+-----------+------------------------+
 *
 * Little-endian. The seed is drawn for each journal, so that an older run's
 * stamps are not taken for this one's; the crc covers all but itself, so that
 * any flipped bit is seen.
 */
#ifndef FOREBAY_LOAD_STAMP_H
#define FOREBAY_LOAD_STAMP_H

#include <stddef.h>
#include <stdint.h>

#define STAMP_SECTOR_BYTES 512u
#define STAMP_TEXT_BYTES 160u

struct stamp {
	uint64_t seed;
	uint64_t sector;
	uint32_t sequence;
};

enum stamp_state {
	STAMP_GOOD = 0, /* a stamp, whoever's */
	STAMP_ZEROES, /* nothing but zeroes */
	STAMP_DAMAGED /* anything else */
};

void stamp_fill(const struct stamp *stamp, void *sector);
/* @ret_stamp: what its fields say, also when it is damaged. */
enum stamp_state stamp_read(const void *sector, struct stamp *ret_stamp);
/* "sequence 7 of this sector", for a sector that should hold @wanted's.
 * Returns @buffer. */
char *stamp_describe(const void *sector, const struct stamp *wanted,
		     char buffer[STAMP_TEXT_BYTES]);

#endif
