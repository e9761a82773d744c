// SPDX-License-Identifier: Apache-2.0
/*
 * sidecar_read.c - a READ takes each block from where it is newest.
 *
 * One piece after the other: as many blocks as lie side by side, in the data or
 * in the journal. Who reads in the journal is counted, in the phase in which he
 * began: its place isn't used again before all of that phase have ended.
 */
#include <errno.h>

#include "sidecar_store_private.h"

#define IN_DATA 2u

/* Part of an iovec. Returns: the entries of @ret_part. */
static uint32_t slice(const struct iovec *iov, uint64_t skip, uint64_t bytes,
		      struct iovec *ret_part)
{
	uint32_t count = 0;

	for (; bytes > 0; iov++) {
		uint64_t part;

		if (skip >= iov->iov_len) {
			skip -= iov->iov_len;
			continue;
		}
		part = iov->iov_len - skip;
		if (part > bytes)
			part = bytes;
		ret_part[count++] = (struct iovec){
			.iov_base = (uint8_t *)iov->iov_base + skip,
			.iov_len = part,
		};
		bytes -= part;
		skip = 0;
	}
	return count;
}

/* Returns: how many blocks from @block on lie as the first one does. */
static uint32_t run_length(const struct sidecar_store *store, uint32_t block,
			   uint32_t most, uint32_t location)
{
	uint32_t count = 1;

	if (store->index.count == 0)
		return most;
	while (count < most &&
	       sidecar_index_get(&store->index, block + count) ==
		       (location ? location + count : 0))
		count++;
	return count;
}

static void next_piece(struct sidecar_store *store, uint32_t number)
{
	struct sidecar_reader *reader = &store->readers[number];
	const struct sidecar_request *request = reader->request;
	uint64_t offset = request->offset + reader->done_bytes;
	uint64_t left = request->length - reader->done_bytes;
	uint32_t block = (uint32_t)(offset / SIDECAR_BLOCK_BYTES);
	uint32_t location = sidecar_index_get(&store->index, block);
	uint32_t count = run_length(
		store, block, (uint32_t)(left / SIDECAR_BLOCK_BYTES), location);
	struct sidecar_io io = {
		.kind = SIDECAR_IO_READ,
		.iov = reader->iov,
	};

	reader->piece_bytes = (uint64_t)count * SIDECAR_BLOCK_BYTES;
	io.offset = location ? (uint64_t)location * SIDECAR_BLOCK_BYTES
			     : sidecar_data_offset(store, block);
	io.length = reader->piece_bytes;
	io.iov_count = slice(request->iov, reader->done_bytes,
			     reader->piece_bytes, reader->iov);
	reader->phase = location ? store->phase : IN_DATA;
	if (location)
		store->phase_readers[store->phase]++;
	sidecar_start(store, number, &io);
}

void sidecar_read_start(struct sidecar_store *store)
{
	for (uint32_t i = 0; i < SIDECAR_STORE_READS_MAX && store->reads.first;
	     i++) {
		struct sidecar_reader *reader = &store->readers[i];

		if (reader->request)
			continue;
		reader->request = sidecar_list_take(&store->reads);
		reader->done_bytes = 0;
		next_piece(store, i);
	}
}

void sidecar_read_done(struct sidecar_store *store, uint32_t number, int result)
{
	struct sidecar_reader *reader = &store->readers[number];
	struct sidecar_request *request = reader->request;

	if (reader->phase != IN_DATA)
		store->phase_readers[reader->phase]--;
	reader->done_bytes += reader->piece_bytes;
	if (result == 0 && reader->done_bytes < request->length) {
		next_piece(store, number);
		return;
	}
	reader->request = NULL;
	sidecar_finish(store, request, result);
}
