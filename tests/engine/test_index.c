// SPDX-License-Identifier: Apache-2.0
/* test_index.c - what stands at a block, and leaves that come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "index.h"

#define LEAVES 4u
#define DISK_BLOCKS (100u * INDEX_LEAF_BLOCKS)

/* More than the leaves of the pool need. */
#define PAGES 64u

struct memory {
	struct index index;
	struct undo undo;
	struct index_root root;
	uint32_t directory[DISK_BLOCKS / INDEX_LEAF_BLOCKS];
	uint32_t zeroed[DISK_BLOCKS / INDEX_LEAF_BLOCKS];
	struct index_leaf leaves[LEAVES];
	struct chunk_page pages[PAGES];
	_Alignas(8) uint8_t chunks[PAGES][CHUNK_PAGE_BYTES];
};

static int empty(void **state)
{
	static struct memory memory;

	memset(&memory, 0, sizeof(memory));
	index_init(&memory.index, DISK_BLOCKS,
		   &(struct index_limits){.leaves = LEAVES, .pages = PAGES},
		   &(struct index_memory){
			   .root = &memory.root,
			   .directory = memory.directory,
			   .zeroed = memory.zeroed,
			   .leaves = memory.leaves,
			   .pages = memory.pages,
			   .chunks = memory.chunks[0],
			   .undo = &memory.undo,
		   });
	*state = &memory;
	return 0;
}

static void set(struct index *index, uint64_t block, uint32_t location,
		bool dirty)
{
	struct index_copy copy = {
		.location = location,
		.check = location * 3,
		.mask = 0xff,
		.dirty = dirty,
	};

	index_set(index, block, &copy);
	index_commit(index);
}

static void unmap(struct index *index, uint64_t block)
{
	index_unmap(index, block);
	index_commit(index);
}

static void an_empty_index_has_no_copy(void **state)
{
	struct memory *memory = *state;
	uint64_t block = 0;

	assert_int_equal(index_get(&memory->index, 0).location, 0);
	assert_int_equal(index_get(&memory->index, DISK_BLOCKS - 1).location,
			 0);
	assert_false(index_next(&memory->index, &block));
}

static void a_copy_comes_back_as_it_was_set(void **state)
{
	struct memory *memory = *state;
	struct index_copy copy = {
		.location = 77, .check = 88, .mask = 0x3c, .dirty = true};

	index_set(&memory->index, 513, &copy);
	copy = index_get(&memory->index, 513);
	assert_int_equal(copy.location, 77);
	assert_int_equal(copy.check, 88);
	assert_int_equal(copy.mask, 0x3c);
	assert_true(copy.dirty);
	assert_false(copy.lost);
	assert_int_equal(index_get(&memory->index, 512).location, 0);
	assert_int_equal(index_get(&memory->index, 514).location, 0);
}

static void the_last_copy_set_holds(void **state)
{
	struct memory *memory = *state;

	set(&memory->index, 5, 10, true);
	set(&memory->index, 5, 20, false);
	assert_int_equal(index_get(&memory->index, 5).location, 20);
	assert_false(index_get(&memory->index, 5).dirty);
	unmap(&memory->index, 5);
	assert_int_equal(index_get(&memory->index, 5).location, 0);
}

static void a_clean_copy_stays_where_it_is(void **state)
{
	struct memory *memory = *state;

	set(&memory->index, 5, 10, true);
	index_set_clean(&memory->index, 5);
	assert_false(index_get(&memory->index, 5).dirty);
	assert_int_equal(index_get(&memory->index, 5).location, 10);
}

static void what_is_lost_is_so_until_it_is_overwritten(void **state)
{
	struct memory *memory = *state;

	set(&memory->index, 5, 10, true);
	index_set_lost(&memory->index, 5);
	assert_true(index_get(&memory->index, 5).lost);
	assert_true(index_get(&memory->index, 5).dirty);
	set(&memory->index, 5, 20, true);
	assert_false(index_get(&memory->index, 5).lost);
}

