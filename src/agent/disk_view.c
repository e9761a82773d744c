/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_view.c - puts together what the store, the supervisor, and the disk's
 * own process know.
 *
 * Request threads. The processes of all open disks are asked at once, with one
 * short deadline; what doesn't answer in time is shown as not known.
 */
#include "disk_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "clock.h"
#include "data_plane.h"
#include "disk_hold.h"
#include "documents.h"
#include "mode_reason.h"
#include "pool.h"
#include "sidecar_file.h"

#define STATS_TIMEOUT_NS (1 * NS_PER_SECOND)
#define BYPASSED "bypassed because the disk's process crashed again and again: "

/* One disk on its way to a document. */
struct view {
	json_t *disk; /* from the store */
	struct unit unit;
	struct host_path socket;
	struct data_plane_call *call; /* NULL: not asked */
	char trouble[512]; /* that goes on while it is up, in words */
};

static const char *text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

const char *disk_view_state(const struct unit *unit)
{
	if (unit->kept && unit->state != UNIT_GAVE_UP)
		return "draining";
	switch (unit->state) {
	case UNIT_DOWN:
		return "closed";
	case UNIT_WAITING:
	case UNIT_STARTING:
		return unit->restarts > 0 && !unit->probation ? "restarting"
							      : "opening";
	case UNIT_UP:
		return "open";
	case UNIT_CLOSING:
	case UNIT_ENDING:
	case UNIT_KILLED:
		return "closing";
	case UNIT_STUCK:
		return "stuck";
	case UNIT_GAVE_UP:
		return "failed";
	}
	return "closed";
}

/* What its process says, where that is more than that it is up. */
static const char *view_state(const struct view *view, const json_t *stats)
{
	const char *state = text(stats, "state");

	if (view->unit.state != UNIT_UP || view->unit.kept || !state ||
	    strcmp(state, "ready") == 0)
		return disk_view_state(&view->unit);
	return state;
}

uint64_t disk_view_dirty_bytes(const json_t *stats)
{
	return (uint64_t)json_integer_value(
		data_plane_cache_says(stats, "dirty_bytes"));
}

/* How long the oldest data waits to be written back. */
static json_t *view_dirty_age(const json_t *stats)
{
	if (!stats)
		return json_null();
	return json_integer(json_integer_value(
		data_plane_cache_says(stats, "dirty_age_ns")));
}

static json_t *view_exports(struct agent *agent, const json_t *disk)
{
	const char *id = text(disk, "id"), *name = text(disk, "name");
	json_t *exports = json_object();
	const json_t *kind;
	size_t index;

	json_array_foreach(json_object_get(disk, "exports"), index, kind)
	{
		const char *word = json_string_value(kind);
		struct host_path socket =
			host_run(&agent->host, "disks/%s/%s.sock", id, word);
		char uri[HOST_PATH_BYTES + 128];
		json_t *export;

		snprintf(uri, sizeof(uri), "nbd+unix:///%s?socket=%s", name,
			 socket.text);
		if (strcmp(word, "nbd") == 0)
			export = json_pack("{s:s, s:s, s:s}", "socket",
					   socket.text, "name", name, "uri",
					   uri);
		else
			export = json_pack("{s:s}", "socket", socket.text);
		json_object_set_new(exports, word, export);
	}
	return exports;
}

/* The mode that the policy asks for: a property of its cache filter. */
static const char *requested_mode(struct agent *agent, const json_t *policy,
				  json_t **ret_owner)
{
	const json_t *entry;
	size_t index;

	json_array_foreach(json_object_get(policy, "filters"), index, entry)
	{
		const json_t *given = json_object_get(
			json_object_get(entry, "properties"), "mode");
		const json_t *property;
		struct problem ignored;
		size_t at;

		if (filters_find(agent->filters, text(entry, "filter"),
				 ret_owner, &ignored) < 0)
			continue;
		json_array_foreach(json_object_get(*ret_owner, "properties"),
				   at, property)
		{
			if (strcmp(text(property, "name"), "mode") == 0)
				return json_string_value(
					given ? given
					      : json_object_get(property,
								"default"));
		}
		json_decref(*ret_owner);
		*ret_owner = NULL;
	}
	return "none";
}

/* Of a disk whose cache says nothing. */
static json_t *mode_without(const char *requested, const char *actual,
			    enum mode_reason reason)
{
	return json_pack("{s:s?, s:s?, s:s, s:s}", "requested", requested,
			 "actual", actual, "reason", mode_reason_code(reason),
			 "detail", mode_reason_words(reason));
}

