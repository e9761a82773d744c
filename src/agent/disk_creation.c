/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_creation.c - the verb `disk create`.
 *
 * Request threads. Order: check all words, then the image, then one
 * transaction that takes id, name and backend together. An image that was made
 * for a disk that isn't stored in the end is deleted again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device_revision.h"
#include "disk.h"
#include "disk_view.h"
#include "documents.h"
#include "gate.h"
#include "image.h"
#include "remote_image.h"
#include "uuid_draw.h"
#include "uuid_text.h"

/* The request, behind the gate. */
struct wish {
	const char *name;
	const char *backend;
	const char *path; /* of a file: backend; else NULL */
	const char *policy; /* or NULL */
	const char *id; /* or NULL: a new one */
	const char *sidecar; /* a directory, or NULL */
	uint64_t size_bytes; /* 0 = not given */
	bool read_only;
	unsigned int device_revision;
	unsigned int queues;
	json_t *exports;
};

/* The disk's own on another host, or a new one. */
static int choose_id(const char *given, char ret_id[UUID_TEXT_BYTES])
{
	uint8_t uuid[UUID_BYTES];

	if (given) {
		if (uuid_parse(given, uuid) < 0)
			return -EINVAL;
		uuid_format(uuid, ret_id);
		return 0;
	}

	if (uuid_draw(uuid) < 0)
		return -EIO;
	uuid_format(uuid, ret_id);
	return 0;
}

static int check_exports(const json_t *list, json_t **ret_exports,
			 struct problem *problem)
{
	static const char *const kinds[] = {"vhost-user-blk", "nbd"};
	bool asked[2] = {!list, !list};
	const json_t *item;
	size_t index;

	json_array_foreach(list, index, item)
	{
		const char *kind = json_string_value(item);

		if (kind && strcmp(kind, kinds[0]) == 0)
			asked[0] = true;
		else if (kind && strcmp(kind, kinds[1]) == 0)
			asked[1] = true;
		else
			return problem_set(problem, PROBLEM_BAD_REQUEST,
					   "an export must be %s or %s",
					   kinds[0], kinds[1]);
	}
	*ret_exports = json_array();
	for (int i = 0; i < 2; i++) {
		if (asked[i])
			json_array_append_new(*ret_exports,
					      json_string(kinds[i]));
	}
	return 0;
}

/*
 * What the guest will find, frozen from now on. A disk that is to move here
 * brings the numbers that it has elsewhere.
 */
static int read_device(const json_t *body, struct wish *wish,
		       struct problem *problem)
{
	int result;

	wish->device_revision = DEVICE_REVISION_NEWEST;
	wish->queues = DEVICE_QUEUES_DEFAULT;
	result = gate_boolean(body, "read_only", &wish->read_only, problem);
	if (result == 0)
		result = gate_number(body, "device_revision",
				     DEVICE_REVISION_NEWEST,
				     &wish->device_revision, problem);
	if (result == 0)
		result = gate_number(body, "queues", DEVICE_QUEUES_MAX,
				     &wish->queues, problem);
	return result;
}

/* It may lie on other storage than the backend, for other hosts to see. */
static int check_sidecar(const char *path, struct problem *problem)
{
	struct stat facts;

	if (path[0] == '/' && strlen(path) <= GATE_PATH_LENGTH_MAX &&
	    stat(path, &facts) == 0 && S_ISDIR(facts.st_mode))
		return 0;
	problem_set(problem, PROBLEM_BAD_PATH,
		    "sidecar %.200s is not an existing directory with an "
		    "absolute path",
		    path);
	return problem_hint(problem, "make it, where each host that may have "
				     "the disk sees the same");
}

static int read_wish(const json_t *body, struct wish *wish,
		     struct problem *problem)
{
	static const char *const members[] = {"name",
					      "backend",
					      "size_bytes",
					      "policy",
					      "exports",
					      "read_only",
					      "device_revision",
					      "queues",
					      "id",
					      "sidecar",
					      NULL};
	const json_t *exports;
	int result;

	result = gate_object(body, members, problem);
	if (result == 0)
		result = gate_name(body, "disk", &wish->name, problem);
	if (result == 0)
		result = gate_string(body, "backend", true, &wish->backend,
				     problem);
	if (result == 0)
		result = gate_backend(wish->backend, &wish->path, problem);
	if (result == 0)
		result = gate_size(body, "size_bytes", &wish->size_bytes,
				   problem);
	if (result == 0)
		result = read_device(body, wish, problem);
	if (result == 0)
		result = gate_string(body, "policy", false, &wish->policy,
				     problem);
	if (result == 0)
		result = gate_string(body, "id", false, &wish->id, problem);
	if (result == 0)
		result = gate_string(body, "sidecar", false, &wish->sidecar,
				     problem);
	if (result == 0 && wish->sidecar)
		result = check_sidecar(wish->sidecar, problem);
	if (result == 0)
		result = gate_list(body, "exports", false, &exports, problem);
	if (result == 0)
		result = check_exports(exports, &wish->exports, problem);
	if (result < 0 && wish->name)
		problem_about(problem, "disk", wish->name);
	return result;
}

static int refuse_name(struct problem *problem, const char *name)
{
	problem_set(problem, PROBLEM_DISK_EXISTS, "there is a disk %s already",
		    name);
	problem_about(problem, "disk", name);
	return problem_hint(problem, "choose another name");
}

