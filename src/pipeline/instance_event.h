/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_event.h - one filter's turn at a lifecycle event.
 *
 *   told --event_end()--> ended(status)
 *     `---deadline------> late: nobody waits; told of nothing more until
 *                         event_end() comes after all
 */
#ifndef FOREBAY_PIPELINE_INSTANCE_EVENT_H
#define FOREBAY_PIPELINE_INSTANCE_EVENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "forebay/filter.h"

/* What the filter ends; part of its instance. */
struct forebay_event_end {
	bool due;
	bool late;
	enum forebay_event_kind kind;
	enum forebay_event_phase phase;
	uint64_t since_ns;
	void (*ended)(void *owner, int status);
	void *owner;
};

/* Whether the filter is open and wants to be told of @kind. */
bool instance_event_wanted(const struct forebay_instance *instance,
			   enum forebay_event_kind kind);
/*
 * Order: ended() may be called before this returns. Returns: 0, or -EBUSY: the
 * filter is late with another, and isn't told.
 */
int instance_event(struct forebay_instance *instance,
		   const struct forebay_event *event,
		   void (*ended)(void *owner, int status), void *owner);
/* The deadline has passed: ended() won't be called. */
void instance_event_late(struct forebay_instance *instance);
/* What the filter may read now: in force, or what it is asked about. */
const struct properties *instance_properties(
	const struct forebay_instance *instance);
/* For the host table. */
void instance_event_end(struct forebay_event_end *end, int status);
/* {kind, phase, stuck, since_ms}, or null. Owns: the caller. */
json_t *instance_event_document(const struct forebay_instance *instance);

#endif
