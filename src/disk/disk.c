// SPDX-License-Identifier: Apache-2.0
/*
 * disk.c - the states of disk.h, all on the disk's loop.
 *
 * Order of start: control socket first, so that whoever asks gets an answer
 * even while the open waits; exports last, because a request may only arrive
 * when everything below is there. Between making their sockets and the first
 * accept() the process enters its sandbox.
 */
#include "disk.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend.h"
#include "clock.h"
#include "disk_event.h"
#include "disk_private.h"
#include "doors.h"
#include "failpoint.h"
#include "instance_sidecar.h"
#include "instance_work.h"
#include "log.h"
#include "methods.h"
#include "status_pipe.h"
#include "watchdog.h"

/* How long a predecessor's I/O may keep the backend locked. */
#define LOCK_TIMEOUT_NS (10 * NS_PER_SECOND)
/* Before a drain for nobody that has failed is tried again. */
#define DRAIN_RETRY_NS (1 * NS_PER_SECOND)

const char *disk_state_name(enum disk_state state)
{
	switch (state) {
	case DISK_OPENING:
		return "opening";
	case DISK_READY:
		return "ready";
	case DISK_STOPPING:
		return "stopping";
	case DISK_DRAINING:
		return "draining";
	case DISK_CLOSING:
		return "closing";
	case DISK_INCOMING:
		return "incoming";
	case DISK_HANDED_OVER:
		return "handed-over";
	case DISK_TAKING_OVER:
		return "taking-over";
	case DISK_HANDING_OVER:
		return "handing-over";
	case DISK_RESIZING:
		return "resizing";
	case DISK_ENDED:
		return "ended";
	}
	return NULL;
}

void disk_enter(struct disk *disk, enum disk_state state)
{
	disk->state = state;
	disk->reason[0] = '\0';
}

void disk_set_reason(struct disk *disk, const char *reason)
{
	snprintf(disk->reason, sizeof(disk->reason), "%s", reason);
}

void disk_end(struct disk *disk, int exit_code)
{
	disk_enter(disk, DISK_ENDED);
	disk->exit_code = exit_code;
	loop_stop(disk->loop);
}

static void fail(struct disk *disk, const struct error *error)
{
	log_error("%s", error->message);
	status_pipe_failed(disk->status_fd, error->message);
	disk_end(disk, 1);
}

/* Exports. */

int disk_start_vhost_user(struct disk *disk, struct error *error)
{
	const struct config *config = disk->config;
	struct vhost_user_options options = {
		.socket_path = config->vhost_user_socket,
		.name = config->name,
		.queues = config->queues,
		.revision = config->device_revision,
		.stop_deadline_ms = config->stop_deadline_ms,
		.size_bytes = disk->size_bytes,
		.read_only = config->read_only,
		.one_by_one = disk->one_by_one,
		.predecessor_crashed = disk->predecessor_crashed,
		.wanted = handover_wanted,
		.hand_over = handover_asked,
		.migrating = handover_migrating,
		.aborting = disk_event_aborting,
		.owner = disk,
	};
	int status;

	memcpy(options.uuid, config->uuid, sizeof(options.uuid));
	if (!options.socket_path)
		return 0;
	status = vhost_user_export_create(disk->loop, disk->pipeline, &options,
					  &disk->vhost_user, error);
	return status < 0
		       ? status
		       : doors_share_socket(config, options.socket_path, error);
}

int disk_start_nbd(struct disk *disk, struct error *error)
{
	const struct config *config = disk->config;
	const struct nbd_options options = {
		.socket_path = config->nbd_socket,
		.export_name = config->nbd_name,
		.description = config->name,
	};
	int status;

	if (!options.socket_path)
		return 0;
	status = nbd_export_create(disk->loop, disk->pipeline, &options,
				   &disk->nbd, error);
	return status < 0
		       ? status
		       : doors_share_socket(config, options.socket_path, error);
}

/*
 * The exports that there are listen, and their first accept() is not yet the
 * kernel's.
 */
