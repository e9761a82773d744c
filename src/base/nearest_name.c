// SPDX-License-Identifier: Apache-2.0
/*
 * nearest_name.c - edit distance with transpositions ("dsik" is one step from
 * "disk"). For error messages only: not fast, not for long names.
 */
#include "nearest_name.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Longer names are not compared. */
#define NAME_MAX_CHARACTERS 63u

static unsigned int smallest(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Three rows of the matrix: the one before last serves swapped letters. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int rows[3][NAME_MAX_CHARACTERS + 1];
	size_t a_length = strlen(a);
	size_t b_length = strlen(b);

	for (unsigned int j = 0; j <= b_length; j++)
		rows[0][j] = j;
	for (unsigned int i = 1; i <= a_length; i++) {
		unsigned int *row = rows[i % 3];
		const unsigned int *above = rows[(i + 2) % 3];
		const unsigned int *higher = rows[(i + 1) % 3];

		row[0] = i;
		for (unsigned int j = 1; j <= b_length; j++) {
			row[j] =
				smallest(above[j] + 1, row[j - 1] + 1,
					 above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && higher[j - 2] + 1 < row[j])
				row[j] = higher[j - 2] + 1;
		}
	}
	return rows[a_length % 3][b_length];
}

/* How far @typed is from @name; UINT_MAX: too far to be meant. */
static unsigned int steps_to(const char *typed, const char *name)
{
	unsigned int allowed = (unsigned int)strnlen(name, 64) / 3;
	unsigned int steps;

	if (strnlen(name, 64) > NAME_MAX_CHARACTERS)
		return UINT_MAX;
	if (strlen(typed) >= 2 && strncmp(typed, name, strlen(typed)) == 0)
		return 1;
	steps = distance(typed, name);
	return steps <= (allowed > 0 ? allowed : 1) ? steps : UINT_MAX;
}

const char *nearest_name(const char *const *names, size_t count,
			 const char *typed)
{
	unsigned int best = UINT_MAX;
	const char *nearest = NULL;

	if (*typed == '\0' || strnlen(typed, 64) > NAME_MAX_CHARACTERS)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		unsigned int steps = steps_to(typed, names[i]);

		if (steps < best) {
			best = steps;
			nearest = names[i];
		}
	}
	return nearest;
}

void nearest_name_list(const char *const *names, size_t count, char *buffer,
		       size_t buffer_bytes)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		int length = snprintf(buffer + used, buffer_bytes - used,
				      "%s%s", i ? ", " : "", names[i]);
		/* Room for the dots must stay, unless this is the last. */
		size_t room = i + 1 < count ? sizeof(", ...") : 1;

		if (used + (size_t)length + room > buffer_bytes) {
			snprintf(buffer + used, buffer_bytes - used, "%s...",
				 used ? ", " : "");
			return;
		}
		used += (size_t)length;
	}
}
