/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_update.c - a policy gets other properties, and its disks are told.
 *
 * Request threads. First all is checked: what can't change while a disk is open
 * is refused as long as one is. Then the new version is stored; from then on a
 * process that starts has it. Then the configurations and the processes of the
 * open disks are told. One that can't be told has it after a restart, and the
 * answer names it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "data_plane.h"
#include "disk.h"
#include "disk_config.h"
#include "documents.h"
#include "gate.h"
#include "history.h"
#include "policy.h"

/* Filters that are asked have two seconds each. */
#define TELL_TIMEOUT_NS (10 * NS_PER_SECOND)
/* As for a disk that grows: what is under way ends first. */
#define REOPEN_TIMEOUT_NS (60 * NS_PER_SECOND)

static const char *text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static bool has_policy(const json_t *disk, const char *name)
{
	const char *policy = text(json_object_get(disk, "policy"), "name");

	return policy && strcmp(policy, name) == 0;
}

/* -- what may change ---------------------------------------------------- */

/* What a filter of a policy has for a property: the given, or the default. */
static const json_t *value_of(const json_t *entry, const json_t *schema)
{
	const json_t *given = json_object_get(
		json_object_get(entry, "properties"), text(schema, "name"));

	return given ? given : json_object_get(schema, "default");
}

static int refuse_open(struct problem *problem, const json_t *disk)
{
	problem_about(problem, "disk", text(disk, "name"));
	return problem_hint(problem, "close it first");
}

static int check_filter(struct agent *agent, const json_t *disk,
			const json_t *old, const json_t *new,
			struct problem *problem)
{
	json_auto_t *filter = NULL;
	const json_t *schema;
	size_t index;
	int result = filters_find(agent->filters, text(new, "filter"), &filter,
				  problem);

	if (result < 0)
		return result;
	json_array_foreach(json_object_get(filter, "properties"), index, schema)
	{
		if (json_is_true(json_object_get(schema, "online")) ||
		    json_equal(value_of(old, schema), value_of(new, schema)))
			continue;
		problem_set(problem, PROBLEM_DISK_OPEN,
			    "property %s of filter %s can't change while disk "
			    "%s is open",
			    text(schema, "name"), text(new, "filter"),
			    text(disk, "name"));
		return refuse_open(problem, disk);
	}
	return 0;
}

/* Of one open disk. */
static int check_open(struct agent *agent, const json_t *disk,
		      const json_t *old, const json_t *new,
		      struct problem *problem)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < json_array_size(new); i++) {
		const json_t *before = json_array_get(old, i);
		const json_t *after = json_array_get(new, i);

		if (!before ||
		    strcmp(text(before, "filter"), text(after, "filter")) != 0)
			break;
		result = check_filter(agent, disk, before, after, problem);
		if (result == 0 && i + 1 == json_array_size(old) &&
		    i + 1 == json_array_size(new))
			return 0;
	}
	if (result < 0 ||
	    (json_array_size(old) == 0 && json_array_size(new) == 0))
		return result;
	problem_set(problem, PROBLEM_DISK_OPEN,
		    "its filters can't change while disk %s is open",
		    text(disk, "name"));
	return refuse_open(problem, disk);
}

static int check_disks(struct agent *agent, const char *name,
		       const json_t *policy, const json_t *filters,
		       struct problem *problem)
{
	json_auto_t *disks = NULL;
	const json_t *disk;
	size_t index;
	int result = documents_list(agent->store, "disks/", &disks);

	if (result < 0)
		return problem_internal(problem, "store", result);
	json_array_foreach(disks, index, disk)
	{
		if (!has_policy(disk, name) ||
		    strcmp(text(disk, "desired"), "open") != 0)
			continue;
		result = check_open(agent, disk,
				    json_object_get(policy, "filters"), filters,
				    problem);
		if (result < 0)
			return result;
	}
	return 0;
}

