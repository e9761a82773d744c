// SPDX-License-Identifier: Apache-2.0
/*
 * file.c - whole files, with the syncs in the order that survives a crash:
 * data, then file, then name, then directory.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"

/* /proc files have no size: read in steps. */
#define READ_STEP_BYTES 4096u

static void free_text(char **text)
{
	free(*text);
}

int file_read(const char *path, size_t limit_bytes, char **ret_text,
	      size_t *ret_bytes)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	__attribute__((cleanup(free_text))) char *text = NULL;
	size_t capacity = 0;
	size_t used = 0;
	ssize_t count;

	if (fd < 0)
		return -errno;
	do {
		if (capacity - used < 2) {
			char *larger = realloc(text, capacity + capacity / 2 +
							     READ_STEP_BYTES);

			if (!larger)
				return -ENOMEM;
			capacity += capacity / 2 + READ_STEP_BYTES;
			text = larger;
		}
		count = read(fd, text + used, capacity - used - 1);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		used += (size_t)count;
		if (used > limit_bytes)
			return -EFBIG;
	} while (count != 0);
	text[used] = '\0';
	*ret_text = text;
	text = NULL;
	if (ret_bytes)
		*ret_bytes = used;
	return 0;
}

int file_write_all(int fd, const void *bytes, size_t count)
{
	const char *at = bytes;

	while (count > 0) {
		ssize_t written = write(fd, at, count);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		at += written;
		count -= (size_t)written;
	}
	return 0;
}

int file_sync_directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX] = ".";
	_cleanup_fd_ int fd = -1;

	if (slash && (size_t)(slash - path) >= sizeof(directory))
		return -ENAMETOOLONG;
	if (slash)
		snprintf(directory, sizeof(directory), "%.*s",
			 slash == path ? 1 : (int)(slash - path), path);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int write_and_sync(int fd, const void *bytes, size_t count, mode_t mode)
{
	int status = file_write_all(fd, bytes, count);

	if (status < 0)
		return status;
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int file_write_atomically(const char *path, const void *bytes, size_t count,
			  mode_t mode)
{
	char temporary[PATH_MAX];
	_cleanup_fd_ int fd = -1;
	int status;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >=
	    sizeof(temporary))
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	status = write_and_sync(fd, bytes, count, mode);
	if (status == 0 && rename(temporary, path) < 0)
		status = -errno;
	if (status < 0) {
		unlink(temporary);
		return status;
	}
	return file_sync_directory_of(path);
}

static int make_one(const char *path, mode_t mode)
{
	struct stat facts;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &facts) < 0)
		return -errno;
	return S_ISDIR(facts.st_mode) ? 0 : -ENOTDIR;
}

int file_make_directory(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t length = strlen(path);

	if (length == 0)
		return -ENOENT;
	if (length >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, length + 1);
	for (char *slash = strchr(part + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		int status;

		*slash = '\0';
		status = make_one(part, mode);
		*slash = '/';
		if (status < 0)
			return status;
	}
	return make_one(part, mode);
}
