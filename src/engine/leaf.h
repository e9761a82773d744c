/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaf.h - what stands at the blocks of one leaf of the index.
 *
 * A leaf is cut into groups of 64 blocks. A group says with a bit a block which
 * of them are cached, and has their copies in a chunk, in the order of the
 * blocks: where a block's copy is, is a count of bits. A chunk has masks only
 * if some of its copies aren't whole. It grows when it is full, and shrinks
 * when the next two smaller sizes would do: a block more or less at a limit
 * doesn't copy it to and fro.
 *
 * All of it is kept memory and changes by the undo transaction of the caller,
 * but for heat, which is a hint.
 */
#ifndef FOREBAY_ENGINE_LEAF_H
#define FOREBAY_ENGINE_LEAF_H

#include <stdbool.h>
#include <stdint.h>

#include "chunks.h"

/* The simulator's disks are small: so are its leaves. */
#ifndef INDEX_LEAF_BLOCKS
#define INDEX_LEAF_BLOCKS 512u
#endif
#define LEAF_GROUP_BLOCKS (INDEX_LEAF_BLOCKS < 64u ? INDEX_LEAF_BLOCKS : 64u)
#define LEAF_GROUPS (INDEX_LEAF_BLOCKS / LEAF_GROUP_BLOCKS)

/* How often a block was used lately: counts up to this. */
#define INDEX_HEAT_MAX 3u

struct index_leaf {
	uint64_t present[LEAF_GROUPS];
	uint32_t chunks[LEAF_GROUPS]; /* their names */
	uint16_t used; /* copies */
	uint16_t zeros; /* of these: without data */
	uint32_t next_free; /* number of the next leaf in the free list */
};

/* What stands at a block. */
struct index_copy {
	uint32_t location; /* 0 = not cached */
	uint32_t check;
	uint8_t mask;
	bool dirty;
	bool lost;
	bool zero; /* dirty, reads as zeros; location: of the header */
};

/* Two bits: that a copy is dirty in any way is quickly seen. */
enum leaf_state { LEAF_CLEAN, LEAF_DIRTY, LEAF_LOST, LEAF_ZERO };

/* A leaf to work on. */
struct leaf_place {
	struct chunks *chunks;
	struct index_leaf *leaf;
	uint32_t number; /* its own: groups are owners by it */
};

static inline uint64_t leaf_bit(uint32_t i)
{
	return UINT64_C(1) << i % LEAF_GROUP_BLOCKS;
}

/* Whether the leaf's block @i is cached. */
static inline bool leaf_has(const struct index_leaf *leaf, uint32_t i)
{
	return (leaf->present[i / LEAF_GROUP_BLOCKS] & leaf_bit(i)) != 0;
}

struct index_copy leaf_get(const struct chunks *chunks,
			   const struct index_leaf *leaf, uint32_t i);
/* Replaces whatever stands there. Counts are the caller's. */
void leaf_set(const struct leaf_place *place, uint32_t i,
	      const struct index_copy *copy);
/* It is cached, and is no more. */
void leaf_unset(const struct leaf_place *place, uint32_t i);
void leaf_set_state(const struct leaf_place *place, uint32_t i,
		    enum leaf_state state);
/* Every block becomes zeros at @location. Nobody finds the empty leaf yet. */
void leaf_fill_zeros(const struct leaf_place *place, uint32_t location);

uint8_t leaf_heat(const struct chunks *chunks, const struct index_leaf *leaf,
		  uint32_t i);
/* By one, if it is cached, up to INDEX_HEAT_MAX or down to 0. */
void leaf_add_heat(const struct chunks *chunks, const struct index_leaf *leaf,
		   uint32_t i, int difference);

/* Bit a block of the group: those that are dirty, and those that are lost. */
uint64_t leaf_dirty_bits(const struct chunks *chunks,
			 const struct index_leaf *leaf, uint32_t group);
uint64_t leaf_lost_bits(const struct chunks *chunks,
			const struct index_leaf *leaf, uint32_t group);

#endif
