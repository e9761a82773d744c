// SPDX-License-Identifier: Apache-2.0
/* memory_backend.c - one backend at a time; it completes a turn later. */
#include "memory_backend.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct backend {
	struct backend_info info;
	struct loop *loop;
	struct backend_io *waiting; /* linked through driver_private[0] */
	struct backend_io **waiting_end;
	struct loop_deferred deferred;
};

struct memory_backend memory_backend;
static struct backend *opened;

void memory_backend_reset(void)
{
	memset(&memory_backend, 0, sizeof(memory_backend));
	memory_backend.operations = 0x7f;
	memory_backend.reads_in_order = true;
}

/* Blocks of zeros are holes. Tells more than the range, as drivers may. */
static void tell_extents(struct backend_io *io)
{
	static const unsigned char zeros[MEMORY_BACKEND_HOLE_BYTES];
	bool more = true;

	for (uint64_t at = io->offset; at < MEMORY_BACKEND_BYTES && more;
	     at += sizeof(zeros))
		more = io->add_extent(io, sizeof(zeros),
				      memcmp(memory_backend.image + at, zeros,
					     sizeof(zeros)) == 0
					      ? BACKEND_EXTENT_HOLE |
							BACKEND_EXTENT_ZERO
					      : 0);
}

static int carry_out(struct backend_io *io)
{
	unsigned char *at = memory_backend.image + io->offset;

	assert(io->offset + io->length <= MEMORY_BACKEND_BYTES);
	if (memory_backend.fail_status < 0)
		return memory_backend.fail_status;
	if (io->operation == BACKEND_EXTENTS)
		tell_extents(io);
	if (io->operation == BACKEND_CACHE)
		memory_backend.cache_count++;
	if (io->operation == BACKEND_WRITE) {
		memory_backend.write_count++;
		memory_backend.fua_count += io->flags == BACKEND_FUA;
		if (io->length > memory_backend.longest_write_bytes)
			memory_backend.longest_write_bytes = io->length;
		if (memory_backend.fail_after == memory_backend.write_count)
			return -EIO;
	}
	if (io->operation == BACKEND_FLUSH)
		memory_backend.flush_count++;
	if (io->operation == BACKEND_WRITE_ZEROES ||
	    io->operation == BACKEND_DISCARD)
		memset(at, 0, io->length);
	if (io->operation == BACKEND_READ) {
		if (io->offset < memory_backend.last_read_offset)
			memory_backend.reads_in_order = false;
		memory_backend.last_read_offset = io->offset;
	}
	for (uint32_t i = 0; i < io->iov_count; i++) {
		const struct iovec *iov = &io->iov[i];

		if (io->operation == BACKEND_READ)
			memcpy(iov->iov_base, at, iov->iov_len);
		else if (io->operation == BACKEND_WRITE)
			memcpy(at, iov->iov_base, iov->iov_len);
		at += iov->iov_len;
	}
	return 0;
}

static void complete_waiting(struct loop_deferred *deferred)
{
	struct backend *backend = deferred->owner;
	struct backend_io *io = backend->waiting;

	if (memory_backend.held)
		return;
	backend->waiting = NULL;
	backend->waiting_end = &backend->waiting;
	while (io) {
		struct backend_io *next = io->driver_private[0];

		io->done(io, carry_out(io));
		io = next;
	}
}

void memory_backend_release(void)
{
	memory_backend.held = false;
	loop_defer(opened->loop, &opened->deferred);
}

void backend_submit(struct backend *backend, struct backend_io *io)
{
	if (memory_backend.at_once) {
		io->done(io, carry_out(io));
		return;
	}
	io->driver_private[0] = NULL;
	*backend->waiting_end = io;
	backend->waiting_end = (struct backend_io **)&io->driver_private[0];
	loop_defer(backend->loop, &backend->deferred);
}

void backend_open(struct loop *loop, struct backend_open_request *request)
{
	struct backend *backend;
	struct error error;

	if (memory_backend.open_status < 0) {
		error_set(&error, memory_backend.open_status,
			  "the image is locked");
		request->done(request, error.code, NULL, &error);
		return;
	}
	backend = calloc(1, sizeof(*backend));
	assert(backend);
	backend->info.size_bytes = MEMORY_BACKEND_BYTES;
	backend->info.alignment_bytes = 512;
	backend->info.operations = memory_backend.operations;
	backend->loop = loop;
	backend->waiting_end = &backend->waiting;
	backend->deferred.run = complete_waiting;
	backend->deferred.owner = backend;
	memory_backend.open = true;
	opened = backend;
	request->done(request, 0, backend, NULL);
}

const struct backend_info *backend_info(const struct backend *backend)
{
	return &backend->info;
}

int backend_grow(struct backend *backend, uint64_t size_bytes,
		 struct error *error)
{
	(void)backend;
	(void)size_bytes;
	return error_set(error, -EOPNOTSUPP, "memory doesn't grow");
}

void backend_close(struct backend *backend)
{
	if (!backend)
		return;
	assert(!backend->waiting);
	memory_backend.open = false;
	free(backend);
}

void backend_facts(const struct backend *backend,
		   struct backend_facts *ret_facts)
{
	(void)backend;
	*ret_facts = (struct backend_facts){0};
}

void backend_status(const struct backend *backend,
		    struct backend_status *ret_status)
{
	(void)backend;
	*ret_status = (struct backend_status){0};
}
