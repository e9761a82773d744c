// SPDX-License-Identifier: Apache-2.0
/*
 * disk_forget.c - what a disk's cache holds is given up, clean or dirty, and
 * where it stands that a cache holds anything.
 *
 * Request threads.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backend.h"
#include "claim.h"
#include "clock.h"
#include "disk.h"
#include "log.h"

#define RELEASE_TIMEOUT_NS (20 * NS_PER_SECOND)

struct host_path disk_sidecar_of(struct agent *agent, const json_t *document)
{
	const char *id = json_string_value(json_object_get(document, "id"));
	const char *directory =
		json_string_value(json_object_get(document, "sidecar"));
	const char *backend =
		json_string_value(json_object_get(document, "backend"));
	struct host_path path;

	if (directory)
		snprintf(path.text, sizeof(path.text), "%.440s/%.40s",
			 directory, id);
	else if (!backend_beside(backend, path.text, sizeof(path.text)))
		path = host_lib(&agent->host, "sidecars/%s", id);
	return path;
}

struct host_path disk_sidecar(struct agent *agent, const struct disk *disk)
{
	return disk_sidecar_of(agent, disk->document);
}

void disk_stop_draining(struct agent *agent, const struct disk *disk)
{
	struct unit unit = {0};

	supervisor_look(agent->supervisor, disk->id, &unit);
	if (!unit.kept)
		return;
	supervisor_release(agent->supervisor, disk->id);
	supervisor_wait(agent->supervisor, disk->id, RELEASE_TIMEOUT_NS, &unit);
}

int disk_forget_clean(struct agent *agent, const struct disk *disk,
		      struct problem *problem)
{
	if (disk->clean)
		return disk_delete_cache(agent, disk, problem);
	problem_set(problem, PROBLEM_DISK_DIRTY,
		    "disk %s was not closed cleanly: its cache holds data that "
		    "its backend lacks",
		    disk->name);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, "open and close it first");
}

static int refuse(const struct disk *disk, const struct error *error,
		  struct problem *problem)
{
	problem_set(problem, PROBLEM_DISK_BUSY,
		    "what is held of disk %s can't be given up: %.300s",
		    disk->name, error->message);
	return problem_about(problem, "disk", disk->name);
}

/* The cache first: while the marker stands, nobody takes the backend for whole.
 */
int disk_discard_dirty(struct agent *agent, struct disk *disk,
		       struct disk_open_answer *answer, struct problem *problem)
{
	struct host_path folder = disk_sidecar(agent, disk);
	struct claim_record record = {0};
	struct error error = {0};
	int result;

	answer->discarded_bytes = disk_dirty_bytes_at_most(agent, disk);
	result = disk_delete_cache(agent, disk, problem);
	if (result < 0)
		return result;
	result = claim_discard(folder.text, NULL, &record, &error);
	if (result < 0 && result != -ENOENT)
		return refuse(disk, &error, problem);
	answer->discarded = true;
	if (record.marked)
		snprintf(answer->discarded_host, sizeof(answer->discarded_host),
			 "%s", record.host_name);
	log_warning(
		"disk %s: what was dirty of it is given up: at most %" PRIu64
		" bytes here, and what the cache of host %s held",
		disk->name, answer->discarded_bytes,
		record.marked ? record.host_name : "(none)");
	if (disk_store(agent, disk, disk->desired, true) < 0) {
		problem_set(problem, PROBLEM_DISK_BUSY,
			    "disk %s was changed by someone else just now",
			    disk->name);
		return problem_about(problem, "disk", disk->name);
	}
	return 0;
}
