// SPDX-License-Identifier: Apache-2.0
/*
 * index.c - see index.h.
 */
#include "index.h"

#include <assert.h>
#include <string.h>

#include "bitmap.h"
#include "log_format.h"

uint64_t index_leaves_needed(uint64_t disk_blocks, uint64_t cache_blocks)
{
	uint64_t leaves =
		(disk_blocks + INDEX_LEAF_BLOCKS - 1) / INDEX_LEAF_BLOCKS;
	/* In the worst case each cached block is alone in its leaf. */
	uint64_t most = cache_blocks + INDEX_ZEROS_ONLY_MAX;

	return leaves < most ? leaves : most;
}

void index_init(struct index *index, uint64_t disk_blocks, uint32_t pool_count,
		const struct index_memory *memory)
{
	*index = (struct index){
		.memory = *memory,
		.leaf_count = (disk_blocks + INDEX_LEAF_BLOCKS - 1) /
			      INDEX_LEAF_BLOCKS,
		.pool_count = pool_count,
	};
}

void index_clear(struct index *index)
{
	*index->memory.root = (struct index_root){0};
	memset(index->memory.directory, 0,
	       index->leaf_count * sizeof(*index->memory.directory));
	memset(index->memory.zeroed, 0,
	       index->leaf_count * sizeof(*index->memory.zeroed));
}

static struct index_leaf *leaf_of(const struct index *index, uint64_t block)
{
	uint64_t number = block / INDEX_LEAF_BLOCKS;

	assert(number < index->leaf_count);
	if (index->memory.directory[number] == 0)
		return NULL;
	return &index->memory.leaves[index->memory.directory[number] - 1];
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
 * A leaf that was zeros as a whole gets a slot for each of them. Nobody finds
 * it yet, so only the end of that is to be undone.
 */
static void unfold(const struct index *index, struct index_leaf *leaf,
		   uint32_t *zeroed)
{
	struct index_root *root = index->memory.root;

	if (*zeroed == 0)
		return;
	for (uint32_t i = 0; i < INDEX_LEAF_BLOCKS; i++) {
		leaf->slots[i].location = *zeroed;
		leaf->masks[i] = LOG_MASK_WHOLE;
		bitmap_set(leaf->dirty, i);
		bitmap_set(leaf->zero, i);
	}
	leaf->used = INDEX_LEAF_BLOCKS;
	leaf->zeros = INDEX_LEAF_BLOCKS;
	undo_stored();
	UNDO_SET(index->memory.undo, *zeroed, 0);
	UNDO_SET(index->memory.undo, root->zeros_only, root->zeros_only + 1);
}

static struct index_leaf *leaf_take(struct index *index, uint64_t block)
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
		assert(root->pool_used < index->pool_count);
		number = root->pool_used + 1;
		leaf = &memory->leaves[number - 1];
		UNDO_SET(memory->undo, root->pool_used, number);
	}
	/* What a killed process did to it while nobody could find it is gone.
	 */
	memset(leaf, 0, sizeof(*leaf));
	unfold(index, leaf, zeroed_of(index, block));
	UNDO_SET(memory->undo, memory->directory[block / INDEX_LEAF_BLOCKS],
		 number);
	return leaf;
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

static void set_bit(struct undo *undo, uint64_t *words, uint32_t bit,
		    bool value)
{
	if (bitmap_test(words, bit) == value)
		return;
	undo_save(undo, &words[bit / BITMAP_WORD_BITS]);
	if (value)
		bitmap_set(words, bit);
	else
		bitmap_clear(words, bit);
	undo_stored();
}

struct index_copy index_get(const struct index *index, uint64_t block)
{
	const struct index_leaf *leaf = leaf_of(index, block);
	uint32_t i = (uint32_t)(block % INDEX_LEAF_BLOCKS);
	uint32_t zeroed;

