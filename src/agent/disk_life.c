/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_life.c - the verbs on a disk that is there: open, close, flush, stats.
 *
 * Request threads. A verb first stores what is wanted, then has the supervisor
 * make it so, and waits for that with a deadline. If forebayd dies on the way,
 * the next one finds in the store where to go on.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "data_plane.h"
#include "disk.h"
#include "disk_config.h"
#include "disk_hold.h"
#include "disk_view.h"
#include "gate.h"
#include "pool.h"

#define OPEN_TIMEOUT_NS (30 * NS_PER_SECOND)
#define CLOSE_TIMEOUT_NS (60 * NS_PER_SECOND)
#define FLUSH_TIMEOUT_NS (60 * NS_PER_SECOND)
#define STATS_TIMEOUT_NS (2 * NS_PER_SECOND)
/* Of a filter's action: who needs longer ends it and goes on by itself. */
#define CALL_TIMEOUT_NS (30 * NS_PER_SECOND)

static int refuse_stopping(struct problem *problem)
{
	problem_set(problem, PROBLEM_STOPPING, "forebayd is stopping");
	return problem_hint(problem, "ask again when it runs");
}

static int refuse_busy(struct problem *problem, const struct disk *disk)
{
	problem_set(problem, PROBLEM_DISK_BUSY,
		    "disk %s was changed by someone else just now", disk->name);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, "look at it and ask again");
}

static int refuse_deleted(struct problem *problem, const struct disk *disk)
{
	problem_set(problem, PROBLEM_DISK_BUSY, "disk %s is being deleted",
		    disk->name);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, "delete it again to finish that");
}

/* Most times that a note of ours may come in between. */
#define STORE_ATTEMPTS 4

/*
 * A drain in the background that has ended is noted by ourselves: whoever asks
 * for something just then is not refused for that. Returns: whether it was
 * nothing else; then @disk is as it is now.
 */
static bool only_drained(struct agent *agent, struct disk *disk)
{
	_cleanup_disk_ struct disk now = {0};
	json_auto_t *before = json_deep_copy(disk->document);
	struct problem ignored;
	struct disk old = *disk;

	if (disk_load(agent, disk->id, &now, &ignored) < 0)
		return false;
	json_object_set_new(before, "clean", json_boolean(now.clean));
	if (!json_equal(before, now.document))
		return false;
	*disk = now;
	now = old;
	return true;
}

static int store(struct agent *agent, struct disk *disk,
		 enum disk_desired desired, bool clean, struct problem *problem)
{
	int result = disk_store(agent, disk, desired, clean);

	for (int i = 1; i < STORE_ATTEMPTS && result == -ESTALE; i++) {
		if (!only_drained(agent, disk))
			break;
		result = disk_store(agent, disk, desired, clean);
	}
	if (result == -ESTALE || result == -ENOENT)
		return refuse_busy(problem, disk);
	if (result < 0)
		return problem_internal(problem, "store", result);
	return 0;
}

/* -- open --------------------------------------------------------------- */

static int refuse_served(struct problem *problem, const struct disk *disk,
			 bool incoming)
{
	problem_set(problem, PROBLEM_DISK_OPEN,
		    incoming ? "disk %s is served here: it can't be incoming"
			     : "disk %s is open: its cache stays as it is",
		    disk->name);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, "close it first");
}

/* How a disk was before somebody tried to open it. */
struct before {
	bool open;
	bool clean;
};

/* A disk that couldn't be opened is as it was before. */
static int fail_open(struct agent *agent, struct disk *disk,
		     struct before before, const struct unit *unit,
		     struct problem *problem)
{
	problem_set(problem, PROBLEM_OPEN_FAILED, "disk %s can't be opened: %s",
		    disk->name, unit->reason);
	problem_about(problem, "disk", disk->name);
	problem_hint(problem, "see disk-%s.log in %s", disk->name,
		     agent->host.log);
	if (!before.open &&
	    disk_store(agent, disk, DISK_DESIRED_CLOSED, before.clean) == 0) {
		supervisor_want_down(agent->supervisor, disk->id);
		if (!before.clean)
			supervisor_keep(agent->supervisor, disk->id);
	}
	return -EPROTO;
}

static int prepare_open(struct agent *agent, struct disk *disk,
			struct problem *problem)
{
	bool caches = false;
	int result = disk_config_write(agent, disk, &caches, problem);

	if (result < 0)
		return result;
	if (caches && !pool_is_any(agent)) {
		problem_set(problem, PROBLEM_OPEN_FAILED,
			    "disk %s can't be opened: its policy has a cache, "
			    "and this host has no pool",
			    disk->name);
		problem_about(problem, "disk", disk->name);
		return problem_hint(problem, "make a pool first");
	}
	return store(agent, disk, DISK_DESIRED_OPEN, disk->clean && !caches,
		     problem);
}