static json_int_t limit_of(const json_t *filter, const json_t *entry)
{
	const json_t *schema;
	size_t index;

	json_array_foreach(json_object_get(filter, "properties"), index, schema)
	{
		if (strcmp(text(schema, "name"), "limit") == 0)
			return json_integer_value(value_of(entry, schema));
	}
	return 0;
}

/*
 * A cache gets a higher limit: its file becomes larger, for which the disk is
 * opened anew while its VM waits.
 */
static bool cache_grows(struct agent *agent, const json_t *old,
			const json_t *new)
{
	for (size_t i = 0; i < json_array_size(new); i++) {
		const json_t *before = json_array_get(old, i);
		const json_t *after = json_array_get(new, i);
		json_auto_t *filter = NULL;
		struct problem ignored;

		if (before &&
		    filters_find(agent->filters, text(after, "filter"), &filter,
				 &ignored) == 0 &&
		    strcmp(text(filter, "class"), "cache") == 0 &&
		    limit_of(filter, after) > limit_of(filter, before))
			return true;
	}
	return false;
}

/* -- telling ------------------------------------------------------------ */

/* All that may change, also what goes back to its default. */
static json_t *online_properties(struct agent *agent, const json_t *entry)
{
	json_auto_t *filter = NULL;
	json_t *properties = json_object();
	struct problem ignored;
	const json_t *schema;
	size_t index;

	if (filters_find(agent->filters, text(entry, "filter"), &filter,
			 &ignored) < 0)
		return properties;
	json_array_foreach(json_object_get(filter, "properties"), index, schema)
	{
		if (json_is_true(json_object_get(schema, "online")))
			json_object_set(properties, text(schema, "name"),
					(json_t *)value_of(entry, schema));
	}
	return properties;
}

/* Returns: 0; nobody listens is as good: who starts reads the configuration. */
static int call_process(struct agent *agent, const struct disk *disk,
			struct data_plane_call *call, uint64_t timeout_ns,
			struct error *error)
{
	struct host_path socket =
		host_run(&agent->host, "disks/%s/control.sock", disk->id);

	call->socket_path = socket.text;
	data_plane_call_all(call, 1, timeout_ns, agent->stop_fd);
	json_decref(call->result);
	if (call->status == -ECONNREFUSED || call->status == -ENOENT ||
	    call->status == -ECONNRESET)
		return 0;
	*error = call->error;
	return call->status;
}

/* All filters at once: one that refuses keeps the others as they are. */
static int tell_process(struct agent *agent, const struct disk *disk,
			const json_t *policy, struct error *error)
{
	json_t *changes = json_object();
	json_auto_t *parameters = json_pack("{s:o}", "changes", changes);
	const json_t *entry;
	size_t index;

	json_array_foreach(json_object_get(policy, "filters"), index, entry)
	{
		char name[GATE_NAME_LENGTH_MAX + 1];

		/* The process knows it without its version. */
		snprintf(name, sizeof(name), "%.*s",
			 (int)strcspn(text(entry, "filter"), "@"),
			 text(entry, "filter"));
		json_object_set_new(changes, name,
				    online_properties(agent, entry));
	}
	return call_process(agent, disk,
			    &(struct data_plane_call){
				    .method = "set-properties",
				    .parameters = parameters,
			    },
			    TELL_TIMEOUT_NS, error);
}

static int reopen(struct agent *agent, const struct disk *disk,
		  struct error *error)
{
	return call_process(agent, disk,
			    &(struct data_plane_call){.method = "reopen"},
			    REOPEN_TIMEOUT_NS, error);
}

static void note(struct agent *agent, const char *id, const json_t *policy,
		 int result, const struct error *error)
{
	struct problem problem = {0};

	snprintf(problem.detail, sizeof(problem.detail), "%s", error->message);
	history_note(agent, id, "properties", result, &problem,
		     json_pack("{s:O, s:O}", "policy",
			       json_object_get(policy, "name"), "version",
			       json_object_get(policy, "version")));
}

