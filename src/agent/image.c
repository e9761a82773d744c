/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.c - what `disk create` does to the backend: as little as possible.
 *
 * A new image appears under its name whole or not at all, and never replaces
 * anything. If we die before the disk is stored, asking again adopts it.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "text.h"

static int refuse(struct problem *problem, const char *path, const char *why,
		  const char *hint)
{
	problem_set(problem, PROBLEM_BAD_BACKEND, "backend file:%s %s", path,
		    why);
	problem_about(problem, "backend", path);
	return problem_hint(problem, "%s", hint);
}

static int refuse_errno(struct problem *problem, const char *path, int result)
{
	char why[128];

	snprintf(why, sizeof(why), "can't be used: %s", strerror(-result));
	return refuse(problem, path, why, "check the path and its permissions");
}

static int measure(int fd, const struct stat *status, uint64_t *ret_bytes)
{
	if (!S_ISBLK(status->st_mode)) {
		*ret_bytes = (uint64_t)status->st_size;
		return 0;
	}
	return ioctl(fd, BLKGETSIZE64, ret_bytes) < 0 ? -errno : 0;
}

/* Images with a format of their own would be garbage to a guest. */
static const char *find_format(int fd)
{
	unsigned char magic[8] = {0};

	if (pread(fd, magic, sizeof(magic), 0) < (ssize_t)sizeof(magic))
		return NULL;
	if (memcmp(magic, "QFI\xfb", 4) == 0)
		return "is a qcow2 image";
	if (memcmp(magic, "KDMV", 4) == 0)
		return "is a VMDK image";
	if (memcmp(magic, "vhdxfile", 8) == 0)
		return "is a VHDX image";
	return NULL;
}

static int check_size(const char *path, uint64_t wanted, uint64_t found,
		      struct problem *problem)
{
	if (found == 0 || found % 512 != 0) {
		problem_set(problem, PROBLEM_BAD_SIZE,
			    "backend file:%s has %" PRIu64
			    " bytes: not a multiple of 512, or nothing",
			    path, found);
		problem_about(problem, "backend", path);
		return problem_hint(problem, "extend it with truncate(1)");
	}
	if (wanted == 0 || wanted == found)
		return 0;
	problem_set(problem, PROBLEM_SIZE_MISMATCH,
		    "backend file:%s exists and has %" PRIu64
		    " bytes, not %" PRIu64,
		    path, found, wanted);
	problem_about(problem, "backend", path);
	return problem_hint(problem, "leave the size out to adopt it as it is");
}

/* Names the image as the store shall know it. */
static int keep(const char *path, struct image *image, struct image *ret_image,
		struct problem *problem)
{
	image->path = realpath(path, NULL);
	if (!image->path)
		return refuse_errno(problem, path, -errno);
	if (!text_is_clean(image->path)) {
		image_free(image);
		return refuse_errno(problem, path, -EILSEQ);
	}
	*ret_image = *image;
	return 0;
}

static int adopt(const char *path, uint64_t size_bytes, bool read_only,
		 struct image *ret_image, struct problem *problem)
{
	_cleanup_fd_ int fd = open(path, (read_only ? O_RDONLY : O_RDWR) |
						 O_NONBLOCK | O_CLOEXEC);
	struct image image = {0};
	const char *format;
	struct stat status;
	int result;

	if (fd < 0)
		return refuse_errno(problem, path, -errno);
	if (fstat(fd, &status) < 0)
		return refuse_errno(problem, path, -errno);
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		return refuse(problem, path,
			      "is neither a file nor a block device",
			      "give a raw image or a block device");
	format = find_format(fd);
	if (format)
		return refuse(problem, path, format,
			      "convert it: qemu-img convert -O raw");
	result = measure(fd, &status, &image.size_bytes);
	if (result < 0)
		return refuse_errno(problem, path, result);
	result = check_size(path, size_bytes, image.size_bytes, problem);
	if (result < 0)
		return result;
	return keep(path, &image, ret_image, problem);
}

static int make_file(const char *path, uint64_t size_bytes)
{
	char next[PATH_MAX];
	_cleanup_fd_ int fd = -1;
	int result = 0;

	if (snprintf(next, sizeof(next), "%s.forebay-%d", path, gettid()) >=
	    (int)sizeof(next))
		return -ENAMETOOLONG;
	fd = open(next, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0660);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size_bytes) < 0 || fsync(fd) < 0)
		result = -errno;
	/* link() never replaces, rename() would. */
	else if (link(next, path) < 0)
		result = -errno;
	unlink(next);
	return result;
}

static int make(const char *path, uint64_t size_bytes, struct image *ret_image,
		struct problem *problem)
{
	struct image image = {.size_bytes = size_bytes, .made = true};
	int result = make_file(path, size_bytes);

	if (result == -ENOENT)
		return refuse(problem, path,
			      "is in a directory that does not "
			      "exist",
			      "make the directory");
	if (result == -ENOSPC || result == -EFBIG) {
		problem_set(problem, PROBLEM_NO_SPACE,
			    "backend file:%s can't be made: %s", path,
			    strerror(-result));
		return problem_about(problem, "backend", path);
	}
	if (result == -EEXIST) {
		problem_set(problem, PROBLEM_BACKEND_EXISTS,
			    "backend file:%s was made by someone else just "
			    "now",
			    path);
		return problem_about(problem, "backend", path);
	}
	if (result < 0)
		return refuse_errno(problem, path, result);
	return keep(path, &image, ret_image, problem);
}

int image_provide(const char *path, uint64_t size_bytes, bool read_only,
		  struct image *ret_image, struct problem *problem)
{
	struct stat status;

	if (stat(path, &status) == 0)
		return adopt(path, size_bytes, read_only, ret_image, problem);
	if (errno != ENOENT)
		return refuse_errno(problem, path, -errno);
	if (size_bytes > 0 && !read_only)
		return make(path, size_bytes, ret_image, problem);
	problem_set(problem, PROBLEM_BACKEND_MISSING,
		    "backend file:%s does not exist", path);
	problem_about(problem, "backend", path);
	return problem_hint(problem, read_only
					     ? "correct the path: a read-only "
					       "disk needs an image"
					     : "correct the path, or give a "
					       "size to make a new image");
}

int image_delete(const char *path, struct problem *problem)
{
	struct stat status;

	if (stat(path, &status) < 0 && errno == ENOENT)
		return 0;
	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
		return refuse(problem, path,
			      "is not a file, so it can't be "
			      "deleted",
			      "delete the disk without its backend");
	if (unlink(path) < 0 && errno != ENOENT)
		return refuse_errno(problem, path, -errno);
	return 0;
}

int image_size(const char *path, uint64_t *ret_bytes)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	return measure(fd, &status, ret_bytes);
}

bool image_is_device(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISBLK(status.st_mode);
}

void image_free(struct image *image)
{
	free(image->path);
	*image = (struct image){0};
}
