// SPDX-License-Identifier: Apache-2.0
/*
 * leaf.c - see leaf.h.
 *
 * A copy that is more or less moves those behind it. They are noted for undo
 * as a whole before the first of them moves.
 */
#include "leaf.h"

#include <assert.h>
#include <string.h>

#include "bitmap.h"
#include "log_format.h"

/* The low half of a place's four bits is its state, the high half its heat. */
#define STATE_BITS 3u
#define HEAT_SHIFT 2u
#define PLACE_BITS 4u
#define WORD_PLACES (64 / PLACE_BITS)
#define WORDS (CHUNK_PLACES_MAX / WORD_PLACES)
/* Shrinks to the next size when the one below that would do. */
#define SHRINK_SIZES 2u

static uint32_t group_of(uint32_t i)
{
	return i / LEAF_GROUP_BLOCKS;
}

/* Place of block @i's copy among those of its group. */
static uint32_t rank_of(const struct index_leaf *leaf, uint32_t i)
{
	return bitmap_count_word(leaf->present[group_of(i)] &
				 (leaf_bit(i) - 1));
}

static struct chunk chunk_of(const struct chunks *chunks,
			     const struct index_leaf *leaf, uint32_t group)
{
	return chunks_at(chunks, leaf->chunks[group]);
}

static uint8_t place_bits(const struct chunk *chunk, uint32_t at)
{
	return chunk->states[at / 2] >> at % 2 * PLACE_BITS & 15u;
}

static void set_place_bits(const struct chunk *chunk, uint32_t at, uint8_t bits)
{
	uint32_t shift = at % 2 * PLACE_BITS;

	chunk->states[at / 2] =
		(uint8_t)((chunk->states[at / 2] & ~(15u << shift)) |
			  (uint32_t)bits << shift);
}

static enum leaf_state state_at(const struct chunk *chunk, uint32_t at)
{
	return place_bits(chunk, at) & STATE_BITS;
}

struct index_copy leaf_get(const struct chunks *chunks,
			   const struct index_leaf *leaf, uint32_t i)
{
	enum leaf_state state;
	struct chunk chunk;
	uint32_t at;

	if (!leaf_has(leaf, i))
		return (struct index_copy){0};
	chunk = chunk_of(chunks, leaf, group_of(i));
	at = rank_of(leaf, i);
	state = state_at(&chunk, at);
	return (struct index_copy){
		.location = chunk.slots[at].location,
		.check = chunk.slots[at].check,
		.mask = chunk.masks ? chunk.masks[at] : LOG_MASK_WHOLE,
		.dirty = state != LEAF_CLEAN,
		.lost = state == LEAF_LOST,
		.zero = state == LEAF_ZERO,
	};
}

static void load_bits(const struct chunk *chunk, uint64_t words[WORDS])
{
	memset(words, 0, WORDS * sizeof(*words));
	memcpy(words, chunk->states, chunk->places / 2);
}

static void store_bits(struct undo *undo, const struct chunk *chunk,
		       const uint64_t words[WORDS])
{
	undo_save_range(undo, chunk->states, chunk->places / 2);
	memcpy(chunk->states, words, chunk->places / 2);
	undo_stored();
}

/* The bits of the places from @at on move up by one, and @bits come there. */
static void open_bits(uint64_t words[WORDS], uint32_t at, uint8_t bits)
{
	uint32_t shift = at % WORD_PLACES * PLACE_BITS;
	uint64_t below = (UINT64_C(1) << shift) - 1;
	uint32_t first = at / WORD_PLACES;

	for (uint32_t i = WORDS - 1; i > first; i--)
		words[i] = words[i] << PLACE_BITS |
			   words[i - 1] >> (64 - PLACE_BITS);
	words[first] = (words[first] & below) | (uint64_t)bits << shift |
		       (words[first] & ~below) << PLACE_BITS;
}

