// SPDX-License-Identifier: Apache-2.0
/* uuid_draw.c - version 4, variant 1 (RFC 4122). */
#include "uuid_draw.h"

#include <errno.h>
#include <sys/random.h>

int uuid_draw(uint8_t ret_uuid[UUID_BYTES])
{
	if (getrandom(ret_uuid, UUID_BYTES, 0) != UUID_BYTES)
		return -EIO;
	ret_uuid[6] = (uint8_t)((ret_uuid[6] & 0x0f) | 0x40);
	ret_uuid[8] = (uint8_t)((ret_uuid[8] & 0x3f) | 0x80);
	return 0;
}
