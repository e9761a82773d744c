// SPDX-License-Identifier: Apache-2.0
/* ring.c - see ring.h. */
#include "ring.h"

#include <stdlib.h>
#include <string.h>

#include "virtqueue.h"

#define SIZE 128u
/* Of a chain: header, data, status. */
#define PARTS 3u
#define CHAINS 32u

struct ring {
	struct virtqueue queue;
	struct guest_memory memory;
	struct virtqueue_chain chain;
	uint16_t position; /* of the driver in a packed ring */
	_Alignas(4096) uint8_t descriptors[16 * SIZE];
	_Alignas(4096) uint8_t driver[4096];
	_Alignas(4096) uint8_t device[4096];
};

static const struct {
	uint32_t bytes;
	uint16_t flags;
} parts[PARTS] = {
	{16, VRING_DESC_F_NEXT},
	{4096, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE},
	{1, VRING_DESC_F_WRITE},
};

struct ring *ring_create(bool packed)
{
	static struct ring ring;

	ring.queue.packed = packed;
	ring.queue.size = SIZE;
	ring.queue.event_index = true;
	virtqueue_place(&ring.queue, ring.descriptors, ring.driver,
			ring.device);
	if (virtqueue_start(&ring.queue, packed ? VIRTQUEUE_BASE_FIRST : 0) < 0)
		abort();
	return &ring;
}

static void fill_split(struct ring *ring)
{
	struct vring_desc *descriptors = (void *)ring->descriptors;
	struct vring_avail *available = (void *)ring->driver;

	for (uint32_t i = 0; i < CHAINS * PARTS; i++)
		descriptors[i] = (struct vring_desc){
			.addr = i * 4096ull,
			.len = parts[i % PARTS].bytes,
			.flags = parts[i % PARTS].flags,
			.next = (uint16_t)(i + 1),
		};
	for (uint32_t i = 0; i < CHAINS; i++)
		available->ring[(available->idx + i) % SIZE] =
			(uint16_t)(i * PARTS);
	available->idx = (uint16_t)(available->idx + CHAINS);
}

static void fill_packed(struct ring *ring)
{
	struct vring_packed_desc *descriptors = (void *)ring->descriptors;

	for (uint32_t i = 0; i < CHAINS * PARTS; i++) {
		bool wrap = ring->position < SIZE;
		uint16_t flags = wrap ? 1u << VRING_PACKED_DESC_F_AVAIL
				      : 1u << VRING_PACKED_DESC_F_USED;

		descriptors[ring->position % SIZE] = (struct vring_packed_desc){
			.addr = i * 4096ull,
			.len = parts[i % PARTS].bytes,
			.id = (uint16_t)(i / PARTS),
			.flags = flags | parts[i % PARTS].flags,
		};
		ring->position = (uint16_t)((ring->position + 1) % (2 * SIZE));
	}
}

void ring_fill(struct ring *ring)
{
	if (ring->queue.packed)
		fill_packed(ring);
	else
		fill_split(ring);
}

uint32_t ring_serve(struct ring *ring)
{
	struct virtqueue *queue = &ring->queue;
	uint32_t count = 0;
	uint16_t head;

	while (virtqueue_take(queue, &head) == 1) {
		if (virtqueue_read_chain(queue, &ring->memory, head,
					 &ring->chain) < 0 ||
		    ring->chain.count != PARTS)
			abort();
		virtqueue_stage(queue, head, 4097);
		count++;
	}
	virtqueue_publish(queue);
	return count;
}
