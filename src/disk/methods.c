// SPDX-License-Identifier: Apache-2.0
/*
 * methods.c - the gate for what arrives on the control socket, and the answers.
 */
#include "methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"
#include "disk_event.h"
#include "doors.h"
#include "event_kind.h"
#include "uuid_text.h"

/* An answer that comes later, and the names that it needs. */
struct pending {
	struct disk *disk;
	struct control_call *call;
	char action[64];
	char filter[64]; /* empty: every filter */
	struct disk_event *snapshot; /* begun, not ended */
	json_t *changes; /* of properties */
	int status;
};

static void status_run(void *owner, struct control_call *call,
		       const json_t *params)
{
	const struct disk *disk = owner;
	char uuid[UUID_TEXT_BYTES];

	(void)params;
	uuid_format(disk->config->uuid, uuid);
	control_reply(call, json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "state",
				      disk_state_name(disk->state), "reason",
				      disk->reason, "pid", (int)getpid(),
				      "version", FOREBAY_VERSION, "name",
				      disk->config->name, "uuid", uuid));
}

/* Returns: true if there is a pipeline to ask; else @call is answered. */
static bool need_pipeline(const struct disk *disk, struct control_call *call)
{
	if (disk->pipeline && disk->state != DISK_CLOSING &&
	    disk->state != DISK_HANDING_OVER && disk->state != DISK_RESIZING)
		return true;
	control_fail(call, -EAGAIN, "disk %s is %s", disk->config->name,
		     disk_state_name(disk->state));
	return false;
}

/* Only where there are some: it is something to be seen. */
static void add_bypassed(json_t *stats, const struct config *config)
{
	json_t *names;

	if (config->bypassed_count == 0)
		return;
	names = json_array();
	for (uint32_t i = 0; i < config->bypassed_count; i++)
		json_array_append_new(names, json_string(config->bypassed[i]));
	json_object_set_new(stats, "bypassed", names);
}

static void stats_run(void *owner, struct control_call *call,
		      const json_t *params)
{
	const struct disk *disk = owner;
	json_t *exports;
	json_t *stats;

	(void)params;
	/* A parked disk has no figures but its exports'. */
	if (!disk->vhost_user && !need_pipeline(disk, call))
		return;
	exports = json_object();
	stats = disk->pipeline ? pipeline_stats(disk->pipeline) : json_object();
	json_object_set_new(stats, "state",
			    json_string(disk_state_name(disk->state)));
	json_object_set_new(stats, "reason", json_string(disk->reason));
	json_object_set_new(stats, "size_bytes",
			    json_integer((json_int_t)disk->size_bytes));
	if (disk->vhost_user)
		json_object_set_new(exports, "vhost_user_blk",
				    vhost_user_export_stats(disk->vhost_user));
	if (disk->nbd)
		json_object_set_new(exports, "nbd",
				    nbd_export_stats(disk->nbd));
	json_object_set_new(stats, "exports", exports);
	json_object_set_new(stats, "sandbox", doors_describe(&disk->sandbox));
	add_bypassed(stats, disk->config);
	control_reply(call, stats);
}

static void fail_action(const struct pending *pending, int status)
{
	const char *name = pending->disk->config->name;

	if (status == -ENOENT)
		control_fail(pending->call, status,
			     "disk %s has no filter '%s'", name,
			     pending->filter);
	else if (status == -ENOTSUP && pending->filter[0])
		control_fail(
			pending->call, status,
			"filter %s of disk %s doesn't know the action '%s'",
			pending->filter, name, pending->action);
	else if (status == -ENOTSUP)
		control_fail(pending->call, status,
			     "no filter of disk %s knows the action '%s'", name,
			     pending->action);
	else
		control_fail(pending->call, status,
			     "action '%s' on disk %s failed: %s",
			     pending->action, name, strerror(-status));
}

static void pending_end(struct pending *pending)
{
	disk_action_ends(pending->disk);
	free(pending);
}

static void answer_action(void *context)
{
	struct pending *pending = context;

	if (pending->status == 0)
		control_reply(pending->call, NULL);
	else
		fail_action(pending, pending->status);
	pending_end(pending);
}

static void on_action(void *context, int status)
{
	struct pending *pending = context;

	pending->status = status;
	disk_event_end(pending->snapshot, status == 0, answer_action, pending);
}

