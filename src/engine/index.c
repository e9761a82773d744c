// SPDX-License-Identifier: Apache-2.0
/*
 * index.c - see index.h.
 */
#include "index.h"

#include <assert.h>
#include <string.h>

#include "log_format.h"

/* A page for a leaf's chunks, and one for a copy that gets a mask. */
#define PAGES_OF_A_CHANGE 2u

struct index_limits index_limits(uint64_t disk_blocks, uint64_t cache_blocks)
{
	uint64_t leaves =
		(disk_blocks + INDEX_LEAF_BLOCKS - 1) / INDEX_LEAF_BLOCKS;
	/* In the worst case each cached block is alone in its leaf. */
	uint64_t most = cache_blocks + INDEX_ZEROS_ONLY_MAX;
	uint64_t pages;

	if (leaves > most)
		leaves = most;
	pages = chunks_pages_needed(leaves * LEAF_GROUPS + 1,
				    LEAF_GROUP_BLOCKS) +
		PAGES_OF_A_CHANGE;
	return (struct index_limits){
		.leaves = (uint32_t)leaves,
		.pages = pages < CHUNK_PAGES_MAX ? (uint32_t)pages
						 : CHUNK_PAGES_MAX,
	};
}

void index_init(struct index *index, uint64_t disk_blocks,
		const struct index_limits *limits,
		const struct index_memory *memory)
{
	const struct chunks_memory chunks = {
		.root = &memory->root->chunks,
		.pages = memory->pages,
		.data = memory->chunks,
		.undo = memory->undo,
	};

	*index = (struct index){
		.memory = *memory,
		.limits = *limits,
		.leaf_count = (disk_blocks + INDEX_LEAF_BLOCKS - 1) /
			      INDEX_LEAF_BLOCKS,
		.few_pages = limits->pages == CHUNK_PAGES_MAX
				     ? limits->pages / 4
				     : 0,
	};
	chunks_init(&index->chunks, limits->pages, &chunks);
}

static struct index_leaf *leaf_numbered(const struct index *index,
					uint32_t number)
{
	return &index->memory.leaves[number - 1];
}

void index_commit(struct index *index)
{
	struct undo *undo = index->memory.undo;
	uint32_t owner;
	uint32_t name;

	undo_commit(undo);
	if (!chunks_has_hole(&index->chunks))
		return;
	if (chunks_fill_hole(&index->chunks, &owner, &name))
		UNDO_SET(undo,
			 leaf_numbered(index, owner / LEAF_GROUPS)
				 ->chunks[owner % LEAF_GROUPS],
			 name);
	undo_commit(undo);
}

void index_clear(struct index *index)
{
	*index->memory.root = (struct index_root){0};
	memset(index->memory.directory, 0,
	       index->leaf_count * sizeof(*index->memory.directory));
	memset(index->memory.zeroed, 0,
	       index->leaf_count * sizeof(*index->memory.zeroed));
}

static uint32_t number_at(const struct index *index, uint64_t block)
{
	uint64_t number = block / INDEX_LEAF_BLOCKS;

	assert(number < index->leaf_count);
	return index->memory.directory[number];
}

static struct index_leaf *leaf_of(const struct index *index, uint64_t block)
{
	uint32_t number = number_at(index, block);

	return number != 0 ? leaf_numbered(index, number) : NULL;
}

/* Order: the block has a leaf. */
static struct leaf_place place_of(struct index *index, uint64_t block)
{
	uint32_t number = number_at(index, block);

	return (struct leaf_place){
		.chunks = &index->chunks,
		.leaf = leaf_numbered(index, number),
		.number = number,
	};
}

static uint32_t within(uint64_t block)
{
	return (uint32_t)(block % INDEX_LEAF_BLOCKS);
}

static bool zeros_only(const struct index_leaf *leaf)
{
	return leaf->used > 0 && leaf->used == leaf->zeros;
}

static struct index_copy zero_copy(uint32_t location)
{
	return (struct index_copy){
		.location = location,
		.mask = LOG_MASK_WHOLE,
		.dirty = true,
		.zero = true,
	};
}

static uint32_t *zeroed_of(const struct index *index, uint64_t block)
{
	return &index->memory.zeroed[block / INDEX_LEAF_BLOCKS];
}

/*
 * A leaf that was zeros as a whole gets a copy for each of them. Nobody finds
 * it yet, so only the end of that is to be undone.
 */
static void unfold(struct index *index, const struct leaf_place *place,
		   uint32_t *zeroed)
{
	struct index_root *root = index->memory.root;

	if (*zeroed == 0)
		return;
	leaf_fill_zeros(place, *zeroed);
	place->leaf->used = INDEX_LEAF_BLOCKS;
	place->leaf->zeros = INDEX_LEAF_BLOCKS;
	undo_stored();
	UNDO_SET(index->memory.undo, *zeroed, 0);
	UNDO_SET(index->memory.undo, root->zeros_only, root->zeros_only + 1);
}

