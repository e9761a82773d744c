// SPDX-License-Identifier: Apache-2.0
/*
 * inflight_packed.c - the stores that make a killed process's requests of a
 * packed virtqueue recoverable.
 *
 * Runs on the disk's loop. In a packed ring a returned chain overwrites the
 * descriptors of another one that may be in flight still, so the region holds
 * a copy of every descriptor in flight: an entry for each, those of a chain
 * linked by `next`, the others in a list of free ones. As in inflight_split.c
 * only the compiler has to keep the stores in order.
 *
 *   take      entries from the head of the free list, then old_free_head:
 *             that one store makes the chain ours
 *   return    entries back to the list, free_head, places; the flags in the
 *             ring: that one store makes the batch the driver's; then
 *             inflight = 0 (each), old_free_head, places
 *
 * What the specification leaves to two or three stores is one here where a
 * kill between them could not be told from one before or after: `places` is
 * written as a whole. And a batch as long as the ring brings the used index
 * back to where it was, so the wrap counter is compared too.
 *
 * The batch becomes the driver's by the flags of its first chain; the flags of
 * the others are in the ring before. After a kill in between, a driver that
 * came to them would take them for returned: so they are taken back.
 *
 * The free list and the ends of chains are known here by private copies, since
 * the VMM could lead us astray by the shared ones.
 */
#include <errno.h>
#include <stdbool.h>

#include "failpoint.h"
#include "inflight.h"
#include "shared_word.h"

#define store_ordered(place, value) \
	__atomic_store_n((place), (value), __ATOMIC_RELEASE)

union places {
	struct inflight_packed_places fields;
	uint64_t all;
};

/* What was read of a region at the start, once. */
struct recovery {
	struct inflight *inflight;
	struct inflight_packed_region *region;
	struct virtqueue *ring;
	bool seen[VIRTQUEUE_SIZE_MAX]; /* entries that are accounted for */
};

static void places_store(struct inflight_packed_region *region,
			 const struct virtqueue *ring, uint16_t used,
			 uint16_t old_used)
{
	const union places places = {
		.fields.used_index = virtqueue_packed_index(ring, used),
		.fields.used_wrap = virtqueue_packed_wrap(ring, used),
		.fields.old_used_index = virtqueue_packed_index(ring, old_used),
		.fields.old_used_wrap = virtqueue_packed_wrap(ring, old_used),
	};

	store_ordered(&region->places, places.all);
}

static void format(struct inflight_packed_region *region,
		   const struct virtqueue *ring)
{
	region->features = 0;
	region->size = ring->size;
	region->free_head = 0;
	region->old_free_head = 0;
	for (uint16_t i = 0; i < ring->size; i++)
		region->states[i] = (struct inflight_packed_state){
			.next = (uint16_t)(i + 1),
		};
	places_store(region, ring, ring->used_published, ring->used_published);
	store_ordered(&region->version, (uint16_t)INFLIGHT_VERSION);
}

/*
 * Decides whether the last batch was shown to the driver, and sets ring and
 * region to after or before it.
 */
static int settle_batch(struct recovery *recovery)
{
	struct inflight_packed_region *region = recovery->region;
	struct virtqueue *ring = recovery->ring;
	const union places places = {.all = shared_load_u64(&region->places)};
	uint16_t free_head = shared_load_u16(&region->free_head);
	uint16_t old_free_head = shared_load_u16(&region->old_free_head);
	uint16_t used, old_used;

	if (places.fields.used_index >= ring->size ||
	    places.fields.old_used_index >= ring->size)
		return -EPROTO;
	used = virtqueue_packed_position(ring, places.fields.used_index,
					 places.fields.used_wrap);
	old_used = virtqueue_packed_position(ring, places.fields.old_used_index,
					     places.fields.old_used_wrap);
	if (used == old_used || virtqueue_packed_untouched(ring, old_used)) {
		used = old_used;
		free_head = old_free_head;
	}
	ring->used_staged = used;
	ring->used_published = used;
	ring->available_next = used;
	recovery->inflight->free_head =
		free_head < ring->size ? free_head : ring->size;
	return 0;
}

