// SPDX-License-Identifier: Apache-2.0
/* image_keep.c - a short table of paths and descriptors. */
#include "image_keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fd.h"

struct kept {
	char *path;
	bool read_only;
	struct image_fds fds;
};

static struct kept kept[IMAGE_KEPT_MAX];
static unsigned int kept_count;

static const struct kept *find(const char *path, bool read_only)
{
	for (unsigned int i = 0; i < kept_count; i++)
		if (kept[i].read_only == read_only &&
		    strcmp(kept[i].path, path) == 0)
			return &kept[i];
	return NULL;
}

int image_keep_opened(const char *path, bool read_only, int buffered_fd,
		      int direct_fd)
{
	struct kept *entry = &kept[kept_count];

	if (kept_count == IMAGE_KEPT_MAX)
		return -ENOSPC;
	entry->path = strdup(path);
	if (!entry->path)
		return -ENOMEM;
	entry->read_only = read_only;
	entry->fds.buffered_fd = buffered_fd;
	entry->fds.direct_fd = direct_fd;
	kept_count++;
	return 0;
}

int image_keep(const char *path, bool read_only, struct error *error)
{
	int flags = read_only ? O_RDONLY : O_RDWR;
	_cleanup_fd_ int buffered_fd = -1, direct_fd = -1;
	struct image_facts facts;
	int status;

	if (find(path, read_only))
		return 0;
	buffered_fd = image_open(path, flags, &facts, error);
	if (buffered_fd < 0)
		return buffered_fd;
	direct_fd =
		image_open_direct(buffered_fd, read_only, facts.block_device);
	if (direct_fd < 0 && direct_fd != -EINVAL)
		return error_set(error, direct_fd,
				 "image %s: can't be opened: %s", path,
				 strerror(-direct_fd));
	status = image_keep_opened(path, read_only, buffered_fd,
				   direct_fd < 0 ? -1 : direct_fd);
	if (status < 0)
		return error_set(error, status, "image %s: can't be kept: %s",
				 path, strerror(-status));
	take_fd(&buffered_fd);
	take_fd(&direct_fd);
	return 0;
}

int image_kept(const char *path, bool read_only, struct image_fds *ret_fds,
	       struct error *error)
{
	const struct kept *entry = find(path, read_only);
	struct image_fds fds;
	int status;

	if (!entry)
		return 0;
	fds = entry->fds;
	status = image_read_facts(fds.buffered_fd, path, &fds.facts, error);
	if (status < 0)
		return status;
	*ret_fds = fds;
	return 1;
}

void image_keep_clear(void)
{
	for (unsigned int i = 0; i < kept_count; i++) {
		free(kept[i].path);
		fd_close(kept[i].fds.direct_fd);
		fd_close(kept[i].fds.buffered_fd);
	}
	kept_count = 0;
}
