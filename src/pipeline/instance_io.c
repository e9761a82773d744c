// SPDX-License-Identifier: Apache-2.0
/*
 * instance_io.c - what the host keeps in an io lies in its host_private, so
 * starting one allocates nothing.
 *
 * done() is never called from inside io_submit(): a lower layer that completes
 * at once is noticed by `starting`, and its result is delivered at the end of
 * the loop's turn.
 */
#include "instance_io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stddef.h>
#include <sys/uio.h>

#include "chain.h"
#include "instance.h"
#include "loop.h"

#define UNDER_WAY UINT64_C(0x6f72656261790a1d)

struct io_private {
	struct forebay_instance *instance;
	struct forebay_io *next; /* waiting for a request */
	union {
		struct loop_io loop_io; /* on a file */
		struct sidecar_request sidecar;
	};
	struct loop_deferred late; /* delivers an early result */
	int result;
	bool starting;
	bool sync_follows; /* WRITE_ZEROES with FUA has two steps */
	/* While the host has it, and nothing that memory holds by chance. */
	uint64_t under_way;
};

static_assert(sizeof(struct io_private) <=
		      sizeof(((struct forebay_io *)0)->host_private),
	      "the host's part of an io fits");

static struct io_private *private_of(struct forebay_io *io)
{
	return (struct io_private *)io->host_private;
}

static uint64_t under_way_mark(const struct forebay_io *io)
{
	return (uintptr_t)io ^ UNDER_WAY;
}

static void take(struct forebay_instance *instance, struct forebay_io *io,
		 const char *function)
{
	struct io_private *private = private_of(io);

	if (private->under_way == under_way_mark(io))
		running_misuse(instance->filter->name, function,
			       "of an io that is under way");
	*private = (struct io_private){
		.instance = instance,
		.under_way = under_way_mark(io),
	};
	instance->ios.count++;
}

static void finish(struct forebay_io *io, int result)
{
	struct io_private *private = private_of(io);
	const struct running_place *before;

	private->instance->ios.count--;
	private->under_way = 0;
	before = instance_enter(private->instance, RUNNING_IO);
	io->done(io, result);
	running_leave(before);
}

static void on_late(struct loop_deferred *deferred)
{
	struct forebay_io *io = deferred->owner;

	finish(io, private_of(io)->result);
}

static void finish_late(struct forebay_io *io, int result)
{
	struct io_private *private = private_of(io);

	private->result = result;
	private->late.run = on_late;
	private->late.owner = io;
	loop_defer(private->instance->home->loop, &private->late);
}

/* The layers below. */

static void start_waiting(struct instance_ios *ios);

static void on_ended(struct forebay_request *request, int status)
{
	struct forebay_io *io = request->user.owner;
	struct io_private *private = private_of(io);
	struct instance_ios *ios = &private->instance->ios;

	request_pool_put(&ios->pool, request);
	if (private->starting)
		finish_late(io, status);
	else
		finish(io, status);
	start_waiting(ios);
}

static void start_below(struct forebay_io *io, struct forebay_request *request)
{
	struct io_private *private = private_of(io);

	request->user = (struct pipeline_request){
		.operation = io->operation,
		.flags = io->flags,
		.offset = io->offset,
		.length = io->length,
		.iov = io->iov,
		.iov_count = io->iov_count,
		.owner = io,
		.submitted_ns = loop_now_ns(private->instance->home->loop),
	};
	request->ended = on_ended;
	private->starting = true;
	chain_submit(request, private->instance->layer + 1);
	private->starting = false;
}

/* What ends at once must not start the next from inside of itself: a long queue
 * would eat the stack. */
static void start_waiting(struct instance_ios *ios)
{
	if (ios->starting)
		return;
	ios->starting = true;
	while (ios->waiting_first) {
		struct forebay_io *io = ios->waiting_first;
		struct forebay_request *request = request_pool_get(&ios->pool);

		if (!request)
			break;
		ios->waiting_first = private_of(io)->next;
		start_below(io, request);
	}
	ios->starting = false;
}

static void submit_below(struct forebay_instance *instance,
			 struct forebay_io *io)
{
	struct instance_ios *ios = &instance->ios;

	if (io->operation == FOREBAY_EXTENTS) {
		finish_late(io, -EOPNOTSUPP);
		return;
	}
	if (!request_fits(io->operation, io->offset, io->length, io->iov_count,
			  instance->home->disk.size_bytes)) {
		finish_late(io, -EINVAL);
		return;
	}
	private_of(io)->next = NULL;
	if (ios->waiting_first)
		private_of(ios->waiting_last)->next = io;
	else
		ios->waiting_first = io;
	ios->waiting_last = io;
	start_waiting(ios);
}

/* A file of the filter. */

