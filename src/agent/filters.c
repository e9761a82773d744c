/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filters.c - finds filters, and remembers what they said about themselves.
 *
 * The lock guards the memory only; a filter is described outside it, so a slow
 * one delays just who asks for it.
 */
#include "filters.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "describe.h"
#include "gate.h"
#include "nearest_name.h"
#include "property_schema.h"

#define FILTERS_MAX 256u

/* What a description was made of; another stamp means another file. */
struct stamp {
	dev_t device;
	ino_t inode;
	off_t size_bytes;
	struct timespec changed;
};

struct remembered {
	char *library;
	struct stamp stamp;
	json_t *filter;
};

struct filters {
	pthread_mutex_t lock;
	const struct host *host;
	struct remembered memory[FILTERS_MAX];
	unsigned int count;
};

static bool is_same(const struct stamp *a, const struct stamp *b)
{
	return a->device == b->device && a->inode == b->inode &&
	       a->size_bytes == b->size_bytes &&
	       a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

static int take_stamp(const char *library, struct stamp *ret_stamp)
{
	struct stat status;

	if (stat(library, &status) < 0)
		return -errno;
	*ret_stamp = (struct stamp){status.st_dev, status.st_ino,
				    status.st_size, status.st_ctim};
	return 0;
}

static struct remembered *find(struct filters *filters, const char *library)
{
	for (unsigned int i = 0; i < filters->count; i++) {
		if (strcmp(filters->memory[i].library, library) == 0)
			return &filters->memory[i];
	}
	return NULL;
}

/* Returns: a reference, or NULL. */
static json_t *recall(struct filters *filters, const char *library,
		      const struct stamp *stamp)
{
	struct remembered *entry;
	json_t *filter = NULL;

	pthread_mutex_lock(&filters->lock);
	entry = find(filters, library);
	/* A copy: reference counts are not safe between threads. */
	if (entry && is_same(&entry->stamp, stamp))
		filter = json_deep_copy(entry->filter);
	pthread_mutex_unlock(&filters->lock);
	return filter;
}

static void remember(struct filters *filters, const char *library,
		     const struct stamp *stamp, const json_t *filter)
{
	struct remembered *entry;

	pthread_mutex_lock(&filters->lock);
	entry = find(filters, library);
	if (!entry && filters->count < FILTERS_MAX) {
		entry = &filters->memory[filters->count];
		entry->library = strdup(library);
		if (entry->library)
			filters->count++;
		else
			entry = NULL;
	}
	if (entry) {
		json_decref(entry->filter);
		entry->filter = json_deep_copy(filter);
		entry->stamp = *stamp;
	}
	pthread_mutex_unlock(&filters->lock);
}

/* What the library says, checked: it must be called as its file is. */
static json_t *make_filter(const char *name, const char *library,
			   json_t *description, const char *issue)
{
	const char *own =
		json_string_value(json_object_get(description, "name"));
	char text[ERROR_MESSAGE_BYTES];
	json_t *filter;

	if (!issue && (!own || strcmp(own, name) != 0)) {
		snprintf(text, sizeof(text),
			 "the filter calls itself \"%.40s\": name its file so",
			 own ? own : "");
		issue = text;
	}
	if (issue)
		return json_pack("{s:s, s:s, s:s}", "name", name, "library",
				 library, "issue", issue);
	filter = json_deep_copy(description);
	if (filter) {
		json_object_set_new(filter, "library", json_string(library));
		json_object_set_new(filter, "issue", json_null());
	}
	return filter;
}

/* Returns: 0, -ENOENT if there is no such file, or -ENOMEM. */
static int look_at(struct filters *filters, const char *name,
		   json_t **ret_filter)
{
	struct host_path program = host_program(filters->host, "forebay-disk");
	char library[HOST_PATH_BYTES + 80];
	json_auto_t *description = NULL;
	struct bundle_refusal refusal = {0};
	struct stamp stamp;
	json_t *filter;
	int result;

	snprintf(library, sizeof(library), "%s/%s.so", filters->host->filters,
		 name);
	result = take_stamp(library, &stamp);
	if (result < 0)
		return -ENOENT;
	filter = recall(filters, library, &stamp);
	if (!filter) {
		result = describe_filter(program.text, library, &description,
					 &refusal);
		filter = make_filter(name, library, description,
				     result < 0 ? refusal.detail : NULL);
		/* A failure may be the machine's and not the file's. */
		if (filter && result == 0)
			remember(filters, library, &stamp, filter);
	}
	if (!filter)
		return -ENOMEM;
	*ret_filter = filter;
	return 0;
}

static int is_library(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');
	char name[GATE_NAME_LENGTH_MAX + 1];

	if (!dot || strcmp(dot, ".so") != 0 ||
	    (size_t)(dot - entry->d_name) >= sizeof(name))
		return 0;
	memcpy(name, entry->d_name, (size_t)(dot - entry->d_name));
	name[dot - entry->d_name] = '\0';
	return gate_is_name(name);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int filters_list(struct filters *filters, json_t **ret_list,
		 struct problem *problem)
{
	json_t *list = json_array(), *filter;
	struct dirent **entries = NULL;
	int count =
		scandir(filters->host->filters, &entries, is_library, by_name);

	/* No folder, no filters. */
	for (int i = 0; i < count; i++) {
		*strrchr(entries[i]->d_name, '.') = '\0';
		if (look_at(filters, entries[i]->d_name, &filter) == 0)
			json_array_append_new(list, filter);
		free(entries[i]);
	}
	free(entries);
	if (!list)
		return problem_internal(problem, "filters", -ENOMEM);
	*ret_list = list;
	return 0;
}

static int refuse_unknown(struct filters *filters, const char *name,
			  struct problem *problem)
{
	struct dirent **entries = NULL;
	const char *names[FILTERS_MAX];
	char known[160];
	const char *meant;
	int count =
		scandir(filters->host->filters, &entries, is_library, by_name);
	size_t name_count = 0;

	for (int i = 0; i < count && name_count < FILTERS_MAX; i++) {
		*strrchr(entries[i]->d_name, '.') = '\0';
		names[name_count++] = entries[i]->d_name;
	}
	nearest_name_list(names, name_count, known, sizeof(known));
	meant = nearest_name(names, name_count, name);
	problem_set(problem, PROBLEM_UNKNOWN_FILTER,
		    "there is no filter \"%.80s\" in %s", name,
		    filters->host->filters);
	if (meant)
		problem_hint(problem, "did you mean %s?", meant);
	else if (known[0])
		problem_hint(problem, "there are: %s", known);
	else
		problem_hint(problem, "install filters there");
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
	return -EPROTO;
}

int filters_find(struct filters *filters, const char *name, json_t **ret_filter,
		 struct problem *problem)
{
	json_auto_t *filter = NULL;
	const char *issue;
	int result;

	if (!gate_is_name(name))
		return refuse_unknown(filters, name, problem);
	result = look_at(filters, name, &filter);
	if (result == -ENOENT)
		return refuse_unknown(filters, name, problem);
	if (result < 0)
		return problem_internal(problem, "filters", result);
	issue = json_string_value(json_object_get(filter, "issue"));
	if (issue) {
		problem_set(problem, PROBLEM_BROKEN_FILTER,
			    "filter %s can't be used: %s", name, issue);
		return problem_about(problem, "filter", name);
	}
	*ret_filter = json_incref(filter);
	return 0;
}

int filters_show(struct filters *filters, const char *name, json_t **ret_filter,
		 struct problem *problem)
{
	json_auto_t *filter = NULL;
	int result =
		gate_is_name(name) ? look_at(filters, name, &filter) : -ENOENT;

	if (result == -ENOENT) {
		refuse_unknown(filters, name, problem);
		problem->code = PROBLEM_NO_SUCH_FILTER;
		return -EPROTO;
	}
	if (result < 0)
		return problem_internal(problem, "filters", result);
	if (json_is_null(json_object_get(filter, "issue")))
		json_object_set_new(filter, "schema", property_schema(filter));
	*ret_filter = json_incref(filter);
	return 0;
}

int filters_create(const struct host *host, struct filters **ret_filters)
{
	struct filters *filters = calloc(1, sizeof(*filters));

	if (!filters)
		return -ENOMEM;
	filters->host = host;
	pthread_mutex_init(&filters->lock, NULL);
	*ret_filters = filters;
	return 0;
}

void filters_destroy(struct filters *filters)
{
	if (!filters)
		return;
	for (unsigned int i = 0; i < filters->count; i++) {
		free(filters->memory[i].library);
		json_decref(filters->memory[i].filter);
	}
	pthread_mutex_destroy(&filters->lock);
	free(filters);
}
