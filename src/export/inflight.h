/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inflight.h - which requests of a queue have begun and haven't been returned,
 * kept in memory that outlives this process.
 *
 * The VMM holds the region and hands it to the next process, which takes up
 * exactly the requests that this one had taken and not returned. The layouts
 * are the vhost-user specification's ("Inflight I/O tracking"), one for each
 * kind of virtqueue, and the order of stores is such that a kill between any
 * two of them is recovered from: see inflight_split.c and inflight_packed.c.
 *
 * The region is shared with the VMM and read as hostile: what it says can
 * decide which requests are replayed, never where memory is accessed. It is
 * read when a queue starts; afterwards it is only written.
 */
#ifndef FOREBAY_EXPORT_INFLIGHT_H
#define FOREBAY_EXPORT_INFLIGHT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "virtqueue.h"

#define INFLIGHT_VERSION 1u
/* Each queue's part begins on a cache line. */
#define INFLIGHT_ALIGNMENT 64u

/* Split virtqueues. */
struct inflight_state {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;
	uint64_t counter;
};

struct inflight_region {
	uint64_t features;
	uint16_t version; /* 0: nobody has used it yet */
	uint16_t size;
	uint16_t last_batch_head;
	uint16_t used_index;
	struct inflight_state states[];
};

static_assert(sizeof(struct inflight_state) == 16, "vhost-user layout");
static_assert(sizeof(struct inflight_region) == 16, "vhost-user layout");

/* Packed virtqueues: an entry for each descriptor. */
struct inflight_packed_state {
	uint8_t inflight; /* this and the next three: of a chain's first */
	uint8_t padding;
	uint16_t next; /* in the chain, or in the list of free ones */
	uint16_t last;
	uint16_t count;
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t bytes;
	uint64_t address;
};

/* Where in the ring returned chains go, now and before the last batch. */
struct inflight_packed_places {
	uint16_t used_index;
	uint16_t old_used_index;
	uint8_t used_wrap;
	uint8_t old_used_wrap;
	uint16_t padding;
};

struct inflight_packed_region {
	uint64_t features;
	uint16_t version; /* 0: nobody has used it yet */
	uint16_t size;
	uint16_t free_head;
	uint16_t old_free_head;
	uint64_t places; /* struct inflight_packed_places, in one store */
	uint64_t padding;
	struct inflight_packed_state states[];
};

static_assert(sizeof(struct inflight_packed_state) == 32, "vhost-user layout");
static_assert(sizeof(struct inflight_packed_places) == 8, "vhost-user layout");
static_assert(sizeof(struct inflight_packed_region) == 32, "vhost-user layout");

/* One queue's part, and what this process knows about it. */
struct inflight {
	void *region; /* NULL: the VMM keeps none */
	uint16_t size;
	bool resumed; /* the region had been used before */
	uint64_t counter;
	unsigned int batch_count;
	uint16_t batch[VIRTQUEUE_SIZE_MAX]; /* heads, or first entries */
	uint16_t last_batch_head; /* split */
	/* Packed. */
	uint16_t free_head; /* the size: none is free */
	uint16_t entries[VIRTQUEUE_SIZE_MAX]; /* a chain's first, by ID */
	uint16_t next[VIRTQUEUE_SIZE_MAX];
	uint16_t last[VIRTQUEUE_SIZE_MAX];
};

/* A request of a predecessor. */
struct inflight_replay {
	uint64_t counter;
	uint16_t head; /* or the chain's first entry */
	uint16_t count; /* of its entries */
};
/* Sorts them as they were taken. */
void inflight_sort(struct inflight_replay *replays, unsigned int count);

/* Bytes of one queue's part for queues of @size entries. */
size_t inflight_queue_bytes(uint16_t size, bool packed);

/*
 * Begins with the part at @region (or NULL) and a ring that has been started;
 * brings the ring to where the region says. Finishes or takes back what a
 * predecessor left undone, and lists the heads to replay, oldest first.
 * Returns: how many of @ret_heads (room for the ring's size) are set, or
 * -EPROTO if the region can't be what a device has left.
 */
int inflight_start(struct inflight *inflight, void *region,
		   struct virtqueue *ring, uint16_t *ret_heads);

int inflight_split_start(struct inflight *inflight, struct virtqueue *ring,
			 uint16_t *ret_heads);
void inflight_split_take(struct inflight *inflight, uint16_t head);
void inflight_split_stage(struct inflight *inflight, uint16_t head);
void inflight_split_publish(struct inflight *inflight, uint16_t used_index);

int inflight_packed_start(struct inflight *inflight, struct virtqueue *ring,
			  uint16_t *ret_heads);
void inflight_packed_replay(const struct inflight *inflight,
			    struct virtqueue *ring, uint16_t head);
void inflight_packed_take(struct inflight *inflight,
			  const struct virtqueue *ring, uint16_t head);
void inflight_packed_stage(struct inflight *inflight, uint16_t head);
void inflight_packed_prepare(struct inflight *inflight,
			     const struct virtqueue *ring);
void inflight_packed_publish(struct inflight *inflight,
			     const struct virtqueue *ring);

/* After virtqueue_take(). */
static inline void inflight_take(struct inflight *inflight,
				 const struct virtqueue *ring, uint16_t head)
{
	if (!inflight->region)
		return;
	if (ring->packed)
		inflight_packed_take(inflight, ring, head);
	else
		inflight_split_take(inflight, head);
}

/* Instead of virtqueue_take(), for a head that inflight_start() listed. */
static inline void inflight_replay(const struct inflight *inflight,
				   struct virtqueue *ring, uint16_t head)
{
	if (ring->packed)
		inflight_packed_replay(inflight, ring, head);
}

/* With virtqueue_stage(). */
static inline void inflight_stage(struct inflight *inflight,
				  const struct virtqueue *ring, uint16_t head)
{
	if (!inflight->region)
		return;
	if (ring->packed)
		inflight_packed_stage(inflight, head);
	else
		inflight_split_stage(inflight, head);
}

/* Before virtqueue_publish(). */
static inline void inflight_prepare(struct inflight *inflight,
				    const struct virtqueue *ring)
{
	if (inflight->region && ring->packed)
		inflight_packed_prepare(inflight, ring);
}

/* After virtqueue_publish(). */
static inline void inflight_publish(struct inflight *inflight,
				    const struct virtqueue *ring)
{
	if (!inflight->region)
		return;
	if (ring->packed)
		inflight_packed_publish(inflight, ring);
	else
		inflight_split_publish(inflight, ring->used_published);
}

#endif
