// SPDX-License-Identifier: Apache-2.0
/*
 * vhost_user.c - the listening socket, and who is connected.
 *
 * Runs on the disk's loop.
 */
#include "vhost_user.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acceptor.h"
#include "clock.h"
#include "listen_socket.h"
#include "log.h"
#include "vhost_connection.h"

struct vhost_user_export {
	struct vhost_device_setup setup;
	struct vhost_counters counters;
	bool predecessor_crashed; /* until that has been used */
	struct vhost_connection *connection;
	char *name;
	char *socket_path;
	int listen_fd;
	int waiting_fd; /* a front-end, until the one before is done */
	bool stopping;
	bool stopped;
	struct acceptor acceptor;
	struct loop_deferred stop;
	void (*stop_done)(void *context);
	void *stop_context;
	struct loop_deferred park;
	void (*park_done)(void *context);
	void *park_context;
	struct vhost_connection_events events;
	void (*wanted)(void *owner);
	void (*hand_over)(void *owner);
	void (*migrating)(void *owner, bool migrating);
	void (*aborting)(void *owner, bool aborting);
	void *owner;
};

static void connect_waiting(struct vhost_user_export *export);

static void connection_closed(void *owner)
{
	struct vhost_user_export *export = owner;

	export->connection = NULL;
	log_info("disk %s: vhost-user front-end disconnected", export->name);
	if (export->setup.parking)
		loop_defer(export->setup.loop, &export->park);
	if (export->stopping)
		loop_defer(export->setup.loop, &export->stop);
	else
		connect_waiting(export);
}

static void connection_progressed(void *owner)
{
	struct vhost_user_export *export = owner;

	if (export->setup.parking)
		loop_defer(export->setup.loop, &export->park);
}

static void connection_wanted(void *owner)
{
	struct vhost_user_export *export = owner;

	if (export->wanted && !export->stopping)
		export->wanted(export->owner);
}

static void connection_hand_over(void *owner)
{
	struct vhost_user_export *export = owner;

	if (export->hand_over && !export->stopping)
		export->hand_over(export->owner);
	else
		vhost_user_export_handed_over(export);
}

static void connection_migrating(void *owner, bool migrating)
{
	struct vhost_user_export *export = owner;

	if (export->migrating && !export->stopping)
		export->migrating(export->owner, migrating);
}

static void connection_aborting(void *owner, bool aborting)
{
	struct vhost_user_export *export = owner;

	if (export->aborting)
		export->aborting(export->owner, aborting);
}

static void connect_waiting(struct vhost_user_export *export)
{
	int result;

	if (export->waiting_fd < 0)
		return;
	result = vhost_connection_create(&export->setup, export->waiting_fd,
					 &export->events, &export->connection);
	if (result < 0) {
		log_error("disk %s: vhost-user front-end: %s", export->name,
			  strerror(-result));
		close(export->waiting_fd);
	} else {
		log_info("disk %s: vhost-user front-end connected",
			 export->name);
		export->counters.connections++;
	}
	export->waiting_fd = -1;
}

static void admit(struct vhost_user_export *export, int fd)
{
	if (export->waiting_fd >= 0 ||
	    (export->connection &&
	     vhost_connection_alive(export->connection))) {
		log_warning("disk %s: a second vhost-user front-end is "
			    "refused: the disk is in use",
			    export->name);
		close(fd);
		return;
	}
	export->waiting_fd = fd;
	if (!export->connection)
		connect_waiting(export);
}

static void accepted(struct acceptor *acceptor, int fd)
{
	struct vhost_user_export *export = acceptor->owner;

	if (fd < 0)
		log_warning("disk %s: vhost-user accept: %s", export->name,
			    strerror(-fd));
	else
		admit(export, fd);
}

static void accepts_no_more(struct acceptor *acceptor)
{
	struct vhost_user_export *export = acceptor->owner;

	loop_defer(export->setup.loop, &export->stop);
}

static void stop_advance(struct loop_deferred *deferred)
{
	struct vhost_user_export *export = deferred->owner;

	if (export->acceptor.waiting || export->connection || export->stopped)
		return;
	export->stopped = true;
	export->stop_done(export->stop_context);
}

