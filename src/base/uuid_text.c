// SPDX-License-Identifier: Apache-2.0
/*
 * uuid_text.c - the 8-4-4-4-12 form only, lower case out, any case in.
 *
 * Braces, "urn:uuid:" and forms without dashes are refused: the text names
 * files and directories, and one UUID must have one name.
 */
#include "uuid_text.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool dash_stands_before(unsigned int byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void uuid_format(const uint8_t uuid[UUID_BYTES], char ret_text[UUID_TEXT_BYTES])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned int i = 0; i < UUID_BYTES; i++) {
		if (dash_stands_before(i))
			*ret_text++ = '-';
		*ret_text++ = digits[uuid[i] >> 4];
		*ret_text++ = digits[uuid[i] & 0xf];
	}
	*ret_text = '\0';
}

/* Returns: 0..15, or -1. Locale-free, unlike isxdigit(). */
static int digit_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

int uuid_parse(const char *text, uint8_t ret_uuid[UUID_BYTES])
{
	uint8_t uuid[UUID_BYTES];

	if (strnlen(text, UUID_TEXT_BYTES) != UUID_TEXT_BYTES - 1)
		return -EINVAL;
	for (unsigned int i = 0; i < UUID_BYTES; i++) {
		int high, low;

		if (dash_stands_before(i) && *text++ != '-')
			return -EINVAL;
		high = digit_value(*text++);
		low = digit_value(*text++);
		if (high < 0 || low < 0)
			return -EINVAL;
		uuid[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret_uuid, uuid, sizeof(uuid));
	return 0;
}
