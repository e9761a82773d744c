/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unit.c - the life of a supervised process as a state machine.
 *
 * Called by supervisor.c under its lock. `wanted` is what people want, `state`
 * is what is; unit_decide() moves one towards the other and is safe to call at
 * any time, any number of times.
 */
#include "unit.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

static void say(struct unit *unit, const char *text)
{
	snprintf(unit->reason, sizeof(unit->reason), "%s", text);
	text_clean(unit->reason);
}

void unit_init(struct unit *unit, bool drains)
{
	*unit = (struct unit){.drains = drains};
}

uint64_t unit_delay_ns(unsigned int crashes)
{
	uint64_t delay_ns = UNIT_DELAY_FIRST_NS;

	if (crashes <= 1)
		return 0;
	for (unsigned int i = 2; i < crashes; i++) {
		delay_ns *= 2;
		if (delay_ns >= UNIT_DELAY_MAX_NS)
			return UNIT_DELAY_MAX_NS;
	}
	return delay_ns;
}

/* A drainer that runs is ended first, and none is started. */
static void stop_keeping(struct unit *unit)
{
	unit->kept = false;
	unit->duty = UNIT_SERVES;
	if (unit->state != UNIT_WAITING && unit->state != UNIT_GAVE_UP)
		return;
	unit->state = UNIT_DOWN;
	say(unit, "");
}

void unit_want_up(struct unit *unit, bool probation, uint64_t now_ns)
{
	unit->wanted = true;
	unit->held = false;
	if (unit->kept)
		stop_keeping(unit);
	if (unit->state != UNIT_DOWN && unit->state != UNIT_GAVE_UP)
		return;
	unit->state = UNIT_WAITING;
	unit->next_ns = now_ns;
	unit->probation = probation;
	unit->bypasses = false;
	unit->crashes = 0;
	unit->faults = 0;
	say(unit, "");
}

void unit_keep(struct unit *unit, uint64_t now_ns)
{
	if (unit->wanted || unit->clean)
		return;
	/* One that was given up is tried again. */
	if (unit->kept && unit->state != UNIT_GAVE_UP)
		return;
	unit->kept = true;
	unit->held = false;
	if (unit->state != UNIT_DOWN && unit->state != UNIT_GAVE_UP)
		return;
	unit->duty = UNIT_DRAINS;
	unit->state = UNIT_WAITING;
	unit->next_ns = now_ns;
	unit->probation = false;
	unit->crashes = 0;
}

void unit_want_drained(struct unit *unit, uint64_t now_ns)
{
	if (unit->duty != UNIT_SERVES) {
		unit_want_down(unit);
		return;
	}
	unit->wanted = false;
	if (unit->state == UNIT_WAITING)
		unit->state = UNIT_DOWN;
	unit_keep(unit, now_ns);
}

void unit_want_held(struct unit *unit)
{
	unit_want_down(unit);
	unit->held = unit->duty == UNIT_SERVES && !unit->kept;
}

void unit_release(struct unit *unit)
{
	if (unit->kept)
		stop_keeping(unit);
}

void unit_want_incoming(struct unit *unit, uint64_t now_ns)
{
	if (unit->state == UNIT_DOWN || unit->state == UNIT_GAVE_UP)
		unit_set_duty(unit, UNIT_EXPECTS);
	unit_want_up(unit, true, now_ns);
}

int unit_restart(struct unit *unit, uint64_t now_ns)
{
	if (unit->state != UNIT_UP || !unit->wanted)
		return -EAGAIN;
	unit->restart = true;
	unit->bypasses = false;
	unit->restart_ns = now_ns;
	return 0;
}

void unit_want_down(struct unit *unit)
{
	unit->wanted = false;
	if (unit->kept)
		return;
	if (unit->state == UNIT_WAITING || unit->state == UNIT_GAVE_UP) {
		unit->state = UNIT_DOWN;
		say(unit, "");
	}
}

static enum unit_action terminate(struct unit *unit, uint64_t now_ns)
{
	unit->state = UNIT_ENDING;
	unit->restart = false;
	unit->next_ns = now_ns + UNIT_TERMINATE_NS;
	return UNIT_TERMINATE;
}

/* A time in next_ns has come. */
static enum unit_action expire(struct unit *unit, uint64_t now_ns)
{
	switch (unit->state) {
	case UNIT_WAITING:
		return UNIT_START;
	case UNIT_CLOSING:
		unit->next_ns = UNIT_NEVER;
		return UNIT_CLOSE;
	case UNIT_ENDING:
		unit->state = UNIT_KILLED;
		unit->next_ns = now_ns + UNIT_KILL_NS;
		return UNIT_KILL;
	case UNIT_KILLED:
		unit->state = UNIT_STUCK;
		unit->next_ns = UNIT_NEVER;
		say(unit, "its process does not end although it was killed: "
			  "the kernel waits for its storage");
		return UNIT_NOTHING;
	case UNIT_DOWN:
	case UNIT_STARTING:
	case UNIT_UP:
	case UNIT_STUCK:
	case UNIT_GAVE_UP:
		break;
	}
	return UNIT_NOTHING;
}

