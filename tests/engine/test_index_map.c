// SPDX-License-Identifier: Apache-2.0
/*
 * test_index_map.c - the index against a plain map, over many random changes,
 * some of which are taken back; and what memory it takes for them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "index.h"

#define LEAVES 6u
#define BLOCKS (LEAVES * INDEX_LEAF_BLOCKS)
#define CHANGES 200000u
#define WHOLE 0xffu

struct pair {
	struct index index;
	struct index_limits limits;
	struct index_memory memory;
	struct index_copy map[BLOCKS];
	uint8_t heat[BLOCKS];
	uint32_t seed;
};

static void *zeros(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	assert_non_null(memory);
	return memory;
}

static int make(void **state)
{
	struct pair *pair = zeros(1, sizeof(*pair));

	pair->seed = 1;
	pair->limits = index_limits(BLOCKS, BLOCKS);
	pair->memory = (struct index_memory){
		.root = zeros(1, sizeof(struct index_root)),
		.directory = zeros(LEAVES, sizeof(uint32_t)),
		.zeroed = zeros(LEAVES, sizeof(uint32_t)),
		.leaves = zeros(pair->limits.leaves, sizeof(struct index_leaf)),
		.pages = zeros(pair->limits.pages, sizeof(struct chunk_page)),
		.chunks = zeros(pair->limits.pages, CHUNK_PAGE_BYTES),
		.undo = zeros(1, sizeof(struct undo)),
	};
	index_init(&pair->index, BLOCKS, &pair->limits, &pair->memory);
	*state = pair;
	return 0;
}

static int destroy(void **state)
{
	struct pair *pair = *state;

	free(pair->memory.root);
	free(pair->memory.directory);
	free(pair->memory.zeroed);
	free(pair->memory.leaves);
	free(pair->memory.pages);
	free(pair->memory.chunks);
	free(pair->memory.undo);
	free(pair);
	return 0;
}

static uint32_t draw(struct pair *pair, uint32_t below)
{
	pair->seed = pair->seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(pair->seed >> 4) * below >> 28);
}

static bool same(const struct index_copy *a, const struct index_copy *b)
{
	return a->location == b->location && a->check == b->check &&
	       a->mask == b->mask && a->dirty == b->dirty &&
	       a->lost == b->lost && a->zero == b->zero;
}

static void assert_block(const struct pair *pair, uint32_t block)
{
	struct index_copy copy = index_get(&pair->index, block);

	assert_true(same(&copy, &pair->map[block]));
	assert_int_equal(index_heat(&pair->index, block), pair->heat[block]);
}

static void assert_same(const struct pair *pair)
{
	uint64_t next = 0;

	for (uint32_t block = 0; block < BLOCKS; block++)
		assert_block(pair, block);
	for (uint32_t block = 0; block < BLOCKS; block++) {
		if (pair->map[block].location == 0 ||
		    index_leaf_state(&pair->index, block) == INDEX_LEAF_ZEROED)
			continue;
		assert_true(index_next(&pair->index, &next));
		assert_int_equal(next, block);
		next++;
	}
	assert_false(index_next(&pair->index, &next));
	next = 0;
	for (uint32_t block = 0; block < BLOCKS; block++) {
		if (!pair->map[block].lost)
			continue;
		assert_true(index_next_lost(&pair->index, &next));
		assert_int_equal(next, block);
		next++;
	}
	assert_false(index_next_lost(&pair->index, &next));
}

static void assert_runs(struct pair *pair)
{
	for (uint32_t i = 0; i < 100; i++) {
		uint32_t first = draw(pair, BLOCKS);
		uint32_t count = 1 + draw(pair, BLOCKS - first);
		uint32_t run = 1;
		bool dirty;

		while (run < count &&
		       pair->map[first + run].dirty == pair->map[first].dirty)
			run++;
		assert_int_equal(
			index_dirty_run(&pair->index, first, count, &dirty),
			run);
		assert_int_equal(dirty, pair->map[first].dirty);
	}
}

static struct index_copy some_copy(struct pair *pair)
{
	struct index_copy copy = {
		.location = 1 + draw(pair, 1u << 20),
		.check = draw(pair, 1u << 28),
		.mask = WHOLE,
		.dirty = draw(pair, 2) != 0,
	};

	copy.zero = copy.dirty && draw(pair, 4) == 0;
	if (copy.zero)
		copy.check = 0;
	else if (draw(pair, 40) == 0)
		copy.mask = (uint8_t)(1 + draw(pair, WHOLE - 1));
	return copy;
}

/* As if the engine had done so; @map: and this is how the map looks then. */
static void change_present(struct pair *pair, uint32_t block,
			   struct index_copy *map)
{
	switch (draw(pair, 3)) {
	case 0:
		index_unmap(&pair->index, block);
		*map = (struct index_copy){0};
		return;
	case 1:
		if (!map->zero && !map->lost &&
		    index_leaf_state(&pair->index, block) == INDEX_LEAF_SLOTS) {
			index_set_clean(&pair->index, block);
			map->dirty = false;
		}
		return;
	default:
		if (map->dirty && !map->zero) {
			index_set_lost(&pair->index, block);
			map->lost = true;
		}
		return;
	}
}

