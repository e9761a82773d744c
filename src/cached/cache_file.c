// SPDX-License-Identifier: Apache-2.0
/*
 * cache_file.c - the file calls behind one disk's cache file.
 *
 * Order when one is made: a nameless file of its size, the blocks of a small
 * log allocated, fsync, name, fsync of the folder. Until the name is there
 * nothing is left behind by whatever ends this process, and whoever finds the
 * name finds all of the file.
 */
#include "cache_file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failpoint.h"
#include "fd.h"

/* A cache file's, and of one that its disk has let go of. */
#define MODE_NEEDED 0600
#define MODE_NEEDLESS 0400

struct named_file {
	int folder_fd;
	char name[POOL_FILE_NAME_BYTES];
	const char *directory; /* for messages */
};

static int folder_open(const struct pool_directory *directory,
		       const uint8_t uuid[UUID_BYTES],
		       struct named_file *ret_file, struct error *error)
{
	int fd = pool_directory_open(directory, error);

	if (fd < 0)
		return fd;
	ret_file->folder_fd = fd;
	ret_file->directory = directory->path;
	pool_file_name(uuid, ret_file->name);
	return 0;
}

static int failure(const struct named_file *file, int code, const char *what,
		   struct error *error)
{
	const char *remedy = "look into the host's kernel log";

	if (code == -ENOSPC || code == -EDQUOT)
		remedy = "free or add space, or lower the policy's limit";
	else if (code == -EROFS)
		remedy = "mount the file system read-write";
	else if (code == -EACCES || code == -EPERM)
		remedy = "check owner and permissions";
	else if (code == -ELOOP)
		remedy = "a symbolic link is in its place: move it away";
	return error_set(error, code,
			 "cache file %s/" POOL_FOLDER "/%s: %s "
			 "failed: %s; %s",
			 file->directory, file->name, what, strerror(-code),
			 remedy);
}

static int make_at(const struct named_file *file, uint64_t bytes,
		   struct error *error)
{
	char source[sizeof("/proc/self/fd/") + 11];
	_cleanup_fd_ int fd =
		openat(file->folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC,
		       MODE_NEEDED);
	int status;

	if (fd < 0)
		return failure(file, -errno, "making it", error);
	failpoint(FAILPOINT_POOL_FILE_OPENED);
	status = ftruncate(fd, (off_t)bytes) < 0 ? -errno : 0;
	if (status == 0)
		status = -posix_fallocate(fd, 0, CACHE_FILE_BYTES_BORN);
	if (status < 0)
		return failure(file, status, "allocating its space", error);
	failpoint(FAILPOINT_POOL_FILE_ALLOCATED);
	if (fsync(fd) < 0)
		return failure(file, -errno, "fsync", error);
	failpoint(FAILPOINT_POOL_FILE_SYNCED);
	snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, source, file->folder_fd, file->name,
		   AT_SYMLINK_FOLLOW) < 0)
		return failure(file, -errno, "naming it", error);
	failpoint(FAILPOINT_POOL_FILE_NAMED);
	if (fsync(file->folder_fd) < 0) {
		status = -errno;
		unlinkat(file->folder_fd, file->name, 0);
		return failure(file, status, "fsync of its folder", error);
	}
	failpoint(FAILPOINT_POOL_FILE_MADE);
	return 0;
}

int cache_file_make(const struct pool_directory *directory,
		    const uint8_t uuid[UUID_BYTES], uint64_t bytes,
		    struct error *error)
{
	struct named_file file;
	int status = folder_open(directory, uuid, &file, error);

	if (status < 0)
		return status;
	status = make_at(&file, bytes, error);
	fd_close(file.folder_fd);
	return status;
}

/* Refuses what this daemon can't have made, before anyone writes to it. */
static int shape_check(const struct named_file *file, int fd,
		       uint64_t *ret_bytes, struct error *error)
{
	struct stat stat;
	uint64_t bytes;

	if (fstat(fd, &stat) < 0)
		return failure(file, -errno, "fstat", error);
	bytes = (uint64_t)stat.st_size;
	if (!S_ISREG(stat.st_mode) || stat.st_nlink > 1)
		return error_set(error, -EINVAL,
				 "%s/" POOL_FOLDER "/%s is not a plain file "
				 "with one name: it is no cache file; move it "
				 "away",
				 file->directory, file->name);
	if (bytes < POOL_FILE_BYTES_MIN || bytes > POOL_FILE_BYTES_MAX ||
	    bytes % POOL_GRANULE_BYTES != 0)
		return error_set(error, -EINVAL,
				 "cache file %s/" POOL_FOLDER "/%s has %" PRIu64
				 " bytes, which no cache file has: it was cut "
				 "or isn't ours; restore it or, if its "
				 "unwritten data may be lost, move it away",
				 file->directory, file->name, bytes);
	*ret_bytes = bytes;
	return 0;
}

