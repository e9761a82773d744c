// SPDX-License-Identifier: Apache-2.0
/*
 * target.c - see target.h.
 */
#include "target.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "image_lock.h"
#include "log_format.h"

#define CHUNK_BYTES (UINT64_C(1) << 20)

static const char *name_of(const struct target *target)
{
	return target->options->path ? target->options->path
				     : "standard output";
}

static int lock(int fd, const char *path, bool read_only, struct error *error)
{
	char holder[128] = "another process";
	int status = image_lock(fd, read_only);

	if (status == 0)
		return 0;
	if (status != -EBUSY)
		return error_set(error, status, "%s: cannot be locked: %s",
				 path, strerror(-status));
	(void)image_lock_holder(fd, holder, sizeof(holder));
	return error_set(error, -EBUSY, "%s: %s uses it; end that first", path,
			 holder);
}

/* The cache file's bytes are what all this is about. */
static int check_kind(const struct target_options *options, const char *path,
		      int fd, struct error *error)
{
	struct stat source;
	struct stat facts;

	if (fstat(fd, &facts) < 0 || fstat(options->source_fd, &source) < 0)
		return error_set(error, -errno, "%s: %s", path,
				 strerror(errno));
	if (!S_ISREG(facts.st_mode) && !S_ISBLK(facts.st_mode))
		return error_set(error, -EINVAL,
				 "%s: is neither an image nor a block device",
				 path);
	if (facts.st_dev == source.st_dev && facts.st_ino == source.st_ino)
		return error_set(error, -EINVAL,
				 "%s: is the cache file itself; name the "
				 "disk's image",
				 path);
	return 0;
}