static int tell_disk(struct agent *agent, const char *id, const json_t *policy,
		     bool grows, struct error *error)
{
	_cleanup_disk_ struct disk disk = {0};
	struct problem problem = {0};
	bool caches;
	int status = 0;

	if (disk_load(agent, id, &disk, &problem) < 0)
		return 0;
	disk_store_policy(agent, &disk, policy);
	if (disk.desired == DISK_DESIRED_OPEN) {
		if (disk_config_write(agent, &disk, &caches, &problem) < 0)
			status = error_set(error, -EIO, "%s", problem.detail);
		else
			status = tell_process(agent, &disk, policy, error);
		if (status == 0 && grows)
			status = reopen(agent, &disk, error);
	}
	note(agent, id, policy, status, error);
	return status;
}

/* Returns: {disk, reason} of each that couldn't be told. */
static json_t *tell_disks(struct agent *agent, const json_t *policy, bool grows)
{
	json_auto_t *disks = NULL;
	json_t *untold = json_array();
	const json_t *disk;
	size_t index;

	if (documents_list(agent->store, "disks/", &disks) < 0)
		return untold;
	json_array_foreach(disks, index, disk)
	{
		struct error error = {0};

		if (has_policy(disk, text(policy, "name")) &&
		    tell_disk(agent, text(disk, "id"), policy, grows, &error) <
			    0)
			json_array_append_new(
				untold, json_pack("{s:s, s:s}", "disk",
						  text(disk, "name"), "reason",
						  error.message));
	}
	return untold;
}

/* -- the verb ----------------------------------------------------------- */

static int refuse_busy(struct problem *problem, const char *name)
{
	problem_set(problem, PROBLEM_POLICY_EXISTS,
		    "policy %s was changed by someone else just now", name);
	problem_about(problem, "policy", name);
	return problem_hint(problem, "look at it and ask again");
}

static int record(struct agent *agent, const char *name, const json_t *filters,
		  json_t **ret_policy, bool *ret_grows, struct problem *problem)
{
	json_auto_t *policy = NULL, *next = NULL;
	struct documents_txn txn = {0};
	int64_t revision;
	int result = documents_get(agent->store, &policy, &revision,
				   "policies/%s", name);

	if (result == 0)
		result = check_disks(agent, name, policy, filters, problem);
	else if (result == -ENOENT)
		return policy_refuse_unknown(problem, name);
	else
		return problem_internal(problem, "store", result);
	if (result < 0)
		return result;
	next = json_pack(
		"{s:s, s:I, s:O}", "name", name, "version",
		json_integer_value(json_object_get(policy, "version")) + 1,
		"filters", filters);
	documents_expect(&txn, revision, "policies/%s", name);
	documents_put(&txn, json_incref(next), "policies/%s", name);
	result = documents_commit(agent->store, &txn);
	if (result == -ESTALE)
		return refuse_busy(problem, name);
	if (result < 0)
		return problem_internal(problem, "store", result);
	*ret_policy = json_incref(next);
	*ret_grows =
		cache_grows(agent, json_object_get(policy, "filters"), filters);
	return 0;
}

int policy_update(struct agent *agent, const char *reference,
		  const json_t *body, json_t **ret_policy,
		  struct problem *problem)
{
	json_auto_t *filters = NULL, *policy = NULL, *untold = NULL;
	const json_t *list;
	bool grows = false;
	const char *name;
	int result = policy_read(body, &name, &list, problem);

	if (result == 0)
		result = policy_check_filters(agent, list, &filters, problem);
	if (result < 0)
		return result;
	if (strcmp(name, reference) != 0) {
		problem_set(problem, PROBLEM_BAD_NAME,
			    "the name in the body is %s, the policy is %.80s",
			    name, reference);
		return problem_inside(problem, "name");
	}
	result = record(agent, name, filters, &policy, &grows, problem);
	if (result < 0)
		return result;
	untold = tell_disks(agent, policy, grows);
	result = policy_show(agent, name, ret_policy, problem);
	if (result == 0)
		json_object_set(*ret_policy, "untold", untold);
	return result;
}
