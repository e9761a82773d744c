/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor.c - the thread that starts, adopts, watches and ends processes.
 *
 * The lock is held while deciding and acting, never while waiting. Actions are
 * local and short (fork, kill, a non-blocking send): a hung process can't hold
 * up the thread or anybody who looks.
 *
 * A process that is starting is asked for nothing: what it has to say stands
 * in its status file, which is read again a few times a tenth of a second. It
 * is the same file for a child and for an adopted process, and no event can be
 * missed.
 */
#include "supervisor.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "child.h"
#include "clock.h"
#include "data_plane.h"
#include "fd.h"
#include "file.h"
#include "list.h"
#include "log.h"
#include "process.h"

#define STATUS_INTERVAL_NS (20 * NS_PER_MS)

/* One unit with its process. */
struct watched {
	struct list node;
	char name[SUPERVISOR_NAME_BYTES];
	char *label;
	struct child_spec spec; /* its strings are ours */
	struct unit unit;
	enum unit_state logged; /* last state in the log */
	struct child child;
	int close_fd; /* the answer to `close` comes here; -1 = none due */
	uint64_t adopt_ns; /* look for a starting process again; 0 = no */
};

struct supervisor {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* CLOCK_MONOTONIC */
	pthread_t thread;
	int wake_fd;
	bool stopping;
	struct supervisor_hooks hooks;
	struct list units;
	unsigned int unit_count;
};

static struct watched *watched_of(struct list *node)
{
	return list_entry(node, struct watched, node);
}

