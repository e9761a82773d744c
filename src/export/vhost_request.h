/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost_request.h - one request of a guest, from its chain to its status.
 *
 * A queue has one slot for each head, so that a head says where its request
 * is and nothing is allocated on the way.
 */
#ifndef FOREBAY_EXPORT_VHOST_REQUEST_H
#define FOREBAY_EXPORT_VHOST_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "pipeline.h"
#include "vhost_queue.h"
#include "virtio_blk.h"

struct vhost_slot {
	struct vhost_queue *queue;
	struct pipeline_request *request;
	struct vhost_slot *bounce_next;
	struct virtio_blk_command command;
	uint16_t head;
	bool busy;
	bool bounced;
	bool bounce_waits; /* for the buffer */
	bool silent; /* the guest gets no answer */
	struct iovec bounce_piece;
	unsigned int range_count; /* of a discard or of zeroes */
	unsigned int range_next;
	union {
		struct iovec iov[VIRTIO_BLK_IOV_MAX];
		struct virtio_blk_range ranges[VIRTIO_BLK_RANGES_MAX];
	};
};

/*
 * Carries out the chain that starts at @head, or only fails it if @condemned;
 * vhost_queue_return() is called once for it, perhaps before this returns.
 * Owns: the slot owns @request.
 * Returns: 0, or -EPROTO if the chain is broken: then it never returns.
 */
int vhost_request_begin(struct vhost_queue *queue, uint16_t head,
			bool condemned, struct pipeline_request *request);
/*
 * Gives it up. What the chain doesn't have yet ends now, with an error for the
 * guest, or without a word if not @answer. Returns: true if it has ended.
 */
bool vhost_request_abandon(struct vhost_slot *slot, bool answer);
/* Order: abandon() was false. The same end; the pipeline's request, which is
 * still under way, is the caller's. */
struct pipeline_request *vhost_request_part(struct vhost_slot *slot);
/* Runs the requests that wait for the bounce buffer. */
void vhost_request_next_bounced(struct loop_deferred *deferred);

/* The queue's: @head is done, with its status in place. */
void vhost_queue_return(struct vhost_queue *queue, uint16_t head,
			uint32_t written);
/* A request has ended that the guest isn't told of. */
void vhost_queue_forget(struct vhost_queue *queue);

#endif
