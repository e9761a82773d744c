// SPDX-License-Identifier: Apache-2.0
/*
 * bitmap.c - ranges and searches, a word at a time.
 *
 * Everything is expressed by one mask: which bits of a word lie inside the
 * range. So the ends of a range need no code of their own.
 */
#include "bitmap.h"

/* Bits of word @word that lie in [first, end). */
static uint64_t mask_in(size_t word, size_t first, size_t end)
{
	size_t low = word * BITMAP_WORD_BITS;
	size_t high = low + BITMAP_WORD_BITS;
	uint64_t mask = UINT64_MAX;

	if (first > low)
		mask &= UINT64_MAX << (first - low);
	if (end < high)
		mask &= UINT64_MAX >> (high - end);
	return mask;
}

void bitmap_set_range(uint64_t *words, size_t first, size_t count)
{
	size_t end = first + count;

	if (count == 0)
		return;
	for (size_t word = first / BITMAP_WORD_BITS;
	     word <= (end - 1) / BITMAP_WORD_BITS; word++)
		words[word] |= mask_in(word, first, end);
}

void bitmap_clear_range(uint64_t *words, size_t first, size_t count)
{
	size_t end = first + count;

	if (count == 0)
		return;
	for (size_t word = first / BITMAP_WORD_BITS;
	     word <= (end - 1) / BITMAP_WORD_BITS; word++)
		words[word] &= ~mask_in(word, first, end);
}

/* @invert: UINT64_MAX looks for clear bits, 0 for set ones. */
static size_t find(const uint64_t *words, size_t bits, size_t from,
		   uint64_t invert)
{
	if (from >= bits)
		return bits;
	for (size_t word = from / BITMAP_WORD_BITS;
	     word <= (bits - 1) / BITMAP_WORD_BITS; word++) {
		uint64_t found =
			(words[word] ^ invert) & mask_in(word, from, bits);

		if (found)
			return word * BITMAP_WORD_BITS +
			       (size_t)__builtin_ctzll(found);
	}
	return bits;
}

size_t bitmap_find_set(const uint64_t *words, size_t bits, size_t from)
{
	return find(words, bits, from, 0);
}

size_t bitmap_find_clear(const uint64_t *words, size_t bits, size_t from)
{
	return find(words, bits, from, UINT64_MAX);
}

size_t bitmap_count(const uint64_t *words, size_t bits)
{
	size_t whole = bits / BITMAP_WORD_BITS;
	size_t rest = bits % BITMAP_WORD_BITS;
	size_t count = 0;

	for (size_t word = 0; word < whole; word++)
		count += bitmap_count_word(words[word]);
	if (rest > 0)
		count += bitmap_count_word(words[whole] &
					   ((UINT64_C(1) << rest) - 1));
	return count;
}
