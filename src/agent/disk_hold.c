// SPDX-License-Identifier: Apache-2.0
/*
 * disk_hold.c - see disk_hold.h.
 *
 *	store: holds/ID -> process: action "hold 600" ... action "release"
 *	       -> store: no holds/ID
 *
 * Request threads.
 */
#include "disk_hold.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "data_plane.h"
#include "documents.h"
#include "gate.h"

#define ACTION_TIMEOUT_NS (10 * NS_PER_SECOND)
#define STATS_TIMEOUT_NS (5 * NS_PER_SECOND)

static const char *text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static json_int_t seconds(const json_t *hold, const char *member)
{
	return json_integer_value(json_object_get(hold, member)) /
	       (json_int_t)NS_PER_SECOND;
}

static json_t *describe(const json_t *hold)
{
	return json_pack(
		"{s:s?, s:I, s:I, s:I, s:I, s:s?}", "state",
		text(hold, "state"), "left_bytes",
		json_integer_value(json_object_get(hold, "left_bytes")),
		"held_for_s", seconds(hold, "held_for_ns"), "ends_in_s",
		seconds(hold, "ends_in_ns"), "ended_ago_s",
		seconds(hold, "ended_ago_ns"), "reason", text(hold, "reason"));
}

json_t *disk_hold_view(struct agent *agent, const char *id, bool runs,
		       const json_t *stats)
{
	const json_t *hold = data_plane_cache_says(stats, "hold");
	bool lost = !runs || stats;

	if (hold)
		return describe(hold);
	if (!documents_has(agent->store, "holds/%s", id))
		return json_null();
	return json_pack("{s:s, s:i, s:i, s:i, s:i, s:s}", "state",
			 lost ? "lost" : "unknown", "left_bytes", 0,
			 "held_for_s", 0, "ends_in_s", 0, "ended_ago_s", 0,
			 "reason",
			 lost ? "the disk's process has ended since"
			      : "the disk's process does not answer");
}

/* Asks the disk's process. Returns: what came of it; -ENOTCONN: no process. */
static int call(struct agent *agent, const struct disk *disk,
		struct data_plane_call *call, uint64_t timeout_ns)
{
	struct host_path socket =
		host_run(&agent->host, "disks/%s/control.sock", disk->id);
	struct unit unit = {0};

	supervisor_look(agent->supervisor, disk->id, &unit);
	if (unit.state != UNIT_UP)
		return -ENOTCONN;
	call->socket_path = socket.text;
	data_plane_call_all(call, 1, timeout_ns, agent->stop_fd);
	call->socket_path = NULL;
	if (call->status == -ECONNREFUSED || call->status == -ECONNRESET)
		return -ENOTCONN;
	return call->status;
}

static int act(struct agent *agent, const struct disk *disk, const char *action,
	       struct error *error)
{
	json_auto_t *parameters =
		json_pack("{s:n, s:s}", "filter", "action", action);
	struct data_plane_call request = {
		.method = "action",
		.parameters = parameters,
	};
	int status = call(agent, disk, &request, ACTION_TIMEOUT_NS);

	*error = request.error;
	json_decref(request.result);
	return status;
}

static json_t *ask_stats(struct agent *agent, const struct disk *disk)
{
	struct data_plane_call request = {.method = "stats"};

	return call(agent, disk, &request, STATS_TIMEOUT_NS) == 0
		       ? request.result
		       : NULL;
}

static int refuse_held(struct problem *problem, const struct disk *disk,
		       const char *state)
{
	problem_set(problem, PROBLEM_DISK_HELD, "disk %s is held (%s)",
		    disk->name, state);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem,
			    "'forebay disk release %s' ends that, and says "
			    "whether it held",
			    disk->name);
}

int disk_hold_check(struct agent *agent, const struct disk *disk,
		    struct problem *problem)
{
	json_auto_t *stats = NULL;
	const char *state;

	if (!documents_has(agent->store, "holds/%s", disk->id))
		return 0;
	stats = ask_stats(agent, disk);
	state = text(data_plane_cache_says(stats, "hold"), "state");
	if (!state || strcmp(state, "ended") == 0)
		return 0;
	return refuse_held(problem, disk, state);
}

void disk_hold_forget(struct agent *agent, const char *id)
{
	struct documents_txn txn = {0};

	documents_delete(&txn, "holds/%s", id);
	(void)documents_commit(agent->store, &txn);
}

/* One hold at a time, even if two ask at once. */
static int note(struct agent *agent, const struct disk *disk,
		unsigned int limit, struct problem *problem)
{
	struct documents_txn txn = {0};
	int result;

	documents_expect(&txn, 0, "holds/%s", disk->id);
	documents_put(&txn, json_pack("{s:i}", "timeout_s", (int)limit),
		      "holds/%s", disk->id);
	result = documents_commit(agent->store, &txn);
	if (result == -ESTALE) {
		json_auto_t *stats = ask_stats(agent, disk);
		const char *state =
			text(data_plane_cache_says(stats, "hold"), "state");

		return refuse_held(problem, disk, state ? state : "lost");
	}
	return result < 0 ? problem_internal(problem, "store", result) : 0;
}