/* {name, version}, or null without a policy. */
static int find_policy(struct agent *agent, const struct wish *wish,
		       json_t **ret_policy, struct problem *problem)
{
	json_auto_t *policy = NULL;
	int result;

	if (!wish->policy) {
		*ret_policy = json_null();
		return 0;
	}
	result = documents_get(agent->store, &policy, NULL, "policies/%s",
			       wish->policy);
	if (result == -ENOENT) {
		problem_set(problem, PROBLEM_UNKNOWN_POLICY,
			    "there is no policy %.80s", wish->policy);
		problem_about(problem, "disk", wish->name);
		return problem_hint(problem, "make it first");
	}
	if (result < 0)
		return problem_internal(problem, "store", result);
	*ret_policy = json_pack("{s:s, s:O}", "name", wish->policy, "version",
				json_object_get(policy, "version"));
	return 0;
}

static int explain_conflict(struct agent *agent, const struct wish *wish,
			    const char *backend, struct problem *problem)
{
	_cleanup_disk_ struct disk owner = {0};
	json_auto_t *entry = NULL;
	struct problem ignored;

	if (wish->id && disk_load(agent, wish->id, &owner, &ignored) == 0) {
		problem_set(problem, PROBLEM_DISK_EXISTS,
			    "id %s is disk %s's already", owner.id, owner.name);
		problem_about(problem, "disk", owner.name);
		return problem_hint(problem, "leave the id out for a new disk");
	}
	if (documents_get(agent->store, &entry, NULL, "backends/%s", backend) <
		    0 ||
	    disk_load(agent, json_string_value(json_object_get(entry, "id")),
		      &owner, &ignored) < 0)
		return refuse_name(problem, wish->name);
	problem_set(problem, PROBLEM_BACKEND_IN_USE,
		    "backend %s belongs to disk %s already", backend,
		    owner.name);
	problem_about(problem, "disk", owner.name);
	return problem_hint(problem, "give another backend");
}

/* Takes @policy. Stores the disk, or says why not. */
static int record(struct agent *agent, const struct wish *wish,
		  const struct image *image, json_t *policy,
		  struct problem *problem)
{
	char backend[GATE_PATH_LENGTH_MAX + 8];
	struct documents_txn txn = {0};
	char id[UUID_TEXT_BYTES];
	int result = choose_id(wish->id, id);

	if (result < 0) {
		json_decref(policy);
		if (result == -EINVAL)
			return problem_set(problem, PROBLEM_BAD_REQUEST,
					   "member \"id\" isn't a UUID");
		return problem_internal(problem, "id", result);
	}
	if (wish->path)
		snprintf(backend, sizeof(backend), "file:%s", image->path);
	else
		snprintf(backend, sizeof(backend), "%s", wish->backend);
	documents_expect(&txn, 0, "disks/%s", id);
	documents_expect(&txn, 0, "disk-names/%s", wish->name);
	documents_expect(&txn, 0, "backends/%s", backend);
	documents_put(&txn, json_pack("{s:s}", "id", id), "disk-names/%s",
		      wish->name);
	documents_put(&txn, json_pack("{s:s}", "id", id), "backends/%s",
		      backend);
	documents_put(&txn,
		      json_pack("{s:s, s:s, s:I, s:s, s:o, s:O, s:s, s:b, s:b, "
				"s:i, s:i, s:s*}",
				"id", id, "name", wish->name, "size_bytes",
				(json_int_t)image->size_bytes, "backend",
				backend, "policy", policy, "exports",
				wish->exports, "desired", "closed", "clean", 1,
				"read_only", wish->read_only, "device_revision",
				(int)wish->device_revision, "queues",
				(int)wish->queues, "sidecar", wish->sidecar),
		      "disks/%s", id);
	result = documents_commit(agent->store, &txn);
	if (result == -ESTALE)
		return explain_conflict(agent, wish, backend, problem);
	if (result < 0)
		return problem_internal(problem, "store", result);
	return 0;
}

static int introduce(struct agent *agent, const char *name,
		     struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0};
	struct error error = {0};
	int result = disk_load(agent, name, &disk, problem);

	if (result < 0)
		return result;
	if (disk_register(agent, &disk, &error) < 0)
		return problem_set(problem, PROBLEM_INTERNAL, "%s",
				   error.message);
	return 0;
}

static int create(struct agent *agent, const struct wish *wish,
		  struct problem *problem)
{
	struct image image = {0};
	json_t *policy = NULL;
	int result;

	if (documents_has(agent->store, "disk-names/%s", wish->name))
		return refuse_name(problem, wish->name);
	result = find_policy(agent, wish, &policy, problem);
	if (result < 0)
		return result;
	if (wish->path)
		result = image_provide(wish->path, wish->size_bytes,
				       wish->read_only, &image, problem);
	else
		result = remote_image_adopt(wish->backend, wish->size_bytes,
					    &image.size_bytes, problem);
	if (result < 0) {
		json_decref(policy);
		return result;
	}
	result = record(agent, wish, &image, policy, problem);
	if (result < 0 && image.made)
		unlink(image.path);
	image_free(&image);
	return result < 0 ? result : introduce(agent, wish->name, problem);
}

int disk_create(struct agent *agent, const json_t *body, json_t **ret_disk,
		struct problem *problem)
{
	struct wish wish = {0};
	int result = read_wish(body, &wish, problem);

	if (result == 0)
		result = create(agent, &wish, problem);
	if (result == 0)
		result = disk_view_one(agent, wish.name, ret_disk, problem);
	json_decref(wish.exports);
	return result;
}