static void close_bits(uint64_t words[WORDS], uint32_t at)
{
	uint32_t shift = at % WORD_PLACES * PLACE_BITS;
	uint64_t below = (UINT64_C(1) << shift) - 1;
	uint32_t first = at / WORD_PLACES;

	words[first] =
		(words[first] & below) | (words[first] >> PLACE_BITS & ~below);
	for (uint32_t i = first + 1; i < WORDS; i++) {
		words[i - 1] |= words[i] << (64 - PLACE_BITS);
		words[i] >>= PLACE_BITS;
	}
}

static void set_slot(const struct chunk *chunk, uint32_t at,
		     const struct index_copy *copy)
{
	chunk->slots[at].location = copy->location;
	undo_stored();
	chunk->slots[at].check = copy->check;
	undo_stored();
	if (chunk->masks) {
		chunk->masks[at] = copy->mask;
		undo_stored();
	}
}

static enum leaf_state state_of(const struct index_copy *copy)
{
	if (!copy->dirty)
		return LEAF_CLEAN;
	return copy->zero ? LEAF_ZERO : copy->lost ? LEAF_LOST : LEAF_DIRTY;
}

/* Makes place for one more of @count at @at. */
static void insert(struct undo *undo, const struct chunk *chunk, uint32_t at,
		   uint32_t count, const struct index_copy *copy)
{
	uint64_t words[WORDS];

	undo_save_range(undo, &chunk->slots[at],
			(count + 1 - at) * sizeof(*chunk->slots));
	memmove(&chunk->slots[at + 1], &chunk->slots[at],
		(count - at) * sizeof(*chunk->slots));
	undo_stored();
	if (chunk->masks) {
		undo_save_range(undo, &chunk->masks[at], count + 1 - at);
		memmove(&chunk->masks[at + 1], &chunk->masks[at], count - at);
		undo_stored();
	}
	set_slot(chunk, at, copy);
	load_bits(chunk, words);
	open_bits(words, at, (uint8_t)state_of(copy));
	store_bits(undo, chunk, words);
}

/* Of @count copies that at @at goes. */
static void take_out(struct undo *undo, const struct chunk *chunk, uint32_t at,
		     uint32_t count)
{
	uint64_t words[WORDS];

	undo_save_range(undo, &chunk->slots[at],
			(count - at) * sizeof(*chunk->slots));
	memmove(&chunk->slots[at], &chunk->slots[at + 1],
		(count - at - 1) * sizeof(*chunk->slots));
	undo_stored();
	if (chunk->masks) {
		undo_save_range(undo, &chunk->masks[at], count - at);
		memmove(&chunk->masks[at], &chunk->masks[at + 1],
			count - at - 1);
		undo_stored();
	}
	load_bits(chunk, words);
	close_bits(words, at);
	store_bits(undo, chunk, words);
}

static bool needs_masks(const struct chunk *chunk, uint32_t count)
{
	for (uint32_t i = 0; chunk->masks && i < count; i++)
		if (chunk->masks[i] != LOG_MASK_WHOLE)
			return true;
	return false;
}

/* Nobody finds the new chunk yet. */
static void copy_chunk(const struct chunk *to, const struct chunk *from,
		       uint32_t count)
{
	memcpy(to->slots, from->slots, count * sizeof(*to->slots));
	memset(to->states, 0, to->places / 2);
	memcpy(to->states, from->states, (count + 1) / 2);
	for (uint32_t i = 0; to->masks && i < count; i++)
		to->masks[i] = from->masks ? from->masks[i] : LOG_MASK_WHOLE;
	undo_stored();
}

