// SPDX-License-Identifier: Apache-2.0
/*
 * crc32c.c - CRC32C by isa-l, which picks the CPU's best code at run time.
 *
 * isa-l computes the bare polynomial division; the inversion before and after,
 * which makes the CRC notice leading and trailing zeros, is done here.
 * Inverting twice is what makes a result usable as the next seed.
 */
#include "crc32c.h"

#include <isa-l/crc.h>

/* isa-l takes an int. */
#define PART_BYTES_MAX ((size_t)1 << 30)

uint32_t crc32c(uint32_t seed, const void *bytes, size_t count)
{
	/* isa-l's prototype isn't const, its code only reads. */
	unsigned char *at = (unsigned char *)(uintptr_t)bytes;
	uint32_t crc = ~seed;

	while (count > 0) {
		size_t part = count < PART_BYTES_MAX ? count : PART_BYTES_MAX;

		crc = crc32_iscsi(at, (int)part, crc);
		at += part;
		count -= part;
	}
	return ~crc;
}
