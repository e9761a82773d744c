/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.h - one data-plane process: started, found again, reaped.
 *
 * Each has a folder of its own under run/, with two files:
 *
 *   lock     locked by the process as long as it lives, because it inherits
 *            the open file that forebayd locked; holds its pid and start time
 *   status   what it wrote to --status-fd: JSON lines, the last one counts
 *
 * So there is never a second process for a folder, and a new forebayd finds
 * the one that runs without its help, even if it is stopped or hangs.
 *
 * Thread: any; one at a time for a folder.
 */
#ifndef FOREBAY_AGENT_CHILD_H
#define FOREBAY_AGENT_CHILD_H

#include <sys/types.h>

#include "error.h"
#include "unit.h"

#define CHILD_ARGUMENTS_MAX 16u

struct child_spec {
	const char *folder; /* absolute, exists */
	const char *log_path; /* its standard output and error; appended to */
	const char *control_socket; /* that it listens on */
	/* [0] is the program's absolute path; ends with NULL. --status-fd is
	 * added. */
	const char *arguments[CHILD_ARGUMENTS_MAX];
};

struct child {
	pid_t pid; /* 0 = none */
	int pidfd; /* readable when it has ended */
};

enum child_report_state {
	CHILD_REPORT_NONE, /* nothing yet, or nothing that we know */
	CHILD_REPORT_OPENING,
	CHILD_REPORT_READY,
	CHILD_REPORT_PARKING, /* started so: it hasn't said anything yet */
	CHILD_REPORT_PARKED, /* ready, its disk's VM is elsewhere */
	CHILD_REPORT_DRAINING, /* for nobody: it was started so */
	CHILD_REPORT_FAILED,
	CHILD_REPORT_CLOSED, /* its last words: drained, all is safe */
};

struct child_report {
	enum child_report_state state;
	enum unit_duty duty; /* serves, unless it says otherwise */
	bool was_ready; /* it is, or was before what it says now */
	char message[UNIT_REASON_BYTES]; /* or the reason; may be empty */
};

/*
 * By the unit's duty it gets --incoming, --handed-over or --drain, and the
 * status file says so from the start; --warm if the process before ended well.
 * Returns: 0; -EBUSY if a process has the folder's lock (adopt it); or why it
 * could not be started.
 */
int child_start(const struct child_spec *spec, const struct unit *unit,
		struct child *ret_child, struct error *error);
/*
 * Finds the process that an earlier forebayd started.
 * Returns: 0; -ENOENT if none runs; -EAGAIN if one runs that can't be named
 * yet.
 */
int child_adopt(const struct child_spec *spec, struct child *ret_child);
/* After pidfd became readable. The process is gone and @child is zeroed. */
struct unit_end child_reap(struct child *child);
/* Forgets the process and lets it run. A zeroed one is fine. */
void child_release(struct child *child);
/* The last thing it said about itself. */
void child_read_report(const struct child_spec *spec,
		       struct child_report *ret_report);

#endif
