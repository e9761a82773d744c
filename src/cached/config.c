// SPDX-License-Identifier: Apache-2.0
/*
 * config.c - reads the pools, and writes them durably before they count.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fd.h"

static int config_read(int fd, json_t **ret_root, const char *path,
		       struct error *error)
{
	json_error_t where;
	json_t *root = json_loadfd(fd, JSON_REJECT_DUPLICATES, &where);

	if (!root)
		return error_set(error, -EINVAL,
				 "%s is not JSON (line %d: %s): correct it, or "
				 "delete it and set the pools again",
				 path, where.line, where.text);
	*ret_root = root;
	return 0;
}

int config_load(const char *path, struct pool_set *ret_set, struct error *error)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct error reason;
	json_t *root;
	int status;

	if (fd < 0 && errno == ENOENT) {
		memset(ret_set, 0, sizeof(*ret_set));
		return 0;
	}
	if (fd < 0) {
		status = -errno;
		return error_set(error, status, "%s can't be read: %s", path,
				 strerror(-status));
	}
	status = config_read(fd, &root, path, error);
	if (status < 0)
		return status;
	status = pool_set_parse(json_object_get(root, "pools"), ret_set,
				&reason);
	json_decref(root);
	if (status < 0)
		return error_set(error, status, "%s: %s", path, reason.message);
	return 0;
}

static int text_write(const char *path, const char *text)
{
	_cleanup_fd_ int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t count = strlen(text);

	if (fd < 0)
		return -errno;
	while (count > 0) {
		ssize_t written = write(fd, text, count);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		text += written;
		count -= (size_t)written;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int folder_sync(const char *path)
{
	char folder[PATH_MAX];
	_cleanup_fd_ int fd = -1;

	snprintf(folder, sizeof(folder), "%s", path);
	fd = open(dirname(folder), O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int config_store(const char *path, const struct pool_set *set,
		 struct error *error)
{
	json_t *root = json_pack("{s:o}", "pools", pool_set_json(set));
	char *text = json_dumps(root, JSON_INDENT(2));
	char next[PATH_MAX];
	int status;

	json_decref(root);
	if (!text)
		return error_set(error, -ENOMEM, "%s: out of memory", path);
	snprintf(next, sizeof(next), "%s.tmp", path);
	status = text_write(next, text);
	free(text);
	if (status == 0 && rename(next, path) < 0)
		status = -errno;
	if (status == 0)
		status = folder_sync(path);
	if (status < 0)
		return error_set(error, status,
				 "%s can't be written: %s; the pools stay as "
				 "they were",
				 path, strerror(-status));
	return 0;
}
