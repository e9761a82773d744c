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

#include "bundle_store.h"
#include "describe.h"
#include "gate.h"
#include "nearest_name.h"
#include "property_schema.h"
#include "version.h"

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

static json_t *make_broken(const char *name, const char *library,
			   const struct bundle_refusal *refusal)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "name", name, "library",
			 library, "issue", refusal->detail, "issue_code",
			 bundle_issue_code(refusal->issue));
}

static json_t *make_good(const char *library, const json_t *description)
{
	json_t *filter = json_deep_copy(description);

	json_object_set_new(filter, "library", json_string(library));
	json_object_set_new(filter, "issue", json_null());
	return filter;
}

/* -- what ships with Forebay -------------------------------------------- */

/* What the library says, checked: it must be called as its file is. */
static int describe_shipped(struct filters *filters, const char *name,
			    const char *library, json_t **ret_filter,
			    struct bundle_refusal *refusal)
{
	struct host_path program = host_program(filters->host, "forebay-disk");
	json_auto_t *description = NULL;
	const char *own;
	int result =
		describe_filter(program.text, library, &description, refusal);

	if (result < 0)
		return result;
	own = json_string_value(json_object_get(description, "name"));
	if (!own || strcmp(own, name) != 0)
		return bundle_refuse(
			refusal, BUNDLE_NAME_MISMATCH,
			"the filter calls itself \"%.40s\": name its file so",
			own ? own : "");
	*ret_filter = make_good(library, description);
	return 0;
}

/* -- what was installed ------------------------------------------------- */

static int describe_bundle(struct filters *filters, const char *name,
			   const char *version, json_t **ret_filter,
			   struct bundle_refusal *refusal)
{
	struct host_path library =
		bundle_store_library(filters->host, name, version);
	struct host_path program = host_program(filters->host, "forebay-disk");
	_cleanup_manifest_ struct manifest manifest = {0};
	json_auto_t *description = NULL;
	struct signer signer;
	json_t *filter;
	int result = bundle_store_check(filters->host, name, version, &manifest,
					&signer, refusal);

	if (result == 0)
		result = describe_filter(program.text, library.text,
					 &description, refusal);
	if (result == 0)
		result = manifest_check_description(&manifest, description,
						    refusal);
	if (result < 0)
		return result;
	filter = make_good(library.text, description);
	json_object_set_new(filter, "bundle",
			    json_pack("{s:s, s:s, s:O}", "signer", signer.name,
				      "key_id", signer.key_id, "needs",
				      manifest.needs));
	*ret_filter = filter;
	return 0;
}

/* -- either ------------------------------------------------------------- */

/* @version: of a bundle; NULL: what ships. Returns: 0, -ENOENT if there is no
 * such file, or -ENOMEM. */
static int look_at(struct filters *filters, const char *name,
		   const char *version, json_t **ret_filter)
{
	struct bundle_refusal refusal = {0};
	char library[HOST_PATH_BYTES + 80];
	json_t *filter = NULL;
	struct stamp stamp;
	int result;

	snprintf(library, sizeof(library), "%s/%s.so", filters->host->filters,
		 name);
	if (version)
		snprintf(library, sizeof(library), "%s",
			 bundle_store_library(filters->host, name, version)
				 .text);
	if (take_stamp(library, &stamp) < 0)
		return -ENOENT;
	filter = recall(filters, library, &stamp);
	if (filter) {
		*ret_filter = filter;
		return 0;
	}
	result = version ? describe_bundle(filters, name, version, &filter,
					   &refusal)
			 : describe_shipped(filters, name, library, &filter,
					    &refusal);
	/* A failure may be the machine's and not the file's. */
	if (result == 0 && filter)
		remember(filters, library, &stamp, filter);
	if (result < 0) {
		if (!refusal.detail[0])
			(void)bundle_refuse(&refusal, BUNDLE_NOT_LOADABLE,
					    "%s: %s", library,
					    strerror(-result));
		filter = make_broken(name, library, &refusal);
		if (version && filter)
			json_object_set_new(filter, "version",
					    json_string(version));
	}
	if (!filter)
		return -ENOMEM;
	*ret_filter = filter;
	return 0;
}

static const char *version_of(const json_t *filter)
{
	const char *version =
		json_string_value(json_object_get(filter, "version"));

	return version ? version : "";
}

/* The newest; what ships where that is as new. */
static int look_at_newest(struct filters *filters, const char *name,
			  json_t **ret_filter)
{
	struct bundle_versions versions;
	json_t *shipped = NULL;
	int result = look_at(filters, name, NULL, &shipped);
	const char *newest;

	if (result < 0 && result != -ENOENT)
		return result;
	bundle_store_versions(filters->host, name, &versions);
	newest = versions.count > 0 ? versions.text[versions.count - 1] : NULL;
	if (!newest || (shipped && version_valid(version_of(shipped)) &&
			version_compare(version_of(shipped), newest) >= 0)) {
		*ret_filter = shipped;
		return result;
	}
	json_decref(shipped);
	return look_at(filters, name, newest, ret_filter);
}

