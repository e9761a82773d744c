// SPDX-License-Identifier: Apache-2.0
/*
 * vhost_device.c - a device's life, and the frame around each message.
 *
 * Runs on the disk's loop. What the messages do is in vhost_handlers.c.
 */
#include "vhost_device.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "vhost_handlers.h"

/* Whether @message needs queue @index to be idle. */
static bool holds(const struct vhost_message *message, unsigned int index)
{
	const struct vhost_handling *handling = vhost_handling_of(message);

	if (!handling)
		return false;
	switch (handling->hold) {
	case VHOST_HOLD_NONE:
		return false;
	case VHOST_HOLD_ONE:
		return message->payload.vring_state.index == index;
	case VHOST_HOLD_ALL:
		return true;
	case VHOST_HOLD_RESET:
		return message->payload.number == 0;
	}
	return false;
}

/*
 * What a parked device hasn't taken up waits in the in-flight region for the
 * next start; but a VM that leaves doesn't take that region along.
 */
static bool ready_for(const struct vhost_device *device,
		      const struct vhost_message *message,
		      const struct vhost_queue *queue)
{
	if (!vhost_queue_idle(queue))
		return false;
	return !vhost_device_stops(message) || !vhost_device_migrates(device) ||
	       !vhost_queue_owes(queue);
}

bool vhost_device_prepare(struct vhost_device *device,
			  const struct vhost_message *message)
{
	for (unsigned int i = 0; i < device->queue_count; i++)
		if (holds(message, i))
			vhost_queue_pause(&device->queues[i]);
	return vhost_device_prepared(device, message);
}

bool vhost_device_prepared(const struct vhost_device *device,
			   const struct vhost_message *message)
{
	for (unsigned int i = 0; i < device->queue_count; i++)
		if (holds(message, i) &&
		    !ready_for(device, message, &device->queues[i]))
			return false;
	return true;
}

bool vhost_device_stops(const struct vhost_message *message)
{
	switch (message->header.type) {
	case VHOST_USER_GET_VRING_BASE:
	case VHOST_USER_RESET_OWNER:
	case VHOST_USER_RESET_DEVICE:
	case VHOST_USER_SET_STATUS:
		return true;
	default: /* any number that the front-end likes */
		return false;
	}
}

bool vhost_device_migrates(const struct vhost_device *device)
{
	return device->shared.features & BIT(VHOST_F_LOG_ALL);
}

/* Makes the message into an acknowledgement, if the front-end wants one. */
static int acknowledge(const struct vhost_device *device,
		       struct vhost_message *message, int result,
		       bool *ret_answer)
{
	bool wanted = message->header.flags & VHOST_USER_NEED_REPLY &&
		      device->protocol_features &
			      BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK);

	*ret_answer = wanted;
	vhost_message_close_fds(message);
	if (!wanted)
		return result;
	message->payload.number = result < 0;
	message->header.bytes = sizeof(message->payload.number);
	return 0;
}

int vhost_device_handle(struct vhost_device *device,
			struct vhost_message *message, bool *ret_answer)
{
	const struct vhost_handling *handling = vhost_handling_of(message);
	uint32_t type = message->header.type;
	int result = -EOPNOTSUPP;

	if (handling)
		result = handling->handle(device, message);
	for (unsigned int i = 0; i < device->queue_count; i++)
		if (device->queues[i].paused)
			vhost_queue_resume(&device->queues[i]);
	if (result < 0)
		log_warning("disk %s: vhost-user message %u: %s",
			    device->shared.name, type, strerror(-result));
	*ret_answer = handling && handling->answers;
	if (!handling || !handling->answers)
		return acknowledge(device, message, result, ret_answer);
	return result;
}

uint32_t vhost_device_condemned(const struct vhost_device *device)
{
	return vhost_trial_condemned(&device->shared.trial);
}

void vhost_device_release(struct vhost_device *device)
{
	for (unsigned int i = 0; i < device->queue_count; i++)
		vhost_queue_pause(&device->queues[i]);
}

bool vhost_device_released(struct vhost_device *device)
{
	for (unsigned int i = 0; i < device->queue_count; i++) {
		if (!vhost_queue_idle(&device->queues[i]))
			return false;
		vhost_queue_stop(&device->queues[i]);
	}
	return device->shared.kicks == 0;
}

bool vhost_device_writes_back(const struct vhost_device *device)
{
	return !device->shared.writes_durable;
}