static void an_unmapped_block_leaves_no_mark_behind(void **state)
{
	struct memory *memory = *state;
	struct index_copy copy;

	set(&memory->index, 6, 9, false);
	set(&memory->index, 5, 10, true);
	index_set_lost(&memory->index, 5);
	unmap(&memory->index, 5);
	set(&memory->index, 5, 11, false);
	copy = index_get(&memory->index, 5);
	assert_false(copy.dirty);
	assert_false(copy.lost);
}

static void cached_blocks_are_found_in_order(void **state)
{
	struct memory *memory = *state;
	static const uint64_t blocks[] = {3, 511, 512, 20000, DISK_BLOCKS - 1};
	uint64_t at = 0;

	for (size_t i = 0; i < 5; i++)
		set(&memory->index, blocks[i], 1, false);
	for (size_t i = 0; i < 5; i++) {
		assert_true(index_next(&memory->index, &at));
		assert_int_equal(at, blocks[i]);
		at++;
	}
	assert_false(index_next(&memory->index, &at));
}

static void an_empty_leaf_serves_another_place(void **state)
{
	struct memory *memory = *state;

	/* More places than leaves, never more than that at once. */
	for (uint64_t leaf = 0; leaf + LEAVES <= 100; leaf++) {
		for (uint64_t i = 0; i < LEAVES; i++)
			set(&memory->index, (leaf + i) * INDEX_LEAF_BLOCKS, 1,
			    true);
		for (uint64_t i = 0; i < LEAVES; i++)
			unmap(&memory->index, (leaf + i) * INDEX_LEAF_BLOCKS);
	}
	set(&memory->index, 7, 1, false);
	/* A leaf that served before remembers nothing. */
	assert_int_equal(index_get(&memory->index, 0).location, 0);
	assert_false(index_get(&memory->index, 7).dirty);
}

static void a_run_of_dirty_blocks_ends_where_one_is_not(void **state)
{
	struct memory *memory = *state;
	const uint64_t first = INDEX_LEAF_BLOCKS - 2;
	bool dirty;

	for (uint32_t i = 0; i < 4; i++)
		set(&memory->index, first + i, 10 + i, true);
	set(&memory->index, first + 4, 14, false);
	assert_int_equal(
		index_dirty_run(&memory->index, 0, DISK_BLOCKS, &dirty), first);
	assert_false(dirty);
	assert_int_equal(index_dirty_run(&memory->index, first, 100, &dirty),
			 4);
	assert_true(dirty);
	assert_int_equal(index_dirty_run(&memory->index, first, 3, &dirty), 3);
	/* A clean copy is as good as none, and so is a leaf that isn't there.
	 */
	assert_int_equal(index_dirty_run(&memory->index, first + 4,
					 DISK_BLOCKS - first - 4, &dirty),
			 DISK_BLOCKS - first - 4);
	assert_false(dirty);
}

static void runs_agree_with_looking_at_each_block(void **state)
{
	struct memory *memory = *state;
	const uint64_t end = (uint64_t)LEAVES * INDEX_LEAF_BLOCKS;
	uint32_t seed = 7;

	for (uint64_t block = 0; block < end; block++) {
		seed = seed * 1664525 + 1013904223;
		if (seed >> 28 < 10)
			set(&memory->index, block, 1, seed >> 28 < 8);
	}
	for (uint64_t block = 0; block < end; block += 3) {
		uint64_t limit = end - block < 60 ? end - block : 60;
		uint64_t run = 1;
		bool dirty;

		while (run < limit &&
		       index_get(&memory->index, block + run).dirty ==
			       index_get(&memory->index, block).dirty)
			run++;
		assert_int_equal(
			index_dirty_run(&memory->index, block, limit, &dirty),
			run);
		assert_int_equal(dirty, index_get(&memory->index, block).dirty);
	}
}

static void a_zeroed_leaf_needs_no_leaf_of_the_pool(void **state)
{
	struct memory *memory = *state;
	const uint64_t block = 3 * INDEX_LEAF_BLOCKS;

	for (uint64_t i = 0; i < 90; i++) {
		index_zero_leaf(&memory->index, i * INDEX_LEAF_BLOCKS, 7);
		index_commit(&memory->index);
	}
	assert_int_equal(memory->root.pool_used, 0);
	assert_int_equal(index_leaf_state(&memory->index, block),
			 INDEX_LEAF_ZEROED);
	assert_true(index_get(&memory->index, block + 5).zero);
	assert_true(index_get(&memory->index, block + 5).dirty);
	assert_int_equal(index_get(&memory->index, block + 5).location, 7);
	index_forget_zeroed_leaf(&memory->index, block);
	assert_int_equal(index_get(&memory->index, block + 5).location, 0);
}

