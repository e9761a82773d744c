// SPDX-License-Identifier: Apache-2.0
/*
 * status_text.c - once a piece didn't fit, none does: the host asks again with
 * a larger buffer.
 */
#include "status_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct status_text status_text_begin(char *buffer, size_t buffer_bytes)
{
	return (struct status_text){
		.start = buffer,
		.at = buffer,
		.left = buffer_bytes,
	};
}

void status_text_add(struct status_text *text, const char *format, ...)
{
	va_list arguments;
	int length;

	if (text->left == 0)
		return;
	va_start(arguments, format);
	length = vsnprintf(text->at, text->left, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= text->left) {
		text->left = 0;
		return;
	}
	text->at += length;
	text->left -= (size_t)length;
}

void status_text_add_string(struct status_text *text, const char *value)
{
	if (!value) {
		status_text_add(text, "null");
		return;
	}
	status_text_add(text, "\"");
	for (; *value; value++)
		status_text_add(text,
				*value == '"' || *value == '\\' ? "\\%c" : "%c",
				*value);
	status_text_add(text, "\"");
}

int status_text_end(const struct status_text *text)
{
	return text->left > 0 ? (int)(text->at - text->start) : -ENOSPC;
}
