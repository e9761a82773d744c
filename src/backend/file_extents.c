// SPDX-License-Identifier: Apache-2.0
/*
 * file_extents.c - which parts of an image hold data.
 *
 * The kernel is asked with SEEK_DATA and SEEK_HOLE. io_uring has no operation
 * for that, and it may wait: for the file system's metadata, or for the server
 * of a network file system. So a thread asks, which is started for the first
 * question and ends with the backend. One question is under way at a time, and
 * it ends after FILE_EXTENTS_MAX pieces: who wants more asks on.
 *
 * A hole reads as zeros, and the kernel calls that a hole, too, which has space
 * but was never written. Of a block device nothing is known: it is all data,
 * and the operation isn't offered.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file_private.h"
#include "image.h"
#include "list.h"
#include "log.h"
#include "worker.h"

/* Most pieces of one answer. */
#define FILE_EXTENTS_MAX 512u

struct piece {
	uint64_t length_bytes;
	bool data;
};

struct file_extents {
	struct file *file;
	struct worker *worker;
	struct worker_job job;
	/* The question that the thread has, and its answer. */
	struct backend_io *io;
	int fd;
	uint64_t offset;
	uint64_t end;
	unsigned int count;
	struct piece pieces[FILE_EXTENTS_MAX];
	/* Those behind it, linked by file_io_next(). */
	struct backend_io *first;
	struct backend_io **last;
};

static uint64_t round_down(uint64_t offset)
{
	return offset / IMAGE_SECTOR_BYTES * IMAGE_SECTOR_BYTES;
}

static uint64_t round_up(uint64_t offset)
{
	return round_down(offset + IMAGE_SECTOR_BYTES - 1);
}

/* Where @whence begins at or after @offset, at most at @end. */
static uint64_t seek(int fd, uint64_t offset, uint64_t end, int whence)
{
	off_t found = lseek(fd, (off_t)offset, whence);

	/* ENXIO: no data any more. Other errors: not known, which is data. */
	if (found < 0)
		return errno == ENXIO || whence == SEEK_HOLE ? end : offset;
	return (uint64_t)found < end ? (uint64_t)found : end;
}

/*
 * On the worker's thread. The descriptor's position is nobody's: all other
 * operations carry their offset.
 */
static void ask(struct worker_job *job)
{
	struct file_extents *extents = job->owner;
	uint64_t at = extents->offset;

	extents->count = 0;
	while (at < extents->end && extents->count < FILE_EXTENTS_MAX) {
		struct piece *piece = &extents->pieces[extents->count++];
		uint64_t next = round_down(
			seek(extents->fd, at, extents->end, SEEK_DATA));

		piece->data = next <= at;
		if (piece->data)
			next = round_up(
				seek(extents->fd, at, extents->end, SEEK_HOLE));
		/* Someone changed the image between the two questions. */
		if (next <= at)
			next = at + IMAGE_SECTOR_BYTES;
		piece->length_bytes = next - at;
		at = next;
	}
}

static void begin_next(struct file_extents *extents);

static void answered(struct worker_job *job)
{
	struct file_extents *extents = job->owner;
	struct backend_io *io = extents->io;
	bool more = true;

	extents->io = NULL;
	for (unsigned int i = 0; i < extents->count && more; i++)
		more = io->add_extent(io, extents->pieces[i].length_bytes,
				      extents->pieces[i].data
					      ? 0
					      : BACKEND_EXTENT_HOLE |
							BACKEND_EXTENT_ZERO);
	begin_next(extents);
	file_finish(io, 0);
}

static void begin_next(struct file_extents *extents)
{
	struct backend_io *io = extents->first;

	if (!io || extents->io)
		return;
	extents->first = *file_io_next(io);
	if (!extents->first)
		extents->last = &extents->first;
	extents->io = io;
	extents->offset = io->offset;
	extents->end = io->offset + file_bytes_inside(extents->file, io);
	worker_give(extents->worker, &extents->job);
}

/* Returns: NULL if there can't be one now. */
static struct file_extents *create(struct file *file)
{
	struct file_extents *extents = calloc(1, sizeof(*extents));

	if (!extents)
		return NULL;
	if (worker_create(file->loop, &extents->worker) < 0) {
		free(extents);
		return NULL;
	}
	extents->file = file;
	extents->fd = file->buffered_fd;
	extents->last = &extents->first;
	extents->job.run = ask;
	extents->job.done = answered;
	extents->job.owner = extents;
	return extents;
}

bool file_extents_submit(struct backend_io *io)
{
	struct file *file = file_of(io);

	if (!file->extents)
		file->extents = create(file);
	if (!file->extents) {
		if (!file->told_no_extents)
			log_warning("image %s: no thread to look for holes: "
				    "all of it is taken for data",
				    file->path);
		file->told_no_extents = true;
		return false;
	}
	*file_io_next(io) = NULL;
	*file->extents->last = io;
	file->extents->last = file_io_next(io);
	begin_next(file->extents);
	return true;
}

void file_extents_destroy(struct file_extents *extents)
{
	if (!extents)
		return;
	assert(!extents->io && !extents->first);
	worker_destroy(extents->worker);
	free(extents);
}
