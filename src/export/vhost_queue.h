/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost_queue.h - one virtqueue at work: from the guest's ring to the pipeline
 * and back.
 *
 *   started   it has rings and a kick, and its slots are allocated
 *   enabled   the VMM lets it run
 *   paused    we hold it still, to change memory or to stop
 *   broken    the guest broke the rules; nothing is taken any more
 *
 * Requests are taken while it is started, enabled and neither of the others,
 * and there is a pipeline to give them to. A queue is idle when all that it
 * took, or has to take up from a predecessor, has been returned to the guest;
 * what a parked device couldn't take up stays in its in-flight region.
 */
#ifndef FOREBAY_EXPORT_VHOST_QUEUE_H
#define FOREBAY_EXPORT_VHOST_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "bounce.h"
#include "dirty_log.h"
#include "guest_memory.h"
#include "inflight.h"
#include "loop.h"
#include "pipeline.h"
#include "vhost_trial.h"
#include "virtio_blk.h"
#include "virtqueue.h"

/* What is counted for the whole export, over all connections. */
struct vhost_counters {
	uint64_t connections;
	uint64_t kicks;
	uint64_t notifications;
	uint64_t replayed;
	uint64_t bounced;
	uint64_t broken_queues;
};

struct vhost_slot;
struct vhost_kick;

/* What the queues of a device share. */
struct vhost_shared {
	struct loop *loop;
	struct pipeline *pipeline; /* NULL: parked, nothing is taken */
	bool parking; /* nothing more is taken, so that it can be parked */
	struct vhost_counters *counters;
	/* A queue became idle, or a kick's poll has ended. */
	void (*progress)(struct vhost_shared *shared);
	/* A queue should run, and there is no pipeline. */
	void (*wanted)(struct vhost_shared *shared);
	const char *name; /* for the log */
	char serial[VIRTIO_BLK_ID_BYTES];
	const struct virtio_blk_model *model;
	uint64_t features; /* as the driver has accepted them */
	bool writeback; /* the byte in the configuration space */
	bool writes_durable; /* each must be, before it is answered */
	unsigned int kicks; /* polls that haven't ended */
	struct bounce bounce;
	struct loop_deferred bounce_next;
	struct vhost_slot *bounce_first; /* wait for the buffer */
	struct vhost_slot *bounce_last;
	struct guest_memory memory;
	struct dirty_log log; /* of the guest's pages that we write */
	struct virtqueue_chain chain; /* the one being looked at */
	struct vhost_trial trial;
};

/* The VMM took something back that it had shared: its connection ends. */
static inline bool vhost_shared_lost(const struct vhost_shared *shared)
{
	return shared->memory.lost || shared->log.lost;
}

struct vhost_queue {
	struct vhost_shared *shared;
	unsigned int index;
	bool started;
	bool enabled;
	bool paused;
	bool broken;
	bool replaying; /* a predecessor's requests come first, even if paused
			 */
	bool starved; /* no pipeline request is left: completions wake us */
	bool notify_once; /* a notification may have been lost */
	bool user_address_set;
	uint64_t descriptors_address; /* the VMM's virtual ones */
	uint64_t available_address;
	uint64_t used_address;
	bool log_ring; /* what we write of the ring is logged */
	uint64_t log_address; /* guest-physical, of the used ring */
	int call_fd;
	int error_fd;
	struct vhost_kick *kick;
	struct virtqueue ring;
	struct inflight inflight;
	void *inflight_region; /* NULL: none is kept */
	uint16_t inflight_size;
	bool inflight_packed; /* the kind of ring that it is for */
	bool base_set;
	uint32_t base; /* as the VMM has set it */
	unsigned int replay_count;
	unsigned int replay_next;
	unsigned int in_flight;
	struct vhost_slot *slots; /* one for each head */
	struct loop_poller poller;
	struct loop_deferred publish;
	uint16_t replays[VIRTQUEUE_SIZE_MAX];
};

int vhost_shared_init(struct vhost_shared *shared);
void vhost_shared_destroy(struct vhost_shared *shared);

void vhost_queue_init(struct vhost_queue *queue, struct vhost_shared *shared,
		      unsigned int index);
/* Order: it is idle and stopped. */
void vhost_queue_destroy(struct vhost_queue *queue);

/* Owns: these take the descriptor; -1 means none. */
void vhost_queue_set_call(struct vhost_queue *queue, int fd);
void vhost_queue_set_error(struct vhost_queue *queue, int fd);
/* Starts the queue when it isn't yet. Returns: 0 or a negative errno. */
int vhost_queue_set_kick(struct vhost_queue *queue, int fd);

void vhost_queue_enable(struct vhost_queue *queue, bool enabled);
/* Takes nothing more. Returns: true if idle; else progress() will tell. */
bool vhost_queue_pause(struct vhost_queue *queue);
/* Goes on, with rings looked up again in the shared memory. */
void vhost_queue_resume(struct vhost_queue *queue);
/* Pauses, and leaves what a predecessor began to the next start. */
void vhost_queue_give_up(struct vhost_queue *queue);
/* The memory is mapped elsewhere now. */
void vhost_queue_find_rings(struct vhost_queue *queue);
bool vhost_queue_idle(const struct vhost_queue *queue);
/* Whether it hasn't taken up all that a predecessor began. */
bool vhost_queue_owes(const struct vhost_queue *queue);
/* Order: it is idle. Returns: the base to go on from. */
uint32_t vhost_queue_stop(struct vhost_queue *queue);
/* The same, and all is as before the first start. */
void vhost_queue_reset(struct vhost_queue *queue);

#endif
