// SPDX-License-Identifier: Apache-2.0
/*
 * quantity.c - sizes and durations share one grammar: digits[.digits]unit.
 *
 * The parser is exact: it computes in 128 bits and refuses what isn't a whole
 * number of the base unit, so that "0.3KiB" is an error and not 307 bytes.
 */
#include "quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* More digits than this after the point can't matter for an int64_t. */
#define FRACTION_DIGITS_MAX 18u
#define QUANTITY_TEXT_BYTES 32u

__extension__ typedef unsigned __int128 wide;

struct unit {
	const char *name;
	uint64_t scale;
	bool never_written; /* a second spelling, taken but not given */
};

static const struct unit size_units[] = {
	{"B", 1, false},
	{"", 1, true},
	{"KiB", UINT64_C(1) << 10, false},
	{"K", UINT64_C(1) << 10, true},
	{"MiB", UINT64_C(1) << 20, false},
	{"M", UINT64_C(1) << 20, true},
	{"GiB", UINT64_C(1) << 30, false},
	{"G", UINT64_C(1) << 30, true},
	{"TiB", UINT64_C(1) << 40, false},
	{"T", UINT64_C(1) << 40, true},
	{NULL, 0, false},
};

static const struct unit duration_units[] = {
	{"ns", 1, false},
	{"us", UINT64_C(1000), false},
	{"ms", UINT64_C(1000000), false},
	{"s", UINT64_C(1000000000), false},
	{"min", UINT64_C(60000000000), false},
	{"h", UINT64_C(3600000000000), false},
	{NULL, 0, false},
};

/* A decimal number: whole + fraction / denominator. */
struct decimal {
	uint64_t whole;
	uint64_t fraction;
	uint64_t denominator;
};

static const char *skip_digits(const char *text)
{
	while (*text >= '0' && *text <= '9')
		text++;
	return text;
}

/* Returns: 0, -EINVAL or -ERANGE; *ret_end is the first unread character. */
static int decimal_parse(const char *text, struct decimal *ret_decimal,
			 const char **ret_end)
{
	struct decimal decimal = {.denominator = 1};
	const char *end = skip_digits(text);

	if (end == text)
		return -EINVAL;
	for (; text < end; text++) {
		if (__builtin_mul_overflow(decimal.whole, 10, &decimal.whole) ||
		    __builtin_add_overflow(decimal.whole, *text - '0',
					   &decimal.whole))
			return -ERANGE;
	}
	if (*text == '.') {
		text++;
		end = skip_digits(text);
		if (end == text || end - text > FRACTION_DIGITS_MAX)
			return -EINVAL;
		for (; text < end; text++) {
			decimal.fraction =
				decimal.fraction * 10 + (uint64_t)(*text - '0');
			decimal.denominator *= 10;
		}
	}
	*ret_decimal = decimal;
	*ret_end = end;
	return 0;
}

static int quantity_parse(const char *text, const struct unit *units,
			  uint64_t *ret_value)
{
	struct decimal decimal;
	const char *name;
	wide value, part;
	int status;

	status = decimal_parse(text, &decimal, &name);
	if (status == -EINVAL)
		return status;
	if (status == 0) {
		while (units->name && strcmp(units->name, name) != 0)
			units++;
		if (!units->name)
			return -EINVAL;
		part = (wide)decimal.fraction * units->scale;
		if (part % decimal.denominator != 0)
			return -EINVAL;
		value = (wide)decimal.whole * units->scale +
			part / decimal.denominator;
		if (value > INT64_MAX)
			return -ERANGE;
		*ret_value = (uint64_t)value;
	}
	return status;
}

/* Shortest text; of two equally short ones that in the smaller unit. */
static char *quantity_format(uint64_t value, const struct unit *units,
			     char *buffer, size_t buffer_bytes)
{
	char best[QUANTITY_TEXT_BYTES] = "";

	for (; units->name; units++) {
		char text[QUANTITY_TEXT_BYTES];

		if (value % units->scale != 0 || units->never_written)
			continue;
		snprintf(text, sizeof(text), "%" PRIu64 "%s",
			 value / units->scale, units->name);
		if (best[0] == '\0' || strlen(text) < strlen(best))
			memcpy(best, text, sizeof(best));
	}
	snprintf(buffer, buffer_bytes, "%s", best);
	return buffer;
}

int quantity_parse_size(const char *text, uint64_t *ret_bytes)
{
	return quantity_parse(text, size_units, ret_bytes);
}

int quantity_parse_duration(const char *text, uint64_t *ret_ns)
{
	return quantity_parse(text, duration_units, ret_ns);
}

char *quantity_format_size(uint64_t bytes, char *buffer, size_t buffer_bytes)
{
	return quantity_format(bytes, size_units, buffer, buffer_bytes);
}

char *quantity_format_duration(uint64_t ns, char *buffer, size_t buffer_bytes)
{
	return quantity_format(ns, duration_units, buffer, buffer_bytes);
}
