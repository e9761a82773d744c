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
		uint32_t *directory, struct index_leaf *leaves)
{
	*index = (struct index){
		.directory = directory,
		.leaves = leaves,
		.leaf_count = (disk_blocks + INDEX_LEAF_BLOCKS - 1) /
			      INDEX_LEAF_BLOCKS,
		.pool_count = pool_count,
	};
}

static struct index_leaf *leaf_of(const struct index *index, uint64_t block)
{
	uint64_t number = block / INDEX_LEAF_BLOCKS;

	assert(number < index->leaf_count);
	if (index->directory[number] == 0)
		return NULL;
	return &index->leaves[index->directory[number] - 1];
}

static struct index_leaf *leaf_take(struct index *index, uint64_t block)
{
	uint64_t number = block / INDEX_LEAF_BLOCKS;
	uint32_t leaf = index->free_head;

	if (leaf != 0) {
		index->free_head = index->leaves[leaf - 1].next_free;
		memset(&index->leaves[leaf - 1], 0, sizeof(struct index_leaf));
	} else {
		/* The pool holds a leaf for each block that can be cached. */
		assert(index->pool_used < index->pool_count);
		leaf = ++index->pool_used;
	}
	index->directory[number] = leaf;
	return &index->leaves[leaf - 1];
}

static void leaf_give_back(struct index *index, uint64_t block)
{
	uint64_t number = block / INDEX_LEAF_BLOCKS;
	uint32_t leaf = index->directory[number];

	index->leaves[leaf - 1].next_free = index->free_head;
	index->free_head = leaf;
	index->directory[number] = 0;
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
	struct index_leaf *leaf = leaf_of(index, block);
	uint32_t i = (uint32_t)(block % INDEX_LEAF_BLOCKS);

	assert(copy->location != 0 && copy->mask != 0 && !copy->lost);
	if (!leaf)
		leaf = leaf_take(index, block);
	if (leaf->slots[i].location == 0)
		leaf->used++;
	leaf->slots[i].location = copy->location;
	leaf->slots[i].check = copy->check;
	leaf->masks[i] = copy->mask;
	bitmap_clear(leaf->lost, i);
	if (copy->dirty)
		bitmap_set(leaf->dirty, i);
	else
		bitmap_clear(leaf->dirty, i);
}

void index_unmap(struct index *index, uint64_t block)
{
	struct index_leaf *leaf = leaf_of(index, block);
	uint32_t i = (uint32_t)(block % INDEX_LEAF_BLOCKS);

	assert(leaf && leaf->slots[i].location != 0);
	leaf->slots[i] = (struct index_slot){0};
	bitmap_clear(leaf->dirty, i);
	bitmap_clear(leaf->lost, i);
	if (--leaf->used == 0)
		leaf_give_back(index, block);
}

void index_set_clean(struct index *index, uint64_t block)
{
	struct index_leaf *leaf = leaf_of(index, block);

	assert(leaf);
	bitmap_clear(leaf->dirty, block % INDEX_LEAF_BLOCKS);
}

void index_set_lost(struct index *index, uint64_t block)
{
	struct index_leaf *leaf = leaf_of(index, block);

	assert(leaf && bitmap_test(leaf->dirty, block % INDEX_LEAF_BLOCKS));
	bitmap_set(leaf->lost, block % INDEX_LEAF_BLOCKS);
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
