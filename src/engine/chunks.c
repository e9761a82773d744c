// SPDX-License-Identifier: Apache-2.0
/*
 * chunks.c - see chunks.h.
 */
#include "chunks.h"

#include <assert.h>
#include <string.h>

#define OWNER_BYTES 4u
#define ROUNDED(bytes) (((bytes) + 3u) / 4 * 4)
#define BYTES(places, masks)                                                \
	ROUNDED((places) * sizeof(struct chunk_slot) + ((places) + 1) / 2 + \
		((masks) ? (places) : 0))
#define SHAPE(places, masks)                                         \
	{                                                            \
		(places), BYTES(places, masks),                      \
			CHUNK_PAGE_BYTES /                           \
				(BYTES(places, masks) + OWNER_BYTES) \
	}
/*
 * Close together, for what a chunk has too many is wasted; not closer, for each
 * growth is a copy.
 */
#define SIZES(masks)                                                        \
	SHAPE(2, masks), SHAPE(4, masks), SHAPE(6, masks), SHAPE(8, masks), \
		SHAPE(10, masks), SHAPE(12, masks), SHAPE(14, masks),       \
		SHAPE(16, masks), SHAPE(20, masks), SHAPE(24, masks),       \
		SHAPE(28, masks), SHAPE(32, masks), SHAPE(40, masks),       \
		SHAPE(48, masks), SHAPE(56, masks), SHAPE(64, masks)

const struct chunk_shape chunk_shapes[CHUNK_SHAPES] = {SIZES(false),
						       SIZES(true)};

static_assert(CHUNK_PAGE_BYTES / (BYTES(2, false) + OWNER_BYTES) <
		      1u << CHUNK_NUMBER_BITS,
	      "a name holds the number of each chunk of a page");
static_assert(sizeof(struct chunk_page) == 8, "kept, whole words");
static_assert(sizeof(struct chunks_root) % 8 == 0, "kept, whole words");

uint32_t chunks_shape(uint32_t places, bool masks)
{
	uint32_t shape = masks ? CHUNK_SIZES : 0;

	assert(places <= CHUNK_PLACES_MAX);
	while (chunk_shapes[shape].places < places)
		shape++;
	return shape;
}

uint32_t chunks_smaller_places(uint32_t shape, uint32_t sizes)
{
	return shape % CHUNK_SIZES >= sizes ? chunk_shapes[shape - sizes].places
					    : 0;
}

/* Chunks of the largest shape fill the fewest of a page. */
uint64_t chunks_pages_needed(uint64_t count, uint32_t places)
{
	uint32_t largest = chunks_shape(places, true);
	uint32_t per_page = chunk_shapes[largest].per_page;

	assert(per_page > 0);
	return (count + per_page - 1) / per_page +
	       2 * (uint64_t)(largest - CHUNK_SIZES + 1);
}

void chunks_init(struct chunks *chunks, uint32_t page_count,
		 const struct chunks_memory *memory)
{
	assert(page_count <= CHUNK_PAGES_MAX);
	*chunks = (struct chunks){
		.memory = *memory,
		.page_count = page_count,
	};
}

static uint32_t name_of(uint32_t page, uint32_t number)
{
	return (page + 1) << CHUNK_NUMBER_BITS | number;
}

static const struct chunk_shape *shape_of(const struct chunks *chunks,
					  uint32_t name)
{
	return &chunk_shapes[chunks->memory.pages[chunk_page_of(name)].shape];
}

/* Owners stand behind the chunks. */
static uint32_t *owner_of(const struct chunks *chunks, uint32_t name)
{
	const struct chunk_shape *shape = shape_of(chunks, name);
	uint8_t *owners = chunk_page_data(chunks, chunk_page_of(name)) +
			  (size_t)shape->per_page * shape->bytes;

	return (uint32_t *)(void *)owners + chunk_number_of(name);
}

