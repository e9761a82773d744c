/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost_handlers.h - what each message does to a device (inside src/export
 * only).
 */
#ifndef FOREBAY_EXPORT_VHOST_HANDLERS_H
#define FOREBAY_EXPORT_VHOST_HANDLERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inflight_file.h"
#include "vhost_device.h"

#define BIT(number) (UINT64_C(1) << (number))

struct vhost_device {
	struct vhost_shared shared;
	void (*progress)(void *owner);
	void (*wanted)(void *owner);
	void *owner;
	uint64_t size_bytes; /* of the disk */
	uint64_t features_offered;
	uint64_t protocol_features;
	uint8_t status; /* virtio's, as the VMM has told it */
	int backend_fd; /* for our own messages to the VMM; kept for those */
	struct inflight_file inflight;
	unsigned int queue_count;
	struct vhost_queue queues[];
};

/* Which queues must be idle before a message is handled. */
enum vhost_hold {
	VHOST_HOLD_NONE,
	VHOST_HOLD_ONE,
	VHOST_HOLD_ALL,
	VHOST_HOLD_RESET /* all, if the number in the payload is 0 */
};

/*
 * Works on the payload in place. Returns: 0 or a negative errno, which the
 * front-end sees if it asked for an acknowledgement.
 */
typedef int vhost_handler(struct vhost_device *device,
			  struct vhost_message *message);

struct vhost_handling {
	vhost_handler *handle;
	uint32_t bytes_min;
	enum vhost_hold hold;
	bool answers; /* with its own payload */
};

/* Returns: NULL if the message is unknown or too short. */
const struct vhost_handling *vhost_handling_of(
	const struct vhost_message *message);

#endif
