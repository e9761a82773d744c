// SPDX-License-Identifier: Apache-2.0
/*
 * handover.c - a disk follows its VM from host to host.
 *
 *   source         written pages are logged: the filters are told, and a
 *                  write-back cache drains while the VM runs on
 *                  the last queue stops then:
 *                  HANDING_OVER: drain, close the pipeline, so that nothing of
 *                  it and no lock is left; only then the VMM's question is
 *                  answered, which is what lets the VM run elsewhere
 *   destination    the first queue that runs: TAKING_OVER: open the pipeline,
 *                  which waits for the image's lock, and serve
 *
 * A migration that fails or is cancelled starts the queues at the source again,
 * which is the same as an arrival. Neither end ever fails a guest's request:
 * what goes wrong is told as the reason and tried again while the VM waits.
 *
 * Runs on the disk's loop.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "disk_event.h"
#include "disk_private.h"
#include "failpoint.h"
#include "log.h"
#include "status_pipe.h"

/* Before something that failed is tried again. */
#define RETRY_NS (1 * NS_PER_SECOND)

static void retry_later(struct disk *disk,
			void (*expired)(struct loop_timer *timer))
{
	disk->handover_retry.expired = expired;
	disk->handover_retry.owner = disk;
	loop_timer_arm(disk->loop, &disk->handover_retry, RETRY_NS);
}

/* Arrival. */

static void take_over_again(struct loop_timer *timer)
{
	struct disk *disk = timer->owner;

	if (vhost_user_export_wants(disk->vhost_user))
		handover_wanted(disk);
}

static void serve_arrived(struct disk *disk)
{
	struct error error = {0};

	vhost_user_export_unpark(disk->vhost_user, disk->pipeline);
	if (disk->nbd)
		nbd_export_unpark(disk->nbd, disk->pipeline);
	else if (disk_start_nbd(disk, &error) < 0)
		log_error("disk %s is served without NBD: %s",
			  disk->config->name, error.message);
	log_info("disk %s has arrived", disk->config->name);
	disk_unstunned(disk);
	status_pipe_ready(disk->status_fd);
	failpoint(FAILPOINT_ARRIVING_TOLD);
	disk_ready(disk);
}

static void on_stay_told(void *context)
{
	disk_unstun(context, serve_arrived);
}

/* A VM that comes back has given up a migration that the filters know of. */
static void tell_arrival(struct disk *disk)
{
	static const struct disk_event_spec spec = {
		.kind = FOREBAY_EVENT_MIGRATE,
	};

	if (disk->parked_as == DISK_HANDED_OVER)
		disk_event_tell(disk, &spec, false, on_stay_told, disk);
	else
		on_stay_told(disk);
}

static void on_taken_over(struct pipeline_open_request *request, int status,
			  struct pipeline *pipeline, const struct error *error)
{
	struct disk *disk = request->owner;

	disk->half_open = false;
	if (status < 0) {
		/* Tried again every second, and for long if it must be. */
		if (strcmp(disk->arrival_waits.message, error->message) != 0)
			log_error("disk %s: its VM waits: %s",
				  disk->config->name, error->message);
		disk->arrival_waits = *error;
		disk_enter(disk, disk->parked_as);
		disk_set_reason(disk, error->message);
		retry_later(disk, take_over_again);
		if (disk->hand_over_due)
			handover_asked(disk);
		return;
	}
	failpoint(FAILPOINT_ARRIVING_OPENED);
	disk->arrival_waits = (struct error){0};
	disk->pipeline = pipeline;
	tell_arrival(disk);
}

/*
 * The VMM that left and comes back has only given its migration up. Another one
 * brings a VM that may have run elsewhere, and written there: what filters have
 * kept of the disk since it left is then out of date, and nothing would tell
 * them.
 */
static bool may_return(const struct disk *disk)
{
	return disk->config->filter_count == 0 ||
	       (disk->left_with != 0 &&
		disk->left_with ==
			vhost_user_export_connections(disk->vhost_user));
}

void handover_wanted(void *owner)
{
	struct disk *disk = owner;

	if (disk->state != DISK_INCOMING && disk->state != DISK_HANDED_OVER)
		return; /* it opens already, or will end */
	if (disk->state == DISK_HANDED_OVER && !may_return(disk)) {
		disk_set_reason(disk,
				"its VM was elsewhere, so its cache may be "
				"out of date: close it, and open it with "
				"--incoming");
		log_error("disk %s: its VM waits: %s", disk->config->name,
			  disk->reason);
		return;
	}
	loop_timer_cancel(disk->loop, &disk->handover_retry);
	disk->parked_as = disk->state;
	disk_enter(disk, DISK_TAKING_OVER);
	failpoint(FAILPOINT_ARRIVING_BEGIN);
	disk_open_pipeline(disk, false, on_taken_over);
}

/* Before a departure. */

static void on_told(void *context, int status)
{
	struct disk *disk = context;

	/* Filters that hold nothing don't know the word. */
	if (status < 0 && status != -ENOTSUP)
		log_warning("disk %s: a filter doesn't prepare for its VM's "
			    "migration: %s",
			    disk->config->name, strerror(-status));
}

static void end_migrate(struct disk *disk, bool left,
			void (*done)(void *context))
{
	struct disk_event *migrate = disk->migrate;

	disk->migrate = NULL;
	disk_event_end(migrate, left, done, disk);
}

