/* SPDX-License-Identifier: Apache-2.0 */
/* disk_view.c - tables and lines about disks; statistics: disk_stats.c. */
#include "disk_view.h"

#include <stdio.h>
#include <string.h>

#include "quantity.h"
#include "table.h"

#define SIZE_BYTES 32u

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static const char *size_of(const json_t *object, const char *key,
			   char buffer[SIZE_BYTES])
{
	json_int_t bytes = json_integer_value(json_object_get(object, key));

	return quantity_format_size(bytes > 0 ? (uint64_t)bytes : 0, buffer,
				    SIZE_BYTES);
}

int disk_view_created(const json_t *disk)
{
	char size[SIZE_BYTES];
	const json_t *policy = json_object_get(disk, "policy");

	(void)printf("disk %s: created, %s on %s, ", text_of(disk, "name"),
		     size_of(disk, "size_bytes", size),
		     text_of(disk, "backend"));
	if (json_is_object(policy))
		(void)printf("policy %s\n", text_of(policy, "name"));
	else
		(void)printf("without filters\n");
	return 0;
}

/* What somebody has given up by opening it. */
static void print_discarded(const json_t *discarded)
{
	const json_t *host = json_object_get(discarded, "marker_of_host");
	const char *key = "dirty_bytes_at_most";
	char size[SIZE_BYTES];

	if (json_integer_value(json_object_get(discarded, key)) > 0)
		(void)printf("  at most %s in the cache here had not been "
			     "written back and are gone\n",
			     size_of(discarded, key, size));
	if (json_is_string(host))
		(void)printf("  what the cache of host %s held is given up\n",
			     json_string_value(host));
}

int disk_view_opened(const json_t *disk)
{
	const json_t *exports = json_object_get(disk, "exports");
	const char *kind;
	json_t *export;

	(void)printf("disk %s: %s\n", text_of(disk, "name"),
		     text_of(disk, "state"));
	json_object_foreach((json_t *)exports, kind, export)
	{
		(void)printf("  %-14s  %s\n", kind, text_of(export, "socket"));
	}
	print_discarded(json_object_get(disk, "discarded"));
	return 0;
}

int disk_view_restarted(const json_t *disk)
{
	const json_t *stall_ns = json_object_get(disk, "stall_ns");

	(void)printf("disk %s: %s", text_of(disk, "name"),
		     text_of(disk, "state"));
	if (stall_ns)
		(void)printf("; nothing was served for %lld ms",
			     (long long)json_integer_value(stall_ns) / 1000000);
	(void)printf("\n");
	return 0;
}

int disk_view_resized(const json_t *disk)
{
	char size[SIZE_BYTES];

	(void)printf("disk %s: %s\n", text_of(disk, "name"),
		     size_of(disk, "size_bytes", size));
	return 0;
}

int disk_view_closed(const json_t *disk)
{
	const json_t *dirty = json_object_get(disk, "dirty_bytes");
	const char *words = "what is dirty is brought to";

	if (strcmp(text_of(disk, "state"), "closed") == 0)
		words = json_is_integer(dirty)
				? "everything is on"
				: "what is dirty stays in its cache; another "
				  "close brings it to";
	(void)printf("disk %s: closed; %s %s\n", text_of(disk, "name"), words,
		     text_of(disk, "backend"));
	return 0;
}

int disk_view_flushed(const json_t *disk)
{
	(void)printf("disk %s: flushed to %s\n", text_of(disk, "name"),
		     text_of(disk, "backend"));
	return 0;
}

int disk_view_held(const json_t *disk)
{
	const json_t *hold = json_object_get(disk, "hold");

	(void)printf("disk %s: held; %s stays as it is for %lld s at most\n"
		     "  copy it, or have its array make a snapshot; then: "
		     "forebay disk release %s\n",
		     text_of(disk, "name"), text_of(disk, "backend"),
		     (long long)json_integer_value(
			     json_object_get(hold, "ends_in_s")),
		     text_of(disk, "name"));
	return 0;
}

int disk_view_released(const json_t *disk)
{
	(void)printf("disk %s: released; %s had stayed as it was until now\n",
		     text_of(disk, "name"), text_of(disk, "backend"));
	return 0;
}

int disk_view_deleted(const json_t *deleted)
{
	char size[SIZE_BYTES];
	const char *key = "discarded_dirty_bytes";

	(void)printf("disk %s: deleted; %s %s\n", text_of(deleted, "name"),
		     text_of(deleted, "backend"),
		     json_is_true(json_object_get(deleted, "backend_deleted"))
			     ? "is deleted too"
			     : "is untouched");
	if (json_integer_value(json_object_get(deleted, key)) > 0)
		(void)printf("  at most %s had not been written back and are "
			     "gone\n",
			     size_of(deleted, key, size));
	return 0;
}

