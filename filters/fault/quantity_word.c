// SPDX-License-Identifier: Apache-2.0
/*
 * quantity_word.c - a filter sees the public header alone, so it brings its own
 * few lines for this.
 */
#include "quantity_word.h"

#include <errno.h>
#include <string.h>

#define PPM_PER_PERCENT 10000u
#define PPM_MAX 1000000u

struct unit {
	const char *name;
	uint64_t factor;
};

/* Returns: what follows the digits, or NULL if there are none or too many. */
static const char *take_digits(const char *word, uint64_t *ret_number)
{
	uint64_t number = 0;
	const char *at = word;

	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(number, 10u, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*at - '0'),
					   &number))
			return NULL;
	*ret_number = number;
	return at == word ? NULL : at;
}

static int take_quantity(const char *word, const struct unit *units,
			 uint64_t *ret_value)
{
	uint64_t number = 0;
	const char *rest = take_digits(word, &number);

	for (; rest && units->name; units++) {
		if (strcmp(units->name, rest) != 0)
			continue;
		return __builtin_mul_overflow(number, units->factor, ret_value)
			       ? -EINVAL
			       : 0;
	}
	return -EINVAL;
}

int quantity_word_number(const char *word, uint64_t *ret_number)
{
	static const struct unit none[] = {{"", 1}, {0}};

	return take_quantity(word, none, ret_number);
}

int quantity_word_size(const char *word, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"", 1},
		{"B", 1},
		{"KiB", UINT64_C(1) << 10},
		{"MiB", UINT64_C(1) << 20},
		{"GiB", UINT64_C(1) << 30},
		{"TiB", UINT64_C(1) << 40},
		{0},
	};

	return take_quantity(word, units, ret_bytes);
}

int quantity_word_time(const char *word, uint64_t *ret_ns)
{
	static const struct unit units[] = {
		{"ns", 1},
		{"us", 1000},
		{"ms", 1000000},
		{"s", 1000000000},
		{"min", UINT64_C(60000000000)},
		{0},
	};

	return take_quantity(word, units, ret_ns);
}

int quantity_word_percent(const char *word, uint32_t *ret_ppm)
{
	uint64_t whole;
	uint64_t ppm;
	uint64_t worth = PPM_PER_PERCENT;
	const char *at = take_digits(word, &whole);

	if (!at || whole > 100)
		return -EINVAL;
	ppm = whole * PPM_PER_PERCENT;
	if (*at == '.') {
		const char *first = ++at;

		for (; *at >= '0' && *at <= '9' && worth > 1; at++) {
			worth /= 10;
			ppm += (uint64_t)(*at - '0') * worth;
		}
		if (at == first)
			return -EINVAL;
	}
	if (strcmp(at, "%") != 0 || ppm == 0 || ppm > PPM_MAX)
		return -EINVAL;
	*ret_ppm = (uint32_t)ppm;
	return 0;
}
