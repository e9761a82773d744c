// SPDX-License-Identifier: Apache-2.0
/*
 * roster.c - see roster.h.
 */
#include "roster.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "log.h"

#define FOLDER_SUFFIX ".disks"

/* Makes it, if it isn't there. Returns: a descriptor or a negative errno. */
static int folder_open(const char *config_path)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s" FOLDER_SUFFIX, config_path);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Returns: 0 with the text, or a negative errno. */
static int note_read(int folder_fd, const char *name,
		     char ret_text[POOL_PATH_BYTES])
{
	_cleanup_fd_ int fd =
		openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t count = fd < 0 ? -1 : read(fd, ret_text, POOL_PATH_BYTES - 1);

	if (count < 0)
		return -errno;
	ret_text[count] = '\0';
	return 0;
}

static int note_write(int folder_fd, const char *name, const char *text)
{
	_cleanup_fd_ int fd =
		openat(folder_fd, "next",
		       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t bytes = strlen(text);
	ssize_t written = fd < 0 ? -1 : write(fd, text, bytes);

	if (written < 0)
		return -errno;
	if ((size_t)written != bytes)
		return -ENOSPC;
	if (fsync(fd) < 0 || renameat(folder_fd, "next", folder_fd, name) < 0 ||
	    fsync(folder_fd) < 0)
		return -errno;
	return 0;
}

int roster_note(const char *config_path, const uint8_t uuid[UUID_BYTES],
		const char *directory, struct error *error)
{
	_cleanup_fd_ int folder_fd = folder_open(config_path);
	char name[UUID_TEXT_BYTES];
	char noted[POOL_PATH_BYTES];
	int status = folder_fd < 0 ? folder_fd : 0;

	uuid_format(uuid, name);
	if (status == 0 && note_read(folder_fd, name, noted) == 0 &&
	    strcmp(noted, directory) == 0)
		return 0;
	if (status == 0)
		status = note_write(folder_fd, name, directory);
	if (status < 0)
		return error_set(
			error, status,
			"%s" FOLDER_SUFFIX "/%s can't be written: %s; "
			"make space there, or its file system writable",
			config_path, name, strerror(-status));
	return 0;
}

void roster_forget(const char *config_path, const uint8_t uuid[UUID_BYTES])
{
	_cleanup_fd_ int folder_fd = folder_open(config_path);
	char name[UUID_TEXT_BYTES];

	uuid_format(uuid, name);
	/* A note without a file is wrong on the safe side. */
	if (folder_fd < 0 ||
	    (unlinkat(folder_fd, name, 0) < 0 && errno != ENOENT))
		log_warning("%s" FOLDER_SUFFIX "/%s stays", config_path, name);
}

bool roster_knows(const char *config_path, const uint8_t uuid[UUID_BYTES])
{
	_cleanup_fd_ int folder_fd = folder_open(config_path);
	char name[UUID_TEXT_BYTES];

	uuid_format(uuid, name);
	return folder_fd < 0 || faccessat(folder_fd, name, F_OK, 0) == 0 ||
	       errno != ENOENT;
}

/* Returns: false if not all is noted. */
static bool list_directory(const char *config_path,
			   const struct pool_directory *directory)
{
	int fd = pool_directory_open(directory, NULL);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool whole = list != NULL;

	if (!list) {
		fd_close(fd);
		return false;
	}
	while (whole && (errno = 0, entry = readdir(list))) {
		char text[UUID_TEXT_BYTES] = "";
		uint8_t uuid[UUID_BYTES];
		size_t length = strlen(entry->d_name);

		if (length != POOL_FILE_NAME_BYTES - 1 ||
		    strcmp(entry->d_name + UUID_TEXT_BYTES - 1, ".cache") != 0)
			continue;
		memcpy(text, entry->d_name, UUID_TEXT_BYTES - 1);
		if (uuid_parse(text, uuid) == 0)
			whole = roster_note(config_path, uuid, directory->path,
					    NULL) == 0;
	}
	whole = whole && errno == 0;
	closedir(list);
	return whole;
}

bool roster_list(const char *config_path, struct pool_set *set)
{
	bool changed = false;

	for (unsigned int i = 0; i < set->count; i++) {
		struct pool_directory *directory = &set->directories[i];

		if (!list_directory(config_path, directory) ||
		    directory->listed)
			continue;
		directory->listed = true;
		changed = true;
	}
	return changed;
}

json_t *roster_disks(const char *config_path, const char *directory)
{
	json_t *disks = json_array();
	int fd = folder_open(config_path);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!list) {
		fd_close(fd);
		return disks;
	}
	while ((entry = readdir(list))) {
		char noted[POOL_PATH_BYTES];
		uint8_t uuid[UUID_BYTES];

		if (uuid_parse(entry->d_name, uuid) == 0 &&
		    note_read(dirfd(list), entry->d_name, noted) == 0 &&
		    strcmp(noted, directory) == 0)
			json_array_append_new(disks,
					      json_string(entry->d_name));
	}
	closedir(list);
	return disks;
}