/* What is true now; else what is wanted, marked as such. A new value. */
static json_t *describe_mode(const json_t *disk)
{
	const json_t *mode = json_object_get(disk, "mode");
	json_t *actual = json_object_get(mode, "actual");
	json_t *requested = json_object_get(mode, "requested");

	if (json_is_string(actual) && !json_equal(actual, requested))
		return json_sprintf("%s (not %s)", json_string_value(actual),
				    text_of(mode, "requested"));
	return json_is_string(actual) ? json_incref(actual)
				      : json_incref(requested);
}

static json_t *policy_name(const json_t *disk)
{
	return json_object_get(json_object_get(disk, "policy"), "name");
}

int disk_view_list(const json_t *list)
{
	static const struct column columns[] = {
		{"disk", UNIT_TEXT},   {"state", UNIT_STATE},
		{"size", UNIT_SIZE},   {"dirty", UNIT_SIZE},
		{"mode", UNIT_TEXT},   {"policy", UNIT_TEXT},
		{"backend", UNIT_TEXT}};
	const json_t *disks = json_object_get(list, "items");
	struct table *table = table_create(columns, 7);

	for (size_t i = 0; i < json_array_size(disks); i++) {
		const json_t *disk = json_array_get(disks, i);

		table_row(table,
			  json_pack("[O?O?O?O?o?O?O?]",
				    json_object_get(disk, "name"),
				    json_object_get(disk, "state"),
				    json_object_get(disk, "size_bytes"),
				    json_object_get(disk, "dirty_bytes"),
				    describe_mode(disk), policy_name(disk),
				    json_object_get(disk, "backend")));
	}
	return table_finish_list(
		table, "no disks; make one with 'forebay disk create'");
}

/* The code first: that is what one looks up. */
static void add_mode_reason(struct table *table, const json_t *mode)
{
	json_t *detail = json_object_get(mode, "detail");
	json_t *words =
		json_is_string(detail)
			? json_sprintf("%s: %s", text_of(mode, "reason"),
				       json_string_value(detail))
			: json_incref(json_object_get(mode, "reason"));

	table_pair(table, "  because", UNIT_TEXT, words);
	json_decref(words);
}

static void add_mode(struct table *table, const json_t *mode)
{
	table_pair(table, "Mode requested", UNIT_TEXT,
		   json_object_get(mode, "requested"));
	table_pair(table, "Mode actual", UNIT_TEXT,
		   json_object_get(mode, "actual"));
	if (json_is_string(json_object_get(mode, "reason")))
		add_mode_reason(table, mode);
	if (json_is_true(json_object_get(mode, "writes_wait"))) {
		json_t *words =
			json_string("wait until the backend takes something");

		table_pair(table, "  writes", UNIT_TEXT, words);
		json_decref(words);
	}
	if (json_integer_value(json_object_get(mode, "left_bytes")) > 0)
		table_pair(table, "  left to write back", UNIT_SIZE,
			   json_object_get(mode, "left_bytes"));
}

static void add_exports(struct table *table, const json_t *exports)
{
	const json_t *vhost = json_object_get(exports, "vhost-user-blk");
	const json_t *nbd = json_object_get(exports, "nbd");

	if (vhost)
		table_pair(table, "vhost-user-blk", UNIT_TEXT,
			   json_object_get(vhost, "socket"));
	if (nbd)
		table_pair(table, "nbd", UNIT_TEXT,
			   json_object_get(nbd, "uri"));
}

/* What a guest finds: fixed since the disk was created. */
static void add_device(struct table *table, const json_t *disk)
{
	json_t *words = json_sprintf(
		"revision %d, %d queues%s",
		(int)json_integer_value(
			json_object_get(disk, "device_revision")),
		(int)json_integer_value(json_object_get(disk, "queues")),
		json_is_true(json_object_get(disk, "read_only")) ? ", read-only"
								 : "");

	table_pair(table, "Device", UNIT_TEXT, words);
	json_decref(words);
}

/* Of a backend that can go away and come back. */
static void add_backend_status(struct table *table, const json_t *status)
{
	const char *reason = text_of(status, "reason");
	json_t *waiting = json_object_get(status, "waiting");
	json_auto_t *since_ns = NULL;

	if (!json_is_object(status))
		return;
	since_ns = json_integer(
		json_integer_value(json_object_get(status, "state_ms")) *
		1000000);
	table_pair(table, "  state", UNIT_TEXT,
		   json_object_get(status, "state"));
	table_pair(table, "  for", UNIT_DURATION, since_ns);
	if (reason && reason[0])
		table_pair(table, "  last loss", UNIT_TEXT,
			   json_object_get(status, "reason"));
	if (json_integer_value(waiting) > 0)
		table_pair(table, "  requests waiting", UNIT_COUNT, waiting);
}

/* What the process has given up, in the order of the API. */
static void add_sandbox(struct table *table, const json_t *layers)
{
	json_t *words = NULL;

	for (size_t i = 0; i < json_array_size(layers); i++) {
		const char *layer =
			json_string_value(json_array_get(layers, i));
		json_t *longer = json_sprintf(
			"%s%s%s", words ? json_string_value(words) : "",
			words ? ", " : "", layer ? layer : "?");

		json_decref(words);
		words = longer;
	}
	if (words)
		table_pair(table, "Sandbox", UNIT_TEXT, words);
	json_decref(words);
}

