/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunks.h - memory of several sizes for the slots of the index, without holes.
 *
 *   page   | chunk chunk chunk ...        | owner owner owner ... |
 *   chunk  | slot slot ... | states | masks, if it has any |
 *
 * A chunk has places for so many copies; its shape says how many, and whether
 * they have masks. A page has chunks of one shape, and the pages of a shape are
 * full but for the last one. So a chunk that is given back leaves a hole, which
 * the last chunk of its shape fills: chunks move, and whoever owns one is told.
 * That is why there is always room: so many chunks take at most the pages that
 * they fill, and one a shape.
 *
 * The memory outlives the process (undo.h). A chunk that nobody refers to is
 * written without notice of what was there. What is given back stays as it is
 * until that is committed, and moves are changes of their own.
 */
#ifndef FOREBAY_ENGINE_CHUNKS_H
#define FOREBAY_ENGINE_CHUNKS_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "undo.h"

/* The simulator's are small, so that it sees them come and go. */
#ifndef CHUNK_PAGE_BYTES
#define CHUNK_PAGE_BYTES 16384u
#endif

/* Shapes: these with masks follow those without. */
#define CHUNK_SIZES 16u
#define CHUNK_SHAPES (2 * CHUNK_SIZES)
#define CHUNK_PLACES_MAX 64u

/* A chunk's name: page + 1, and its number there. 0: none. */
#define CHUNK_NUMBER_BITS 10u
#define CHUNK_PAGES_MAX ((1u << (32 - CHUNK_NUMBER_BITS)) - 2)

/* One block's copy. */
struct chunk_slot {
	uint32_t location;
	uint32_t check;
};

/* The last page of a shape, + 1, and how many chunks it has. */
struct chunk_end {
	uint32_t page;
	uint32_t count;
};

/* Zeros: there are no chunks. Whole words: that is what undo_save() notes. */
struct chunks_root {
	_Alignas(8) struct chunk_end ends[CHUNK_SHAPES];
	uint32_t pages_used; /* that were ever taken */
	uint32_t free_page; /* + 1 */
	uint32_t free_pages;
	uint32_t hole; /* given back, and not filled yet */
};

struct chunk_page {
	_Alignas(8) uint32_t before; /* the next of its shape, or free; + 1 */
	uint32_t shape;
};

struct chunk_shape {
	uint32_t places;
	uint32_t bytes;
	uint32_t per_page;
};
extern const struct chunk_shape chunk_shapes[CHUNK_SHAPES];

struct chunks_memory {
	struct chunks_root *root;
	struct chunk_page *pages;
	uint8_t *data; /* CHUNK_PAGE_BYTES each */
	struct undo *undo;
};

struct chunks {
	struct chunks_memory memory;
	uint32_t page_count;
};

/* Where a chunk is now. */
struct chunk {
	struct chunk_slot *slots;
	uint8_t *states; /* four bits a place */
	uint8_t *masks; /* a byte a place, or NULL */
	uint32_t places;
	uint32_t shape;
};

/* Pages for @count chunks, each with up to @places. */
uint64_t chunks_pages_needed(uint64_t count, uint32_t places);
void chunks_init(struct chunks *chunks, uint32_t page_count,
		 const struct chunks_memory *memory);

/* The smallest shape with so many places. */
uint32_t chunks_shape(uint32_t places, bool masks);
/* Places of the shape that is so many sizes smaller; 0 if there is none. */
uint32_t chunks_smaller_places(uint32_t shape, uint32_t sizes);

static inline uint32_t chunk_page_of(uint32_t name)
{
	return (name >> CHUNK_NUMBER_BITS) - 1;
}

static inline uint32_t chunk_number_of(uint32_t name)
{
	return name & ((1u << CHUNK_NUMBER_BITS) - 1);
}

static inline uint8_t *chunk_page_data(const struct chunks *chunks,
				       uint32_t page)
{
	return chunks->memory.data + (size_t)page * CHUNK_PAGE_BYTES;
}

/* In a header, for every look-up goes through it. */
static inline struct chunk chunks_at(const struct chunks *chunks, uint32_t name)
{
	uint32_t page = chunk_page_of(name);
	uint32_t number = chunks->memory.pages[page].shape;
	const struct chunk_shape *shape = &chunk_shapes[number];
	uint8_t *slots, *states;

	assert(chunks->memory.data);
	slots = chunk_page_data(chunks, page) +
		(size_t)chunk_number_of(name) * shape->bytes;
	states = slots + shape->places * sizeof(struct chunk_slot);
	return (struct chunk){
		.slots = (void *)slots,
		.states = states,
		.masks = number < CHUNK_SIZES ? NULL
					      : states + shape->places / 2,
		.places = shape->places,
		.shape = number,
	};
}

/* Pages that are free. */
uint32_t chunks_pages_left(const struct chunks *chunks);
/* There is a page. Its places are in any state. Returns: its name. */
uint32_t chunks_take(struct chunks *chunks, uint32_t shape, uint32_t owner);
/*
 * Order: the change that does so is committed, and chunks_fill_hole() called,
 * before the next is given back.
 */
void chunks_give_back(struct chunks *chunks, uint32_t name);

static inline bool chunks_has_hole(const struct chunks *chunks)
{
	return chunks->memory.root->hole != 0;
}

/*
 * Begins the change that fills the hole. Returns: true if that moved a chunk:
 * then *ret_owner knows it by *ret_name from now on.
 */
bool chunks_fill_hole(struct chunks *chunks, uint32_t *ret_owner,
		      uint32_t *ret_name);

#endif