static int confine(struct disk *disk, struct error *error)
{
	int status;

	if (!disk->unconfined && !disk->sandbox.entered) {
		/* A parked one may have to take up a large index yet. */
		status = doors_close(disk->config, disk->pipeline != NULL,
				     &disk->sandbox, error);
		if (status < 0)
			return status;
	}
	/* Threads come after the doors have closed, so that they are behind
	 * them as well. */
	instance_work_allow();
	status = watchdog_start(WATCHDOG_THRESHOLD_NS);
	if (status < 0)
		log_warning("filters are not watched: %s", strerror(-status));
	return 0;
}

static void answer_close(struct disk *disk, int status)
{
	void (*closed)(void *context, int status) = disk->closed;

	disk->closed = NULL;
	if (closed)
		closed(disk->closed_context, status);
	failpoint(FAILPOINT_DISK_ANSWERED);
}

static void exports_gone(struct disk *disk);

/*
 * The vhost-user-blk export has parted from what hangs below by now; the NBD
 * export can't, and waits on.
 */
static void stop_overdue(struct loop_timer *timer)
{
	struct disk *disk = timer->owner;

	disk_set_reason(disk, "requests of NBD clients don't end");
	log_error("disk %s can't be closed in order: %s", disk->config->name,
		  disk->reason);
	if (!disk->hurry)
		return;
	answer_close(disk, -EBUSY);
	disk_end(disk, 1);
}

static void on_export_stopped(void *context)
{
	struct disk *disk = context;

	if (--disk->exports_stopping == 0)
		exports_gone(disk);
}

/* Goes on in exports_gone(). */
static void stop_exports(struct disk *disk)
{
	uint64_t deadline_ms = disk->config->stop_deadline_ms
				       ? disk->config->stop_deadline_ms
				       : VHOST_USER_STOP_DEADLINE_MS;

	disk_enter(disk, DISK_STOPPING);
	disk->stop_deadline.expired = stop_overdue;
	disk->stop_deadline.owner = disk;
	/* Twice, because the vhost-user-blk export takes it once. */
	loop_timer_arm(disk->loop, &disk->stop_deadline,
		       2 * deadline_ms * NS_PER_MS);
	/* One more than there are, so that the last one is known. */
	disk->exports_stopping = 1;
	if (disk->vhost_user) {
		disk->exports_stopping++;
		vhost_user_export_stop(disk->vhost_user, on_export_stopped,
				       disk);
	}
	if (disk->nbd) {
		disk->exports_stopping++;
		nbd_export_stop(disk->nbd, on_export_stopped, disk);
	}
	on_export_stopped(disk);
}

/* Closing. */

static void on_closed(void *context, int status)
{
	struct disk *disk = context;

	disk->pipeline = NULL;
	if (status < 0)
		log_error("disk %s closed with an error: %s",
			  disk->config->name, strerror(-status));
	else
		log_info("disk %s is closed", disk->config->name);
	failpoint(FAILPOINT_DISK_CLOSED);
	if (status == 0 && disk->drained)
		status_pipe_closed(disk->status_fd);
	answer_close(disk, status);
	disk_end(disk, disk->exit_code != 0 || status < 0);
}

void disk_close_pipeline(struct disk *disk)
{
	disk_enter(disk, DISK_CLOSING);
	pipeline_close(disk->pipeline, on_closed, disk);
}

void disk_ready(struct disk *disk)
{
	disk_enter(disk, DISK_READY);
	if (disk->migrating || disk->migrate)
		handover_migrating(disk, disk->migrating);
	if (disk->hand_over_due)
		handover_asked(disk);
}

/* What is open already is closed in order. */
static void give_up_start(struct disk *disk, const struct error *error)
{
	log_error("%s", error->message);
	status_pipe_failed(disk->status_fd, error->message);
	disk->exit_code = 1;
	stop_exports(disk);
}

static void serve(struct disk *disk)
{
	struct error error = {0};
	int status = disk_start_vhost_user(disk, &error);

	if (status == 0)
		status = disk_start_nbd(disk, &error);
	failpoint(FAILPOINT_DISK_EXPORTED);
	if (status == 0)
		status = confine(disk, &error);
	failpoint(FAILPOINT_DISK_CONFINED);
	if (status < 0)
		give_up_start(disk, &error);
	else
		disk_ready(disk);
}

static void start_drain(struct disk *disk);

