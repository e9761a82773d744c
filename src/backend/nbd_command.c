// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_command.c - commands out, answers noted.
 *
 * libnbd reads and writes the caller's memory directly; it takes one piece of
 * memory a command. A request in many small pieces is copied through a buffer
 * instead, which is cheaper than a command for each (docs/performance.md).
 */
#include "nbd_command.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define ZERO_BYTES 65536u
/* Commands that write zeros at once, where the server can't zero by itself. */
#define ZERO_COMMANDS 16u

static_assert(LIBNBD_STATE_HOLE == BACKEND_EXTENT_HOLE &&
		      LIBNBD_STATE_ZERO == BACKEND_EXTENT_ZERO,
	      "an extent's flags are the protocol's");

static const char zero_bytes[ZERO_BYTES];

int nbd_command_judge(const struct nbd *nbd, const struct backend_io *io)
{
	uint64_t size_bytes = nbd->facts.size_bytes;

	switch (io->operation) {
	case BACKEND_READ:
	case BACKEND_FLUSH:
	case BACKEND_CACHE:
		return 0;
	case BACKEND_WRITE:
	case BACKEND_DISCARD:
	case BACKEND_WRITE_ZEROES:
		if (nbd->read_only)
			return -EROFS;
		break;
	case BACKEND_EXTENTS:
		break;
	}
	if (io->offset > size_bytes || io->length > size_bytes - io->offset)
		return -ENOSPC;
	if (io->operation == BACKEND_WRITE_ZEROES &&
	    (io->flags & BACKEND_FAST) && !nbd->facts.fast_zero)
		return -EOPNOTSUPP;
	return 0;
}

static bool must_be_durable(const struct nbd_task *task)
{
	return (task->io->flags & BACKEND_FUA) && task->hold.changes;
}

static uint32_t flags_of(const struct nbd_task *task)
{
	const struct nbd_facts *facts = &task->nbd->facts;
	uint32_t flags = 0;

	if (must_be_durable(task) && facts->fua)
		flags |= LIBNBD_CMD_FLAG_FUA;
	if (task->io->operation != BACKEND_WRITE_ZEROES || !facts->zero)
		return flags;
	if (task->io->flags & BACKEND_NO_HOLE)
		flags |= LIBNBD_CMD_FLAG_NO_HOLE;
	if (task->io->flags & BACKEND_FAST)
		flags |= LIBNBD_CMD_FLAG_FAST_ZERO;
	return flags;
}

static void part_back(struct nbd_task *task)
{
	assert(task->parts > 0);
	task->parts--;
	if (task->parts > 0)
		return;
	if (task->unanswered > 0 && task->result == 0)
		task->lost = true;
	list_remove(&task->node);
	list_append(&task->nbd->ended, &task->node);
	nbd_io_run_later(task->nbd);
}

/* Called with libnbd's lock taken: notes, and nothing else. */
static int on_command(void *user_data, int *error)
{
	struct nbd_task *task = user_data;

	/*
	 * ENOTCONN is libnbd's for a connection that is gone; no server can
	 * send it. ESHUTDOWN is a server's that wants to go.
	 */
	if (*error == ENOTCONN || *error == ESHUTDOWN)
		task->lost = true;
	else if (*error != 0 && task->result == 0)
		task->result = -*error;
	task->unanswered--;
	return 1;
}

/*
 * libnbd has forgotten a command, which it does exactly once for each that it
 * was given, whether it took it and whether it called on_command() or not.
 */
static void on_forgotten(void *user_data)
{
	part_back(user_data);
}

static int on_extents(void *user_data, const char *context, uint64_t offset,
		      uint32_t *entries, size_t entry_count, int *error)
{
	struct nbd_task *task = user_data;
	struct backend_io *io = task->io;

	(void)offset;
	/* A server that answers twice has said all the first time. */
	if (*error != 0 || task->extents_given ||
	    strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0)
		return 0;
	task->extents_given = true;
	for (size_t i = 0; i + 1 < entry_count; i += 2) {
		if (!io->add_extent(io, entries[i], entries[i + 1] & 3))
			break;
	}
	return 0;
}

