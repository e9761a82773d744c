/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost_user.h - offers a disk to a VMM as a vhost-user-blk device.
 *
 * One front-end at a time. While one is connected others are refused; when it
 * has just hung up and its last requests are still under way, the next waits
 * for them. A front-end that comes back after this process was killed has its
 * unfinished requests carried out again (see inflight.h).
 *
 * An export may be parked: without a pipeline it answers all that doesn't need
 * one, and takes no request from the guest until it gets one.
 *
 *   create ---------> serving --park--> parked --unpark--> serving ...
 *      `- no pipeline ------------------^  |
 *                                          `- wanted(): a queue should run
 *
 * When a VM leaves in a migration, its last queue to stop makes hand_over()
 * called. The VMM's question stays unanswered, so the VM doesn't run elsewhere,
 * until vhost_user_export_handed_over().
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
	/* What a pipeline would say; not looked at if there is one. */
	uint8_t uuid[16];
	uint64_t size_bytes;
	bool read_only;
	/*
	 * What a predecessor left is taken up one by one, because it may end
	 * this process, too (vhost_trial.h); if it did so before, it is failed.
	 */
	bool one_by_one;
	bool predecessor_crashed;
	/* NULL: nobody wants to know. */
	void (*wanted)(void *owner);
	/* NULL: each hand-over is done at once. */
	void (*hand_over)(void *owner);
	/* NULL: nobody wants to know. The VM may leave soon; or it stays. */
	void (*migrating)(void *owner, bool migrating);
	/* NULL: nobody wants to know. The device is stopped, and somebody waits
	 * for requests under way; or no more. */
	void (*aborting)(void *owner, bool aborting);
	void *owner;
};

/*
 * Listens at once; serves when the loop runs. @pipeline is NULL: parked.
 * Order: @pipeline lives longer than the export, or until it is parked.
 */
int vhost_user_export_create(struct loop *loop, struct pipeline *pipeline,
			     const struct vhost_user_options *options,
			     struct vhost_user_export **ret_export,
			     struct error *error);
/*
 * Takes nothing more from the guest, lets what is in flight end and forgets the
 * pipeline; then calls @done, once, never from inside this call. The VMM stays
 * connected. Order: it serves.
 */
void vhost_user_export_park(struct vhost_user_export *export,
			    void (*done)(void *context), void *context);
/* Goes on. A running guest is told when the disk's size is another one. */
void vhost_user_export_unpark(struct vhost_user_export *export,
			      struct pipeline *pipeline);
/* After hand_over(): the VM may run elsewhere. */
void vhost_user_export_handed_over(struct vhost_user_export *export);
/* Returns: whether a queue should run now, and there is no pipeline. */
bool vhost_user_export_wants(const struct vhost_user_export *export);
/*
 * Takes nothing more from the guest, lets what is in flight end, hangs up and
 * removes the socket; then calls @done, once, never from inside this call.
 * Requests that don't end in time are given up: pipeline_stuck() tells.
 */
void vhost_user_export_stop(struct vhost_user_export *export,
			    void (*done)(void *context), void *context);
/* Order: after stop's done(), from inside it too. NULL is fine. */
void vhost_user_export_destroy(struct vhost_user_export *export);

/* How many front-ends have connected so far: the same number, the same one. */
uint64_t vhost_user_export_connections(const struct vhost_user_export *export);
/* Owns: the caller. Returns: NULL without memory. */
json_t *vhost_user_export_stats(const struct vhost_user_export *export);

#endif