static void drain_again(struct loop_timer *timer)
{
	start_drain(timer->owner);
}

/* Nobody waits for an answer, and the data are safe where they are. */
static void drain_later(struct disk *disk, int status)
{
	snprintf(disk->reason, sizeof(disk->reason),
		 "its data can't be brought to the backend (%s); trying again",
		 strerror(-status));
	log_error("disk %s: %s", disk->config->name, disk->reason);
	status_pipe_draining(disk->status_fd, disk->reason);
	disk->drain_retry.expired = drain_again;
	disk->drain_retry.owner = disk;
	loop_timer_arm(disk->loop, &disk->drain_retry, DRAIN_RETRY_NS);
}

static void on_drained(void *context, int status)
{
	struct disk *disk = context;

	failpoint(FAILPOINT_DISK_DRAINED);
	if (status == 0) {
		disk->drained = true;
		disk_close_pipeline(disk);
		return;
	}
	if (disk->for_nobody) {
		drain_later(disk, status);
		return;
	}
	log_error("disk %s can't be drained (%s): it stays open",
		  disk->config->name, strerror(-status));
	serve(disk);
	answer_close(disk, status);
}

static void start_drain(struct disk *disk)
{
	disk_enter(disk, DISK_DRAINING);
	pipeline_action(disk->pipeline, NULL, PIPELINE_ACTION_FLUSH, on_drained,
			disk);
}

/*
 * The exports gave up requests that go on below, so nothing can be closed under
 * them. A process that shall end does; otherwise the disk stays in service.
 */
static void stay_stuck(struct disk *disk, const struct pipeline_stuck *stuck)
{
	log_error("disk %s can't be closed in order: %u requests are stuck in "
		  "its backend",
		  disk->config->name, stuck->requests);
	if (disk->hurry) {
		answer_close(disk, -EBUSY);
		disk_end(disk, 1);
		return;
	}
	disk->drain = false;
	serve(disk);
	answer_close(disk, -EBUSY);
}

/* No request comes any more. */
static void quiet(struct disk *disk)
{
	struct pipeline_stuck stuck;

	failpoint(FAILPOINT_DISK_QUIET);
	if (!disk->pipeline) { /* parked: nothing can be left behind */
		disk->drained = disk->drain;
		on_closed(disk, 0);
		return;
	}
	pipeline_stuck(disk->pipeline, &stuck);
	if (stuck.requests > 0) {
		stay_stuck(disk, &stuck);
		return;
	}
	if (!disk->drain) {
		disk_close_pipeline(disk);
		return;
	}
	disk->drain = false;
	start_drain(disk);
}

static void exports_gone(struct disk *disk)
{
	loop_timer_cancel(disk->loop, &disk->stop_deadline);
	vhost_user_export_destroy(disk->vhost_user);
	nbd_export_destroy(disk->nbd);
	disk->vhost_user = NULL;
	disk->nbd = NULL;
	if (disk->actions > 0 && disk->hurry)
		disk_end(disk, 0);
	else
		disk_when_quiet(disk, quiet);
}

void disk_when_quiet(struct disk *disk, void (*when_quiet)(struct disk *disk))
{
	if (disk->actions == 0) {
		when_quiet(disk);
		return;
	}
	disk->quiet = when_quiet;
	disk_set_reason(disk, "an action is under way");
}

void disk_action_begins(struct disk *disk)
{
	disk->actions++;
}

void disk_action_ends(struct disk *disk)
{
	void (*when_quiet)(struct disk * disk) = disk->quiet;

	disk->actions--;
	if (disk->actions > 0 || !when_quiet)
		return;
	disk->quiet = NULL;
	when_quiet(disk);
}

int disk_close(struct disk *disk, bool drain,
	       void (*closed)(void *context, int status), void *context)
{
	if (disk->state != DISK_READY && disk->state != DISK_INCOMING &&
	    disk->state != DISK_HANDED_OVER)
		return -EBUSY;
	loop_timer_cancel(disk->loop, &disk->handover_retry);
	disk->drain = drain;
	disk->closed = closed;
	disk->closed_context = context;
	stop_exports(disk);
	return 0;
}