static json_t *view_mode(struct agent *agent, const struct view *view,
			 const json_t *stats)
{
	const char *policy_name =
		text(json_object_get(view->disk, "policy"), "name");
	json_auto_t *policy = NULL, *owner = NULL;
	json_t *mode = data_plane_cache_says(stats, "mode");
	const char *requested = "none";

	if (mode)
		return json_pack(
			"{s:s?, s:s?, s:s?, s:s?, s:b, s:I}", "requested",
			text(mode, "requested"), "actual", text(mode, "actual"),
			"reason", text(mode, "reason"), "detail",
			text(mode, "detail"), "writes_wait",
			json_is_true(json_object_get(mode, "writes_wait")),
			"left_bytes",
			json_integer_value(
				json_object_get(mode, "left_bytes")));
	if (policy_name && documents_get(agent->store, &policy, NULL,
					 "policies/%s", policy_name) == 0)
		requested = requested_mode(agent, policy, &owner);
	if (requested && strcmp(requested, "none") == 0)
		return mode_without(requested, requested,
				    policy_name ? MODE_REASON_NO_CACHE
						: MODE_REASON_NO_POLICY);
	if (view->call)
		return mode_without(requested, NULL, MODE_REASON_NO_ANSWER);
	return mode_without(requested, NULL,
			    pool_is_any(agent) ? MODE_REASON_NOT_OPEN
					       : MODE_REASON_POOL_MISSING);
}

static json_t *view_dirty(const struct view *view, const json_t *stats)
{
	if (stats)
		return json_integer((json_int_t)disk_view_dirty_bytes(stats));
	if (json_is_true(json_object_get(view->disk, "clean")))
		return json_integer(0);
	return json_null();
}

static json_t *view_sandbox(const json_t *stats)
{
	json_t *layers = json_object_get(stats, "sandbox");

	return layers ? json_incref(layers) : json_null();
}

/* Requests that an export gave up or failed, and exports that can't do that. */
static void find_stuck(struct view *view, const json_t *stats)
{
	const json_t *stuck = json_object_get(stats, "stuck");
	const json_t *vhost = json_object_get(json_object_get(stats, "exports"),
					      "vhost_user_blk");
	json_int_t requests =
		json_integer_value(json_object_get(stuck, "requests"));
	json_int_t condemned =
		json_integer_value(json_object_get(vhost, "condemned"));

	if (requests > 0)
		snprintf(view->trouble, sizeof(view->trouble),
			 "requests stuck in the backend: %lld, for %lld s; "
			 "waiting for them to end: %lld",
			 requests,
			 json_integer_value(
				 json_object_get(stuck, "oldest_ns")) /
				 (json_int_t)NS_PER_SECOND,
			 json_integer_value(json_object_get(stuck, "waiting")));
	else if (json_is_true(json_object_get(vhost, "overdue")))
		snprintf(view->trouble, sizeof(view->trouble),
			 "the VM's migration waits for requests that don't "
			 "end");
	else if (condemned > 0)
		snprintf(view->trouble, sizeof(view->trouble),
			 "requests that made its process crash each time and "
			 "were failed to the VM: %lld",
			 condemned);
}

/* What keeps a drain from its end, in words, or NULL. */
static const char *drain_trouble(const json_t *stats)
{
	static const enum mode_reason troubles[] = {
		MODE_REASON_BACKEND_REFUSING, MODE_REASON_BACKEND_SILENT,
		MODE_REASON_DATA_LOST, MODE_REASON_CACHE_FAILED};
	const json_t *mode = data_plane_cache_says(stats, "mode");
	const char *code = text(mode, "reason");

	for (size_t i = 0; code && i < sizeof(troubles) / sizeof(*troubles);
	     i++) {
		if (strcmp(code, mode_reason_code(troubles[i])) == 0)
			return text(mode, "detail");
	}
	return NULL;
}

/* Filters that its process does without: stands behind what else there is. */
static void find_bypassed(struct view *view, const json_t *stats)
{
	const json_t *names = json_object_get(stats, "bypassed");
	size_t length = strlen(view->trouble);
	const json_t *name;
	size_t index;

	json_array_foreach(names, index, name)
	{
		const char *before = ", ";
		int more;

		if (index == 0)
			before = length > 0 ? "; " BYPASSED : BYPASSED;
		more = snprintf(view->trouble + length,
				sizeof(view->trouble) - length, "%s%s", before,
				json_string_value(name));
		if (more < 0 || (size_t)more >= sizeof(view->trouble) - length)
			return;
		length += (size_t)more;
	}
}

