// SPDX-License-Identifier: Apache-2.0
/*
 * file_io.c - the operations on an image: each a few kernel operations one
 * after the other, then done().
 *
 * A step may move fewer bytes than asked; the next one goes on behind them.
 * Nothing is allocated here, and done() is always called from a completion.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/uio.h>

#include "file_private.h"
#include "list.h"

enum step {
	STEP_TRANSFER, /* between the caller's memory and the image */
	STEP_PUNCH,
	STEP_ZERO_RANGE,
	STEP_ZERO_WRITE,
	STEP_SYNC,
	STEP_ANSWER, /* the answer is known; it needs a completion to carry it
		      */
};

/* What the driver remembers in backend_io.driver_private. */
struct progress {
	struct file *file;
	uint64_t goal_bytes; /* how many of the bytes lie inside the image */
	enum step step;
	int answer;
	struct backend_io *next; /* file_extents.c's */
};

static_assert(sizeof(struct progress) <=
		      sizeof(((struct backend_io *)NULL)->driver_private),
	      "struct progress must fit");

static const _Alignas(4096) char zero_bytes[FILE_ZERO_BYTES];

void file_prepare_zeros(struct file *file)
{
	for (unsigned int i = 0; i < FILE_ZERO_IOV_COUNT; i++)
		file->zeros[i] = (struct iovec){
			.iov_base = (void *)(uintptr_t)zero_bytes,
			.iov_len = FILE_ZERO_BYTES,
		};
}

static struct progress *progress_of(struct backend_io *io)
{
	return (struct progress *)(void *)io->driver_private;
}

struct file *file_of(struct backend_io *io)
{
	return progress_of(io)->file;
}

struct backend_io **file_io_next(struct backend_io *io)
{
	return &progress_of(io)->next;
}

static bool range_is_aligned(const struct file *file, uint64_t offset,
			     uint64_t length)
{
	return ((offset | length) & (file->backend.info.alignment_bytes - 1)) ==
	       0;
}

static bool memory_is_aligned(const struct file *file, const struct iovec *iov,
			      unsigned int count)
{
	uintptr_t bits = 0;

	for (unsigned int i = 0; i < count; i++)
		bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return (bits & (file->backend.info.alignment_bytes - 1)) == 0;
}

static int fd_for(const struct file *file, const struct iovec *iov,
		  unsigned int count, uint64_t offset)
{
	/* The lengths of the parts say all about their sum. */
	if (file->direct_fd >= 0 && range_is_aligned(file, offset, 0) &&
	    memory_is_aligned(file, iov, count))
		return file->direct_fd;
	return file->buffered_fd;
}

void file_finish(struct backend_io *io, int result)
{
	progress_of(io)->file->in_flight--;
	io->done(io, result);
}

/* An operation that moves nothing: only its completion is wanted. */
static void answer_later(struct backend_io *io, int answer)
{
	struct progress *progress = progress_of(io);

	progress->step = STEP_ANSWER;
	progress->answer = answer;
	loop_readv(progress->file->loop, &io->loop_io,
		   progress->file->buffered_fd, NULL, 0, 0, 0);
}

static int write_flags(const struct backend_io *io)
{
	return io->flags & BACKEND_FUA ? RWF_DSYNC : 0;
}

static void move(struct backend_io *io, const struct iovec *iov,
		 unsigned int count)
{
	struct file *file = progress_of(io)->file;
	uint64_t offset = io->offset + io->transferred_bytes;
	int fd = fd_for(file, iov, count, offset);

	if (io->operation == BACKEND_READ)
		loop_readv(file->loop, &io->loop_io, fd, iov, count, offset, 0);
	else
		loop_writev(file->loop, &io->loop_io, fd, iov, count, offset,
			    write_flags(io));
}

/*
 * Moves what is left. When the last step stopped inside a part of the iovec,
 * the rest of that part goes alone, so that the caller's array serves again for
 * all that follows.
 */
