// SPDX-License-Identifier: Apache-2.0
/*
 * inflight.c - the stores that make a killed process's requests recoverable.
 *
 * Runs on the disk's loop. The reader of this memory comes after this process
 * has died, so it sees every store up to some point in program order: the
 * compiler must keep that order, the CPU does. Releasing stores say so.
 */
#include "inflight.h"

#include <stdlib.h>

#define load(place) __atomic_load_n((place), __ATOMIC_RELAXED)
#define store_ordered(place, value) \
	__atomic_store_n((place), (value), __ATOMIC_RELEASE)

struct replay {
	uint64_t counter;
	uint16_t head;
};

size_t inflight_queue_bytes(uint16_t size)
{
	size_t bytes = sizeof(struct inflight_region) +
		       sizeof(struct inflight_state) * size;

	return (bytes + INFLIGHT_ALIGNMENT - 1) / INFLIGHT_ALIGNMENT *
	       INFLIGHT_ALIGNMENT;
}

void inflight_format(struct inflight_region *region, uint16_t size)
{
	region->features = 0;
	region->last_batch_head = 0;
	region->used_index = 0;
	region->size = size;
	for (uint16_t i = 0; i < size; i++)
		region->states[i] = (struct inflight_state){0};
	store_ordered(&region->version, (uint16_t)INFLIGHT_VERSION);
}

/*
 * The predecessor moved the used ring's index and died before it cleared the
 * marks of that batch. Its heads hang together from last_batch_head; as many
 * belong to the batch as the index has moved.
 *
 * A region that is new while the ring isn't (after a migration) has nothing
 * marked, so following its zeroed list does no harm; what matters is that
 * used_index is right before the first head is taken.
 */
static void finish_batch(struct inflight_region *region, uint16_t size,
			 uint16_t used_index)
{
	uint16_t count = (uint16_t)(used_index - load(&region->used_index));
	uint16_t head = load(&region->last_batch_head);

	for (uint16_t i = 0; i < count && i < size && head < size; i++) {
		store_ordered(&region->states[head].inflight, (uint8_t)0);
		head = load(&region->states[head].next);
	}
	store_ordered(&region->used_index, used_index);
}

static int compare_replays(const void *left, const void *right)
{
	const struct replay *a = left;
	const struct replay *b = right;

	if (a->counter != b->counter)
		return a->counter < b->counter ? -1 : 1;
	return (int)a->head - (int)b->head;
}

unsigned int inflight_start(struct inflight *inflight,
			    struct inflight_region *region, uint16_t size,
			    uint16_t used_index, uint16_t *ret_heads)
{
	struct replay replays[VIRTQUEUE_SIZE_MAX];
	unsigned int count = 0;

	assert(size <= VIRTQUEUE_SIZE_MAX);
	inflight->region = region;
	inflight->size = size;
	inflight->counter = 0;
	inflight->batch_count = 0;
	if (!region)
		return 0;
	finish_batch(region, size, used_index);
	for (uint16_t i = 0; i < size; i++) {
		if (!load(&region->states[i].inflight))
			continue;
		replays[count].head = i;
		replays[count].counter = load(&region->states[i].counter);
		count++;
	}
	qsort(replays, count, sizeof(replays[0]), compare_replays);
	for (unsigned int i = 0; i < count; i++)
		ret_heads[i] = replays[i].head;
	if (count > 0)
		inflight->counter = replays[count - 1].counter + 1;
	return count;
}

void inflight_take(struct inflight *inflight, uint16_t head)
{
	struct inflight_state *state;

	if (!inflight->region)
		return;
	state = &inflight->region->states[head];
	store_ordered(&state->counter, inflight->counter);
	inflight->counter++;
	store_ordered(&state->inflight, (uint8_t)1);
}

void inflight_stage(struct inflight *inflight, uint16_t head)
{
	struct inflight_region *region = inflight->region;

	if (!region)
		return;
	assert(inflight->batch_count < inflight->size);
	store_ordered(&region->states[head].next,
		      load(&region->last_batch_head));
	store_ordered(&region->last_batch_head, head);
	inflight->batch[inflight->batch_count++] = head;
}

void inflight_publish(struct inflight *inflight, uint16_t used_index)
{
	struct inflight_region *region = inflight->region;

	if (!region)
		return;
	for (unsigned int i = 0; i < inflight->batch_count; i++)
		store_ordered(&region->states[inflight->batch[i]].inflight,
			      (uint8_t)0);
	inflight->batch_count = 0;
	store_ordered(&region->used_index, used_index);
}