static bool is_timed(enum unit_state state)
{
	return state == UNIT_WAITING || state == UNIT_CLOSING ||
	       state == UNIT_ENDING || state == UNIT_KILLED;
}

enum unit_action unit_decide(struct unit *unit, uint64_t now_ns,
			     uint64_t *ret_wake_ns)
{
	enum unit_action action = UNIT_NOTHING;

	if (unit->drainer && unit->kept) {
		/* It ends by itself. */
	} else if ((unit->drainer || unit->kept) &&
		   (unit->state == UNIT_STARTING || unit->state == UNIT_UP)) {
		action = terminate(unit, now_ns);
	} else if (!unit->wanted && unit->state == UNIT_UP && unit->drains &&
		   !unit->held) {
		unit->state = UNIT_CLOSING;
		unit->next_ns = UNIT_NEVER;
		say(unit, "");
		action = UNIT_CLOSE;
	} else if (!unit->wanted &&
		   (unit->state == UNIT_UP || unit->state == UNIT_STARTING)) {
		action = terminate(unit, now_ns);
	} else if (unit->restart && unit->state == UNIT_UP) {
		action = terminate(unit, now_ns);
	} else if (is_timed(unit->state) && now_ns >= unit->next_ns) {
		action = expire(unit, now_ns);
	}
	*ret_wake_ns = is_timed(unit->state) ? unit->next_ns : UNIT_NEVER;
	return action;
}

void unit_started(struct unit *unit, pid_t pid)
{
	assert(unit->state == UNIT_WAITING);
	unit->state = UNIT_STARTING;
	unit->pid = pid;
	unit->drainer = unit->duty == UNIT_DRAINS;
	unit->up_ns = 0;
	unit->clean = false;
	say(unit, "");
}

void unit_adopted(struct unit *unit, pid_t pid, bool drainer)
{
	assert(unit->pid == 0);
	unit->state = UNIT_STARTING;
	unit->pid = pid;
	unit->drainer = drainer;
	unit->kept = drainer && !unit->wanted;
	if (unit->kept)
		unit->duty = UNIT_DRAINS;
	unit->up_ns = 0;
	unit->clean = false;
	unit->probation = false;
	say(unit, "");
}

void unit_opening(struct unit *unit, const char *reason)
{
	if (unit->state == UNIT_STARTING)
		say(unit, reason ? reason : "");
}

void unit_ready(struct unit *unit, uint64_t now_ns)
{
	if (unit->state != UNIT_STARTING)
		return;
	unit->state = UNIT_UP;
	unit->up_ns = now_ns;
	unit->probation = false;
	if (unit->restart_ns > 0)
		unit->stall_ns = now_ns - unit->restart_ns;
	unit->restart_ns = 0;
	say(unit, "");
}

void unit_set_duty(struct unit *unit, enum unit_duty duty)
{
	unit->duty = duty;
}

/* It isn't there although it should be. */
static void fail(struct unit *unit, uint64_t now_ns)
{
	if (unit->up_ns > 0 && now_ns - unit->up_ns >= UNIT_HEALTHY_NS)
		unit->crashes = 0;
	unit->up_ns = 0;
	unit->crashes++;
	if (unit->probation || unit->crashes > UNIT_CRASHES_MAX ||
	    unit->faults > UNIT_FAULTS_MAX) {
		unit->state = UNIT_GAVE_UP;
		return;
	}
	unit->state = UNIT_WAITING;
	unit->next_ns = now_ns + unit_delay_ns(unit->crashes);
	unit->restarts++;
}

void unit_start_failed(struct unit *unit, const char *message, uint64_t now_ns)
{
	assert(unit->state == UNIT_WAITING);
	say(unit, message);
	fail(unit, now_ns);
}

void unit_close_answered(struct unit *unit, int status, const char *message,
			 uint64_t now_ns)
{
	if (unit->state != UNIT_CLOSING)
		return;
	if (status == 0) {
		/* It exits by itself now; the time-out is for one that can't.
		 */
		unit->clean = true;
		unit->state = UNIT_ENDING;
		unit->next_ns = now_ns + UNIT_TERMINATE_NS;
		return;
	}
	unit->state = UNIT_UP;
	unit->wanted = true;
	say(unit, message && *message ? message : strerror(-status));
}

void unit_close_unsent(struct unit *unit, const char *message, uint64_t now_ns)
{
	if (unit->state != UNIT_CLOSING)
		return;
	say(unit, message);
	unit->next_ns = now_ns + UNIT_CLOSE_RETRY_NS;
}

