// SPDX-License-Identifier: Apache-2.0
/*
 * bottom.c - turns requests into the backend's operations, one to one.
 *
 * The operation lies in the request's context, so nothing is allocated. An
 * error is passed up as it is, and told to the operator at most once a second.
 */
#include "bottom.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "extents.h"
#include "log.h"
#include "operation_name.h"

#define REPORT_INTERVAL_NS UINT64_C(1000000000)

static_assert((int)FOREBAY_READ == (int)BACKEND_READ &&
		      (int)FOREBAY_WRITE == (int)BACKEND_WRITE &&
		      (int)FOREBAY_FLUSH == (int)BACKEND_FLUSH &&
		      (int)FOREBAY_DISCARD == (int)BACKEND_DISCARD &&
		      (int)FOREBAY_WRITE_ZEROES == (int)BACKEND_WRITE_ZEROES,
	      "operations have the same numbers in both layers");
static_assert((int)FOREBAY_EXTENTS == (int)BACKEND_EXTENTS &&
		      (int)FOREBAY_CACHE == (int)BACKEND_CACHE,
	      "these too");
static_assert(FOREBAY_FUA == BACKEND_FUA &&
		      FOREBAY_NO_HOLE == BACKEND_NO_HOLE &&
		      FOREBAY_FAST == BACKEND_FAST &&
		      FOREBAY_EXTENT_HOLE == BACKEND_EXTENT_HOLE &&
		      FOREBAY_EXTENT_ZERO == BACKEND_EXTENT_ZERO,
	      "flags have the same bits in both layers");

struct bottom_io {
	struct backend_io io;
	struct bottom *bottom;
	uint64_t extents_left; /* bytes that no extent covers yet */
};

__attribute__((cold)) static void report(struct bottom *bottom,
					 const struct backend_io *io,
					 int status)
{
	uint64_t now = loop_now_ns(bottom->loop);

	bottom->error_count++;
	if (bottom->error_count > 1 &&
	    now - bottom->last_report_ns < REPORT_INTERVAL_NS) {
		bottom->unreported++;
		return;
	}
	log_error("the backend of disk %s failed a %s of %" PRIu64
		  " bytes at %" PRIu64 ": %s (%" PRIu64
		  " more since the last report)",
		  bottom->name,
		  operation_name((enum forebay_operation)io->operation),
		  io->length, io->offset, strerror(-status),
		  bottom->unreported);
	bottom->last_report_ns = now;
	bottom->unreported = 0;
}

/* That zeroes would be slow is an answer, and no failure of the backend. */
static bool is_failure(const struct backend_io *io, int result)
{
	return result != -EOPNOTSUPP || !(io->flags & BACKEND_FAST);
}

static void on_done(struct backend_io *io, int result)
{
	struct forebay_request *request = io->owner;

	if (__builtin_expect(result < 0, 0) && is_failure(io, result))
		report(((struct bottom_io *)io)->bottom, io, result);
	chain_complete(request, result);
}

static bool add_extent(struct backend_io *io, uint64_t length, uint32_t flags)
{
	struct bottom_io *below = (struct bottom_io *)io;
	struct forebay_request *request = io->owner;

	if (length > below->extents_left)
		length = below->extents_left;
	if (length == 0 || !extents_add(request->user.extents, length, flags))
		return false;
	below->extents_left -= length;
	return below->extents_left > 0;
}

/* A driver that found out nothing has at least not found a hole. */
static void on_extents(struct backend_io *io, int result)
{
	struct forebay_request *request = io->owner;

	if (result == 0 && request->user.extents->count == 0)
		extents_add(request->user.extents, io->length, 0);
	on_done(io, result);
}

static void bottom_submit(void *state, struct forebay_request *request)
{
	struct bottom *bottom = state;
	struct bottom_io *below = chain_context(request);

	/* The backend copies what its storage can't take as it is. */
	if (__builtin_expect((request->user.offset | request->user.length) &
				     bottom->alignment_mask,
			     0))
		*bottom->copied_bytes += request->user.length;
	below->bottom = bottom;
	below->io.operation = (enum backend_operation)request->user.operation;
	below->io.flags = request->user.flags;
	below->io.iov = request->user.iov;
	below->io.iov_count = request->user.iov_count;
	below->io.offset = request->user.offset;
	below->io.length = request->user.length;
	below->io.done = on_done;
	if (__builtin_expect(request->user.operation == FOREBAY_EXTENTS, 0)) {
		below->io.done = on_extents;
		below->io.add_extent = add_extent;
		below->extents_left = request->user.length;
	}
	below->io.owner = request;
	backend_submit(bottom->backend, &below->io);
}

void bottom_join(struct bottom *bottom, struct chain *chain)
{
	const struct chain_layer layer = {
		.submit = bottom_submit,
		.state = bottom,
		.operations = backend_info(bottom->backend)->operations,
		.context_bytes = sizeof(struct bottom_io),
	};

	bottom->alignment_mask =
		backend_info(bottom->backend)->alignment_bytes - 1;
	chain_add(chain, &layer);
}
