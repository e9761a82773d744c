/* SPDX-License-Identifier: Apache-2.0 */
/*
 * undo.h - stores to memory that outlives the process, so that what belongs
 * together is there whole or not at all.
 *
 *   UNDO_SET(undo, place, value)   any number of times
 *   undo_commit(undo)              these belong together, and have happened
 *
 * What stood at a place is noted before it is overwritten, in the same memory.
 * A process that is killed between two instructions leaves the stores of those
 * before it and none of those behind it, so undo_roll_back() brings back the
 * last commit. That needs the compiler's order only: nobody reads the memory
 * while its writer lives. After a power failure the memory is gone.
 */
#ifndef FOREBAY_ENGINE_UNDO_H
#define FOREBAY_ENGINE_UNDO_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The largest change (a block less in a leaf that was zeros as a whole, with
 * masks) notes the copies of a group, 79 words, and some thirty more.
 */
#define UNDO_STORES_MAX 160u

struct undo_store {
	int64_t offset; /* of an aligned word, from the struct undo, in bytes */
	uint64_t old;
};

struct undo {
	uint64_t count;
	struct undo_store stores[UNDO_STORES_MAX];
};

#ifdef FOREBAY_PLANTED_BUGS
/* The simulator's: called after every store to the memory. */
extern void (*undo_stored_hook)(void);
static inline void undo_stored(void)
{
	__asm__ volatile("" ::: "memory");
	if (undo_stored_hook)
		undo_stored_hook();
}
#else
static inline void undo_stored(void)
{
	__asm__ volatile("" ::: "memory");
}
#endif

/*
 * The aligned word that holds @place is about to change: all of it belongs to
 * the memory that outlives the process.
 */
static inline void undo_save(struct undo *undo, const void *place)
{
	uintptr_t word = (uintptr_t)place & ~(uintptr_t)7;
	struct undo_store *store = &undo->stores[undo->count];

	assert(undo->count < UNDO_STORES_MAX);
	store->offset = (int64_t)(word - (uintptr_t)undo);
	store->old = *(const uint64_t *)word;
	undo_stored();
	undo->count++;
	undo_stored();
}

/* The same of all words that have some of the @bytes at @place. */
static inline void undo_save_range(struct undo *undo, const void *place,
				   size_t bytes)
{
	uintptr_t end = (uintptr_t)place + bytes;

	uintptr_t word = (uintptr_t)place & ~(uintptr_t)7;
	struct undo_store *store = &undo->stores[undo->count];
	uint64_t count = (end - word + 7) / 8;

	assert(undo->count + count <= UNDO_STORES_MAX);
	for (; word < end; word += 8, store++) {
		store->offset = (int64_t)(word - (uintptr_t)undo);
		store->old = *(const uint64_t *)word;
	}
	undo_stored();
	/* None of them counts before. */
	undo->count += count;
	undo_stored();
}

#define UNDO_SET(undo, place, value)         \
	do {                                 \
		undo_save((undo), &(place)); \
		(place) = (value);           \
		undo_stored();               \
	} while (0)

static inline void undo_commit(struct undo *undo)
{
	undo_stored();
	undo->count = 0;
	undo_stored();
}

static inline void undo_roll_back(struct undo *undo)
{
	while (undo->count > 0) {
		const struct undo_store *store = &undo->stores[undo->count - 1];

		*(uint64_t *)((uintptr_t)undo + (uintptr_t)store->offset) =
			store->old;
		undo_stored();
		undo->count--;
		undo_stored();
	}
}

#endif