/* Durably so, before anyone can write to it. */
static int make_needed(const struct named_file *file, struct error *error)
{
	_cleanup_fd_ int fd =
		openat(file->folder_fd, file->name,
		       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return failure(file, -errno, "opening it", error);
	if (!S_ISREG(stat.st_mode) || (stat.st_mode & 0777) != MODE_NEEDLESS)
		return 0;
	if (fchmod(fd, MODE_NEEDED) < 0 || fsync(fd) < 0)
		return failure(file, -errno, "making it writable", error);
	return 0;
}

static int open_at(const struct named_file *file, struct cache_file *ret_file,
		   struct error *error)
{
	_cleanup_fd_ int fd = -1;
	uint64_t bytes = 0;
	int status = make_needed(file, error);

	if (status < 0)
		return status;
	/* O_NONBLOCK: a pipe in its place must not hold us up. */
	fd = openat(file->folder_fd, file->name,
		    O_RDWR | O_DIRECT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return failure(file, -errno, "opening it", error);
	status = shape_check(file, fd, &bytes, error);
	if (status < 0)
		return status;
	if (fcntl(fd, F_SETFL, O_DIRECT) < 0)
		return failure(file, -errno, "setting up direct I/O", error);
	ret_file->bytes = bytes;
	ret_file->fd = take_fd(&fd);
	return 0;
}

int cache_file_open(const struct pool_directory *directory,
		    const uint8_t uuid[UUID_BYTES], struct cache_file *ret_file,
		    struct error *error)
{
	struct named_file file;
	int status = folder_open(directory, uuid, &file, error);

	if (status < 0)
		return status;
	status = open_at(&file, ret_file, error);
	fd_close(file.folder_fd);
	return status;
}

/* Takes the lock for a look; closing @fd gives it back. */
static int lock_try(const struct named_file *file, int *ret_fd,
		    struct error *error)
{
	_cleanup_fd_ int fd =
		openat(file->folder_fd, file->name,
		       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return failure(file, -errno, "opening it", error);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int code = errno == EWOULDBLOCK ? -EBUSY : -errno;

		return error_set(error, code,
				 "cache file %s/" POOL_FOLDER "/%s is in use: "
				 "close its disk first",
				 file->directory, file->name);
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

static int inspect_at(const struct named_file *file,
		      struct cache_file_info *ret_info, struct error *error)
{
	_cleanup_fd_ int fd = -1;
	struct stat stat;
	int status;

	if (fstatat(file->folder_fd, file->name, &stat, AT_SYMLINK_NOFOLLOW) <
	    0)
		return failure(file, -errno, "looking at it", error);
	status = lock_try(file, &fd, error);
	if (status < 0 && status != -EBUSY)
		return status;
	snprintf(ret_info->path, sizeof(ret_info->path),
		 "%s/" POOL_FOLDER "/%s", file->directory, file->name);
	ret_info->bytes = (uint64_t)stat.st_size;
	ret_info->allocated_bytes = pool_file_allocated(&stat);
	ret_info->in_use = status == -EBUSY;
	return 0;
}

int cache_file_inspect(const struct pool_directory *directory,
		       const uint8_t uuid[UUID_BYTES],
		       struct cache_file_info *ret_info, struct error *error)
{
	struct named_file file;
	int status = folder_open(directory, uuid, &file, error);

	if (status < 0)
		return status;
	status = inspect_at(&file, ret_info, error);
	fd_close(file.folder_fd);
	return status;
}

int cache_file_grow(struct cache_file *file, uint64_t bytes,
		    struct error *error)
{
	if (bytes <= file->bytes)
		return 0;
	if (ftruncate(file->fd, (off_t)bytes) < 0) {
		int code = -errno;

		return error_set(error, code,
				 "a cache file can't grow to %" PRIu64
				 " bytes: %s",
				 bytes, strerror(-code));
	}
	file->bytes = bytes;
	return 0;
}

int cache_file_let_go(const struct pool_directory *directory,
		      const uint8_t uuid[UUID_BYTES])
{
	struct named_file file;
	int status = folder_open(directory, uuid, &file, NULL);

	if (status < 0)
		return status;
	if (fchmodat(file.folder_fd, file.name, MODE_NEEDLESS, 0) < 0)
		status = -errno;
	fd_close(file.folder_fd);
	return status;
}

/* A process that was let in since has made it writable, durably. */
static bool is_needless(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) == 0 && (stat.st_mode & 0777) == MODE_NEEDLESS;
}

int cache_file_look(const struct pool_directory *directory,
		    const uint8_t uuid[UUID_BYTES], bool *ret_needless)
{
	struct named_file file;
	int fd = -1;
	int status = folder_open(directory, uuid, &file, NULL);

	if (status < 0)
		return status;
	status = lock_try(&file, &fd, NULL);
	if (status == 0)
		*ret_needless = is_needless(fd);
	fd_close(fd);
	fd_close(file.folder_fd);
	return status;
}

static int delete_at(const struct named_file *file, bool if_needless,
		     struct error *error)
{
	int fd = -1;
	/*
	 * The name goes while the lock is held. A disk that was granted the
	 * file and waits for the lock gets it afterwards, sees that the name is
	 * gone and asks again.
	 */
	int status = lock_try(file, &fd, error);

	if (status == 0 && if_needless && !is_needless(fd))
		status = error_set(error, -EBUSY, "it is needed");
	if (status == 0 && unlinkat(file->folder_fd, file->name, 0) < 0)
		status = failure(file, -errno, "deleting it", error);
	failpoint(FAILPOINT_POOL_FILE_DELETED);
	if (status == 0 && fsync(file->folder_fd) < 0)
		status = failure(file, -errno, "fsync of its folder", error);
	fd_close(fd);
	return status;
}

int cache_file_evict(const struct pool_directory *directory,
		     const uint8_t uuid[UUID_BYTES], struct error *error)
{
	struct named_file file;
	int status = folder_open(directory, uuid, &file, error);

	if (status < 0)
		return status;
	status = delete_at(&file, true, error);
	fd_close(file.folder_fd);
	return status;
}

int cache_file_delete(const struct pool_directory *directory,
		      const uint8_t uuid[UUID_BYTES], struct error *error)
{
	struct named_file file;
	int status = folder_open(directory, uuid, &file, error);

	if (status < 0)
		return status;
	status = delete_at(&file, false, error);
	fd_close(file.folder_fd);
	return status;
}