static const char *find_reason(const struct view *view, const json_t *stats)
{
	const char *desired = text(view->disk, "desired");

	if (view->unit.kept && drain_trouble(stats))
		return drain_trouble(stats);
	if (view->unit.reason[0])
		return view->unit.reason;
	if (strcmp(desired, "deleted") == 0)
		return "deleting it was interrupted: delete it again";
	if (strcmp(desired, "closed") == 0 && view->unit.state == UNIT_DOWN &&
	    !json_is_true(json_object_get(view->disk, "clean")))
		return "dirty data is still in its cache: close it once more "
		       "to write that back";
	if (view->call && view->call->status < 0)
		return view->call->error.message;
	if (view->call && text(view->call->result, "reason") &&
	    text(view->call->result, "reason")[0])
		return text(view->call->result, "reason");
	return view->trouble[0] ? view->trouble : NULL;
}

/* What can't be read from an SSD. Returns: a new reference; null: not known. */
static json_t *view_lost(const json_t *stats)
{
	json_t *lost = data_plane_cache_says(stats, "lost");

	return lost ? json_incref(lost) : json_null();
}

struct sidecar_rows {
	const json_t *stats; /* NULL: it isn't open */
	json_t *rows;
};

/* As an open disk says. Returns: NULL: it doesn't know that one. */
static const char *sidecar_state(const json_t *stats, const char *filter,
				 const char *name)
{
	const json_t *instance, *sidecar;
	size_t i, j;

	json_array_foreach(json_object_get(stats, "filters"), i, instance)
	{
		json_array_foreach(json_object_get(instance, "sidecars"), j,
				   sidecar)
		{
			if (strcmp(text(instance, "name"), filter) == 0 &&
			    strcmp(text(sidecar, "name"), name) == 0)
				return text(sidecar, "state");
		}
	}
	return NULL;
}

static void on_sidecar(void *owner, const struct sidecar_file_facts *facts)
{
	struct sidecar_rows *rows = owner;

	json_array_append_new(
		rows->rows,
		json_pack("{s:s, s:s, s:s?, s:I, s:s?}", "filter",
			  facts->filter, "name", facts->name, "version",
			  facts->labelled ? facts->filter_version : NULL,
			  "bytes", (json_int_t)facts->bytes, "state",
			  sidecar_state(rows->stats, facts->filter,
					facts->name)));
}

/* What filters keep beside the backend. Returns: a new reference. */
static json_t *view_sidecars(const char *folder, const json_t *stats)
{
	struct sidecar_rows rows = {stats, json_array()};

	sidecar_file_list(folder, on_sidecar, &rows);
	return rows.rows;
}

static json_t *render(struct agent *agent, struct view *view)
{
	struct host_path folder = disk_sidecar_of(agent, view->disk);
	const json_t *stats = view->call ? view->call->result : NULL;
	json_t *disk = view->disk;
	json_t *pid =
		view->unit.pid > 0 ? json_integer(view->unit.pid) : json_null();

	find_stuck(view, stats);
	find_bypassed(view, stats);
	return json_pack(
		"{s:O, s:O, s:O, s:O, s:O, s:O, s:s, s:s?, s:o, s:i, s:o, s:o, "
		"s:o, s:o, s:b, s:i, s:i, s:O?, s:o, s:s, s:o, s:o, s:o, "
		"s:o}",
		"id", json_object_get(disk, "id"), "name",
		json_object_get(disk, "name"), "size_bytes",
		json_object_get(disk, "size_bytes"), "backend",
		json_object_get(disk, "backend"), "policy",
		json_object_get(disk, "policy"), "desired",
		json_object_get(disk, "desired"), "state",
		view_state(view, stats), "reason", find_reason(view, stats),
		"pid", pid, "restarts", (int)view->unit.restarts, "exports",
		view_exports(agent, disk), "mode",
		view_mode(agent, view, stats), "dirty_bytes",
		view_dirty(view, stats), "dirty_age_ns", view_dirty_age(stats),
		"read_only", json_is_true(json_object_get(disk, "read_only")),
		"device_revision", (int)disk_device_revision(disk), "queues",
		(int)disk_queues(disk), "backend_status",
		json_object_get(stats, "backend"), "sandbox",
		view_sandbox(stats), "sidecar", folder.text, "sidecars",
		view_sidecars(folder.text, stats), "hold",
		disk_hold_view(agent, text(disk, "id"), view->call, stats),
		"lost", view_lost(stats), "advice", advice_sentence(stats));
}

