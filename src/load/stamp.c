// SPDX-License-Identifier: Apache-2.0
/* stamp.c - writes, reads and names stamps; see stamp.h for the bytes. */
#include "stamp.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "crc32c.h"

struct stamp_bytes {
	uint64_t seed;
	uint64_t sector;
	uint32_t sequence;
	uint32_t crc;
	uint64_t noise[61];
};
static_assert(sizeof(struct stamp_bytes) == STAMP_SECTOR_BYTES, "a sector");

static uint32_t crc_of(const struct stamp_bytes *bytes)
{
	uint32_t crc = crc32c(0, bytes, offsetof(struct stamp_bytes, crc));

	return crc32c(crc, bytes->noise, sizeof(bytes->noise));
}

void stamp_fill(const struct stamp *stamp, void *sector)
{
	struct stamp_bytes bytes = {
		.seed = stamp->seed,
		.sector = stamp->sector,
		.sequence = stamp->sequence,
	};
	uint64_t word = stamp->seed ^ (stamp->sector << 20) ^ stamp->sequence;

	for (size_t i = 0; i < sizeof(bytes.noise) / sizeof(uint64_t); i++) {
		word += UINT64_C(0x9e3779b97f4a7c15);
		bytes.noise[i] =
			(word ^ (word >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
	}
	bytes.crc = crc_of(&bytes);
	memcpy(sector, &bytes, sizeof(bytes));
}

static bool is_zero(const struct stamp_bytes *bytes)
{
	const uint8_t *first = (const uint8_t *)bytes;

	return *first == 0 && memcmp(first, first + 1, sizeof(*bytes) - 1) == 0;
}

enum stamp_state stamp_read(const void *sector, struct stamp *ret_stamp)
{
	struct stamp_bytes bytes;

	memcpy(&bytes, sector, sizeof(bytes));
	*ret_stamp = (struct stamp){
		.seed = bytes.seed,
		.sector = bytes.sector,
		.sequence = bytes.sequence,
	};
	if (bytes.crc == crc_of(&bytes) && !is_zero(&bytes))
		return STAMP_GOOD;
	return is_zero(&bytes) ? STAMP_ZEROES : STAMP_DAMAGED;
}

char *stamp_describe(const void *sector, const struct stamp *wanted,
		     char buffer[STAMP_TEXT_BYTES])
{
	struct stamp found;
	enum stamp_state state = stamp_read(sector, &found);
	bool ours = found.seed == wanted->seed;
	bool here = found.sector == wanted->sector;

	if (state == STAMP_ZEROES)
		(void)snprintf(buffer, STAMP_TEXT_BYTES, "zeroes");
	else if (state == STAMP_DAMAGED && !(ours && here))
		(void)snprintf(buffer, STAMP_TEXT_BYTES, "no stamp");
	else if (!ours)
		(void)snprintf(buffer, STAMP_TEXT_BYTES,
			       "sequence %u of another run's sector %llu",
			       found.sequence,
			       (unsigned long long)found.sector);
	else if (!here)
		(void)snprintf(buffer, STAMP_TEXT_BYTES,
			       "sequence %u of sector %llu", found.sequence,
			       (unsigned long long)found.sector);
	else
		(void)snprintf(buffer, STAMP_TEXT_BYTES, "%ssequence %u",
			       state == STAMP_DAMAGED ? "damaged " : "",
			       found.sequence);
	return buffer;
}
