/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_hold.h - the verbs `disk flush --hold` and `disk release`.
 *
 * The cache filter holds, and forgets it when its process ends. That a hold was
 * asked for stands in the store until somebody has released it, so that what a
 * process took with it is told as lost, by whichever forebayd.
 */
#ifndef FOREBAY_AGENT_DISK_HOLD_H
#define FOREBAY_AGENT_DISK_HOLD_H

#include <jansson.h>
#include <stdbool.h>

#include "agent.h"
#include "disk.h"
#include "problem.h"

/* Of seconds. */
#define DISK_HOLD_TIMEOUT_DEFAULT 600u
#define DISK_HOLD_TIMEOUT_MAX (7u * 24 * 60 * 60)

/* @body: {timeout_s} or NULL. It has begun; the disk's view says how far it is.
 */
int disk_hold(struct agent *agent, const char *reference, const json_t *body,
	      struct problem *problem);
/* A problem if the backend didn't stay as it was held until now. */
int disk_release(struct agent *agent, const char *reference,
		 struct problem *problem);
/*
 * What the API says of disk @id's hold: an object or null, a new value.
 * @runs: it has a process; @stats: that process's answer, or NULL.
 */
json_t *disk_hold_view(struct agent *agent, const char *id, bool runs,
		       const json_t *stats);
/* Refuses what would end a hold that stands. */
int disk_hold_check(struct agent *agent, const struct disk *disk,
		    struct problem *problem);
/* The disk is forgotten. */
void disk_hold_forget(struct agent *agent, const char *id);

#endif
