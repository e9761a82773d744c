// SPDX-License-Identifier: Apache-2.0
/*
 * inflight_split.c - the stores that make a killed process's requests of a
 * split virtqueue recoverable.
 *
 * Runs on the disk's loop. The reader of this memory comes after this process
 * has died, so it sees every store up to some point in program order: the
 * compiler must keep that order, the CPU does. Releasing stores say so.
 *
 *   take      counter, then inflight = 1
 *   return    next = last_batch_head, then last_batch_head = head (each head);
 *             used ring index; then inflight = 0 (each); then used_index
 */
#include "failpoint.h"
#include "inflight.h"
#include "shared_word.h"

#define store_ordered(place, value) \
	__atomic_store_n((place), (value), __ATOMIC_RELEASE)

static void format(struct inflight_region *region, uint16_t size)
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
static void finish_batch(struct inflight *inflight, uint16_t used_index)
{
	struct inflight_region *region = inflight->region;
	uint16_t size = inflight->size;
	uint16_t count =
		(uint16_t)(used_index - shared_load_u16(&region->used_index));
	uint16_t head = shared_load_u16(&region->last_batch_head);

	inflight->last_batch_head = head;
	for (uint16_t i = 0; i < count && i < size && head < size; i++) {
		store_ordered(&region->states[head].inflight, (uint8_t)0);
		head = shared_load_u16(&region->states[head].next);
	}
	store_ordered(&region->used_index, used_index);
}

int inflight_split_start(struct inflight *inflight, struct virtqueue *ring,
			 uint16_t *ret_heads)
{
	struct inflight_replay replays[VIRTQUEUE_SIZE_MAX];
	struct inflight_region *region = inflight->region;
	unsigned int count = 0;

	inflight->resumed = shared_load_u16(&region->version) != 0;
	if (!inflight->resumed)
		format(region, ring->size);
	finish_batch(inflight, ring->used_published);
	for (uint16_t i = 0; i < ring->size; i++) {
		struct inflight_state *state = &region->states[i];

		if (!shared_load_u8(&state->inflight))
			continue;
		replays[count++] = (struct inflight_replay){
			.head = i,
			.counter = shared_load_u64(&state->counter),
		};
	}
	inflight_sort(replays, count);
	for (unsigned int i = 0; i < count; i++)
		ret_heads[i] = replays[i].head;
	if (count > 0)
		inflight->counter = replays[count - 1].counter + 1;
	virtqueue_split_skip(ring, (uint16_t)count);
	return (int)count;
}

void inflight_split_take(struct inflight *inflight, uint16_t head)
{
	struct inflight_region *region = inflight->region;
	struct inflight_state *state = &region->states[head];

	store_ordered(&state->counter, inflight->counter);
	inflight->counter++;
	failpoint(FAILPOINT_SPLIT_COUNTED);
	store_ordered(&state->inflight, (uint8_t)1);
}

void inflight_split_stage(struct inflight *inflight, uint16_t head)
{
	struct inflight_region *region = inflight->region;
	uint16_t previous = inflight->last_batch_head;

	assert(inflight->batch_count < inflight->size);
	store_ordered(&region->states[head].next, previous);
	failpoint(FAILPOINT_SPLIT_LINKED);
	store_ordered(&region->last_batch_head, head);
	inflight->last_batch_head = head;
	inflight->batch[inflight->batch_count++] = head;
}

void inflight_split_publish(struct inflight *inflight, uint16_t used_index)
{
	struct inflight_region *region = inflight->region;

	for (unsigned int i = 0; i < inflight->batch_count; i++) {
		store_ordered(&region->states[inflight->batch[i]].inflight,
			      (uint8_t)0);
		failpoint(FAILPOINT_SPLIT_CLEARED);
	}
	inflight->batch_count = 0;
	store_ordered(&region->used_index, used_index);
}
