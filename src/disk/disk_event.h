/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_event.h - lifecycle events of a disk: its filters are told, and what
 * came of it is written down.
 *
 *   disk_event_begin -> done(event, NULL)  -> disk_event_end(happened or not)
 *                    `> done(NULL, error)     a filter refuses: it is over
 *
 * The pipeline can be another one at the end, or there can be none.
 */
#ifndef FOREBAY_DISK_DISK_EVENT_H
#define FOREBAY_DISK_DISK_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "forebay/filter.h"

struct disk;
struct disk_event;
struct pipeline_event;

/* Longest name of a copy. */
#define DISK_EVENT_NAME_BYTES 256u

struct disk_event_spec {
	enum forebay_event_kind kind;
	enum forebay_vm vm;
	uint64_t size_bytes; /* 0: the disk's */
	const char *name; /* copied; NULL: "" */
};

/*
 * Order: @done may be called before this returns. Without memory it gets
 * neither an event nor an error, if nobody could refuse.
 */
void disk_event_begin(struct disk *disk, const struct disk_event_spec *spec,
		      void (*done)(void *context, struct disk_event *event,
				   const struct error *error),
		      void *context);
/*
 * Ends what was begun: POST if it has happened, else UNDO. @event and @done may
 * be NULL. Owns: takes @event.
 */
void disk_event_end(struct disk_event *event, bool happened,
		    void (*done)(void *context), void *context);
/* It isn't written down. NULL is fine. */
void disk_event_forget(struct disk_event *event);
/* What began elsewhere, or not at all, has @happened: POST or UNDO alone. */
void disk_event_tell(struct disk *disk, const struct disk_event_spec *spec,
		     bool happened, void (*done)(void *context), void *context);

/*
 * Requests are about to be held back; then none is under way; they are about to
 * come again; they do. Each but the last goes on with @next.
 */
void disk_stun(struct disk *disk, void (*next)(struct disk *disk));
void disk_stunned(struct disk *disk, void (*next)(struct disk *disk));
void disk_unstun(struct disk *disk, void (*next)(struct disk *disk));
void disk_unstunned(struct disk *disk);
/* The vhost-user export's callback; @owner is the disk. */
void disk_event_aborting(void *owner, bool aborting);
/* The pipeline's hook: @owner is the disk. */
void disk_event_happened(void *owner, const struct pipeline_event *event);
/* The same, for what a filter reports. */
void disk_event_reported(void *owner, const char *filter, const char *what,
			 const char *text);

#endif
