/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_buffers.h - the data memory of one connection.
 *
 * One mapping with the budget of the connection, so a client's length never
 * decides what is allocated. Pages cost memory only once they are used.
 *
 *   small: one buffer per slot, packed so that they share the CPU's cache well
 *   chunks: for longer requests, as many as the length needs, in any places
 */
#ifndef FOREBAY_EXPORT_NBD_BUFFERS_H
#define FOREBAY_EXPORT_NBD_BUFFERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "nbd_protocol.h"

/* Requests in flight of one connection; each has a slot. */
#define NBD_SLOTS_MAX 64u
#define NBD_SMALL_BYTES (16u << 10)
#define NBD_CHUNK_BYTES (128u << 10)
#define NBD_CHUNKS_MAX 512u
/* Entries of the iovec of the longest request. */
#define NBD_IOV_MAX (NBD_BLOCK_BYTES_MAX / NBD_CHUNK_BYTES)

struct nbd_buffers {
	uint8_t *memory;
	/* A slot's iovec: one entry, packed, or the table of a long request. */
	struct iovec small[NBD_SLOTS_MAX];
	struct iovec (*tables)[NBD_IOV_MAX];
	uint32_t touched; /* chunks below this one may cost memory */
	uint32_t free_count;
	uint16_t free[NBD_CHUNKS_MAX]; /* a stack: the warmest on top */
};

/* Returns: 0 or -ENOMEM. */
int nbd_buffers_create(struct nbd_buffers *buffers);
void nbd_buffers_destroy(struct nbd_buffers *buffers);
/*
 * Page-aligned memory of @length bytes, at most NBD_BLOCK_BYTES_MAX, for slot
 * @slot. *ret_iov is the buffers' and lives until the memory is given back.
 * Returns: the number of entries, or 0 when the budget is used up.
 */
uint32_t nbd_buffers_take(struct nbd_buffers *buffers, uint32_t slot,
			  uint32_t length, const struct iovec **ret_iov);
/* Of a slot's small buffer only the first @length bytes are wanted now. */
void nbd_buffers_shorten(struct nbd_buffers *buffers, uint32_t slot,
			 uint32_t length);
void nbd_buffers_give_back(struct nbd_buffers *buffers, const struct iovec *iov,
			   uint32_t count);
/* Whether a quiet connection holds more memory than it should keep. */
bool nbd_buffers_swollen(const struct nbd_buffers *buffers);
/*
 * Gives a part of that back to the system, little enough not to be felt.
 * Returns: whether there is more to give back now.
 */
bool nbd_buffers_shrink(struct nbd_buffers *buffers);

#endif
