// SPDX-License-Identifier: Apache-2.0
/*
 * io.c - actions on their way out, slots, buffers, and walking iovecs.
 *
 * Pools are stacks and lists filled once: nothing is allocated later. Whoever
 * finds a pool empty waits in a list of his own part.
 */
#include "core.h"

#include <assert.h>
#include <string.h>

#include "crc32c.h"

void io_init(struct engine *engine)
{
	struct io_pool *pool = &engine->io;

	list_init(&pool->out);
	list_init(&pool->completed);
	list_init(&pool->free_slots);
	for (uint32_t i = 0; i < SLOTS_COUNT; i++)
		list_append(&pool->free_slots, &pool->slots[i].link);
	for (uint32_t i = 0; i < BUFFERS_COUNT; i++)
		pool->free_buffers[i] = (uint16_t)i;
	pool->free_buffer_count = BUFFERS_COUNT;
}

void io_out(struct engine *engine, struct engine_io *io)
{
	engine->io.in_flight++;
	io->began_ns = engine->now_ns;
	list_append(&engine->io.out, &io->link);
}

static enum width_kind kind_of(enum engine_io_type type)
{
	return type == ENGINE_SSD_READ	  ? WIDTH_SSD_READ
	       : type == ENGINE_SSD_WRITE ? WIDTH_SSD_WRITE
					  : WIDTH_BELOW_READ;
}

void io_time(struct engine *engine, const struct engine_io *io)
{
	struct timed_ios *timed = &engine->io.timed[kind_of(io->type)];

	timed->count++;
	timed->began_sum_ns += io->began_ns;
}

struct io_slot *io_slot_get(struct engine *engine)
{
	struct list *node = engine->io.free_slots.next;
	struct io_slot *slot;

	if (list_is_empty(&engine->io.free_slots))
		return NULL;
	list_remove(node);
	slot = list_entry(node, struct io_slot, link);
	memset(slot, 0, offsetof(struct io_slot, iov));
	list_init(&slot->link);
	return slot;
}

void io_slot_put(struct engine *engine, struct io_slot *slot)
{
	assert(!slot->pinned && !slot->piece_pinned && !slot->buffer);
	list_append(&engine->io.free_slots, &slot->link);
	engine->progress = true;
}

bool io_buffers_free(const struct engine *engine, uint32_t count)
{
	return engine->io.free_buffer_count >= BUFFERS_RESERVE + count;
}

uint8_t *io_buffer_get(struct engine *engine, bool reserve)
{
	struct io_pool *pool = &engine->io;

	if (pool->free_buffer_count <= (reserve ? 0 : BUFFERS_RESERVE))
		return NULL;
	pool->free_buffer_count--;
	return pool->buffers +
	       (size_t)pool->free_buffers[pool->free_buffer_count] *
		       LOG_BLOCK_BYTES;
}

void io_buffer_put(struct engine *engine, uint8_t *buffer)
{
	struct io_pool *pool = &engine->io;
	size_t number = (size_t)(buffer - pool->buffers) / LOG_BLOCK_BYTES;

	assert(number < BUFFERS_COUNT &&
	       pool->free_buffer_count < BUFFERS_COUNT);
	pool->free_buffers[pool->free_buffer_count++] = (uint16_t)number;
	engine->progress = true;
}

void io_request_done(struct engine *engine, struct engine_request *request,
		     int status)
{
	request->status = status;
	list_append(&engine->io.completed, &request->link);
	engine->progress = true;
}

struct iov_cursor io_seek(const struct engine_request *request, uint64_t offset)
{
	struct iov_cursor cursor = {0};

	while (offset > 0 && offset >= request->iov[cursor.index].iov_len) {
		offset -= request->iov[cursor.index].iov_len;
		cursor.index++;
		assert(cursor.index < request->iov_count || offset == 0);
	}
	cursor.offset = offset;
	return cursor;
}

uint32_t io_slice(const struct engine_request *request,
		  struct iov_cursor *cursor, uint64_t bytes, struct iovec *out,
		  uint32_t max, uint64_t *ret_bytes)
{
	uint32_t count = 0;
	uint64_t taken = 0;

	while (taken < bytes && count < max) {
		const struct iovec *from = &request->iov[cursor->index];
		size_t part = from->iov_len - cursor->offset;

		assert(cursor->index < request->iov_count);
		if (part > bytes - taken)
			part = bytes - taken;
		if (part > 0)
			out[count++] = (struct iovec){
				(uint8_t *)from->iov_base + cursor->offset,
				part};
		taken += part;
		cursor->offset += part;
		if (cursor->offset == from->iov_len) {
			cursor->index++;
			cursor->offset = 0;
		}
	}
	*ret_bytes = taken;
	return count;
}

void io_copy_in(struct engine *engine, const struct engine_request *request,
		uint64_t offset, void *to, size_t bytes)
{
	struct iov_cursor cursor = io_seek(request, offset);
	uint8_t *at = to;

	engine->stats.copied_bytes += bytes;
	while (bytes > 0) {
		struct iovec part;
		uint64_t got;

		io_slice(request, &cursor, bytes, &part, 1, &got);
		memcpy(at, part.iov_base, got);
		at += got;
		bytes -= got;
	}
}

void io_copy_out(struct engine *engine, const struct engine_request *request,
		 uint64_t offset, const void *from, size_t bytes)
{
	struct iov_cursor cursor = io_seek(request, offset);
	const uint8_t *at = from;

	engine->stats.copied_bytes += bytes;
	while (bytes > 0) {
		struct iovec part;
		uint64_t got;

		io_slice(request, &cursor, bytes, &part, 1, &got);
		memcpy(part.iov_base, at, got);
		at += got;
		bytes -= got;
	}
}

void io_zero(const struct engine_request *request, struct iov_cursor *cursor,
	     uint64_t bytes)
{
	while (bytes > 0) {
		struct iovec part;
		uint64_t got;

		io_slice(request, cursor, bytes, &part, 1, &got);
		memset(part.iov_base, 0, got);
		bytes -= got;
	}
}

uint32_t io_check(uint32_t seed, uint64_t block, const struct iovec *iov,
		  struct iov_cursor *cursor)
{
	uint32_t check = log_check_start(seed, block);
	size_t left = LOG_BLOCK_BYTES;

	while (left > 0) {
		const struct iovec *from = &iov[cursor->index];
		size_t part = from->iov_len - cursor->offset;

		if (part > left)
			part = left;
		check = crc32c(check,
			       (const uint8_t *)from->iov_base + cursor->offset,
			       part);
		left -= part;
		cursor->offset += part;
		if (cursor->offset == from->iov_len) {
			cursor->index++;
			cursor->offset = 0;
		}
	}
	return check;
}