void vhost_user_export_stop(struct vhost_user_export *export,
			    void (*done)(void *context), void *context)
{
	assert(!export->stopping);
	export->stopping = true;
	export->stop_done = done;
	export->stop_context = context;
	unlink(export->socket_path);
	/* What it waits for are the same requests. */
	export->setup.parking = false;
	if (export->waiting_fd >= 0)
		close(export->waiting_fd);
	export->waiting_fd = -1;
	acceptor_stop(&export->acceptor);
	if (export->connection)
		vhost_connection_close(export->connection);
	loop_defer(export->setup.loop, &export->stop);
}

static void park_advance(struct loop_deferred *deferred)
{
	struct vhost_user_export *export = deferred->owner;
	struct vhost_device *device =
		export->connection ? vhost_connection_device(export->connection)
				   : NULL;

	if (!export->setup.parking || (device && !vhost_device_parked(device)))
		return;
	export->setup.parking = false;
	export->setup.pipeline = NULL;
	if (device)
		vhost_device_set_pipeline(device, NULL,
					  export->setup.size_bytes);
	export->park_done(export->park_context);
}

void vhost_user_export_park(struct vhost_user_export *export,
			    void (*done)(void *context), void *context)
{
	assert(export->setup.pipeline && !export->setup.parking &&
	       !export->stopping);
	export->setup.parking = true;
	export->park_done = done;
	export->park_context = context;
	if (export->connection)
		vhost_device_park(vhost_connection_device(export->connection));
	loop_defer(export->setup.loop, &export->park);
}

void vhost_user_export_unpark(struct vhost_user_export *export,
			      struct pipeline *pipeline)
{
	uint64_t size_bytes = pipeline_size_bytes(pipeline);
	bool resized = size_bytes != export->setup.size_bytes;
	struct vhost_device *device;

	assert(!export->setup.pipeline && !export->stopping);
	export->setup.pipeline = pipeline;
	export->setup.size_bytes = size_bytes;
	if (!export->connection)
		return;
	device = vhost_connection_device(export->connection);
	vhost_device_set_pipeline(device, pipeline, size_bytes);
	if (resized)
		vhost_device_config_changed(device);
}

void vhost_user_export_handed_over(struct vhost_user_export *export)
{
	if (export->connection)
		vhost_connection_handed_over(export->connection);
}

bool vhost_user_export_wants(const struct vhost_user_export *export)
{
	return !export->setup.pipeline && export->connection &&
	       vhost_device_started_queues(
		       vhost_connection_device(export->connection)) > 0;
}

static void export_free(struct vhost_user_export *export)
{
	free(export->socket_path);
	free(export->name);
	free(export);
}

void vhost_user_export_destroy(struct vhost_user_export *export)
{
	if (!export)
		return;
	assert(export->stopped);
	close(export->listen_fd);
	export_free(export);
}

uint64_t vhost_user_export_connections(const struct vhost_user_export *export)
{
	return export->counters.connections;
}

json_t *vhost_user_export_stats(const struct vhost_user_export *export)
{
	const struct vhost_counters *counters = &export->counters;
	const struct vhost_device *device = NULL;

	if (export->connection)
		device = vhost_connection_device(export->connection);
	return json_pack(
		"{s:b, s:b, s:b, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"connected", device != NULL, "overdue",
		device && vhost_connection_overdue(export->connection),
		"writeback", device && vhost_device_writes_back(device),
		"queues", device ? (int)vhost_device_started_queues(device) : 0,
		"in_flight", device ? (int)vhost_device_in_flight(device) : 0,
		"connections", (json_int_t)counters->connections, "kicks",
		(json_int_t)counters->kicks, "notifications",
		(json_int_t)counters->notifications, "replayed",
		(json_int_t)counters->replayed, "bounced",
		(json_int_t)counters->bounced, "broken_queues",
		(json_int_t)counters->broken_queues, "condemned",
		device ? (json_int_t)vhost_device_condemned(device) : 0);
}

