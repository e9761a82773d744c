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

/* What was written in the wrong place, or came back wrong, is durable. */
static void put(struct world *world, uint64_t offset, const void *bytes,
		uint64_t count)
{
	memmove(world->ssd.visible + offset, bytes, count);
	memcpy(world->ssd.durable + offset, world->ssd.visible + offset, count);
}

static void change_bytes(struct world *world, uint64_t begin, uint64_t bytes)
{
	uint64_t count = 1 + random_below(&world->random, 8);

	while (count-- > 0) {
		uint64_t at = begin + random_below(&world->random, bytes);
		uint8_t byte =
			(uint8_t)(world->ssd.visible[at] ^
				  (1u << random_below(&world->random, 8)));

		put(world, at, &byte, 1);
	}
}

static void swap(struct world *world, uint64_t one, uint64_t other,
		 uint64_t bytes)
{
	uint8_t kept[LOG_BLOCK_BYTES];

	for (uint64_t at = 0; at < bytes; at += sizeof(kept)) {
		memcpy(kept, world->ssd.visible + one + at, sizeof(kept));
		put(world, one + at, world->ssd.visible + other + at,
		    sizeof(kept));
		put(world, other + at, kept, sizeof(kept));
	}
}

/* A unit of the log, by chance: a block or a segment. */
static uint64_t draw(struct world *world, uint64_t begin, uint64_t bytes)
{
	uint64_t units = (world->ssd.bytes - begin) / bytes;

	return begin + random_below(&world->random, units) * bytes;
}

void damage_log(struct world *world)
{
	static const uint8_t zeros[LOG_BLOCK_BYTES];
	uint32_t blocks = world->options.segment_blocks;
	uint64_t begin =
		(uint64_t)log_first_segment_block(blocks) * LOG_BLOCK_BYTES;
	uint64_t segment = (uint64_t)blocks * LOG_BLOCK_BYTES;

	switch ((enum damage_kind)random_below(&world->random, DAMAGE_KINDS)) {
	case DAMAGE_BYTES:
		change_bytes(world, draw(world, begin, LOG_BLOCK_BYTES),
			     random_percent(&world->random, 50)
				     ? 256
				     : LOG_BLOCK_BYTES);
		break;
	case DAMAGE_ZEROS:
		put(world, draw(world, begin, LOG_BLOCK_BYTES), zeros,
		    sizeof(zeros));
		break;
	case DAMAGE_BLOCK:
		swap(world, draw(world, begin, LOG_BLOCK_BYTES),
		     draw(world, begin, LOG_BLOCK_BYTES), LOG_BLOCK_BYTES);
		break;
	case DAMAGE_SEGMENT:
		put(world, draw(world, begin, segment),
		    world->ssd.visible + draw(world, begin, segment), segment);
		break;
	case DAMAGE_SWAP:
		swap(world, draw(world, begin, segment),
		     draw(world, begin, segment), segment);
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