/* libnbd would take a reply that leaves out a part for a whole one. */
static int on_chunk(void *user_data, const void *data, size_t bytes,
		    uint64_t offset, unsigned int status, int *error)
{
	struct nbd_task *task = user_data;

	(void)data;
	(void)offset;
	(void)error;
	if (status != LIBNBD_READ_ERROR)
		task->read_bytes += bytes;
	return 0;
}

static nbd_completion_callback completion(struct nbd_task *task)
{
	task->parts++;
	task->unanswered++;
	return (nbd_completion_callback){
		.callback = on_command,
		.free = on_forgotten,
		.user_data = task,
	};
}

/*
 * @cookie: what the libnbd call returned, whose completion() was made for it.
 *
 * It may be negative although the command was taken: libnbd 1.14 reads it from
 * the command after the connection broke, when on_command() has been called and
 * the command is freed. So it says nothing about whether on_command() comes.
 */
static void issued(struct nbd_task *task, int64_t cookie)
{
	int code;

	if (cookie >= 0)
		return;
	code = nbd_get_errno();
	if (nbd_aio_is_dead(task->link->handle) == 1 ||
	    nbd_aio_is_closed(task->link->handle) == 1)
		task->lost = true;
	else if (task->result == 0)
		task->result = code > 0 ? -code : -EIO;
}

static void issue_data(struct nbd_task *task, void *memory, size_t bytes,
		       uint64_t offset)
{
	struct nbd_handle *handle = task->link->handle;
	size_t max = task->nbd->facts.data_max_bytes;
	const nbd_chunk_callback chunks = {
		.callback = on_chunk,
		.user_data = task,
	};

	while (bytes > 0) {
		size_t part = bytes < max ? bytes : max;

		if (task->io->operation == BACKEND_READ)
			issued(task, nbd_aio_pread_structured(
					     handle, memory, part, offset,
					     chunks, completion(task), 0));
		else
			issued(task, nbd_aio_pwrite(handle, memory, part,
						    offset, completion(task),
						    flags_of(task)));
		memory = (char *)memory + part;
		offset += part;
		bytes -= part;
	}
}

/* How many of the bytes lie inside the export. */
static uint64_t bytes_inside(const struct nbd_task *task)
{
	uint64_t size_bytes = task->nbd->facts.size_bytes;
	const struct backend_io *io = task->io;

	if (io->offset >= size_bytes)
		return 0;
	return io->length < size_bytes - io->offset ? io->length
						    : size_bytes - io->offset;
}

/* Copies between @buffer and the first @bytes of the caller's memory. */
static void copy(const struct nbd_task *task, char *buffer, uint64_t bytes,
		 bool to_caller)
{
	const struct backend_io *io = task->io;

	task->nbd->copied_bytes += bytes;
	for (unsigned int i = 0; bytes > 0; i++) {
		size_t part =
			io->iov[i].iov_len < bytes ? io->iov[i].iov_len : bytes;

		assert(i < io->iov_count);
		if (to_caller)
			memcpy(io->iov[i].iov_base, buffer, part);
		else
			memcpy(buffer, io->iov[i].iov_base, part);
		buffer += part;
		bytes -= part;
	}
}

/* The caller's memory, neighbours joined. */
struct pieces {
	unsigned int count;
	bool ragged; /* one ends inside a sector */
};

static struct pieces look_at_memory(const struct backend_io *io)
{
	struct pieces pieces = {0};
	const char *end = NULL;

	for (unsigned int i = 0; i < io->iov_count; i++) {
		if (io->iov[i].iov_len == 0)
			continue;
		if (io->iov[i].iov_base != end)
			pieces.count++;
		if (io->iov[i].iov_len % NBD_SECTOR_BYTES != 0)
			pieces.ragged = true;
		end = (char *)io->iov[i].iov_base + io->iov[i].iov_len;
	}
	return pieces;
}

