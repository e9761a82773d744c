/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipeline_event.h - a lifecycle event goes round the filters of a disk.
 *
 *   pipeline_event_pre -> done(0)  -> it happens      -> pipeline_event_post
 *                                  `- it doesn't      -> pipeline_event_undo
 *                      `> done(-errno): a filter refused or was late, those
 *                         before it have been told UNDO, and it is over
 *
 * The owner has the event from the first call until the last done(), and must
 * not touch it in between. POST and UNDO may go to another pipeline of the disk
 * than PRE did. Events of a pipeline go round one after the other; a phase that
 * no filter wants to be told of takes no step of the loop. While one is under
 * way the pipeline can't be closed.
 */
#ifndef FOREBAY_PIPELINE_PIPELINE_EVENT_H
#define FOREBAY_PIPELINE_PIPELINE_EVENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "event_round.h"
#include "list.h"
#include "loop.h"
#include "pipeline.h"

/* Zero it, then fill in the first part. */
struct pipeline_event {
	enum forebay_event_kind kind;
	enum forebay_vm vm;
	const char *name; /* NULL: "" */
	uint64_t size_bytes; /* 0: the disk's */
	uint64_t deadline_ns; /* of a filter in a phase; 0: the kind's */
	/* May be NULL. Order: maybe before the call that begins the phase
	 * returns. */
	void (*done)(struct pipeline_event *event, int status);
	void *owner;

	/*
	 * What the filters said so far: {filter, phase, outcome, reason, ms},
	 * where outcome is done, refused, failed, late or stuck.
	 */
	json_t *results;
	struct error error; /* code 0; or -EPERM: who refuses, and why */
	/* The last phase: what the event came to. */
	enum forebay_event_phase ended_with;

	/* The pipeline's, within a phase. */
	struct list node;
	struct pipeline *pipeline;
	struct event_round round;
	uint32_t filters; /* a mask of those concerned; 0: all */
	bool telling;
	uint64_t told_ns;
	struct loop_timer deadline;
};

void pipeline_event_pre(struct pipeline *pipeline,
			struct pipeline_event *event);
void pipeline_event_post(struct pipeline *pipeline,
			 struct pipeline_event *event);
void pipeline_event_undo(struct pipeline *pipeline,
			 struct pipeline_event *event);
/* No filter is attached to the disk any more, as far as can be noted. */
void pipeline_detach(struct pipeline *pipeline);
/* What was allocated on the way. */
void pipeline_event_release(struct pipeline_event *event);

#endif