/* The group's @count copies get a chunk of that shape. */
static void move(const struct leaf_place *place, uint32_t group, uint32_t count,
		 uint32_t shape)
{
	struct chunks *chunks = place->chunks;
	struct index_leaf *leaf = place->leaf;
	uint32_t name =
		chunks_take(chunks, shape, place->number * LEAF_GROUPS + group);
	struct chunk to = chunks_at(chunks, name);
	struct chunk none = {0};
	struct chunk from =
		leaf->chunks[group] ? chunk_of(chunks, leaf, group) : none;

	if (from.slots) {
		copy_chunk(&to, &from, count);
		chunks_give_back(chunks, leaf->chunks[group]);
	} else {
		memset(to.states, 0, to.places / 2);
		undo_stored();
	}
	UNDO_SET(chunks->memory.undo, leaf->chunks[group], name);
}

/* Sees that the group can have @count copies, @masks: whole ones or not. */
static void fit(const struct leaf_place *place, uint32_t group, uint32_t count,
		bool masks)
{
	const struct index_leaf *leaf = place->leaf;
	uint32_t have = bitmap_count_word(leaf->present[group]);
	struct chunk chunk = {0};

	if (leaf->chunks[group] != 0)
		chunk = chunk_of(place->chunks, leaf, group);
	if (chunk.places >= count && (!masks || chunk.masks))
		return;
	masks |= needs_masks(&chunk, have);
	move(place, group, have, chunks_shape(count, masks));
}

void leaf_set(const struct leaf_place *place, uint32_t i,
	      const struct index_copy *copy)
{
	struct undo *undo = place->chunks->memory.undo;
	struct index_leaf *leaf = place->leaf;
	uint32_t group = group_of(i);
	uint32_t count = bitmap_count_word(leaf->present[group]);
	uint32_t at = rank_of(leaf, i);
	bool there = leaf_has(leaf, i);
	struct chunk chunk;

	fit(place, group, count + !there, copy->mask != LOG_MASK_WHOLE);
	chunk = chunk_of(place->chunks, leaf, group);
	if (!there) {
		insert(undo, &chunk, at, count, copy);
		UNDO_SET(undo, leaf->present[group],
			 leaf->present[group] | leaf_bit(i));
		return;
	}
	undo_save_range(undo, &chunk.slots[at], sizeof(*chunk.slots));
	if (chunk.masks)
		undo_save(undo, &chunk.masks[at]);
	set_slot(&chunk, at, copy);
	leaf_set_state(place, i, state_of(copy));
}

void leaf_unset(const struct leaf_place *place, uint32_t i)
{
	struct chunks *chunks = place->chunks;
	struct undo *undo = chunks->memory.undo;
	struct index_leaf *leaf = place->leaf;
	uint32_t group = group_of(i);
	uint32_t left = bitmap_count_word(leaf->present[group]) - 1;
	struct chunk chunk = chunk_of(chunks, leaf, group);

	take_out(undo, &chunk, rank_of(leaf, i), left + 1);
	UNDO_SET(undo, leaf->present[group],
		 leaf->present[group] & ~leaf_bit(i));
	if (left == 0) {
		chunks_give_back(chunks, leaf->chunks[group]);
		UNDO_SET(undo, leaf->chunks[group], 0);
	} else if (left <= chunks_smaller_places(chunk.shape, SHRINK_SIZES)) {
		move(place, group, left,
		     chunks_shape(chunks_smaller_places(chunk.shape, 1),
				  needs_masks(&chunk, left)));
	}
}

void leaf_set_state(const struct leaf_place *place, uint32_t i,
		    enum leaf_state state)
{
	uint32_t at = rank_of(place->leaf, i);
	struct chunk chunk = chunk_of(place->chunks, place->leaf, group_of(i));
	uint8_t bits = place_bits(&chunk, at);

	if ((bits & STATE_BITS) == (uint8_t)state)
		return;
	undo_save(place->chunks->memory.undo, &chunk.states[at / 2]);
	set_place_bits(&chunk, at,
		       (uint8_t)((bits & ~STATE_BITS) | (uint8_t)state));
	undo_stored();
}

