// SPDX-License-Identifier: Apache-2.0
/* nearest_name.c - for error messages only; not fast, not for long names. */
#include "nearest_name.h"

#include <stdio.h>
#include <string.h>

/* Longer names are not compared. */
#define NAME_MAX_CHARACTERS 63u

static unsigned int smallest(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Levenshtein's distance, one row of the matrix at a time. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[NAME_MAX_CHARACTERS + 1];
	size_t columns = strlen(b);

	for (unsigned int j = 0; j <= columns; j++)
		row[j] = j;
	for (unsigned int i = 0; a[i]; i++) {
		unsigned int diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < columns; j++) {
			unsigned int above = row[j + 1];

			row[j + 1] = smallest(above + 1, row[j] + 1,
					      diagonal + (a[i] != b[j]));
			diagonal = above;
		}
	}
	return row[columns];
}

const char *nearest_name(const char *const *names, size_t count,
			 const char *typed)
{
	/* A third of the letters may be wrong. */
	unsigned int best = (unsigned int)strnlen(typed, 64) / 3 + 1;
	const char *nearest = NULL;

	if (strnlen(typed, NAME_MAX_CHARACTERS + 1) > NAME_MAX_CHARACTERS)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		unsigned int steps;

		if (strlen(names[i]) > NAME_MAX_CHARACTERS)
			continue;
		steps = distance(typed, names[i]);
		if (steps < best || (steps == best && !nearest)) {
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

		/* Room for the dots must stay. */
		if (used + (size_t)length + sizeof(", ...") > buffer_bytes) {
			snprintf(buffer + used, buffer_bytes - used, "%s...",
				 used ? ", " : "");
			return;
		}
		used += (size_t)length;
	}
}
