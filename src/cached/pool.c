// SPDX-License-Identifier: Apache-2.0
/*
 * pool.c - which directory has a disk's cache file, which one gets the next.
 *
 * Nothing is remembered about files: every question is asked of the file
 * systems, so a restarted daemon knows as much as the one before it. The calls
 * here block for as long as a local file system takes to look up a name; the
 * disks' own I/O doesn't pass through this process.
 */
#include "pool.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "fd.h"

void pool_file_name(const uint8_t uuid[UUID_BYTES],
		    char ret_name[POOL_FILE_NAME_BYTES])
{
	uuid_format(uuid, ret_name);
	memcpy(ret_name + UUID_TEXT_BYTES - 1, ".cache", sizeof(".cache"));
}

int pool_file_name_parse(const char *name, uint8_t ret_uuid[UUID_BYTES])
{
	char text[UUID_TEXT_BYTES] = "";

	if (strlen(name) != POOL_FILE_NAME_BYTES - 1 ||
	    strcmp(name + UUID_TEXT_BYTES - 1, ".cache") != 0)
		return -EINVAL;
	memcpy(text, name, UUID_TEXT_BYTES - 1);
	return uuid_parse(text, ret_uuid);
}

uint64_t pool_file_allocated(const struct stat *stat)
{
	/* Beyond that there are blocks of the file system's own. */
	return (uint64_t)stat->st_blocks * 512 / POOL_GRANULE_BYTES *
	       POOL_GRANULE_BYTES;
}

static int path_parse(const json_t *text, char ret_path[POOL_PATH_BYTES],
		      struct error *error)
{
	const char *path = json_string_value(text);
	size_t length = path ? strlen(path) : 0;

	if (length == 0 || path[0] != '/')
		return error_set(error, -EINVAL,
				 "pool directory '%s' is not an absolute path: "
				 "give it from '/' on",
				 path ? path : "");
	while (length > 1 && path[length - 1] == '/')
		length--;
	if (length >= POOL_PATH_BYTES)
		return error_set(error, -EINVAL,
				 "pool directory '%.64s...' has a name of more "
				 "than %u bytes: use a shorter path",
				 path, POOL_PATH_BYTES - 1);
	memcpy(ret_path, path, length);
	ret_path[length] = '\0';
	return 0;
}

/* Returns: an index, or -1. */
static int directory_index(const struct pool_set *set, const char *path)
{
	for (unsigned int i = 0; i < set->count; i++)
		if (strcmp(set->directories[i].path, path) == 0)
			return (int)i;
	return -1;
}

static int directory_add(struct pool_set *set, const char *pool,
			 const json_t *text, struct error *error)
{
	struct pool_directory *directory;
	char path[POOL_PATH_BYTES];
	int status = path_parse(text, path, error);
	int twin;

	if (status < 0)
		return status;
	twin = directory_index(set, path);
	if (twin >= 0)
		return error_set(error, -EINVAL,
				 "pool directory %s is named twice, in pool "
				 "'%s' and in pool '%s': name it once",
				 path, set->directories[twin].pool, pool);
	if (set->count == POOL_DIRECTORIES_MAX)
		return error_set(error, -EINVAL,
				 "pool '%s' is beyond the limit of %u pool "
				 "directories on a host: remove one",
				 pool, POOL_DIRECTORIES_MAX);
	directory = &set->directories[set->count++];
	memset(directory, 0, sizeof(*directory));
	snprintf(directory->pool, sizeof(directory->pool), "%s", pool);
	snprintf(directory->path, sizeof(directory->path), "%s", path);
	return 0;
}

/* Returns: NULL if @path is none of them. */
static struct pool_directory *directory_of(struct pool_set *set,
					   const json_t *path)
{
	const char *text = json_string_value(path);
	int index = text ? directory_index(set, text) : -1;

	return index >= 0 ? &set->directories[index] : NULL;
}

static int pool_parse(const json_t *pool, struct pool_set *set,
		      struct error *error)
{
	const char *name = json_string_value(json_object_get(pool, "name"));
	const json_t *paths = json_object_get(pool, "paths");
	const json_t *path;
	size_t i;

