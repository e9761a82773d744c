/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtqueue.h - the device's side of one virtqueue, split or packed (virtio
 * 1.2, 2.7 and 2.8).
 *
 * The rings lie in memory that a hostile guest writes at any time. Whatever
 * decides something is read once into private memory, checked there, and never
 * read again; a guest that breaks the rules gets -EPROTO, after which its
 * queue must not be used any more.
 *
 * A chain has a head, which names it from its taking to its return: the index
 * of its first descriptor in a split ring, its buffer ID in a packed one. Both
 * are below the ring's size.
 *
 * Returned chains are staged one by one and published together: the guest sees
 * them, in the order of staging, when virtqueue_publish() shows the first.
 */
#ifndef FOREBAY_EXPORT_VIRTQUEUE_H
#define FOREBAY_EXPORT_VIRTQUEUE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "guest_memory.h"

#define VIRTQUEUE_SIZE_MAX 1024u
/*
 * Most descriptors in one chain, those of an indirect table included. A longer
 * one (a loop, for one) is a broken driver; one within this but above what the
 * device publishes is a request that can be answered with an error.
 */
#define VIRTQUEUE_CHAIN_MAX VIRTQUEUE_SIZE_MAX

/*
 * Where we are in the ring. In a split ring these are its free-running
 * indexes. In a packed one they count descriptors, modulo twice the size: a
 * position below the size has wrap counter 1, the others have 0.
 */
struct virtqueue {
	bool packed;
	bool event_index;
	bool indirect;
	uint16_t size; /* a power of two if it is split */
	uint16_t available_next; /* the next that we take */
	uint16_t used_staged;
	uint16_t used_published;

	/* Split. */
	const struct vring_desc *descriptors;
	const struct vring_avail *available;
	struct vring_used *used;
	uint16_t available_seen; /* the driver's index when we last looked */

	/* Packed. */
	struct vring_packed_desc *ring;
	const struct vring_packed_desc_event *driver_event;
	struct vring_packed_desc_event *device_event;
	bool flags_seen; /* the next descriptor is available, with these: */
	uint16_t flags;
	uint16_t used_flags; /* of the first that is staged */
	uint16_t taken_count; /* descriptors of the chain that was taken last */
	struct vring_packed_desc taken[VIRTQUEUE_SIZE_MAX];
	uint16_t counts[VIRTQUEUE_SIZE_MAX]; /* by ID; 0: not in flight */
};

struct virtqueue_segment {
	uint64_t address; /* guest-physical, not translated yet */
	uint32_t bytes; /* never 0 */
};

/* A chain, copied and in order: what the device reads, then what it writes. */
struct virtqueue_chain {
	unsigned int count;
	unsigned int readable_count;
	struct virtqueue_segment segments[VIRTQUEUE_CHAIN_MAX];
};

/* Size and alignment of the three parts of a ring of @size entries. */
size_t virtqueue_descriptors_bytes(uint16_t size);
size_t virtqueue_driver_bytes(uint16_t size, bool packed);
size_t virtqueue_device_bytes(uint16_t size, bool packed);
#define VIRTQUEUE_DESCRIPTORS_ALIGNMENT 16u
#define VIRTQUEUE_DRIVER_ALIGNMENT(packed) ((packed) ? 4u : 2u)
#define VIRTQUEUE_DEVICE_ALIGNMENT 4u
/* Places the parts, which have been checked for that. */
void virtqueue_place(struct virtqueue *queue, void *descriptors, void *driver,
		     void *device);

/*
 * Starts with nothing in flight: a split ring at the used index that stands in
 * its memory, a packed one at @base, which is what virtqueue_base() returned.
 * Returns: 0, or -EINVAL if @base is none.
 */
int virtqueue_start(struct virtqueue *queue, uint32_t base);
/* Of a packed ring that nobody has used: both wrap counters are 1. */
#define VIRTQUEUE_BASE_FIRST UINT32_C(0x80008000)
/* What the vhost-user messages GET_ and SET_VRING_BASE carry. */
uint32_t virtqueue_base(const struct virtqueue *queue);

/* In virtqueue_split.c. */
void virtqueue_split_start(struct virtqueue *queue);
/* The @count buffers after the used index were taken by a predecessor. */
void virtqueue_split_skip(struct virtqueue *queue, uint16_t count);
int virtqueue_split_look(struct virtqueue *queue);
int virtqueue_split_take(struct virtqueue *queue, uint16_t *ret_head);
int virtqueue_split_read_chain(const struct virtqueue *queue,
			       struct guest_memory *memory, uint16_t head,
			       struct virtqueue_chain *ret_chain);
