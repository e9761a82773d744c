// SPDX-License-Identifier: Apache-2.0
/*
 * filter_files.c - a list of what is open, and how a file gets its name.
 *
 * The folder is the operator's word. The name in it is ours, and a file that is
 * there already, whoever made it, is never written to.
 */
#include "filter_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define SUFFIX_MAX 15u
/* Files of one disk and second. */
#define ATTEMPTS_MAX 100u
#define TIME_BYTES 32u

struct kept {
	char *disk;
	char *filter;
	char *property;
	char *folder;
	int fd;
};

static struct kept kept[FILTER_FILES_KEPT_MAX];
static unsigned int kept_count;

static const struct forebay_property *property_of(
	const struct forebay_filter *filter, const char *name)
{
	const struct forebay_property *property = filter->properties;

	while (property && property->name && strcmp(property->name, name) != 0)
		property++;
	return property && property->name ? property : NULL;
}

static bool file_valid(const struct forebay_filter *filter,
		       const struct forebay_file *file)
{
	const struct forebay_property *property =
		property_of(filter, file->property);
	size_t length = file->suffix ? strlen(file->suffix) : 0;

	return property && property->type == FOREBAY_PROPERTY_STRING &&
	       !property->online && property->default_string[0] == '\0' &&
	       length > 0 && length <= SUFFIX_MAX &&
	       strspn(file->suffix, "abcdefghijklmnopqrstuvwxyz0123456789") ==
		       length;
}

int filter_files_check(const struct forebay_filter *filter, struct error *error)
{
	unsigned int count = 0;

	for (; filter->files && filter->files[count].property; count++) {
		if (count == FILTER_FILES_MAX)
			return error_set(
				error, -EINVAL,
				"filter %s declares more than %u files",
				filter->name, FILTER_FILES_MAX);
		if (!file_valid(filter, &filter->files[count]))
			return error_set(
				error, -EINVAL,
				"filter %s declares a file of '%s', which "
				"isn't "
				"a property for folders, or with a suffix that "
				"isn't 1 to %u of a-z and 0-9",
				filter->name, filter->files[count].property,
				SUFFIX_MAX);
	}
	return 0;
}

/* Returns: the folder, or NULL: the filter has no such file. */
static const char *folder_of(const struct forebay_filter *filter,
			     const struct properties *properties,
			     const char *property)
{
	const struct forebay_file *file = filter->files;
	const char *folder;

	while (file && file->property && strcmp(file->property, property) != 0)
		file++;
	if (!file || !file->property ||
	    properties_string(properties, property, &folder) < 0)
		return NULL;
	return folder[0] ? folder : NULL;
}

int filter_files_find(const struct forebay_filter *filter,
		      const struct properties *properties, const char *disk,
		      const char *property, int *ret_fd)
{
	const char *folder = folder_of(filter, properties, property);

	for (unsigned int i = 0; folder && i < kept_count; i++) {
		const struct kept *file = &kept[i];

		if (strcmp(file->disk, disk) != 0 ||
		    strcmp(file->filter, filter->name) != 0 ||
		    strcmp(file->property, property) != 0 ||
		    strcmp(file->folder, folder) != 0)
			continue;
		*ret_fd = file->fd;
		return 0;
	}
	return -ENOENT;
}

static void now_text(char text[TIME_BYTES])
{
	time_t now = time(NULL);
	struct tm parts;

	gmtime_r(&now, &parts);
	strftime(text, TIME_BYTES, "%Y%m%dT%H%M%SZ", &parts);
}

/* A disk that is served by hand may have any name. */
static void make_harmless(char *name)
{
	for (; *name; name++)
		if (*name == '/')
			*name = '_';
}

/* Returns: a descriptor or @error's code. */
static int make(const char *folder, const char *disk, const char *suffix,
		struct error *error)
{
	char path[PATH_MAX], name[NAME_MAX], when[TIME_BYTES];
	int fd = -1;

	if (folder[0] != '/')
		return error_set(error, -EINVAL,
				 "folder '%s' isn't an absolute path", folder);
	now_text(when);
	for (unsigned int i = 1; i <= ATTEMPTS_MAX && fd < 0; i++) {
		char more[16] = "";

		if (i > 1)
			snprintf(more, sizeof(more), "-%u", i);
		snprintf(name, sizeof(name), "%.150s-%s%s.%s", disk, when, more,
			 suffix);
		make_harmless(name);
		if (snprintf(path, sizeof(path), "%s/%s", folder, name) >=
		    (int)sizeof(path))
			return error_set(error, -ENAMETOOLONG,
					 "folder %s: its path is too long",
					 folder);
		fd = open(path,
			  O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			  0640);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd < 0)
		return error_set(error, -errno, "%s can't be made: %s", path,
				 strerror(errno));
	log_info("made %s", path);
	return fd;
}

/* Returns: whether there was memory for it. */
static bool keep(const struct kept *file)
{
	struct kept copy = {
		.disk = strdup(file->disk),
		.filter = strdup(file->filter),
		.property = strdup(file->property),
		.folder = strdup(file->folder),
		.fd = file->fd,
	};

	if (copy.disk && copy.filter && copy.property && copy.folder) {
		kept[kept_count++] = copy;
		return true;
	}
	free(copy.disk);
	free(copy.filter);
	free(copy.property);
	free(copy.folder);
	return false;
}

static int keep_file(const struct forebay_filter *filter,
		     const struct forebay_file *file, const char *folder,
		     const char *disk, struct error *error)
{
	struct error cause = {0};
	int fd;

	if (kept_count == FILTER_FILES_KEPT_MAX)
		return error_set(error, -EMFILE,
				 "filter %s: this process has %u files already",
				 filter->name, FILTER_FILES_KEPT_MAX);
	fd = make(folder, disk, file->suffix, &cause);
	if (fd < 0)
		return error_set(error, fd, "filter %s: its %s: %s",
				 filter->name, file->property, cause.message);
	if (!keep(&(struct kept){(char *)disk, (char *)filter->name,
				 (char *)file->property, (char *)folder, fd})) {
		close(fd);
		return error_set(error, -ENOMEM, "out of memory");
	}
	return 0;
}

int filter_files_keep(const struct forebay_filter *filter,
		      const struct properties *properties, const char *disk,
		      struct error *error)
{
	const struct forebay_file *file = filter->files;
	int status = 0;

	for (; file && file->property && status == 0; file++) {
		const char *folder =
			folder_of(filter, properties, file->property);
		int fd;

		if (folder && filter_files_find(filter, properties, disk,
						file->property, &fd) == -ENOENT)
			status = keep_file(filter, file, folder, disk, error);
	}
	return status;
}