static void on_prepared(void *context, struct disk_event *event,
			const struct error *error)
{
	struct disk *disk = context;

	(void)error; /* nobody can refuse */
	disk->preparing = false;
	disk->migrate = event;
	if (!disk->migrating && disk->state == DISK_READY)
		end_migrate(disk, false, NULL);
}

static void begin_migrate(struct disk *disk)
{
	static const struct disk_event_spec spec = {
		.kind = FOREBAY_EVENT_MIGRATE,
	};

	if (disk->preparing)
		return;
	/* Of a pipeline that has gone: these filters know of nothing. */
	disk_event_forget(disk->migrate);
	disk->migrate = NULL;
	disk->preparing = true;
	disk_event_begin(disk, &spec, on_prepared, disk);
}

void handover_migrating(void *owner, bool migrating)
{
	struct disk *disk = owner;

	disk->migrating = migrating;
	if (disk->state != DISK_READY)
		return; /* a pipeline that opens later knows of none */
	log_info("disk %s: %s", disk->config->name,
		 migrating ? "its VM may leave soon" : "its VM stays");
	pipeline_action(disk->pipeline, NULL,
			migrating ? PIPELINE_ACTION_MIGRATION_BEGIN
				  : PIPELINE_ACTION_MIGRATION_END,
			on_told, disk);
	if (migrating)
		begin_migrate(disk);
	else
		end_migrate(disk, false, NULL);
}

/* Departure. */

static void drain(struct disk *disk);

static void drain_again(struct loop_timer *timer)
{
	drain(timer->owner);
}

static void on_closed(void *context, int status)
{
	struct disk *disk = context;

	disk->pipeline = NULL;
	if (status < 0)
		log_error("disk %s closed with an error: %s",
			  disk->config->name, strerror(-status));
	failpoint(FAILPOINT_LEAVING_CLOSED);
	disk_enter(disk, DISK_HANDED_OVER);
	disk->left_with = vhost_user_export_connections(disk->vhost_user);
	log_info("disk %s is handed over", disk->config->name);
	status_pipe_parked(disk->status_fd, disk_state_name(disk->state));
	failpoint(FAILPOINT_LEAVING_TOLD);
	vhost_user_export_handed_over(disk->vhost_user);
}

static void close_pipeline(struct disk *disk)
{
	pipeline_close(disk->pipeline, on_closed, disk);
}

static void on_parked(void *context)
{
	disk_when_quiet(context, close_pipeline);
}

static void on_departure_told(void *context)
{
	struct disk *disk = context;

	vhost_user_export_park(disk->vhost_user, on_parked, disk);
}

static void on_drained(void *context, int status)
{
	struct disk *disk = context;

	failpoint(FAILPOINT_LEAVING_DRAINED);
	if (status == 0) {
		disk_set_reason(disk, "closing");
		end_migrate(disk, true, on_departure_told);
		return;
	}
	snprintf(disk->reason, sizeof(disk->reason),
		 "its data can't be brought to the backend (%s): the VM waits",
		 strerror(-status));
	log_error("disk %s can't be handed over yet: %s", disk->config->name,
		  disk->reason);
	retry_later(disk, drain_again);
}

static void drain(struct disk *disk)
{
	struct pipeline_stuck stuck;

	pipeline_stuck(disk->pipeline, &stuck);
	if (stuck.requests > 0) {
		snprintf(disk->reason, sizeof(disk->reason),
			 "%u requests are stuck in the backend: the VM waits",
			 stuck.requests);
		retry_later(disk, drain_again);
		return;
	}
	disk_set_reason(disk, "bringing its data to the backend");
	pipeline_action(disk->pipeline, NULL, PIPELINE_ACTION_FLUSH, on_drained,
			disk);
}

static void on_stunned(struct disk *disk)
{
	disk_when_quiet(disk, drain);
}

static void on_nbd_parked(void *context)
{
	failpoint(FAILPOINT_LEAVING_PARKED);
	disk_stunned(context, on_stunned);
}

static void park_nbd(struct disk *disk)
{
	if (disk->nbd)
		nbd_export_park(disk->nbd, on_nbd_parked, disk);
	else
		disk_stunned(disk, on_stunned);
}

/*
 * No request comes from the VM any more, and NBD's clients must not write here
 * while the VM writes elsewhere: what they ask waits until the disk is back.
 */
static void hand_over(struct disk *disk)
{
	disk_enter(disk, DISK_HANDING_OVER);
	log_info("disk %s: its VM leaves", disk->config->name);
	disk_stun(disk, park_nbd);
}

void handover_asked(void *owner)
{
	struct disk *disk = owner;

	disk->hand_over_due = false;
	switch (disk->state) {
	case DISK_READY:
		hand_over(disk);
		return;
	case DISK_TAKING_OVER:
	case DISK_RESIZING:
		disk->hand_over_due = true;
		return;
	case DISK_INCOMING:
	case DISK_HANDED_OVER:
		vhost_user_export_handed_over(disk->vhost_user);
		return;
	case DISK_OPENING:
	case DISK_STOPPING:
	case DISK_DRAINING:
	case DISK_CLOSING:
	case DISK_HANDING_OVER:
	case DISK_ENDED:
		return; /* there is no VMM then, or it is hung up on */
	}
}