/* Its process is up, so its backend is large enough. */
static void settle_growth(struct agent *agent, struct disk *disk)
{
	struct problem ignored;
	bool caches;

	if (disk_store_size(agent, disk, disk->size_bytes, false) == 0)
		disk_config_write(agent, disk, &caches, &ignored);
}

/* What its cache holds goes before anything is started. */
static int prepare_cache(struct agent *agent, struct disk *disk,
			 const struct disk_open_options *options,
			 struct disk_open_answer *answer,
			 struct problem *problem)
{
	int result = 0;

	if (options->discard_dirty)
		result = disk_discard_dirty(agent, disk, answer, problem);
	/* Its VM may have written on another host since that was filled. */
	if (result == 0 && (options->incoming || options->drop_clean))
		result = disk_forget_clean(agent, disk, problem);
	return result;
}

/* *ret_is: what is asked for is so already. */
static int check_open(struct agent *agent, const struct disk *disk,
		      const struct disk_open_options *options, bool *ret_is,
		      struct problem *problem)
{
	struct unit unit = {0};
	bool down;

	if (options->discard_dirty)
		disk_stop_draining(agent, disk);
	supervisor_look(agent->supervisor, disk->id, &unit);
	down = unit.state == UNIT_DOWN || unit.state == UNIT_GAVE_UP;
	*ret_is = disk->desired == DISK_DESIRED_OPEN && options->incoming &&
		  unit.duty != UNIT_SERVES;
	if (*ret_is)
		return 0;
	if ((options->incoming && disk->desired == DISK_DESIRED_OPEN) ||
	    ((options->drop_clean || options->discard_dirty) && !down))
		return refuse_served(problem, disk, options->incoming);
	return 0;
}

/* Says what is wanted, in the store and to the supervisor. */
static int begin_open(struct agent *agent, struct disk *disk,
		      const struct disk_open_options *options,
		      struct disk_open_answer *answer, struct problem *problem)
{
	bool is = false;
	int result = check_open(agent, disk, options, &is, problem);

	if (is)
		return 0;
	if (result == 0)
		result = prepare_cache(agent, disk, options, answer, problem);
	if (result == 0 && disk->desired != DISK_DESIRED_OPEN)
		result = prepare_open(agent, disk, problem);
	if (result < 0)
		return result;
	if (options->incoming)
		supervisor_want_incoming(agent->supervisor, disk->id);
	else
		supervisor_want_up(agent->supervisor, disk->id, true);
	return 0;
}

int disk_open(struct agent *agent, const char *reference,
	      const struct disk_open_options *options,
	      struct disk_open_answer *ret_answer, struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0};
	struct unit unit = {0};
	struct before before;
	int result = disk_load(agent, reference, &disk, problem);

	*ret_answer = (struct disk_open_answer){0};
	if (result < 0)
		return result;
	if (disk.desired == DISK_DESIRED_DELETED)
		return refuse_deleted(problem, &disk);
	before.open = disk.desired == DISK_DESIRED_OPEN;
	before.clean = disk.clean;
	result = begin_open(agent, &disk, options, ret_answer, problem);
	if (result < 0)
		return result;
	before.clean |= ret_answer->discarded;
	result = supervisor_wait(agent->supervisor, disk.id, OPEN_TIMEOUT_NS,
				 &unit);
	if (result == -ECANCELED)
		return refuse_stopping(problem);
	if (result == -ENOENT)
		return refuse_busy(problem, &disk);
	if (result == 0 && unit.state == UNIT_GAVE_UP)
		return fail_open(agent, &disk, before, &unit, problem);
	if (result == 0 && unit.state == UNIT_DOWN)
		return refuse_busy(problem, &disk);
	ret_answer->done = result == 0 && unit.state == UNIT_UP;
	if (ret_answer->done && disk.grows && unit.duty == UNIT_SERVES)
		settle_growth(agent, &disk);
	return 0;
}

/* -- close -------------------------------------------------------------- */

static int fail_close(struct agent *agent, const struct disk *disk,
		      const struct unit *unit, struct problem *problem)
{
	const char *state = "is closed, but";
	const char *reason = unit->reason;

	if (unit->state == UNIT_STUCK)
		state = "can't be closed:";
	else if (unit->state == UNIT_UP)
		state = "stays open:";
	if (!reason[0])
		reason = "not all of its data is on its backend";
	problem_set(problem, PROBLEM_CLOSE_FAILED, "disk %s %s %s", disk->name,
		    state, reason);
	problem_about(problem, "disk", disk->name);
	if (unit->state == UNIT_DOWN || unit->state == UNIT_GAVE_UP)
		return problem_hint(problem,
				    "the data is safe in its cache: open and "
				    "close it to write it back");
	return problem_hint(problem, "see disk-%s.log in %.120s", disk->name,
			    agent->host.log);
}