bool vhost_device_memory_lost(const struct vhost_device *device)
{
	return vhost_shared_lost(&device->shared);
}

unsigned int vhost_device_started_queues(const struct vhost_device *device)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < device->queue_count; i++)
		count += device->queues[i].started;
	return count;
}

unsigned int vhost_device_in_flight(const struct vhost_device *device)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < device->queue_count; i++)
		count += device->queues[i].in_flight;
	return count;
}

void vhost_device_park(struct vhost_device *device)
{
	device->shared.parking = true;
}

bool vhost_device_parked(const struct vhost_device *device)
{
	return vhost_device_in_flight(device) == 0;
}

void vhost_device_set_pipeline(struct vhost_device *device,
			       struct pipeline *pipeline, uint64_t size_bytes)
{
	assert(vhost_device_parked(device));
	device->shared.pipeline = pipeline;
	device->shared.parking = false;
	device->size_bytes = size_bytes;
}

void vhost_device_config_changed(struct vhost_device *device)
{
	const struct vhost_user_header message = {
		.type = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
		.flags = VHOST_USER_VERSION,
	};

	if (device->backend_fd < 0 ||
	    !(device->protocol_features & BIT(VHOST_USER_PROTOCOL_F_CONFIG)))
		return;
	/* A few bytes, seldom: there is room unless nobody reads at all. */
	if (send(device->backend_fd, &message, sizeof(message),
		 MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(message))
		log_warning("disk %s: the VMM doesn't take the news of its "
			    "changed size: %s",
			    device->shared.name, strerror(errno));
}

bool vhost_device_hands_over(const struct vhost_device *device,
			     const struct vhost_message *message)
{
	return message->header.type == VHOST_USER_GET_VRING_BASE &&
	       device->shared.features & BIT(VHOST_F_LOG_ALL) &&
	       vhost_device_started_queues(device) == 0;
}

static struct vhost_device *device_of(struct vhost_shared *shared)
{
	static_assert(offsetof(struct vhost_device, shared) == 0, "cast below");
	return (struct vhost_device *)(void *)shared;
}

static void shared_progress(struct vhost_shared *shared)
{
	struct vhost_device *device = device_of(shared);

	device->progress(device->owner);
}

static void shared_wanted(struct vhost_shared *shared)
{
	struct vhost_device *device = device_of(shared);

	device->wanted(device->owner);
}

int vhost_device_create(const struct vhost_device_setup *setup,
			struct vhost_device **ret_device)
{
	struct vhost_device *device;
	int result;

	assert(setup->queue_count > 0 &&
	       setup->queue_count <= VHOST_DEVICE_QUEUES_MAX);
	device = calloc(1, sizeof(*device) + sizeof(device->queues[0]) *
						     setup->queue_count);
	if (!device)
		return -ENOMEM;
	device->shared.loop = setup->loop;
	device->shared.pipeline = setup->pipeline;
	device->shared.parking = setup->parking;
	device->shared.counters = setup->counters;
	device->shared.progress = shared_progress;
	device->shared.wanted = shared_wanted;
	device->shared.name = setup->name;
	device->shared.model = setup->model;
	device->shared.trial.one_by_one = setup->one_by_one;
	device->shared.trial.believe = setup->believe;
	device->shared.writeback = true;
	device->shared.writes_durable = true;
	virtio_blk_serial(setup->uuid, device->shared.serial);
	device->size_bytes = setup->size_bytes;
	device->progress = setup->progress;
	device->wanted = setup->wanted;
	device->owner = setup->owner;
	device->backend_fd = -1;
	device->queue_count = setup->queue_count;
	device->features_offered =
		virtio_blk_model_features(setup->model, setup->read_only) |
		BIT(VHOST_F_LOG_ALL) | BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	result = vhost_shared_init(&device->shared);
	if (result < 0) {
		free(device);
		return result;
	}
	for (unsigned int i = 0; i < device->queue_count; i++)
		vhost_queue_init(&device->queues[i], &device->shared, i);
	*ret_device = device;
	return 0;
}

void vhost_device_destroy(struct vhost_device *device)
{
	if (!device)
		return;
	for (unsigned int i = 0; i < device->queue_count; i++)
		vhost_queue_destroy(&device->queues[i]);
	inflight_file_unmap(&device->inflight);
	vhost_shared_destroy(&device->shared);
	if (device->backend_fd >= 0)
		close(device->backend_fd);
	free(device);
}