	if (!name || name[0] == '\0' || strlen(name) >= POOL_NAME_BYTES)
		return error_set(error, -EINVAL,
				 "a pool has no name of 1 to %u bytes: name it",
				 POOL_NAME_BYTES - 1);
	if (json_array_size(paths) == 0)
		return error_set(error, -EINVAL,
				 "pool '%s' has no directory: give at least "
				 "one path",
				 name);
	json_array_foreach(paths, i, path)
	{
		int status = directory_add(set, name, path, error);

		if (status < 0)
			return status;
	}
	json_array_foreach(json_object_get(pool, "joined"), i, path)
	{
		struct pool_directory *directory = directory_of(set, path);

		if (directory)
			directory->joined = true;
	}
	json_array_foreach(json_object_get(pool, "listed"), i, path)
	{
		struct pool_directory *directory = directory_of(set, path);

		if (directory)
			directory->listed = true;
	}
	return 0;
}

int pool_set_parse(const json_t *pools, struct pool_set *ret_set,
		   struct error *error)
{
	struct pool_set set = {0};
	const json_t *pool;
	size_t i;

	if (!json_is_array(pools))
		return error_set(error, -EINVAL,
				 "'pools' is not a list of {name, paths}");
	json_array_foreach(pools, i, pool)
	{
		int status = pool_parse(pool, &set, error);

		if (status < 0)
			return status;
	}
	*ret_set = set;
	return 0;
}

static json_t *pool_json_find(json_t *pools, const char *name)
{
	json_t *pool;
	size_t i;

	json_array_foreach(pools, i, pool)
	{
		json_t *found = json_object_get(pool, "name");

		if (strcmp(json_string_value(found), name) == 0)
			return pool;
	}
	pool = json_pack("{s:s, s:[], s:[], s:[]}", "name", name, "paths",
			 "joined", "listed");
	json_array_append_new(pools, pool);
	return pool;
}

json_t *pool_set_json(const struct pool_set *set)
{
	json_t *pools = json_array();

	for (unsigned int i = 0; i < set->count; i++) {
		const struct pool_directory *directory = &set->directories[i];
		json_t *pool = pool_json_find(pools, directory->pool);

		json_array_append_new(json_object_get(pool, "paths"),
				      json_string(directory->path));
		if (directory->joined)
			json_array_append_new(json_object_get(pool, "joined"),
					      json_string(directory->path));
		if (directory->listed)
			json_array_append_new(json_object_get(pool, "listed"),
					      json_string(directory->path));
	}
	return pools;
}

void pool_set_inherit(struct pool_set *set, const struct pool_set *before)
{
	for (unsigned int i = 0; i < before->count; i++) {
		const struct pool_directory *old = &before->directories[i];
		int index = directory_index(set, old->path);

		if (index < 0)
			continue;
		set->directories[index].joined |= old->joined;
		set->directories[index].listed |= old->listed;
	}
}

int pool_set_check_leavers(const struct pool_set *set,
			   const struct pool_set *before, struct error *error)
{
	for (unsigned int i = 0; i < before->count; i++) {
		const struct pool_directory *old = &before->directories[i];
		struct pool_space space;

		if (directory_index(set, old->path) >= 0 ||
		    pool_directory_space(old, &space, NULL) < 0 ||
		    space.file_count == 0)
			continue;
		return error_set(error, -EBUSY,
				 "directory %s can't leave pool '%s': it holds "
				 "the cache files of %u disks; delete these "
				 "disks or move their cache first",
				 old->path, old->pool, space.file_count);
	}
	return 0;
}

/*
 * Tests what every cache file will need: a nameless file that gets its name
 * when it is whole, and direct I/O.
 */
