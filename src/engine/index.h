/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.h - block number -> where its newest copy is, and how it is.
 *
 * A radix of two levels: a directory with one number a 2 MiB leaf of the disk,
 * and leaves, whose copies lie in chunks that are as large as they need be
 * (leaf.h, chunks.h). Leaves come from a pool and go back when their last block
 * is unmapped. The index changes in the order of the log's sequence only (rule
 * 3), by apply.c and eviction.
 *
 * A block that a ZERO or DISCARD has made zeros has no data: its location is
 * that of the record's header, and it is dirty until it is forgotten. A leaf of
 * which all blocks became zeros at once needs no slots: a number beside the
 * directory says where the record is.
 *
 * Its memory outlives the process: each store can be undone, and the caller
 * says with index_commit() which belong together.
 */
#ifndef FOREBAY_ENGINE_INDEX_H
#define FOREBAY_ENGINE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "chunks.h"
#include "leaf.h"
#include "undo.h"

/* Leaves of the pool for those that have zeros and no data. */
#define INDEX_ZEROS_ONLY_MAX 16384u

/* Whole words: that is what undo_save() notes. */
struct index_root {
	struct chunks_root chunks;
	_Alignas(8) uint32_t pool_used; /* leaves that were ever taken */
	uint32_t free_head; /* leaf number + 1 */
	uint32_t zeros_only; /* leaves of the pool without data */
};

/* What outlives the process. The caller's, as long as the index. */
struct index_memory {
	struct index_root *root;
	uint32_t *directory; /* leaf number + 1, 0 = none */
	uint32_t *zeroed; /* location that made a leaf zeros, 0 = none did */
	struct index_leaf *leaves;
	struct chunk_page *pages;
	uint8_t *chunks;
	struct undo *undo;
};

/* What there is at most of what comes and goes. */
struct index_limits {
	uint32_t leaves;
	uint32_t pages; /* of chunks */
};

struct index {
	struct index_memory memory;
	struct chunks chunks;
	struct index_limits limits;
	uint64_t leaf_count; /* of the disk */
	uint32_t few_pages; /* so few left, zeroes wait */
};

/*
 * What a disk and a cache of these sizes can need at once. Of pages there are
 * no more than have a name: beyond 29 TiB that is less than all zeros of the
 * disk can need, and when few are left, zeroes wait.
 */
struct index_limits index_limits(uint64_t disk_blocks, uint64_t cache_blocks);
/* On memory as an index left it, or as index_clear() does. */
void index_init(struct index *index, uint64_t disk_blocks,
		const struct index_limits *limits,
		const struct index_memory *memory);
/*
 * What was changed since the last commit belongs together, and has happened.
 * Order: before the next change, and behind what a predecessor left.
 */
void index_commit(struct index *index);
/* Nothing is cached. Whatever the memory held is gone; not to be undone. */
void index_clear(struct index *index);

struct index_copy index_get(const struct index *index, uint64_t block);
/* Replaces whatever stands there. */
void index_set(struct index *index, uint64_t block,
	       const struct index_copy *copy);
void index_unmap(struct index *index, uint64_t block);
void index_set_clean(struct index *index, uint64_t block);
/* Its dirty data can't be read: it stays, and reads of it fail. */
void index_set_lost(struct index *index, uint64_t block);
/*
 * Finds the first cached block at or after *block, leaving out leaves that are
 * zeros as a whole. Returns: false if there is none.
 */
bool index_next(const struct index *index, uint64_t *block);
/* The same of those that are lost. Takes time with the leaves, not the blocks.
 */
bool index_next_lost(const struct index *index, uint64_t *block);

/*
 * A block's heat: 0 when it is mapped anew. It is a hint, so it isn't undone,
 * and of a block that isn't cached it is 0.
 */
uint8_t index_heat(const struct index *index, uint64_t block);
void index_warm(struct index *index, uint64_t block);
void index_cool(struct index *index, uint64_t block);

/* What stands in the leaf of a block. */
enum index_leaf_state {
	INDEX_LEAF_EMPTY,
	INDEX_LEAF_ZEROED, /* zeros as a whole */
	INDEX_LEAF_SLOTS,
};
enum index_leaf_state index_leaf_state(const struct index *index,
				       uint64_t block);
/*
 * The leaf of @block becomes zeros as a whole. Order: nothing of it is mapped,
 * and the disk has all its blocks.
 */
void index_zero_leaf(struct index *index, uint64_t block, uint32_t location);
void index_forget_zeroed_leaf(struct index *index, uint64_t block);
/* A change of @block alone finds the leaf that it may need. */
bool index_has_room(const struct index *index, uint64_t block);
/* So do two more leaves of zeros, and data as much as there may be. */
bool index_zeros_fit(const struct index *index);

/* Behind the last block of @block's leaf. */
static inline uint64_t index_leaf_end(uint64_t block)
{
	return (block / INDEX_LEAF_BLOCKS + 1) * INDEX_LEAF_BLOCKS;
}
/*
 * Whether @block is dirty. Returns: how many of the @count blocks from it on
 * are the same in that, one at least.
 */
uint64_t index_dirty_run(const struct index *index, uint64_t block,
			 uint64_t count, bool *ret_dirty);

#endif