static int refuse_hold(struct problem *problem, const struct disk *disk,
		       int status, const struct error *error)
{
	enum problem_code code = PROBLEM_HOLD_REFUSED;
	const char *why = strerror(-status);

	switch (-status) {
	case ENOTCONN:
		code = PROBLEM_DISK_NOT_OPEN;
		why = "it is not open";
		break;
	case ETIMEDOUT:
		code = PROBLEM_DATA_PLANE_TIMEOUT;
		why = "its process does not answer";
		break;
	case EPROTONOSUPPORT:
		why = "it writes through its cache, so what the VM writes is "
		      "on the backend at once: it needs write-back";
		break;
	case ENOTSUP:
		why = "it has no cache that could keep what the VM writes";
		break;
	case EROFS:
		why = "it is read-only: its backend doesn't change";
		break;
	case EPERM:
		why = error->message;
		break;
	case EAGAIN:
		why = "it is being opened or flushed: ask again";
		break;
	case EBUSY:
		code = PROBLEM_DISK_HELD;
		why = "somebody else has it held";
		break;
	}
	problem_set(problem, code, "disk %s can't be held: %s", disk->name,
		    why);
	return problem_about(problem, "disk", disk->name);
}

int disk_hold(struct agent *agent, const char *reference, const json_t *body,
	      struct problem *problem)
{
	static const char *const members[] = {"timeout_s", NULL};
	_cleanup_disk_ struct disk disk = {0};
	unsigned int limit = DISK_HOLD_TIMEOUT_DEFAULT;
	struct error error = {0};
	char action[32];
	int result = gate_object(body, members, problem);

	if (result == 0)
		result = gate_number(body, "timeout_s", DISK_HOLD_TIMEOUT_MAX,
				     &limit, problem);
	if (result == 0)
		result = disk_load(agent, reference, &disk, problem);
	if (result == 0)
		result = note(agent, &disk, limit, problem);
	if (result < 0)
		return result;
	snprintf(action, sizeof(action), "hold %u", limit);
	result = act(agent, &disk, action, &error);
	if (result == 0)
		return 0;
	/* One that is slow may hold yet: then a release is needed. */
	if (result != -ETIMEDOUT)
		disk_hold_forget(agent, disk.id);
	return refuse_hold(problem, &disk, result, &error);
}

/* @hold: what the process said before the release; NULL: nothing. */
static int tell_end(struct problem *problem, const struct disk *disk,
		    int status, const json_t *hold)
{
	const char *reason = text(hold, "reason");

	if (status == -ESTALE)
		problem_set(problem, PROBLEM_HOLD_ENDED,
			    "the hold of disk %s ended by itself %lld s ago: "
			    "%s",
			    disk->name,
			    (long long)seconds(hold, "ended_ago_ns"),
			    reason ? reason : "its process doesn't say why");
	else if (status == -EINPROGRESS)
		problem_set(problem, PROBLEM_HOLD_ENDED,
			    "the hold of disk %s is given up: it wasn't "
			    "complete",
			    disk->name);
	else
		problem_set(problem, PROBLEM_HOLD_ENDED,
			    "the hold of disk %s is lost: the disk's process "
			    "has ended since",
			    disk->name);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, "what was copied of its backend may be "
				     "mixed: don't use it");
}

int disk_release(struct agent *agent, const char *reference,
		 struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0};
	json_auto_t *stats = NULL;
	struct error ignored;
	int result = disk_load(agent, reference, &disk, problem);

	if (result < 0)
		return result;
	if (!documents_has(agent->store, "holds/%s", disk.id)) {
		problem_set(problem, PROBLEM_DISK_NOT_HELD,
			    "disk %s is not held", disk.name);
		return problem_about(problem, "disk", disk.name);
	}
	stats = ask_stats(agent, &disk);
	result = act(agent, &disk, "release", &ignored);
	if (result == -ETIMEDOUT) {
		problem_set(problem, PROBLEM_DATA_PLANE_TIMEOUT,
			    "disk %s can't be released: its process does not "
			    "answer",
			    disk.name);
		return problem_about(problem, "disk", disk.name);
	}
	if (result == -ECANCELED) {
		problem_set(problem, PROBLEM_STOPPING, "forebayd is stopping");
		return problem_hint(problem, "ask again when it runs");
	}
	disk_hold_forget(agent, disk.id);
	return result == 0 ? 0
			   : tell_end(problem, &disk, result,
				      data_plane_cache_says(stats, "hold"));
}
