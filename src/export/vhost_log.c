// SPDX-License-Identifier: Apache-2.0
/*
 * vhost_log.c - from what was written to bits of the log.
 *
 * Runs on the disk's loop. Requests keep addresses of this process only, so
 * they are translated back; a VM that migrates can afford that. A split used
 * ring and a packed ring's event suppression are logged at the address that
 * the VMM gave for it, the descriptors of a packed ring at where they are.
 */
#include "vhost_log.h"

#include <linux/virtio_config.h>
#include <stddef.h>

void vhost_log_bytes(struct vhost_shared *shared, const void *host,
		     uint64_t bytes)
{
	uint64_t address;

	if (guest_memory_address(&shared->memory, host, &address))
		dirty_log_mark(&shared->log, address, bytes);
}

void vhost_log_iov(struct vhost_shared *shared, const struct iovec *iov,
		   uint64_t bytes)
{
	for (unsigned int i = 0; bytes > 0; i++) {
		uint64_t piece =
			iov[i].iov_len < bytes ? iov[i].iov_len : bytes;

		vhost_log_bytes(shared, iov[i].iov_base, piece);
		bytes -= piece;
	}
}

static void mark_device_part(struct vhost_queue *queue, size_t offset,
			     size_t bytes)
{
	dirty_log_mark(&queue->shared->log, queue->log_address + offset, bytes);
}

static size_t used_element_offset(uint16_t index)
{
	return offsetof(struct vring_used, ring) +
	       sizeof(struct vring_used_elem) * index;
}

/* @count elements of the ring from @first on, which may begin anew. */
static void mark_elements(struct vhost_queue *queue, uint16_t first,
			  uint16_t count)
{
	const struct virtqueue *ring = &queue->ring;
	uint16_t straight = (uint16_t)(ring->size - first);

	if (count < straight)
		straight = count;
	if (ring->packed) {
		vhost_log_bytes(queue->shared, &ring->ring[first],
				sizeof(ring->ring[0]) * straight);
		vhost_log_bytes(queue->shared, ring->ring,
				sizeof(ring->ring[0]) * (count - straight));
	} else {
		mark_device_part(queue, used_element_offset(first),
				 sizeof(struct vring_used_elem) * straight);
		mark_device_part(queue, used_element_offset(0),
				 sizeof(struct vring_used_elem) *
					 (size_t)(count - straight));
	}
}

void vhost_log_used(struct vhost_queue *queue, uint16_t old)
{
	const struct virtqueue *ring = &queue->ring;
	uint16_t new = ring->used_published;

	if (!queue->log_ring || old == new)
		return;
	if (ring->packed) {
		unsigned int count =
			(new + 2u * ring->size - old) % (2u * ring->size);

		mark_elements(queue, virtqueue_packed_index(ring, old),
			      (uint16_t)count);
	} else {
		mark_elements(queue, old & (uint16_t)(ring->size - 1),
			      (uint16_t)(new - old));
		mark_device_part(queue, offsetof(struct vring_used, idx),
				 sizeof(ring->used->idx));
	}
}

void vhost_log_event(struct vhost_queue *queue)
{
	const struct virtqueue *ring = &queue->ring;

	if (!queue->log_ring)
		return;
	if (ring->packed)
		mark_device_part(queue, 0, sizeof(*ring->device_event));
	else if (ring->event_index)
		mark_device_part(queue, used_element_offset(ring->size),
				 sizeof(uint16_t));
	else
		mark_device_part(queue, offsetof(struct vring_used, flags),
				 sizeof(ring->used->flags));
}

void vhost_log_ring(struct vhost_queue *queue)
{
	const struct virtqueue *ring = &queue->ring;

	if (!queue->log_ring)
		return;
	mark_device_part(queue, 0,
			 virtqueue_device_bytes(ring->size, ring->packed));
	if (ring->packed)
		mark_elements(queue, 0, ring->size);
}

/* It may not be started yet: what kind it is stands in the features. */
bool vhost_log_covers_ring(const struct vhost_queue *queue)
{
	const struct vhost_shared *shared = queue->shared;
	bool packed = shared->features & (UINT64_C(1) << VIRTIO_F_RING_PACKED);

	return !queue->log_ring ||
	       dirty_log_covers(
		       &shared->log, queue->log_address,
		       virtqueue_device_bytes(queue->ring.size, packed));
}