static void leaf_take(struct index *index, uint64_t block)
{
	const struct index_memory *memory = &index->memory;
	struct index_root *root = memory->root;
	uint32_t number = root->free_head;
	struct index_leaf *leaf;

	if (number != 0) {
		leaf = &memory->leaves[number - 1];
		UNDO_SET(memory->undo, root->free_head, leaf->next_free);
		/* It is a free one's until it is in the directory. */
		undo_save(memory->undo, &leaf->next_free);
	} else {
		/* Who asked index_has_room() finds one. */
		assert(root->pool_used < index->limits.leaves);
		number = root->pool_used + 1;
		leaf = &memory->leaves[number - 1];
		UNDO_SET(memory->undo, root->pool_used, number);
	}
	/* What a killed process did to it while nobody could find it is gone.
	 */
	memset(leaf, 0, sizeof(*leaf));
	unfold(index,
	       &(struct leaf_place){
		       .chunks = &index->chunks,
		       .leaf = leaf,
		       .number = number,
	       },
	       zeroed_of(index, block));
	UNDO_SET(memory->undo, memory->directory[block / INDEX_LEAF_BLOCKS],
		 number);
}

static void leaf_give_back(struct index *index, uint64_t block)
{
	const struct index_memory *memory = &index->memory;
	uint32_t *entry = &memory->directory[block / INDEX_LEAF_BLOCKS];
	uint32_t number = *entry;

	UNDO_SET(memory->undo, memory->leaves[number - 1].next_free,
		 memory->root->free_head);
	UNDO_SET(memory->undo, memory->root->free_head, number);
	UNDO_SET(memory->undo, *entry, 0);
}

struct index_copy index_get(const struct index *index, uint64_t block)
{
	const struct index_leaf *leaf = leaf_of(index, block);
	uint32_t zeroed;

	if (leaf)
		return leaf_get(&index->chunks, leaf, within(block));
	zeroed = *zeroed_of(index, block);
	return zeroed ? zero_copy(zeroed) : (struct index_copy){0};
}

/* It has so many copies more, and so many zeros, or fewer. */
static void recount(struct index *index, struct index_leaf *leaf, int used,
		    int zeros)
{
	struct undo *undo = index->memory.undo;
	struct index_root *root = index->memory.root;
	bool were_zeros = zeros_only(leaf);

	if (used != 0)
		UNDO_SET(undo, leaf->used, (uint16_t)(leaf->used + used));
	if (zeros != 0)
		UNDO_SET(undo, leaf->zeros, (uint16_t)(leaf->zeros + zeros));
	if (were_zeros != zeros_only(leaf))
		UNDO_SET(undo, root->zeros_only,
			 were_zeros ? root->zeros_only - 1
				    : root->zeros_only + 1);
}

static bool is_zero(const struct index *index, const struct index_leaf *leaf,
		    uint32_t i)
{
	return leaf->zeros > 0 && leaf_get(&index->chunks, leaf, i).zero;
}

void index_set(struct index *index, uint64_t block,
	       const struct index_copy *copy)
{
	uint32_t i = within(block);
	struct leaf_place place;
	bool was_there;
	bool was_zero;

	assert(copy->location != 0 && copy->mask != 0 && !copy->lost);
	if (number_at(index, block) == 0)
		leaf_take(index, block);
	place = place_of(index, block);
	was_there = leaf_has(place.leaf, i);
	was_zero = is_zero(index, place.leaf, i);
	leaf_set(&place, i, copy);
	recount(index, place.leaf, !was_there, copy->zero - was_zero);
}

void index_unmap(struct index *index, uint64_t block)
{
	uint32_t i = within(block);
	struct leaf_place place;
	bool was_zero;

	if (number_at(index, block) == 0 && *zeroed_of(index, block) != 0)
		leaf_take(index, block);
	assert(number_at(index, block) != 0);
	place = place_of(index, block);
	assert(leaf_has(place.leaf, i));
	was_zero = is_zero(index, place.leaf, i);
	leaf_unset(&place, i);
	recount(index, place.leaf, -1, -(int)was_zero);
	if (place.leaf->used == 0)
		leaf_give_back(index, block);
}

uint8_t index_heat(const struct index *index, uint64_t block)
{
	const struct index_leaf *leaf = leaf_of(index, block);

	return leaf ? leaf_heat(&index->chunks, leaf, within(block)) : 0;
}

static void add_heat(struct index *index, uint64_t block, int difference)
{
	const struct index_leaf *leaf = leaf_of(index, block);

	if (leaf)
		leaf_add_heat(&index->chunks, leaf, within(block), difference);
}

void index_warm(struct index *index, uint64_t block)
{
	add_heat(index, block, 1);
}

void index_cool(struct index *index, uint64_t block)
{
	add_heat(index, block, -1);
}

