// SPDX-License-Identifier: Apache-2.0
/*
 * error.c - fills a `struct error` so that it stays one printable line.
 *
 * Messages carry paths, names and words of peers, all of them foreign bytes;
 * they end in logs and terminals, so control characters become spaces here.
 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *error, int code, const char *format, ...)
{
	va_list arguments;

	if (!error)
		return code;
	va_start(arguments, format);
	vsnprintf(error->message, sizeof(error->message), format, arguments);
	va_end(arguments);
	error->code = code;
	for (char *at = error->message; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = ' ';
	return code;
}
