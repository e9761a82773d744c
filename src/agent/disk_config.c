/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_config.c - from a disk and its policy to forebay-disk's configuration.
 */
#include "disk_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "disk_user.h"
#include "documents.h"
#include "file.h"
#include "uuid_text.h"

static const char *text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

/* The cache's daemon is the only one there is; others have none. */
static bool is_cache(const json_t *filter)
{
	const char *class = text(filter, "class");

	return class && strcmp(class, "cache") == 0;
}

static bool may_bypass(const json_t *entry)
{
	const char *word = text(entry, "on_failure");

	return word && strcmp(word, "bypass") == 0;
}

static int make_filter(struct agent *agent, const json_t *entry,
		       json_t **ret_config, bool *ret_caches,
		       struct problem *problem)
{
	struct host_path socket = host_run(&agent->host, "cached.sock");
	json_auto_t *filter = NULL;
	int result = filters_find(agent->filters, text(entry, "filter"),
				  &filter, problem);

	if (result < 0)
		return result;
	*ret_caches |= is_cache(filter);
	*ret_config =
		json_pack("{s:O, s:O, s:O, s:s?}", "name",
			  json_object_get(filter, "name"), "library",
			  json_object_get(filter, "library"), "properties",
			  json_object_get(entry, "properties"), "daemon_socket",
			  is_cache(filter) ? socket.text : NULL);
	if (may_bypass(entry))
		json_object_set_new(*ret_config, "may_bypass", json_true());
	return *ret_config ? 0 : problem_internal(problem, "disk", -ENOMEM);
}

static int make_filters(struct agent *agent, const struct disk *disk,
			json_t *ret_filters, bool *ret_caches,
			struct problem *problem)
{
	const char *name =
		text(json_object_get(disk->document, "policy"), "name");
	json_auto_t *policy = NULL;
	const json_t *entry;
	size_t index;
	int result;

	if (!name)
		return 0;
	result =
		documents_get(agent->store, &policy, NULL, "policies/%s", name);
	if (result < 0)
		return problem_internal(problem, "store", result);
	json_array_foreach(json_object_get(policy, "filters"), index, entry)
	{
		json_t *config = NULL;

		result =
			make_filter(agent, entry, &config, ret_caches, problem);
		if (result < 0)
			return problem_about(problem, "disk", disk->name);
		json_array_append_new(ret_filters, config);
	}
	return 0;
}

static json_t *make_exports(struct agent *agent, const struct disk *disk)
{
	json_t *exports = json_object();
	const json_t *kind;
	size_t index;

	json_array_foreach(json_object_get(disk->document, "exports"), index,
			   kind)
	{
		const char *word = json_string_value(kind);
		struct host_path socket = host_run(
			&agent->host, "disks/%s/%s.sock", disk->id, word);

		if (strcmp(word, "nbd") == 0)
			json_object_set_new(exports, "nbd",
					    json_pack("{s:s, s:s}", "socket",
						      socket.text, "name",
						      disk->name));
		else
			json_object_set_new(
				exports, "vhost_user_blk",
				json_pack("{s:s, s:i, s:i}", "socket",
					  socket.text, "queues",
					  (int)disk->queues, "device_revision",
					  (int)disk->device_revision));
	}
	return exports;
}

/*
 * Its process may make and remove its own sockets in the disk's folder, and not
 * touch what is ours there. A folder that is gone belongs to a disk that is
 * being deleted. Returns: 0 or -errno.
 */
static int open_folder(struct agent *agent, const struct disk *disk,
		       uint32_t gid)
{
	struct host_path path = host_run(&agent->host, "disks/%s", disk->id);

	if (chown(path.text, (uid_t)-1, gid) < 0 ||
	    chmod(path.text, S_ISVTX | 0771) < 0)
		return errno == ENOENT ? 0 : -errno;
	return 0;
}

