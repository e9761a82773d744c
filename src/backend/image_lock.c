// SPDX-License-Identifier: Apache-2.0
/*
 * image_lock.c - byte locks on the image, one byte for each permission.
 *
 *	100 + p   someone uses permission p
 *	200 + p   someone does not share permission p with others
 *
 * All of them are shared locks on an open file description: they are never in
 * each other's way, they are flags that the kernel clears when their owner is
 * gone. First we set ours, then we look for those of others that contradict.
 * Two that start together may both give way; each tries again.
 *
 * A writer uses "consistent read", "write" and "resize" and shares neither
 * "write" nor "resize": plain qemu-img and QEMU are refused, `qemu-img -U`,
 * which asks for nothing, is not.
 */
#include "image_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "file.h"

#define USED_BASE 100
#define UNSHARED_BASE 200
#define PROC_TEXT_BYTES_MAX 65536u

#define PERMISSION_CONSISTENT_READ (1u << 0)
#define PERMISSION_WRITE (1u << 1)
#define PERMISSION_RESIZE (1u << 3)
#define PERMISSION_COUNT 4

struct permissions {
	unsigned int used;
	unsigned int unshared;
};

static struct permissions permissions_of(bool read_only)
{
	struct permissions permissions = {
		.used = PERMISSION_CONSISTENT_READ,
		.unshared = PERMISSION_WRITE | PERMISSION_RESIZE,
	};

	if (!read_only)
		permissions.used |= PERMISSION_WRITE | PERMISSION_RESIZE;
	return permissions;
}

static int set_byte(int fd, off_t byte, short type)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* Returns: 1 if another description has a lock on @byte, 0, or -errno. */
static int is_set_by_another(int fd, off_t byte)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};

	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return -errno;
	return lock.l_type != F_UNLCK;
}

void image_unlock(int fd)
{
	for (int i = 0; i < PERMISSION_COUNT; i++) {
		set_byte(fd, USED_BASE + i, F_UNLCK);
		set_byte(fd, UNSHARED_BASE + i, F_UNLCK);
	}
}

static int set_all(int fd, struct permissions permissions)
{
	int status = 0;

	for (int i = 0; i < PERMISSION_COUNT && status == 0; i++) {
		if (permissions.used & 1u << i)
			status = set_byte(fd, USED_BASE + i, F_RDLCK);
		if (status == 0 && (permissions.unshared & 1u << i))
			status = set_byte(fd, UNSHARED_BASE + i, F_RDLCK);
	}
	/* An exclusive lock of someone who doesn't follow the convention. */
	return status == -EAGAIN || status == -EACCES ? -EBUSY : status;
}

/* Returns: 0, -EBUSY or -errno. */
static int look_for_others(int fd, struct permissions permissions)
{
	int found = 0;

	for (int i = 0; i < PERMISSION_COUNT && found == 0; i++) {
		if (permissions.used & 1u << i)
			found = is_set_by_another(fd, UNSHARED_BASE + i);
		if (found == 0 && (permissions.unshared & 1u << i))
			found = is_set_by_another(fd, USED_BASE + i);
	}
	return found > 0 ? -EBUSY : found;
}

int image_lock(int fd, bool read_only)
{
	struct permissions permissions = permissions_of(read_only);
	int status = set_all(fd, permissions);

	if (status == 0)
		status = look_for_others(fd, permissions);
	if (status < 0)
		image_unlock(fd);
	return status;
}

int image_lock_also(int fd, bool read_only)
{
	int status = set_all(fd, permissions_of(read_only));

	if (status < 0)
		image_unlock(fd);
	return status;
}

/*
 * Whether descriptor @name of process @pid has a lock on the file @wanted, as
 * the kernel lists locks: "major:minor:inode". The descriptor itself is left
 * alone: it may lie on a file system that doesn't answer, and whoever asks that
 * for anything waits for as long.
 */
static bool descriptor_holds(const char *pid, const char *name,
			     const char *wanted)
{
	char path[64];
	char *text;
	bool holds = false;

	snprintf(path, sizeof(path), "/proc/%.20s/fdinfo/%.20s", pid, name);
	if (file_read(path, PROC_TEXT_BYTES_MAX, &text, NULL) < 0)
		return false;
	for (const char *lock = text; !holds && (lock = strstr(lock, "lock:"));
	     lock++) {
		size_t length = strcspn(lock, "\n");

		holds = memmem(lock, length, wanted, strlen(wanted)) != NULL;
	}
	free(text);
	return holds;
}

static bool process_holds(const char *pid, const char *wanted)
{
	struct dirent *entry;
	bool holds = false;
	char path[64];
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%.20s/fdinfo", pid);
	directory = opendir(path);
	if (!directory)
		return false;
	while (!holds && (entry = readdir(directory)))
		holds = entry->d_name[0] != '.' &&
			descriptor_holds(pid, entry->d_name, wanted);
	closedir(directory);
	return holds;
}

static void describe_process(const char *pid, char *buffer, size_t buffer_bytes)
{
	char path[64];
	char *name;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	if (file_read(path, PROC_TEXT_BYTES_MAX, &name, NULL) < 0) {
		snprintf(buffer, buffer_bytes, "pid %.20s", pid);
		return;
	}
	name[strcspn(name, "\n")] = '\0';
	snprintf(buffer, buffer_bytes, "%s (pid %.20s)", name, pid);
	free(name);
}

bool image_lock_holder(int fd, char *buffer, size_t buffer_bytes)
{
	struct dirent *entry;
	struct stat facts;
	char wanted[64];
	bool found = false;
	DIR *directory;

	if (fstat(fd, &facts) < 0)
		return false;
	snprintf(wanted, sizeof(wanted), " %02x:%02x:%ju ", major(facts.st_dev),
		 minor(facts.st_dev), (uintmax_t)facts.st_ino);
	directory = opendir("/proc");
	if (!directory)
		return false;
	while (!found && (entry = readdir(directory))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		found = process_holds(entry->d_name, wanted);
		if (found)
			describe_process(entry->d_name, buffer, buffer_bytes);
	}
	closedir(directory);
	return found;
}