void virtqueue_split_stage(struct virtqueue *queue, uint16_t head,
			   uint32_t bytes);
bool virtqueue_split_publish(struct virtqueue *queue);
bool virtqueue_split_arm(struct virtqueue *queue);
void virtqueue_split_disarm(struct virtqueue *queue);

/* In virtqueue_packed.c. */
int virtqueue_packed_start(struct virtqueue *queue, uint32_t base);
/*
 * A predecessor took the chain @head of @count descriptors, which begins at
 * our place in the ring.
 * Returns: 0, or -EPROTO if it can't have been.
 */
int virtqueue_packed_skip(struct virtqueue *queue, uint16_t head,
			  uint16_t count);
/*
 * Takes back what a predecessor had staged and not published. After
 * virtqueue_packed_skip() for all that is in flight.
 */
void virtqueue_packed_unstage(struct virtqueue *queue);
/* Whether the descriptor at @position is as a driver made it available. */
bool virtqueue_packed_untouched(const struct virtqueue *queue,
				uint16_t position);
int virtqueue_packed_look(struct virtqueue *queue);
int virtqueue_packed_take(struct virtqueue *queue, uint16_t *ret_head);
int virtqueue_packed_read_chain(const struct virtqueue *queue,
				struct guest_memory *memory,
				struct virtqueue_chain *ret_chain);
void virtqueue_packed_stage(struct virtqueue *queue, uint16_t head,
			    uint32_t bytes);
bool virtqueue_packed_publish(struct virtqueue *queue);
bool virtqueue_packed_arm(struct virtqueue *queue);
void virtqueue_packed_disarm(struct virtqueue *queue);

/* A position in a packed ring as index and wrap counter. */
static inline uint16_t virtqueue_packed_index(const struct virtqueue *queue,
					      uint16_t position)
{
	return position < queue->size ? position
				      : (uint16_t)(position - queue->size);
}

static inline bool virtqueue_packed_wrap(const struct virtqueue *queue,
					 uint16_t position)
{
	return position < queue->size;
}

static inline uint16_t virtqueue_packed_position(const struct virtqueue *queue,
						 uint16_t index, bool wrap)
{
	return wrap ? index : (uint16_t)(index + queue->size);
}

/* Returns: 1 if there are chains that we haven't taken, 0, or -EPROTO. */
static inline int virtqueue_look(struct virtqueue *queue)
{
	return queue->packed ? virtqueue_packed_look(queue)
			     : virtqueue_split_look(queue);
}

/*
 * Takes the next chain that the driver has made available.
 * Returns: 1, 0 if there is none, or -EPROTO.
 */
static inline int virtqueue_take(struct virtqueue *queue, uint16_t *ret_head)
{
	return queue->packed ? virtqueue_packed_take(queue, ret_head)
			     : virtqueue_split_take(queue, ret_head);
}

/*
 * Copies and checks the chain @head, which has just been taken.
 * Returns: 0 or -EPROTO.
 */
static inline int virtqueue_read_chain(const struct virtqueue *queue,
				       struct guest_memory *memory,
				       uint16_t head,
				       struct virtqueue_chain *ret_chain)
{
	return queue->packed
		       ? virtqueue_packed_read_chain(queue, memory, ret_chain)
		       : virtqueue_split_read_chain(queue, memory, head,
						    ret_chain);
}

/* @bytes: how many the device has written, from the first writable one. */
static inline void virtqueue_stage(struct virtqueue *queue, uint16_t head,
				   uint32_t bytes)
{
	if (queue->packed)
		virtqueue_packed_stage(queue, head, bytes);
	else
		virtqueue_split_stage(queue, head, bytes);
}

/* Returns: true if the driver wants to be notified. */
static inline bool virtqueue_publish(struct virtqueue *queue)
{
	return queue->packed ? virtqueue_packed_publish(queue)
			     : virtqueue_split_publish(queue);
}

/* Asks for a kick at the next chain. Returns: true if one is there already. */
static inline bool virtqueue_arm(struct virtqueue *queue)
{
	return queue->packed ? virtqueue_packed_arm(queue)
			     : virtqueue_split_arm(queue);
}

static inline void virtqueue_disarm(struct virtqueue *queue)
{
	if (queue->packed)
		virtqueue_packed_disarm(queue);
	else
		virtqueue_split_disarm(queue);
}

#endif
