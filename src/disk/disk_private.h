/* SPDX-License-Identifier: Apache-2.0 */
/* disk_private.h - what the files of one disk share (inside src/disk only). */
#ifndef FOREBAY_DISK_DISK_PRIVATE_H
#define FOREBAY_DISK_DISK_PRIVATE_H

#include "disk.h"

/* Forgets the reason of the state before. */
void disk_enter(struct disk *disk, enum disk_state state);
/* The export and the pipeline are there: serves, and does what is due. */
void disk_ready(struct disk *disk);
/* Ends the loop. */
void disk_end(struct disk *disk, int exit_code);
void disk_set_reason(struct disk *disk, const char *reason);

/* No request and no action is under way. The disk ends. */
void disk_close_pipeline(struct disk *disk);
/* The pipeline is there, and nobody is served (farewell.c). */
void farewell_begin(struct disk *disk);

/* Opens the pipeline with @disk's size; @done gets it. */
void disk_open_pipeline(struct disk *disk, bool grow,
			void (*done)(struct pipeline_open_request *request,
				     int status, struct pipeline *pipeline,
				     const struct error *error));
/* Calls @quiet when no action is under way, maybe at once. */
void disk_when_quiet(struct disk *disk, void (*quiet)(struct disk *disk));

/* With a pipeline, or parked when there is none. Returns: 0 or @error's code.
 */
int disk_start_vhost_user(struct disk *disk, struct error *error);
/* If the disk has one. Returns: 0 or @error's code. */
int disk_start_nbd(struct disk *disk, struct error *error);

/* The vhost-user export's callbacks; @owner is the disk. */
void handover_wanted(void *owner);
void handover_asked(void *owner);
void handover_migrating(void *owner, bool migrating);

#endif
