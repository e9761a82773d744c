/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_deletion.c - the verb `disk delete`.
 *
 * Request threads. `desired: deleted` is stored first: from then on nobody can
 * open the disk, and a deletion that was interrupted is finished by asking
 * again. Filters that want to be asked are. Then the cache file goes, then the
 * backend if that is asked for, and last the record.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "claim.h"
#include "clock.h"
#include "data_plane.h"
#include "disk.h"
#include "disk_config.h"
#include "disk_hold.h"
#include "documents.h"
#include "history.h"
#include "image.h"
#include "log.h"
#include "pool.h"
#include "quantity.h"
#include "sidecar.h"
#include "sidecar_file.h"
#include "uuid_text.h"

#define CACHED_CALL_TIMEOUT_NS (5 * NS_PER_SECOND)

/* Bytes that are not known, as no file has so many. */
#define UNKNOWN_BYTES UINT64_MAX

/* A question to forebay-cached about one disk. */
static int ask_cached(struct agent *agent, const struct disk *disk,
		      const char *method, json_t **ret_result,
		      struct error *error)
{
	struct host_path socket = host_run(&agent->host, "cached-control.sock");
	json_auto_t *parameters = json_pack("{s:s}", "uuid", disk->id);
	struct data_plane_call call = {
		.socket_path = socket.text,
		.method = method,
		.parameters = parameters,
	};

	data_plane_call_all(&call, 1, CACHED_CALL_TIMEOUT_NS, agent->stop_fd);
	*error = call.error;
	*ret_result = call.result;
	return call.status;
}

uint64_t disk_dirty_bytes_at_most(struct agent *agent, const struct disk *disk)
{
	json_auto_t *info = NULL;
	struct error error = {0};

	if (disk->clean || !pool_is_any(agent))
		return 0;
	if (ask_cached(agent, disk, "disk-info", &info, &error) < 0)
		return UNKNOWN_BYTES;
	if (!json_is_true(json_object_get(info, "exists")))
		return 0;
	return (uint64_t)json_integer_value(json_object_get(info, "bytes"));
}

static int refuse_open(struct problem *problem, const struct disk *disk)
{
	problem_set(problem, PROBLEM_DISK_OPEN, "disk %s is %s", disk->name,
		    disk->desired == DISK_DESIRED_OPEN ? "open"
						       : "still closing");
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, "close it first");
}

static int refuse_dirty(struct problem *problem, const struct disk *disk,
			uint64_t bytes)
{
	char size[32] = "an unknown number of bytes";

	if (bytes != UNKNOWN_BYTES)
		quantity_format_size(bytes, size, sizeof(size));
	problem_set(problem, PROBLEM_DISK_DIRTY,
		    "disk %s was not closed cleanly: up to %s in its cache are "
		    "not on its backend",
		    disk->name, size);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, "open and close it to write them back, or "
				     "discard them for ever with "
				     "discard_dirty");
}

static int refuse_busy(struct problem *problem, const struct disk *disk)
{
	problem_set(problem, PROBLEM_DISK_BUSY,
		    "disk %s was changed by someone else just now", disk->name);
	return problem_about(problem, "disk", disk->name);
}

/* It stays, closed, as before. */
static void reprieve(struct agent *agent, struct disk *disk)
{
	struct error ignored;

	disk_store(agent, disk, DISK_DESIRED_CLOSED, disk->clean);
	/* -EEXIST: it never left. */
	disk_register(agent, disk, &ignored);
	if (!disk->clean)
		supervisor_keep(agent->supervisor, disk->id);
}

/*
 * From here on nobody opens it. The store first: who opens it at the same
 * time is either seen there, or finds it condemned.
 */
static int condemn(struct agent *agent, struct disk *disk,
		   struct problem *problem)
{
	int result = disk_store(agent, disk, DISK_DESIRED_DELETED, disk->clean);

	if (result == -ESTALE || result == -ENOENT)
		return refuse_busy(problem, disk);
	if (result < 0)
		return problem_internal(problem, "store", result);
	if (supervisor_remove(agent->supervisor, disk->id) != -EBUSY)
		return 0;
	reprieve(agent, disk);
	return refuse_open(problem, disk);
}

int disk_delete_cache(struct agent *agent, const struct disk *disk,
		      struct problem *problem)
{
	json_auto_t *answer = NULL;
	struct error error = {0};
	int result;

	if (!pool_is_any(agent))
		return 0;
	result = ask_cached(agent, disk, "disk-delete", &answer, &error);
	if (result == 0 || result == -ENOENT)
		return 0;
	if (result == -EBUSY)
		problem_set(problem, PROBLEM_DISK_BUSY,
			    "the cache of disk %s is in use: %s", disk->name,
			    error.message);
	else
		problem_set(problem,
			    result == -ETIMEDOUT ? PROBLEM_DATA_PLANE_TIMEOUT
						 : PROBLEM_DATA_PLANE_DOWN,
			    "the cache of disk %s can't be deleted: "
			    "forebay-cached: %s",
			    disk->name, error.message);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, "nothing was deleted: ask again later");
}

