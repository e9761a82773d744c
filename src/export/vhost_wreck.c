// SPDX-License-Identifier: Apache-2.0
/*
 * vhost_wreck.c - parts a device from its requests.
 *
 * Runs on the disk's loop. Order: first all that can fail; then the guest's
 * answers, through the mappings that it still sees; last the mappings.
 */
#include "vhost_wreck.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhost_handlers.h"
#include "vhost_request.h"

struct vhost_wreck {
	struct pipeline *pipeline;
	struct guest_memory memory; /* the old mappings */
	bool cut_off; /* they don't show the guest any more */
	struct bounce bounce; /* no buffer: none of them is in it */
	unsigned int stuck_count;
	struct vhost_slot **stuck; /* in the arrays below */
	uint8_t *data; /* of the writes, one behind the other */
	struct vhost_slot *slots[VHOST_DEVICE_QUEUES_MAX];
};

static void wreck_free(struct vhost_wreck *wreck)
{
	guest_memory_clear(&wreck->memory);
	if (wreck->bounce.buffer) {
		bounce_give_back(&wreck->bounce, 0);
		bounce_destroy(&wreck->bounce);
	}
	for (unsigned int i = 0; i < VHOST_DEVICE_QUEUES_MAX; i++)
		free(wreck->slots[i]);
	free(wreck->stuck);
	free(wreck->data);
	free(wreck);
}

static void request_ended(struct pipeline_request *request, int status)
{
	struct vhost_wreck *wreck = request->owner;

	(void)status;
	pipeline_request_put(wreck->pipeline, request);
	if (--wreck->stuck_count == 0)
		wreck_free(wreck);
}

/*
 * Ends what can be ended, and collects the rest. Returns: how many there are;
 * at most @capacity are put into @ret_stuck.
 */
static unsigned int sift(struct vhost_device *device, bool answer,
			 struct vhost_slot **ret_stuck, unsigned int capacity)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < device->queue_count; i++) {
		struct vhost_queue *queue = &device->queues[i];

		for (unsigned int j = 0; queue->slots && j < queue->ring.size;
		     j++) {
			struct vhost_slot *slot = &queue->slots[j];

			if (!slot->busy || vhost_request_abandon(slot, answer))
				continue;
			if (count < capacity)
				ret_stuck[count] = slot;
			count++;
		}
	}
	return count;
}

/* Whether the data of @slot lie in the guest's memory and are still needed. */
static bool keeps_data(const struct vhost_slot *slot)
{
	return slot->command.type == VIRTIO_BLK_T_OUT && !slot->bounced;
}

static size_t data_bytes(const struct vhost_wreck *wreck)
{
	size_t bytes = 0;

	for (unsigned int i = 0; i < wreck->stuck_count; i++)
		if (keeps_data(wreck->stuck[i]))
			bytes += wreck->stuck[i]->command.length;
	return bytes;
}

static void data_move(const struct vhost_wreck *wreck, bool back)
{
	uint8_t *at = wreck->data;

	for (unsigned int i = 0; i < wreck->stuck_count; i++) {
		const struct vhost_slot *slot = wreck->stuck[i];

		if (!keeps_data(slot))
			continue;
		for (unsigned int j = 0; j < slot->command.iov_count; j++) {
			const struct iovec *piece = &slot->iov[j];

			if (back)
				memcpy(piece->iov_base, at, piece->iov_len);
			else
				memcpy(at, piece->iov_base, piece->iov_len);
			at += piece->iov_len;
		}
	}
}

/* For the queues that a stuck request is of. */
static int slots_allocate(const struct vhost_wreck *wreck,
			  struct vhost_slot **ret_slots)
{
	for (unsigned int i = 0; i < wreck->stuck_count; i++) {
		const struct vhost_queue *queue = wreck->stuck[i]->queue;
		struct vhost_slot **slots = &ret_slots[queue->index];

		if (!*slots)
			*slots = calloc(queue->ring.size, sizeof(**slots));
		if (!*slots)
			return -ENOMEM;
	}
	return 0;
}

