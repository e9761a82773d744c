// SPDX-License-Identifier: Apache-2.0
/* loop_host.c - keeps the loop's objects in the host_private of the runner's.
 */
#include "loop_host.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct io_private {
	struct loop_host *host;
	struct loop_io loop_io;
	struct loop_deferred late;
	int result;
};

struct timer_private {
	struct loop_host *host;
	struct loop_timer timer;
};

struct deferred_private {
	struct loop_host *host;
	struct loop_deferred deferred;
};

static_assert(sizeof(struct io_private) <=
		      sizeof(((struct forebay_io *)0)->host_private),
	      "fits");
static_assert(sizeof(struct timer_private) <=
		      sizeof(((struct forebay_timer *)0)->host_private),
	      "fits");
static_assert(sizeof(struct deferred_private) <=
		      sizeof(((struct forebay_deferred *)0)->host_private),
	      "fits");

static struct io_private *io_private(struct forebay_io *io)
{
	return (struct io_private *)io->host_private;
}

static struct timer_private *timer_private(struct forebay_timer *timer)
{
	return (struct timer_private *)timer->host_private;
}

static struct deferred_private *deferred_private(
	struct forebay_deferred *deferred)
{
	return (struct deferred_private *)deferred->host_private;
}

static void end(struct forebay_io *io, int result)
{
	struct loop_host *host = io_private(io)->host;

	host->in_flight--;
	if (!host->dead)
		io->done(io, result);
}

static void on_late(struct loop_deferred *deferred)
{
	struct forebay_io *io = deferred->owner;

	end(io, io_private(io)->result);
}

static void end_late(struct loop_host *host, struct forebay_io *io, int result)
{
	struct io_private *private = io_private(io);

	private->result = result;
	private->late.run = on_late;
	private->late.owner = io;
	loop_defer(host->loop, &private->late);
}

static void below_transfer(struct loop_host *host, const struct forebay_io *io)
{
	uint8_t *at = host->below + io->offset;

	for (uint32_t i = 0; i < io->iov_count; i++) {
		const struct iovec *part = &io->iov[i];

		if (io->operation == FOREBAY_READ)
			memcpy(part->iov_base, at, part->iov_len);
		else
			memcpy(at, part->iov_base, part->iov_len);
		at += part->iov_len;
	}
	assert(at == host->below + io->offset + io->length);
}

static void below_submit(struct loop_host *host, struct forebay_io *io)
{
	assert(io->offset + io->length <= host->below_bytes);
	if (host->below_error != 0) {
		end_late(host, io, host->below_error);
		return;
	}
	if (io->operation == FOREBAY_FLUSH) {
		host->below_flushes++;
		memcpy(host->below_durable, host->below, host->below_bytes);
	} else {
		if (io->operation == FOREBAY_READ)
			host->below_reads++;
		else
			host->below_writes++;
		below_transfer(host, io);
	}
	end_late(host, io, 0);
}

static void on_file_done(struct loop_io *loop_io, int result)
{
	struct forebay_io *io = loop_io->owner;

	if (result >= 0)
		result = (uint64_t)result == io->length ? 0 : -EIO;
	end(io, result);
}

static void file_submit(struct loop_host *host, struct forebay_io *io)
{
	struct loop_io *loop_io = &io_private(io)->loop_io;

	loop_io->done = on_file_done;
	loop_io->owner = io;
	if (io->operation == FOREBAY_READ && host->file_read_error != 0)
		end_late(host, io, host->file_read_error);
	else if (io->operation != FOREBAY_READ && host->file_write_error != 0)
		end_late(host, io, host->file_write_error);
	else if (io->operation == FOREBAY_READ)
		loop_readv(host->loop, loop_io, io->file, io->iov,
			   io->iov_count, io->offset, 0);
	else if (io->operation == FOREBAY_WRITE)
		loop_writev(host->loop, loop_io, io->file, io->iov,
			    io->iov_count, io->offset, 0);
	else
		loop_fdatasync(host->loop, loop_io, io->file);
}

static void io_submit(void *context, struct forebay_io *io)
{
	struct loop_host *host = context;

	memset(io->host_private, 0, sizeof(io->host_private));
	io_private(io)->host = host;
	host->in_flight++;
	if (io->file == FOREBAY_BELOW)
		below_submit(host, io);
	else
		file_submit(host, io);
}

static uint64_t now_ns(void *context)
{
	const struct loop_host *host = context;

	return loop_now_ns(host->loop) + host->ahead_ns;
}

static void on_timer(struct loop_timer *loop_timer)
{
	struct forebay_timer *timer = loop_timer->owner;

	if (!timer_private(timer)->host->dead)
		timer->expired(timer);
}

static void timer_arm(void *context, struct forebay_timer *timer,
		      uint64_t delay_ns)
{
	struct timer_private *private = timer_private(timer);
	struct loop_host *host = context;

	private->host = host;
	private->timer.expired = on_timer;
	private->timer.owner = timer;
	loop_timer_arm(host->loop, &private->timer, delay_ns);
}

static void timer_cancel(void *context, struct forebay_timer *timer)
{
	struct timer_private *private = timer_private(timer);

	loop_timer_cancel(((struct loop_host *)context)->loop, &private->timer);
}

static void on_deferred(struct loop_deferred *loop_deferred)
{
	struct forebay_deferred *deferred = loop_deferred->owner;

	if (!deferred_private(deferred)->host->dead)
		deferred->run(deferred);
}

static void defer(void *context, struct forebay_deferred *deferred)
{
	struct deferred_private *private = deferred_private(deferred);
	struct loop_host *host = context;

	private->host = host;
	private->deferred.run = on_deferred;
	private->deferred.owner = deferred;
	loop_defer(host->loop, &private->deferred);
}

static void count_copied(void *context, uint64_t bytes)
{
	((struct loop_host *)context)->copied_bytes += bytes;
}

const struct runner_host loop_runner_host = {
	.io_submit = io_submit,
	.now_ns = now_ns,
	.timer_arm = timer_arm,
	.timer_cancel = timer_cancel,
	.defer = defer,
	.count_copied = count_copied,
};

int loop_host_init(struct loop_host *host, uint64_t below_bytes)
{
	memset(host, 0, sizeof(*host));
	host->below = calloc(1, below_bytes);
	host->below_durable = calloc(1, below_bytes);
	host->below_bytes = below_bytes;
	if (!host->below || !host->below_durable)
		return -ENOMEM;
	return loop_create(&host->loop);
}

void loop_host_release(struct loop_host *host)
{
	loop_destroy(host->loop);
	free(host->below);
	free(host->below_durable);
}

void loop_host_cut_power(struct loop_host *host)
{
	memcpy(host->below, host->below_durable, host->below_bytes);
}
