// SPDX-License-Identifier: Apache-2.0
/*
 * disk_event.c - see disk_event.h.
 *
 * Each phase counts as an action, so that the pipeline isn't closed under it.
 * What comes next is called before that ends: if it wants to close the pipeline
 * it waits for this one as well.
 */
#include "disk_event.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "disk.h"
#include "event_journal.h"
#include "event_kind.h"
#include "pipeline_event.h"

/* Longest text of a report, with its NUL. */
#define REPORT_BYTES 501u

struct disk_event {
	struct disk *disk;
	struct pipeline_event event;
	char name[DISK_EVENT_NAME_BYTES];
	void (*begun)(void *context, struct disk_event *event,
		      const struct error *error);
	void (*ended)(void *context);
	void *context;
};

static const char *outcome_of(const struct pipeline_event *event)
{
	if (event->round.status == -ETIMEDOUT)
		return "late";
	if (event->error.code != 0)
		return "refused";
	return event->ended_with == FOREBAY_EVENT_UNDO ? "undone" : "done";
}

void disk_event_happened(void *owner, const struct pipeline_event *event)
{
	struct disk *disk = owner;
	json_t *record =
		json_pack("{s:s, s:s}", "kind", event_kind(event->kind)->name,
			  "outcome", outcome_of(event));

	if (event->name && event->name[0])
		json_object_set_new(record, "name", json_string(event->name));
	if (event->vm != FOREBAY_VM_UNKNOWN)
		json_object_set_new(record, "vm",
				    json_string(event_vm_name(event->vm)));
	if (event->size_bytes)
		json_object_set_new(
			record, "size_bytes",
			json_integer((json_int_t)event->size_bytes));
	if (event->error.code != 0)
		json_object_set_new(record, "reason",
				    json_string(event->error.message));
	if (event->results)
		json_object_set(record, "filters", event->results);
	event_journal_write(&disk->journal, record);
}

void disk_event_reported(void *owner, const char *filter, const char *what,
			 const char *text)
{
	struct disk *disk = owner;
	char line[REPORT_BYTES];

	snprintf(line, sizeof(line), "%s", text);
	/* A filter's words must not spoil the record that they stand in. */
	for (char *byte = line; *byte; byte++)
		if (*byte < ' ' || *byte > '~')
			*byte = '?';
	event_journal_write(&disk->journal,
			    json_pack("{s:s, s:s, s:s, s:s}", "kind", what,
				      "outcome", "reported", "filter", filter,
				      "reason", line));
}

void disk_event_forget(struct disk_event *event)
{
	if (!event)
		return;
	pipeline_event_release(&event->event);
	free(event);
}

static void on_ended(struct pipeline_event *pipeline_event, int status)
{
	struct disk_event *event = pipeline_event->owner;
	struct disk *disk = event->disk;

	(void)status;
	if (event->ended)
		event->ended(event->context);
	disk_event_forget(event);
	disk_action_ends(disk);
}

static void on_begun(struct pipeline_event *pipeline_event, int status)
{
	struct disk_event *event = pipeline_event->owner;
	struct disk *disk = event->disk;

	if (status < 0) {
		event->begun(event->context, NULL, &event->event.error);
		disk_event_forget(event);
	} else {
		event->begun(event->context, event, NULL);
	}
	disk_action_ends(disk);
}

static struct disk_event *event_new(struct disk *disk,
				    const struct disk_event_spec *spec)
{
	struct disk_event *event = calloc(1, sizeof(*event));

	if (!event)
		return NULL;
	event->disk = disk;
	snprintf(event->name, sizeof(event->name), "%s",
		 spec->name ? spec->name : "");
	event->event = (struct pipeline_event){
		.kind = spec->kind,
		.vm = spec->vm,
		.name = event->name,
		.size_bytes = spec->size_bytes,
		.owner = event,
	};
	return event;
}

