/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost_user.h - offers a disk to a VMM as a vhost-user-blk device.
 *
 * One front-end at a time. While one is connected others are refused; when it
 * has just hung up and its last requests are still under way, the next waits
 * for them. A front-end that comes back after this process was killed has its
 * unfinished requests carried out again (see inflight.h).
 *
 * Thread: everything on the disk's loop.
 */
#ifndef FOREBAY_EXPORT_VHOST_USER_H
#define FOREBAY_EXPORT_VHOST_USER_H

#include <jansson.h>
#include <sys/types.h>

#include "device_revision.h"
#include "error.h"
#include "loop.h"
#include "pipeline.h"

struct vhost_user_export;

#define VHOST_USER_SOCKET_MODE 0660
#define VHOST_USER_STOP_DEADLINE_MS 30000u
#define VHOST_USER_QUEUES DEVICE_QUEUES_DEFAULT

/* Copied. Zero stands for the defaults that are named. */
struct vhost_user_options {
	const char *socket_path; /* at most 107 bytes; needed */
	const char *name; /* of the disk, for the log; needed */
	mode_t socket_mode; /* VHOST_USER_SOCKET_MODE */
	unsigned int queues; /* VHOST_USER_QUEUES */
	unsigned int revision; /* DEVICE_REVISION_NEWEST */
	/* How long a stop waits for requests in flight. */
	unsigned int stop_deadline_ms; /* VHOST_USER_STOP_DEADLINE_MS */
};

/*
 * Listens at once; serves when the loop runs.
 * Order: @pipeline lives longer than the export.
 */
int vhost_user_export_create(struct loop *loop, struct pipeline *pipeline,
			     const struct vhost_user_options *options,
			     struct vhost_user_export **ret_export,
			     struct error *error);
/*
 * Takes nothing more from the guest, lets what is in flight end, hangs up and
 * removes the socket; then calls @done, once, never from inside this call.
 * Requests that don't end in time are given up: pipeline_stuck() tells.
 */
void vhost_user_export_stop(struct vhost_user_export *export,
			    void (*done)(void *context), void *context);
/* Order: after stop's done(), from inside it too. NULL is fine. */
void vhost_user_export_destroy(struct vhost_user_export *export);

/* Owns: the caller. Returns: NULL without memory. */
json_t *vhost_user_export_stats(const struct vhost_user_export *export);

#endif
