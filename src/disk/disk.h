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
 * A disk that is to be deleted is opened only to ask its filters, and goes from
 * OPENING to CLOSING. One that is opened only to be drained goes from OPENING
 * to DRAINING, and stays there until that has succeeded.
 *
 * A drain that fails, and requests that are stuck below, lead back to READY:
 * nothing was lost, and somebody must be told.
 *
 * While a VM moves between hosts the disk is open on both, and parked on all
 * but one: no pipeline, no lock on the image, nothing is read or served, but
 * the VMM is connected (handover.c). A resize parks it too (resize.c).
 *
 *   INCOMING      parked: the VM will come here
 *   HANDED_OVER   parked: the VM has left
 *   TAKING_OVER   a queue runs here: the pipeline opens, as in OPENING
 *   HANDING_OVER  the VM has stopped here: drains and closes the pipeline
 *   RESIZING      the pipeline closes and opens again, or waits until it can
 */
#ifndef FOREBAY_DISK_DISK_H
#define FOREBAY_DISK_DISK_H

#include <stdbool.h>

#include "claim.h"
#include "config.h"
#include "control.h"
#include "error.h"
#include "event_journal.h"
#include "loop.h"
#include "nbd.h"
#include "pipeline.h"
#include "sandbox.h"
#include "vhost_user.h"

enum disk_state {
	DISK_OPENING,
	DISK_READY,
	DISK_STOPPING,
	DISK_DRAINING,
	DISK_CLOSING,
	DISK_INCOMING,
	DISK_HANDED_OVER,
	DISK_TAKING_OVER,
	DISK_HANDING_OVER,
	DISK_RESIZING,
	DISK_ENDED
};

/* How the disk begins. */
struct disk_start_options {
	bool incoming; /* parked, until its VM runs here */
	bool handed_over; /* parked, for its VM has left a predecessor */
	/* The process before this one didn't die of an error of its own. */
	bool warm;
	bool drain; /* serves nobody, and ends when nothing is dirty */
	bool deleting; /* serves nobody, asks the filters, and ends */
	bool one_by_one; /* predecessors crashed again and again */
	bool unconfined; /* no sandbox: for debuggers */
	int status_fd; /* negative: none */
};

struct disk {
	struct loop *loop;
	const struct config *config;
	/* As the configuration says, and properties that changed since. */
	struct pipeline_filter_spec filters[PIPELINE_FILTERS_MAX];
	json_t *properties[PIPELINE_FILTERS_MAX]; /* of those that changed */
	int status_fd; /* negative: none */
	enum disk_state state;
	char reason[256]; /* of the state, for people; may be empty */
	int exit_code;

	struct control_server *control;
	struct pipeline_open_request opening;
	struct pipeline *pipeline;
	struct vhost_user_export *vhost_user;
	struct nbd_export *nbd;
	/* Entered before the first export accepts anybody. */
	struct sandbox sandbox;
	bool warm; /* what filters kept is good; until it was used */
	bool unconfined;
	bool one_by_one; /* as disk_start_options has it */
	bool predecessor_crashed;
	bool for_nobody; /* opened to be drained and closed */
	bool deleting; /* opened to ask its filters, and closed */
	bool half_open; /* the pipeline isn't there yet */
	bool aborting; /* a guest waits for its requests */
	unsigned int exports_stopping;
	struct loop_timer stop_deadline; /* armed: it may be kept yet */
	unsigned int actions; /* under way in the filters */
	/* Called once when there are none. */
	void (*quiet)(struct disk *disk);
	uint64_t size_bytes; /* now */
	struct claim_spec claim;
	char sidecar[SIDECAR_PATH_BYTES]; /* its folder, if it has one */
	struct event_journal journal;
	struct disk_event *stun; /* or unstun: begun, not ended */
	void (*stunned)(struct disk *disk); /* goes on behind that */
	struct disk_event *abort; /* begun, not ended */

	/* handover.c's */
	enum disk_state parked_as; /* before TAKING_OVER */
	bool hand_over_due; /* as soon as it is READY */
	bool migrating; /* the VMM logs written pages */
	bool preparing; /* the filters are being told so */
	struct disk_event *migrate; /* they have been told */
	uint64_t left_with; /* connection of the VMM that left; 0: unknown */
	struct loop_timer handover_retry;
	struct error arrival_waits; /* why, as last logged */

	/* resize.c's */
	struct disk_event *grow; /* begun, not ended */
	uint64_t resize_bytes; /* wanted */
	uint64_t before_bytes;
	struct loop_timer resize_retry;
	struct error resize_waits; /* why neither size opens, as last logged */
	struct error resize_error;
	void (*resized)(void *context, const struct error *error);
	void *resize_context;

	struct loop_timer drain_retry;
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
		const struct config *config,
		const struct disk_start_options *options);
/*
 * Stops the exports, drains if @drain, closes. closed() (may be NULL) is called
 * with 0 when the disk is closed, or when it is READY again with the drain's
 * failure, or -EBUSY for requests that are stuck below.
 * Returns: 0, or -EBUSY unless the disk is READY or parked.
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
 * Makes a READY disk larger. resized() comes once, with NULL or the reason why
 * the disk is as it was. Returns: 0, -EBUSY or -EINVAL, with words in @error.
 */
int disk_resize(struct disk *disk, uint64_t size_bytes,
		void (*resized)(void *context, const struct error *error),
		void *context, struct error *error);
/* Filter @name has had these properties set: an open has them, too. */
void disk_keep_properties(struct disk *disk, const char *name,
			  const json_t *properties);
/*
 * The same with the size that it has: a filter opens with what it has read of
 * its properties only then.
 */
int disk_reopen(struct disk *disk,
		void (*reopened)(void *context, const struct error *error),
		void *context, struct error *error);
/*
 * After the loop has ended. Returns: false if the disk ended in the middle of
 * something, so that memory is left that only the end of the process frees.
 */
bool disk_release(struct disk *disk);

#endif
