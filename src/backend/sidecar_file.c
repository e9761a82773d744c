// SPDX-License-Identifier: Apache-2.0
/*
 * sidecar_file.c - see sidecar_file.h.
 */
#include "sidecar_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "sidecar.h"

#define KEPT_MAX 64u
/* FILTER.NAME, of 31 each. */
#define NAME_BYTES 64u

struct kept {
	char *folder;
	char name[NAME_BYTES];
	bool writable;
	int fd;
};

static struct kept kept[KEPT_MAX];
static unsigned int kept_count;

static int open_in(const char *folder, const char *owner_of, const char *name,
		   bool writable)
{
	int flags = (writable ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC |
		    O_NOFOLLOW;
	_cleanup_fd_ int folder_fd = sidecar_folder(folder, owner_of, writable);
	int fd;

	if (folder_fd < 0)
		return folder_fd;
	fd = openat(folder_fd, name, flags, 0600);
	if (fd < 0 || !writable)
		return fd < 0 ? -errno : fd;
	sidecar_give(fd, owner_of);
	if (fsync(folder_fd) < 0) {
		int status = -errno;

		close(fd);
		return status;
	}
	return fd;
}

static const struct kept *find(const char *folder, const char *name,
			       bool writable)
{
	for (unsigned int i = 0; i < kept_count; i++)
		if (kept[i].writable == writable &&
		    strcmp(kept[i].name, name) == 0 &&
		    strcmp(kept[i].folder, folder) == 0)
			return &kept[i];
	return NULL;
}

static int keep(const char *folder, const char *name, bool writable, int fd)
{
	struct kept *entry = &kept[kept_count];

	if (kept_count == KEPT_MAX || strlen(name) >= NAME_BYTES)
		return -ENOSPC;
	entry->folder = strdup(folder);
	if (!entry->folder)
		return -ENOMEM;
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->writable = writable;
	entry->fd = fd;
	kept_count++;
	return 0;
}

int sidecar_file_open(const char *folder, const char *owner_of,
		      const char *name, bool writable, int *ret_fd,
		      struct error *error)
{
	const struct kept *entry = find(folder, name, writable);
	_cleanup_fd_ int fd = -1;
	int status;

	if (entry) {
		*ret_fd = entry->fd;
		return 0;
	}
	fd = open_in(folder, owner_of, name, writable);
	status = fd < 0 ? fd : keep(folder, name, writable, fd);
	if (status < 0)
		return error_set(error, status,
				 "sidecar %s/%s can't be opened%s: %s", folder,
				 name, writable ? " or made" : "",
				 strerror(-status));
	*ret_fd = take_fd(&fd);
	return 0;
}

static int set_lock(int fd, short type)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
	};

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

int sidecar_file_lock(int fd, bool writable)
{
	return set_lock(fd, writable ? F_WRLCK : F_RDLCK);
}

void sidecar_file_unlock(int fd)
{
	set_lock(fd, F_UNLCK);
}

/* "state" has no dot, and nothing else of ours is there. */
static bool name_parse(const char *name, struct sidecar_file_facts *ret_facts)
{
	static const char known[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t filter = strspn(name, known);
	size_t rest =
		name[filter] == '.' ? strspn(name + filter + 1, known) : 0;

	if (filter == 0 || filter >= SIDECAR_TEXT_FIELD_BYTES || rest == 0 ||
	    rest >= SIDECAR_TEXT_FIELD_BYTES || name[filter + 1 + rest] != '\0')
		return false;
	*ret_facts = (struct sidecar_file_facts){0};
	memcpy(ret_facts->filter, name, filter);
	memcpy(ret_facts->name, name + filter + 1, rest);
	return true;
}

/* The newer label of the two, if there is one. */
static void read_label(int fd, struct sidecar_file_facts *facts)
{
	uint8_t sector[SIDECAR_SECTOR_BYTES];
	struct sidecar_label label, newest = {0};

	for (uint32_t i = 0; i < 2; i++) {
		off_t offset = (SIDECAR_LABEL_BLOCK + i) * SIDECAR_BLOCK_BYTES;

		if (pread(fd, sector, sizeof(sector), offset) ==
			    (ssize_t)sizeof(sector) &&
		    sidecar_label_parse(sector, &label) == 0 &&
		    label.serial > newest.serial)
			newest = label;
	}
	facts->labelled = newest.serial > 0;
	memcpy(facts->disk_uuid, newest.disk_uuid, 16);
	memcpy(facts->host_uuid, newest.host_uuid, 16);
	memcpy(facts->filter_version, newest.filter_version,
	       sizeof(facts->filter_version));
}

/* Returns: a descriptor, or negative if it isn't one of ours. */
static int look_at(int folder_fd, const char *name, int flags,
		   struct sidecar_file_facts *ret_facts)
{
	struct stat facts;
	int fd;

	if (!name_parse(name, ret_facts))
		return -ENOENT;
	fd = openat(folder_fd, name, flags | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &facts) < 0) {
		fd_close(fd);
		return -ENOENT;
	}
	ret_facts->bytes = (uint64_t)facts.st_blocks * 512;
	read_label(fd, ret_facts);
	return fd;
}

int sidecar_file_list(const char *folder,
		      void (*found)(void *owner,
				    const struct sidecar_file_facts *facts),
		      void *owner)
{
	DIR *directory = opendir(folder);
	const struct dirent *entry;

	if (!directory)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	while ((entry = readdir(directory)) != NULL) {
		struct sidecar_file_facts facts;
		_cleanup_fd_ int fd = look_at(dirfd(directory), entry->d_name,
					      O_RDONLY, &facts);

		if (fd >= 0)
			found(owner, &facts);
	}
	closedir(directory);
	return 0;
}

static int remove_one(int folder_fd, const char *name, const uint8_t *host_uuid)
{
	struct sidecar_file_facts facts;
	_cleanup_fd_ int fd = look_at(folder_fd, name, O_RDWR, &facts);

	if (fd < 0 || sidecar_file_lock(fd, true) < 0 ||
	    (host_uuid && facts.labelled &&
	     memcmp(facts.host_uuid, host_uuid, 16) != 0))
		return 0;
	return unlinkat(folder_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int sidecar_file_remove(const char *folder, const uint8_t *host_uuid)
{
	DIR *directory = opendir(folder);
	const struct dirent *entry;
	int status = 0;

	if (!directory)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	while ((entry = readdir(directory)) != NULL && status == 0)
		status = remove_one(dirfd(directory), entry->d_name, host_uuid);
	if (status == 0 && fsync(dirfd(directory)) < 0)
		status = -errno;
	closedir(directory);
	return status;
}

void sidecar_file_forget(void)
{
	for (unsigned int i = 0; i < kept_count; i++) {
		free(kept[i].folder);
		close(kept[i].fd);
	}
	kept_count = 0;
}