static void change(struct pair *pair, uint32_t block, bool fill)
{
	struct index_copy before = pair->map[block];
	struct index_copy after = before;
	bool undo = draw(pair, 5) == 0;

	if (before.location != 0 && draw(pair, 4) >= (fill ? 3u : 1u)) {
		change_present(pair, block, &after);
	} else {
		after = some_copy(pair);
		index_set(&pair->index, block, &after);
	}
	assert_true(pair->memory.undo->count < UNDO_STORES_MAX * 4 / 5);
	if (undo) {
		undo_roll_back(pair->memory.undo);
	} else {
		pair->map[block] = after;
		if (before.location != 0 && after.location == 0)
			pair->heat[block] = 0;
	}
	index_commit(&pair->index);
	assert_block(pair, block);
}

static void zero_leaf(struct pair *pair, uint32_t leaf)
{
	uint32_t first = leaf * INDEX_LEAF_BLOCKS;

	for (uint32_t i = first; i < first + INDEX_LEAF_BLOCKS; i++)
		if (pair->map[i].location != 0)
			return;
	index_zero_leaf(&pair->index, first, 7);
	index_commit(&pair->index);
	for (uint32_t i = first; i < first + INDEX_LEAF_BLOCKS; i++)
		pair->map[i] = (struct index_copy){.location = 7,
						   .mask = WHOLE,
						   .dirty = true,
						   .zero = true};
}

static void warm(struct pair *pair, uint32_t block)
{
	if (index_leaf_state(&pair->index, block) != INDEX_LEAF_SLOTS ||
	    pair->map[block].location == 0)
		return;
	index_warm(&pair->index, block);
	if (pair->heat[block] < INDEX_HEAT_MAX)
		pair->heat[block]++;
	if (draw(pair, 3) == 0 && pair->heat[block] > 0) {
		index_cool(&pair->index, block);
		pair->heat[block]--;
	}
}

static void the_index_agrees_with_a_map(void **state)
{
	struct pair *pair = *state;

	for (uint32_t i = 0; i < CHANGES; i++) {
		bool fill = i / 20000 % 2 == 0;
		uint32_t block = draw(pair, BLOCKS);

		if (draw(pair, 50) == 0)
			zero_leaf(pair, draw(pair, LEAVES));
		/* Some leaves stay nearly empty, and one has no masks. */
		if (block % INDEX_LEAF_BLOCKS % 16 == 0 ||
		    block / INDEX_LEAF_BLOCKS % 2 == 0)
			change(pair, block, fill);
		warm(pair, draw(pair, BLOCKS));
		if (i % 10000 == 0) {
			assert_same(pair);
			assert_runs(pair);
		}
	}
	assert_same(pair);
	for (uint32_t block = 0; block < BLOCKS; block++) {
		if (pair->map[block].location == 0)
			continue;
		index_unmap(&pair->index, block);
		index_commit(&pair->index);
	}
	assert_int_equal(chunks_pages_left(&pair->index.chunks),
			 pair->limits.pages);
}

static void set(struct pair *pair, uint32_t block, uint8_t mask)
{
	index_set(&pair->index, block,
		  &(struct index_copy){.location = block + 1, .mask = mask});
	index_commit(&pair->index);
}

