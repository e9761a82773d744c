/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_status.c - counts, and what isn't as it should be.
 *
 * Request threads. Asks no process: this must answer when nothing else does.
 */
#include "host_status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk_view.h"
#include "documents.h"

static const char *text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static void add_issue(json_t *issues, const char *kind, const char *name,
		      const char *state, const char *reason)
{
	char object[128], message[UNIT_REASON_BYTES + 64];

	snprintf(object, sizeof(object), "%s%s%s", kind, name[0] ? " " : "",
		 name);
	snprintf(message, sizeof(message), "is %s%s%s", state,
		 reason[0] ? ": " : "", reason);
	json_array_append_new(issues, json_pack("{s:s, s:s}", "object", object,
						"message", message));
}

static json_t *view_cached(struct agent *agent, json_t *issues)
{
	struct unit unit = {0};
	const char *state;

	supervisor_look(agent->supervisor, AGENT_CACHED, &unit);
	state = unit_state_name(unit.state);
	if (unit.wanted && unit.state != UNIT_UP)
		add_issue(issues, "forebay-cached", "", state, unit.reason);
	return json_pack("{s:s, s:s?, s:o, s:i}", "state", state, "reason",
			 unit.reason[0] ? unit.reason : NULL, "pid",
			 unit.pid > 0 ? json_integer(unit.pid) : json_null(),
			 "restarts", (int)unit.restarts);
}

static bool is_fine(const json_t *disk, const struct unit *unit)
{
	if (unit->state == UNIT_DOWN)
		return json_is_true(json_object_get(disk, "clean"));
	return unit->state == UNIT_UP && !unit->reason[0];
}

static json_t *count_disks(struct agent *agent, const json_t *disks,
			   json_t *issues)
{
	json_t *counts = json_object();
	const json_t *disk;
	size_t index;

	json_array_foreach(disks, index, disk)
	{
		struct unit unit = {0};
		const char *state;

		supervisor_look(agent->supervisor, text(disk, "id"), &unit);
		state = disk_view_state(&unit);
		json_object_set_new(
			counts, state,
			json_integer(json_integer_value(
					     json_object_get(counts, state)) +
				     1));
		if (!is_fine(disk, &unit))
			add_issue(issues, "disk", text(disk, "name"), state,
				  unit.state == UNIT_DOWN ? "but not clean"
							  : unit.reason);
	}
	return counts;
}

int host_status(struct agent *agent, json_t **ret_status,
		struct problem *problem)
{
	json_auto_t *pools = NULL, *policies = NULL, *disks = NULL;
	json_t *issues, *cached, *counts;
	int result = documents_list(agent->store, "pools/", &pools);

	if (result == 0)
		result = documents_list(agent->store, "policies/", &policies);
	if (result == 0)
		result = documents_list(agent->store, "disks/", &disks);
	if (result < 0)
		return problem_internal(problem, "store", result);
	issues = json_array();
	cached = view_cached(agent, issues);
	counts = count_disks(agent, disks, issues);
	*ret_status = json_pack("{s:s, s:s, s:s, s:i, s:o, s:i, s:i, s:o, s:o}",
				"version", FOREBAY_VERSION, "state",
				json_array_size(issues) > 0 ? "degraded" : "ok",
				"host", agent->host.name, "pid", (int)getpid(),
				"cached", cached, "pools",
				(int)json_array_size(pools), "policies",
				(int)json_array_size(policies), "disks", counts,
				"issues", issues);
	return *ret_status ? 0 : problem_internal(problem, "status", -ENOMEM);
}
