/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.c - makes and shows policies.
 *
 * Request threads. Everything is checked before anything is stored: a stored
 * policy named only filters and properties that existed, in class order.
 */
#include "policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "documents.h"
#include "gate.h"
#include "properties.h"

#define FILTERS_MAX GATE_LIST_MAX

/* From the virtual machine down. */
static const char *const class_order[] = {
	"inspection",  "qos",	"compression", "encryption",
	"replication", "cache", "integrity",
};

#define CLASS_COUNT (sizeof(class_order) / sizeof(*class_order))

/* One filter of the new policy. */
struct entry {
	unsigned int class_index;
	json_t *document; /* {filter, properties} */
};

static int find_class(const json_t *filter, unsigned int *ret_index,
		      struct problem *problem)
{
	const char *name = json_string_value(json_object_get(filter, "class"));

	for (unsigned int i = 0; name && i < CLASS_COUNT; i++) {
		if (strcmp(name, class_order[i]) == 0) {
			*ret_index = i;
			return 0;
		}
	}
	return problem_set(problem, PROBLEM_BROKEN_FILTER,
			   "filter %s has an unknown class",
			   json_string_value(json_object_get(filter, "name")));
}

/* What holds data or changes them can't be left out: they would be wrong. */
static int check_on_failure(const json_t *given, const struct entry *entry,
			    bool *ret_bypass, struct problem *problem)
{
	const char *word = NULL;
	int result = gate_string(given, "on_failure", false, &word, problem);

	if (result < 0)
		return result;
	if (word && strcmp(word, "fail") != 0 && strcmp(word, "bypass") != 0)
		return problem_set(problem, PROBLEM_BAD_REQUEST,
				   "on_failure must be fail or bypass");
	*ret_bypass = word && strcmp(word, "bypass") == 0;
	if (*ret_bypass && entry->class_index > 0) {
		problem_set(problem, PROBLEM_BAD_REQUEST,
			    "filter %.80s is of class %s: without it the disk "
			    "would be another one",
			    json_string_value(json_object_get(given, "filter")),
			    class_order[entry->class_index]);
		return problem_hint(problem, "only filters of class inspection "
					     "can be bypassed");
	}
	return 0;
}

static int check_filter(struct agent *agent, const json_t *given,
			struct entry *ret_entry, struct problem *problem)
{
	static const char *const members[] = {"filter", "properties",
					      "on_failure", NULL};
	json_auto_t *filter = NULL, *normal = NULL;
	struct entry entry = {0};
	const char *name;
	bool bypass = false;
	int result;

	result = gate_object(given, members, problem);
	if (result < 0)
		return result;
	result = gate_string(given, "filter", true, &name, problem);
	if (result == 0)
		result = filters_find(agent->filters, name, &filter, problem);
	if (result == 0)
		result = find_class(filter, &entry.class_index, problem);
	if (result < 0)
		return problem_inside(problem, "filter");
	result = properties_check(filter, json_object_get(given, "properties"),
				  &normal, problem);
	if (result < 0)
		return problem_inside(problem, "properties");
	result = check_on_failure(given, &entry, &bypass, problem);
	if (result < 0)
		return problem_inside(problem, "on_failure");
	entry.document =
		json_pack("{s:s, s:O, s:s*}", "filter", name, "properties",
			  normal, "on_failure", bypass ? "bypass" : NULL);
	*ret_entry = entry;
	return 0;
}

/* Keeps class order; inspection filters keep the order they were given in. */
static int insert(struct entry *entries, size_t count, struct entry entry,
		  struct problem *problem)
{
	size_t at = count;

	while (at > 0 && entries[at - 1].class_index > entry.class_index)
		at--;
	if (entry.class_index > 0 && at > 0 &&
	    entries[at - 1].class_index == entry.class_index) {
		problem_set(problem, PROBLEM_BAD_REQUEST,
			    "two filters of class %s",
			    class_order[entry.class_index]);
		return problem_hint(problem, "a disk takes one of each class, "
					     "except inspection");
	}
	memmove(&entries[at + 1], &entries[at],
		(count - at) * sizeof(*entries));
	entries[at] = entry;
	return 0;
}

static void point_at(struct problem *problem, size_t index)
{
	char step[24];

	(void)snprintf(step, sizeof(step), "%zu", index);
	(void)problem_inside(problem, step);
	(void)problem_inside(problem, "filters");
}

