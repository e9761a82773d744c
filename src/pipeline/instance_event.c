// SPDX-License-Identifier: Apache-2.0
/* instance_event.c - see instance_event.h. On the disk's loop. */
#include "instance_event.h"

#include <assert.h>
#include <errno.h>

#include "clock.h"
#include "event_kind.h"
#include "instance.h"
#include "list.h"
#include "log.h"
#include "loop.h"

bool instance_event_wanted(const struct forebay_instance *instance,
			   enum forebay_event_kind kind)
{
	return instance->phase == INSTANCE_OPEN &&
	       (instance->filter->events & FOREBAY_EVENT_BIT(kind)) != 0;
}

int instance_event(struct forebay_instance *instance,
		   const struct forebay_event *event,
		   void (*ended)(void *owner, int status), void *owner)
{
	struct forebay_event_end *end = &instance->event;
	const struct running_place *before;

	if (end->due)
		return -EBUSY;
	*end = (struct forebay_event_end){
		.due = true,
		.kind = event->kind,
		.phase = event->phase,
		.since_ns = loop_now_ns(instance->home->loop),
		.ended = ended,
		.owner = owner,
	};
	instance->explanation.code = 0;
	before = instance_enter(instance, RUNNING_EVENT);
	instance->filter->event(instance->state, event, end);
	running_leave(before);
	return 0;
}

void instance_event_late(struct forebay_instance *instance)
{
	assert(instance->event.due);
	instance->event.late = true;
}

void instance_event_end(struct forebay_event_end *end, int status)
{
	struct forebay_instance *instance =
		container_of(end, struct forebay_instance, event);

	if (!end->due)
		running_misuse(instance->filter->name, "event_end()",
			       "for the second time");
	if (status > 0)
		running_misuse(instance->filter->name, "event_end()",
			       "with a positive status");
	end->due = false;
	if (!end->late) {
		end->ended(end->owner, status);
		return;
	}
	log_warning("filter %s has ended %s of event %s, too late",
		    instance->filter->name, event_phase_name(end->phase),
		    event_kind(end->kind)->name);
}

const struct properties *instance_properties(
	const struct forebay_instance *instance)
{
	const struct forebay_event_end *end = &instance->event;
	bool asked = end->due && !end->late &&
		     end->kind == FOREBAY_EVENT_PROPERTIES &&
		     end->phase == FOREBAY_EVENT_PRE;

	return asked ? instance->proposed : instance->properties;
}

json_t *instance_event_document(const struct forebay_instance *instance)
{
	const struct forebay_event_end *end = &instance->event;
	uint64_t now_ns = loop_now_ns(instance->home->loop);

	if (!end->due)
		return json_null();
	return json_pack(
		"{s:s, s:s, s:b, s:I}", "kind", event_kind(end->kind)->name,
		"phase", event_phase_name(end->phase), "stuck", end->late,
		"since_ms", (json_int_t)((now_ns - end->since_ns) / NS_PER_MS));
}
