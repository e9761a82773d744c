/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bitmap.h - bits in an array of uint64_t that the caller owns.
 *
 * Bit 0 is the lowest bit of word 0. The functions that take @bits never read
 * or change a bit at or above it; ranges are [first, first + count).
 */
#ifndef FOREBAY_BASE_BITMAP_H
#define FOREBAY_BASE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITMAP_WORD_BITS 64u
/* How many words hold @bits. */
#define BITMAP_WORDS(bits) (((bits) + BITMAP_WORD_BITS - 1) / BITMAP_WORD_BITS)

static inline bool bitmap_test(const uint64_t *words, size_t bit)
{
	return words[bit / BITMAP_WORD_BITS] >> bit % BITMAP_WORD_BITS & 1;
}

static inline void bitmap_set(uint64_t *words, size_t bit)
{
	words[bit / BITMAP_WORD_BITS] |= UINT64_C(1) << bit % BITMAP_WORD_BITS;
}

static inline void bitmap_clear(uint64_t *words, size_t bit)
{
	words[bit / BITMAP_WORD_BITS] &=
		~(UINT64_C(1) << bit % BITMAP_WORD_BITS);
}

/*
 * Bits of one word that are set. The processors that we are built for need not
 * have an instruction for it, and the compiler would call a function then.
 */
static inline uint32_t bitmap_count_word(uint64_t word)
{
	word -= word >> 1 & 0x5555555555555555u;
	word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
	return (uint32_t)(word * 0x0101010101010101u >> 56);
}

void bitmap_set_range(uint64_t *words, size_t first, size_t count);
void bitmap_clear_range(uint64_t *words, size_t first, size_t count);

/* Returns: the first such bit at or after @from, or @bits if there is none. */
size_t bitmap_find_set(const uint64_t *words, size_t bits, size_t from);
size_t bitmap_find_clear(const uint64_t *words, size_t bits, size_t from);

/* Returns: how many of the first @bits are set. */
size_t bitmap_count(const uint64_t *words, size_t bits);

#endif
