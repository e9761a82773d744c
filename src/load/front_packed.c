// SPDX-License-Identifier: Apache-2.0
/*
 * front_packed.c - the driver's side of a packed virtqueue.
 *
 * A slot's number is its buffer ID. Its descriptors go wherever the ring is,
 * as many each time: one that names the indirect table, or the chain itself.
 */
#include "front_packed.h"

#define AVAILABLE_BIT ((uint16_t)(1u << VRING_PACKED_DESC_F_AVAIL))
#define USED_BIT ((uint16_t)(1u << VRING_PACKED_DESC_F_USED))
#define WRAP_BIT ((uint16_t)(1u << VRING_PACKED_EVENT_F_WRAP_CTR))

union event {
	struct vring_packed_desc_event words;
	uint32_t all;
};

static uint16_t place_add(const struct front_queue *queue, uint16_t place,
			  unsigned int count)
{
	return (uint16_t)((place + count) % (2u * queue->size));
}

static unsigned int distance(const struct front_queue *queue, uint16_t from,
			     uint16_t to)
{
	return (to + 2u * queue->size - from) % (2u * queue->size);
}

static bool wrap(const struct front_queue *queue, uint16_t place)
{
	return place < queue->size;
}

static struct vring_packed_desc *descriptor_at(const struct front_queue *queue,
					       uint16_t place)
{
	return &queue->ring[place % queue->size];
}

static uint16_t half_base(const struct front_queue *queue, uint16_t place)
{
	return (uint16_t)(place % queue->size |
			  (wrap(queue, place) ? WRAP_BIT : 0));
}

void front_offer_packed(struct front_queue *queue,
			const struct vring_packed_desc *descriptor,
			uint16_t wrong_flags)
{
	uint16_t place = queue->available_next;
	struct vring_packed_desc *shared = descriptor_at(queue, place);
	uint16_t flags = wrap(queue, place) ? AVAILABLE_BIT : USED_BIT;

	flags = (uint16_t)((flags | descriptor->flags) ^ wrong_flags);
	shared->addr = descriptor->addr;
	shared->len = descriptor->len;
	shared->id = descriptor->id;
	/* The first of a batch shows the others. */
	if (place == queue->available_published)
		queue->first_flags = flags;
	else
		__atomic_store_n(&shared->flags, flags, __ATOMIC_RELAXED);
	queue->available_next = place_add(queue, place, 1);
}

void front_packed_offer(struct front_queue *queue,
			const struct front_slot *slot,
			const struct vring_desc *table, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct vring_packed_desc descriptor = {
			.addr = table[i].addr,
			.len = table[i].len,
			.id = slot->number,
			.flags = table[i].flags,
		};

		front_offer_packed(queue, &descriptor, 0);
	}
}

static bool wants_kick(const struct front_queue *queue, uint16_t old,
		       uint16_t new)
{
	const uint32_t *place = (const void *)queue->device_event;
	const union event event = {
		.all = __atomic_load_n(place, __ATOMIC_RELAXED),
	};
	uint16_t wanted = event.words.off_wrap & (uint16_t)(WRAP_BIT - 1u);

	if (event.words.flags != VRING_PACKED_EVENT_FLAG_DESC)
		return event.words.flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	if (!(event.words.off_wrap & WRAP_BIT))
		wanted = (uint16_t)(wanted + queue->size);
	return distance(queue, old, wanted) < distance(queue, old, new);
}

bool front_packed_publish(struct front_queue *queue)
{
	uint16_t old = queue->available_published;
	uint16_t new = queue->available_next;

	__atomic_store_n(&descriptor_at(queue, old)->flags, queue->first_flags,
			 __ATOMIC_RELEASE);
	queue->available_published = new;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return wants_kick(queue, old, new);
}

static bool used_at(const struct front_queue *queue, uint16_t place)
{
	uint16_t flags = __atomic_load_n(&descriptor_at(queue, place)->flags,
					 __ATOMIC_ACQUIRE);

	return (flags & (AVAILABLE_BIT | USED_BIT)) ==
	       (wrap(queue, place) ? AVAILABLE_BIT | USED_BIT : 0);
}

bool front_packed_ready(const struct front_queue *queue)
{
	return queue->used_next != queue->available_published &&
	       used_at(queue, queue->used_next);
}

/* Descriptors of a chain; what tests offer by hand may be in no slot. */
static unsigned int chain_count(const struct front_queue *queue, uint16_t id)
{
	return id < queue->slot_count ? queue->slots[id].count : 1;
}

struct front_packed_used front_packed_reap(struct front_queue *queue)
{
	const struct vring_packed_desc *shared =
		descriptor_at(queue, queue->used_next);
	const struct front_packed_used used = {
		.written = shared->len,
		.id = shared->id,
	};

	queue->used_next =
		place_add(queue, queue->used_next, chain_count(queue, used.id));
	return used;
}

/* Walks on over what has come, as reaping would. */
static uint16_t returned_place(const struct front_queue *queue,
			       uint64_t *ret_count)
{
	uint16_t place = queue->used_next;

	*ret_count = 0;
	while (place != queue->available_published && used_at(queue, place)) {
		place = place_add(
			queue, place,
			chain_count(queue, descriptor_at(queue, place)->id));
		(*ret_count)++;
	}
	return place;
}

uint64_t front_returned(const struct front_queue *queue)
{
	uint64_t count;

	if (!queue->packed)
		return queue->reaped +
		       (uint16_t)(__atomic_load_n(&queue->used->idx,
						  __ATOMIC_ACQUIRE) -
				  queue->used_next);
	returned_place(queue, &count);
	return queue->reaped + count;
}

/* Nobody says how far a lost back-end had come: all that is returned. */
uint32_t front_base(const struct front_queue *queue)
{
	uint64_t count;
	uint32_t half;

	if (!queue->packed)
		return __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE);
	half = half_base(queue, returned_place(queue, &count));
	return half | half << 16;
}

static void event_set(struct front_queue *queue, uint16_t flags)
{
	uint32_t *place = (void *)queue->driver_event;
	const union event event = {
		.words.off_wrap = half_base(queue, queue->used_next),
		.words.flags = flags,
	};

	__atomic_store_n(place, event.all, __ATOMIC_RELAXED);
}

void front_packed_arm(struct front_queue *queue)
{
	event_set(queue, queue->event_index ? VRING_PACKED_EVENT_FLAG_DESC
					    : VRING_PACKED_EVENT_FLAG_ENABLE);
}

void front_packed_disarm(struct front_queue *queue)
{
	event_set(queue, VRING_PACKED_EVENT_FLAG_DISABLE);
}
