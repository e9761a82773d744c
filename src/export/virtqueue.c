// SPDX-License-Identifier: Apache-2.0
/* virtqueue.c - what split and packed virtqueues have in common. */
#include "virtqueue.h"

#include <assert.h>
#include <errno.h>

#include "virtqueue_chain.h"

static_assert(sizeof(struct vring_desc) == sizeof(struct vring_packed_desc),
	      "one size of the first part and of indirect tables");

size_t virtqueue_descriptors_bytes(uint16_t size)
{
	return sizeof(struct vring_desc) * size;
}

/* Flags, index, entries, and the word of the event index. */
size_t virtqueue_driver_bytes(uint16_t size, bool packed)
{
	return packed ? sizeof(struct vring_packed_desc_event)
		      : sizeof(uint16_t) * (2u + size + 1u);
}

size_t virtqueue_device_bytes(uint16_t size, bool packed)
{
	return packed ? sizeof(struct vring_packed_desc_event)
		      : sizeof(uint16_t) * 3u +
				sizeof(struct vring_used_elem) * size;
}

void virtqueue_place(struct virtqueue *queue, void *descriptors, void *driver,
		     void *device)
{
	if (queue->packed) {
		queue->ring = descriptors;
		queue->driver_event = driver;
		queue->device_event = device;
	} else {
		queue->descriptors = descriptors;
		queue->available = driver;
		queue->used = device;
	}
}

int virtqueue_start(struct virtqueue *queue, uint32_t base)
{
	assert(queue->size > 0 && queue->size <= VIRTQUEUE_SIZE_MAX);
	if (queue->packed)
		return virtqueue_packed_start(queue, base);
	virtqueue_split_start(queue);
	return 0;
}

/* Index and wrap counter of a packed ring in 16 bits. */
static uint32_t base_half(const struct virtqueue *queue, uint16_t position)
{
	return virtqueue_packed_index(queue, position) |
	       (uint32_t)virtqueue_packed_wrap(queue, position) << 15;
}

uint32_t virtqueue_base(const struct virtqueue *queue)
{
	if (!queue->packed)
		return queue->available_next;
	return base_half(queue, queue->available_next) |
	       base_half(queue, queue->used_published) << 16;
}

int virtqueue_chain_add(struct virtqueue_chain *chain, uint64_t address,
			uint32_t bytes, uint16_t flags)
{
	bool writable = flags & VRING_DESC_F_WRITE;

	if (chain->count == VIRTQUEUE_CHAIN_MAX || bytes == 0)
		return -EPROTO;
	if (!writable) {
		if (chain->readable_count != chain->count)
			return -EPROTO; /* behind one that we write */
		chain->readable_count++;
	}
	chain->segments[chain->count].address = address;
	chain->segments[chain->count].bytes = bytes;
	chain->count++;
	return 0;
}

int virtqueue_indirect_table(struct guest_memory *memory, uint64_t address,
			     uint32_t bytes, const void **ret_table)
{
	struct iovec table;

	if (bytes % sizeof(struct vring_desc) != 0 ||
	    bytes > INT32_MAX - sizeof(struct vring_desc))
		return -EPROTO;
	if (guest_memory_translate(memory, address, bytes, &table, 1) != 1)
		return -EPROTO;
	if ((uintptr_t)table.iov_base % sizeof(uint64_t) != 0)
		return -EPROTO;
	*ret_table = table.iov_base;
	return (int)(bytes / sizeof(struct vring_desc));
}
