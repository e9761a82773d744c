// SPDX-License-Identifier: Apache-2.0
/*
 * property_change.c - filters of an open disk get other properties, or none of
 * them does.
 *
 *   all checked -> each concerned filter asked (PROPERTIES, PRE) -> all applied
 *   -> properties_changed() of each -> POST
 *
 * What is proposed hangs at its instance meanwhile, so there is one change of a
 * pipeline at a time.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "pipeline_object.h"

struct change {
	struct pipeline *pipeline;
	struct pipeline_event event;
	void (*done)(void *context, const struct error *error);
	void *context;
};

static void drop_proposals(struct pipeline *pipeline)
{
	for (uint32_t i = 0; i < pipeline->instance_count; i++) {
		properties_destroy(pipeline->instances[i]->proposed);
		pipeline->instances[i]->proposed = NULL;
	}
}

static void change_end(struct change *change, const struct error *error)
{
	change->pipeline->changing = false;
	drop_proposals(change->pipeline);
	change->done(change->context, error);
	pipeline_event_release(&change->event);
	free(change);
}

static void on_told(struct pipeline_event *event, int status)
{
	(void)status;
	change_end(event->owner, NULL);
}

static void apply(struct forebay_instance *instance)
{
	struct properties *old = instance->properties;
	const struct running_place *before;

	instance->properties = instance->proposed;
	instance->proposed = NULL;
	properties_destroy(old);
	if (!instance->filter->properties_changed)
		return;
	before = instance_enter(instance, RUNNING_PROPERTIES);
	instance->filter->properties_changed(instance->state);
	running_leave(before);
}

static void on_agreed(struct pipeline_event *event, int status)
{
	struct change *change = event->owner;
	struct pipeline *pipeline = change->pipeline;

	if (status < 0) {
		change_end(change, &event->error);
		return;
	}
	for (uint32_t i = 0; i < pipeline->instance_count; i++) {
		if (pipeline->instances[i]->proposed)
			apply(pipeline->instances[i]);
	}
	event->done = on_told;
	pipeline_event_post(pipeline, event);
}

static int propose(struct pipeline *pipeline, const char *filter,
		   const json_t *properties, uint32_t *filters,
		   struct error *error)
{
	uint32_t index = pipeline_find(pipeline, filter);
	const struct forebay_instance *instance;

	if (index == pipeline->instance_count)
		return error_set(error, -ENOENT, "disk %s has no filter '%s'",
				 pipeline->name, filter);
	instance = pipeline->instances[index];
	*filters |= 1u << index;
	return properties_propose(instance->properties, properties,
				  &pipeline->instances[index]->proposed, error);
}

static int propose_all(struct pipeline *pipeline, const json_t *changes,
		       uint32_t *filters, struct error *error)
{
	const char *filter;
	json_t *properties;

	if (pipeline->changing)
		return error_set(error, -EBUSY,
				 "the properties of disk %s are being changed",
				 pipeline->name);
	json_object_foreach((json_t *)changes, filter, properties)
	{
		int status =
			propose(pipeline, filter, properties, filters, error);

		if (status < 0) {
			drop_proposals(pipeline);
			return status;
		}
	}
	return 0;
}

void pipeline_set_properties(struct pipeline *pipeline, const json_t *changes,
			     void (*done)(void *context,
					  const struct error *error),
			     void *context)
{
	struct change *change = NULL;
	struct error error = {0};
	uint32_t filters = 0;
	int status = propose_all(pipeline, changes, &filters, &error);

	if (status == 0 && filters != 0) {
		change = calloc(1, sizeof(*change));
		if (!change) {
			drop_proposals(pipeline);
			status = error_set(&error, -ENOMEM, "out of memory");
		}
	}
	if (!change) {
		done(context, status < 0 ? &error : NULL);
		return;
	}
	*change = (struct change){
		.pipeline = pipeline,
		.event.kind = FOREBAY_EVENT_PROPERTIES,
		.event.filters = filters,
		.event.done = on_agreed,
		.event.owner = change,
		.done = done,
		.context = context,
	};
	pipeline->changing = true;
	pipeline_event_pre(pipeline, &change->event);
}
