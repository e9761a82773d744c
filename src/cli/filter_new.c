/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_new.c - forebay filter new: a folder with a filter that does nothing
 * yet, from the installed skeleton.
 *
 * In the skeleton's files and in their names NAME stands for the filter's name
 * and IDENTIFIER for the same as C writes it, both between '@'. What is no C
 * before they are filled in ends with ".in" there.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arguments.h"
#include "client.h"
#include "error.h"
#include "file.h"
#include "installed.h"
#include "manifest.h"
#include "nouns.h"

#define SKELETON_FILE_BYTES_MAX 65536u

struct names {
	const char *name;
	char identifier[MANIFEST_NAME_LENGTH_MAX + 1];
};

/* What is written in the place of a mark. Returns: the mark's length, or 0. */
static size_t find_mark(const char *text, const struct names *names,
			const char **ret_word)
{
	static const char name[] = "@NAME@", identifier[] = "@IDENTIFIER@";

	if (strncmp(text, name, sizeof(name) - 1) == 0) {
		*ret_word = names->name;
		return sizeof(name) - 1;
	}
	if (strncmp(text, identifier, sizeof(identifier) - 1) == 0) {
		*ret_word = names->identifier;
		return sizeof(identifier) - 1;
	}
	return 0;
}

/* Returns: fresh memory, or NULL. */
static char *fill_in(const char *text, const struct names *names)
{
	char *filled = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&filled, &bytes);

	if (!stream)
		return NULL;
	while (*text) {
		const char *word;
		size_t length = find_mark(text, names, &word);

		if (length > 0)
			(void)fputs(word, stream);
		else
			(void)fputc(*text, stream);
		text += length > 0 ? length : 1;
	}
	if (fclose(stream) == 0)
		return filled;
	free(filled);
	return NULL;
}

static void drop_suffix(char *name)
{
	size_t length = strlen(name);

	if (length > 3 && strcmp(name + length - 3, ".in") == 0)
		name[length - 3] = '\0';
}

static int copy_file(const char *from, const char *folder, const char *file,
		     const struct names *names)
{
	char path[PATH_MAX], *text = NULL, *filled, *name;
	int status = file_read(from, SKELETON_FILE_BYTES_MAX, &text, NULL);

	if (status < 0)
		return status;
	filled = fill_in(text, names);
	name = fill_in(file, names);
	free(text);
	if (name)
		drop_suffix(name);
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name ? name : "");
	status = filled && name ? file_write_atomically(path, filled,
							strlen(filled), 0644)
				: -ENOMEM;
	free(filled);
	free(name);
	return status;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int copy_all(const char *skeleton, const char *folder,
		    const struct names *names)
{
	struct dirent **entries = NULL;
	int count = scandir(skeleton, &entries, is_visible, alphasort);
	int status = count < 0 ? -errno : 0;

	for (int i = 0; i < count; i++) {
		char from[PATH_MAX];

		(void)snprintf(from, sizeof(from), "%.3000s/%s", skeleton,
			       entries[i]->d_name);
		if (status == 0)
			status = copy_file(from, folder, entries[i]->d_name,
					   names);
		free(entries[i]);
	}
	free(entries);
	return status;
}

static int check_name(const char *name, struct names *ret_names,
		      struct error *error)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	size_t length = strlen(name);

	if (length > MANIFEST_NAME_LENGTH_MAX || strspn(name, letters) == 0 ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != length)
		return error_set(
			error, -EINVAL,
			"filter %s: a name has 1 to %u of a-z, 0-9 and "
			"'-', and begins with a letter",
			name, MANIFEST_NAME_LENGTH_MAX);
	ret_names->name = name;
	for (size_t i = 0; i <= length; i++)
		ret_names->identifier[i] = name[i] == '-' ? '_' : name[i];
	return 0;
}

int filter_new(const struct invocation *invocation, struct client *client,
	       struct error *error)
{
	const char *folder = invocation->flags[FLAG_INTO];
	char skeleton[PATH_MAX];
	struct names names;
	int status = check_name(invocation->operands[0], &names, error);

	(void)client;
	if (status < 0)
		return status;
	if (!folder)
		folder = names.name;
	installed_path("share/forebay/skeleton", skeleton, sizeof(skeleton));
	if (access(skeleton, R_OK | X_OK) < 0)
		return error_set(error, -errno, "%s: cannot be read: %s",
				 skeleton, strerror(errno));
	/* Nobody's work is written over. */
	if (mkdir(folder, 0755) < 0)
		return error_set(error, -errno, "%s: cannot be made: %s",
				 folder, strerror(errno));
	status = copy_all(skeleton, folder, &names);
	if (status < 0)
		return error_set(error, status,
				 "%s: cannot be filled from %s: "
				 "%s",
				 folder, skeleton, strerror(-status));
	(void)printf("%s: filter %s; 'make -C %s check' builds and tests it\n",
		     folder, names.name, folder);
	return 0;
}