/* Learns the free list; none of its entries is in flight. */
static int walk_free(struct recovery *recovery)
{
	struct inflight *inflight = recovery->inflight;
	uint16_t size = recovery->ring->size;
	uint16_t entry = inflight->free_head;

	while (entry < size) {
		struct inflight_packed_state *state =
			&recovery->region->states[entry];

		if (recovery->seen[entry])
			return -EPROTO;
		recovery->seen[entry] = true;
		store_ordered(&state->inflight, (uint8_t)0);
		inflight->next[entry] = shared_load_u16(&state->next);
		entry = inflight->next[entry];
	}
	return 0;
}

/* Learns a chain whose first entry is @head. */
static int walk_chain(struct recovery *recovery, uint16_t head,
		      struct inflight_replay *ret_replay)
{
	struct inflight_packed_state *states = recovery->region->states;
	struct inflight *inflight = recovery->inflight;
	uint16_t count = shared_load_u16(&states[head].count);
	uint16_t entry = head;
	uint16_t last = head;

	for (uint16_t i = 0; i < count; i++) {
		if (entry >= recovery->ring->size || recovery->seen[entry])
			return -EPROTO;
		recovery->seen[entry] = true;
		last = entry;
		entry = shared_load_u16(&states[entry].next);
		inflight->next[last] = entry;
	}
	inflight->last[head] = last;
	*ret_replay = (struct inflight_replay){
		.head = head,
		.count = count,
		.counter = shared_load_u64(&states[head].counter),
	};
	return count > 0 ? 0 : -EPROTO;
}

/* Returns: how many chains are in flight, or -EPROTO. */
static int walk_chains(struct recovery *recovery,
		       struct inflight_replay *ret_replays)
{
	struct inflight_packed_state *states = recovery->region->states;
	uint16_t size = recovery->ring->size;
	int count = 0;

	for (uint16_t i = 0; i < size; i++) {
		if (recovery->seen[i] || !shared_load_u8(&states[i].inflight))
			continue;
		if (walk_chain(recovery, i, &ret_replays[count]) < 0)
			return -EPROTO;
		count++;
	}
	for (uint16_t i = 0; i < size; i++)
		if (!recovery->seen[i])
			return -EPROTO;
	return count;
}

/* The ring goes on behind what is in flight. */
static int skip_chains(struct recovery *recovery,
		       const struct inflight_replay *replays,
		       unsigned int count, uint16_t *ret_heads)
{
	struct inflight *inflight = recovery->inflight;

	for (unsigned int i = 0; i < count; i++) {
		uint16_t entry = replays[i].head;
		uint16_t last = inflight->last[entry];
		uint16_t id =
			shared_load_u16(&recovery->region->states[last].id);

		if (virtqueue_packed_skip(recovery->ring, id,
					  replays[i].count) < 0)
			return -EPROTO;
		inflight->entries[id] = entry;
		ret_heads[i] = id;
	}
	return 0;
}

int inflight_packed_start(struct inflight *inflight, struct virtqueue *ring,
			  uint16_t *ret_heads)
{
	struct inflight_packed_region *region = inflight->region;
	struct inflight_replay replays[VIRTQUEUE_SIZE_MAX];
	struct recovery recovery = {
		.inflight = inflight,
		.region = region,
		.ring = ring,
	};
	int count;

	/* Until then the base that the VMM gave says where the ring is. */
	inflight->resumed = shared_load_u16(&region->version) != 0;
	if (!inflight->resumed)
		format(region, ring);
	if (settle_batch(&recovery) < 0 || walk_free(&recovery) < 0)
		return -EPROTO;
	count = walk_chains(&recovery, replays);
	if (count < 0)
		return count;
	inflight_sort(replays, (unsigned int)count);
	if (skip_chains(&recovery, replays, (unsigned int)count, ret_heads) < 0)
		return -EPROTO;
	if (count > 0)
		inflight->counter = replays[count - 1].counter + 1;
	virtqueue_packed_unstage(ring);
	store_ordered(&region->free_head, inflight->free_head);
	store_ordered(&region->old_free_head, inflight->free_head);
	places_store(region, ring, ring->used_published, ring->used_published);
	return count;
}