/* Returns: false if there is no memory for it. */
static bool take_bounce(struct nbd_task *task, size_t bytes)
{
	struct nbd *nbd = task->nbd;

	task->bounce_bytes = NBD_BOUNCE_BYTES;
	if (bytes <= NBD_BOUNCE_BYTES && nbd->bounces_kept > 0) {
		task->bounce = nbd->bounces[--nbd->bounces_kept];
		return true;
	}
	if (bytes > NBD_BOUNCE_BYTES)
		task->bounce_bytes = bytes;
	task->bounce = malloc(task->bounce_bytes);
	return task->bounce != NULL;
}

static void drop_bounce(struct nbd_task *task)
{
	struct nbd *nbd = task->nbd;

	if (task->bounce && task->bounce_bytes == NBD_BOUNCE_BYTES &&
	    nbd->bounces_kept < NBD_BOUNCES_KEPT)
		nbd->bounces[nbd->bounces_kept++] = task->bounce;
	else
		free(task->bounce);
	task->bounce = NULL;
}

/* One command for each run of neighbouring pieces. */
static void issue_pieces(struct nbd_task *task, uint64_t bytes)
{
	const struct backend_io *io = task->io;
	uint64_t offset = io->offset;
	unsigned int i = 0;

	while (bytes > 0) {
		char *start = io->iov[i].iov_base;
		size_t run = io->iov[i].iov_len;

		while (++i < io->iov_count &&
		       io->iov[i].iov_base == start + run)
			run += io->iov[i].iov_len;
		if (run > bytes)
			run = bytes;
		issue_data(task, start, run, offset);
		offset += run;
		bytes -= run;
	}
}

static void read_or_write(struct nbd_task *task)
{
	uint64_t bytes = bytes_inside(task);
	struct pieces pieces = look_at_memory(task->io);
	bool small = bytes <= NBD_BOUNCE_BYTES && pieces.count > 1 &&
		     bytes / pieces.count < NBD_PIECE_MIN_BYTES;

	if (bytes == 0)
		return;
	if ((pieces.ragged || small) && take_bounce(task, bytes)) {
		if (task->io->operation == BACKEND_WRITE)
			copy(task, task->bounce, bytes, false);
		issue_data(task, task->bounce, bytes, task->io->offset);
	} else if (pieces.ragged) {
		task->result = -ENOMEM;
	} else {
		issue_pieces(task, bytes);
	}
}

static void flush(struct nbd_task *task)
{
	struct nbd *nbd = task->nbd;

	if (!nbd->facts.flush)
		return;
	task->covers_count = nbd->change_count;
	task->doubtful = nbd->doubtful_count > nbd->flushed_count;
	issued(task, nbd_aio_flush(task->link->handle, completion(task), 0));
}

/* The server has no such command: a few writes at a time. */
static void write_zero_bytes(struct nbd_task *task)
{
	const struct backend_io *io = task->io;

	for (unsigned int i = 0;
	     i < ZERO_COMMANDS && task->done_bytes < io->length; i++) {
		uint64_t left = io->length - task->done_bytes;
		uint64_t max = task->nbd->facts.data_max_bytes;
		uint64_t part = left < ZERO_BYTES ? left : ZERO_BYTES;

		if (part > max)
			part = max;
		issued(task, nbd_aio_pwrite(task->link->handle, zero_bytes,
					    part, io->offset + task->done_bytes,
					    completion(task), flags_of(task)));
		task->done_bytes += part;
	}
}