static void wake(struct supervisor *supervisor)
{
	uint64_t one = 1;

	if (write(supervisor->wake_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
}

static struct watched *find(struct supervisor *supervisor, const char *name)
{
	list_for_each (node, &supervisor->units) {
		struct watched *watched = watched_of(node);

		if (strcmp(watched->name, name) == 0)
			return watched;
	}
	return NULL;
}

/* -- acting ------------------------------------------------------------- */

static void log_change(struct watched *watched)
{
	const struct unit *unit = &watched->unit;
	enum log_level level = LOG_LEVEL_INFO;

	const char *name = unit_state_name(unit->state);

	if (strcmp(name, unit_state_name(watched->logged)) == 0)
		return;
	watched->logged = unit->state;
	if (unit->state == UNIT_WAITING && unit->crashes > 0)
		level = LOG_LEVEL_WARNING;
	if (unit->state == UNIT_GAVE_UP || unit->state == UNIT_STUCK)
		level = LOG_LEVEL_ERROR;
	log_write(level, "%s: %s%s%s (pid %d)", watched->label, name,
		  unit->reason[0] ? ": " : "", unit->reason, unit->pid);
}

static void adopt(struct watched *watched, uint64_t now_ns)
{
	int result = child_adopt(&watched->spec, &watched->child);
	struct child_report report;

	watched->adopt_ns = 0;
	if (result == 0) {
		child_read_report(&watched->spec, &report);
		unit_adopted(&watched->unit, watched->child.pid,
			     report.state == CHILD_REPORT_DRAINING);
		log_info("%s: found its process %d", watched->label,
			 watched->child.pid);
	} else if (result == -EAGAIN) {
		watched->adopt_ns = now_ns + STATUS_INTERVAL_NS;
	}
}

static void start(struct watched *watched, uint64_t now_ns)
{
	struct error error = {0};
	int result = child_start(&watched->spec, &watched->unit,
				 &watched->child, &error);

	if (result == 0)
		unit_started(&watched->unit, watched->child.pid);
	else if (result == -EBUSY)
		watched->adopt_ns = now_ns;
	else
		unit_start_failed(&watched->unit, error.message, now_ns);
}

static void send_close(struct watched *watched, uint64_t now_ns)
{
	json_auto_t *parameters = json_pack("{s:b}", "drain", true);

	watched->close_fd = data_plane_send(watched->spec.control_socket,
					    "close", parameters);
	if (watched->close_fd >= 0)
		return;
	watched->close_fd = -1;
	unit_close_unsent(&watched->unit,
			  "its process does not answer; asking again", now_ns);
}

static void act(struct watched *watched, enum unit_action action,
		uint64_t now_ns)
{
	switch (action) {
	case UNIT_NOTHING:
		break;
	case UNIT_START:
		start(watched, now_ns);
		break;
	case UNIT_CLOSE:
		send_close(watched, now_ns);
		break;
	case UNIT_TERMINATE:
		process_signal(watched->child.pidfd, SIGTERM);
		break;
	case UNIT_KILL:
		process_signal(watched->child.pidfd, SIGKILL);
		break;
	}
}

/* -- facts -------------------------------------------------------------- */

static void read_status(struct watched *watched, uint64_t now_ns)
{
	struct child_report report;

	child_read_report(&watched->spec, &report);
	switch (report.state) {
	case CHILD_REPORT_OPENING:
	case CHILD_REPORT_DRAINING:
		unit_opening(&watched->unit, report.message);
		break;
	case CHILD_REPORT_READY:
	case CHILD_REPORT_PARKED:
		unit_set_duty(&watched->unit, report.duty);
		unit_ready(&watched->unit, now_ns);
		break;
	case CHILD_REPORT_PARKING:
	case CHILD_REPORT_FAILED:
	case CHILD_REPORT_CLOSED:
	case CHILD_REPORT_NONE:
		/* Its end will come, too. */
		break;
	}
}

static void take_close_answer(struct supervisor *supervisor,
			      struct watched *watched, uint64_t now_ns)
{
	json_auto_t *result = NULL;
	struct error error = {0};
	int status = data_plane_receive(watched->close_fd, &result, &error);

	watched->close_fd = fd_close(watched->close_fd);
	/*
	 * It died, and says so by its end, which comes as well; or it had no
	 * memory for the request or the answer.
	 */
	if (status == -ECONNRESET)
		error_set(&error, status, "its process hung up; asking again");
	if (status == -ECONNRESET || status == -EBUSY || status == -EAGAIN) {
		unit_close_unsent(&watched->unit, error.message, now_ns);
		return;
	}
	unit_close_answered(&watched->unit, status, error.message, now_ns);
	if (status < 0)
		supervisor->hooks.close_refused(supervisor->hooks.owner,
						watched->name);
}

static void take_end(struct supervisor *supervisor, struct watched *watched,
		     uint64_t now_ns)
{
	struct child_report report;
	bool drainer = watched->unit.drainer;
	struct unit_end end = child_reap(&watched->child);
	const char *message = NULL;

	/* The answer to a close may have come with the end. */
	if (watched->close_fd >= 0)
		take_close_answer(supervisor, watched, now_ns);
	child_read_report(&watched->spec, &report);
	if (report.state == CHILD_REPORT_FAILED)
		message = report.message;
	/* It may have been so for less than our look at it took to come. */
	if (report.was_ready)
		unit_ready(&watched->unit, now_ns);
	end.closed = report.state == CHILD_REPORT_CLOSED;
	end.may_bypass = supervisor->hooks.may_bypass(supervisor->hooks.owner,
						      watched->name);
	/* As it was, if it has said nothing of that. */
	if (report.duty != UNIT_SERVES || report.state == CHILD_REPORT_READY)
		unit_set_duty(&watched->unit, report.duty);
	unit_exited(&watched->unit, end, message, now_ns);
	/* Now: the next start may follow at once, and has other words. */
	log_change(watched);
	/*
	 * One that was parked held nothing. One that drained is started again
	 * by its unit, or was let go.
	 */
	if (supervisor->hooks.ended(supervisor->hooks.owner, watched->name,
				    watched->unit.clean) &&
	    !drainer && watched->unit.state == UNIT_DOWN &&
	    watched->unit.duty == UNIT_SERVES)
		unit_keep(&watched->unit, now_ns);
}

/* Does what there is to do now. Returns: when to come again at the latest. */
static uint64_t converge(struct watched *watched, uint64_t now_ns)
{
	uint64_t wake_ns = UNIT_NEVER;

	if (watched->adopt_ns && now_ns >= watched->adopt_ns)
		adopt(watched, now_ns);
	if (watched->adopt_ns)
		return watched->adopt_ns;
	if (watched->unit.state == UNIT_STARTING)
		read_status(watched, now_ns);
	act(watched, unit_decide(&watched->unit, now_ns, &wake_ns), now_ns);
	/* The action has changed something: what comes next? */
	unit_decide(&watched->unit, now_ns - 1, &wake_ns);
	if (watched->unit.state == UNIT_STARTING || watched->adopt_ns)
		wake_ns = now_ns + STATUS_INTERVAL_NS;
	log_change(watched);
	return wake_ns;
}

/* -- the thread --------------------------------------------------------- */

struct poll_set {
	struct pollfd *polls; /* [0] = wake_fd, then two for each unit */
	size_t room;
};

static size_t fill_polls(struct supervisor *supervisor, struct poll_set *set)
{
	size_t count = 1 + 2 * (size_t)supervisor->unit_count, at = 1;

	if (count > set->room) {
		struct pollfd *polls =
			reallocarray(set->polls, count, sizeof(*polls));

		if (!polls)
			return 0;
		set->polls = polls;
		set->room = count;
	}
	assert(set->polls);
	set->polls[0] = (struct pollfd){supervisor->wake_fd, POLLIN, 0};
	list_for_each (node, &supervisor->units) {
		struct watched *watched = watched_of(node);
		int pidfd = watched->child.pid > 0 ? watched->child.pidfd : -1;

		set->polls[at++] = (struct pollfd){pidfd, POLLIN, 0};
		set->polls[at++] =
			(struct pollfd){watched->close_fd, POLLIN, 0};
	}
	return count;
}

static bool is_ready(int fd)
{
	struct pollfd ask = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&ask, 1, 0) > 0;
}

/* One pass over all units. Returns: how long to sleep, in ms. */
static int turn(struct supervisor *supervisor)
{
	uint64_t now_ns = clock_monotonic_ns(), wake_ns = UNIT_NEVER;

	list_for_each (node, &supervisor->units) {
		struct watched *watched = watched_of(node);
		uint64_t next_ns;

		if (watched->child.pid > 0 && is_ready(watched->child.pidfd))
			take_end(supervisor, watched, now_ns);
		else if (is_ready(watched->close_fd))
			take_close_answer(supervisor, watched, now_ns);
		next_ns = converge(watched, now_ns);
		if (next_ns < wake_ns)
			wake_ns = next_ns;
	}
	pthread_cond_broadcast(&supervisor->changed);
	if (wake_ns == UNIT_NEVER)
		return -1;
	return wake_ns <= now_ns ? 0
				 : (int)((wake_ns - now_ns) / NS_PER_MS) + 1;
}

static void *run(void *argument)
{
	struct supervisor *supervisor = argument;
	struct poll_set set = {0};
	uint64_t woken;

	pthread_mutex_lock(&supervisor->lock);
	while (!supervisor->stopping) {
		int timeout_ms = turn(supervisor);
		size_t count = fill_polls(supervisor, &set);

		pthread_mutex_unlock(&supervisor->lock);
		if (count == 0)
			timeout_ms = 100;
		poll(set.polls, count, timeout_ms);
		while (read(supervisor->wake_fd, &woken, sizeof(woken)) > 0)
			continue;
		pthread_mutex_lock(&supervisor->lock);
	}
	pthread_mutex_unlock(&supervisor->lock);
	free(set.polls);
	return NULL;
}

/* -- units -------------------------------------------------------------- */

static void watched_free(struct watched *watched)
{
	if (!watched)
		return;
	child_release(&watched->child);
	fd_close(watched->close_fd);
	for (unsigned int i = 0; i < CHILD_ARGUMENTS_MAX; i++)
		free((char *)watched->spec.arguments[i]);
	free((char *)watched->spec.folder);
	free((char *)watched->spec.log_path);
	free((char *)watched->spec.control_socket);
	free(watched->label);
	free(watched);
}

/* Returns: whether all strings could be copied. */
static bool copy_spec(struct watched *watched,
		      const struct supervisor_spec *spec)
{
	bool copied;

	watched->label = strdup(spec->label);
	watched->spec.folder = strdup(spec->folder);
	watched->spec.log_path = strdup(spec->log_path);
	watched->spec.control_socket = strdup(spec->control_socket);
	copied = watched->label && watched->spec.folder &&
		 watched->spec.log_path && watched->spec.control_socket;
	for (unsigned int i = 0; spec->arguments[i]; i++) {
		assert(i + 1 < CHILD_ARGUMENTS_MAX);
		watched->spec.arguments[i] = strdup(spec->arguments[i]);
		copied = copied && watched->spec.arguments[i];
	}
	return copied;
}

static struct watched *watched_new(const struct supervisor_spec *spec)
{
	struct watched *watched = calloc(1, sizeof(*watched));

	if (!watched)
		return NULL;
	watched->close_fd = -1;
	unit_init(&watched->unit, spec->drains);
	snprintf(watched->name, sizeof(watched->name), "%s", spec->name);
	if (!copy_spec(watched, spec)) {
		watched_free(watched);
		return NULL;
	}
	return watched;
}

/* What happened while no forebayd ran. */
static void catch_up(struct supervisor *supervisor, struct watched *watched)
{
	struct child_report report;

	adopt(watched, clock_monotonic_ns());
	if (watched->child.pid > 0 || watched->adopt_ns)
		return;
	child_read_report(&watched->spec, &report);
	unit_set_duty(&watched->unit, report.duty);
	if (report.state == CHILD_REPORT_CLOSED)
		supervisor->hooks.ended(supervisor->hooks.owner, watched->name,
					true);
}

int supervisor_add(struct supervisor *supervisor,
		   const struct supervisor_spec *spec, struct error *error)
{
	struct watched *watched;
	int result = file_make_directory(spec->folder, 0755);

	if (result < 0)
		return error_set(error, result, "folder %s can't be made: %s",
				 spec->folder, strerror(-result));
	watched = watched_new(spec);
	if (!watched)
		return error_set(error, -ENOMEM, "%s: out of memory",
				 spec->label);
	pthread_mutex_lock(&supervisor->lock);
	if (find(supervisor, spec->name)) {
		result = error_set(error, -EEXIST, "%s is known already",
				   spec->label);
		watched_free(watched);
	} else {
		catch_up(supervisor, watched);
		if (spec->wanted)
			unit_want_up(&watched->unit, false,
				     clock_monotonic_ns());
		else if (spec->kept && watched->unit.duty == UNIT_SERVES)
			unit_keep(&watched->unit, clock_monotonic_ns());
		list_append(&supervisor->units, &watched->node);
		supervisor->unit_count++;
		wake(supervisor);
	}
	pthread_mutex_unlock(&supervisor->lock);
	return result;
}

int supervisor_remove(struct supervisor *supervisor, const char *name)
{
	struct watched *watched;
	int result = 0;

	pthread_mutex_lock(&supervisor->lock);
	watched = find(supervisor, name);
	if (!watched) {
		result = -ENOENT;
	} else if (watched->unit.state != UNIT_DOWN || watched->adopt_ns) {
		result = -EBUSY;
	} else {
		list_remove(&watched->node);
		supervisor->unit_count--;
		watched_free(watched);
	}
	pthread_mutex_unlock(&supervisor->lock);
	return result;
}

/* What somebody wants of a unit. */
enum want {
	WANT_UP,
	WANT_UP_ON_PROBATION,
	WANT_INCOMING,
	WANT_DOWN,
	WANT_RESTART,
	WANT_KEPT,
	WANT_DRAINED,
	WANT_HELD,
	WANT_RELEASED,
};

static int apply(struct unit *unit, enum want want)
{
	uint64_t now_ns = clock_monotonic_ns();

	switch (want) {
	case WANT_UP:
	case WANT_UP_ON_PROBATION:
		/* Who opens it here says that its VM isn't elsewhere. */
		if (unit->state == UNIT_DOWN || unit->state == UNIT_GAVE_UP)
			unit_set_duty(unit, UNIT_SERVES);
		unit_want_up(unit, want == WANT_UP_ON_PROBATION, now_ns);
		return 0;
	case WANT_INCOMING:
		unit_want_incoming(unit, now_ns);
		return 0;
	case WANT_DOWN:
		unit_want_down(unit);
		return 0;
	case WANT_RESTART:
		return unit_restart(unit, now_ns);
	case WANT_KEPT:
		unit_keep(unit, now_ns);
		return 0;
	case WANT_DRAINED:
		unit_want_drained(unit, now_ns);
		return 0;
	case WANT_HELD:
		unit_want_held(unit);
		return 0;
	case WANT_RELEASED:
		unit_release(unit);
		return 0;
	}
	return 0;
}

static int want(struct supervisor *supervisor, const char *name, enum want want)
{
	struct watched *watched;
	int result = -ENOENT;

	pthread_mutex_lock(&supervisor->lock);
	watched = find(supervisor, name);
	if (watched)
		result = apply(&watched->unit, want);
	wake(supervisor);
	pthread_mutex_unlock(&supervisor->lock);
	return result;
}

int supervisor_want_up(struct supervisor *supervisor, const char *name,
		       bool probation)
{
	return want(supervisor, name,
		    probation ? WANT_UP_ON_PROBATION : WANT_UP);
}

int supervisor_want_incoming(struct supervisor *supervisor, const char *name)
{
	return want(supervisor, name, WANT_INCOMING);
}

int supervisor_want_down(struct supervisor *supervisor, const char *name)
{
	return want(supervisor, name, WANT_DOWN);
}

int supervisor_keep(struct supervisor *supervisor, const char *name)
{
	return want(supervisor, name, WANT_KEPT);
}

int supervisor_want_drained(struct supervisor *supervisor, const char *name)
{
	return want(supervisor, name, WANT_DRAINED);
}

int supervisor_want_held(struct supervisor *supervisor, const char *name)
{
	return want(supervisor, name, WANT_HELD);
}

int supervisor_release(struct supervisor *supervisor, const char *name)
{
	return want(supervisor, name, WANT_RELEASED);
}

int supervisor_restart(struct supervisor *supervisor, const char *name)
{
	return want(supervisor, name, WANT_RESTART);
}

int supervisor_look(struct supervisor *supervisor, const char *name,
		    struct unit *ret_unit)
{
	struct watched *watched;

	pthread_mutex_lock(&supervisor->lock);
	watched = find(supervisor, name);
	if (watched)
		*ret_unit = watched->unit;
	pthread_mutex_unlock(&supervisor->lock);
	return watched ? 0 : -ENOENT;
}

static int wait_locked(struct supervisor *supervisor, const char *name,
		       const struct timespec *deadline, struct unit *ret_unit)
{
	int result = 0;

	for (;;) {
		/* Looked up each time: it may be removed while we wait. */
		struct watched *watched = find(supervisor, name);

		if (!watched)
			return -ENOENT;
		*ret_unit = watched->unit;
		if (unit_is_settled(&watched->unit) && !watched->adopt_ns)
			return 0;
		if (supervisor->stopping)
			return -ECANCELED;
		if (result == ETIMEDOUT)
			return -ETIMEDOUT;
		result = pthread_cond_timedwait(&supervisor->changed,
						&supervisor->lock, deadline);
	}
}

int supervisor_wait(struct supervisor *supervisor, const char *name,
		    uint64_t timeout_ns, struct unit *ret_unit)
{
	uint64_t deadline_ns = clock_monotonic_ns() + timeout_ns;
	struct timespec deadline = {
		.tv_sec = (time_t)(deadline_ns / NS_PER_SECOND),
		.tv_nsec = (long)(deadline_ns % NS_PER_SECOND),
	};
	int result;

	pthread_mutex_lock(&supervisor->lock);
	result = wait_locked(supervisor, name, &deadline, ret_unit);
	pthread_mutex_unlock(&supervisor->lock);
	return result;
}

/* -- life --------------------------------------------------------------- */

static void free_all(struct supervisor *supervisor)
{
	list_for_each_safe (node, &supervisor->units)
		watched_free(watched_of(node));
	fd_close(supervisor->wake_fd);
	pthread_cond_destroy(&supervisor->changed);
	pthread_mutex_destroy(&supervisor->lock);
	free(supervisor);
}

int supervisor_create(const struct supervisor_hooks *hooks,
		      struct supervisor **ret_supervisor, struct error *error)
{
	struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
	pthread_condattr_t attributes;
	int result;

	if (!supervisor)
		return error_set(error, -ENOMEM, "supervisor: out of memory");
	supervisor->hooks = *hooks;
	list_init(&supervisor->units);
	pthread_mutex_init(&supervisor->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&supervisor->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	supervisor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	result = supervisor->wake_fd < 0 ? errno : 0;
	if (result == 0)
		result = pthread_create(&supervisor->thread, NULL, run,
					supervisor);
	if (result != 0) {
		free_all(supervisor);
		return error_set(error, -result, "supervisor: %s",
				 strerror(result));
	}
	*ret_supervisor = supervisor;
	return 0;
}

void supervisor_stop(struct supervisor *supervisor)
{
	pthread_mutex_lock(&supervisor->lock);
	supervisor->stopping = true;
	pthread_cond_broadcast(&supervisor->changed);
	wake(supervisor);
	pthread_mutex_unlock(&supervisor->lock);
}

void supervisor_destroy(struct supervisor *supervisor)
{
	if (!supervisor)
		return;
	supervisor_stop(supervisor);
	pthread_join(supervisor->thread, NULL);
	free_all(supervisor);
}
