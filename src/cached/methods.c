// SPDX-License-Identifier: Apache-2.0
/*
 * methods.c - the control methods, one function each.
 *
 * All of them answer at once: they ask file systems, never another process.
 */
#include "methods.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cache_file.h"
#include "log.h"
#include "roster.h"

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static void fail(struct control_call *call, const struct error *error)
{
	control_fail(call, error->code, "%s", error->message);
}

static void status_run(void *owner, struct control_call *call,
		       const json_t *params)
{
	const struct cached *cached = owner;

	(void)params;
	control_reply(call,
		      json_pack("{s:s, s:i, s:s, s:i, s:o}", "state", "ready",
				"pid", (int)getpid(), "version",
				FOREBAY_VERSION, "clients",
				(int)cached->client_count, "kept_bytes",
				number(kept_memory_bytes(&cached->kept))));
}

static void pools_run(void *owner, struct control_call *call,
		      const json_t *params)
{
	struct error error;

	if (cached_set_pools(owner, json_object_get(params, "pools"), &error) <
	    0)
		fail(call, &error);
	else
		control_reply(call, NULL);
}

static json_t *directory_stats(const struct pool_directory *directory)
{
	struct pool_space space;
	struct error error;

	if (pool_directory_space(directory, &space, &error) < 0)
		return json_pack("{s:s, s:n, s:n, s:n, s:n, s:s}", "path",
				 directory->path, "size_bytes", "free_bytes",
				 "file_count", "file_bytes", "reason",
				 error.message);
	return json_pack(
		"{s:s, s:o, s:o, s:i, s:o, s:n}", "path", directory->path,
		"size_bytes", number(space.size_bytes), "free_bytes",
		number(space.free_bytes), "file_count", (int)space.file_count,
		"file_bytes", number(space.file_bytes), "reason");
}

/* The pool's object in @pools, made if it isn't there. */
static json_t *pool_object(json_t *pools, const char *name)
{
	json_t *pool;
	size_t i;

	json_array_foreach(pools, i, pool)
	{
		const json_t *found = json_object_get(pool, "name");

		if (strcmp(json_string_value(found), name) == 0)
			return pool;
	}
	pool = json_pack("{s:s, s:[]}", "name", name, "paths");
	json_array_append_new(pools, pool);
	return pool;
}

static void pool_stats_run(void *owner, struct control_call *call,
			   const json_t *params)
{
	struct cached *cached = owner;
	json_t *pools = json_array();

	(void)params;
	for (unsigned int i = 0; i < cached->pools.count; i++) {
		const struct pool_directory *directory =
			&cached->pools.directories[i];
		json_t *pool = pool_object(pools, directory->pool);

		json_t *stats = directory_stats(directory);

		json_object_set_new(
			stats, "disks",
			roster_disks(cached->config_path, directory->path));
		json_object_set_new(stats, "shares",
				    ledger_json(cached, directory));
		json_array_append_new(json_object_get(pool, "paths"), stats);
	}
	control_reply(call, json_pack("{s:o}", "pools", pools));
}

static int uuid_param(const json_t *params, uint8_t ret_uuid[UUID_BYTES],
		      struct error *error)
{
	const char *text = json_string_value(json_object_get(params, "uuid"));

	if (!text || uuid_parse(text, ret_uuid) < 0)
		return error_set(error, -EINVAL, "'uuid' is not a UUID: '%s'",
				 text ? text : "");
	return 0;
}

static int disk_info(const struct cached *cached, const json_t *params,
		     json_t **ret_result, struct error *error)
{
	const struct pool_directory *directory;
	uint8_t uuid[UUID_BYTES];
	struct cache_file_info info;
	int status = uuid_param(params, uuid, error);

	if (status < 0)
		return status;
	status = cached_find(cached, uuid, &directory, error);
	if (status == -ENOENT) {
		*ret_result = json_pack("{s:b, s:n, s:n, s:i, s:i, s:b}",
					"exists", 0, "pool", "path", "bytes", 0,
					"allocated_bytes", 0, "open", 0);
		return 0;
	}
	if (status == 0)
		status = cache_file_inspect(directory, uuid, &info, error);
	if (status < 0)
		return status;
	*ret_result = json_pack("{s:b, s:s, s:s, s:o, s:o, s:b}", "exists", 1,
				"pool", directory->pool, "path", info.path,
				"bytes", number(info.bytes), "allocated_bytes",
				number(info.allocated_bytes), "open",
				(int)info.in_use);
	return 0;
}

static void disk_info_run(void *owner, struct control_call *call,
			  const json_t *params)
{
	struct error error;
	json_t *result;

	if (disk_info(owner, params, &result, &error) < 0)
		fail(call, &error);
	else
		control_reply(call, result);
}

static int disk_delete(struct cached *cached, const json_t *params,
		       struct error *error)
{
	const struct pool_directory *directory;
	char text[UUID_TEXT_BYTES];
	uint8_t uuid[UUID_BYTES];
	int status = uuid_param(params, uuid, error);

	if (status < 0)
		return status;
	status = cached_find(cached, uuid, &directory, error);
	if (status == 0)
		status = cache_file_delete(directory, uuid, error);
	/* Deleted before, or never made: what was asked for is true. */
	if (status < 0 && status != -ENOENT)
		return status;
	roster_forget(cached->config_path, uuid);
	kept_memory_forget(&cached->kept, uuid);
	uuid_format(uuid, text);
	if (status == 0)
		log_info("disk %s: cache file deleted from %s", text,
			 directory->path);
	return 0;
}

static void disk_delete_run(void *owner, struct control_call *call,
			    const json_t *params)
{
	struct error error;

	if (disk_delete(owner, params, &error) < 0)
		fail(call, &error);
	else
		control_reply(call, NULL);
}

const struct control_method methods[] = {
	{"status", status_run},		  {"pools", pools_run},
	{"pool-stats", pool_stats_run},	  {"disk-info", disk_info_run},
	{"disk-delete", disk_delete_run}, {NULL, NULL},
};