/* Fills @views with @disks and asks those that run. */
static void gather(struct agent *agent, struct view *views,
		   struct data_plane_call *calls, const json_t *disks)
{
	size_t count = 0, index;
	json_t *disk;

	json_array_foreach(disks, index, disk)
	{
		struct view *view = &views[index];
		const char *id = text(disk, "id");

		view->disk = disk;
		supervisor_look(agent->supervisor, id, &view->unit);
		if (view->unit.state != UNIT_UP &&
		    view->unit.state != UNIT_CLOSING && !view->unit.drainer)
			continue;
		view->socket =
			host_run(&agent->host, "disks/%s/control.sock", id);
		view->call = &calls[count++];
		view->call->socket_path = view->socket.text;
		view->call->method = "stats";
	}
	data_plane_call_all(calls, count, STATS_TIMEOUT_NS, agent->stop_fd);
}

/* With what its process said. */
static json_t *measured(struct agent *agent, struct view *view)
{
	json_t *stats = view->call ? view->call->result : NULL;

	return json_pack("{s:o, s:O?}", "disk", render(agent, view), "stats",
			 stats);
}

/* Returns: a new array of what @one makes of each, or NULL if out of memory. */
static json_t *view_array(struct agent *agent, const json_t *disks,
			  json_t *(*one)(struct agent *agent,
					 struct view *view))
{
	size_t count = json_array_size(disks);
	struct view *views = calloc(count + 1, sizeof(*views));
	struct data_plane_call *calls = calloc(count + 1, sizeof(*calls));
	json_t *array = json_array();

	if (views && calls && array) {
		gather(agent, views, calls, disks);
		for (size_t i = 0; i < count; i++)
			json_array_append_new(array, one(agent, &views[i]));
		for (size_t i = 0; i < count; i++)
			json_decref(calls[i].result);
	} else {
		json_decref(array);
		array = NULL;
	}
	free(calls);
	free(views);
	return array;
}

int disk_view_one(struct agent *agent, const char *reference, json_t **ret_disk,
		  struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0};
	json_auto_t *disks = NULL, *array = NULL;
	int result = disk_load(agent, reference, &disk, problem);

	if (result < 0)
		return result;
	disks = json_pack("[O]", disk.document);
	array = view_array(agent, disks, render);
	if (!array || json_array_size(array) != 1)
		return problem_internal(problem, "disk", -ENOMEM);
	*ret_disk = json_incref(json_array_get(array, 0));
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(text(*(json_t *const *)a, "name"),
		      text(*(json_t *const *)b, "name"));
}

/* The store has them in order of ids. */
static json_t *sort(const json_t *disks)
{
	size_t count = json_array_size(disks);
	json_t **items = calloc(count + 1, sizeof(json_t *));
	json_t *sorted = json_array();

	if (!items || !sorted) {
		free(items);
		return sorted;
	}
	for (size_t i = 0; i < count; i++)
		items[i] = json_array_get(disks, i);
	qsort(items, count, sizeof(json_t *), by_name);
	for (size_t i = 0; i < count; i++)
		json_array_append(sorted, items[i]);
	free(items);
	return sorted;
}

static int view_all(struct agent *agent,
		    json_t *(*one)(struct agent *agent, struct view *view),
		    json_t **ret_disks, struct problem *problem)
{
	json_auto_t *documents = NULL, *sorted = NULL;
	int result = documents_list(agent->store, "disks/", &documents);

	if (result < 0)
		return problem_internal(problem, "store", result);
	sorted = sort(documents);
	*ret_disks = view_array(agent, sorted, one);
	if (!*ret_disks)
		return problem_internal(problem, "disks", -ENOMEM);
	return 0;
}

int disk_view_all(struct agent *agent, json_t **ret_disks,
		  struct problem *problem)
{
	return view_all(agent, render, ret_disks, problem);
}

int disk_view_measured(struct agent *agent, json_t **ret_disks,
		       struct problem *problem)
{
	return view_all(agent, measured, ret_disks, problem);
}
