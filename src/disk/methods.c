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
#include "doors.h"
#include "uuid_text.h"

/* An answer that comes later, and the names that it needs. */
struct pending {
	struct disk *disk;
	struct control_call *call;
	char action[64];
	char filter[64]; /* empty: every filter */
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

static void on_action(void *context, int status)
{
	struct pending *pending = context;

	disk_action_ends(pending->disk);
	if (status == 0)
		control_reply(pending->call, NULL);
	else
		fail_action(pending, status);
	free(pending);
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
	pipeline_action(disk->pipeline, filter, action, on_action, pending);
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

	if (error)
		control_fail(pending->call, error->code, "%s", error->message);
	else
		control_reply(pending->call, NULL);
	disk_action_ends(pending->disk);
	free(pending);
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

const struct control_method disk_methods[] = {
	{.name = "status", .run = status_run},
	{.name = "stats", .run = stats_run},
	{.name = "action", .run = action_run},
	{.name = "set-properties", .run = set_properties_run},
	{.name = "close", .run = close_run},
	{.name = "resize", .run = resize_run},
	{0},
};
