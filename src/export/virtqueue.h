/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtqueue.h - the device's side of one split virtqueue (virtio 1.2, 2.7).
 *
 * The rings lie in memory that a hostile guest writes at any time. Whatever
 * decides something is read once into private memory, checked there, and never
 * read again; a guest that breaks the rules gets -EPROTO, after which its
 * queue must not be used any more.
 *
 * Used entries are staged one by one and published together: the guest sees
 * them, in the order of staging, when virtqueue_publish() moves the index.
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

struct virtqueue {
	const struct vring_desc *descriptors;
	const struct vring_avail *available;
	struct vring_used *used;
	uint16_t size;
	bool event_index;
	bool indirect;
	uint16_t available_next; /* the next that we take */
	uint16_t available_seen; /* the driver's index when we last looked */
	uint16_t used_staged;
	uint16_t used_published;
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

/* Where a ring of @size entries lies, in bytes. */
size_t virtqueue_descriptors_bytes(uint16_t size);
size_t virtqueue_available_bytes(uint16_t size);
size_t virtqueue_used_bytes(uint16_t size);

/* Starts at the used index that stands in memory: nothing is in flight. */
void virtqueue_start(struct virtqueue *queue);
/* The @count buffers after that index were taken by a predecessor. */
void virtqueue_skip(struct virtqueue *queue, uint16_t count);

/* Returns: 1 if there are buffers that we haven't taken, 0, or -EPROTO. */
int virtqueue_look(struct virtqueue *queue);
/*
 * Takes the next head that the driver has made available.
 * Returns: 1, 0 if there is none, or -EPROTO.
 */
int virtqueue_take(struct virtqueue *queue, uint16_t *ret_head);
/* Copies and checks the chain that starts at @head. Returns: 0 or -EPROTO. */
int virtqueue_read_chain(const struct virtqueue *queue,
			 struct guest_memory *memory, uint16_t head,
			 struct virtqueue_chain *ret_chain);

void virtqueue_stage(struct virtqueue *queue, uint16_t head, uint32_t bytes);
/* Returns: true if the driver wants to be notified. */
bool virtqueue_publish(struct virtqueue *queue);

/* Asks for a kick at the next buffer. Returns: true if one is there already. */
bool virtqueue_arm(struct virtqueue *queue);
void virtqueue_disarm(struct virtqueue *queue);

#endif
