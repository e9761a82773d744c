// SPDX-License-Identifier: Apache-2.0
/*
 * attachment.c - which filters are new on a disk, and which are gone.
 *
 * Their names stand beside the backend (claim.h), so that they move with it. A
 * new filter is asked when the whole chain is open and no request has come yet:
 * ATTACH. One that is gone isn't loaded, so nobody can be told; it is written
 * down as a DETACH.
 *
 *   PRE -> names noted, claim taken -> POST
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "pipeline_object.h"

/* A name has 31 letters, and a blank or the NUL behind it. */
static_assert(PIPELINE_FILTERS_MAX * (FILTER_NAME_MAX + 1) <=
		      CLAIM_FILTERS_BYTES,
	      "all names fit");

/* Whether @name is one of @names, with blanks between. */
static bool is_among(const char *names, const char *name)
{
	size_t length = strlen(name);

	while (*names) {
		size_t word = strcspn(names, " ");

		if (word == length && strncmp(names, name, length) == 0)
			return true;
		names += word + strspn(names + word, " ");
	}
	return false;
}

static void append(char names[CLAIM_FILTERS_BYTES], const char *name)
{
	size_t used = strlen(names);

	/* A filter may be there more than once. */
	if (!is_among(names, name))
		snprintf(names + used, CLAIM_FILTERS_BYTES - used, "%s%s",
			 used > 0 ? " " : "", name);
}

/* Those that there are, and the new ones among them as a mask. */
static uint32_t compare(struct pipeline *pipeline,
			char ret_all[CLAIM_FILTERS_BYTES])
{
	const char *before = claim_filters(&pipeline->home.claim);
	uint32_t mask = 0;

	ret_all[0] = '\0';
	pipeline->new_filters[0] = '\0';
	for (uint32_t i = 0; i < pipeline->instance_count; i++) {
		const char *name = pipeline->instances[i]->filter->name;

		append(ret_all, name);
		if (is_among(before, name))
			continue;
		append(pipeline->new_filters, name);
		mask |= 1u << i;
	}
	return mask;
}

/* Of each that was there and isn't. */
static void tell_detached(struct pipeline *pipeline, const char *all)
{
	const char *at = claim_filters(&pipeline->home.claim);
	char name[CLAIM_FILTERS_BYTES];

	while (*at) {
		size_t word = strcspn(at, " ");
		struct pipeline_event event = {
			.kind = FOREBAY_EVENT_DETACH,
			.name = name,
			.ended_with = FOREBAY_EVENT_POST,
		};

		snprintf(name, sizeof(name), "%.*s", (int)word, at);
		at += word + strspn(at + word, " ");
		if (is_among(all, name))
			continue;
		log_info("filter %s is no longer attached to disk %s", name,
			 pipeline->name);
		if (pipeline->happened)
			pipeline->happened(pipeline->happened_owner, &event);
	}
}

static void on_agreed(struct pipeline_event *event, int status)
{
	struct pipeline *pipeline = event->owner;
	char all[CLAIM_FILTERS_BYTES];

	if (status < 0) {
		pipeline->error = event->error;
		pipeline_event_release(event);
		pipeline->attach_done(pipeline, status);
		return;
	}
	compare(pipeline, all);
	tell_detached(pipeline, all);
	status = claim_attach(&pipeline->home.claim, all, &pipeline->error);
	pipeline->attach_done(pipeline, status);
}

void pipeline_attach(struct pipeline *pipeline,
		     void (*done)(struct pipeline *pipeline, int status))
{
	char all[CLAIM_FILTERS_BYTES];
	uint32_t mask = compare(pipeline, all);

	pipeline->attach_done = done;
	pipeline->life = (struct pipeline_event){
		.kind = FOREBAY_EVENT_ATTACH,
		.name = pipeline->new_filters,
		.filters = mask,
		.done = on_agreed,
		.owner = pipeline,
	};
	if (!claim_knows_filters(&pipeline->home.claim))
		done(pipeline, 0);
	else if (mask == 0)
		on_agreed(&pipeline->life, 0);
	else
		pipeline_event_pre(pipeline, &pipeline->life);
}

static void on_attached(struct pipeline_event *event, int status)
{
	struct pipeline *pipeline = event->owner;

	(void)status;
	pipeline_event_release(event);
	pipeline->attached_done(pipeline);
}

void pipeline_attached(struct pipeline *pipeline,
		       void (*done)(struct pipeline *pipeline))
{
	pipeline->attached_done = done;
	if (pipeline->life.filters == 0 ||
	    !claim_knows_filters(&pipeline->home.claim)) {
		done(pipeline);
		return;
	}
	pipeline->life.done = on_attached;
	pipeline_event_post(pipeline, &pipeline->life);
}

void pipeline_detach(struct pipeline *pipeline)
{
	struct error error = {0};

	if (claim_attach(&pipeline->home.claim, "", &error) < 0)
		log_warning("%s", error.message);
}
