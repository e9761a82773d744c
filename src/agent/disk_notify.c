/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_notify.c - the verb `disk notify`: whoever runs a VM says how it is, and
 * the disk's filters are told.
 *
 * Request threads.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "clock.h"
#include "data_plane.h"
#include "disk.h"
#include "gate.h"

/* Filters have a second each. */
#define NOTIFY_TIMEOUT_NS (20 * NS_PER_SECOND)

static int check(const json_t *body, const char **ret_vm,
		 struct problem *problem)
{
	static const char *const members[] = {"vm", NULL};
	static const char *const words[] = {"starting", "running", "migrating",
					    "stopped", NULL};
	int result = gate_object(body, members, problem);

	if (result == 0)
		result = gate_string(body, "vm", true, ret_vm, problem);
	if (result < 0)
		return result;
	assert(*ret_vm); /* it is required */
	for (unsigned int i = 0; words[i]; i++) {
		if (strcmp(words[i], *ret_vm) == 0)
			return 0;
	}
	problem_set(problem, PROBLEM_BAD_REQUEST,
		    "a VM is starting, running, migrating or stopped, not "
		    "\"%.40s\"",
		    *ret_vm);
	return problem_inside(problem, "vm");
}

static int ask(struct agent *agent, const struct disk *disk, const char *vm,
	       struct problem *problem)
{
	struct host_path socket =
		host_run(&agent->host, "disks/%s/control.sock", disk->id);
	json_auto_t *parameters = json_pack("{s:s}", "vm", vm);
	struct data_plane_call call = {
		.socket_path = socket.text,
		.method = "notify",
		.parameters = parameters,
	};

	data_plane_call_all(&call, 1, NOTIFY_TIMEOUT_NS, agent->stop_fd);
	json_decref(call.result);
	if (call.status == 0)
		return 0;
	problem_set(problem,
		    call.status == -ETIMEDOUT ? PROBLEM_DATA_PLANE_TIMEOUT
		    : call.status == -EAGAIN  ? PROBLEM_DISK_BUSY
					      : PROBLEM_DATA_PLANE_DOWN,
		    "disk %s: %s", disk->name, call.error.message);
	return problem_about(problem, "disk", disk->name);
}

int disk_notify(struct agent *agent, const char *reference, const json_t *body,
		struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0};
	struct unit unit = {0};
	const char *vm = NULL;
	int result = check(body, &vm, problem);

	if (result == 0)
		result = disk_load(agent, reference, &disk, problem);
	if (result < 0)
		return result;
	supervisor_look(agent->supervisor, disk.id, &unit);
	if (unit.state == UNIT_UP)
		return ask(agent, &disk, vm, problem);
	problem_set(problem, PROBLEM_DISK_NOT_OPEN, "disk %s is not open",
		    disk.name);
	problem_about(problem, "disk", disk.name);
	return problem_hint(problem, "open it first");
}