static void on_file_done(struct loop_io *loop_io, int result)
{
	struct forebay_io *io = loop_io->owner;
	struct io_private *private = private_of(io);
	bool transfers =
		io->operation == FOREBAY_READ || io->operation == FOREBAY_WRITE;

	if (result >= 0 && private->sync_follows) {
		private->sync_follows = false;
		loop_fdatasync(private->instance->home->loop, loop_io,
			       io->file);
		return;
	}
	if (result >= 0 && transfers && (uint64_t)result != io->length)
		result = -EIO;
	finish(io, result < 0 ? result : 0);
}

static void submit_file(struct loop *loop, struct forebay_io *io)
{
	struct io_private *private = private_of(io);
	struct loop_io *loop_io = &private->loop_io;
	bool fua = io->flags & FOREBAY_FUA;

	loop_io->done = on_file_done;
	loop_io->owner = io;
	private->sync_follows = false;
	switch (io->operation) {
	case FOREBAY_READ:
		loop_readv(loop, loop_io, io->file, io->iov, io->iov_count,
			   io->offset, 0);
		return;
	case FOREBAY_WRITE:
		loop_writev(loop, loop_io, io->file, io->iov, io->iov_count,
			    io->offset, fua ? RWF_DSYNC : 0);
		return;
	case FOREBAY_FLUSH:
		loop_fdatasync(loop, loop_io, io->file);
		return;
	case FOREBAY_DISCARD:
		loop_fallocate(loop, loop_io, io->file,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       io->offset, io->length);
		return;
	case FOREBAY_WRITE_ZEROES:
		private
		->sync_follows = fua;
		loop_fallocate(loop, loop_io, io->file,
			       (io->flags & FOREBAY_NO_HOLE
					? FALLOC_FL_ZERO_RANGE
					: FALLOC_FL_PUNCH_HOLE) |
				       FALLOC_FL_KEEP_SIZE,
			       io->offset, io->length);
		return;
	case FOREBAY_EXTENTS:
	case FOREBAY_CACHE:
		break;
	}
	finish_late(io, -EOPNOTSUPP);
}

/* A sidecar. */

static void on_sidecar_done(struct sidecar_request *request, int result)
{
	struct forebay_io *io = request->owner;

	if (private_of(io)->starting)
		finish_late(io, result);
	else
		finish(io, result);
}

static void start_sidecar(struct forebay_instance *instance,
			  struct forebay_io *io, enum sidecar_request_kind kind)
{
	struct io_private *private = private_of(io);
	int status;

	private->sidecar = (struct sidecar_request){
		.kind = kind,
		.more = io->flags & FOREBAY_MORE,
		.length = io->length,
		.done = on_sidecar_done,
		.owner = io,
	};
	if (kind == SIDECAR_READ || kind == SIDECAR_WRITE) {
		private->sidecar.offset = io->offset;
		private->sidecar.iov = io->iov;
		private->sidecar.iov_count = io->iov_count;
	}
	private->starting = true;
	status = instance_sidecar_submit(instance, io->file, &private->sidecar);
	private->starting = false;
	if (status < 0)
		finish_late(io, status);
}

static void submit_sidecar(struct forebay_instance *instance,
			   struct forebay_io *io)
{
	uint32_t known = io->operation == FOREBAY_WRITE ? FOREBAY_MORE : 0;

	if (io->flags & ~known) {
		finish_late(io, -EINVAL);
		return;
	}
	switch (io->operation) {
	case FOREBAY_READ:
		start_sidecar(instance, io, SIDECAR_READ);
		return;
	case FOREBAY_WRITE:
		start_sidecar(instance, io, SIDECAR_WRITE);
		return;
	case FOREBAY_FLUSH:
		start_sidecar(instance, io, SIDECAR_FLUSH);
		return;
	case FOREBAY_DISCARD:
	case FOREBAY_WRITE_ZEROES:
	case FOREBAY_EXTENTS:
	case FOREBAY_CACHE:
		break;
	}
	finish_late(io, -EOPNOTSUPP);
}

void instance_io_resize(struct forebay_instance *instance,
			struct forebay_io *io)
{
	take(instance, io, "sidecar_resize()");
	if (io->flags != 0)
		finish_late(io, -EINVAL);
	else
		start_sidecar(instance, io, SIDECAR_RESIZE);
}

int instance_io_prepare(struct forebay_instance *instance)
{
	struct chain *chain = instance->home->chain;

	return request_pool_init(&instance->ios.pool, chain,
				 chain->context_bytes, INSTANCE_IOS_BELOW_MAX);
}

void instance_io_release(struct forebay_instance *instance)
{
	request_pool_release(&instance->ios.pool);
}

void instance_io_submit(struct forebay_instance *instance,
			struct forebay_io *io)
{
	take(instance, io, "io_submit()");
	if (io->file == FOREBAY_BELOW)
		submit_below(instance, io);
	else if (instance_sidecar_is(io->file))
		submit_sidecar(instance, io);
	else
		submit_file(instance->home->loop, io);
}