static void describe_end(struct unit *unit, struct unit_end end,
			 const char *message)
{
	if (message && *message)
		say(unit, message);
	else if (!end.known)
		say(unit, "its process ended");
	else if (end.signal)
		snprintf(unit->reason, sizeof(unit->reason),
			 "its process was ended by signal %d (%s)", end.signal,
			 strsignal(end.signal));
	else
		snprintf(unit->reason, sizeof(unit->reason),
			 "its process exited with status %d", end.exit_status);
}

/*
 * A process that an error of its own ended may have written anywhere before,
 * and of one that we didn't start nobody knows.
 */
static bool ended_well(struct unit_end end)
{
	return end.known && (end.signal == SIGKILL ||
			     (end.signal == 0 && end.exit_status == 0));
}

/* The kernel ended it for what it did, or it did so itself. */
static bool is_fault(struct unit_end end)
{
	return end.known && (end.signal == SIGSEGV || end.signal == SIGBUS ||
			     end.signal == SIGABRT || end.signal == SIGILL ||
			     end.signal == SIGFPE || end.signal == SIGSYS);
}

static void note_fault(struct unit *unit, struct unit_end end, uint64_t now_ns)
{
	if (unit->up_ns > 0 && now_ns - unit->up_ns >= UNIT_STEADY_NS)
		unit->faults = 0;
	/* What ends it before it serves is no request. */
	if (!is_fault(end) || unit->up_ns == 0)
		return;
	unit->faults++;
	/* It is found sooner or later, and until then that is no loop. */
	if (unit_is_suspicious(unit))
		unit->crashes = 0;
}

/* It was told to end, one way or the other. */
static bool is_asked_to_end(enum unit_state state)
{
	return state == UNIT_CLOSING || state == UNIT_ENDING ||
	       state == UNIT_KILLED || state == UNIT_STUCK;
}

/* The next process only drains; unless there is nothing to. */
static void go_down(struct unit *unit, uint64_t now_ns)
{
	bool kept = unit->kept;

	unit->state = UNIT_DOWN;
	unit->kept = false;
	if (unit->duty == UNIT_DRAINS)
		unit->duty = UNIT_SERVES;
	if (kept)
		unit_keep(unit, now_ns);
}

/* One that has served was ended by an error of its own, and of a filter's it
 * may be. */
static void try_bypass(struct unit *unit, struct unit_end end, bool served,
		       uint64_t now_ns)
{
	if (unit->state != UNIT_GAVE_UP || !end.may_bypass || !is_fault(end) ||
	    !served || unit->bypasses)
		return;
	unit->bypasses = true;
	unit->crashes = 0;
	unit->faults = 0;
	unit->state = UNIT_WAITING;
	unit->next_ns = now_ns;
	unit->restarts++;
}

void unit_exited(struct unit *unit, struct unit_end end, const char *message,
		 uint64_t now_ns)
{
	enum unit_state before = unit->state;
	bool drainer = unit->drainer, served = unit->up_ns > 0;

	assert(unit->pid != 0);
	unit->pid = 0;
	unit->warm = ended_well(end);
	note_fault(unit, end, now_ns);
	unit->drainer = false;
	unit->restart = false;
	/* An exit status says nothing: SIGTERM ends a drain in order, too. */
	if (end.closed)
		unit->clean = true;
	if (unit->clean || before == UNIT_STUCK)
		say(unit, "");
	else if (!is_asked_to_end(before) || before == UNIT_CLOSING)
		describe_end(unit, end, message);
	if (unit->clean)
		unit->kept = false;
	if (unit->kept && drainer && !is_asked_to_end(before)) {
		fail(unit, now_ns);
	} else if (!unit->wanted) {
		go_down(unit, now_ns);
	} else if (is_asked_to_end(before)) {
		/* Wanted again meanwhile: not a crash. */
		unit->state = UNIT_WAITING;
		unit->next_ns = now_ns;
	} else {
		fail(unit, now_ns);
		try_bypass(unit, end, served, now_ns);
	}
}

bool unit_is_suspicious(const struct unit *unit)
{
	return unit->faults >= UNIT_FAULTS_SUSPICIOUS;
}

bool unit_is_settled(const struct unit *unit)
{
	if (unit->state == UNIT_STUCK)
		return true;
	if (unit->kept && unit->state == UNIT_GAVE_UP)
		return true;
	if (unit->wanted)
		return (unit->state == UNIT_UP && !unit->restart) ||
		       unit->state == UNIT_GAVE_UP;
	return unit->state == UNIT_DOWN;
}

const char *unit_state_name(enum unit_state state)
{
	switch (state) {
	case UNIT_DOWN:
		return "stopped";
	case UNIT_WAITING:
		return "restarting";
	case UNIT_STARTING:
		return "starting";
	case UNIT_UP:
		return "running";
	case UNIT_CLOSING:
	case UNIT_ENDING:
	case UNIT_KILLED:
		return "stopping";
	case UNIT_STUCK:
		return "stuck";
	case UNIT_GAVE_UP:
		return "failed";
	}
	return "unknown";
}