/*
 * Where no consumer is connected any more and the end may be far away, because
 * a backend that hangs may never come back, the process ends as it is: what a
 * filter holds is as safe as after a kill.
 */
void disk_terminate(struct disk *disk)
{
	disk->hurry = true;
	switch (disk->state) {
	case DISK_OPENING:
	case DISK_DRAINING:
	case DISK_TAKING_OVER:
	case DISK_HANDING_OVER:
	case DISK_RESIZING:
		log_info("ends while %s disk %s", disk_state_name(disk->state),
			 disk->config->name);
		disk_end(disk, 0);
		return;
	case DISK_READY:
	case DISK_INCOMING:
	case DISK_HANDED_OVER:
		disk_close(disk, false, NULL, NULL);
		return;
	case DISK_STOPPING:
		/* Who asked for a drain must not believe that it was done. */
		if (disk->drain)
			answer_close(disk, -ECANCELED);
		disk->drain = false;
		if (disk->exports_stopping == 0)
			disk_end(disk, 0);
		else if (!disk->stop_deadline.armed)
			stop_overdue(&disk->stop_deadline);
		return;
	case DISK_CLOSING:
	case DISK_ENDED:
		return;
	}
}

/* Opening. */

static void on_progress(void *owner, const char *reason)
{
	struct disk *disk = owner;

	disk_set_reason(disk, reason);
	/* Tried again every second, and for long if it must be. */
	if (disk->state != DISK_RESIZING && !disk->arrival_waits.code)
		log_info("opening: %s", reason);
	/* One that was parked is parked again if it dies before it is open. */
	if (disk->for_nobody)
		status_pipe_draining(disk->status_fd, reason);
	else if (disk->state == DISK_OPENING)
		status_pipe_opening(disk->status_fd, reason);
}

void disk_open_pipeline(struct disk *disk, bool grow,
			void (*done)(struct pipeline_open_request *request,
				     int status, struct pipeline *pipeline,
				     const struct error *error))
{
	const struct config *config = disk->config;

	disk->opening = (struct pipeline_open_request){
		.name = config->name,
		.backend_uri = config->backend_uri,
		.size_bytes = disk->size_bytes,
		.read_only = config->read_only,
		.keep = true,
		.grow = grow,
		.kept_memory_good = disk->warm,
		.held_limit_ns = config->held_limit_ms * NS_PER_MS,
		.filters = disk->filters,
		.filter_count = config->filter_count,
		.lock_timeout_ns = LOCK_TIMEOUT_NS,
		.claim = &disk->claim,
		.done = done,
		.progress = on_progress,
		.happened = disk_event_happened,
		.reported = disk_event_reported,
		.owner = disk,
	};
	memcpy(disk->opening.uuid, config->uuid, sizeof(config->uuid));
	/* Later opens find what another host may have changed, or resized. */
	disk->warm = false;
	disk->half_open = true;
	pipeline_open(disk->loop, &disk->opening);
}

/* No exports: nobody is met, but what was read of the log is foreign. */
static void drain_for_nobody(struct disk *disk)
{
	struct error error = {0};

	if (confine(disk, &error) < 0) {
		give_up_start(disk, &error);
		return;
	}
	log_info("disk %s is drained for nobody", disk->config->name);
	status_pipe_draining(disk->status_fd,
			     "bringing its data to the backend");
	start_drain(disk);
}

/* As above: nobody is met. */
static void say_farewell(struct disk *disk)
{
	struct error error = {0};

	if (confine(disk, &error) < 0)
		give_up_start(disk, &error);
	else
		farewell_begin(disk);
}

static void on_opened(struct pipeline_open_request *request, int status,
		      struct pipeline *pipeline, const struct error *error)
{
	struct disk *disk = request->owner;

	disk->half_open = false;
	if (status < 0) {
		fail(disk, error);
		return;
	}
	disk->pipeline = pipeline;
	failpoint(FAILPOINT_DISK_OPENED);
	if (disk->deleting) {
		say_farewell(disk);
		return;
	}
	if (disk->for_nobody) {
		drain_for_nobody(disk);
		return;
	}
	serve(disk);
	if (disk->state != DISK_READY)
		return;
	log_info("disk %s is ready", disk->config->name);
	failpoint(FAILPOINT_DISK_READY);
	status_pipe_ready(disk->status_fd);
}

