/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version.c - the order of semver.org: numbers as numbers, words as words,
 * numbers before words, fewer parts before more.
 *
 * Numbers are compared as digits, so that none is too large.
 */
#include "version.h"

#include <stddef.h>
#include <string.h>

static const char digits[] = "0123456789";
static const char letters[] = "0123456789-abcdefghijklmnopqrstuvwxyz"
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* Returns: the length of a number without a leading zero, 0 if there is none.
 */
static size_t number_length(const char *text)
{
	size_t length = strspn(text, digits);

	return length > 1 && text[0] == '0' ? 0 : length;
}

/* One part of a prerelease: a word, or a number without a leading zero. */
static size_t part_length(const char *text)
{
	size_t length = strspn(text, letters);

	return strspn(text, digits) == length ? number_length(text) : length;
}

static bool prerelease_valid(const char *text)
{
	size_t length = part_length(text);

	while (length > 0 && text[length] == '.') {
		text += length + 1;
		length = part_length(text);
	}
	return length > 0 && text[length] == '\0';
}

bool version_valid(const char *text)
{
	if (strlen(text) > VERSION_LENGTH_MAX)
		return false;
	for (unsigned int i = 0; i < 3; i++) {
		size_t length = number_length(text);

		if (length == 0 || (i < 2 && text[length] != '.'))
			return false;
		text += length + (i < 2);
	}
	return text[0] == '\0' ||
	       (text[0] == '-' && prerelease_valid(text + 1));
}

static int compare_lengths(size_t a, size_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_parts(const char *a, size_t a_length, const char *b,
			 size_t b_length)
{
	bool a_number = strspn(a, digits) >= a_length;
	bool b_number = strspn(b, digits) >= b_length;
	size_t shorter = a_length < b_length ? a_length : b_length;
	int order;

	if (a_number != b_number)
		return a_number ? -1 : 1;
	if (a_number && a_length != b_length)
		return compare_lengths(a_length, b_length);
	order = strncmp(a, b, shorter);
	return order ? order : compare_lengths(a_length, b_length);
}

/* Parts up to the end, or up to @end. */
static int compare_lists(const char *a, const char *b, const char *end)
{
	for (;;) {
		size_t a_length = strcspn(a, end), b_length = strcspn(b, end);
		int order = compare_parts(a, a_length, b, b_length);

		a += a_length;
		b += b_length;
		if (order != 0)
			return order;
		if (*a != '.' || *b != '.')
			return (*a == '.') - (*b == '.');
		a++;
		b++;
	}
}

int version_compare(const char *a, const char *b)
{
	const char *a_rest = strchr(a, '-'), *b_rest = strchr(b, '-');
	int order = compare_lists(a, b, ".-");

	if (order != 0)
		return order;
	if (!a_rest || !b_rest)
		return (a_rest == NULL) - (b_rest == NULL);
	return compare_lists(a_rest + 1, b_rest + 1, ".");
}
