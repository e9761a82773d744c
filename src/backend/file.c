// SPDX-License-Identifier: Apache-2.0
/*
 * file.c - the "file:" driver: a raw image file or a block device.
 *
 * Opening blocks for as long as open(2) does, but waits for the lock on the
 * loop: as long as a killed predecessor's I/O is in the kernel, the lock is
 * taken, and nobody may read or write what that I/O may still change.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "failpoint.h"
#include "fd.h"
#include "file.h"
#include "file_private.h"
#include "image.h"
#include "image_keep.h"
#include "image_lock.h"
#include "list.h"
#include "log.h"
#include "sidecar.h"

#define LOCK_RETRY_NS (10 * NS_PER_MS)
#define HOLDER_BYTES 96u
/* The folder of an image's sidecars: its path and this. */
#define SIDECAR_FOLDER ".forebay"

/* Lets go of one of the two, with its lock. Returns: -1. */
static int let_go(const struct file *file, int fd)
{
	if (file->kept && fd >= 0)
		image_unlock(fd);
	else
		fd_close(fd);
	return -1;
}

static void file_free(struct file *file)
{
	file_extents_destroy(file->extents);
	let_go(file, file->direct_fd);
	let_go(file, file->buffered_fd);
	free(file);
}

static void answer_opened(struct loop_deferred *deferred)
{
	struct file *file = deferred->owner;
	struct backend_open_request *request = file->request;

	file->request = NULL;
	request->done(request, 0, &file->backend, &request->error);
}

/* The words for a failure are in request->error. */
static void end_open(struct file *file, int status)
{
	struct backend_open_request *request = file->request;
	struct loop *loop = file->loop;

	if (status < 0) {
		file_free(file);
		backend_refuse(loop, request);
		return;
	}
	request->answer = (struct loop_deferred){
		.run = answer_opened,
		.owner = file,
	};
	loop_defer(loop, &request->answer);
}

/* Returns: 0, -EBUSY, or -errno; file->direct_fd is -1 if there is no direct
 * I/O. */
static int open_direct(struct file *file)
{
	int fd = file->kept_direct_fd;

	if (!file->kept) {
		fd = image_open_direct(file->buffered_fd, file->read_only,
				       file->block_device);
		if (fd < 0 && fd != -EINVAL)
			return fd;
	}
	if (fd < 0)
		return 0;
	file->direct_fd = fd;
	file->backend.info.alignment_bytes = image_alignment(file->direct_fd);
	if (file->backend.info.alignment_bytes == 0)
		file->direct_fd = let_go(file, file->direct_fd);
	return 0;
}

static void tell_waiting(struct file *file)
{
	struct backend_open_request *request = file->request;
	char reason[sizeof(request->error.message)];
	char holder[HOLDER_BYTES];

	if (file->told_waiting)
		return;
	file->told_waiting = true;
	if (image_lock_holder(file->buffered_fd, holder, sizeof(holder)))
		snprintf(reason, sizeof(reason),
			 "waiting for %s to let go of image %s", holder,
			 file->path);
	else
		snprintf(reason, sizeof(reason),
			 "waiting for the lock of image %s: I/O of a killed "
			 "process may still be in the kernel",
			 file->path);
	log_info("%s", reason);
	if (request->waiting)
		request->waiting(request, reason);
}

static int explain_busy(const char *path, int fd, struct error *error)
{
	char holder[HOLDER_BYTES];

	if (image_lock_holder(fd, holder, sizeof(holder)))
		return error_set(error, -EBUSY,
				 "image %s: in use by %s; stop that first",
				 path, holder);
	return error_set(error, -EBUSY,
			 "image %s: in use by someone who can't be seen from "
			 "here: a mounted file system, another host or user, "
			 "or I/O of a killed process that hasn't ended",
			 path);
}

static int64_t time_ns(struct statx_timestamp time)
{
	return time.tv_sec * (int64_t)NS_PER_SECOND + time.tv_nsec;
}

/* A network file system is to ask its server, not its memory. */
static void read_facts(const struct file *file, struct backend_facts *ret_facts)
{
	struct statx facts;

	if (file->block_device ||
	    statx(file->buffered_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC,
		  STATX_BASIC_STATS, &facts) < 0)
		return;
	*ret_facts = (struct backend_facts){
		.known = true,
		.inode = facts.stx_ino,
		.size_bytes = facts.stx_size,
		.mtime_ns = time_ns(facts.stx_mtime),
		.ctime_ns = time_ns(facts.stx_ctime),
	};
}