static void unmap(struct pair *pair, uint32_t block)
{
	index_unmap(&pair->index, block);
	index_commit(&pair->index);
}

static void every_block_with_a_mask_has_room(void **state)
{
	struct pair *pair = *state;

	/* From sparse to full, so that every size is passed through. */
	for (uint32_t first = 0; first < 16; first++) {
		for (uint32_t block = first; block < BLOCKS; block += 16) {
			assert_true(index_has_room(&pair->index, block));
			set(pair, block, 1);
		}
	}
	for (uint32_t block = 0; block < BLOCKS; block++)
		assert_int_equal(index_get(&pair->index, block).mask, 1);
}

static void the_largest_change_fits_in_the_undo(void **state)
{
	struct pair *pair = *state;

	/* All masks in a group move. */
	for (uint32_t block = 0; block < LEAF_GROUP_BLOCKS; block++)
		set(pair, block, 1);
	index_unmap(&pair->index, 0);
	assert_true(pair->memory.undo->count <= UNDO_STORES_MAX - 12);
	index_commit(&pair->index);
	index_set(&pair->index, 0,
		  &(struct index_copy){.location = 1, .mask = 1});
	assert_true(pair->memory.undo->count <= UNDO_STORES_MAX - 12);
	index_commit(&pair->index);
	/* A leaf of zeros unfolds, and a copy of it goes. */
	index_zero_leaf(&pair->index, INDEX_LEAF_BLOCKS, 7);
	index_commit(&pair->index);
	index_unmap(&pair->index, INDEX_LEAF_BLOCKS);
	assert_true(pair->memory.undo->count <= UNDO_STORES_MAX - 12);
	index_commit(&pair->index);
	index_zero_leaf(&pair->index, 2 * INDEX_LEAF_BLOCKS, 7);
	index_commit(&pair->index);
	set(pair, 2 * INDEX_LEAF_BLOCKS, 1);
	assert_int_equal(index_get(&pair->index, 2 * INDEX_LEAF_BLOCKS).mask,
			 1);
}

static uint32_t chunk_name(const struct pair *pair)
{
	return pair->memory.leaves[pair->memory.directory[0] - 1].chunks[0];
}

static void a_block_more_or_less_copies_nothing_to_and_fro(void **state)
{
	struct pair *pair = *state;
	uint32_t name;

	for (uint32_t count = 1; count < LEAF_GROUP_BLOCKS; count++) {
		set(pair, count - 1, WHOLE);
		set(pair, count, WHOLE);
		name = chunk_name(pair);
		for (uint32_t i = 0; i < 3; i++) {
			unmap(pair, count);
			assert_int_equal(chunk_name(pair), name);
			set(pair, count, WHOLE);
			assert_int_equal(chunk_name(pair), name);
		}
		unmap(pair, count);
	}
	/* And on the way down. */
	for (uint32_t count = LEAF_GROUP_BLOCKS - 2; count > 1; count--) {
		unmap(pair, count);
		name = chunk_name(pair);
		set(pair, count, WHOLE);
		assert_int_equal(chunk_name(pair), name);
		unmap(pair, count);
	}
}

static void a_leaf_without_masks_any_more_gives_their_place_back(void **state)
{
	struct pair *pair = *state;
	struct chunk chunk;

	set(pair, 0, 1);
	set(pair, 1, WHOLE);
	chunk = chunks_at(&pair->index.chunks, chunk_name(pair));
	assert_non_null(chunk.masks);
	set(pair, 0, WHOLE);
	set(pair, 2, WHOLE);
	chunk = chunks_at(&pair->index.chunks, chunk_name(pair));
	assert_null(chunk.masks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_index_agrees_with_a_map,
						make, destroy),
		cmocka_unit_test_setup_teardown(
			every_block_with_a_mask_has_room, make, destroy),
		cmocka_unit_test_setup_teardown(
			the_largest_change_fits_in_the_undo, make, destroy),
		cmocka_unit_test_setup_teardown(
			a_block_more_or_less_copies_nothing_to_and_fro, make,
			destroy),
		cmocka_unit_test_setup_teardown(
			a_leaf_without_masks_any_more_gives_their_place_back,
			make, destroy),
	};

	return cmocka_run_group_tests_name("index map", tests, NULL, NULL);
}