	if (!leaf) {
		zeroed = *zeroed_of(index, block);
		return zeroed ? zero_copy(zeroed) : (struct index_copy){0};
	}
	if (leaf->slots[i].location == 0)
		return (struct index_copy){0};
	return (struct index_copy){
		.location = leaf->slots[i].location,
		.check = leaf->slots[i].check,
		.mask = leaf->masks[i],
		.dirty = bitmap_test(leaf->dirty, i),
		.lost = bitmap_test(leaf->lost, i),
		.zero = bitmap_test(leaf->zero, i),
	};
}

/* The leaf's slot @i is to be as @copy says; location 0: empty. */
static void slot_set(struct index *index, struct index_leaf *leaf, uint32_t i,
		     const struct index_copy *copy)
{
	struct undo *undo = index->memory.undo;
	struct index_root *root = index->memory.root;
	bool were_zeros = zeros_only(leaf);
	uint32_t used = leaf->used - (leaf->slots[i].location != 0) +
			(copy->location != 0);
	uint32_t zeros = leaf->zeros - bitmap_test(leaf->zero, i) + copy->zero;

	UNDO_SET(undo, leaf->slots[i].location, copy->location);
	UNDO_SET(undo, leaf->slots[i].check, copy->check);
	UNDO_SET(undo, leaf->masks[i], copy->mask);
	set_bit(undo, leaf->lost, i, false);
	set_bit(undo, leaf->dirty, i, copy->dirty);
	set_bit(undo, leaf->zero, i, copy->zero);
	if (leaf->used != used)
		UNDO_SET(undo, leaf->used, used);
	if (leaf->zeros != zeros)
		UNDO_SET(undo, leaf->zeros, zeros);
	if (were_zeros != zeros_only(leaf))
		UNDO_SET(undo, root->zeros_only,
			 were_zeros ? root->zeros_only - 1
				    : root->zeros_only + 1);
}

void index_set(struct index *index, uint64_t block,
	       const struct index_copy *copy)
{
	struct index_leaf *leaf = leaf_of(index, block);

	assert(copy->location != 0 && copy->mask != 0 && !copy->lost);
	if (!leaf)
		leaf = leaf_take(index, block);
	slot_set(index, leaf, (uint32_t)(block % INDEX_LEAF_BLOCKS), copy);
}

static uint8_t heat_of(const struct index_leaf *leaf, uint32_t i)
{
	return leaf->heat[i / 4] >> (i % 4 * 2) & INDEX_HEAT_MAX;
}

static void set_heat(struct index_leaf *leaf, uint32_t i, uint8_t heat)
{
	uint32_t shift = i % 4 * 2;

	leaf->heat[i / 4] =
		(uint8_t)((leaf->heat[i / 4] & ~(INDEX_HEAT_MAX << shift)) |
			  (uint32_t)heat << shift);
}

void index_unmap(struct index *index, uint64_t block)
{
	struct index_leaf *leaf = leaf_of(index, block);
	uint32_t i = (uint32_t)(block % INDEX_LEAF_BLOCKS);

	if (!leaf && *zeroed_of(index, block) != 0)
		leaf = leaf_take(index, block);
	assert(leaf && leaf->slots[i].location != 0);
	slot_set(index, leaf, i, &(struct index_copy){0});
	set_heat(leaf, i, 0);
	if (leaf->used == 0)
		leaf_give_back(index, block);
}

uint8_t index_heat(const struct index *index, uint64_t block)
{
	const struct index_leaf *leaf = leaf_of(index, block);

	return leaf ? heat_of(leaf, (uint32_t)(block % INDEX_LEAF_BLOCKS)) : 0;
}

void index_warm(struct index *index, uint64_t block)
{
	struct index_leaf *leaf = leaf_of(index, block);
	uint32_t i = (uint32_t)(block % INDEX_LEAF_BLOCKS);

	if (leaf && leaf->slots[i].location != 0 &&
	    heat_of(leaf, i) < INDEX_HEAT_MAX)
		set_heat(leaf, i, (uint8_t)(heat_of(leaf, i) + 1));
}

