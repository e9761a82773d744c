/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - UTF-8 as RFC 3629 has it: shortest forms, no surrogates. */
#include "text.h"

#include <stddef.h>
#include <stdint.h>

/* First bytes of each length, and the smallest code point that needs it. */
static const struct {
	uint8_t mask;
	uint8_t first;
	uint32_t minimum;
} lengths[] = {
	{0x80, 0x00, 0x20},
	{0xe0, 0xc0, 0x80},
	{0xf0, 0xe0, 0x800},
	{0xf8, 0xf0, 0x10000},
};

static bool is_printable(uint32_t code, uint32_t minimum)
{
	if (code < minimum || code > 0x10ffff)
		return false;
	if (code >= 0xd800 && code <= 0xdfff)
		return false;
	return code < 0x7f || code > 0x9f;
}

/* Returns: bytes of the printable character at @text, or 0. */
static size_t character_length(const char *text)
{
	const uint8_t *bytes = (const uint8_t *)text;
	size_t length = 0;
	uint32_t code;

	while (length < 4 &&
	       (bytes[0] & lengths[length].mask) != lengths[length].first)
		length++;
	if (length == 4)
		return 0;
	code = bytes[0] & (uint8_t)~lengths[length].mask;
	for (size_t i = 1; i <= length; i++) {
		/* The NUL at the end is no continuation. */
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (bytes[i] & 0x3f);
	}
	return is_printable(code, lengths[length].minimum) ? length + 1 : 0;
}

char *text_clean(char *text)
{
	char *at = text;

	while (*at) {
		size_t length = character_length(at);

		if (length == 0)
			*at = '?';
		at += length > 0 ? length : 1;
	}
	return text;
}

bool text_is_clean(const char *text)
{
	while (*text) {
		size_t length = character_length(text);

		if (length == 0)
			return false;
		text += length;
	}
	return true;
}
