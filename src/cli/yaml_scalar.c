/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_scalar.c - shared by reader and writer, so that a string that reads as
 * something else when plain is exactly a string that gets written quoted.
 */
#include "yaml_scalar.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++) {
		if (strcmp(text, *words) == 0)
			return true;
	}
	return false;
}

static bool all_of(const char *text, const char *letters)
{
	size_t count = strlen(text);

	return count > 0 && strspn(text, letters) == count;
}

/* The base in which @text is an integer; 0: in none. */
static int integer_base(const char *text)
{
	if (strncmp(text, "0x", 2) == 0 &&
	    all_of(text + 2, DIGITS "abcdefABCDEF"))
		return 16;
	if (strncmp(text, "0o", 2) == 0 && all_of(text + 2, "01234567"))
		return 8;
	if (*text == '+' || *text == '-')
		text++;
	return all_of(text, DIGITS) ? 10 : 0;
}

/* [-+]? ( digits [. digits?] | . digits ) ( [eE] [-+]? digits )? */
static bool is_real(const char *text)
{
	size_t whole;
	size_t part = 0;

	if (*text == '+' || *text == '-')
		text++;
	whole = strspn(text, DIGITS);
	text += whole;
	if (*text == '.') {
		part = strspn(text + 1, DIGITS);
		text += part + 1;
	}
	if (whole + part == 0)
		return false;
	if (*text == 'e' || *text == 'E') {
		text++;
		if (*text == '+' || *text == '-')
			text++;
		return all_of(text, DIGITS);
	}
	return *text == '\0';
}

static json_t *resolve_integer(const char *text, int base)
{
	long long value;

	errno = 0;
	value = strtoll(base == 10 ? text : text + 2, NULL, base);
	return errno == 0 ? json_integer(value) : NULL;
}

json_t *yaml_scalar_resolve(const char *text)
{
	static const char *const nulls[] = {"",	    "~",    "null",
					    "Null", "NULL", NULL};
	static const char *const trues[] = {"true", "True", "TRUE", NULL};
	static const char *const falses[] = {"false", "False", "FALSE", NULL};
	int base = integer_base(text);

	if (is_one_of(text, nulls))
		return json_null();
	if (is_one_of(text, trues))
		return json_true();
	if (is_one_of(text, falses))
		return json_false();
	if (base != 0)
		return resolve_integer(text, base);
	if (is_real(text) && isfinite(strtod(text, NULL)))
		return json_real(strtod(text, NULL));
	return json_string(text);
}
