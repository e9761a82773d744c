// SPDX-License-Identifier: Apache-2.0
/*
 * operation.c - every way to give the kernel something to do.
 *
 * Each call fills one submission entry; nothing enters the kernel before the
 * end of the turn, unless the submission queue is full.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <time.h>

#include "log.h"
#include "loop_private.h"

/* How long to give a kernel that is out of memory before asking it again. */
#define SUBMIT_RETRY_NS 1000000L

/*
 * A full queue is emptied into the kernel. The kernel may refuse for lack of
 * memory; then there is nothing to do but to wait, because an operation that
 * has begun can't be failed from inside the call that starts it.
 */
static struct io_uring_sqe *next_entry(struct loop *loop)
{
	const struct timespec pause = {.tv_nsec = SUBMIT_RETRY_NS};
	struct io_uring_sqe *entry;

	while (!(entry = io_uring_get_sqe(&loop->ring))) {
		int status = io_uring_submit(&loop->ring);

		if (status >= 0 || status == -EINTR)
			continue;
		log_warning("io_uring refuses submissions (errno %d), retrying",
			    -status);
		nanosleep(&pause, NULL);
	}
	return entry;
}

static struct io_uring_sqe *start(struct loop *loop, struct loop_io *io)
{
	io->loop = loop;
	io->state = LOOP_IO_STARTED;
	io->multishot = false;
	return next_entry(loop);
}

/* Tags the filled @entry with its owner and counts it. */
static void started(struct loop *loop, struct loop_io *io, enum loop_tag tag,
		    struct io_uring_sqe *entry)
{
	assert(((uintptr_t)io & LOOP_TAG_MASK) == 0);
	io_uring_sqe_set_data64(entry, (uintptr_t)io | tag);
	io->tag = (uint8_t)tag;
	loop->in_flight[tag]++;
}

/* NOLINTNEXTLINE(readability-function-size): preadv2() has as many. */
void loop_readv(struct loop *loop, struct loop_io *io, int fd,
		const struct iovec *iov, unsigned int iov_count,
		uint64_t offset, int rw_flags)
{
	struct io_uring_sqe *entry = start(loop, io);

	io_uring_prep_readv2(entry, fd, iov, iov_count, offset, rw_flags);
	started(loop, io, LOOP_TAG_FILE, entry);
}

/* NOLINTNEXTLINE(readability-function-size): preadv2() has as many. */
void loop_writev(struct loop *loop, struct loop_io *io, int fd,
		 const struct iovec *iov, unsigned int iov_count,
		 uint64_t offset, int rw_flags)
{
	struct io_uring_sqe *entry = start(loop, io);

	io_uring_prep_writev2(entry, fd, iov, iov_count, offset, rw_flags);
	started(loop, io, LOOP_TAG_FILE, entry);
}

void loop_fdatasync(struct loop *loop, struct loop_io *io, int fd)
{
	struct io_uring_sqe *entry = start(loop, io);

	io_uring_prep_fsync(entry, fd, IORING_FSYNC_DATASYNC);
	started(loop, io, LOOP_TAG_FILE, entry);
}

void loop_fallocate(struct loop *loop, struct loop_io *io, int fd, int mode,
		    uint64_t offset, uint64_t length)
{
	struct io_uring_sqe *entry = start(loop, io);

	io_uring_prep_fallocate(entry, fd, mode, (off_t)offset, (off_t)length);
	started(loop, io, LOOP_TAG_FILE, entry);
}

void loop_recvmsg(struct loop *loop, struct loop_io *io, int fd,
		  struct msghdr *message, int flags)
{
	struct io_uring_sqe *entry = start(loop, io);

	io_uring_prep_recvmsg(entry, fd, message, (unsigned int)flags);
	started(loop, io, LOOP_TAG_SOCKET, entry);
}

void loop_sendmsg(struct loop *loop, struct loop_io *io, int fd,
		  const struct msghdr *message, int flags)
{
	struct io_uring_sqe *entry = start(loop, io);

	io_uring_prep_sendmsg(entry, fd, message,
			      (unsigned int)flags | MSG_NOSIGNAL);
	started(loop, io, LOOP_TAG_SOCKET, entry);
}

/* The kernel's length is 32 bits; a short transfer is always possible. */
static size_t transfer_bytes(size_t bytes)
{
	return bytes < INT_MAX ? bytes : INT_MAX;
}

void loop_recv(struct loop *loop, struct loop_io *io, int fd, void *buffer,
	       size_t bytes, int flags)
{
	struct io_uring_sqe *entry = start(loop, io);

	io_uring_prep_recv(entry, fd, buffer, transfer_bytes(bytes), flags);
	started(loop, io, LOOP_TAG_SOCKET, entry);
}

void loop_send(struct loop *loop, struct loop_io *io, int fd,
	       const void *buffer, size_t bytes, int flags)
{
	struct io_uring_sqe *entry = start(loop, io);

	io_uring_prep_send(entry, fd, buffer, transfer_bytes(bytes),
			   flags | MSG_NOSIGNAL);
	started(loop, io, LOOP_TAG_SOCKET, entry);
}

void loop_accept(struct loop *loop, struct loop_io *io, int fd)
{
	struct io_uring_sqe *entry = start(loop, io);

	io_uring_prep_accept(entry, fd, NULL, NULL, SOCK_CLOEXEC);
	started(loop, io, LOOP_TAG_ACCEPT, entry);
}

void loop_poll(struct loop *loop, struct loop_io *io, int fd,
	       unsigned int events)
{
	struct io_uring_sqe *entry = start(loop, io);

	io_uring_prep_poll_add(entry, fd, events);
	started(loop, io, LOOP_TAG_POLL, entry);
}

void loop_poll_multishot(struct loop *loop, struct loop_io *io, int fd,
			 unsigned int events)
{
	io->multishot_fd = fd;
	io->multishot_events = events;
	loop_poll_again(loop, io);
}

void loop_poll_again(struct loop *loop, struct loop_io *io)
{
	struct io_uring_sqe *entry = start(loop, io);

	io->multishot = true;
	io_uring_prep_poll_multishot(entry, io->multishot_fd,
				     io->multishot_events);
	started(loop, io, LOOP_TAG_POLL, entry);
}

void loop_cancel(struct loop *loop, struct loop_io *io)
{
	struct io_uring_sqe *entry;

	if (io->state != LOOP_IO_STARTED)
		return;
	io->state = LOOP_IO_CANCELLING;
	entry = next_entry(loop);
	io_uring_prep_cancel64(entry, (uintptr_t)io | io->tag, 0);
	io_uring_sqe_set_data64(entry, LOOP_USER_DATA_NONE);
}