static void fill_info(struct file *file)
{
	struct backend_info *info = &file->backend.info;

	read_facts(file, &info->found);
	info->volatile_cache = true;
	info->resized_elsewhere = file->block_device;
	info->late_writes = BACKEND_LATE_WRITES_IMPOSSIBLE;
	info->sidecar = file->block_device ? BACKEND_SIDECAR_BY_UUID
					   : BACKEND_SIDECAR_BESIDE;
	info->operations = 1u << BACKEND_READ | 1u << BACKEND_FLUSH;
	if (!file->block_device)
		info->operations |= 1u << BACKEND_EXTENTS;
	if (file->direct_fd < 0) {
		info->alignment_bytes = IMAGE_SECTOR_BYTES;
		log_warning("image %s: its file system has no direct I/O, all "
			    "data are copied through the page cache",
			    file->path);
	}
	if (file->read_only)
		return;
	file->can_zero_range = true;
	/*
	 * Not tried here: even a hole behind the end is a change of the image,
	 * and an open that is refused must leave it as it was closed. The first
	 * request finds out.
	 */
	file->can_punch = true;
	info->operations |= 1u << BACKEND_WRITE | 1u << BACKEND_WRITE_ZEROES |
			    1u << BACKEND_DISCARD;
}

/* Returns: 0, -EBUSY (nothing is held), or -errno with words. */
static int take_locks(struct file *file)
{
	int status = image_lock(file->buffered_fd, file->read_only);

	if (status == 0) {
		status = open_direct(file);
		if (status == 0 && file->direct_fd >= 0)
			status = image_lock_also(file->direct_fd,
						 file->read_only);
		if (status < 0) {
			file->direct_fd = let_go(file, file->direct_fd);
			image_unlock(file->buffered_fd);
		}
	}
	if (status < 0 && status != -EBUSY)
		error_set(&file->request->error, status,
			  "image %s: can't be locked: %s", file->path,
			  strerror(-status));
	return status;
}

static int keep_opened(struct file *file)
{
	int status = image_keep_opened(file->path, file->read_only,
				       file->buffered_fd, file->direct_fd);

	if (status < 0)
		return error_set(&file->request->error, status,
				 "image %s: can't be kept: %s", file->path,
				 strerror(-status));
	file->kept = true;
	file->kept_direct_fd = file->direct_fd;
	return 0;
}

static void try_open(struct file *file)
{
	int status = take_locks(file);

	if (status == -EBUSY && clock_monotonic_ns() < file->deadline_ns) {
		tell_waiting(file);
		loop_timer_arm(file->loop, &file->retry, LOCK_RETRY_NS);
		return;
	}
	if (status == -EBUSY)
		explain_busy(file->path, file->buffered_fd,
			     &file->request->error);
	if (status == 0 && file->request->keep && !file->kept)
		status = keep_opened(file);
	if (status == 0)
		fill_info(file);
	end_open(file, status);
}

static void retry_open(struct loop_timer *timer)
{
	try_open(timer->owner);
}

/* What was kept, or else what the path names now. */
static int open_image(struct file *file)
{
	struct error *error = &file->request->error;
	struct image_fds fds;
	int status = image_kept(file->path, file->read_only, &fds, error);

	if (status < 0)
		return status;
	file->kept = status > 0;
	if (file->kept)
		file->kept_direct_fd = fds.direct_fd;
	else
		fds.buffered_fd = image_open(
			file->path, file->read_only ? O_RDONLY : O_RDWR,
			&fds.facts, error);
	if (fds.buffered_fd < 0)
		return fds.buffered_fd;
	file->buffered_fd = fds.buffered_fd;
	file->backend.info.size_bytes = fds.facts.size_bytes;
	file->block_device = fds.facts.block_device;
	return 0;
}

static int file_keep(const char *location, bool read_only, struct error *error)
{
	return image_keep(location, read_only, error);
}

static void file_open(struct loop *loop, struct backend_open_request *request,
		      const char *location)
{
	struct file *file = calloc(1, sizeof(*file) + strlen(location) + 1);
	int status;

	if (!file) {
		error_set(&request->error, -ENOMEM, "image %s: no memory",
			  location);
		backend_refuse(loop, request);
		return;
	}
	file->backend.driver = &file_driver;
	file->loop = loop;
	file->request = request;
	file->read_only = request->read_only;
	file->direct_fd = -1;
	file->buffered_fd = -1;
	file->retry.expired = retry_open;
	file->retry.owner = file;
	if (__builtin_add_overflow(clock_monotonic_ns(),
				   request->lock_timeout_ns,
				   &file->deadline_ns))
		file->deadline_ns = UINT64_MAX;
	memcpy(file->path, location, strlen(location) + 1);
	file_prepare_zeros(file);
	status = open_image(file);
	if (status < 0)
		end_open(file, status);
	else
		try_open(file);
}

