// SPDX-License-Identifier: Apache-2.0
/* inflight.c - what the regions of split and packed queues have in common. */
#include "inflight.h"

#include <stdlib.h>

size_t inflight_queue_bytes(uint16_t size, bool packed)
{
	size_t bytes = sizeof(struct inflight_region) +
		       sizeof(struct inflight_state) * size;

	if (packed)
		bytes = sizeof(struct inflight_packed_region) +
			sizeof(struct inflight_packed_state) * size;
	return (bytes + INFLIGHT_ALIGNMENT - 1) / INFLIGHT_ALIGNMENT *
	       INFLIGHT_ALIGNMENT;
}

static int compare_replays(const void *left, const void *right)
{
	const struct inflight_replay *a = left;
	const struct inflight_replay *b = right;

	if (a->counter != b->counter)
		return a->counter < b->counter ? -1 : 1;
	return (int)a->head - (int)b->head;
}

void inflight_sort(struct inflight_replay *replays, unsigned int count)
{
	qsort(replays, count, sizeof(replays[0]), compare_replays);
}

int inflight_start(struct inflight *inflight, void *region,
		   struct virtqueue *ring, uint16_t *ret_heads)
{
	assert(ring->size <= VIRTQUEUE_SIZE_MAX);
	inflight->region = region;
	inflight->size = ring->size;
	inflight->resumed = false;
	inflight->counter = 0;
	inflight->batch_count = 0;
	if (!region)
		return 0;
	return ring->packed ? inflight_packed_start(inflight, ring, ret_heads)
			    : inflight_split_start(inflight, ring, ret_heads);
}
