/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_journal.h - what happened to the disk, for forebayd to take over into
 * the disk's history.
 *
 * A file of JSON objects, a line each, only ever appended to. forebayd reads on
 * where it was, and gives back the space of what it has read with holes: so
 * neither waits for the other, and what happens while forebayd is away is there
 * when it is back. If it takes nothing for too long, what comes then is
 * counted instead of written.
 */
#ifndef FOREBAY_DISK_EVENT_JOURNAL_H
#define FOREBAY_DISK_EVENT_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* From so much that forebayd hasn't read, nothing more is written. */
#define EVENT_JOURNAL_BYTES_MAX (4u << 20)

struct event_journal {
	int fd; /* negative: none */
	uint64_t missed; /* records that weren't written since the last one */
};

/* Opens or makes @path; NULL, or a failure: there is none. */
void event_journal_open(struct event_journal *journal, const char *path);
/* Zeroed and closed ones are fine. */
void event_journal_close(struct event_journal *journal);
/* Adds `time_ms`, of the wall clock. Takes the reference to @record. */
void event_journal_write(struct event_journal *journal, json_t *record);

#endif