static void file_close(struct backend *backend)
{
	struct file *file = container_of(backend, struct file, backend);

	assert(file->in_flight == 0);
	file_free(file);
}

/* Times that only memory knows would be other ones after a power failure. */
static void file_facts(const struct backend *backend,
		       struct backend_facts *ret_facts)
{
	const struct file *file = container_of(backend, struct file, backend);

	if (file->read_only || fsync(file->buffered_fd) == 0)
		read_facts(file, ret_facts);
}

static bool file_beside(const char *location, char *ret_folder,
			size_t folder_bytes)
{
	struct stat facts;

	return stat(location, &facts) == 0 && S_ISREG(facts.st_mode) &&
	       (size_t)snprintf(ret_folder, folder_bytes, "%s" SIDECAR_FOLDER,
				location) < folder_bytes;
}

static int file_grow(struct backend *backend, uint64_t size_bytes,
		     struct error *error)
{
	struct file *file = container_of(backend, struct file, backend);
	int status = 0;

	assert(file->in_flight == 0);
	if (file->block_device)
		return error_set(error, -EOPNOTSUPP,
				 "image %s: is a block device of %" PRIu64
				 " bytes: make the device larger first",
				 file->path, file->backend.info.size_bytes);
	if (ftruncate(file->buffered_fd, (off_t)size_bytes) < 0)
		status = -errno;
	failpoint(FAILPOINT_IMAGE_GROWN);
	if (status == 0 && fsync(file->buffered_fd) < 0)
		status = -errno;
	failpoint(FAILPOINT_IMAGE_GROWTH_SYNCED);
	if (status < 0)
		return error_set(error, status,
				 "image %s: can't be made larger: %s",
				 file->path, strerror(-status));
	file->backend.info.size_bytes = size_bytes;
	return 0;
}

static int file_probe(const char *location, uint64_t *ret_size_bytes,
		      struct error *error)
{
	struct image_facts facts;
	int fd = image_open(location, O_RDONLY, &facts, error);

	if (fd < 0)
		return fd;
	fd_close(fd);
	*ret_size_bytes = facts.size_bytes;
	return 0;
}

static int explain_make(const char *path, int code, struct error *error)
{
	if (code == -EEXIST)
		return error_set(error, code, "image %s: exists already", path);
	if (code == -ENOENT)
		return error_set(error, code,
				 "image %s: its directory does not exist",
				 path);
	return error_set(error, code, "image %s: can't be made: %s", path,
			 strerror(-code));
}

static int file_make(const char *location, uint64_t size_bytes,
		     struct error *error)
{
	_cleanup_fd_ int fd = -1;
	int status = image_check_path(location, error);

	if (status < 0)
		return status;
	if (size_bytes == 0 || size_bytes % IMAGE_SECTOR_BYTES != 0 ||
	    size_bytes > INT64_MAX)
		return error_set(error, -EINVAL,
				 "image %s: its size must be a multiple of 512 "
				 "bytes and not 0",
				 location);
	fd = open(location, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return explain_make(location, -errno, error);
	if (ftruncate(fd, (off_t)size_bytes) < 0 || fsync(fd) < 0)
		status = -errno;
	else
		status = file_sync_directory_of(location);
	if (status < 0) {
		unlink(location);
		return explain_make(location, status, error);
	}
	return 0;
}

static int file_remove(const char *location, struct error *error)
{
	char folder[SIDECAR_PATH_BYTES];
	struct image_facts facts;
	_cleanup_fd_ int fd = image_open(location, O_RDWR, &facts, error);
	int status;

	if (fd < 0)
		return fd;
	if (facts.block_device)
		return error_set(error, -EINVAL,
				 "image %s: is a block device, which Forebay "
				 "doesn't delete",
				 location);
	status = image_lock(fd, false);
	if (status == -EBUSY)
		return explain_busy(location, fd, error);
	/* What else lies there isn't ours, and stays. */
	if (status == 0 && file_beside(location, folder, sizeof(folder)))
		sidecar_remove(folder);
	if (status == 0 && unlink(location) < 0)
		status = -errno;
	if (status == 0)
		status = file_sync_directory_of(location);
	if (status < 0)
		error_set(error, status, "image %s: can't be deleted: %s",
			  location, strerror(-status));
	return status;
}

const struct backend_driver file_driver = {
	.scheme = "file",
	.keep = file_keep,
	.open = file_open,
	.submit = file_submit,
	.close = file_close,
	.grow = file_grow,
	.facts = file_facts,
	.beside = file_beside,
	.probe = file_probe,
	.make = file_make,
	.remove = file_remove,
};