static void start_action(struct pending *pending)
{
	const char *filter = pending->filter[0] ? pending->filter : NULL;

	pipeline_action(pending->disk->pipeline, filter, pending->action,
			on_action, pending);
}

/* @event is NULL if a filter refuses. */
static void on_snapshot_begun(void *context, struct disk_event *event,
			      const struct error *error)
{
	struct pending *pending = context;

	pending->snapshot = event;
	if (event) {
		start_action(pending);
		return;
	}
	control_fail(pending->call, -EPERM, "%s", error->message);
	pending_end(pending);
}

/* A hold keeps what is below as the disk is now: for a copy. */
static bool is_hold(const struct pending *pending)
{
	size_t length = strlen(PIPELINE_ACTION_HOLD);

	return strncmp(pending->action, PIPELINE_ACTION_HOLD, length) == 0 &&
	       pending->action[length] == ' ';
}

static void begin_action(struct pending *pending)
{
	static const struct disk_event_spec snapshot = {
		.kind = FOREBAY_EVENT_SNAPSHOT,
	};

	if (is_hold(pending))
		disk_event_begin(pending->disk, &snapshot, on_snapshot_begun,
				 pending);
	else
		start_action(pending);
}

static void action_run(void *owner, struct control_call *call,
		       const json_t *params)
{
	struct disk *disk = owner;
	const char *action =
		json_string_value(json_object_get(params, "action"));
	const char *filter =
		json_string_value(json_object_get(params, "filter"));
	struct pending *pending;

	if (!need_pipeline(disk, call))
		return;
	if (!action || strlen(action) >= sizeof(pending->action) ||
	    (filter && strlen(filter) >= sizeof(pending->filter))) {
		control_fail(call, -EINVAL,
			     "'action' must be a short text, 'filter' the "
			     "name of a filter or null");
		return;
	}
	pending = calloc(1, sizeof(*pending));
	if (!pending) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	pending->disk = disk;
	pending->call = call;
	snprintf(pending->action, sizeof(pending->action), "%s", action);
	snprintf(pending->filter, sizeof(pending->filter), "%s",
		 filter ? filter : "");
	disk_action_begins(disk);
	begin_action(pending);
}

/* Of one filter or of several: what pipeline_set_properties() takes, or NULL.
 */
static json_t *requested_changes(const json_t *params)
{
	const char *filter =
		json_string_value(json_object_get(params, "filter"));
	json_t *properties = json_object_get(params, "properties");
	json_t *changes = json_object_get(params, "changes");
	const char *name;

	if (filter && json_is_object(properties))
		return json_pack("{s:O}", filter, properties);
	if (!json_is_object(changes))
		return NULL;
	json_object_foreach(changes, name, properties)
	{
		if (!json_is_object(properties))
			return NULL;
	}
	return json_incref(changes);
}

static void on_properties_set(void *context, const struct error *error)
{
	struct pending *pending = context;
	const char *name;
	json_t *properties;

	if (error) {
		control_fail(pending->call, error->code, "%s", error->message);
	} else {
		json_object_foreach(pending->changes, name, properties)
			disk_keep_properties(pending->disk, name, properties);
		control_reply(pending->call, NULL);
	}
	json_decref(pending->changes);
	pending_end(pending);
}

static void on_called(void *context, json_t *result, const struct error *error)
{
	struct pending *pending = context;

	disk_action_ends(pending->disk);
	if (error)
		control_fail(pending->call, error->code, "disk %s: %s",
			     pending->disk->config->name, error->message);
	else
		control_reply(pending->call,
			      json_pack("{s:o}", "result",
					result ? result : json_null()));
	free(pending);
}

static void call_run(void *owner, struct control_call *call,
		     const json_t *params)
{
	struct disk *disk = owner;
	const char *filter =
		json_string_value(json_object_get(params, "filter"));
	const char *action =
		json_string_value(json_object_get(params, "action"));
	const json_t *arguments = json_object_get(params, "arguments");
	struct pending *pending;

	if (!need_pipeline(disk, call))
		return;
	if (!filter || !action || (arguments && !json_is_object(arguments))) {
		control_fail(call, -EINVAL,
			     "'filter' and 'action' must be names and "
			     "'arguments' an object");
		return;
	}
	pending = calloc(1, sizeof(*pending));
	if (!pending) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	pending->disk = disk;
	pending->call = call;
	disk_action_begins(disk);
	pipeline_call(disk->pipeline, filter, action, arguments, on_called,
		      pending);
}

