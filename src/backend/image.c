// SPDX-License-Identifier: Apache-2.0
/*
 * image.c - what can be said about an image before anyone reads or writes it.
 */
#include "image.h"

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

#define PROBE_BYTES 4096u

int image_check_path(const char *path, struct error *error)
{
	if (path[0] != '/')
		return error_set(error, -EINVAL,
				 "backend 'file:%s': the path must be absolute",
				 path);
	if (path[1] == '/' && path[2] != '/')
		return error_set(error, -EINVAL,
				 "backend 'file:%s': a host isn't possible "
				 "here; write file:/path",
				 path);
	return 0;
}

static int explain_open(const char *path, int code, struct error *error)
{
	switch (-code) {
	case ENOENT:
		return error_set(error, code, "image %s: does not exist", path);
	case EISDIR:
		return error_set(error, code,
				 "image %s: is a directory, not a raw image or "
				 "a block device",
				 path);
	case EACCES:
	case EPERM:
		return error_set(error, code,
				 "image %s: permission denied for uid %d", path,
				 (int)geteuid());
	case EROFS:
		return error_set(error, code,
				 "image %s: its file system is read-only",
				 path);
	}
	return error_set(error, code, "image %s: can't be opened: %s", path,
			 strerror(-code));
}

static int device_size(int fd, uint64_t *ret_bytes)
{
	return ioctl(fd, BLKGETSIZE64, ret_bytes) < 0 ? -errno : 0;
}

int image_read_facts(int fd, const char *path, struct image_facts *ret_facts,
		     struct error *error)
{
	struct image_facts facts = {0};
	struct stat status;
	int result = 0;

	if (fstat(fd, &status) < 0)
		return explain_open(path, -errno, error);
	if (S_ISDIR(status.st_mode))
		return explain_open(path, -EISDIR, error);
	facts.block_device = S_ISBLK(status.st_mode);
	if (facts.block_device)
		result = device_size(fd, &facts.size_bytes);
	else if (S_ISREG(status.st_mode))
		facts.size_bytes = (uint64_t)status.st_size;
	else
		return error_set(error, -EINVAL,
				 "image %s: is neither a file nor a block "
				 "device",
				 path);
	if (result < 0)
		return explain_open(path, result, error);
	if (facts.size_bytes == 0)
		return error_set(error, -EINVAL, "image %s: is empty", path);
	if (facts.size_bytes % IMAGE_SECTOR_BYTES != 0)
		return error_set(error, -EINVAL,
				 "image %s: its size, %llu bytes, is not a "
				 "multiple of 512; grow it with truncate(1)",
				 path, (unsigned long long)facts.size_bytes);
	*ret_facts = facts;
	return 0;
}

int image_open(const char *path, int flags, struct image_facts *ret_facts,
	       struct error *error)
{
	_cleanup_fd_ int fd = -1;
	int status = image_check_path(path, error);

	if (status < 0)
		return status;
	/* Not blocking: a FIFO would wait for its other end. */
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return explain_open(path, -errno, error);
	status = image_read_facts(fd, path, ret_facts, error);
	if (status < 0)
		return status;
	/* io_uring gives up at once on descriptors that must not block. */
	if (fcntl(fd, F_SETFL, flags & ~O_ACCMODE) < 0)
		return explain_open(path, -errno, error);
	return take_fd(&fd);
}

int image_open_direct(int fd, bool read_only, bool block_device)
{
	int flags = O_CLOEXEC | O_DIRECT | (read_only ? O_RDONLY : O_RDWR) |
		    (block_device && !read_only ? O_EXCL : 0);
	char path[64];
	int direct_fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	direct_fd = open(path, flags);
	return direct_fd < 0 ? -errno : direct_fd;
}

/* For kernels that don't tell: tries to read a sector. */
static uint32_t try_alignment(int fd)
{
	void *memory;
	ssize_t count;

	if (posix_memalign(&memory, PROBE_BYTES, PROBE_BYTES) != 0)
		return PROBE_BYTES;
	count = pread(fd, memory, IMAGE_SECTOR_BYTES, 0);
	free(memory);
	return count >= 0 ? IMAGE_SECTOR_BYTES : PROBE_BYTES;
}

uint32_t image_alignment(int fd)
{
#ifdef STATX_DIOALIGN
	struct statx facts;
	uint32_t alignment;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &facts) == 0 &&
	    (facts.stx_mask & STATX_DIOALIGN)) {
		if (facts.stx_dio_offset_align == 0)
			return 0;
		alignment = facts.stx_dio_offset_align > facts.stx_dio_mem_align
				    ? facts.stx_dio_offset_align
				    : facts.stx_dio_mem_align;
		return alignment <= IMAGE_SECTOR_BYTES ? IMAGE_SECTOR_BYTES
						       : PROBE_BYTES;
	}
#endif
	return try_alignment(fd);
}
