/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c.h - the Castagnoli CRC, reflected, as in iSCSI (RFC 3720) and ext4.
 *
 * crc32c(0, "123456789", 9) == 0xe3069283. Feed parts by passing the previous
 * result as @seed.
 */
#ifndef FOREBAY_BASE_CRC32C_H
#define FOREBAY_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t seed, const void *bytes, size_t count);

#endif
