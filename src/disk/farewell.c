// SPDX-License-Identifier: Apache-2.0
/*
 * farewell.c - the disk is to be deleted: its filters are asked, and told.
 *
 *   opened, nobody is served -> DELETE: PRE -> a filter refuses: closed as it
 *                                 |            was, with its words
 *                                 `-> POST -> DETACH: PRE -> nobody is attached
 *                                     -> closed
 *
 * forebayd deletes what there is when this process has ended well. Runs on the
 * disk's loop.
 */
#include "disk_event.h"
#include "disk_private.h"
#include "log.h"
#include "pipeline_event.h"
#include "status_pipe.h"

static void close_pipeline(struct disk *disk)
{
	disk_close_pipeline(disk);
}

static void on_detached(void *context, struct disk_event *event,
			const struct error *error)
{
	struct disk *disk = context;

	(void)error; /* nobody can refuse */
	disk_event_forget(event);
	pipeline_detach(disk->pipeline);
	disk_when_quiet(disk, close_pipeline);
}

static void on_delete_told(void *context)
{
	static const struct disk_event_spec spec = {
		.kind = FOREBAY_EVENT_DETACH,
	};

	disk_event_begin(context, &spec, on_detached, context);
}

static void on_agreed(void *context, struct disk_event *event,
		      const struct error *error)
{
	struct disk *disk = context;

	if (event) {
		disk_event_end(event, true, on_delete_told, disk);
		return;
	}
	log_error("%s", error->message);
	status_pipe_failed(disk->status_fd, error->message);
	disk->exit_code = 1;
	disk_when_quiet(disk, close_pipeline);
}

void farewell_begin(struct disk *disk)
{
	static const struct disk_event_spec spec = {
		.kind = FOREBAY_EVENT_DELETE,
	};

	disk_set_reason(disk, "asking its filters whether it may be deleted");
	disk_event_begin(disk, &spec, on_agreed, disk);
}
