// SPDX-License-Identifier: Apache-2.0
/* stamps.c - fills sectors with what only they can hold, and checks them. */
#include "stamps.h"

#include <errno.h>
#include <stdlib.h>

#define SECTOR_BYTES 512u
#define SECTOR_WORDS (SECTOR_BYTES / sizeof(uint64_t))

int stamps_create(struct stamps *stamps, uint64_t block_count,
		  uint32_t block_bytes)
{
	*stamps = (struct stamps){
		.block_count = block_count,
		.block_bytes = block_bytes,
		.sequences = calloc(block_count, sizeof(uint32_t)),
		.pending = calloc(block_count, sizeof(uint32_t)),
		.busy = calloc(block_count, 1),
	};
	if (stamps->sequences && stamps->pending && stamps->busy)
		return 0;
	stamps_destroy(stamps);
	return -ENOMEM;
}

void stamps_destroy(struct stamps *stamps)
{
	free(stamps->sequences);
	free(stamps->pending);
	free(stamps->busy);
	*stamps = (struct stamps){0};
}

bool stamps_take(struct stamps *stamps, uint64_t block)
{
	if (stamps->busy[block])
		return false;
	stamps->busy[block] = 1;
	return true;
}

/* The word at @index of a sector; each depends on all three numbers. */
static uint64_t stamp_word(uint64_t sector, uint32_t sequence,
			   unsigned int index)
{
	uint64_t word = sector * UINT64_C(0x9e3779b97f4a7c15) + sequence;

	if (index == 0)
		return sector;
	word = (word ^ (word >> 29)) * UINT64_C(0xbf58476d1ce4e5b9) + index;
	return word ^ (word >> 32);
}

void stamps_fill(struct stamps *stamps, uint64_t block, void *data)
{
	unsigned int sectors = stamps->block_bytes / SECTOR_BYTES;
	uint32_t sequence = stamps->sequences[block] + 1;
	uint64_t *word = data;

	stamps->pending[block] = sequence;
	for (unsigned int i = 0; i < sectors; i++)
		for (unsigned int j = 0; j < SECTOR_WORDS; j++)
			*word++ = stamp_word(block * sectors + i, sequence, j);
}

void stamps_end_write(struct stamps *stamps, uint64_t block)
{
	stamps->sequences[block] = stamps->pending[block];
	stamps->busy[block] = 0;
}

static bool stamps_match(const struct stamps *stamps, uint64_t block,
			 const void *data)
{
	unsigned int sectors = stamps->block_bytes / SECTOR_BYTES;
	uint32_t sequence = stamps->sequences[block];
	const uint64_t *word = data;

	for (unsigned int i = 0; i < sectors; i++)
		for (unsigned int j = 0; j < SECTOR_WORDS; j++)
			if (*word++ !=
			    stamp_word(block * sectors + i, sequence, j))
				return false;
	return true;
}

void stamps_end_read(struct stamps *stamps, uint64_t block, const void *data)
{
	stamps->busy[block] = 0;
	/* What was there before isn't ours to judge. */
	if (stamps->sequences[block] == 0 || stamps_match(stamps, block, data))
		return;
	if (stamps->failures++ == 0)
		stamps->first_failure = block;
}

void stamps_end_failed(struct stamps *stamps, uint64_t block)
{
	stamps->busy[block] = 0;
	stamps->sequences[block] = 0;
}
