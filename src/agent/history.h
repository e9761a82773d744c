/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h - what happened to each disk, the last HISTORY_ENTRIES_MAX of it.
 *
 *	process: appends to run/disks/ID/events ---take--,
 *	                                                 v
 *	a request: what an operator asked for ---note--> store:
 *history/ID/NUMBER history-heads/ID
 *
 * A process writes whether forebayd runs or not. forebayd takes over when a
 * process ends, when somebody asks, when it starts and every few seconds. The
 * head says how far it has read, in the transaction that adds what it read, so
 * that a record is taken once.
 *
 * Threads: any.
 */
#ifndef FOREBAY_AGENT_HISTORY_H
#define FOREBAY_AGENT_HISTORY_H

#include <jansson.h>

#include "agent.h"
#include "problem.h"

#define HISTORY_ENTRIES_MAX 1000u

/*
 * What came of something that an operator asked for. @result: 0, or negative:
 * then @problem says why. @more: further members, or NULL. Owns: takes @more.
 */
void history_note(struct agent *agent, const char *reference, const char *kind,
		  int result, const struct problem *problem, json_t *more);
/* Reads on in what the disk's process has written. */
void history_take(struct agent *agent, const char *id);
/* The same for all disks. */
void history_take_all(struct agent *agent);
/* Of a disk that is no more. */
void history_forget(struct agent *agent, const char *id);

/* {disk, items}: entries in order of time, the oldest first. */
int history_show(struct agent *agent, const char *reference,
		 json_t **ret_history, struct problem *problem);

#endif