/* Whose the process and its sockets are to be. Returns: 0 or -errno. */
static int add_users(struct agent *agent, const struct disk *disk,
		     json_t *config)
{
	const struct host *host = &agent->host;
	uint8_t uuid[16];
	uint32_t id;

	if (host->socket_gid)
		json_object_set_new(config, "socket_gid",
				    json_integer(host->socket_gid));
	if (!host->disk_users)
		return 0;
	if (uuid_parse(disk->id, uuid) < 0)
		return -EINVAL;
	id = disk_user_of(uuid);
	json_object_set_new(config, "user",
			    json_pack("{s:I, s:I}", "uid", (json_int_t)id,
				      "gid", (json_int_t)id));
	return open_folder(agent, disk, id);
}

/* Beside the image its process finds the place, and whose it is to be. */
static void add_claim(struct agent *agent, const struct disk *disk,
		      json_t *config)
{
	struct host_path folder = disk_sidecar(agent, disk), beside;

	json_object_set_new(config, "host",
			    json_pack("{s:s, s:s}", "id", agent->host.id,
				      "name", agent->host.name));
	if (!backend_beside(disk->backend, beside.text, sizeof(beside.text)) ||
	    strcmp(beside.text, folder.text) != 0)
		json_object_set_new(config, "sidecar",
				    json_string(folder.text));
}

int disk_config_write(struct agent *agent, const struct disk *disk,
		      bool *ret_caches, struct problem *problem)
{
	struct host_path path =
		host_lib(&agent->host, "disks/%s.json", disk->id);
	struct host_path control =
		host_run(&agent->host, "disks/%s/control.sock", disk->id);
	struct host_path events =
		host_run(&agent->host, "disks/%s/events", disk->id);
	json_auto_t *filters = json_array(), *config = NULL;
	bool caches = false;
	char *written;
	int result = make_filters(agent, disk, filters, &caches, problem);

	if (result < 0)
		return result;
	config = json_pack(
		"{s:s, s:s, s:I, s:s, s:b, s:O, s:o, s:s}", "uuid", disk->id,
		"name", disk->name, "size_bytes", (json_int_t)disk->size_bytes,
		"backend", disk->backend, "read_only", disk->read_only,
		"filters", filters, "exports", make_exports(agent, disk),
		"control_socket", control.text);
	result = config ? add_users(agent, disk, config) : -ENOMEM;
	if (result < 0)
		return problem_internal(problem, "disk", result);
	add_claim(agent, disk, config);
	json_object_set_new(config, "events", json_string(events.text));
	if (disk->grows)
		json_object_set_new(config, "grow", json_true());
	written = json_dumps(config, JSON_INDENT(2));
	if (!written)
		return problem_internal(problem, "disk", -ENOMEM);
	result = file_write_atomically(path.text, written, strlen(written),
				       0640);
	free(written);
	if (result < 0)
		return problem_internal(problem, path.text, result);
	*ret_caches = caches;
	return 0;
}

/* Returns: the policy, to be given back, or NULL. */
static json_t *policy_of(struct agent *agent, const struct disk *disk)
{
	const char *name =
		text(json_object_get(disk->document, "policy"), "name");
	json_t *policy = NULL;

	if (!name ||
	    documents_get(agent->store, &policy, NULL, "policies/%s", name) < 0)
		return NULL;
	return policy;
}

bool disk_config_may_bypass(struct agent *agent, const struct disk *disk)
{
	json_auto_t *policy = policy_of(agent, disk);
	const json_t *entry;
	size_t index;

	json_array_foreach(json_object_get(policy, "filters"), index,
			   entry) if (may_bypass(entry)) return true;
	return false;
}

bool disk_holds_on_close(struct agent *agent, const struct disk *disk)
{
	json_auto_t *policy = policy_of(agent, disk);
	const json_t *entry;
	size_t index;

	json_array_foreach(json_object_get(policy, "filters"), index, entry)
	{
		const char *word =
			text(json_object_get(entry, "properties"), "on_close");

		if (word && strcmp(word, "hold") == 0)
			return true;
	}
	return false;
}

void disk_config_delete(struct agent *agent, const char *id)
{
	struct host_path path = host_lib(&agent->host, "disks/%s.json", id);

	unlink(path.text);
}