static void transfer(struct backend_io *io)
{
	uint64_t skip = io->transferred_bytes;
	unsigned int i = 0;

	progress_of(io)->step = STEP_TRANSFER;
	while (skip >= io->iov[i].iov_len) {
		skip -= io->iov[i].iov_len;
		i++;
		assert(i < io->iov_count);
	}
	if (skip == 0) {
		move(io, io->iov + i, io->iov_count - i);
		return;
	}
	io->rest[0].iov_base = (char *)io->iov[i].iov_base + skip;
	io->rest[0].iov_len = io->iov[i].iov_len - skip;
	move(io, io->rest, 1);
}

static void transferred(struct backend_io *io, int result)
{
	const struct progress *progress = progress_of(io);

	/* Nothing moved inside the image: someone has made it smaller. */
	if (result <= 0) {
		file_finish(io, result < 0 ? result : -EIO);
		return;
	}
	io->transferred_bytes += (uint64_t)result;
	if (io->transferred_bytes < progress->goal_bytes) {
		transfer(io);
		return;
	}
	if (io->operation == BACKEND_READ && progress->goal_bytes < io->length)
		backend_clear(io, progress->goal_bytes);
	file_finish(io, 0);
}

static void read_or_write(struct backend_io *io)
{
	if (progress_of(io)->goal_bytes > 0) {
		transfer(io);
		return;
	}
	if (io->operation == BACKEND_READ)
		backend_clear(io, 0);
	answer_later(io, 0);
}

static void sync_image(struct backend_io *io)
{
	struct file *file = progress_of(io)->file;

	progress_of(io)->step = STEP_SYNC;
	loop_fdatasync(file->loop, &io->loop_io, file->buffered_fd);
}

static void zero_by_writing(struct backend_io *io)
{
	struct file *file = progress_of(io)->file;
	uint64_t left = io->length - io->transferred_bytes;
	uint64_t parts = left / FILE_ZERO_BYTES;

	progress_of(io)->step = STEP_ZERO_WRITE;
	if (parts > 0) {
		move(io, file->zeros,
		     parts < FILE_ZERO_IOV_COUNT ? (unsigned int)parts
						 : FILE_ZERO_IOV_COUNT);
		return;
	}
	io->rest[0] = file->zeros[0];
	io->rest[0].iov_len = left;
	move(io, io->rest, 1);
}

static void zeros_written(struct backend_io *io, int result)
{
	if (result <= 0) {
		file_finish(io, result < 0 ? result : -EIO);
		return;
	}
	io->transferred_bytes += (uint64_t)result;
	if (io->transferred_bytes < io->length)
		zero_by_writing(io);
	else
		file_finish(io, 0);
}

static void allocate(struct backend_io *io, enum step step, int mode)
{
	struct file *file = progress_of(io)->file;

	progress_of(io)->step = step;
	loop_fallocate(file->loop, &io->loop_io, file->buffered_fd,
		       mode | FALLOC_FL_KEEP_SIZE, io->offset, io->length);
}

/*
 * Whether the kernel zeroes a range without writing it. Of a block device only
 * a hole is known to be so: what must stay allocated, the kernel may write.
 */
static bool zeroes_fast(const struct file *file, const struct backend_io *io)
{
	if (!range_is_aligned(file, io->offset, io->length))
		return false;
	if (file->can_punch && !(io->flags & BACKEND_NO_HOLE))
		return true;
	return file->can_zero_range && !file->block_device;
}

/* The cheapest way that the image and the caller allow. */
static void write_zeroes(struct backend_io *io)
{
	const struct file *file = progress_of(io)->file;
	bool aligned = range_is_aligned(file, io->offset, io->length);

	if ((io->flags & BACKEND_FAST) && !zeroes_fast(file, io))
		answer_later(io, -EOPNOTSUPP);
	else if (aligned && file->can_punch && !(io->flags & BACKEND_NO_HOLE))
		allocate(io, STEP_PUNCH, FALLOC_FL_PUNCH_HOLE);
	else if (aligned && file->can_zero_range)
		allocate(io, STEP_ZERO_RANGE, FALLOC_FL_ZERO_RANGE);
	else
		zero_by_writing(io);
}

