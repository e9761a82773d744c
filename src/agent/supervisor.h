/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor.h - keeps the data-plane processes as they are wanted.
 *
 * One thread of its own compares what is wanted with what is, and acts (unit.h
 * decides). Others say what they want, look, and wait with a deadline. Ending
 * the supervisor ends no process; the next one adopts them.
 */
#ifndef FOREBAY_AGENT_SUPERVISOR_H
#define FOREBAY_AGENT_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "unit.h"

#define SUPERVISOR_NAME_BYTES 64u

struct supervisor;

/* How to run a process. Strings are copied. */
struct supervisor_spec {
	const char *name; /* unique */
	const char *label; /* for the log: "disk d1" */
	const char *folder; /* its own, under run/; made here */
	const char *log_path;
	const char *control_socket;
	const char *const *arguments; /* [0] = the program; ends with NULL */
	bool drains; /* understands the method `close` */
	/* From the start, or an adopted process would be ended at once. */
	bool wanted;
	bool kept; /* or this: see unit_keep() */
};

/* Run under the supervisor's lock: they may use the store, but not it. */
struct supervisor_hooks {
	/*
	 * A process has ended; @clean: closed, nothing left to write back.
	 * Returns: whether it must be kept until there is nothing.
	 */
	bool (*ended)(void *owner, const char *name, bool clean);
	/* Whether there are filters that it may be served without. */
	bool (*may_bypass)(void *owner, const char *name);
	/* A process could not close and stays up. */
	void (*close_refused)(void *owner, const char *name);
	void *owner;
};

int supervisor_create(const struct supervisor_hooks *hooks,
		      struct supervisor **ret_supervisor, struct error *error);
/* Ends all waits with -ECANCELED. Call before the callers' threads are joined.
 */
void supervisor_stop(struct supervisor *supervisor);
/* Ends the thread. The processes run on. NULL is fine. */
void supervisor_destroy(struct supervisor *supervisor);

/*
 * Makes a unit known, and adopts its process if one runs.
 * Returns: 0, -EEXIST, -ENOMEM or why its folder can't be made.
 */
int supervisor_add(struct supervisor *supervisor,
		   const struct supervisor_spec *spec, struct error *error);
/* Forgets a unit that has no process. Returns: 0, -ENOENT or -EBUSY. */
int supervisor_remove(struct supervisor *supervisor, const char *name);

/* As unit_want_up() and unit_want_down(). Returns: 0 or -ENOENT. */
int supervisor_want_up(struct supervisor *supervisor, const char *name,
		       bool probation);
/* As unit_keep(), unit_want_drained(), unit_want_held() and unit_release(). */
int supervisor_keep(struct supervisor *supervisor, const char *name);
int supervisor_want_held(struct supervisor *supervisor, const char *name);
int supervisor_want_drained(struct supervisor *supervisor, const char *name);
int supervisor_release(struct supervisor *supervisor, const char *name);
int supervisor_want_incoming(struct supervisor *supervisor, const char *name);
int supervisor_want_down(struct supervisor *supervisor, const char *name);
/* As unit_restart(), or -ENOENT. */
int supervisor_restart(struct supervisor *supervisor, const char *name);

/* Returns: 0 or -ENOENT. */
int supervisor_look(struct supervisor *supervisor, const char *name,
		    struct unit *ret_unit);
/*
 * Waits until the unit is settled (unit.h).
 * Returns: 0, -ETIMEDOUT, -ECANCELED or -ENOENT; the first two fill @ret_unit.
 */
int supervisor_wait(struct supervisor *supervisor, const char *name,
		    uint64_t timeout_ns, struct unit *ret_unit);

#endif