/* Opens an image that exists and is at least as large as the disk. */
static int open_image(struct target *target, const char *path, bool read_only,
		      int *ret_fd, struct error *error)
{
	_cleanup_fd_ int fd = open(path, (read_only ? O_RDONLY : O_RDWR) |
						 O_NONBLOCK | O_CLOEXEC);
	off_t end;
	int status;

	if (fd < 0)
		return error_set(error, -errno, "%s: cannot be opened: %s",
				 path, strerror(errno));
	status = check_kind(target->options, path, fd, error);
	if (status < 0)
		return status;
	end = lseek(fd, 0, SEEK_END);
	if (end < 0)
		return error_set(error, -errno, "%s: %s", path,
				 strerror(errno));
	if ((uint64_t)end < target->bytes || end == 0)
		return error_set(error, -EINVAL,
				 "%s: has %llu bytes, the cache is that of a "
				 "disk of %llu; is it another disk's?",
				 path, (unsigned long long)end,
				 (unsigned long long)target->bytes);
	status = lock(fd, path, read_only, error);
	if (status < 0)
		return status;
	/* A disk may have grown since its cache file was last told. */
	target->bytes = (uint64_t)end;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int open_stream(struct target *target, struct error *error)
{
	if (isatty(STDOUT_FILENO))
		return error_set(error, -EINVAL,
				 "standard output: is a terminal, where a "
				 "disk's bytes do no good; send it to a file "
				 "or a program");
	target->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	return target->fd < 0 ? error_set(error, -errno, "standard output: %s",
					  strerror(errno))
			      : 0;
}

static int open_new(struct target *target, struct error *error)
{
	const char *path = target->options->path;
	int status;

	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return error_set(error, -EEXIST,
				 "%s: exists; to write into it, say --in-place",
				 path);
	if (asprintf(&target->partial, "%s.partial", path) < 0) {
		target->partial = NULL;
		return error_set(error, -ENOMEM, "no memory");
	}
	/* As private as the cache file. */
	target->fd = open(target->partial,
			  O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (target->fd >= 0)
		return 0;
	status = error_set(
		error, -errno, "%s: cannot be made: %s%s", target->partial,
		strerror(errno),
		errno == EEXIST ? "; delete it if nobody makes it now" : "");
	/* It isn't ours to delete. */
	free(target->partial);
	target->partial = NULL;
	return status;
}

int target_open(const struct target_options *options, struct target *ret_target,
		struct error *error)
{
	struct target target = {
		.options = options,
		.fd = -1,
		.base_fd = -1,
		.bytes = options->disk_bytes,
	};
	int status = 0;

	if (options->base)
		status = open_image(&target, options->base, true,
				    &target.base_fd, error);
	if (status == 0 && options->in_place)
		status = open_image(&target, options->path, false, &target.fd,
				    error);
	else if (status == 0 && options->path)
		status = open_new(&target, error);
	else if (status == 0)
		status = open_stream(&target, error);
	if (status < 0) {
		target_release(&target);
		return status;
	}
	*ret_target = target;
	return 0;
}

static int write_failed(const struct target *target, int code,
			struct error *error)
{
	return error_set(error, code,
			 "%s: writing failed: %s; the cache file still has "
			 "everything",
			 name_of(target), strerror(-code));
}

static int write_at(const struct target *target, const uint8_t *bytes,
		    uint64_t count, uint64_t offset, struct error *error)
{
	while (count > 0) {
		ssize_t put = pwrite(target->fd, bytes, count, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return write_failed(target, put < 0 ? -errno : -EIO,
					    error);
		bytes += put;
		count -= (uint64_t)put;
		offset += (uint64_t)put;
	}
	return 0;
}

static int read_base(const struct target *target, uint8_t *bytes,
		     uint64_t count, uint64_t offset, struct error *error)
{
	while (count > 0) {
		ssize_t got =
			pread(target->base_fd, bytes, count, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return error_set(error, got < 0 ? -errno : -EIO,
					 "%s: reading failed at byte %llu: %s",
					 target->options->base,
					 (unsigned long long)offset,
					 got < 0 ? strerror(errno)
						 : "it is shorter than it was");
		bytes += got;
		count -= (uint64_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

static bool all_zero(const uint8_t *bytes, uint64_t count)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

/* Into an image that reads as zeros there; holes stay. */
static int write_sparse(const struct target *target, const uint8_t *bytes,
			uint64_t count, uint64_t offset, struct error *error)
{
	uint64_t done = 0;

	while (done < count) {
		uint64_t part = count - done < LOG_BLOCK_BYTES
					? count - done
					: LOG_BLOCK_BYTES;
		bool zero = all_zero(bytes + done, part);
		uint64_t end = done + part;
		int status;

		while (end < count) {
			part = count - end < LOG_BLOCK_BYTES ? count - end
							     : LOG_BLOCK_BYTES;
			if (all_zero(bytes + end, part) != zero)
				break;
			end += part;
		}
		status = zero ? 0
			      : write_at(target, bytes + done, end - done,
					 offset + done, error);
		if (status < 0)
			return status;
		done = end;
	}
	return 0;
}

/* The next data of the base from @at on, as far as it can tell holes. */
static void find_data(const struct target *target, uint64_t at,
		      uint64_t *ret_begin, uint64_t *ret_end)
{
	off_t begin = lseek(target->base_fd, (off_t)at, SEEK_DATA);
	off_t end;

	*ret_begin = at;
	*ret_end = target->bytes;
	if (begin < 0 && errno == ENXIO)
		*ret_begin = target->bytes;
	if (begin < 0)
		return;
	*ret_begin = (uint64_t)begin;
	end = lseek(target->base_fd, begin, SEEK_HOLE);
	if (end > begin && (uint64_t)end < target->bytes)
		*ret_end = (uint64_t)end;
}

static int copy_data(const struct target *target, uint8_t *chunk,
		     uint64_t begin, uint64_t end, struct error *error)
{
	int status = 0;

	while (begin < end && status == 0) {
		uint64_t count =
			end - begin < CHUNK_BYTES ? end - begin : CHUNK_BYTES;

		status = read_base(target, chunk, count, begin, error);
		if (status == 0)
			status = write_sparse(target, chunk, count, begin,
					      error);
		begin += count;
	}
	return status;
}

static int copy_base(const struct target *target, struct error *error)
{
	uint8_t *chunk;
	uint64_t at = 0;
	int status = 0;

	/* A file system that shares extents has nothing to copy. */
	if (ioctl(target->fd, FICLONE, target->base_fd) == 0)
		return 0;
	chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return error_set(error, -ENOMEM, "no memory");
	while (at < target->bytes && status == 0) {
		uint64_t begin;
		uint64_t end;

		find_data(target, at, &begin, &end);
		status = copy_data(target, chunk, begin, end, error);
		at = end;
	}
	free(chunk);
	return status;
}

int target_begin(struct target *target, struct error *error)
{
	if (!target->partial)
		return 0;
	if (ftruncate(target->fd, (off_t)target->bytes) < 0)
		return write_failed(target, -errno, error);
	return target->base_fd < 0 ? 0 : copy_base(target, error);
}

static int stream(struct target *target, const uint8_t *bytes, uint64_t count,
		  struct error *error)
{
	int status = file_write_all(target->fd, bytes, count);

	target->position += count;
	return status < 0 ? write_failed(target, status, error) : 0;
}

/* What lies under the stream up to @end, or zeros. */
static int stream_up_to(struct target *target, uint64_t end, bool zeros,
			struct error *error)
{
	uint8_t *chunk;
	int status = 0;

	if (target->position == end)
		return 0;
	chunk = calloc(1, CHUNK_BYTES);
	if (!chunk)
		return error_set(error, -ENOMEM, "no memory");
	while (target->position < end && status == 0) {
		uint64_t count = end - target->position < CHUNK_BYTES
					 ? end - target->position
					 : CHUNK_BYTES;

		if (target->base_fd >= 0 && !zeros)
			status = read_base(target, chunk, count,
					   target->position, error);
		if (status == 0)
			status = stream(target, chunk, count, error);
	}
	free(chunk);
	return status;
}

int target_put(struct target *target, uint64_t first_sector,
	       uint64_t sector_count, const uint8_t *bytes, struct error *error)
{
	uint64_t offset = first_sector * LOG_SECTOR_BYTES;
	uint64_t count = sector_count * LOG_SECTOR_BYTES;
	int status;

	assert(offset + count <= target->bytes);
	if (target->partial && target->base_fd < 0)
		return write_sparse(target, bytes, count, offset, error);
	if (target->options->path)
		return write_at(target, bytes, count, offset, error);
	assert(offset >= target->position);
	status = stream_up_to(target, offset, false, error);
	return status == 0 ? stream(target, bytes, count, error) : status;
}

static int write_zeros(const struct target *target, uint64_t count,
		       uint64_t offset, struct error *error)
{
	uint8_t *chunk = calloc(1, CHUNK_BYTES);
	int status = 0;

	if (!chunk)
		return error_set(error, -ENOMEM, "no memory");
	while (count > 0 && status == 0) {
		uint64_t part = count < CHUNK_BYTES ? count : CHUNK_BYTES;

		status = write_at(target, chunk, part, offset, error);
		count -= part;
		offset += part;
	}
	free(chunk);
	return status;
}

int target_zero(struct target *target, uint64_t first_sector,
		uint64_t sector_count, struct error *error)
{
	uint64_t offset = first_sector * LOG_SECTOR_BYTES;
	uint64_t count = sector_count * LOG_SECTOR_BYTES;
	int status;

	assert(offset + count <= target->bytes);
	if (!target->options->path) {
		status = stream_up_to(target, offset, false, error);
		return status == 0 ? stream_up_to(target, offset + count, true,
						  error)
				   : status;
	}
	/* A new image without a base is zeros. */
	if (target->partial && target->base_fd < 0)
		return 0;
	if (fallocate(target->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)offset, (off_t)count) == 0)
		return 0;
	return write_zeros(target, count, offset, error);
}

/* An image takes its name, unless somebody has that meanwhile. */
static int give_name(struct target *target, struct error *error)
{
	const char *path = target->options->path;
	char *partial = target->partial;
	int status;

	if (!partial)
		return 0;
	assert(path);
	status = renameat2(AT_FDCWD, partial, AT_FDCWD, path, RENAME_NOREPLACE);
	/* A file system that can't do it so. */
	if (status < 0 && errno == EINVAL && access(path, F_OK) < 0)
		status = rename(partial, path);
	if (status < 0)
		return error_set(error, -errno, "%s: cannot be named: %s", path,
				 strerror(errno));
	target->partial = NULL;
	free(partial);
	status = file_sync_directory_of(path);
	return status < 0 ? write_failed(target, status, error) : 0;
}

int target_finish(struct target *target, struct error *error)
{
	int status = 0;

	if (!target->options->path)
		status = stream_up_to(target, target->bytes, false, error);
	if (status < 0)
		return status;
	/* A pipe has nothing that could be made durable. */
	if (fsync(target->fd) < 0 &&
	    (target->options->path || errno == EIO || errno == ENOSPC))
		return write_failed(target, -errno, error);
	return give_name(target, error);
}

void target_release(struct target *target)
{
	target->fd = fd_close(target->fd);
	target->base_fd = fd_close(target->base_fd);
	if (target->partial)
		(void)unlink(target->partial);
	free(target->partial);
	target->partial = NULL;
}
