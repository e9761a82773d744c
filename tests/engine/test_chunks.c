// SPDX-License-Identifier: Apache-2.0
/* test_chunks.c - chunks of all sizes leave no holes, and move when they must.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "chunks.h"

#define OWNERS 400u
#define PAGES 64u

struct memory {
	struct chunks chunks;
	struct undo undo;
	struct chunks_root root;
	struct chunk_page pages[PAGES];
	_Alignas(8) uint8_t data[PAGES][CHUNK_PAGE_BYTES];
	uint32_t names[OWNERS]; /* by owner */
};

static int empty(void **state)
{
	static struct memory memory;

	memset(&memory, 0, sizeof(memory));
	chunks_init(&memory.chunks, PAGES,
		    &(struct chunks_memory){
			    .root = &memory.root,
			    .pages = memory.pages,
			    .data = memory.data[0],
			    .undo = &memory.undo,
		    });
	*state = &memory;
	return 0;
}

/* Each place says whose it is. */
static void take(struct memory *memory, uint32_t owner, uint32_t shape)
{
	uint32_t name = chunks_take(&memory->chunks, shape, owner);
	struct chunk chunk = chunks_at(&memory->chunks, name);

	undo_commit(&memory->undo);
	for (uint32_t i = 0; i < chunk.places; i++) {
		chunk.slots[i] = (struct chunk_slot){owner, i};
		if (chunk.masks)
			chunk.masks[i] = (uint8_t)owner;
	}
	memset(chunk.states, (int)owner, chunk.places / 2);
	memory->names[owner] = name;
}

static void give_back(struct memory *memory, uint32_t owner)
{
	uint32_t moved;
	uint32_t name;

	chunks_give_back(&memory->chunks, memory->names[owner]);
	undo_commit(&memory->undo);
	memory->names[owner] = 0;
	if (chunks_fill_hole(&memory->chunks, &moved, &name))
		memory->names[moved] = name;
	undo_commit(&memory->undo);
}

static void assert_whole(const struct memory *memory)
{
	for (uint32_t owner = 0; owner < OWNERS; owner++) {
		struct chunk chunk;

		if (memory->names[owner] == 0)
			continue;
		chunk = chunks_at(&memory->chunks, memory->names[owner]);
		for (uint32_t i = 0; i < chunk.places; i++) {
			assert_int_equal(chunk.slots[i].location, owner);
			assert_int_equal(chunk.slots[i].check, i);
			if (chunk.masks)
				assert_int_equal(chunk.masks[i],
						 (uint8_t)owner);
		}
		for (uint32_t i = 0; i < chunk.places / 2; i++)
			assert_int_equal(chunk.states[i], (uint8_t)owner);
	}
}

static void a_shape_is_the_smallest_that_does(void **state)
{
	struct memory *memory = *state;

	for (uint32_t places = 1; places <= CHUNK_PLACES_MAX; places++) {
		for (uint32_t masks = 0; masks < 2; masks++) {
			uint32_t shape = chunks_shape(places, masks != 0);

			assert_true(chunks_smaller_places(shape, 0) >= places);
			assert_true(chunks_smaller_places(shape, 1) < places);
			take(memory, 0, shape);
			assert_int_equal(
				chunks_at(&memory->chunks, memory->names[0])
						.masks != NULL,
				masks);
			give_back(memory, 0);
		}
	}
}

static void what_chunks_hold_moves_with_them(void **state)
{
	struct memory *memory = *state;

	for (uint32_t owner = 0; owner < OWNERS; owner++)
		take(memory, owner, owner % 4 * 5 + owner % 3);
	assert_whole(memory);
	for (uint32_t owner = 0; owner < OWNERS; owner += 3) {
		give_back(memory, owner);
		assert_whole(memory);
	}
	for (uint32_t owner = 0; owner < OWNERS; owner += 3)
		take(memory, owner, owner % CHUNK_SHAPES);
	assert_whole(memory);
}

static void pages_come_back_whatever_goes_first(void **state)
{
	struct memory *memory = *state;

	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t owner = 0; owner < OWNERS; owner++)
			take(memory, owner, (owner + round) % CHUNK_SHAPES);
		/* The factor is prime to the number of owners. */
		for (uint32_t i = 0; i < OWNERS; i++)
			give_back(memory, i * 37 % OWNERS);
		assert_int_equal(chunks_pages_left(&memory->chunks), PAGES);
	}
}

/*
 * As many chunks as were reckoned with, in any sizes: first so that every page
 * has a chunk that stays, which is what a pool without moves would choke on.
 */
static void so_many_chunks_have_room_in_any_sizes(void **state)
{
	struct memory *memory = *state;
	const uint32_t largest = chunks_shape(CHUNK_PLACES_MAX, true);

	assert_true(chunks_pages_needed(OWNERS, CHUNK_PLACES_MAX) <= PAGES);
	memory->chunks.page_count =
		(uint32_t)chunks_pages_needed(OWNERS, CHUNK_PLACES_MAX);
	for (uint32_t shape = 0; shape < CHUNK_SHAPES; shape++) {
		for (uint32_t owner = 0; owner < OWNERS; owner++)
			take(memory, owner, shape);
		for (uint32_t owner = 0; owner < OWNERS; owner++)
			if (owner % 7 != shape % 7)
				give_back(memory, owner);
		for (uint32_t owner = 0; owner < OWNERS; owner++)
			if (memory->names[owner] == 0)
				take(memory, owner, largest);
		assert_whole(memory);
		for (uint32_t owner = 0; owner < OWNERS; owner++)
			give_back(memory, owner);
	}
}

static void what_was_begun_is_taken_back(void **state)
{
	struct memory *memory = *state;
	struct chunks_root before;
	uint32_t owner;
	uint32_t name;

	for (uint32_t i = 0; i < 100; i++)
		take(memory, i, 3);
	before = memory->root;
	chunks_take(&memory->chunks, 3, 200);
	chunks_take(&memory->chunks, 9, 201);
	chunks_give_back(&memory->chunks, memory->names[50]);
	undo_roll_back(&memory->undo);
	assert_memory_equal(&memory->root, &before, sizeof(before));
	assert_whole(memory);
	chunks_give_back(&memory->chunks, memory->names[50]);
	undo_commit(&memory->undo);
	before = memory->root;
	assert_true(chunks_has_hole(&memory->chunks));
	assert_true(chunks_fill_hole(&memory->chunks, &owner, &name));
	assert_int_equal(owner, 99);
	undo_roll_back(&memory->undo);
	assert_memory_equal(&memory->root, &before, sizeof(before));
	memory->names[50] = 0;
	/* The one that had moved is where it was. */
	assert_whole(memory);
	assert_true(chunks_fill_hole(&memory->chunks, &owner, &name));
	undo_commit(&memory->undo);
	memory->names[owner] = name;
	assert_whole(memory);
	assert_false(chunks_has_hole(&memory->chunks));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_shape_is_the_smallest_that_does,
				       empty),
		cmocka_unit_test_setup(what_chunks_hold_moves_with_them, empty),
		cmocka_unit_test_setup(pages_come_back_whatever_goes_first,
				       empty),
		cmocka_unit_test_setup(so_many_chunks_have_room_in_any_sizes,
				       empty),
		cmocka_unit_test_setup(what_was_begun_is_taken_back, empty),
	};

	return cmocka_run_group_tests_name("chunks", tests, NULL, NULL);
}