/* Its cache keeps what it has: only its process must have ended. */
static int wait_held(struct agent *agent, const struct disk *disk,
		     bool *ret_done, struct problem *problem)
{
	struct unit unit = {0};
	int result = supervisor_wait(agent->supervisor, disk->id,
				     CLOSE_TIMEOUT_NS, &unit);

	if (result == -ECANCELED)
		return refuse_stopping(problem);
	if (result == -ENOENT)
		return refuse_busy(problem, disk);
	*ret_done = result == 0;
	if (result == 0 && unit.state != UNIT_DOWN)
		return fail_close(agent, disk, &unit, problem);
	return 0;
}

int disk_close(struct agent *agent, const char *reference, bool background,
	       bool *ret_done, struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0}, closed = {0};
	struct unit unit = {0};
	bool holds;
	int result = disk_load(agent, reference, &disk, problem);

	if (result < 0)
		return result;
	if (disk.desired == DISK_DESIRED_DELETED)
		return refuse_deleted(problem, &disk);
	/* One that is closed already is drained: that is what is asked for. */
	holds = !background && disk.desired == DISK_DESIRED_OPEN &&
		disk_holds_on_close(agent, &disk);
	if (disk.desired == DISK_DESIRED_OPEN)
		result = disk_hold_check(agent, &disk, problem);
	if (result == 0 && disk.desired == DISK_DESIRED_OPEN)
		result = store(agent, &disk, DISK_DESIRED_CLOSED, disk.clean,
			       problem);
	if (result < 0)
		return result;
	if (holds) {
		supervisor_want_held(agent->supervisor, disk.id);
		return wait_held(agent, &disk, ret_done, problem);
	}
	*ret_done = background && !disk.clean;
	if (*ret_done) {
		supervisor_want_drained(agent->supervisor, disk.id);
		return 0;
	}
	supervisor_want_down(agent->supervisor, disk.id);
	/* One without a process gets one that drains it. */
	supervisor_look(agent->supervisor, disk.id, &unit);
	if (!disk.clean &&
	    (unit.duty == UNIT_SERVES || unit.duty == UNIT_DRAINS) &&
	    (unit.state == UNIT_DOWN || unit.state == UNIT_GAVE_UP))
		supervisor_keep(agent->supervisor, disk.id);
	result = supervisor_wait(agent->supervisor, disk.id, CLOSE_TIMEOUT_NS,
				 &unit);
	if (result == -ECANCELED)
		return refuse_stopping(problem);
	if (result == -ENOENT)
		return refuse_busy(problem, &disk);
	*ret_done = result == 0;
	if (result == -ETIMEDOUT)
		return 0;
	result = disk_load(agent, disk.id, &closed, problem);
	if (result < 0)
		return result;
	if (unit.state != UNIT_DOWN || !closed.clean)
		return fail_close(agent, &closed, &unit, problem);
	return 0;
}

/* -- restart ------------------------------------------------------------ */

static int refuse_not_open(struct problem *problem, const struct disk *disk,
			   const struct unit *unit)
{
	problem_set(problem, PROBLEM_DISK_NOT_OPEN, "disk %s is %s, not open",
		    disk->name, disk_view_state(unit));
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem, unit->state == UNIT_DOWN
					     ? "open it first"
					     : "wait until it is open");
}

int disk_restart(struct agent *agent, const char *reference, bool *ret_done,
		 uint64_t *ret_stall_ns, struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0};
	struct unit unit = {0};
	int result = disk_load(agent, reference, &disk, problem);

	if (result == 0)
		result = disk_hold_check(agent, &disk, problem);
	if (result < 0)
		return result;
	supervisor_look(agent->supervisor, disk.id, &unit);
	/* Asked again while it goes on: then it is only waited for. */
	if (unit.restart_ns == 0 &&
	    supervisor_restart(agent->supervisor, disk.id) < 0)
		return refuse_not_open(problem, &disk, &unit);
	result = supervisor_wait(agent->supervisor, disk.id, OPEN_TIMEOUT_NS,
				 &unit);
	if (result == -ECANCELED)
		return refuse_stopping(problem);
	if (result == -ENOENT)
		return refuse_busy(problem, &disk);
	if (result == 0 && unit.state != UNIT_UP) {
		problem_set(problem, PROBLEM_OPEN_FAILED,
			    "disk %s was not started again: %s", disk.name,
			    unit.reason);
		return problem_about(problem, "disk", disk.name);
	}
	*ret_done = result == 0;
	*ret_stall_ns = unit.stall_ns;
	return 0;
}

