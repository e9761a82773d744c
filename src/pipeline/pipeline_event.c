// SPDX-License-Identifier: Apache-2.0
/*
 * pipeline_event.c - tells filters what event_round.c decides, with deadlines.
 *
 * On the disk's loop. A filter may end its turn inside event(): then the loop
 * in tell_all() goes on, and not a deeper call of it.
 */
#include "pipeline_event.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "clock.h"
#include "event_kind.h"
#include "log.h"
#include "pipeline_object.h"

static_assert(PIPELINE_FILTERS_MAX <= EVENT_ROUND_FILTERS_MAX,
	      "a bit for each filter");

static struct forebay_instance *asked(const struct pipeline_event *event)
{
	return event->pipeline->instances[event->round.asked];
}

/* One line of what the history shows; without memory it shows less. */
static void note(struct pipeline_event *event, const char *outcome,
		 const char *reason)
{
	uint64_t now_ns = loop_now_ns(event->pipeline->home.loop);

	if (!event->results)
		event->results = json_array();
	json_array_append_new(
		event->results,
		json_pack("{s:s, s:s, s:s, s:s?, s:I}", "filter",
			  asked(event)->filter->name, "phase",
			  event_phase_name(event->round.phase), "outcome",
			  outcome, "reason", reason, "ms",
			  (json_int_t)((now_ns - event->told_ns) / NS_PER_MS)));
}

/* The event fails for all: in words for whoever asked for it. */
static void explain(struct pipeline_event *event, const char *outcome,
		    const char *reason)
{
	error_set(&event->error, -EPERM, "filter %s %s %s of disk %s: %s",
		  asked(event)->filter->name, outcome,
		  event_kind(event->kind)->name, event->pipeline->name, reason);
}

static void take_failure(struct pipeline_event *event, const char *outcome,
			 const char *reason)
{
	bool refuses = event->round.refusable &&
		       event->round.phase == FOREBAY_EVENT_PRE;

	note(event, outcome, reason);
	if (refuses)
		explain(event,
			strcmp(outcome, "refused") == 0 ? "refuses"
							: "holds up",
			reason);
	log_warning("disk %s: filter %s, %s of event %s: %s: %s",
		    event->pipeline->name, asked(event)->filter->name,
		    event_phase_name(event->round.phase),
		    event_kind(event->kind)->name, outcome, reason);
}

static void tell_all(struct pipeline_event *event);

static void on_ended(void *owner, int status)
{
	struct pipeline_event *event = owner;
	const struct forebay_instance *instance = asked(event);
	const char *reason = instance->explanation.code != 0
				     ? instance->explanation.message
				     : strerror(-status);
	bool refuses = event->round.refusable &&
		       event->round.phase == FOREBAY_EVENT_PRE;

	loop_timer_cancel(event->pipeline->home.loop, &event->deadline);
	if (status == 0)
		note(event, "done", NULL);
	else
		take_failure(event, refuses ? "refused" : "failed", reason);
	event_round_answer(&event->round, status);
	tell_all(event);
}

static void on_deadline(struct loop_timer *timer)
{
	struct pipeline_event *event = timer->owner;

	instance_event_late(asked(event));
	take_failure(event, "late", "its time is over");
	event_round_answer(&event->round, -ETIMEDOUT);
	tell_all(event);
}

static void tell(struct pipeline_event *event)
{
	struct pipeline *pipeline = event->pipeline;
	struct loop *loop = pipeline->home.loop;
	uint64_t limit_ns = event->deadline_ns
				    ? event->deadline_ns
				    : event_kind(event->kind)->deadline_ns;
	const struct forebay_event told = {
		.struct_size = sizeof(told),
		.kind = event->kind,
		.phase = event->round.phase,
		.vm = event->vm,
		.deadline_ns = loop_now_ns(loop) + limit_ns,
		.size_bytes = event->size_bytes
				      ? event->size_bytes
				      : pipeline->home.disk.size_bytes,
		.name = event->name ? event->name : "",
	};

	event->told_ns = loop_now_ns(loop);
	event->deadline.expired = on_deadline;
	event->deadline.owner = event;
	loop_timer_arm(loop, &event->deadline, limit_ns);
	if (instance_event(asked(event), &told, on_ended, event) == 0)
		return;
	loop_timer_cancel(loop, &event->deadline);
	take_failure(event, "stuck", "it hasn't ended an earlier event");
	event_round_answer(&event->round, -EBUSY);
}

static void start_first(struct loop_deferred *deferred);

/* What comes behind this phase. */
static void phase_end(struct pipeline_event *event)
{
	struct pipeline *pipeline = event->pipeline;
	int status = event->round.status;
	bool pre = event->round.phase == FOREBAY_EVENT_PRE;

	list_remove(&event->node);
	if (!list_is_empty(&pipeline->events)) {
		pipeline->next_event.run = start_first;
		pipeline->next_event.owner = pipeline;
		loop_defer(pipeline->home.loop, &pipeline->next_event);
	}
	event->ended_with = event->round.phase;
	event->pipeline = NULL;
	if (pipeline->happened && (!pre || event_kind(event->kind)->only_pre))
		pipeline->happened(pipeline->happened_owner, event);
	pipeline->actions--;
	if (event->done)
		event->done(event, status);
}

static void tell_all(struct pipeline_event *event)
{
	uint32_t filter;

	if (event->telling)
		return;
	event->telling = true;
	while (event_round_next(&event->round, &filter))
		tell(event);
	event->telling = false;
	if (event_round_over(&event->round))
		phase_end(event);
}

static void start_first(struct loop_deferred *deferred)
{
	struct pipeline *pipeline = deferred->owner;

	tell_all(list_entry(list_first(&pipeline->events),
			    struct pipeline_event, node));
}

static uint32_t members(const struct pipeline *pipeline,
			const struct pipeline_event *event)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < pipeline->instance_count; i++) {
		if (instance_event_wanted(pipeline->instances[i], event->kind))
			mask |= 1u << i;
	}
	return event->filters ? mask & event->filters : mask;
}

/* The round is there: runs it, now or after those that came before. */
static void begin(struct pipeline *pipeline, struct pipeline_event *event)
{
	bool first = list_is_empty(&pipeline->events);

	event->pipeline = pipeline;
	pipeline->actions++;
	list_append(&pipeline->events, &event->node);
	if (first)
		tell_all(event);
}

void pipeline_event_pre(struct pipeline *pipeline, struct pipeline_event *event)
{
	event_round_pre(&event->round, members(pipeline, event),
			event_kind(event->kind)->refusable);
	begin(pipeline, event);
}

void pipeline_event_post(struct pipeline *pipeline,
			 struct pipeline_event *event)
{
	event_round_post(&event->round, members(pipeline, event));
	begin(pipeline, event);
}

void pipeline_event_undo(struct pipeline *pipeline,
			 struct pipeline_event *event)
{
	event_round_undo(&event->round, members(pipeline, event));
	begin(pipeline, event);
}

void pipeline_event_release(struct pipeline_event *event)
{
	json_decref(event->results);
	event->results = NULL;
}