/* A discard is advice: parts of blocks are left as they are. */
static void discard(struct backend_io *io)
{
	const struct file *file = progress_of(io)->file;
	uint64_t mask = file->backend.info.alignment_bytes - 1;
	uint64_t first = (io->offset + mask) & ~mask;
	uint64_t end = (io->offset + io->length) & ~mask;

	if (!file->can_punch || first >= end) {
		answer_later(io, 0);
		return;
	}
	progress_of(io)->step = STEP_PUNCH;
	loop_fallocate(file->loop, &io->loop_io, file->buffered_fd,
		       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first,
		       end - first);
}

static void allocated(struct backend_io *io, int result)
{
	struct file *file = progress_of(io)->file;

	if (result == -EOPNOTSUPP) {
		/* Found out once; from now on nobody asks again. */
		if (progress_of(io)->step == STEP_PUNCH)
			file->can_punch = false;
		else
			file->can_zero_range = false;
		if (io->operation == BACKEND_DISCARD)
			file_finish(io, 0);
		else
			write_zeroes(io);
		return;
	}
	if (result == 0 && (io->flags & BACKEND_FUA)) {
		sync_image(io);
		return;
	}
	file_finish(io, result);
}

static void extents(struct backend_io *io)
{
	if (file_extents_submit(io))
		return;
	io->add_extent(io, io->length, 0);
	answer_later(io, 0);
}

static void start(struct backend_io *io)
{
	switch (io->operation) {
	case BACKEND_READ:
	case BACKEND_WRITE:
		read_or_write(io);
		return;
	case BACKEND_FLUSH:
		sync_image(io);
		return;
	case BACKEND_DISCARD:
		discard(io);
		return;
	case BACKEND_WRITE_ZEROES:
		if (io->length == 0)
			answer_later(io, 0);
		else
			write_zeroes(io);
		return;
	case BACKEND_EXTENTS:
		extents(io);
		return;
	case BACKEND_CACHE:
		/* Direct I/O finds nothing that was read ahead. */
		answer_later(io, 0);
		return;
	}
}

static void step_done(struct loop_io *loop_io, int result)
{
	struct backend_io *io =
		container_of(loop_io, struct backend_io, loop_io);
	const struct progress *progress = progress_of(io);

	switch (progress->step) {
	case STEP_TRANSFER:
		if (result == -EINTR)
			transfer(io);
		else
			transferred(io, result);
		return;
	case STEP_ZERO_WRITE:
		if (result == -EINTR)
			zero_by_writing(io);
		else
			zeros_written(io, result);
		return;
	case STEP_PUNCH:
	case STEP_ZERO_RANGE:
		if (result == -EINTR)
			start(io);
		else
			allocated(io, result);
		return;
	case STEP_SYNC:
		file_finish(io, result);
		return;
	case STEP_ANSWER:
		file_finish(io, progress->answer);
		return;
	}
}

/* Returns: 0, or why @io can't be done on this image. */
static int judge(const struct file *file, const struct backend_io *io)
{
	uint64_t size_bytes = file->backend.info.size_bytes;

	if (io->operation == BACKEND_READ || io->operation == BACKEND_FLUSH ||
	    io->operation == BACKEND_EXTENTS || io->operation == BACKEND_CACHE)
		return 0;
	if (file->read_only)
		return -EROFS;
	if (io->offset > size_bytes || io->length > size_bytes - io->offset)
		return -ENOSPC;
	return 0;
}

uint64_t file_bytes_inside(const struct file *file, const struct backend_io *io)
{
	uint64_t size_bytes = file->backend.info.size_bytes;

	if (io->offset >= size_bytes)
		return 0;
	return io->length < size_bytes - io->offset ? io->length
						    : size_bytes - io->offset;
}

void file_submit(struct backend *backend, struct backend_io *io)
{
	struct file *file = container_of(backend, struct file, backend);
	int status;

	assert(io->offset % 512 == 0 && io->length % 512 == 0);
	*progress_of(io) = (struct progress){
		.file = file,
		.goal_bytes = file_bytes_inside(file, io),
	};
	io->transferred_bytes = 0;
	io->loop_io.done = step_done;
	file->in_flight++;
	status = judge(file, io);
	if (status < 0)
		answer_later(io, status);
	else
		start(io);
}
