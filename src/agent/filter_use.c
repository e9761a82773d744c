/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_use.c - what a disk's process was started with stands in its
 * configuration, and that is what it uses: a newer version that was installed
 * since is for the next start.
 *
 * A disk that opens while a filter is being uninstalled may have chosen it
 * already and finds its library gone then: it says so, and opens at the next
 * try if another version is there.
 */
#include "filter_use.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle_store.h"
#include "documents.h"
#include "file.h"
#include "gate.h"
#include "nearest_name.h"

#define CONFIG_BYTES_MAX (1u << 20)
#define REFERENCE_BYTES (GATE_NAME_LENGTH_MAX + VERSION_LENGTH_MAX + 3)
#define NAMES_MAX 32u

static const char *text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

/* -- use ---------------------------------------------------------------- */

/* The filters of its process's configuration, or NULL. */
static json_t *configured(struct agent *agent, const json_t *disk)
{
	struct host_path path =
		host_lib(&agent->host, "disks/%s.json", text(disk, "id"));
	json_t *filters, *config;
	char *words;

	if (strcmp(text(disk, "desired"), "open") != 0 &&
	    json_is_true(json_object_get(disk, "clean")))
		return NULL;
	if (file_read(path.text, CONFIG_BYTES_MAX, &words, NULL) < 0)
		return NULL;
	config = json_loads(words, 0, NULL);
	free(words);
	filters = json_incref(json_object_get(config, "filters"));
	json_decref(config);
	return filters;
}

static bool has_library(const json_t *filters, const char *library)
{
	const json_t *filter;
	size_t index;

	json_array_foreach(filters, index, filter)
	{
		const char *own = text(filter, "library");

		if (own && strcmp(own, library) == 0)
			return true;
	}
	return false;
}

int filter_use_add(struct agent *agent, json_t *filters,
		   struct problem *problem)
{
	json_auto_t *disks = NULL;
	json_t *disk, *filter;
	size_t index, at;
	int result = documents_list(agent->store, "disks/", &disks);

	if (result < 0)
		return problem_internal(problem, "store", result);
	json_array_foreach(filters, at, filter)
		json_object_set_new(filter, "disks", json_array());
	json_array_foreach(disks, index, disk)
	{
		json_auto_t *own = configured(agent, disk);

		json_array_foreach(filters, at, filter)
		{
			if (has_library(own, text(filter, "library")))
				json_array_append(
					json_object_get(filter, "disks"),
					json_object_get(disk, "name"));
		}
	}
	return 0;
}

/* -- installing --------------------------------------------------------- */

static int refuse_bundle(struct problem *problem,
			 const struct bundle_refusal *refusal)
{
	problem_set(problem, PROBLEM_BUNDLE_REFUSED, "%s: %s",
		    bundle_issue_code(refusal->issue), refusal->detail);
	problem->issue = bundle_issue_code(refusal->issue);
	return problem_hint(problem, "%s", bundle_issue_advice(refusal->issue));
}

int filter_install(struct agent *agent, int fd, json_t **ret_filter,
		   struct problem *problem)
{
	struct bundle_refusal refusal;
	char name[REFERENCE_BYTES];
	int result = bundle_store_install(&agent->host, fd, name, sizeof(name),
					  &refusal);

	if (result == -EBADMSG)
		return refuse_bundle(problem, &refusal);
	if (result < 0)
		return problem_internal(problem, "filters", result);
	return filters_show(agent->filters, name, ret_filter, problem);
}

/* -- uninstalling ------------------------------------------------------- */

struct reference {
	char filter[GATE_NAME_LENGTH_MAX + 1];
	char version[VERSION_LENGTH_MAX + 1];
	bool last; /* no other version of it would be left */
};

static int refuse_unknown(struct problem *problem, const char *words)
{
	problem_set(problem, PROBLEM_NO_SUCH_FILTER,
		    "no bundle %.120s is installed", words);
	problem_about(problem, "filter", words);
	return problem_hint(problem, "'forebay filter list' shows those that "
				     "are; what ships with Forebay stays");
}

static int refuse_choice(struct problem *problem, const char *filter,
			 const struct bundle_versions *versions)
{
	const char *names[BUNDLE_VERSIONS_MAX];
	char list[160];

	for (unsigned int i = 0; i < versions->count; i++)
		names[i] = versions->text[i];
	nearest_name_list(names, versions->count, list, sizeof(list));
	problem_set(problem, PROBLEM_BAD_REQUEST,
		    "%s has the versions %s: say which as %s@VERSION", filter,
		    list, filter);
	return problem_about(problem, "filter", filter);
}

static int parse_reference(struct agent *agent, const char *words,
			   struct reference *reference, struct problem *problem)
{
	size_t length = strcspn(words, "@");
	struct bundle_versions versions;
	bool found = false;

