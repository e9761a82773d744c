// SPDX-License-Identifier: Apache-2.0
/*
 * resize.c - a disk grows, or is opened anew, while its exports stay connected.
 *
 * Filters learn a disk's size when they open it; first they are asked, and one
 * that refuses leaves all as it is. Then the exports are parked, the
 * pipeline is closed and opened again with the new size, and the guest is told.
 * NBD's clients aren't: who connects from then on sees it.
 * The backend grows while the pipeline opens, durably and before anything
 * relies on it. If that fails the pipeline opens with the size that it had. If
 * that fails as well, because the backend is away, clients wait and both are
 * tried again, so that the size is one of the two and the backend's.
 *
 * forebayd has noted the new size before it asks (`grow` in the configuration),
 * so a process that is killed in the middle is followed by one that goes on.
 *
 * Runs on the disk's loop.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "disk_event.h"
#include "disk_private.h"
#include "failpoint.h"
#include "log.h"

#define SECTOR_BYTES 512u
/* Before a backend that could be opened in neither size is tried again. */
#define RETRY_NS (1 * NS_PER_SECOND)

static void answer(struct disk *disk)
{
	void (*resized)(void *context, const struct error *error) =
		disk->resized;

	disk->resized = NULL;
	resized(disk->resize_context,
		disk->resize_error.code ? &disk->resize_error : NULL);
}

static void unpark(struct disk *disk)
{
	struct pipeline *pipeline = disk->pipeline;

	if (disk->vhost_user)
		vhost_user_export_unpark(disk->vhost_user, pipeline);
	if (disk->nbd)
		nbd_export_unpark(disk->nbd, pipeline);
	log_info("disk %s has %" PRIu64 " bytes", disk->config->name,
		 disk->size_bytes);
	disk_unstunned(disk);
	answer(disk);
	disk_ready(disk);
}

static void on_grow_ended(void *context)
{
	disk_unstun(context, unpark);
}

/* With one of the two sizes: the filters are told which. */
static void serve_again(struct disk *disk, struct pipeline *pipeline)
{
	struct disk_event *grow = disk->grow;

	disk->grow = NULL;
	disk->pipeline = pipeline;
	disk_event_end(grow, disk->size_bytes == disk->resize_bytes,
		       on_grow_ended, disk);
}

static void reopen(struct disk *disk, uint64_t size_bytes);

static void try_again(struct loop_timer *timer)
{
	struct disk *disk = timer->owner;

	reopen(disk, disk->resize_bytes);
}

/*
 * Neither size can be opened: the backend is away, or somebody took its lock
 * when it was free for a moment. Nothing is lost, and whoever is connected
 * waits as for a disk that hangs, until one of the two sizes opens.
 */
static void wait(struct disk *disk, const struct error *error)
{
	if (strcmp(disk->resize_waits.message, error->message) != 0)
		log_error("disk %s can't be opened again, its clients wait: %s",
			  disk->config->name, error->message);
	disk->resize_waits = *error;
	disk_set_reason(disk, error->message);
	disk->resize_retry.expired = try_again;
	disk->resize_retry.owner = disk;
	loop_timer_arm(disk->loop, &disk->resize_retry, RETRY_NS);
}

static void on_reopened(struct pipeline_open_request *request, int status,
			struct pipeline *pipeline, const struct error *error)
{
	struct disk *disk = request->owner;

	disk->half_open = false;
	failpoint(FAILPOINT_RESIZE_REOPENED);
	if (status == 0) {
		serve_again(disk, pipeline);
		return;
	}
	if (disk->size_bytes == disk->before_bytes) {
		wait(disk, error);
		return;
	}
	disk->resize_error = *error;
	reopen(disk, disk->before_bytes);
}

static void reopen(struct disk *disk, uint64_t size_bytes)
{
	bool grow = size_bytes > disk->before_bytes;

	/* What went wrong with the larger one is told if the other opens. */
	if (grow)
		disk->resize_error = (struct error){0};
	disk->size_bytes = size_bytes;
	disk_open_pipeline(disk, grow, on_reopened);
}