static void set_properties_run(void *owner, struct control_call *call,
			       const json_t *params)
{
	struct disk *disk = owner;
	json_auto_t *changes = requested_changes(params);
	struct pending *pending;

	if (!need_pipeline(disk, call))
		return;
	if (!changes) {
		control_fail(call, -EINVAL,
			     "'filter' must be the name of a filter and "
			     "'properties' an object, or 'changes' an object "
			     "of such objects");
		return;
	}
	pending = calloc(1, sizeof(*pending));
	if (!pending) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	pending->disk = disk;
	pending->call = call;
	pending->changes = json_incref(changes);
	disk_action_begins(disk);
	pipeline_set_properties(disk->pipeline, changes, on_properties_set,
				pending);
}

static void on_closed(void *context, int status)
{
	struct pending *pending = context;

	if (status == 0)
		control_reply(pending->call, NULL);
	else if (status == -EBUSY)
		control_fail(pending->call, status,
			     "disk %s can't be closed: requests are stuck in "
			     "its backend",
			     pending->disk->config->name);
	else
		control_fail(pending->call, status, "disk %s: %s failed: %s",
			     pending->disk->config->name,
			     pending->disk->pipeline ? "drain" : "close",
			     strerror(-status));
	free(pending);
}

static void close_run(void *owner, struct control_call *call,
		      const json_t *params)
{
	struct disk *disk = owner;
	const json_t *drain = json_object_get(params, "drain");
	struct pending *pending;
	int status;

	if (drain && !json_is_boolean(drain)) {
		control_fail(call, -EINVAL, "'drain' must be true or false");
		return;
	}
	pending = calloc(1, sizeof(*pending));
	if (!pending) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	pending->disk = disk;
	pending->call = call;
	status = disk_close(disk, json_is_true(drain), on_closed, pending);
	if (status < 0) {
		control_fail(call, status, "disk %s is %s%s%s",
			     disk->config->name, disk_state_name(disk->state),
			     disk->reason[0] ? ": " : "", disk->reason);
		free(pending);
	}
}

static void on_resized(void *context, const struct error *error)
{
	struct control_call *call = context;

	if (error)
		control_fail(call, error->code, "%s", error->message);
	else
		control_reply(call, NULL);
}

static void resize_run(void *owner, struct control_call *call,
		       const json_t *params)
{
	const json_t *size = json_object_get(params, "size_bytes");
	struct error error = {0};

	if (!json_is_integer(size) || json_integer_value(size) <= 0)
		control_fail(call, -EINVAL,
			     "'size_bytes' must be a positive number");
	else if (disk_resize(owner, (uint64_t)json_integer_value(size),
			     on_resized, call, &error) < 0)
		control_fail(call, error.code, "%s", error.message);
}

static void reopen_run(void *owner, struct control_call *call,
		       const json_t *params)
{
	struct error error = {0};

	(void)params;
	if (disk_reopen(owner, on_resized, call, &error) < 0)
		control_fail(call, error.code, "%s", error.message);
}

static void on_notified(void *context)
{
	control_reply(context, NULL);
}

/* What whoever runs the VM knows of it. */
static void notify_run(void *owner, struct control_call *call,
		       const json_t *params)
{
	const char *vm = json_string_value(json_object_get(params, "vm"));
	struct disk_event_spec spec = {.kind = FOREBAY_EVENT_VM};
	struct disk *disk = owner;

	if (!vm || event_vm_find(vm, &spec.vm) < 0)
		control_fail(call, -EINVAL,
			     "'vm' must be starting, running, migrating or "
			     "stopped");
	else if (!disk->vhost_user && !need_pipeline(disk, call))
		return;
	else
		disk_event_tell(disk, &spec, true, on_notified, call);
}

const struct control_method disk_methods[] = {
	{.name = "status", .run = status_run},
	{.name = "stats", .run = stats_run},
	{.name = "action", .run = action_run},
	{.name = "call", .run = call_run},
	{.name = "set-properties", .run = set_properties_run},
	{.name = "close", .run = close_run},
	{.name = "resize", .run = resize_run},
	{.name = "reopen", .run = reopen_run},
	{.name = "notify", .run = notify_run},
	{0},
};