static void a_change_in_a_zeroed_leaf_leaves_the_other_zeros(void **state)
{
	struct memory *memory = *state;

	index_zero_leaf(&memory->index, 0, 7);
	index_commit(&memory->index);
	set(&memory->index, 9, 100, false);
	assert_int_equal(index_leaf_state(&memory->index, 0), INDEX_LEAF_SLOTS);
	assert_false(index_get(&memory->index, 9).zero);
	unmap(&memory->index, 10);
	for (uint64_t block = 0; block < INDEX_LEAF_BLOCKS; block++)
		assert_int_equal(index_get(&memory->index, block).zero,
				 block != 9 && block != 10);
	unmap(&memory->index, 9);
	assert_int_equal(memory->root.zeros_only, 1);
	for (uint64_t block = 0; block < INDEX_LEAF_BLOCKS; block++)
		if (block != 9 && block != 10)
			unmap(&memory->index, block);
	assert_int_equal(memory->root.zeros_only, 0);
	assert_int_equal(index_leaf_state(&memory->index, 0), INDEX_LEAF_EMPTY);
}

static void leaves_of_zeros_alone_are_counted(void **state)
{
	struct memory *memory = *state;
	const struct index_copy zero = {
		.location = 5, .mask = 0xff, .dirty = true, .zero = true};

	index_set(&memory->index, 0, &zero);
	index_commit(&memory->index);
	index_set(&memory->index, 1, &zero);
	index_commit(&memory->index);
	assert_int_equal(memory->root.zeros_only, 1);
	set(&memory->index, 2, 9, true);
	assert_int_equal(memory->root.zeros_only, 0);
	unmap(&memory->index, 2);
	assert_int_equal(memory->root.zeros_only, 1);
	set(&memory->index, 0, 9, true);
	set(&memory->index, 1, 10, true);
	assert_int_equal(memory->root.zeros_only, 0);
}

static void room_for_a_change_is_found_out_before_it(void **state)
{
	struct memory *memory = *state;

	for (uint64_t i = 0; i < LEAVES; i++) {
		assert_true(
			index_has_room(&memory->index, i * INDEX_LEAF_BLOCKS));
		set(&memory->index, i * INDEX_LEAF_BLOCKS, 9, true);
	}
	assert_true(index_has_room(&memory->index, 1));
	assert_false(
		index_has_room(&memory->index, LEAVES * INDEX_LEAF_BLOCKS));
}

static void *zeros(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	assert_non_null(memory);
	return memory;
}

static void zeroes_wait_when_too_many_leaves_have_nothing_else(void **state)
{
	const uint32_t most = INDEX_ZEROS_ONLY_MAX / 2;
	const uint32_t pages = 64;
	const struct index_copy zero = {
		.location = 5, .mask = 0xff, .dirty = true, .zero = true};
	struct index_root root = {0};
	struct undo undo = {0};
	struct index_memory memory = {
		.root = &root,
		.directory = zeros(2ull * most, sizeof(uint32_t)),
		.zeroed = zeros(2ull * most, sizeof(uint32_t)),
		.leaves = zeros(most, sizeof(struct index_leaf)),
		.pages = zeros(pages, sizeof(struct chunk_page)),
		.chunks = zeros(pages, CHUNK_PAGE_BYTES),
		.undo = &undo,
	};
	struct index index;

	(void)state;
	index_init(&index, 2ull * most * INDEX_LEAF_BLOCKS,
		   &(struct index_limits){.leaves = most, .pages = pages},
		   &memory);
	for (uint64_t i = 0; i < most; i++) {
		assert_true(index_zeros_fit(&index));
		index_set(&index, i * INDEX_LEAF_BLOCKS, &zero);
		index_commit(&index);
	}
	assert_false(index_zeros_fit(&index));
	unmap(&index, 0);
	assert_true(index_zeros_fit(&index));
	free(memory.directory);
	free(memory.zeroed);
	free(memory.leaves);
	free(memory.pages);
	free(memory.chunks);
}