/* The export answers the VMM; all else waits until the VM runs here. */
static void start_parked(struct disk *disk)
{
	struct error error = {0};

	if (!disk->config->vhost_user_socket) {
		error_set(&error, -EINVAL,
			  "disk %s can't be incoming: it has no vhost-user-blk "
			  "export for a VM to arrive at",
			  disk->config->name);
		fail(disk, &error);
		return;
	}
	if (backend_keep(disk->config->backend_uri, disk->config->read_only,
			 &error) < 0 ||
	    disk_start_vhost_user(disk, &error) < 0) {
		fail(disk, &error);
		return;
	}
	claim_keep(&disk->claim);
	if (instance_sidecars_keep(disk->config->filters,
				   disk->config->filter_count, &disk->claim,
				   &error) < 0) {
		give_up_start(disk, &error);
		return;
	}
	if (confine(disk, &error) < 0) {
		give_up_start(disk, &error);
		return;
	}
	disk_enter(disk, disk->parked_as);
	log_info("disk %s is %s", disk->config->name,
		 disk_state_name(disk->state));
	status_pipe_parked(disk->status_fd, disk_state_name(disk->state));
}

/* Where it stands whose the backend is; looked for while we may look. */
static void find_sidecar(struct disk *disk)
{
	const struct config *config = disk->config;

	disk->claim = (struct claim_spec){
		.disk_name = config->name,
		.host_name = config->host_name,
		.epoch = 1,
		.read_only = config->read_only,
	};
	memcpy(disk->claim.disk_uuid, config->uuid, sizeof(config->uuid));
	memcpy(disk->claim.host_uuid, config->host_uuid,
	       sizeof(config->host_uuid));
	if (config->sidecar) {
		disk->claim.folder = config->sidecar;
	} else if (backend_beside(config->backend_uri, disk->sidecar,
				  sizeof(disk->sidecar))) {
		disk->claim.folder = disk->sidecar;
		disk->claim.owner_of = backend_path(config->backend_uri);
	}
}

void disk_keep_properties(struct disk *disk, const char *name,
			  const json_t *properties)
{
	for (uint32_t i = 0; i < disk->config->filter_count; i++) {
		struct pipeline_filter_spec *spec = &disk->filters[i];

		if (strcmp(spec->name, name) != 0)
			continue;
		if (!disk->properties[i])
			disk->properties[i] =
				spec->properties
					? json_deep_copy(spec->properties)
					: json_object();
		json_object_update(disk->properties[i], (json_t *)properties);
		spec->properties = disk->properties[i];
	}
}

void disk_start(struct disk *disk, struct loop *loop,
		const struct config *config,
		const struct disk_start_options *options)
{
	struct error error = {0};
	int status;

	*disk = (struct disk){
		.loop = loop,
		.config = config,
		.size_bytes = config->size_bytes,
		.status_fd = options->status_fd,
		.warm = options->warm && !options->incoming &&
			!options->handed_over,
		.unconfined = options->unconfined,
		.one_by_one = options->one_by_one,
		.predecessor_crashed = !options->warm,
		.for_nobody = options->drain,
		.deleting = options->deleting,
		.parked_as =
			options->handed_over ? DISK_HANDED_OVER : DISK_INCOMING,
	};
	memcpy(disk->filters, config->filters, sizeof(disk->filters));
	event_journal_open(&disk->journal, config->events);
	find_sidecar(disk);
	status = control_server_create(loop, config->control_socket,
				       disk_methods, disk, &disk->control,
				       &error);
	if (status < 0)
		fail(disk, &error);
	else if (options->incoming || options->handed_over)
		start_parked(disk);
	else
		disk_open_pipeline(disk, config->grow, on_opened);
}

bool disk_release(struct disk *disk)
{
	assert(disk->state == DISK_ENDED);
	control_server_destroy(disk->control);
	disk->control = NULL;
	event_journal_close(&disk->journal);
	for (uint32_t i = 0; i < PIPELINE_FILTERS_MAX; i++)
		json_decref(disk->properties[i]);
	return !disk->pipeline && !disk->half_open && !disk->vhost_user &&
	       !disk->nbd;
}