static int folder_test(int folder_fd, const char *path, struct error *error)
{
	_cleanup_fd_ int fd =
		openat(folder_fd, ".",
		       O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	int code = fd < 0 ? -errno : 0;
	struct statvfs statvfs;

	if (code == 0 && fstatvfs(fd, &statvfs) < 0)
		code = -errno;
	if (code == 0 &&
	    statvfs.f_bavail * statvfs.f_frsize < POOL_FILE_BYTES_MIN)
		code = -ENOSPC;
	if (code == 0)
		return 0;
	if (code == -ENOSPC)
		return error_set(error, code,
				 "pool directory %s has less than the 64 MiB "
				 "free that the smallest cache file needs: "
				 "free or add space",
				 path);
	if (code == -EOPNOTSUPP || code == -EISDIR || code == -EINVAL)
		return error_set(error, -EOPNOTSUPP,
				 "the file system of pool directory %s can't "
				 "hold cache files (no O_TMPFILE or O_DIRECT): "
				 "use XFS, ext4 or tmpfs",
				 path);
	return error_set(error, code,
			 "no file can be made in pool directory %s: %s; check "
			 "its permissions, free space and mount options",
			 path, strerror(-code));
}

static int directory_join(struct pool_directory *directory, bool *ret_made,
			  struct error *error)
{
	_cleanup_fd_ int parent_fd =
		open(directory->path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int folder_fd = -1;
	bool made;
	int status;

	if (parent_fd < 0) {
		status = -errno;
		return error_set(error, status,
				 "pool directory %s can't be opened: %s; make "
				 "it or mount it, then try again",
				 directory->path, strerror(-status));
	}
	made = mkdirat(parent_fd, POOL_FOLDER, 0700) == 0;
	if (!made && errno != EEXIST) {
		status = -errno;
		return error_set(error, status,
				 "nothing can be made in pool directory %s: "
				 "%s; check its permissions, free space and "
				 "mount options",
				 directory->path, strerror(-status));
	}
	folder_fd = pool_directory_open(directory, error);
	status = folder_fd < 0 ? folder_fd
			       : folder_test(folder_fd, directory->path, error);
	if (status == 0 && fsync(parent_fd) < 0) {
		status = -errno;
		error_set(error, status, "pool directory %s: fsync failed: %s",
			  directory->path, strerror(-status));
	}
	if (status < 0 && made)
		unlinkat(parent_fd, POOL_FOLDER, AT_REMOVEDIR);
	if (status == 0)
		*ret_made = made;
	return status;
}

/* Two paths can lead to one directory, by a bind mount or a symbolic link. */
static int twins_refuse(const struct pool_set *set, struct error *error)
{
	struct stat identity[POOL_DIRECTORIES_MAX];

	for (unsigned int i = 0; i < set->count; i++) {
		const char *path = set->directories[i].path;

		if (stat(path, &identity[i]) < 0) {
			identity[i].st_ino = 0;
			continue;
		}
		for (unsigned int j = 0; j < i; j++)
			if (identity[i].st_ino == identity[j].st_ino &&
			    identity[i].st_dev == identity[j].st_dev)
				return error_set(
					error, -EINVAL,
					"pool directories %s and %s are the "
					"same directory: name it once",
					set->directories[j].path, path);
	}
	return 0;
}

int pool_set_join(struct pool_set *set, struct error *error)
{
	bool made[POOL_DIRECTORIES_MAX] = {false};
	int status = twins_refuse(set, error);
	unsigned int i;

	for (i = 0; i < set->count && status == 0; i++)
		if (!set->directories[i].joined)
			status = directory_join(&set->directories[i], &made[i],
						error);
	if (status < 0) {
		char folder[POOL_PATH_BYTES + sizeof("/" POOL_FOLDER)];

		for (i = 0; i < set->count; i++) {
			if (!made[i])
				continue;
			snprintf(folder, sizeof(folder), "%s/" POOL_FOLDER,
				 set->directories[i].path);
			rmdir(folder);
		}
		return status;
	}
	for (i = 0; i < set->count; i++)
		set->directories[i].joined = true;
	return 0;
}

int pool_directory_open(const struct pool_directory *directory,
			struct error *error)
{
	char folder[POOL_PATH_BYTES + sizeof("/" POOL_FOLDER)];
	int code;
	int fd;

	snprintf(folder, sizeof(folder), "%s/" POOL_FOLDER, directory->path);
	fd = open(folder, O_DIRECTORY | O_NOFOLLOW | O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	/* -ENOENT is kept for the answer "no such file", which this isn't. */
	code = errno == ENOENT ? -ENODEV : -errno;
	return error_set(error, code,
			 "folder %s of pool '%s' can't be opened: %s; mount "
			 "its file system, or take the directory out of the "
			 "pool if its cache files may be lost",
			 folder, directory->pool,
			 code == -ENODEV ? "it is missing" : strerror(-code));
}

static int files_count(int folder_fd, struct pool_space *space)
{
	int list_fd =
		openat(folder_fd, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);
	const struct dirent *entry;

	if (!list) {
		int status = -errno;

		fd_close(list_fd);
		return status;
	}
	while ((entry = readdir(list))) {
		const char *dot = strrchr(entry->d_name, '.');
		struct stat stat;

		if (!dot || strcmp(dot, ".cache") != 0 ||
		    fstatat(folder_fd, entry->d_name, &stat,
			    AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		space->file_count++;
		space->file_bytes += pool_file_allocated(&stat);
	}
	closedir(list);
	return 0;
}

int pool_directory_space(const struct pool_directory *directory,
			 struct pool_space *ret_space, struct error *error)
{
	_cleanup_fd_ int folder_fd = pool_directory_open(directory, error);
	struct pool_space space = {0};
	struct statvfs statvfs;
	int status;

	if (folder_fd < 0)
		return folder_fd;
	if (fstatvfs(folder_fd, &statvfs) < 0)
		status = -errno;
	else
		status = files_count(folder_fd, &space);
	if (status < 0)
		return error_set(error, status,
				 "pool directory %s can't be read: %s",
				 directory->path, strerror(-status));
	space.size_bytes = (uint64_t)statvfs.f_blocks * statvfs.f_frsize;
	space.free_bytes = (uint64_t)statvfs.f_bavail * statvfs.f_frsize;
	*ret_space = space;
	return 0;
}

/* Returns: 1 if the directory has the file, 0 if not, or a negative errno. */
static int directory_has(const struct pool_directory *directory,
			 const char *name, struct error *error)
{
	_cleanup_fd_ int folder_fd = pool_directory_open(directory, error);
	struct stat stat;
	int code;

	if (folder_fd < 0)
		return folder_fd;
	if (fstatat(folder_fd, name, &stat, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	code = -errno;
	if (code == -ENOENT)
		return 0;
	return error_set(error, code,
			 "pool directory %s can't be searched for %s: %s",
			 directory->path, name, strerror(-code));
}

int pool_set_find(const struct pool_set *set, const uint8_t uuid[UUID_BYTES],
		  const struct pool_directory **ret_directory,
		  struct error *error)
{
	const struct pool_directory *found = NULL;
	char name[POOL_FILE_NAME_BYTES];
	int unknown = 0;

	pool_file_name(uuid, name);
	for (unsigned int i = 0; i < set->count; i++) {
		const struct pool_directory *directory = &set->directories[i];
		int has = directory_has(directory, name,
					unknown == 0 ? error : NULL);

		if (has < 0 && unknown == 0)
			unknown = has;
		if (has <= 0)
			continue;
		if (found)
			return error_set(error, -ENOTUNIQ,
					 "%s is in %s and in %s: keep the one "
					 "that the disk used last, move the "
					 "other away",
					 name, found->path, directory->path);
		found = directory;
	}
	if (!found)
		return unknown < 0 ? unknown
				   : error_set(error, -ENOENT,
					       "no pool has a %s", name);
	*ret_directory = found;
	return 0;
}

int pool_set_choose(const struct pool_set *set, const struct pool_wish *wish,
		    const struct pool_directory **ret_directory,
		    struct error *error)
{
	const struct pool_directory *best = NULL;
	int64_t best_free = 0;
	int64_t refusal = 0;

	for (unsigned int i = 0; i < set->count; i++) {
		const struct pool_directory *directory = &set->directories[i];
		int64_t free;

		if (wish->pool[0] != '\0' &&
		    strcmp(directory->pool, wish->pool) != 0)
			continue;
		free = wish->weigh(wish->owner, directory, error);
		/* A file system that is away may hide the room, not need it. */
		if (free < 0 && (refusal == 0 || free == -ENOSPC))
			refusal = free;
		if (free >= 0 && (!best || free > best_free)) {
			best = directory;
			best_free = free;
		}
	}
	if (best)
		*ret_directory = best;
	else if (refusal == -ENOSPC)
		return (int)refusal;
	else if (wish->pool[0] != '\0')
		return error_set(error, -ENOENT,
				 "this host has no usable pool '%s': make it "
				 "with 'forebay pool create'",
				 wish->pool);
	else
		return error_set(error, -ENOENT,
				 "this host has no usable pool: make one with "
				 "'forebay pool create'");
	return 0;
}