static void a_pool_has_a_leaf_for_each_block_or_each_place(void **state)
{
	(void)state;
	assert_int_equal(index_limits(INDEX_LEAF_BLOCKS, 1000).leaves, 1);
	assert_int_equal(index_limits(INDEX_LEAF_BLOCKS + 1, 1000).leaves, 2);
	assert_int_equal(index_limits(UINT64_C(1) << 40, 1000).leaves,
			 1000 + INDEX_ZEROS_ONLY_MAX);
}

static void there_are_no_more_pages_than_names_for_them(void **state)
{
	struct index_limits limits =
		index_limits(UINT64_C(1) << 34, UINT64_C(1) << 34);

	(void)state;
	assert_int_equal(limits.pages, CHUNK_PAGES_MAX);
	assert_int_equal(limits.leaves,
			 (UINT64_C(1) << 34) / INDEX_LEAF_BLOCKS);
}

static void what_was_not_committed_is_taken_back(void **state)
{
	struct memory *memory = *state;
	static struct memory before;

	set(&memory->index, 0, 100, true);
	set(&memory->index, INDEX_LEAF_BLOCKS + 1, 200, false);
	unmap(&memory->index, INDEX_LEAF_BLOCKS + 1);
	before = *memory;
	index_set_clean(&memory->index, 0);
	index_unmap(&memory->index, 0);
	index_set(
		&memory->index, 2 * INDEX_LEAF_BLOCKS + 2,
		&(struct index_copy){
			.location = 300, .check = 1, .mask = 1, .dirty = true});
	undo_roll_back(&memory->undo);
	memset(memory->undo.stores, 0, sizeof(memory->undo.stores));
	memset(before.undo.stores, 0, sizeof(before.undo.stores));
	assert_memory_equal(memory->directory, before.directory,
			    sizeof(before.directory));
	assert_memory_equal(memory->leaves, before.leaves,
			    sizeof(before.leaves));
	assert_memory_equal(&memory->root, &before.root, sizeof(before.root));
	assert_int_equal(index_get(&memory->index, 0).location, 100);
	assert_true(index_get(&memory->index, 0).dirty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_empty_index_has_no_copy, empty),
		cmocka_unit_test_setup(a_copy_comes_back_as_it_was_set, empty),
		cmocka_unit_test_setup(the_last_copy_set_holds, empty),
		cmocka_unit_test_setup(a_clean_copy_stays_where_it_is, empty),
		cmocka_unit_test_setup(
			what_is_lost_is_so_until_it_is_overwritten, empty),
		cmocka_unit_test_setup(an_unmapped_block_leaves_no_mark_behind,
				       empty),
		cmocka_unit_test_setup(cached_blocks_are_found_in_order, empty),
		cmocka_unit_test_setup(an_empty_leaf_serves_another_place,
				       empty),
		cmocka_unit_test_setup(
			a_run_of_dirty_blocks_ends_where_one_is_not, empty),
		cmocka_unit_test_setup(runs_agree_with_looking_at_each_block,
				       empty),
		cmocka_unit_test_setup(what_was_not_committed_is_taken_back,
				       empty),
		cmocka_unit_test_setup(a_zeroed_leaf_needs_no_leaf_of_the_pool,
				       empty),
		cmocka_unit_test_setup(
			a_change_in_a_zeroed_leaf_leaves_the_other_zeros,
			empty),
		cmocka_unit_test_setup(leaves_of_zeros_alone_are_counted,
				       empty),
		cmocka_unit_test_setup(room_for_a_change_is_found_out_before_it,
				       empty),
		cmocka_unit_test(
			zeroes_wait_when_too_many_leaves_have_nothing_else),
		cmocka_unit_test(
			a_pool_has_a_leaf_for_each_block_or_each_place),
		cmocka_unit_test(there_are_no_more_pages_than_names_for_them),
	};

	return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