void leaf_fill_zeros(const struct leaf_place *place, uint32_t location)
{
	const struct chunk_slot slot = {.location = location};
	const uint8_t two = LEAF_ZERO | LEAF_ZERO << PLACE_BITS;

	for (uint32_t group = 0; group < LEAF_GROUPS; group++) {
		uint32_t name = chunks_take(
			place->chunks, chunks_shape(LEAF_GROUP_BLOCKS, false),
			place->number * LEAF_GROUPS + group);
		struct chunk chunk = chunks_at(place->chunks, name);

		for (uint32_t i = 0; i < LEAF_GROUP_BLOCKS; i++)
			chunk.slots[i] = slot;
		memset(chunk.states, two, LEAF_GROUP_BLOCKS / 2);
		place->leaf->chunks[group] = name;
		place->leaf->present[group] =
			UINT64_MAX >> (64 - LEAF_GROUP_BLOCKS);
		undo_stored();
	}
}

uint8_t leaf_heat(const struct chunks *chunks, const struct index_leaf *leaf,
		  uint32_t i)
{
	struct chunk chunk;

	if (!leaf_has(leaf, i))
		return 0;
	chunk = chunk_of(chunks, leaf, group_of(i));
	return place_bits(&chunk, rank_of(leaf, i)) >> HEAT_SHIFT;
}

void leaf_add_heat(const struct chunks *chunks, const struct index_leaf *leaf,
		   uint32_t i, int difference)
{
	struct chunk chunk;
	uint32_t at;
	int heat;

	if (!leaf_has(leaf, i))
		return;
	chunk = chunk_of(chunks, leaf, group_of(i));
	at = rank_of(leaf, i);
	heat = (place_bits(&chunk, at) >> HEAT_SHIFT) + difference;
	if (heat >= 0 && heat <= (int)INDEX_HEAT_MAX)
		set_place_bits(&chunk, at,
			       (uint8_t)(state_at(&chunk, at) |
					 (uint32_t)heat << HEAT_SHIFT));
}

/* Every fourth bit, side by side. */
static uint64_t gather(uint64_t word)
{
	word = (word | word >> 3) & 0x0303030303030303ull;
	word = (word | word >> 6) & 0x000f000f000f000full;
	word = (word | word >> 12) & 0x000000ff000000ffull;
	return (word | word >> 24) & 0xffff;
}

/* Bit a place that is dirty, or lost. A place without a copy is neither. */
static uint64_t ranks_in(const struct chunk *chunk, bool lost)
{
	const uint64_t ones = 0x1111111111111111ull;
	uint64_t words[WORDS];
	uint64_t ranks = 0;

	load_bits(chunk, words);
	for (uint32_t i = 0; i < WORDS; i++) {
		uint64_t low = words[i] & ones;
		uint64_t high = words[i] >> 1 & ones;

		ranks |= gather(lost ? high & ~low : high | low)
			 << i * WORD_PLACES;
	}
	return ranks;
}

/* From the @ranks of places, a bit each, to the blocks that have them. */
static uint64_t blocks_of(uint64_t present, uint64_t ranks)
{
	uint64_t blocks = 0;

	for (; ranks != 0; ranks >>= 1) {
		uint64_t block = present & -present;

		if (ranks & 1)
			blocks |= block;
		present ^= block;
	}
	return blocks;
}

static uint64_t bits_in(const struct chunks *chunks,
			const struct index_leaf *leaf, uint32_t group,
			bool lost)
{
	uint64_t present = leaf->present[group];
	struct chunk chunk;

	if (present == 0)
		return 0;
	chunk = chunk_of(chunks, leaf, group);
	return blocks_of(present, ranks_in(&chunk, lost));
}

uint64_t leaf_dirty_bits(const struct chunks *chunks,
			 const struct index_leaf *leaf, uint32_t group)
{
	return bits_in(chunks, leaf, group, false);
}

uint64_t leaf_lost_bits(const struct chunks *chunks,
			const struct index_leaf *leaf, uint32_t group)
{
	return bits_in(chunks, leaf, group, true);
}