int policy_check_filters(struct agent *agent, const json_t *list,
			 json_t **ret_filters, struct problem *problem)
{
	struct entry entries[FILTERS_MAX];
	size_t count = 0, index;
	const json_t *given;
	int result = 0;

	json_array_foreach(list, index, given)
	{
		struct entry entry = {0};

		result = check_filter(agent, given, &entry, problem);
		if (result == 0)
			result = insert(entries, count, entry, problem);
		if (result < 0) {
			json_decref(entry.document);
			point_at(problem, index);
			break;
		}
		count++;
	}
	*ret_filters = result == 0 ? json_array() : NULL;
	for (size_t i = 0; i < count; i++) {
		json_array_append(*ret_filters, entries[i].document);
		json_decref(entries[i].document);
	}
	return result;
}

static int refuse_name(struct problem *problem, const char *name)
{
	problem_set(problem, PROBLEM_POLICY_EXISTS,
		    "there is a policy %s already", name);
	problem_about(problem, "policy", name);
	return problem_hint(problem, "choose another name");
}

static int record(struct agent *agent, const char *name, const json_t *filters,
		  struct problem *problem)
{
	struct documents_txn txn = {0};
	int result;

	documents_expect(&txn, 0, "policies/%s", name);
	documents_put(&txn,
		      json_pack("{s:s, s:i, s:O}", "name", name, "version", 1,
				"filters", filters),
		      "policies/%s", name);
	result = documents_commit(agent->store, &txn);
	if (result == -ESTALE)
		return refuse_name(problem, name);
	if (result < 0)
		return problem_internal(problem, "store", result);
	return 0;
}

int policy_read(const json_t *body, const char **ret_name,
		const json_t **ret_list, struct problem *problem)
{
	static const char *const members[] = {"name", "filters", NULL};
	const json_t *list = json_object_get(body, "filters");
	int result;

	*ret_list = list;
	result = gate_object(body, members, problem);
	if (result == 0)
		result = gate_name(body, "policy", ret_name, problem);
	/* No filters is a policy too. */
	if (result == 0 && !(json_is_array(list) && json_array_size(list) == 0))
		result = gate_list(body, "filters", false, ret_list, problem);
	return result;
}

int policy_create(struct agent *agent, const json_t *body, json_t **ret_policy,
		  struct problem *problem)
{
	json_auto_t *filters = NULL;
	const json_t *list;
	const char *name;
	int result = policy_read(body, &name, &list, problem);

	if (result < 0)
		return result;
	if (documents_has(agent->store, "policies/%s", name))
		return refuse_name(problem, name);
	result = policy_check_filters(agent, list, &filters, problem);
	if (result == 0)
		result = record(agent, name, filters, problem);
	if (result < 0)
		return result;
	return policy_show(agent, name, ret_policy, problem);
}

/* Adds the names of the disks that have it. */
static void add_users(json_t *policy, const json_t *disks)
{
	const char *name = json_string_value(json_object_get(policy, "name"));
	json_t *users = json_array();
	const json_t *disk;
	size_t index;

	json_array_foreach(disks, index, disk)
	{
		const char *used = json_string_value(json_object_get(
			json_object_get(disk, "policy"), "name"));

		if (used && strcmp(used, name) == 0)
			json_array_append(users, json_object_get(disk, "name"));
	}
	json_object_set_new(policy, "disks", users);
}

int policy_refuse_unknown(struct problem *problem, const char *name)
{
	problem_set(problem, PROBLEM_NO_SUCH_POLICY, "there is no policy %.80s",
		    name);
	return problem_about(problem, "policy", name);
}

int policy_show(struct agent *agent, const char *name, json_t **ret_policy,
		struct problem *problem)
{
	json_auto_t *policy = NULL, *disks = NULL;
	int result =
		documents_get(agent->store, &policy, NULL, "policies/%s", name);

	if (result == -ENOENT)
		return policy_refuse_unknown(problem, name);
	if (result == 0)
		result = documents_list(agent->store, "disks/", &disks);
	if (result < 0)
		return problem_internal(problem, "store", result);
	add_users(policy, disks);
	*ret_policy = json_incref(policy);
	return 0;
}

int policy_list(struct agent *agent, json_t **ret_policies,
		struct problem *problem)
{
	json_auto_t *policies = NULL, *disks = NULL;
	json_t *policy;
	size_t index;
	int result = documents_list(agent->store, "policies/", &policies);

	if (result == 0)
		result = documents_list(agent->store, "disks/", &disks);
	if (result < 0)
		return problem_internal(problem, "store", result);
	json_array_foreach(policies, index, policy) add_users(policy, disks);
	*ret_policies = json_incref(policies);
	return 0;
}
