/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_resize.c - the verb `disk resize`: a disk grows, open or closed.
 *
 * Request threads. The store has the new size before anything is done, with the
 * note `grows`: the backend may still be smaller. So wherever one of us dies,
 * the disk's next process finds in its configuration how to go on, and grows
 * the backend itself, under the backend's lock. A closed disk is left to that
 * process altogether.
 *
 *	store: new size, grows -> configuration -> process: resize
 *	                                          done: store: doesn't grow
 *	                                       refused: store: the size before
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "data_plane.h"
#include "disk.h"
#include "disk_config.h"
#include "disk_hold.h"
#include "disk_view.h"
#include "gate.h"
#include "image.h"
#include "remote_image.h"

#define RESIZE_TIMEOUT_NS (60 * NS_PER_SECOND)

static int read_size(const json_t *body, uint64_t *ret_bytes,
		     struct problem *problem)
{
	static const char *const members[] = {"size_bytes", NULL};
	int result = gate_object(body, members, problem);

	if (result == 0)
		result = gate_size(body, "size_bytes", ret_bytes, problem);
	if (result == 0 && *ret_bytes == 0)
		return problem_set(problem, PROBLEM_BAD_REQUEST,
				   "member \"size_bytes\" is missing");
	return result;
}

static int refuse_smaller(struct problem *problem, const struct disk *disk,
			  uint64_t size_bytes)
{
	problem_set(problem, PROBLEM_BAD_SIZE,
		    "disk %s has %" PRIu64 " bytes and can only grow, not to "
		    "%" PRIu64,
		    disk->name, disk->size_bytes, size_bytes);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, "to make it smaller, copy what is needed "
				     "to another disk");
}

static int refuse_busy(struct problem *problem, const struct disk *disk)
{
	problem_set(problem, PROBLEM_DISK_BUSY,
		    "disk %s was changed by someone else just now", disk->name);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, "look at it and ask again");
}

/* Stores the size, and tells a process that starts from now on. */
static int note(struct agent *agent, struct disk *disk, uint64_t size_bytes,
		bool grows, struct problem *problem)
{
	bool caches;
	int result = disk_store_size(agent, disk, size_bytes, grows);

	if (result == -ESTALE || result == -ENOENT)
		return refuse_busy(problem, disk);
	if (result < 0)
		return problem_internal(problem, "store", result);
	if (disk->desired != DISK_DESIRED_OPEN)
		return 0;
	return disk_config_write(agent, disk, &caches, problem);
}

/*
 * Whether nothing contradicts what the process has said: that it goes on with
 * the size before.
 */
static bool is_as_before(const struct disk *disk, uint64_t before_bytes)
{
	const char *path = disk_image_path(disk);
	uint64_t bytes = 0;

	/* We never make an export larger. */
	return !path || image_size(path, &bytes) < 0 || bytes == before_bytes;
}

static int fail(struct agent *agent, struct disk *disk, uint64_t before_bytes,
		const struct data_plane_call *call, struct problem *problem)
{
	struct problem ignored;

	problem_set(problem,
		    call->status == -EBUSY || call->status == -EAGAIN
			    ? PROBLEM_DISK_BUSY
			    : PROBLEM_RESIZE_FAILED,
		    "disk %s can't be resized: %s", disk->name,
		    call->error.message);
	problem_about(problem, "disk", disk->name);
	/* An earlier request for the same: that one's to settle. */
	if (before_bytes == disk->size_bytes)
		return problem_hint(problem, "ask again later");
	if (is_as_before(disk, before_bytes) &&
	    note(agent, disk, before_bytes, false, &ignored) == 0)
		return problem_hint(problem, "it is as it was before");
	return problem_hint(problem, "its backend has the new size already: "
				     "ask again");
}

static int ask(struct agent *agent, struct disk *disk, uint64_t before_bytes,
	       bool *ret_done, struct problem *problem)
{
	struct host_path socket =
		host_run(&agent->host, "disks/%s/control.sock", disk->id);
	json_auto_t *parameters =
		json_pack("{s:I}", "size_bytes", (json_int_t)disk->size_bytes);
	struct data_plane_call call = {
		.socket_path = socket.text,
		.method = "resize",
		.parameters = parameters,
	};

	data_plane_call_all(&call, 1, RESIZE_TIMEOUT_NS, agent->stop_fd);
	json_decref(call.result);
	/* It died or is slow: whoever comes next goes on. Ask again. */
	if (call.status == -ETIMEDOUT || call.status == -ECANCELED ||
	    call.status == -ECONNRESET || call.status == -ECONNREFUSED)
		return 0;
	if (call.status < 0)
		return fail(agent, disk, before_bytes, &call, problem);
	*ret_done = true;
	return note(agent, disk, disk->size_bytes, false, problem);
}

/*
 * A process grows a file; all else must have the size already. The process of
 * an open disk knows its server better than we do.
 */
static int check_backend(const struct disk *disk, uint64_t size_bytes,
			 struct problem *problem)
{
	const char *path = disk_image_path(disk);
	uint64_t bytes = 0;

	if (!path && disk->desired == DISK_DESIRED_OPEN)
		return 0;
	if (!path)
		return remote_image_adopt(disk->backend, size_bytes, &bytes,
					  problem);
	if (!image_is_device(path) || image_size(path, &bytes) < 0 ||
	    bytes == size_bytes)
		return 0;
	problem_set(problem, PROBLEM_SIZE_MISMATCH,
		    "backend %s is a block device of %" PRIu64 " bytes",
		    disk->backend, bytes);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, "resize the device first");
}

int disk_resize(struct agent *agent, const char *reference, const json_t *body,
		bool *ret_done, struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0};
	struct unit unit = {0};
	uint64_t size_bytes = 0, before_bytes;
	int result = read_size(body, &size_bytes, problem);

	*ret_done = false;
	if (result == 0)
		result = disk_load(agent, reference, &disk, problem);
	if (result < 0)
		return result;
	before_bytes = disk.size_bytes;
	if (disk.desired == DISK_DESIRED_DELETED)
		return refuse_busy(problem, &disk);
	if (disk_hold_check(agent, &disk, problem) < 0)
		return -EPROTO;
	if (size_bytes < before_bytes)
		return refuse_smaller(problem, &disk, size_bytes);
	*ret_done = size_bytes == before_bytes && !disk.grows;
	if (*ret_done)
		return 0;
	supervisor_look(agent->supervisor, disk.id, &unit);
	if (disk.desired == DISK_DESIRED_CLOSED && unit.state != UNIT_DOWN)
		return refuse_busy(problem, &disk);
	/* Another growth is under way. */
	if (disk.desired == DISK_DESIRED_OPEN && disk.grows &&
	    size_bytes != before_bytes)
		return refuse_busy(problem, &disk);
	result = check_backend(&disk, size_bytes, problem);
	if (result == 0)
		result = note(agent, &disk, size_bytes, true, problem);
	if (result < 0)
		return result;
	if (disk.desired == DISK_DESIRED_OPEN)
		return ask(agent, &disk, before_bytes, ret_done, problem);
	*ret_done = true;
	return 0;
}