void index_cool(struct index *index, uint64_t block)
{
	struct index_leaf *leaf = leaf_of(index, block);
	uint32_t i = (uint32_t)(block % INDEX_LEAF_BLOCKS);

	if (leaf && heat_of(leaf, i) > 0)
		set_heat(leaf, i, (uint8_t)(heat_of(leaf, i) - 1));
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
	return index->memory.root->free_head != 0 ||
	       index->memory.root->pool_used < index->pool_count ||
	       leaf_of(index, block) != NULL;
}

bool index_zeros_fit(const struct index *index)
{
	return index->pool_count == index->leaf_count ||
	       index->memory.root->zeros_only < INDEX_ZEROS_ONLY_MAX / 2;
}

void index_set_clean(struct index *index, uint64_t block)
{
	struct index_leaf *leaf = leaf_of(index, block);

	assert(leaf);
	set_bit(index->memory.undo, leaf->dirty,
		(uint32_t)(block % INDEX_LEAF_BLOCKS), false);
}

void index_set_lost(struct index *index, uint64_t block)
{
	struct index_leaf *leaf = leaf_of(index, block);
	uint32_t i = (uint32_t)(block % INDEX_LEAF_BLOCKS);

	assert(leaf && bitmap_test(leaf->dirty, i));
	set_bit(index->memory.undo, leaf->lost, i, true);
}

bool index_next(const struct index *index, uint64_t *block)
{
	uint64_t end = index->leaf_count * INDEX_LEAF_BLOCKS;

	while (*block < end) {
		const struct index_leaf *leaf = leaf_of(index, *block);

		if (!leaf) {
			*block = index_leaf_end(*block);
			continue;
		}
		if (leaf->slots[*block % INDEX_LEAF_BLOCKS].location != 0)
			return true;
		++*block;
	}
	return false;
}

bool index_next_lost(const struct index *index, uint64_t *block)
{
	uint64_t end = index->leaf_count * INDEX_LEAF_BLOCKS;

	while (*block < end) {
		const struct index_leaf *leaf = leaf_of(index, *block);
		uint64_t first = *block % INDEX_LEAF_BLOCKS;
		uint64_t at = INDEX_LEAF_BLOCKS;

		if (leaf)
			at = bitmap_find_set(leaf->lost, INDEX_LEAF_BLOCKS,
					     first);
		*block += at - first;
		if (at < INDEX_LEAF_BLOCKS)
			return true;
	}
	return false;
}

/* First block of a leaf, from @first on, that is not as @dirty says. */
static uint64_t dirty_end(const struct index *index, uint64_t block,
			  uint64_t limit, bool dirty)
{
	const struct index_leaf *leaf = leaf_of(index, block);
	uint64_t first = block % INDEX_LEAF_BLOCKS;

	if (leaf && dirty)
		return bitmap_find_clear(leaf->dirty, limit, first);
	if (leaf)
		return bitmap_find_set(leaf->dirty, limit, first);
	return dirty == (index_leaf_state(index, block) == INDEX_LEAF_ZEROED)
		       ? limit
		       : first;
}

uint64_t index_dirty_run(const struct index *index, uint64_t block,
			 uint64_t count, bool *ret_dirty)
{
	uint64_t end = block + count;
	uint64_t at = block;
	bool dirty = index_get(index, block).dirty;

	while (at < end) {
		uint64_t first = at % INDEX_LEAF_BLOCKS;
		uint64_t limit = INDEX_LEAF_BLOCKS;
		uint64_t next;

		if (limit - first > end - at)
			limit = first + (end - at);
		next = dirty_end(index, at, limit, dirty);
		at += next - first;
		if (next < limit)
			break;
	}
	*ret_dirty = dirty;
	return at - block;
}
