/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_directory.c - tries what forebay-cached will need, with one file.
 *
 * The file has no name if the file system can do without, so that nothing
 * stays even if we are killed.
 */
#include "pool_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fd.h"
#include "gate.h"
#include "quantity.h"
#include "text.h"

#define PROBE_BYTES 4096u

static int refuse(struct problem *problem, const char *path, int result)
{
	const char *hint = "give a directory on a local SSD";

	if (result == -EROFS || result == -EACCES || result == -EPERM)
		hint = "make its file system and the directory writable";
	problem_set(problem,
		    result == -ENOSPC || result == -EDQUOT ? PROBLEM_NO_SPACE
							   : PROBLEM_BAD_PATH,
		    "directory %s can't be used: %s", path, strerror(-result));
	if (result == -ENOSPC || result == -EDQUOT)
		hint = "make space, or give another directory";
	problem_about(problem, "directory", path);
	return problem_hint(problem, "%s", hint);
}

/* Returns: a descriptor of a file that is gone when it's closed, or -errno. */
static int open_probe(const char *path, int flags)
{
	char name[PATH_MAX];
	int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600);

	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return -errno;
	snprintf(name, sizeof(name), "%s/.forebay-probe-%d", path, getpid());
	fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | flags, 0600);
	if (fd < 0)
		return -errno;
	unlink(name);
	return fd;
}

static int write_probe(int fd)
{
	void *block;
	ssize_t written;
	int result = posix_memalign(&block, PROBE_BYTES, PROBE_BYTES);

	if (result != 0)
		return -result;
	memset(block, 0, PROBE_BYTES);
	written = pwrite(fd, block, PROBE_BYTES, 0);
	if (written < 0 || fdatasync(fd) < 0)
		result = -errno;
	else if (written != PROBE_BYTES)
		result = -ENOSPC;
	free(block);
	return result;
}

static int try_direct(const char *path, struct problem *problem)
{
	_cleanup_fd_ int plain = open_probe(path, 0);
	_cleanup_fd_ int direct = -1;
	int result;

	if (plain < 0)
		return refuse(problem, path, plain);
	direct = open_probe(path, O_DIRECT);
	result = direct < 0 ? direct : write_probe(direct);
	if (result == -EINVAL) {
		problem_set(problem, PROBLEM_BAD_PATH,
			    "directory %s can't be used: its file system has "
			    "no O_DIRECT",
			    path);
		problem_about(problem, "directory", path);
		return problem_hint(problem, "use XFS or ext4 on a local SSD");
	}
	return result < 0 ? refuse(problem, path, result) : 0;
}

int pool_directory_space(const char *path,
			 struct pool_directory_space *ret_space)
{
	struct statvfs status;

	if (statvfs(path, &status) < 0)
		return -errno;
	ret_space->size_bytes = status.f_blocks * status.f_frsize;
	ret_space->free_bytes = status.f_bavail * status.f_frsize;
	return 0;
}

static int check_space(const char *path, struct problem *problem)
{
	struct pool_directory_space space = {0};
	char has[32], wants[32];
	int result = pool_directory_space(path, &space);

	if (result < 0)
		return refuse(problem, path, result);
	if (space.free_bytes >= POOL_DIRECTORY_FREE_MIN)
		return 0;
	quantity_format_size(space.free_bytes, has, sizeof(has));
	quantity_format_size(POOL_DIRECTORY_FREE_MIN, wants, sizeof(wants));
	problem_set(problem, PROBLEM_NO_SPACE,
		    "directory %s has %s free: a pool needs at least %s", path,
		    has, wants);
	problem_about(problem, "directory", path);
	return problem_hint(problem, "make space, or give another directory");
}

static int check_whole(const char *whole, struct problem *problem)
{
	struct stat status;
	int result;

	if (stat(whole, &status) < 0)
		return refuse(problem, whole, -errno);
	if (!S_ISDIR(status.st_mode))
		return refuse(problem, whole, -ENOTDIR);
	/* Space first: a full file system then says so, and not "error". */
	result = check_space(whole, problem);
	return result < 0 ? result : try_direct(whole, problem);
}

int pool_directory_check(const char *path, char **ret_path,
			 struct problem *problem)
{
	char *whole;
	int result;

	if (!gate_is_path(path)) {
		problem_set(problem, PROBLEM_BAD_PATH,
			    "\"%.200s\" is not an absolute path", path);
		return problem_hint(problem, "write the path from / on");
	}
	whole = realpath(path, NULL);
	if (!whole && errno == ENOENT) {
		problem_set(problem, PROBLEM_BAD_PATH,
			    "directory %.200s does not exist", path);
		problem_about(problem, "directory", path);
		return problem_hint(problem, "make it, on a local SSD");
	}
	if (!whole)
		return refuse(problem, path, -errno);
	if (text_is_clean(whole))
		result = check_whole(whole, problem);
	else
		result = refuse(problem, path, -EILSEQ);
	if (result < 0) {
		free(whole);
		return result;
	}
	*ret_path = whole;
	return 0;
}