static int export_listen(struct vhost_user_export *export,
			 const struct vhost_user_options *options,
			 struct error *error)
{
	mode_t mode = options->socket_mode ? options->socket_mode
					   : VHOST_USER_SOCKET_MODE;

	export->name = strdup(options->name);
	export->socket_path = strdup(options->socket_path);
	if (!export->name || !export->socket_path)
		return error_set(error, -ENOMEM, "vhost-user: out of memory");
	return listen_socket_open(export->socket_path, mode, &export->listen_fd,
				  error);
}

/* What the disk is, and who wants to hear of it. */
static void export_learn(struct vhost_user_export *export,
			 const struct pipeline *pipeline,
			 const struct vhost_user_options *options)
{
	struct vhost_device_setup *setup = &export->setup;

	if (pipeline) {
		memcpy(setup->uuid, pipeline_uuid(pipeline),
		       sizeof(setup->uuid));
		setup->size_bytes = pipeline_size_bytes(pipeline);
		setup->read_only = pipeline_read_only(pipeline);
	} else {
		memcpy(setup->uuid, options->uuid, sizeof(setup->uuid));
		setup->size_bytes = options->size_bytes;
		setup->read_only = options->read_only;
	}
	export->wanted = options->wanted;
	export->hand_over = options->hand_over;
	export->migrating = options->migrating;
	export->aborting = options->aborting;
	export->owner = options->owner;
	export->events = (struct vhost_connection_events){
		.closed = connection_closed,
		.progressed = connection_progressed,
		.wanted = connection_wanted,
		.hand_over = connection_hand_over,
		.migrating = connection_migrating,
		.aborting = connection_aborting,
		.owner = export,
	};
}

int vhost_user_export_create(struct loop *loop, struct pipeline *pipeline,
			     const struct vhost_user_options *options,
			     struct vhost_user_export **ret_export,
			     struct error *error)
{
	unsigned int queues =
		options->queues ? options->queues : VHOST_USER_QUEUES;
	unsigned int revision =
		options->revision ? options->revision : DEVICE_REVISION_NEWEST;
	const struct virtio_blk_model *model = virtio_blk_model(revision);
	unsigned int deadline_ms = options->stop_deadline_ms
					   ? options->stop_deadline_ms
					   : VHOST_USER_STOP_DEADLINE_MS;
	struct vhost_user_export *export;
	int result;

	if (queues > VHOST_DEVICE_QUEUES_MAX)
		return error_set(error, -EINVAL,
				 "vhost-user: %u queues, more than %u", queues,
				 VHOST_DEVICE_QUEUES_MAX);
	if (!model)
		return error_set(error, -ENOTSUP,
				 "vhost-user: the disk's device is of revision "
				 "%u, this version of Forebay knows %u to %u: "
				 "serve it with a newer version",
				 revision, DEVICE_REVISION_FIRST,
				 DEVICE_REVISION_NEWEST);
	export = calloc(1, sizeof(*export));
	if (!export)
		return error_set(error, -ENOMEM, "vhost-user: out of memory");
	result = export_listen(export, options, error);
	if (result < 0) {
		export_free(export);
		return result;
	}
	export->waiting_fd = -1;
	export->setup = (struct vhost_device_setup){
		.loop = loop,
		.pipeline = pipeline,
		.counters = &export->counters,
		.queue_count = queues,
		.model = model,
		.stop_deadline_ns = deadline_ms * NS_PER_MS,
		.name = export->name,
		.one_by_one = options->one_by_one,
		.believe = &export->predecessor_crashed,
	};
	export->predecessor_crashed = options->predecessor_crashed;
	export_learn(export, pipeline, options);
	export->park.run = park_advance;
	export->park.owner = export;
	export->acceptor = (struct acceptor){
		.accepted = accepted,
		.stopped = accepts_no_more,
		.owner = export,
	};
	export->stop.run = stop_advance;
	export->stop.owner = export;
	acceptor_start(&export->acceptor, loop, export->listen_fd);
	*ret_export = export;
	return 0;
}
