// SPDX-License-Identifier: Apache-2.0
/*
 * disk.c - the states of disk.h, all on the disk's loop.
 *
 * Order of start: control socket first, so that whoever asks gets an answer
 * even while the open waits; exports last, because a request may only arrive
 * when everything below is there.
 */
#include "disk.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "methods.h"
#include "status_pipe.h"

/* How long a predecessor's I/O may keep the backend locked. */
#define LOCK_TIMEOUT_NS (10 * NS_PER_SECOND)

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
	case DISK_ENDED:
		return "ended";
	}
	return NULL;
}

static void enter(struct disk *disk, enum disk_state state)
{
	disk->state = state;
	disk->reason[0] = '\0';
}

static void end(struct disk *disk, int exit_code)
{
	enter(disk, DISK_ENDED);
	disk->exit_code = exit_code;
	loop_stop(disk->loop);
}

static void fail(struct disk *disk, const struct error *error)
{
	log_error("%s", error->message);
	status_pipe_failed(disk->status_fd, error->message);
	end(disk, 1);
}

/* Exports. */

static int start_exports(struct disk *disk, struct error *error)
{
	const struct config *config = disk->config;
	const struct vhost_user_options vhost_user = {
		.socket_path = config->vhost_user_socket,
		.name = config->name,
		.queues = config->queues,
		.revision = config->device_revision,
		.stop_deadline_ms = config->stop_deadline_ms,
	};
	const struct nbd_options nbd = {
		.socket_path = config->nbd_socket,
		.export_name = config->nbd_name,
		.description = config->name,
	};
	int status = 0;

	if (vhost_user.socket_path)
		status = vhost_user_export_create(disk->loop, disk->pipeline,
						  &vhost_user,
						  &disk->vhost_user, error);
	if (status == 0 && nbd.socket_path)
		status = nbd_export_create(disk->loop, disk->pipeline, &nbd,
					   &disk->nbd, error);
	return status;
}

static void exports_gone(struct disk *disk);

static void on_export_stopped(void *context)
{
	struct disk *disk = context;

	if (--disk->exports_stopping == 0)
		exports_gone(disk);
}

/* Goes on in exports_gone(). */
static void stop_exports(struct disk *disk)
{
	enter(disk, DISK_STOPPING);
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

static void answer_close(struct disk *disk, int status)
{
	void (*closed)(void *context, int status) = disk->closed;

	disk->closed = NULL;
	if (closed)
		closed(disk->closed_context, status);
}

static void on_closed(void *context, int status)
{
	struct disk *disk = context;

	disk->pipeline = NULL;
	if (status < 0)
		log_error("disk %s closed with an error: %s",
			  disk->config->name, strerror(-status));
	else
		log_info("disk %s is closed", disk->config->name);
	if (status == 0 && disk->drained)
		status_pipe_closed(disk->status_fd);
	answer_close(disk, status);
	end(disk, disk->exit_code != 0 || status < 0);
}

static void close_pipeline(struct disk *disk)
{
	enter(disk, DISK_CLOSING);
	pipeline_close(disk->pipeline, on_closed, disk);
}

static void serve(struct disk *disk)
{
	struct error error = {0};

	if (start_exports(disk, &error) < 0) {
		/* What is open already is closed in order. */
		log_error("%s", error.message);
		status_pipe_failed(disk->status_fd, error.message);
		disk->exit_code = 1;
		stop_exports(disk);
		return;
	}
	enter(disk, DISK_READY);
}

static void on_drained(void *context, int status)
{
	struct disk *disk = context;

	if (status == 0) {
		disk->drained = true;
		close_pipeline(disk);
		return;
	}
	log_error("disk %s can't be drained (%s): it stays open",
		  disk->config->name, strerror(-status));
	serve(disk);
	answer_close(disk, status);
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
		end(disk, 1);
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

	pipeline_stuck(disk->pipeline, &stuck);
	if (stuck.requests > 0) {
		stay_stuck(disk, &stuck);
		return;
	}
	if (!disk->drain) {
		close_pipeline(disk);
		return;
	}
	enter(disk, DISK_DRAINING);
	disk->drain = false;
	pipeline_action(disk->pipeline, NULL, PIPELINE_ACTION_FLUSH, on_drained,
			disk);
}

static void exports_gone(struct disk *disk)
{
	vhost_user_export_destroy(disk->vhost_user);
	nbd_export_destroy(disk->nbd);
	disk->vhost_user = NULL;
	disk->nbd = NULL;
	if (disk->actions == 0)
		quiet(disk);
	else if (disk->hurry)
		end(disk, 0);
	else
		snprintf(disk->reason, sizeof(disk->reason),
			 "an action is under way");
}

void disk_action_begins(struct disk *disk)
{
	disk->actions++;
}

void disk_action_ends(struct disk *disk)
{
	disk->actions--;
	if (disk->state == DISK_STOPPING && disk->exports_stopping == 0 &&
	    disk->actions == 0)
		quiet(disk);
}

int disk_close(struct disk *disk, bool drain,
	       void (*closed)(void *context, int status), void *context)
{
	if (disk->state != DISK_READY)
		return -EBUSY;
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
		log_info("ends while %s disk %s", disk_state_name(disk->state),
			 disk->config->name);
		end(disk, 0);
		return;
	case DISK_READY:
		disk_close(disk, false, NULL, NULL);
		return;
	case DISK_STOPPING:
		/* Who asked for a drain must not believe that it was done. */
		if (disk->drain)
			answer_close(disk, -ECANCELED);
		disk->drain = false;
		if (disk->exports_stopping == 0)
			end(disk, 0);
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

	snprintf(disk->reason, sizeof(disk->reason), "%s", reason);
	log_info("opening: %s", reason);
	status_pipe_opening(disk->status_fd, reason);
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
	serve(disk);
	if (disk->state != DISK_READY)
		return;
	log_info("disk %s is ready", disk->config->name);
	status_pipe_ready(disk->status_fd);
}

void disk_start(struct disk *disk, struct loop *loop,
		const struct config *config, int status_fd)
{
	struct error error = {0};
	int status;

	*disk = (struct disk){
		.loop = loop,
		.config = config,
		.status_fd = status_fd,
	};
	status = control_server_create(loop, config->control_socket,
				       disk_methods, disk, &disk->control,
				       &error);
	if (status < 0) {
		fail(disk, &error);
		return;
	}
	disk->opening = (struct pipeline_open_request){
		.name = config->name,
		.backend_uri = config->backend_uri,
		.size_bytes = config->size_bytes,
		.read_only = config->read_only,
		.filters = config->filters,
		.filter_count = config->filter_count,
		.lock_timeout_ns = LOCK_TIMEOUT_NS,
		.done = on_opened,
		.progress = on_progress,
		.owner = disk,
	};
	memcpy(disk->opening.uuid, config->uuid, sizeof(config->uuid));
	disk->half_open = true;
	pipeline_open(loop, &disk->opening);
}

bool disk_release(struct disk *disk)
{
	assert(disk->state == DISK_ENDED);
	control_server_destroy(disk->control);
	disk->control = NULL;
	return !disk->pipeline && !disk->half_open;
}
