// SPDX-License-Identifier: Apache-2.0
/*
 * index.c - see index.h.
 */
#include "index.h"

#include <assert.h>
#include <string.h>

#include "bitmap.h"

uint64_t index_leaves_needed(uint64_t disk_blocks, uint64_t cache_blocks)
{
	uint64_t leaves =
		(disk_blocks + INDEX_LEAF_BLOCKS - 1) / INDEX_LEAF_BLOCKS;

	/* In the worst case each cached block is alone in its leaf. */
	return leaves < cache_blocks ? leaves : cache_blocks;
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
}

static struct index_leaf *leaf_of(const struct index *index, uint64_t block)
{
	uint64_t number = block / INDEX_LEAF_BLOCKS;

	assert(number < index->leaf_count);
	if (index->memory.directory[number] == 0)
		return NULL;
	return &index->memory.leaves[index->memory.directory[number] - 1];
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
		UNDO_SET(memory->undo, leaf->next_free, 0);
	} else {
		/* The pool holds a leaf for each block that can be cached. */
		assert(root->pool_used < index->pool_count);
		number = root->pool_used + 1;
		leaf = &memory->leaves[number - 1];
		/* Nobody's until it is in the directory. */
		memset(leaf, 0, sizeof(*leaf));
		UNDO_SET(memory->undo, root->pool_used, number);
	}
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

	if (!leaf || leaf->slots[i].location == 0)
		return (struct index_copy){0};
	return (struct index_copy){
		.location = leaf->slots[i].location,
		.check = leaf->slots[i].check,
		.mask = leaf->masks[i],
		.dirty = bitmap_test(leaf->dirty, i),
		.lost = bitmap_test(leaf->lost, i),
	};
}

void index_set(struct index *index, uint64_t block,
	       const struct index_copy *copy)
{
	struct undo *undo = index->memory.undo;
	struct index_leaf *leaf = leaf_of(index, block);
	uint32_t i = (uint32_t)(block % INDEX_LEAF_BLOCKS);

	assert(copy->location != 0 && copy->mask != 0 && !copy->lost);
	if (!leaf)
		leaf = leaf_take(index, block);
	if (leaf->slots[i].location == 0)
		UNDO_SET(undo, leaf->used, leaf->used + 1);
	UNDO_SET(undo, leaf->slots[i].location, copy->location);
	UNDO_SET(undo, leaf->slots[i].check, copy->check);
	UNDO_SET(undo, leaf->masks[i], copy->mask);
	set_bit(undo, leaf->lost, i, false);
	set_bit(undo, leaf->dirty, i, copy->dirty);
}

void index_unmap(struct index *index, uint64_t block)
{
	struct undo *undo = index->memory.undo;
	struct index_leaf *leaf = leaf_of(index, block);
	uint32_t i = (uint32_t)(block % INDEX_LEAF_BLOCKS);

	assert(leaf && leaf->slots[i].location != 0);
	UNDO_SET(undo, leaf->slots[i].location, 0);
	UNDO_SET(undo, leaf->slots[i].check, 0);
	UNDO_SET(undo, leaf->masks[i], 0);
	set_bit(undo, leaf->dirty, i, false);
	set_bit(undo, leaf->lost, i, false);
	UNDO_SET(undo, leaf->used, leaf->used - 1);
	if (leaf->used == 0)
		leaf_give_back(index, block);
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
			*block = (*block / INDEX_LEAF_BLOCKS + 1) *
				 INDEX_LEAF_BLOCKS;
			continue;
		}
		if (leaf->slots[*block % INDEX_LEAF_BLOCKS].location != 0)
			return true;
		++*block;
	}
	return false;
}

uint64_t index_dirty_run(const struct index *index, uint64_t block,
			 uint64_t count, bool *ret_dirty)
{
	uint64_t end = block + count;
	uint64_t at = block;
	bool dirty = index_get(index, block).dirty;

	while (at < end) {
		const struct index_leaf *leaf = leaf_of(index, at);
		uint64_t first = at % INDEX_LEAF_BLOCKS;
		uint64_t limit = INDEX_LEAF_BLOCKS;
		uint64_t next;

		if (limit - first > end - at)
			limit = first + (end - at);
		if (leaf && dirty)
			next = bitmap_find_clear(leaf->dirty, limit, first);
		else if (leaf)
			next = bitmap_find_set(leaf->dirty, limit, first);
		else if (dirty)
			next = first;
		else
			next = limit;
		at += next - first;
		if (next < limit)
			break;
	}
	*ret_dirty = dirty;
	return at - block;
}
