/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suggest.c - edit distance with transpositions ("dsik" is one step from
 * "disk").
 *
 * A word is near when at most a third of its letters, and one in any case,
 * differ; a word that begins with what was typed ("pol") is near too.
 */
#include "suggest.h"

#include <limits.h>
#include <string.h>

/* Longer words are never compared: no noun, verb or flag comes near it. */
#define SUGGEST_WORD_MAX 32u

static unsigned int least(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Three rows of the usual matrix: the one before last serves swapped letters.
 */
static unsigned int distance(const char *a, size_t a_bytes, const char *b,
			     size_t b_bytes)
{
	unsigned int rows[3][SUGGEST_WORD_MAX + 1];

	for (unsigned int j = 0; j <= b_bytes; j++)
		rows[0][j] = j;
	for (unsigned int i = 1; i <= a_bytes; i++) {
		unsigned int *row = rows[i % 3];
		const unsigned int *above = rows[(i + 2) % 3];
		const unsigned int *higher = rows[(i + 1) % 3];

		row[0] = i;
		for (unsigned int j = 1; j <= b_bytes; j++) {
			unsigned int differ = a[i - 1] != b[j - 1];

			row[j] = least(above[j] + 1, row[j - 1] + 1,
				       above[j - 1] + differ);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && higher[j - 2] + 1 < row[j])
				row[j] = higher[j - 2] + 1;
		}
	}
	return rows[a_bytes % 3][b_bytes];
}

struct suggest suggest_start(const char *typed)
{
	return (struct suggest){.typed = typed, .best_distance = UINT_MAX};
}

void suggest_offer(struct suggest *suggest, const char *candidate)
{
	size_t typed_bytes = strlen(suggest->typed);
	size_t candidate_bytes = strlen(candidate);
	unsigned int steps;
	unsigned int allowed;

	if (typed_bytes == 0 || typed_bytes > SUGGEST_WORD_MAX ||
	    candidate_bytes > SUGGEST_WORD_MAX)
		return;
	steps = distance(suggest->typed, typed_bytes, candidate,
			 candidate_bytes);
	allowed = (unsigned int)candidate_bytes / 3;
	if (allowed == 0)
		allowed = 1;
	if (typed_bytes >= 2 &&
	    strncmp(suggest->typed, candidate, typed_bytes) == 0)
		steps = 1;
	if (steps <= allowed && steps < suggest->best_distance) {
		suggest->best = candidate;
		suggest->best_distance = steps;
	}
}