	if (length >= sizeof(reference->filter))
		return refuse_unknown(problem, words);
	memcpy(reference->filter, words, length);
	reference->filter[length] = '\0';
	if (!gate_is_name(reference->filter))
		return refuse_unknown(problem, words);
	bundle_store_versions(&agent->host, reference->filter, &versions);
	if (words[length] == '\0' && versions.count > 1)
		return refuse_choice(problem, reference->filter, &versions);
	for (unsigned int i = 0; i < versions.count && !found; i++) {
		found = words[length] == '\0' ||
			strcmp(words + length + 1, versions.text[i]) == 0;
		if (found)
			memcpy(reference->version, versions.text[i],
			       sizeof(reference->version));
	}
	if (!found)
		return refuse_unknown(problem, words);
	reference->last = versions.count == 1;
	return 0;
}

/* Whether the policy's entry would find nothing any more. */
static bool entry_needs(const char *wanted, const struct reference *reference)
{
	size_t length = strlen(reference->filter);

	if (strncmp(wanted, reference->filter, length) != 0)
		return false;
	if (wanted[length] == '@')
		return strcmp(wanted + length + 1, reference->version) == 0;
	return wanted[length] == '\0' && reference->last;
}

static bool policy_needs(const json_t *policy,
			 const struct reference *reference)
{
	const json_t *entry;
	size_t index;

	json_array_foreach(json_object_get(policy, "filters"), index, entry)
	{
		if (entry_needs(text(entry, "filter"), reference))
			return true;
	}
	return false;
}

static int refuse_use(struct problem *problem, const json_t *filter,
		      const char *kind, const char *list)
{
	char name[REFERENCE_BYTES];

	snprintf(name, sizeof(name), "%s@%s", text(filter, "name"),
		 text(filter, "version"));
	problem_set(problem, PROBLEM_FILTER_IN_USE, "%s of %s: %s", kind, name,
		    list);
	problem_about(problem, "filter", name);
	return problem_hint(problem, strcmp(kind, "policies") == 0
					     ? "change the policies first"
					     : "close or restart the disks "
					       "first");
}

/* Of a list of names: "a, b". */
static void join(const json_t *list, char *buffer, size_t buffer_bytes)
{
	const char *names[NAMES_MAX];
	size_t count = 0, index;
	const json_t *name;

	json_array_foreach(list, index, name)
	{
		if (count < NAMES_MAX)
			names[count++] = json_string_value(name);
	}
	nearest_name_list(names, count, buffer, buffer_bytes);
}

/* A policy that finds what ships with Forebay needs no bundle. */
static bool ships(struct agent *agent, const char *filter)
{
	char path[HOST_PATH_BYTES + GATE_NAME_LENGTH_MAX + 8];
	struct problem ignored;
	json_auto_t *found = NULL;

	snprintf(path, sizeof(path), "%s/%s.so", agent->host.filters, filter);
	return filters_find(agent->filters, filter, &found, &ignored) == 0 &&
	       access(path, F_OK) == 0;
}

static int check_policies(struct agent *agent, struct reference *reference,
			  const json_t *filter, struct problem *problem)
{
	json_auto_t *policies = NULL, *needing = json_array();
	const json_t *policy;
	char list[160];
	size_t index;
	int result = documents_list(agent->store, "policies/", &policies);

	if (result < 0)
		return problem_internal(problem, "store", result);
	reference->last &= !ships(agent, reference->filter);
	json_array_foreach(policies, index, policy)
	{
		if (policy_needs(policy, reference))
			json_array_append(needing,
					  json_object_get(policy, "name"));
	}
	if (json_array_size(needing) == 0)
		return 0;
	join(needing, list, sizeof(list));
	return refuse_use(problem, filter, "policies", list);
}

static int check_disks(struct agent *agent, json_t *filter,
		       struct problem *problem)
{
	json_auto_t *filters = json_pack("[O]", filter);
	char list[160];
	int result = filter_use_add(agent, filters, problem);

	if (result < 0 ||
	    json_array_size(json_object_get(filter, "disks")) == 0)
		return result;
	join(json_object_get(filter, "disks"), list, sizeof(list));
	return refuse_use(problem, filter, "disks", list);
}

int filter_uninstall(struct agent *agent, const char *words,
		     json_t **ret_filter, struct problem *problem)
{
	struct reference reference = {0};
	json_auto_t *filter = NULL;
	char name[REFERENCE_BYTES];
	int result = parse_reference(agent, words, &reference, problem);

	if (result < 0)
		return result;
	snprintf(name, sizeof(name), "%s@%s", reference.filter,
		 reference.version);
	result = filters_show(agent->filters, name, &filter, problem);
	if (result == 0)
		result = check_disks(agent, filter, problem);
	if (result == 0)
		result = check_policies(agent, &reference, filter, problem);
	if (result < 0)
		return result;
	result = bundle_store_remove(&agent->host, reference.filter,
				     reference.version);
	if (result == -ENOENT)
		return refuse_unknown(problem, words);
	if (result < 0)
		return problem_internal(problem, "filters", result);
	*ret_filter = json_incref(filter);
	return 0;
}
