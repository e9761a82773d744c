// SPDX-License-Identifier: Apache-2.0
/*
 * damage.c - see damage.h.
 */
#include "damage.h"

#include <string.h>

#include "log_format.h"

enum damage_kind {
	DAMAGE_BYTES,
	DAMAGE_ZEROS,
	DAMAGE_BLOCK, /* two blocks change places */
	DAMAGE_SEGMENT, /* another segment's content */
	DAMAGE_SWAP, /* two segments change places */
	DAMAGE_KINDS
};

/* Chance is drawn in statements of its own: compilers order arguments. */

/* What was written in the wrong place, or came back wrong, is durable. */
static void put(struct world *world, uint64_t offset, const void *bytes,
		uint64_t count)
{
	medium_put(&world->ssd, offset / MEDIUM_SECTOR_BYTES, bytes,
		   count / MEDIUM_SECTOR_BYTES);
}

void damage_bit(struct world *world, uint64_t offset)
{
	uint64_t sector = offset / MEDIUM_SECTOR_BYTES;
	uint8_t bytes[MEDIUM_SECTOR_BYTES];

	memcpy(bytes, medium_visible(&world->ssd, sector), sizeof(bytes));
	bytes[offset % MEDIUM_SECTOR_BYTES] ^=
		(uint8_t)(1u << random_below(&world->random, 8));
	medium_put(&world->ssd, sector, bytes, 1);
}

static void change_bytes(struct world *world, uint64_t begin, uint64_t bytes)
{
	uint64_t count = 1 + random_below(&world->random, 8);

	while (count-- > 0)
		damage_bit(world, begin + random_below(&world->random, bytes));
}

static void read_block(const struct world *world, uint64_t offset,
		       uint8_t bytes[LOG_BLOCK_BYTES])
{
	struct iovec iov = {bytes, LOG_BLOCK_BYTES};

	medium_read(&world->ssd, offset, &iov, 1);
}

static void copy(struct world *world, uint64_t to, uint64_t from,
		 uint64_t bytes)
{
	uint8_t block[LOG_BLOCK_BYTES];

	for (uint64_t at = 0; at < bytes; at += sizeof(block)) {
		read_block(world, from + at, block);
		put(world, to + at, block, sizeof(block));
	}
}

static void swap(struct world *world, uint64_t one, uint64_t other,
		 uint64_t bytes)
{
	uint8_t kept[LOG_BLOCK_BYTES];

	for (uint64_t at = 0; at < bytes; at += sizeof(kept)) {
		read_block(world, one + at, kept);
		copy(world, one + at, other + at, sizeof(kept));
		put(world, other + at, kept, sizeof(kept));
	}
}

/* A unit of the log, by chance: a block or a segment. */
static uint64_t draw(struct world *world, uint64_t begin, uint64_t bytes)
{
	uint64_t units =
		(world->ssd.sector_count * MEDIUM_SECTOR_BYTES - begin) / bytes;

	return begin + random_below(&world->random, units) * bytes;
}

void damage_log(struct world *world)
{
	static const uint8_t zeros[LOG_BLOCK_BYTES];
	uint32_t blocks = world->options.segment_blocks;
	uint64_t begin =
		(uint64_t)log_first_segment_block(blocks) * LOG_BLOCK_BYTES;
	uint64_t segment = (uint64_t)blocks * LOG_BLOCK_BYTES;
	uint64_t one;
	uint64_t other;

	switch ((enum damage_kind)random_below(&world->random, DAMAGE_KINDS)) {
	case DAMAGE_BYTES:
		one = draw(world, begin, LOG_BLOCK_BYTES);
		change_bytes(world, one,
			     random_percent(&world->random, 50)
				     ? 256
				     : LOG_BLOCK_BYTES);
		break;
	case DAMAGE_ZEROS:
		put(world, draw(world, begin, LOG_BLOCK_BYTES), zeros,
		    sizeof(zeros));
		break;
	case DAMAGE_BLOCK:
		one = draw(world, begin, LOG_BLOCK_BYTES);
		other = draw(world, begin, LOG_BLOCK_BYTES);
		swap(world, one, other, LOG_BLOCK_BYTES);
		break;
	case DAMAGE_SEGMENT:
		one = draw(world, begin, segment);
		other = draw(world, begin, segment);
		copy(world, one, other, segment);
		break;
	case DAMAGE_SWAP:
		one = draw(world, begin, segment);
		other = draw(world, begin, segment);
		swap(world, one, other, segment);
		break;
	case DAMAGE_KINDS:
		break;
	}
}

void damage_superblock(struct world *world)
{
	uint64_t bytes = LOG_SUPERBLOCK_BLOCKS * LOG_BLOCK_BYTES;

	change_bytes(world,
		     random_below(&world->random, LOG_SUPERBLOCK_COPIES) *
			     bytes,
		     512);
}