enum index_leaf_state index_leaf_state(const struct index *index,
				       uint64_t block)
{
	if (leaf_of(index, block))
		return INDEX_LEAF_SLOTS;
	return *zeroed_of(index, block) != 0 ? INDEX_LEAF_ZEROED
					     : INDEX_LEAF_EMPTY;
}

void index_zero_leaf(struct index *index, uint64_t block, uint32_t location)
{
	assert(location != 0 &&
	       index_leaf_state(index, block) == INDEX_LEAF_EMPTY);
	UNDO_SET(index->memory.undo, *zeroed_of(index, block), location);
}

void index_forget_zeroed_leaf(struct index *index, uint64_t block)
{
	assert(index_leaf_state(index, block) == INDEX_LEAF_ZEROED);
	UNDO_SET(index->memory.undo, *zeroed_of(index, block), 0);
}

bool index_has_room(const struct index *index, uint64_t block)
{
	const struct index_root *root = index->memory.root;

	return (root->free_head != 0 ||
		root->pool_used < index->limits.leaves ||
		leaf_of(index, block) != NULL) &&
	       chunks_pages_left(&index->chunks) >= PAGES_OF_A_CHANGE;
}

bool index_zeros_fit(const struct index *index)
{
	return (index->limits.leaves == index->leaf_count ||
		index->memory.root->zeros_only < INDEX_ZEROS_ONLY_MAX / 2) &&
	       chunks_pages_left(&index->chunks) >= index->few_pages;
}

void index_set_clean(struct index *index, uint64_t block)
{
	struct leaf_place place = place_of(index, block);

	leaf_set_state(&place, within(block), LEAF_CLEAN);
}

void index_set_lost(struct index *index, uint64_t block)
{
	struct leaf_place place = place_of(index, block);

	leaf_set_state(&place, within(block), LEAF_LOST);
}

/* Bit a block of a group of the leaf. */
typedef uint64_t group_bits(const struct chunks *chunks,
			    const struct index_leaf *leaf, uint32_t group);

static uint64_t present_bits(const struct chunks *chunks,
			     const struct index_leaf *leaf, uint32_t group)
{
	(void)chunks;
	return leaf->present[group];
}

/* The first block of a leaf, from @block on, that @bits has. */
static bool next_in_leaf(const struct index *index, uint64_t *block,
			 group_bits *bits)
{
	const struct index_leaf *leaf = leaf_of(index, *block);
	uint64_t end = index_leaf_end(*block);

	while (leaf && *block < end) {
		uint32_t first = within(*block) % LEAF_GROUP_BLOCKS;
		uint64_t found = bits(&index->chunks, leaf,
				      within(*block) / LEAF_GROUP_BLOCKS) >>
				 first;

		if (found != 0) {
			*block += (uint32_t)__builtin_ctzll(found);
			return true;
		}
		*block += LEAF_GROUP_BLOCKS - first;
	}
	*block = end;
	return false;
}

static bool next(const struct index *index, uint64_t *block, group_bits *bits)
{
	uint64_t end = index->leaf_count * INDEX_LEAF_BLOCKS;

	while (*block < end) {
		if (next_in_leaf(index, block, bits))
			return true;
	}
	return false;
}

bool index_next(const struct index *index, uint64_t *block)
{
	return next(index, block, present_bits);
}

bool index_next_lost(const struct index *index, uint64_t *block)
{
	return next(index, block, leaf_lost_bits);
}

/* How many blocks from @block on, in its group, are as @dirty says. */
static uint64_t dirty_run(const struct index *index, uint64_t block, bool dirty)
{
	const struct index_leaf *leaf = leaf_of(index, block);
	uint32_t first = within(block) % LEAF_GROUP_BLOCKS;
	uint64_t others;

	if (!leaf)
		return dirty == (index_leaf_state(index, block) ==
				 INDEX_LEAF_ZEROED)
			       ? index_leaf_end(block) - block
			       : 0;
	others = leaf_dirty_bits(&index->chunks, leaf,
				 within(block) / LEAF_GROUP_BLOCKS);
	if (dirty)
		others = ~others;
	others >>= first;
	return others != 0 && (uint32_t)__builtin_ctzll(others) <
				       LEAF_GROUP_BLOCKS - first
		       ? (uint32_t)__builtin_ctzll(others)
		       : LEAF_GROUP_BLOCKS - first;
}

uint64_t index_dirty_run(const struct index *index, uint64_t block,
			 uint64_t count, bool *ret_dirty)
{
	uint64_t end = block + count;
	uint64_t at = block;
	bool dirty = index_get(index, block).dirty;
	uint64_t run;

	do {
		run = dirty_run(index, at, dirty);
		at += run;
		/* To the end of its group, or of an empty leaf. */
	} while (at < end && run > 0 && at % LEAF_GROUP_BLOCKS == 0);
	*ret_dirty = dirty;
	return at < end ? at - block : count;
}