/* @reference: NAME, or NAME@VERSION. Returns: 0, -ENOENT or -ENOMEM. */
static int look_up(struct filters *filters, const char *reference,
		   json_t **ret_filter)
{
	size_t length = strcspn(reference, "@");
	char name[GATE_NAME_LENGTH_MAX + 1];
	json_t *filter;
	int result;

	if (length >= sizeof(name))
		return -ENOENT;
	memcpy(name, reference, length);
	name[length] = '\0';
	if (!gate_is_name(name))
		return -ENOENT;
	if (reference[length] == '\0')
		return look_at_newest(filters, name, ret_filter);
	reference += length + 1;
	if (!version_valid(reference))
		return -ENOENT;
	result = look_at(filters, name, reference, ret_filter);
	if (result != -ENOENT)
		return result;
	result = look_at(filters, name, NULL, &filter);
	if (result == 0 && strcmp(version_of(filter), reference) != 0) {
		json_decref(filter);
		return -ENOENT;
	}
	if (result == 0)
		*ret_filter = filter;
	return result;
}

void filters_forget(struct filters *filters)
{
	pthread_mutex_lock(&filters->lock);
	for (unsigned int i = 0; i < filters->count; i++) {
		free(filters->memory[i].library);
		json_decref(filters->memory[i].filter);
		filters->memory[i] = (struct remembered){0};
	}
	filters->count = 0;
	pthread_mutex_unlock(&filters->lock);
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

static int is_bundle(const struct dirent *entry)
{
	return gate_is_name(entry->d_name);
}

/* By name, then by version. */
static bool is_behind(const json_t *a, const json_t *b)
{
	int order = strcmp(json_string_value(json_object_get(a, "name")),
			   json_string_value(json_object_get(b, "name")));

	if (order == 0 && version_valid(version_of(a)) &&
	    version_valid(version_of(b)))
		order = version_compare(version_of(a), version_of(b));
	return order > 0;
}

static void add_in_order(json_t *list, json_t *filter)
{
	size_t at = json_array_size(list);

	while (at > 0 && is_behind(json_array_get(list, at - 1), filter))
		at--;
	json_array_insert_new(list, at, filter);
}

static void add_shipped(struct filters *filters, json_t *list)
{
	struct dirent **entries = NULL;
	json_t *filter;
	int count =
		scandir(filters->host->filters, &entries, is_library, by_name);

	/* No folder, no filters. */
	for (int i = 0; i < count; i++) {
		*strrchr(entries[i]->d_name, '.') = '\0';
		if (look_at(filters, entries[i]->d_name, NULL, &filter) == 0)
			add_in_order(list, filter);
		free(entries[i]);
	}
	free(entries);
}

static void add_bundles(struct filters *filters, json_t *list)
{
	struct host_path folder = host_lib(filters->host, "filters");
	struct bundle_versions versions;
	struct dirent **entries = NULL;
	json_t *filter;
	int count = scandir(folder.text, &entries, is_bundle, by_name);

	for (int i = 0; i < count; i++) {
		bundle_store_versions(filters->host, entries[i]->d_name,
				      &versions);
		for (unsigned int j = 0; j < versions.count; j++) {
			if (look_at(filters, entries[i]->d_name,
				    versions.text[j], &filter) == 0)
				add_in_order(list, filter);
		}
		free(entries[i]);
	}
	free(entries);
}

/* Which one a policy has that names no version. */
static void mark_chosen(struct filters *filters, json_t *list)
{
	json_t *filter;
	size_t index;

	json_array_foreach(list, index, filter)
	{
		json_auto_t *newest = NULL;
		const char *name =
			json_string_value(json_object_get(filter, "name"));
		bool chosen = look_at_newest(filters, name, &newest) == 0 &&
			      json_equal(json_object_get(newest, "library"),
					 json_object_get(filter, "library"));

		json_object_set_new(filter, "newest", json_boolean(chosen));
	}
}

int filters_list(struct filters *filters, json_t **ret_list,
		 struct problem *problem)
{
	json_t *list = json_array();

	if (!list)
		return problem_internal(problem, "filters", -ENOMEM);
	add_shipped(filters, list);
	add_bundles(filters, list);
	mark_chosen(filters, list);
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

	result = look_up(filters, name, &filter);
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
	int result = look_up(filters, name, &filter);

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
