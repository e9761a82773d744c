/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_buffers.c - the data memory of one connection.
 *
 * Used on the loop by the connection that owns it. The budget is 64 MiB in
 * chunks, enough for two requests of the longest kind, beside the small
 * buffers, which can't run out: there is one for each slot.
 */
#include "nbd_buffers.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

/* In the mapping: small buffers, chunks, tables. */
#define SMALL_TOTAL ((size_t)NBD_SLOTS_MAX * NBD_SMALL_BYTES)
#define CHUNK_TOTAL ((size_t)NBD_CHUNKS_MAX * NBD_CHUNK_BYTES)
#define TABLE_TOTAL (sizeof(struct iovec[NBD_SLOTS_MAX][NBD_IOV_MAX]))
#define MEMORY_BYTES (SMALL_TOTAL + CHUNK_TOTAL + TABLE_TOTAL)

/* What a quiet connection keeps, and what is given back in one go. */
#define KEPT_CHUNKS 8u
#define SHRINK_CHUNKS 16u

static_assert(NBD_IOV_MAX * NBD_CHUNK_BYTES == NBD_BLOCK_BYTES_MAX,
	      "the longest request is a whole number of chunks");
static_assert(NBD_CHUNKS_MAX >= NBD_IOV_MAX,
	      "the longest request fits into the budget");

int nbd_buffers_create(struct nbd_buffers *buffers)
{
	void *memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;
	buffers->memory = memory;
	buffers->tables = (void *)(buffers->memory + SMALL_TOTAL + CHUNK_TOTAL);
	buffers->touched = 0;
	buffers->free_count = NBD_CHUNKS_MAX;
	for (uint32_t i = 0; i < NBD_CHUNKS_MAX; i++)
		buffers->free[i] = (uint16_t)(NBD_CHUNKS_MAX - 1 - i);
	return 0;
}

void nbd_buffers_destroy(struct nbd_buffers *buffers)
{
	assert(buffers->free_count == NBD_CHUNKS_MAX);
	munmap(buffers->memory, MEMORY_BYTES);
	buffers->memory = NULL;
}

static uint8_t *chunk_address(const struct nbd_buffers *buffers, uint16_t chunk)
{
	return buffers->memory + SMALL_TOTAL + (size_t)chunk * NBD_CHUNK_BYTES;
}

static uint32_t take_chunks(struct nbd_buffers *buffers, uint32_t length,
			    struct iovec *iov)
{
	uint32_t count = (length + NBD_CHUNK_BYTES - 1) / NBD_CHUNK_BYTES;

	assert(count <= NBD_IOV_MAX);
	if (count > buffers->free_count)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		uint16_t chunk = buffers->free[--buffers->free_count];

		if (chunk >= buffers->touched)
			buffers->touched = chunk + 1u;
		iov[i].iov_base = chunk_address(buffers, chunk);
		iov[i].iov_len =
			length < NBD_CHUNK_BYTES ? length : NBD_CHUNK_BYTES;
		length -= (uint32_t)iov[i].iov_len;
	}
	return count;
}

uint32_t nbd_buffers_take(struct nbd_buffers *buffers, uint32_t slot,
			  uint32_t length, const struct iovec **ret_iov)
{
	struct iovec *small = &buffers->small[slot];

	assert(slot < NBD_SLOTS_MAX && length > 0);
	if (length > NBD_SMALL_BYTES) {
		*ret_iov = buffers->tables[slot];
		return take_chunks(buffers, length, buffers->tables[slot]);
	}
	small->iov_base = buffers->memory + (size_t)slot * NBD_SMALL_BYTES;
	small->iov_len = length;
	*ret_iov = small;
	return 1;
}

void nbd_buffers_shorten(struct nbd_buffers *buffers, uint32_t slot,
			 uint32_t length)
{
	assert(slot < NBD_SLOTS_MAX && length <= buffers->small[slot].iov_len);
	buffers->small[slot].iov_len = length;
}

void nbd_buffers_give_back(struct nbd_buffers *buffers, const struct iovec *iov,
			   uint32_t count)
{
	const uint8_t *chunks = chunk_address(buffers, 0);

	/* Last in, first out, so that a chunk is reused while it is warm. */
	for (uint32_t i = count; i > 0; i--) {
		const uint8_t *base = iov[i - 1].iov_base;

		if (base < chunks)
			continue; /* a slot's own */
		assert(buffers->free_count < NBD_CHUNKS_MAX);
		buffers->free[buffers->free_count++] =
			(uint16_t)((size_t)(base - chunks) / NBD_CHUNK_BYTES);
	}
}

bool nbd_buffers_swollen(const struct nbd_buffers *buffers)
{
	return buffers->free_count == NBD_CHUNKS_MAX &&
	       buffers->touched > KEPT_CHUNKS;
}

bool nbd_buffers_shrink(struct nbd_buffers *buffers)
{
	uint32_t end = buffers->touched;
	uint32_t first;

	if (!nbd_buffers_swollen(buffers))
		return false;
	first = end > KEPT_CHUNKS + SHRINK_CHUNKS ? end - SHRINK_CHUNKS
						  : KEPT_CHUNKS;
	madvise(chunk_address(buffers, (uint16_t)first),
		(size_t)(end - first) * NBD_CHUNK_BYTES, MADV_DONTNEED);
	buffers->touched = first;
	return nbd_buffers_swollen(buffers);
}