/* -- questions to the disk's process ------------------------------------ */

/* Loads the disk and calls its process. */
static int ask(struct agent *agent, struct disk *disk,
	       struct data_plane_call *call, uint64_t timeout_ns,
	       struct problem *problem)
{
	struct host_path socket =
		host_run(&agent->host, "disks/%s/control.sock", disk->id);
	struct unit unit = {0};

	supervisor_look(agent->supervisor, disk->id, &unit);
	if (unit.state != UNIT_UP && unit.state != UNIT_CLOSING)
		return refuse_not_open(problem, disk, &unit);
	call->socket_path = socket.text;
	data_plane_call_all(call, 1, timeout_ns, agent->stop_fd);
	call->socket_path = NULL;
	if (call->status == -ECANCELED)
		return refuse_stopping(problem);
	return 0;
}

int disk_flush(struct agent *agent, const char *reference, bool *ret_done,
	       struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0};
	json_auto_t *parameters =
		json_pack("{s:n, s:s}", "filter", "action", "flush");
	struct data_plane_call call = {
		.method = "action",
		.parameters = parameters,
	};
	int result = disk_load(agent, reference, &disk, problem);

	if (result == 0)
		result = disk_hold_check(agent, &disk, problem);
	if (result == 0)
		result = ask(agent, &disk, &call, FLUSH_TIMEOUT_NS, problem);
	json_decref(call.result);
	if (result < 0)
		return result;
	*ret_done = call.status == 0;
	if (call.status == 0 || call.status == -ETIMEDOUT)
		return 0;
	/* Somebody else's close ended the process first: that is no failure. */
	if (call.status == -ECONNRESET || call.status == -ECONNREFUSED) {
		struct unit unit = {0};

		supervisor_look(agent->supervisor, disk.id, &unit);
		if (unit.state != UNIT_UP)
			return refuse_not_open(problem, &disk, &unit);
	}
	problem_set(problem, PROBLEM_FLUSH_FAILED,
		    "disk %s can't be flushed: %s", disk.name,
		    call.error.message);
	problem_about(problem, "disk", disk.name);
	return problem_hint(problem, "see disk-%s.log in %s", disk.name,
			    agent->host.log);
}

int disk_stats(struct agent *agent, const char *reference, json_t **ret_stats,
	       struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0};
	struct data_plane_call call = {.method = "stats"};
	int result = disk_load(agent, reference, &disk, problem);

	if (result == 0)
		result = ask(agent, &disk, &call, STATS_TIMEOUT_NS, problem);
	if (result < 0)
		return result;
	if (call.status == 0) {
		*ret_stats = call.result;
		return 0;
	}
	problem_set(problem,
		    call.status == -ETIMEDOUT ? PROBLEM_DATA_PLANE_TIMEOUT
					      : PROBLEM_DATA_PLANE_DOWN,
		    "disk %s: %s", disk.name, call.error.message);
	return problem_about(problem, "disk", disk.name);
}

static enum problem_code code_of_call(int status)
{
	switch (-status) {
	case ENOENT:
	case ENOTSUP:
		return PROBLEM_NO_SUCH_ACTION;
	case EINVAL:
	case ERANGE:
		return PROBLEM_BAD_REQUEST;
	case ETIMEDOUT:
		return PROBLEM_DATA_PLANE_TIMEOUT;
	case ECONNRESET:
	case ECONNREFUSED:
		return PROBLEM_DATA_PLANE_DOWN;
	}
	return PROBLEM_CALL_FAILED;
}

int disk_call(struct agent *agent, const char *reference, const json_t *body,
	      json_t **ret_result, struct problem *problem)
{
	static const char *const members[] = {"filter", "action", "arguments",
					      NULL};
	_cleanup_disk_ struct disk disk = {0};
	struct data_plane_call call = {
		.method = "call",
		.parameters = (json_t *)body,
	};
	const char *word;
	int result = gate_object(body, members, problem);

	if (result == 0)
		result = gate_string(body, "filter", true, &word, problem);
	if (result == 0)
		result = gate_string(body, "action", true, &word, problem);
	if (result == 0)
		result = disk_load(agent, reference, &disk, problem);
	if (result == 0)
		result = ask(agent, &disk, &call, CALL_TIMEOUT_NS, problem);
	if (result < 0)
		return result;
	if (call.status == 0) {
		*ret_result = call.result;
		return 0;
	}
	problem_set(problem, code_of_call(call.status), "%s",
		    call.error.message);
	return problem_about(problem, "disk", disk.name);
}
