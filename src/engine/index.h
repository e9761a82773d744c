/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.h - block number -> where its newest copy is, and how it is.
 *
 * A radix of two levels: a directory with one number a 2 MiB leaf of the disk,
 * and leaves of 512 slots. Leaves come from a pool and go back, all zeros, when
 * their last slot is unmapped. The index changes in the order of the log's
 * sequence only (rule 3), by apply.c and eviction.
 *
 * Its memory outlives the process: each store can be undone, and the caller
 * says with undo_commit() which belong together.
 */
#ifndef FOREBAY_ENGINE_INDEX_H
#define FOREBAY_ENGINE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "undo.h"

#define INDEX_LEAF_BLOCKS 512u

/* One block's copy. location 0 = not cached. */
struct index_slot {
	uint32_t location;
	uint32_t check;
};

struct index_leaf {
	struct index_slot slots[INDEX_LEAF_BLOCKS];
	uint64_t dirty[INDEX_LEAF_BLOCKS / 64];
	uint64_t lost[INDEX_LEAF_BLOCKS / 64]; /* dirty, but unreadable */
	uint8_t masks[INDEX_LEAF_BLOCKS]; /* valid sectors */
	uint32_t used; /* slots with a location */
	uint32_t next_free; /* number of the next leaf in the free list */
};

struct index_root {
	uint32_t pool_used; /* leaves that were ever taken */
	uint32_t free_head; /* leaf number + 1 */
};

/* What outlives the process. The caller's, as long as the index. */
struct index_memory {
	struct index_root *root;
	uint32_t *directory; /* leaf number + 1, 0 = none */
	struct index_leaf *leaves;
	struct undo *undo;
};

struct index {
	struct index_memory memory;
	uint64_t leaf_count; /* of the disk */
	uint32_t pool_count;
};

/* What stands at a block. */
struct index_copy {
	uint32_t location; /* 0 = not cached */
	uint32_t check;
	uint8_t mask;
	bool dirty;
	bool lost;
};

/* Leaves that a disk and a cache of these sizes can need at once. */
uint64_t index_leaves_needed(uint64_t disk_blocks, uint64_t cache_blocks);
/* On memory as an index left it, or as index_clear() does. */
void index_init(struct index *index, uint64_t disk_blocks, uint32_t pool_count,
		const struct index_memory *memory);
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
 * Finds the first cached block at or after *block. Returns: false if there is
 * none.
 */
bool index_next(const struct index *index, uint64_t *block);
/*
 * Whether @block is dirty. Returns: how many of the @count blocks from it on
 * are the same in that, one at least.
 */
uint64_t index_dirty_run(const struct index *index, uint64_t block,
			 uint64_t count, bool *ret_dirty);

#endif
