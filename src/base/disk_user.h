/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_user.h - the user that a disk's process runs as: a pure function of the
 * disk's UUID, so that nobody has to keep a list.
 *
 * 0x70000000 to 0x7ffdffff is a range that no distribution and no part of
 * systemd gives to anybody. Two disks of a host may meet in it, which then
 * protects them from each other no less than one user for all disks would.
 */
#ifndef FOREBAY_BASE_DISK_USER_H
#define FOREBAY_BASE_DISK_USER_H

#include <stdint.h>

#define DISK_USER_FIRST UINT32_C(0x70000000)
#define DISK_USER_COUNT UINT32_C(0x0ffe0000)

/* User and group id of the disk @uuid: FNV-1a into the range. */
static inline uint32_t disk_user_of(const uint8_t uuid[16])
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (unsigned int i = 0; i < 16; i++)
		hash = (hash ^ uuid[i]) * UINT64_C(0x100000001b3);
	return DISK_USER_FIRST + (uint32_t)(hash % DISK_USER_COUNT);
}

#endif
