/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.c - loads and stores disks, and makes them known to the supervisor.
 */
#include "disk.h"
#include "disk_config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "device_revision.h"
#include "documents.h"
#include "log.h"
#include "uuid_text.h"

#define STORE_ATTEMPTS 8

static const char *const desired_names[] = {
	[DISK_DESIRED_CLOSED] = "closed",
	[DISK_DESIRED_OPEN] = "open",
	[DISK_DESIRED_DELETED] = "deleted",
};

const char *disk_desired_name(enum disk_desired desired)
{
	return desired_names[desired];
}

void disk_free(struct disk *disk)
{
	json_decref(disk->document);
	*disk = (struct disk){0};
}

static const char *text(const json_t *document, const char *member)
{
	return json_string_value(json_object_get(document, member));
}

/* What wasn't stored yet when the disk was created has its first value. */
static unsigned int number(const json_t *document, const char *member,
			   unsigned int first)
{
	const json_t *value = json_object_get(document, member);

	return value ? (unsigned int)json_integer_value(value) : first;
}

unsigned int disk_device_revision(const json_t *document)
{
	return number(document, "device_revision", DEVICE_REVISION_FIRST);
}

unsigned int disk_queues(const json_t *document)
{
	return number(document, "queues", DEVICE_QUEUES_DEFAULT);
}

const char *disk_image_path(const struct disk *disk)
{
	static const char scheme[] = "file:";

	if (strncmp(disk->backend, scheme, strlen(scheme)) != 0)
		return NULL;
	return disk->backend + strlen(scheme);
}

/* Takes the reference. Our own documents: only a bug breaks their form. */
static void fill(struct disk *disk, json_t *document, int64_t revision)
{
	const char *desired = text(document, "desired");

	*disk = (struct disk){
		.document = document,
		.revision = revision,
		.id = text(document, "id"),
		.name = text(document, "name"),
		.backend = text(document, "backend"),
		.size_bytes = (uint64_t)json_integer_value(
			json_object_get(document, "size_bytes")),
		.read_only =
			json_is_true(json_object_get(document, "read_only")),
		.device_revision = disk_device_revision(document),
		.queues = disk_queues(document),
		.clean = json_is_true(json_object_get(document, "clean")),
		.grows = json_is_true(json_object_get(document, "grows")),
		.sidecar = text(document, "sidecar"),
	};
	assert(disk->id && disk->name && disk->backend && desired);
	for (int i = 0; i <= DISK_DESIRED_DELETED; i++) {
		if (strcmp(desired, desired_names[i]) == 0)
			disk->desired = (enum disk_desired)i;
	}
}

static int load_id(struct agent *agent, const char *id, struct disk *ret_disk)
{
	json_t *document;
	int64_t revision;
	int result = documents_get(agent->store, &document, &revision,
				   "disks/%s", id);

	if (result == 0)
		fill(ret_disk, document, revision);
	return result;
}

static int load_name(struct agent *agent, const char *name,
		     struct disk *ret_disk)
{
	json_auto_t *entry = NULL;
	int result = documents_get(agent->store, &entry, NULL, "disk-names/%s",
				   name);

	return result < 0 ? result
			  : load_id(agent, text(entry, "id"), ret_disk);
}

int disk_load(struct agent *agent, const char *reference, struct disk *ret_disk,
	      struct problem *problem)
{
	char id[UUID_TEXT_BYTES];
	uint8_t uuid[UUID_BYTES];
	int result;

	if (uuid_parse(reference, uuid) == 0) {
		uuid_format(uuid, id);
		result = load_id(agent, id, ret_disk);
	} else {
		result = load_name(agent, reference, ret_disk);
	}
	if (result == -ENOENT) {
		problem_set(problem, PROBLEM_NO_SUCH_DISK,
			    "there is no disk %.80s", reference);
		return problem_about(problem, "disk", reference);
	}
	if (result < 0)
		return problem_internal(problem, "store", result);
	return 0;
}