void disk_event_begin(struct disk *disk, const struct disk_event_spec *spec,
		      void (*done)(void *context, struct disk_event *event,
				   const struct error *error),
		      void *context)
{
	struct disk_event *event = event_new(disk, spec);
	struct error error;

	if (!event) {
		error_set(&error, -ENOMEM, "out of memory");
		done(context, NULL,
		     event_kind(spec->kind)->refusable ? &error : NULL);
		return;
	}
	event->begun = done;
	event->context = context;
	event->event.done = on_begun;
	disk_action_begins(disk);
	if (disk->pipeline)
		pipeline_event_pre(disk->pipeline, &event->event);
	else
		on_begun(&event->event, 0);
}

void disk_event_end(struct disk_event *event, bool happened,
		    void (*done)(void *context), void *context)
{
	struct disk *disk;

	if (!event) {
		if (done)
			done(context);
		return;
	}
	disk = event->disk;
	event->ended = done;
	event->context = context;
	event->event.done = on_ended;
	disk_action_begins(disk);
	if (disk->pipeline && happened) {
		pipeline_event_post(disk->pipeline, &event->event);
	} else if (disk->pipeline) {
		pipeline_event_undo(disk->pipeline, &event->event);
	} else {
		event->event.ended_with =
			happened ? FOREBAY_EVENT_POST : FOREBAY_EVENT_UNDO;
		disk_event_happened(disk, &event->event);
		on_ended(&event->event, 0);
	}
}

void disk_event_tell(struct disk *disk, const struct disk_event_spec *spec,
		     bool happened, void (*done)(void *context), void *context)
{
	disk_event_end(event_new(disk, spec), happened, done, context);
}

/* Stun and unstun: one of them at a time. */

static void go_on(void *context)
{
	struct disk *disk = context;
	void (*next)(struct disk * disk) = disk->stunned;

	disk->stunned = NULL;
	next(disk);
}

static void on_stun_begun(void *context, struct disk_event *event,
			  const struct error *error)
{
	struct disk *disk = context;

	(void)error; /* nobody can refuse */
	disk->stun = event;
	go_on(disk);
}

static void begin_stun(struct disk *disk, enum forebay_event_kind kind,
		       void (*next)(struct disk *disk))
{
	const struct disk_event_spec spec = {.kind = kind};

	disk->stunned = next;
	disk_event_begin(disk, &spec, on_stun_begun, disk);
}

void disk_stun(struct disk *disk, void (*next)(struct disk *disk))
{
	begin_stun(disk, FOREBAY_EVENT_STUN, next);
}

static struct disk_event *take(struct disk_event **event)
{
	struct disk_event *taken = *event;

	*event = NULL;
	return taken;
}

void disk_stunned(struct disk *disk, void (*next)(struct disk *disk))
{
	disk->stunned = next;
	disk_event_end(take(&disk->stun), true, go_on, disk);
}

void disk_unstun(struct disk *disk, void (*next)(struct disk *disk))
{
	begin_stun(disk, FOREBAY_EVENT_UNSTUN, next);
}

void disk_unstunned(struct disk *disk)
{
	disk_event_end(take(&disk->stun), true, NULL, NULL);
}

/* Guests that wait for their requests. */

static void on_abort_begun(void *context, struct disk_event *event,
			   const struct error *error)
{
	struct disk *disk = context;

	(void)error; /* nobody can refuse */
	if (disk->aborting && !disk->abort)
		disk->abort = event;
	else
		disk_event_end(event, true, NULL, NULL);
}

void disk_event_aborting(void *owner, bool aborting)
{
	static const struct disk_event_spec spec = {
		.kind = FOREBAY_EVENT_ABORT,
	};
	struct disk *disk = owner;

	disk->aborting = aborting;
	if (aborting)
		disk_event_begin(disk, &spec, on_abort_begun, disk);
	else
		disk_event_end(take(&disk->abort), true, NULL, NULL);
}