static void on_closed(void *context, int status)
{
	struct disk *disk = context;

	disk->pipeline = NULL;
	if (status < 0)
		log_error("disk %s closed with an error: %s",
			  disk->config->name, strerror(-status));
	failpoint(FAILPOINT_RESIZE_CLOSED);
	reopen(disk, disk->resize_bytes);
}

/* Nothing can be closed under requests that the exports gave up. */
static void close_pipeline(struct disk *disk)
{
	struct pipeline_stuck stuck;

	pipeline_stuck(disk->pipeline, &stuck);
	if (stuck.requests == 0) {
		pipeline_close(disk->pipeline, on_closed, disk);
		return;
	}
	error_set(&disk->resize_error, -EBUSY,
		  "disk %s can't be resized: %u requests are stuck in its "
		  "backend",
		  disk->config->name, stuck.requests);
	serve_again(disk, disk->pipeline);
}

static void on_stunned(struct disk *disk)
{
	disk_when_quiet(disk, close_pipeline);
}

static void on_parked(void *context)
{
	failpoint(FAILPOINT_RESIZE_PARKED);
	disk_stunned(context, on_stunned);
}

static void park_vhost_user(struct disk *disk)
{
	if (disk->vhost_user)
		vhost_user_export_park(disk->vhost_user, on_parked, disk);
	else
		on_parked(disk);
}

static void on_nbd_parked(void *context)
{
	park_vhost_user(context);
}

static void park(struct disk *disk)
{
	if (disk->nbd)
		nbd_export_park(disk->nbd, on_nbd_parked, disk);
	else
		park_vhost_user(disk);
}

/* @event is NULL if a filter refuses. */
static void on_grow_begun(void *context, struct disk_event *event,
			  const struct error *error)
{
	struct disk *disk = context;

	if (!event) {
		disk->resize_error = *error;
		answer(disk);
		disk_ready(disk);
		return;
	}
	disk->grow = event;
	disk_stun(disk, park);
}

static void begin_grow(struct disk *disk)
{
	const struct disk_event_spec spec = {
		.kind = FOREBAY_EVENT_GROW,
		.size_bytes = disk->resize_bytes,
	};

	disk_event_begin(disk, &spec, on_grow_begun, disk);
}

static int check_ready(const struct disk *disk, struct error *error)
{
	if (disk->state == DISK_READY)
		return 0;
	return error_set(error, -EBUSY, "disk %s is %s", disk->config->name,
			 disk_state_name(disk->state));
}

static void begin(struct disk *disk, uint64_t size_bytes,
		  void (*resized)(void *context, const struct error *error),
		  void *context)
{
	disk->resized = resized;
	disk->resize_context = context;
	disk->resize_bytes = size_bytes;
	disk->before_bytes = disk->size_bytes;
	disk->resize_error = (struct error){0};
	disk->resize_waits = (struct error){0};
}

int disk_resize(struct disk *disk, uint64_t size_bytes,
		void (*resized)(void *context, const struct error *error),
		void *context, struct error *error)
{
	int status = check_ready(disk, error);

	if (status < 0)
		return status;
	if (size_bytes < disk->size_bytes || size_bytes > INT64_MAX ||
	    size_bytes % SECTOR_BYTES != 0)
		return error_set(error, -EINVAL,
				 "disk %s has %" PRIu64
				 " bytes and can only grow, to a multiple of "
				 "%u",
				 disk->config->name, disk->size_bytes,
				 SECTOR_BYTES);
	begin(disk, size_bytes, resized, context);
	if (size_bytes == disk->size_bytes) {
		answer(disk);
		return 0;
	}
	disk_enter(disk, DISK_RESIZING);
	begin_grow(disk);
	return 0;
}

int disk_reopen(struct disk *disk,
		void (*reopened)(void *context, const struct error *error),
		void *context, struct error *error)
{
	int status = check_ready(disk, error);

	if (status < 0)
		return status;
	begin(disk, disk->size_bytes, reopened, context);
	disk_enter(disk, DISK_RESIZING);
	disk_stun(disk, park);
	return 0;
}
