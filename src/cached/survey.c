// SPDX-License-Identifier: Apache-2.0
/* survey.c - see survey.h. */
#include "survey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cache_file.h"
#include "fd.h"

#define CAPACITY_FIRST 32u
/* Left to the file system: what it needs for itself, and one part in so many.
 */
#define SPARED_BYTES (UINT64_C(4) << 20)
#define SPARED_PART 256u
#define NS_PER_S UINT64_C(1000000000)

static struct ledger_disk *disk_find(const struct list *disks,
				     const uint8_t uuid[UUID_BYTES])
{
	list_for_each (node, disks) {
		struct ledger_disk *disk =
			list_entry(node, struct ledger_disk, node);

		if (memcmp(disk->uuid, uuid, UUID_BYTES) == 0)
			return disk;
	}
	return NULL;
}

static int make_space(struct survey *survey)
{
	size_t capacity =
		survey->capacity > 0 ? survey->capacity * 2 : CAPACITY_FIRST;
	struct share_disk *shares =
		reallocarray(survey->shares, capacity, sizeof(*survey->shares));
	struct survey_file *files;

	if (!shares)
		return -ENOMEM;
	survey->shares = shares;
	files = reallocarray(survey->files, capacity, sizeof(*survey->files));
	if (!files)
		return -ENOMEM;
	survey->files = files;
	survey->capacity = capacity;
	return 0;
}

/* Returns: the new one, zeroed, or NULL. */
static struct share_disk *add(struct survey *survey,
			      const uint8_t uuid[UUID_BYTES],
			      struct ledger_disk *disk)
{
	struct share_disk *share;

	if (survey->count == survey->capacity && make_space(survey) < 0)
		return NULL;
	memcpy(survey->files[survey->count].uuid, uuid, UUID_BYTES);
	survey->files[survey->count].disk = disk;
	share = &survey->shares[survey->count++];
	*share = (struct share_disk){.state = SHARE_KEPT};
	if (disk) {
		share->state = disk->open ? SHARE_OPEN : SHARE_WAITING;
		share->reserved = disk->reserved;
		share->limit = disk->limit;
		share->granted = disk->granted;
		share->used = disk->used;
		share->use = (uint64_t)disk->use;
	}
	return share;
}

static int add_file(struct survey *survey, int folder_fd, const char *name,
		    const struct list *disks)
{
	uint8_t uuid[UUID_BYTES];
	struct ledger_disk *disk;
	struct share_disk *share;
	uint64_t file_granules;
	struct stat stat;

	if (pool_file_name_parse(name, uuid) < 0 ||
	    fstatat(folder_fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(stat.st_mode))
		return 0;
	disk = disk_find(disks, uuid);
	share = add(survey, uuid, disk && disk->open ? disk : NULL);
	if (!share)
		return -ENOMEM;
	share->held = pool_file_allocated(&stat) / POOL_GRANULE_BYTES;
	share->closed_at = (uint64_t)stat.st_mtim.tv_sec * NS_PER_S +
			   (uint64_t)stat.st_mtim.tv_nsec;
	/* It grows when its disk is opened; what is no cache file is refused
	 * there, with words. */
	file_granules = (uint64_t)stat.st_size / POOL_GRANULE_BYTES;
	if (disk && disk->open && share->limit > file_granules &&
	    (uint64_t)stat.st_size >= POOL_FILE_BYTES_MIN)
		share->limit = file_granules;
	return 0;
}

static int add_files(struct survey *survey, int folder_fd,
		     const struct list *disks)
{
	int list_fd =
		openat(folder_fd, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);
	const struct dirent *entry;
	int status = 0;

	if (!list) {
		status = -errno;
		fd_close(list_fd);
		return status;
	}
	while (status == 0 && (entry = readdir(list)))
		status = add_file(survey, folder_fd, entry->d_name, disks);
	closedir(list);
	return status;
}

static bool has_file(const struct survey *survey,
		     const struct ledger_disk *disk)
{
	for (size_t i = 0; i < survey->count; i++) {
		if (survey->files[i].disk == disk)
			return true;
	}
	return false;
}

/* Those that have no file there yet. */
static int add_others(struct survey *survey, const char *path,
		      const struct list *disks)
{
	list_for_each (node, disks) {
		struct ledger_disk *disk =
			list_entry(node, struct ledger_disk, node);

		if (strcmp(disk->directory, path) == 0 &&
		    !has_file(survey, disk) && !add(survey, disk->uuid, disk))
			return -ENOMEM;
	}
	return 0;
}

static int measure(struct survey *survey, int folder_fd)
{
	struct statvfs statvfs;
	uint64_t spared;
	uint64_t free_bytes;

	if (fstatvfs(folder_fd, &statvfs) < 0)
		return -errno;
	free_bytes = (uint64_t)statvfs.f_bavail * statvfs.f_frsize;
	spared = SPARED_BYTES +
		 (uint64_t)statvfs.f_blocks * statvfs.f_frsize / SPARED_PART;
	survey->free_bytes = free_bytes;
	survey->room = free_bytes > spared
			       ? (free_bytes - spared) / POOL_GRANULE_BYTES
			       : 0;
	for (size_t i = 0; i < survey->count; i++)
		survey->room += survey->shares[i].held;
	return 0;
}

int survey_make(const struct pool_directory *directory,
		const struct list *disks, struct survey *ret_survey,
		struct error *error)
{
	_cleanup_fd_ int folder_fd = pool_directory_open(directory, error);
	struct survey survey = {0};
	int status;

	if (folder_fd < 0)
		return folder_fd;
	status = add_files(&survey, folder_fd, disks);
	if (status == 0)
		status = add_others(&survey, directory->path, disks);
	if (status == 0)
		status = measure(&survey, folder_fd);
	if (status < 0) {
		survey_release(&survey);
		return error_set(error, status,
				 "pool directory %s can't be read: %s",
				 directory->path, strerror(-status));
	}
	*ret_survey = survey;
	return 0;
}

void survey_look(const struct pool_directory *directory, struct survey *survey)
{
	for (size_t i = 0; i < survey->count; i++) {
		bool needless = false;
		int status;

		if (survey->files[i].disk)
			continue;
		status = cache_file_look(directory, survey->files[i].uuid,
					 &needless);
		if (status == -EBUSY)
			survey->shares[i].state = SHARE_UNKNOWN;
		else if (status == 0 && needless)
			survey->shares[i].state = SHARE_CLOSED;
	}
}

void survey_release(struct survey *survey)
{
	free(survey->shares);
	free(survey->files);
	*survey = (struct survey){0};
}
