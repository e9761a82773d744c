/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inflight.h - which requests of a queue have begun and haven't been returned,
 * kept in memory that outlives this process.
 *
 * The VMM holds the region and hands it to the next process, which takes up
 * exactly the requests that this one had taken and not returned. The layout
 * and the order of stores are the vhost-user specification's ("Inflight I/O
 * tracking", split virtqueue), so that a kill between any two stores is
 * recovered from:
 *
 *   take      counter, then inflight = 1
 *   return    next = last_batch_head, then last_batch_head = head (each head);
 *             used ring index; then inflight = 0 (each); then used_idx
 *
 * The region is shared with the VMM and read as hostile: what it says can
 * decide which heads are replayed, never where memory is accessed.
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

struct inflight_state {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;
	uint64_t counter;
};

struct inflight_region {
	uint64_t features;
	uint16_t version;
	uint16_t size;
	uint16_t last_batch_head;
	uint16_t used_index;
	struct inflight_state states[];
};

static_assert(sizeof(struct inflight_state) == 16, "vhost-user layout");
static_assert(sizeof(struct inflight_region) == 16, "vhost-user layout");

/* One queue's part, and what this process knows about it. */
struct inflight {
	struct inflight_region *region; /* NULL: the VMM keeps none */
	uint16_t size;
	uint64_t counter;
	unsigned int batch_count;
	uint16_t batch[VIRTQUEUE_SIZE_MAX];
};

/* Bytes of one queue's part for queues of @size entries. */
size_t inflight_queue_bytes(uint16_t size);
/* Makes a part that nobody has used. */
void inflight_format(struct inflight_region *region, uint16_t size);

/*
 * Begins with the part at @region (or NULL): finishes what a predecessor left
 * undone, and lists the heads to replay, oldest first.
 * @used_index: the index that stands in the used ring.
 * Returns: how many of @ret_heads (room for @size) are set.
 */
unsigned int inflight_start(struct inflight *inflight,
			    struct inflight_region *region, uint16_t size,
			    uint16_t used_index, uint16_t *ret_heads);

void inflight_take(struct inflight *inflight, uint16_t head);
/* With virtqueue_stage(). */
void inflight_stage(struct inflight *inflight, uint16_t head);
/* After virtqueue_publish(), which made @used_index visible. */
void inflight_publish(struct inflight *inflight, uint16_t used_index);

#endif