/* A copy of the backend is being made, or should not be believed. */
static void add_hold(struct table *table, const json_t *hold)
{
	static const char *const rows[][3] = {
		{"  still to write", "left_bytes", "making"},
		{"  ends within", "ends_in_s", "held"},
		{"  ended ago", "ended_ago_s", "ended"},
	};
	const char *state = text_of(hold, "state");

	if (!json_is_object(hold))
		return;
	table_pair(table, "Hold", UNIT_TEXT, json_object_get(hold, "state"));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_auto_t *ns = json_integer(
			json_integer_value(json_object_get(hold, rows[i][1])) *
			1000000000);

		if (strcmp(state, rows[i][2]) != 0)
			continue;
		if (i == 0)
			table_pair(table, rows[i][0], UNIT_SIZE,
				   json_object_get(hold, rows[i][1]));
		else
			table_pair(table, rows[i][0], UNIT_DURATION, ns);
	}
	if (json_is_string(json_object_get(hold, "reason")))
		table_pair(table, "  because", UNIT_TEXT,
			   json_object_get(hold, "reason"));
}

#define LOST_ROWS_MAX 8u

/* Whoever looks at a disk that has lost something must see it. */
static void add_lost(struct table *table, const json_t *lost)
{
	const json_t *ranges = json_object_get(lost, "ranges");
	size_t count = json_array_size(ranges);

	if (count == 0)
		return;
	table_pair(table, "Lost on the SSD", UNIT_SIZE,
		   json_object_get(lost, "bytes"));
	for (size_t i = 0; i < count && i < LOST_ROWS_MAX; i++) {
		const json_t *range = json_array_get(ranges, i);
		json_auto_t *words = json_sprintf(
			"%" JSON_INTEGER_FORMAT
			" bytes at %" JSON_INTEGER_FORMAT,
			json_integer_value(json_object_get(range, "length")),
			json_integer_value(json_object_get(range, "offset")));

		table_pair(table, i == 0 ? "  ranges" : "", UNIT_TEXT, words);
	}
	if (count > LOST_ROWS_MAX ||
	    json_is_true(json_object_get(lost, "more"))) {
		json_auto_t *more = json_string("more of them: see -o json");

		table_pair(table, "", UNIT_TEXT, more);
	}
}

/* What filters keep beside the backend. */
static void add_sidecars(struct table *table, const json_t *sidecars)
{
	const json_t *sidecar;
	size_t index;

	json_array_foreach(sidecars, index, sidecar)
	{
		const json_t *state = json_object_get(sidecar, "state");
		json_auto_t *words = json_sprintf(
			"%s of %s%s%s",
			json_string_value(json_object_get(sidecar, "name")),
			json_string_value(json_object_get(sidecar, "filter")),
			json_is_string(state) ? ", " : "",
			json_is_string(state) ? json_string_value(state) : "");

		table_pair(table, index == 0 ? "  with" : "", UNIT_TEXT, words);
	}
}

int disk_view_show(const json_t *disk)
{
	struct table *table = table_create_pairs();
	const json_t *reason = json_object_get(disk, "reason");

	table_pair(table, "Name", UNIT_TEXT, json_object_get(disk, "name"));
	table_pair(table, "Id", UNIT_TEXT, json_object_get(disk, "id"));
	table_pair(table, "State", UNIT_STATE, json_object_get(disk, "state"));
	if (json_is_string(reason))
		table_pair(table, "  because", UNIT_TEXT, reason);
	table_pair(table, "Size", UNIT_SIZE,
		   json_object_get(disk, "size_bytes"));
	table_pair(table, "Backend", UNIT_TEXT,
		   json_object_get(disk, "backend"));
	add_backend_status(table, json_object_get(disk, "backend_status"));
	table_pair(table, "Sidecar", UNIT_TEXT,
		   json_object_get(disk, "sidecar"));
	add_sidecars(table, json_object_get(disk, "sidecars"));
	table_pair(table, "Policy", UNIT_TEXT, policy_name(disk));
	add_mode(table, json_object_get(disk, "mode"));
	table_pair(table, "Dirty", UNIT_SIZE,
		   json_object_get(disk, "dirty_bytes"));
	if (json_integer_value(json_object_get(disk, "dirty_age_ns")) > 0)
		table_pair(table, "  oldest", UNIT_DURATION,
			   json_object_get(disk, "dirty_age_ns"));
	if (json_is_string(json_object_get(disk, "advice")))
		table_pair(table, "Cache size", UNIT_TEXT,
			   json_object_get(disk, "advice"));
	add_lost(table, json_object_get(disk, "lost"));
	add_hold(table, json_object_get(disk, "hold"));
	add_device(table, disk);
	add_exports(table, json_object_get(disk, "exports"));
	table_pair(table, "Process", UNIT_TEXT, json_object_get(disk, "pid"));
	add_sandbox(table, json_object_get(disk, "sandbox"));
	table_pair(table, "Restarts", UNIT_COUNT,
		   json_object_get(disk, "restarts"));
	return table_finish(table);
}