static void slots_swap(struct vhost_device *device, struct vhost_wreck *wreck,
		       struct vhost_slot **fresh)
{
	for (unsigned int i = 0; i < device->queue_count; i++) {
		if (!fresh[i])
			continue;
		wreck->slots[i] = device->queues[i].slots;
		device->queues[i].slots = fresh[i];
	}
}

static bool is_bounced(const struct vhost_wreck *wreck)
{
	for (unsigned int i = 0; i < wreck->stuck_count; i++)
		if (wreck->stuck[i]->bounced)
			return true;
	return false;
}

static int memory_take(struct vhost_device *device, struct vhost_wreck *wreck,
		       bool answer)
{
	struct guest_memory *memory = &device->shared.memory;
	int result = guest_memory_split(memory, &wreck->memory);

	wreck->cut_off = result == 0;
	if (result == 0 || answer)
		return result;
	/* A device that goes needs none, but its rings may still be shown. */
	guest_memory_move(memory, &wreck->memory);
	return 0;
}

/* Everything that can fail; then nothing has changed. */
static int salvage(struct vhost_device *device, struct vhost_wreck *wreck,
		   bool answer)
{
	struct vhost_slot *fresh[VHOST_DEVICE_QUEUES_MAX] = {0};
	struct bounce bounce = {0};
	size_t bytes = data_bytes(wreck);
	int result = slots_allocate(wreck, fresh);

	wreck->data = malloc(bytes > 0 ? bytes : 1);
	if (!wreck->data)
		result = -ENOMEM;
	if (result == 0 && is_bounced(wreck))
		result = bounce_create(&bounce, VIRTIO_BLK_LENGTH_MAX);
	if (result == 0)
		result = memory_take(device, wreck, answer);
	if (result < 0) {
		bounce_destroy(&bounce);
		for (unsigned int i = 0; i < VHOST_DEVICE_QUEUES_MAX; i++)
			free(fresh[i]);
		return result;
	}
	slots_swap(device, wreck, fresh);
	if (bounce.buffer) {
		wreck->bounce = device->shared.bounce;
		device->shared.bounce = bounce;
	}
	return 0;
}

static void part(struct vhost_device *device, struct vhost_wreck *wreck)
{
	data_move(wreck, false);
	for (unsigned int i = 0; i < wreck->stuck_count; i++) {
		struct pipeline_request *request =
			vhost_request_part(wreck->stuck[i]);

		request->done = request_ended;
		request->owner = wreck;
	}
	if (!wreck->cut_off)
		return;
	for (unsigned int i = 0; i < device->queue_count; i++)
		vhost_queue_find_rings(&device->queues[i]);
	guest_memory_cut_off(&wreck->memory);
	data_move(wreck, true);
}

int vhost_wreck_leave(struct vhost_device *device, bool answer)
{
	struct vhost_wreck *wreck;
	unsigned int count;
	int result;

	for (unsigned int i = 0; i < device->queue_count; i++)
		vhost_queue_give_up(&device->queues[i]);
	count = sift(device, answer, NULL, 0);
	if (count == 0)
		return 0;
	wreck = calloc(1, sizeof(*wreck));
	if (!wreck)
		return -ENOMEM;
	wreck->pipeline = device->shared.pipeline;
	wreck->stuck = calloc(count, sizeof(struct vhost_slot *));
	result = wreck->stuck ? 0 : -ENOMEM;
	if (result == 0) {
		wreck->stuck_count = sift(device, answer, wreck->stuck, count);
		result = salvage(device, wreck, answer);
	}
	if (result < 0) {
		wreck_free(wreck);
		return result;
	}
	part(device, wreck);
	free(wreck->data);
	wreck->data = NULL;
	return (int)count;
}
