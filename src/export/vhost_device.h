/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost_device.h - what one front-end has negotiated and set up.
 *
 * Lives as long as its connection. A message is handled in two steps, since
 * some change what requests in flight stand on: vhost_device_prepare() holds
 * those queues still, and when they are idle vhost_device_handle() does the
 * work. In between, progress() is called whenever that may have changed.
 */
#ifndef FOREBAY_EXPORT_VHOST_DEVICE_H
#define FOREBAY_EXPORT_VHOST_DEVICE_H

#include <stdbool.h>

#include "loop.h"
#include "pipeline.h"
#include "vhost_message.h"
#include "vhost_queue.h"

/* One byte of the messages holds a queue's number. */
#define VHOST_DEVICE_QUEUES_MAX DEVICE_QUEUES_MAX

struct vhost_device;

struct vhost_device_setup {
	struct loop *loop;
	struct pipeline *pipeline; /* NULL: parked */
	bool parking;
	bool read_only;
	uint8_t uuid[16];
	uint64_t size_bytes;
	struct vhost_counters *counters;
	unsigned int queue_count;
	const struct virtio_blk_model *model;
	const char *name;
	uint64_t stop_deadline_ns;
	bool one_by_one; /* what a predecessor left; vhost_trial.h */
	bool *believe;
	void (*progress)(void *owner);
	/* A queue should run, and there is no pipeline. */
	void (*wanted)(void *owner);
	void *owner;
};

int vhost_device_create(const struct vhost_device_setup *setup,
			struct vhost_device **ret_device);
/* Order: vhost_device_released() is true. NULL is fine. */
void vhost_device_destroy(struct vhost_device *device);

/* Returns: true if @message can be handled now. */
bool vhost_device_prepare(struct vhost_device *device,
			  const struct vhost_message *message);
/* After prepare() was false: can it be now? */
bool vhost_device_prepared(const struct vhost_device *device,
			   const struct vhost_message *message);
/*
 * Handles a message and makes it into the answer, if it wants one: then
 * @ret_answer is true. Takes descriptors that it needs out of it.
 * Returns: 0, or a negative errno if the front-end must be cut off.
 */
int vhost_device_handle(struct vhost_device *device,
			struct vhost_message *message, bool *ret_answer);

/* Whether @message ends the device's work, and the VMM waits for that. */
bool vhost_device_stops(const struct vhost_message *message);
/* A live migration is going on: no request may fail. */
bool vhost_device_migrates(const struct vhost_device *device);

/* The front-end is gone, or must go: holds all queues still for good. */
void vhost_device_release(struct vhost_device *device);
/* Returns: true when nothing refers to the device any more. */
bool vhost_device_released(struct vhost_device *device);

/* Writes are answered before they are durable. */
bool vhost_device_writes_back(const struct vhost_device *device);

/* Takes no more requests. */
void vhost_device_park(struct vhost_device *device);
/* Returns: whether the pipeline has nothing of it any more. */
bool vhost_device_parked(const struct vhost_device *device);
/*
 * NULL after it is parked; another one, from which requests are taken on.
 * @size_bytes: of the disk now.
 */
void vhost_device_set_pipeline(struct vhost_device *device,
			       struct pipeline *pipeline, uint64_t size_bytes);
/* The front-end reads the config space again, if it listens. */
void vhost_device_config_changed(struct vhost_device *device);
/*
 * After GET_VRING_BASE was handled: the VM has stopped here in the middle of a
 * migration, so the answer is what lets it run elsewhere.
 */
bool vhost_device_hands_over(const struct vhost_device *device,
			     const struct vhost_message *message);

/* Queues that run, for the statistics. */
/* Whether the VMM has taken memory back: its connection must end. */
bool vhost_device_memory_lost(const struct vhost_device *device);
unsigned int vhost_device_started_queues(const struct vhost_device *device);
unsigned int vhost_device_in_flight(const struct vhost_device *device);
/* Requests of its VM that were failed because they crash us. */
uint32_t vhost_device_condemned(const struct vhost_device *device);

#endif
