/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h - one disk in service: control socket, pipeline, exports.
 *
 *   OPENING   the control socket answers; backend and filters open, which
 *             waits until the I/O of a killed predecessor has ended
 *   READY     the exports listen
 *   STOPPING  the exports let what is in flight end
 *   DRAINING  the filters bring what they hold down to the backend
 *   CLOSING   filters and backend close
 *   ENDED     the loop stops
 *
 * A drain that fails, and requests that are stuck below, lead back to READY:
 * nothing was lost, and somebody must be told. All else goes one way.
 */
#ifndef FOREBAY_DISK_DISK_H
#define FOREBAY_DISK_DISK_H

#include <stdbool.h>

#include "config.h"
#include "control.h"
#include "error.h"
#include "loop.h"
#include "nbd.h"
#include "pipeline.h"
#include "vhost_user.h"

enum disk_state {
	DISK_OPENING,
	DISK_READY,
	DISK_STOPPING,
	DISK_DRAINING,
	DISK_CLOSING,
	DISK_ENDED
};

struct disk {
	struct loop *loop;
	const struct config *config;
	int status_fd; /* negative: none */
	enum disk_state state;
	char reason[256]; /* of the state, for people; may be empty */
	int exit_code;

	struct control_server *control;
	struct pipeline_open_request opening;
	bool half_open; /* the pipeline isn't there yet */
	struct pipeline *pipeline;
	struct vhost_user_export *vhost_user;
	struct nbd_export *nbd;
	unsigned int exports_stopping;
	unsigned int actions; /* under way in the filters */

	bool drain; /* wanted by the close that is under way */
	bool drained; /* nothing came from the exports since */
	bool hurry; /* SIGTERM came: wait for no action */
	/* Gets the end of a close; NULL when nobody waits. */
	void (*closed)(void *context, int status);
	void *closed_context;
};

const char *disk_state_name(enum disk_state state);

/* Starts to open; failures end the loop with exit code 1. */
void disk_start(struct disk *disk, struct loop *loop,
		const struct config *config, int status_fd);
/*
 * Stops the exports, drains if @drain, closes. closed() (may be NULL) is called
 * with 0 when the disk is closed, or when it is READY again with the drain's
 * failure, or -EBUSY for requests that are stuck below.
 * Returns: 0, or -EBUSY unless the disk is READY.
 */
int disk_close(struct disk *disk, bool drain,
	       void (*closed)(void *context, int status), void *context);
/* The supervisor or the operator wants the process to end: SIGTERM. */
void disk_terminate(struct disk *disk);
/* Each action that was started with the pipeline is told, and its end too: the
 * pipeline can't close before. */
void disk_action_begins(struct disk *disk);
void disk_action_ends(struct disk *disk);
/*
 * After the loop has ended. Returns: false if the disk ended in the middle of
 * something, so that memory is left that only the end of the process frees.
 */
bool disk_release(struct disk *disk);

#endif