uint32_t chunks_pages_left(const struct chunks *chunks)
{
	const struct chunks_root *root = chunks->memory.root;

	return root->free_pages + chunks->page_count - root->pages_used;
}

static uint32_t take_page(struct chunks *chunks)
{
	const struct chunks_memory *memory = &chunks->memory;
	struct chunks_root *root = memory->root;
	uint32_t page;

	if (root->free_page != 0) {
		page = root->free_page - 1;
		UNDO_SET(memory->undo, root->free_page,
			 memory->pages[page].before);
		UNDO_SET(memory->undo, root->free_pages, root->free_pages - 1);
	} else {
		/* Who asked chunks_pages_left() finds one. */
		assert(root->pages_used < chunks->page_count);
		page = root->pages_used;
		UNDO_SET(memory->undo, root->pages_used, page + 1);
	}
	return page;
}

/* A page of its own for the shape's next chunks. */
static void add_page(struct chunks *chunks, uint32_t shape)
{
	const struct chunks_memory *memory = &chunks->memory;
	struct chunk_end *end = &memory->root->ends[shape];
	uint32_t page = take_page(chunks);

	undo_save(memory->undo, &memory->pages[page]);
	memory->pages[page].before = end->page;
	undo_stored();
	memory->pages[page].shape = shape;
	undo_stored();
	undo_save(memory->undo, end);
	end->page = page + 1;
	undo_stored();
	end->count = 0;
	undo_stored();
}

uint32_t chunks_take(struct chunks *chunks, uint32_t shape, uint32_t owner)
{
	struct chunk_end *end = &chunks->memory.root->ends[shape];
	uint32_t name;

	if (end->page == 0 || end->count == chunk_shapes[shape].per_page)
		add_page(chunks, shape);
	name = name_of(end->page - 1, end->count);
	UNDO_SET(chunks->memory.undo, end->count, end->count + 1);
	*owner_of(chunks, name) = owner;
	undo_stored();
	return name;
}

void chunks_give_back(struct chunks *chunks, uint32_t name)
{
	struct chunks_root *root = chunks->memory.root;

	assert(root->hole == 0);
	UNDO_SET(chunks->memory.undo, root->hole, name);
}

/* The last chunk of the shape is no more. */
static void shorten(struct chunks *chunks, uint32_t shape)
{
	const struct chunks_memory *memory = &chunks->memory;
	struct chunks_root *root = memory->root;
	struct chunk_end *end = &root->ends[shape];
	uint32_t page = end->page - 1;
	uint32_t before = memory->pages[page].before;

	undo_save(memory->undo, end);
	end->count--;
	undo_stored();
	if (end->count > 0)
		return;
	end->page = before;
	undo_stored();
	end->count = before != 0 ? chunk_shapes[shape].per_page : 0;
	undo_stored();
	UNDO_SET(memory->undo, memory->pages[page].before, root->free_page);
	UNDO_SET(memory->undo, root->free_page, page + 1);
	UNDO_SET(memory->undo, root->free_pages, root->free_pages + 1);
}

bool chunks_fill_hole(struct chunks *chunks, uint32_t *ret_owner,
		      uint32_t *ret_name)
{
	struct chunks_root *root = chunks->memory.root;
	uint32_t hole = root->hole;
	uint32_t shape = chunks->memory.pages[chunk_page_of(hole)].shape;
	const struct chunk_end *end = &root->ends[shape];
	uint32_t last = name_of(end->page - 1, end->count - 1);

	if (last != hole) {
		/* Nobody refers to the hole: there is nothing to be undone. */
		memcpy(chunks_at(chunks, hole).slots,
		       chunks_at(chunks, last).slots,
		       chunk_shapes[shape].bytes);
		undo_stored();
		*ret_owner = *owner_of(chunks, last);
		*ret_name = hole;
		*owner_of(chunks, hole) = *ret_owner;
		undo_stored();
	}
	shorten(chunks, shape);
	UNDO_SET(chunks->memory.undo, root->hole, 0);
	return last != hole;
}