void inflight_packed_replay(const struct inflight *inflight,
			    struct virtqueue *ring, uint16_t head)
{
	const struct inflight_packed_region *region = inflight->region;
	uint16_t entry = inflight->entries[head];
	uint16_t count = ring->counts[head];

	for (uint16_t i = 0; i < count; i++) {
		const struct inflight_packed_state *state =
			&region->states[entry];

		ring->taken[i] = (struct vring_packed_desc){
			.addr = shared_load_u64(&state->address),
			.len = shared_load_u32(&state->bytes),
			.id = head,
			.flags = shared_load_u16(&state->flags),
		};
		entry = inflight->next[entry];
	}
	ring->taken_count = count;
}

static void entry_fill(struct inflight_packed_state *state,
		       const struct vring_packed_desc *descriptor)
{
	store_ordered(&state->address, descriptor->addr);
	store_ordered(&state->bytes, descriptor->len);
	store_ordered(&state->flags, descriptor->flags);
	store_ordered(&state->id, descriptor->id);
}

void inflight_packed_take(struct inflight *inflight,
			  const struct virtqueue *ring, uint16_t head)
{
	struct inflight_packed_region *region = inflight->region;
	uint16_t first = inflight->free_head;
	struct inflight_packed_state *state = &region->states[first];
	uint16_t last = first;

	assert(first < inflight->size);
	store_ordered(&state->counter, inflight->counter);
	inflight->counter++;
	store_ordered(&state->inflight, (uint8_t)1);
	failpoint(FAILPOINT_PACKED_MARKED);
	for (uint16_t i = 0; i < ring->taken_count; i++) {
		last = inflight->free_head;
		assert(last < inflight->size);
		entry_fill(&region->states[last], &ring->taken[i]);
		inflight->free_head = inflight->next[last];
	}
	store_ordered(&state->last, last);
	store_ordered(&state->count, ring->taken_count);
	failpoint(FAILPOINT_PACKED_FILLED);
	store_ordered(&region->free_head, inflight->free_head);
	store_ordered(&region->old_free_head, inflight->free_head);
	inflight->last[first] = last;
	inflight->entries[head] = first;
}

/*
 * The list changes only when the batch is about to be shown: a chain that is
 * taken in between needs the list as it was.
 */
void inflight_packed_stage(struct inflight *inflight, uint16_t head)
{
	assert(inflight->batch_count < inflight->size);
	inflight->batch[inflight->batch_count++] = inflight->entries[head];
}

void inflight_packed_prepare(struct inflight *inflight,
			     const struct virtqueue *ring)
{
	struct inflight_packed_region *region = inflight->region;

	if (inflight->batch_count == 0)
		return;
	for (unsigned int i = 0; i < inflight->batch_count; i++) {
		uint16_t first = inflight->batch[i];
		uint16_t last = inflight->last[first];

		store_ordered(&region->states[last].next, inflight->free_head);
		store_ordered(&region->free_head, first);
		inflight->next[last] = inflight->free_head;
		inflight->free_head = first;
		failpoint(FAILPOINT_PACKED_LISTED);
	}
	places_store(region, ring, ring->used_staged, ring->used_published);
}

void inflight_packed_publish(struct inflight *inflight,
			     const struct virtqueue *ring)
{
	struct inflight_packed_region *region = inflight->region;

	if (inflight->batch_count == 0)
		return;
	for (unsigned int i = 0; i < inflight->batch_count; i++) {
		store_ordered(&region->states[inflight->batch[i]].inflight,
			      (uint8_t)0);
		failpoint(FAILPOINT_PACKED_CLEARED);
	}
	inflight->batch_count = 0;
	store_ordered(&region->old_free_head, inflight->free_head);
	places_store(region, ring, ring->used_published, ring->used_published);
}