/* Takes @next, the disk as it is to be. */
static int replace(struct agent *agent, struct disk *disk, json_t *next)
{
	struct documents_txn txn = {0};
	char id[UUID_TEXT_BYTES];
	int result;

	snprintf(id, sizeof(id), "%s", disk->id);
	documents_expect(&txn, disk->revision, "disks/%s", id);
	documents_put(&txn, next, "disks/%s", id);
	result = documents_commit(agent->store, &txn);
	if (result < 0)
		return result;
	disk_free(disk);
	return load_id(agent, id, disk);
}

int disk_store(struct agent *agent, struct disk *disk,
	       enum disk_desired desired, bool clean)
{
	json_t *next = json_deep_copy(disk->document);

	json_object_set_new(next, "desired",
			    json_string(desired_names[desired]));
	json_object_set_new(next, "clean", json_boolean(clean));
	return replace(agent, disk, next);
}

int disk_store_size(struct agent *agent, struct disk *disk, uint64_t size_bytes,
		    bool grows)
{
	json_t *next = json_deep_copy(disk->document);

	json_object_set_new(next, "size_bytes",
			    json_integer((json_int_t)size_bytes));
	json_object_set_new(next, "grows", json_boolean(grows));
	return replace(agent, disk, next);
}

int disk_store_policy(struct agent *agent, struct disk *disk,
		      const json_t *policy)
{
	json_t *next = json_deep_copy(disk->document);

	json_object_set_new(
		next, "policy",
		json_pack("{s:O, s:O}", "name", json_object_get(policy, "name"),
			  "version", json_object_get(policy, "version")));
	return replace(agent, disk, next);
}

int disk_register(struct agent *agent, const struct disk *disk,
		  struct error *error)
{
	const struct host *host = &agent->host;
	struct host_path folder = host_run(host, "disks/%s", disk->id);
	struct host_path control =
		host_run(host, "disks/%s/control.sock", disk->id);
	struct host_path log = host_log(host, "disk-%s.log", disk->name);
	struct host_path config = host_lib(host, "disks/%s.json", disk->id);
	struct host_path program = host_program(host, "forebay-disk");
	const char *const arguments[] = {program.text, "--config", config.text,
					 NULL};
	char label[80];
	const struct supervisor_spec spec = {
		.name = disk->id,
		.label = label,
		.folder = folder.text,
		.log_path = log.text,
		.control_socket = control.text,
		.arguments = arguments,
		.drains = true,
		.wanted = disk->desired == DISK_DESIRED_OPEN,
		.kept = disk->desired == DISK_DESIRED_CLOSED && !disk->clean &&
			!disk_holds_on_close(agent, disk),
	};

	snprintf(label, sizeof(label), "disk %s", disk->name);
	return supervisor_add(agent->supervisor, &spec, error);
}

/* Only a request can be faster than us, and then just a few times. */
static void settle(struct agent *agent, const char *id,
		   enum disk_desired desired, bool clean)
{
	for (int attempt = 0; attempt < STORE_ATTEMPTS; attempt++) {
		_cleanup_disk_ struct disk disk = {0};
		int result = load_id(agent, id, &disk);

		/* Wanted open again meanwhile: nothing here holds any more. */
		if (result < 0 || disk.desired != DISK_DESIRED_CLOSED)
			return;
		result = disk_store(agent, &disk, desired, clean);
		if (result != -ESTALE)
			return;
	}
}

bool disk_ended(struct agent *agent, const char *id, bool clean)
{
	_cleanup_disk_ struct disk disk = {0};

	if (clean) {
		settle(agent, id, DISK_DESIRED_CLOSED, true);
		return false;
	}
	return load_id(agent, id, &disk) == 0 &&
	       disk.desired == DISK_DESIRED_CLOSED && !disk.clean &&
	       !disk_holds_on_close(agent, &disk);
}

bool disk_may_bypass(struct agent *agent, const char *id)
{
	_cleanup_disk_ struct disk disk = {0};

	return load_id(agent, id, &disk) == 0 &&
	       disk_config_may_bypass(agent, &disk);
}

void disk_close_refused(struct agent *agent, const char *id)
{
	settle(agent, id, DISK_DESIRED_OPEN, false);
}
