/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost_trial.h - finds the request that ends every process which takes it up.
 *
 * A process whose predecessors crashed again and again takes up what they left
 * one by one, over all queues, and notes in the in-flight region which one it
 * is at. If it dies of that, the next process finds the note and fails this
 * request to the guest instead of carrying it out. New requests wait until all
 * that was left is done, so that nobody is on trial for what another one does.
 *
 * The note is in the VMM's memory: whatever it says, it can only fail a request
 * of that VM.
 *
 * Owned by the device's vhost_shared; on the disk's loop.
 */
#ifndef FOREBAY_EXPORT_VHOST_TRIAL_H
#define FOREBAY_EXPORT_VHOST_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

struct inflight_device;

struct vhost_trial {
	/* The VMM's, NULL: nothing can be noted, and nobody is condemned. */
	struct inflight_device *notes;
	/*
	 * The export's, true until a note has been read: the predecessor died
	 * of an error of its own.
	 */
	bool *believe;
	bool one_by_one; /* else all of this does nothing */
	bool running;
	uint32_t suspect_queue; /* found; from 1, 0: none */
	uint32_t suspect_head;
	uint32_t condemned; /* failed so far; read once, then counted */
	unsigned int owing; /* queues with something to take up */
	unsigned int in_flight; /* requests of all queues */
};

/* With the part of the in-flight file that is the device's, or NULL. */
void vhost_trial_find(struct vhost_trial *trial, struct inflight_device *notes);
/* Whether a request may be taken; @left: by a predecessor. */
bool vhost_trial_lets(const struct vhost_trial *trial, bool left);
/* Notes it. Returns: whether it is to be failed. */
bool vhost_trial_begin(struct vhost_trial *trial, unsigned int queue,
		       uint16_t head);
/* A request has ended, or has never begun. */
void vhost_trial_end(struct vhost_trial *trial);
/* How many requests of this VM have been failed. */
uint32_t vhost_trial_condemned(const struct vhost_trial *trial);

#endif