static void change_range(struct nbd_task *task)
{
	struct nbd_handle *handle = task->link->handle;
	const struct backend_io *io = task->io;
	uint64_t offset = io->offset + task->done_bytes;
	uint64_t part = io->length - task->done_bytes;

	if (part == 0)
		return;
	if (part > NBD_RANGE_MAX_BYTES)
		part = NBD_RANGE_MAX_BYTES;
	if (io->operation == BACKEND_DISCARD)
		issued(task, nbd_aio_trim(handle, part, offset,
					  completion(task), flags_of(task)));
	else
		issued(task, nbd_aio_zero(handle, part, offset,
					  completion(task), flags_of(task)));
	task->done_bytes += part;
}

/* Where the first piece ends, the caller asks on. */
static void ask_extents(struct nbd_task *task)
{
	const struct backend_io *io = task->io;
	uint64_t bytes = io->length < NBD_RANGE_MAX_BYTES ? io->length
							  : NBD_RANGE_MAX_BYTES;
	const nbd_extent_callback extents = {
		.callback = on_extents,
		.user_data = task,
	};

	if (bytes == 0 || !task->nbd->facts.block_status)
		return;
	issued(task, nbd_aio_block_status(task->link->handle, bytes, io->offset,
					  extents, completion(task), 0));
}

static void cache(struct nbd_task *task)
{
	uint64_t bytes = bytes_inside(task);

	if (bytes > NBD_RANGE_MAX_BYTES)
		bytes = NBD_RANGE_MAX_BYTES;
	if (bytes > 0 && task->nbd->facts.cache)
		issued(task,
		       nbd_aio_cache(task->link->handle, bytes,
				     task->io->offset, completion(task), 0));
}

static void issue_operation(struct nbd_task *task)
{
	switch (task->io->operation) {
	case BACKEND_READ:
	case BACKEND_WRITE:
		read_or_write(task);
		return;
	case BACKEND_FLUSH:
		flush(task);
		return;
	case BACKEND_DISCARD:
		if (task->nbd->facts.trim)
			change_range(task);
		return;
	case BACKEND_WRITE_ZEROES:
		if (task->nbd->facts.zero)
			change_range(task);
		else
			write_zero_bytes(task);
		return;
	case BACKEND_EXTENTS:
		ask_extents(task);
		return;
	case BACKEND_CACHE:
		cache(task);
		return;
	}
}

void nbd_command_issue(struct nbd_task *task)
{
	list_append(&task->link->requests, &task->node);
	/* One more than there are, so that it can't end in between. */
	task->parts = 1;
	if (task->flushing)
		flush(task);
	else
		issue_operation(task);
	part_back(task);
	nbd_link_kick(task->link);
}

static bool has_more_range(const struct nbd_task *task)
{
	const struct backend_io *io = task->io;

	if (io->operation == BACKEND_DISCARD)
		return task->nbd->facts.trim && task->done_bytes < io->length;
	return io->operation == BACKEND_WRITE_ZEROES &&
	       task->done_bytes < io->length;
}

bool nbd_command_goes_on(struct nbd_task *task)
{
	const struct nbd_facts *facts = &task->nbd->facts;
	uint64_t bytes;

	if (task->flushing)
		return false;
	if (has_more_range(task))
		return true;
	if (must_be_durable(task) && !facts->fua && facts->flush) {
		task->flushing = true;
		return true;
	}
	if (task->io->operation != BACKEND_READ)
		return false;
	bytes = bytes_inside(task);
	if (task->read_bytes != bytes) {
		log_error("backend %s: a read of %" PRIu64 " bytes was "
			  "answered with %" PRIu64,
			  task->nbd->uri, bytes, task->read_bytes);
		task->result = -EIO;
		return false;
	}
	if (task->bounce)
		copy(task, task->bounce, bytes, true);
	if (bytes < task->io->length)
		backend_clear(task->io, bytes);
	return false;
}

void nbd_command_reset(struct nbd_task *task)
{
	drop_bounce(task);
	task->link = NULL;
	task->result = 0;
	task->lost = false;
	task->unanswered = 0;
	task->flushing = false;
	task->done_bytes = 0;
	task->read_bytes = 0;
}
