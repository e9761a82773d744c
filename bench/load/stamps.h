/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stamps.h - knows what each block of the disk must hold.
 *
 * Every 512 bytes that are written carry their own sector number and a
 * sequence number that fills the rest, so that a sector that is old, torn or
 * somebody else's is told from the right one. A block has at most one request
 * at a time: its content is always certain.
 */
#ifndef FOREBAY_BENCH_STAMPS_H
#define FOREBAY_BENCH_STAMPS_H

#include <stdbool.h>
#include <stdint.h>

struct stamps {
	uint64_t block_count;
	uint32_t block_bytes;
	uint32_t *sequences; /* of each block; 0: never written here */
	uint32_t *pending; /* of the write under way */
	uint8_t *busy;
	uint64_t failures;
	uint64_t first_failure; /* block */
};

int stamps_create(struct stamps *stamps, uint64_t block_count,
		  uint32_t block_bytes);
void stamps_destroy(struct stamps *stamps);

/* Returns: false if a request for the block is under way. */
bool stamps_take(struct stamps *stamps, uint64_t block);
/* Fills the data of the next write to the block. */
void stamps_fill(struct stamps *stamps, uint64_t block, void *data);
/* A request for the block has ended well; checks what a read brought. */
void stamps_end_write(struct stamps *stamps, uint64_t block);
void stamps_end_read(struct stamps *stamps, uint64_t block, const void *data);
/* It has failed: a write may have happened or not. */
void stamps_end_failed(struct stamps *stamps, uint64_t block);

#endif