static void delete_folder(struct agent *agent, const char *id)
{
	struct host_path folder = host_run(&agent->host, "disks/%s", id);
	DIR *directory = opendir(folder.text);
	const struct dirent *entry;

	if (!directory)
		return;
	while ((entry = readdir(directory)) != NULL)
		unlinkat(dirfd(directory), entry->d_name, 0);
	closedir(directory);
	rmdir(folder.text);
}

/*
 * What is given up here no longer stands in anybody's way; another host's
 * marker does. What filters kept goes with the disk, unless another host has
 * opened the disk since. A failure leaves a marker without a cache, which is
 * refused in words when somebody opens the backend.
 */
static void forget_sidecar(struct agent *agent, const struct disk *disk,
			   const struct disk_delete_options *options)
{
	struct host_path folder = disk_sidecar(agent, disk);
	struct host_path own = host_lib(&agent->host, "sidecars/%s", disk->id);
	struct claim_record record;
	uint8_t host[UUID_BYTES];
	struct error error;
	bool known = uuid_parse(agent->host.id, host) == 0;
	int result = 0;

	if (options->discard_dirty && !disk->clean && known)
		result = claim_discard(folder.text, host, &record, &error);
	if (result < 0 && result != -ENOENT)
		log_warning("disk %s: %s", disk->name, error.message);
	if (options->delete_backend || strcmp(folder.text, own.text) == 0)
		sidecar_remove(folder.text);
	else if (known)
		sidecar_file_remove(folder.text, host);
}

static int delete_record(struct agent *agent, const struct disk *disk,
			 struct problem *problem)
{
	struct documents_txn txn = {0};
	int result;

	documents_expect(&txn, disk->revision, "disks/%s", disk->id);
	documents_delete(&txn, "disks/%s", disk->id);
	documents_delete(&txn, "disk-names/%s", disk->name);
	documents_delete(&txn, "backends/%s", disk->backend);
	result = documents_commit(agent->store, &txn);
	if (result == -ESTALE)
		return refuse_busy(problem, disk);
	if (result < 0)
		return problem_internal(problem, "store", result);
	history_forget(agent, disk->id);
	disk_config_delete(agent, disk->id);
	delete_folder(agent, disk->id);
	return 0;
}

static int refuse_remote(struct problem *problem, const struct disk *disk)
{
	problem_set(problem, PROBLEM_BAD_BACKEND,
		    "backend %.200s can't be deleted from here: it is an "
		    "export of a server",
		    disk->backend);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, "delete the disk without its backend, and "
				     "the export at its server");
}

static int check(struct agent *agent, const struct disk *disk,
		 const struct disk_delete_options *options, uint64_t *ret_bytes,
		 struct problem *problem)
{
	struct unit unit = {0};

	if (options->delete_backend && !disk_image_path(disk))
		return refuse_remote(problem, disk);
	supervisor_look(agent->supervisor, disk->id, &unit);
	if (disk->desired == DISK_DESIRED_OPEN ||
	    (unit.state != UNIT_DOWN && !unit.kept))
		return refuse_open(problem, disk);
	*ret_bytes = disk_dirty_bytes_at_most(agent, disk);
	if (*ret_bytes > 0 && !options->discard_dirty)
		return refuse_dirty(problem, disk, *ret_bytes);
	disk_stop_draining(agent, disk);
	return 0;
}

int disk_delete(struct agent *agent, const char *reference,
		const struct disk_delete_options *options, json_t **ret_deleted,
		struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0};
	uint64_t bytes = 0;
	int result = disk_load(agent, reference, &disk, problem);

	if (result == 0)
		result = check(agent, &disk, options, &bytes, problem);
	if (result == 0)
		result = condemn(agent, &disk, problem);
	if (result < 0)
		return result;
	disk_hold_forget(agent, disk.id);
	result = disk_farewell(agent, &disk, problem);
	if (result == 0)
		result = disk_delete_cache(agent, &disk, problem);
	if (result == 0)
		forget_sidecar(agent, &disk, options);
	if (result == 0 && options->delete_backend)
		result = image_delete(disk_image_path(&disk), problem);
	if (result < 0) {
		reprieve(agent, &disk);
		return result;
	}
	result = delete_record(agent, &disk, problem);
	if (result < 0)
		return result;
	*ret_deleted = json_pack(
		"{s:s, s:s, s:s, s:b, s:o}", "id", disk.id, "name", disk.name,
		"backend", disk.backend, "backend_deleted",
		options->delete_backend, "discarded_dirty_bytes",
		bytes == UNKNOWN_BYTES ? json_null()
				       : json_integer((json_int_t)bytes));
	return 0;
}
