// SPDX-License-Identifier: Apache-2.0
/*
 * virtqueue_packed.c - takes chains from a packed virtqueue and gives them
 * back.
 *
 * Runs on the disk's loop; the other side is a guest's CPU. There is one ring
 * for both directions, and two places in it:
 *
 *      used_published        used_staged            available_next
 *            v                    v                        v
 *   ... the driver's | returned, not shown | taken, in flight | available ...
 *
 * What lies between the first and the last is ours, at most the whole ring. A
 * chain that was taken is copied at once, since what is returned before it may
 * overwrite its descriptors. Flags say whose a descriptor is: available when
 * AVAIL is our wrap counter and USED isn't, used when both are.
 *
 *   take     flags of the first (acquire), then it and those that follow
 *   publish  all but the flags of the first (release); full fence; then look
 *            whether the driver wants a notification
 */
#include <errno.h>

#include "shared_word.h"
#include "virtqueue_chain.h"

#define AVAILABLE_BIT ((uint16_t)(1u << VRING_PACKED_DESC_F_AVAIL))
#define USED_BIT ((uint16_t)(1u << VRING_PACKED_DESC_F_USED))
#define WRAP_BIT ((uint16_t)(1u << VRING_PACKED_EVENT_F_WRAP_CTR))
#define EVENT_FLAGS_MASK 3u

/* Both words of an event structure, as one of our loads sees them. */
union event {
	struct vring_packed_desc_event words;
	uint32_t all;
};

static uint16_t position_add(const struct virtqueue *queue, uint16_t position,
			     unsigned int count)
{
	unsigned int sum = position + count;
	unsigned int laps = 2u * queue->size;

	return (uint16_t)(sum < laps ? sum : sum - laps);
}

static unsigned int distance(const struct virtqueue *queue, uint16_t from,
			     uint16_t to)
{
	return to >= from ? (unsigned int)(to - from)
			  : to + 2u * queue->size - from;
}

static struct vring_packed_desc *descriptor_at(const struct virtqueue *queue,
					       uint16_t position)
{
	return &queue->ring[virtqueue_packed_index(queue, position)];
}

static uint16_t available_flags(const struct virtqueue *queue,
				uint16_t position)
{
	return virtqueue_packed_wrap(queue, position) ? AVAILABLE_BIT
						      : USED_BIT;
}

static uint16_t used_flags(const struct virtqueue *queue, uint16_t position)
{
	return virtqueue_packed_wrap(queue, position)
		       ? (uint16_t)(AVAILABLE_BIT | USED_BIT)
		       : 0;
}

static bool flags_are(uint16_t flags, uint16_t wanted)
{
	return (flags & (AVAILABLE_BIT | USED_BIT)) == wanted;
}

/* One half of the base. Returns: false if that is in no ring of this size. */
static bool base_parse(const struct virtqueue *queue, uint32_t half,
		       uint16_t *ret_position)
{
	uint16_t index = (uint16_t)(half & (WRAP_BIT - 1u));

	*ret_position =
		virtqueue_packed_position(queue, index, half & WRAP_BIT);
	return index < queue->size;
}

int virtqueue_packed_start(struct virtqueue *queue, uint32_t base)
{
	uint16_t available, used;

	if (!base_parse(queue, base & UINT16_MAX, &available) ||
	    !base_parse(queue, base >> 16, &used) ||
	    distance(queue, used, available) > queue->size)
		return -EINVAL;
	queue->available_next = available;
	queue->used_staged = used;
	queue->used_published = used;
	queue->flags_seen = false;
	queue->taken_count = 0;
	memset(queue->counts, 0, sizeof(queue->counts));
	return 0;
}

int virtqueue_packed_skip(struct virtqueue *queue, uint16_t head,
			  uint16_t count)
{
	unsigned int ours =
		distance(queue, queue->used_published, queue->available_next);

	if (head >= queue->size || queue->counts[head] != 0 || count == 0 ||
	    count > queue->size - ours)
		return -EPROTO;
	queue->counts[head] = count;
	queue->available_next =
		position_add(queue, queue->available_next, count);
	return 0;
}

void virtqueue_packed_unstage(struct virtqueue *queue)
{
	unsigned int ours =
		distance(queue, queue->used_published, queue->available_next);

	/* The flags of the first are only written when the batch is shown. */
	for (unsigned int i = 1; i < ours; i++) {
		uint16_t position =
			position_add(queue, queue->used_published, i);
		struct vring_packed_desc *shared =
			descriptor_at(queue, position);

		if (flags_are(shared_load_u16(&shared->flags),
			      used_flags(queue, position)))
			__atomic_store_n(&shared->flags,
					 available_flags(queue, position),
					 __ATOMIC_RELAXED);
	}
}

bool virtqueue_packed_untouched(const struct virtqueue *queue,
				uint16_t position)
{
	uint16_t flags =
		shared_load_u16(&descriptor_at(queue, position)->flags);

	return flags_are(flags, available_flags(queue, position));
}

int virtqueue_packed_look(struct virtqueue *queue)
{
	uint16_t position = queue->available_next;
	uint16_t flags;

	if (queue->flags_seen)
		return 1;
	flags = shared_poll_u16(&descriptor_at(queue, position)->flags);
	if (!flags_are(flags, available_flags(queue, position)))
		return 0;
	/* It is ours already. */
	if (distance(queue, queue->used_published, position) == queue->size)
		return -EPROTO;
	queue->flags_seen = true;
	queue->flags = flags;
	return 1;
}

/*
 * Copies the descriptors that hang together with the next one.
 * Returns: their number, 0 if they have no end.
 */
static unsigned int chain_copy(struct virtqueue *queue)
{
	uint16_t position = queue->available_next;
	unsigned int room =
		queue->size - distance(queue, queue->used_published, position);
	unsigned int count = 0;
	uint16_t flags = queue->flags;

	for (;;) {
		const struct vring_packed_desc *shared =
			descriptor_at(queue, position);

		if (count == room)
			return 0;
		if (count > 0)
			flags = shared_load_u16(&shared->flags);
		queue->taken[count++] = (struct vring_packed_desc){
			.addr = shared_load_u64(&shared->addr),
			.len = shared_load_u32(&shared->len),
			.id = shared_load_u16(&shared->id),
			.flags = flags,
		};
		if (!(flags & VRING_DESC_F_NEXT))
			return count;
		position = position_add(queue, position, 1);
	}
}

int virtqueue_packed_take(struct virtqueue *queue, uint16_t *ret_head)
{
	int result = virtqueue_packed_look(queue);
	unsigned int count;
	uint16_t head;

	if (result <= 0)
		return result;
	count = chain_copy(queue);
	if (count == 0)
		return -EPROTO;
	head = queue->taken[count - 1].id;
	if (head >= queue->size || queue->counts[head] != 0)
		return -EPROTO;
	queue->flags_seen = false;
	queue->taken_count = (uint16_t)count;
	queue->counts[head] = (uint16_t)count;
	queue->available_next =
		position_add(queue, queue->available_next, (unsigned int)count);
	*ret_head = head;
	return 1;
}

/* Its descriptors follow each other, and WRITE is all that counts of flags. */
static int read_indirect(struct guest_memory *memory,
			 const struct vring_packed_desc *descriptor,
			 struct virtqueue_chain *chain)
{
	const struct vring_packed_desc *table;
	const void *found;
	int count = virtqueue_indirect_table(memory, descriptor->addr,
					     descriptor->len, &found);

	if (count < 0)
		return count;
	table = found;
	for (int i = 0; i < count; i++)
		if (virtqueue_chain_add(chain, shared_load_u64(&table[i].addr),
					shared_load_u32(&table[i].len),
					shared_load_u16(&table[i].flags)) < 0)
			return -EPROTO;
	return 0;
}

int virtqueue_packed_read_chain(const struct virtqueue *queue,
				struct guest_memory *memory,
				struct virtqueue_chain *ret_chain)
{
	const struct vring_packed_desc *taken = queue->taken;

	ret_chain->count = 0;
	ret_chain->readable_count = 0;
	if (taken[0].flags & VRING_DESC_F_INDIRECT) {
		if (!queue->indirect || queue->taken_count != 1)
			return -EPROTO;
		return read_indirect(memory, &taken[0], ret_chain);
	}
	for (unsigned int i = 0; i < queue->taken_count; i++)
		if (taken[i].flags & VRING_DESC_F_INDIRECT ||
		    virtqueue_chain_add(ret_chain, taken[i].addr, taken[i].len,
					taken[i].flags) < 0)
			return -EPROTO;
	return 0;
}

/*
 * WRITE says that the length counts, and that something was written: here the
 * status at least. The flags of the first show all.
 */
void virtqueue_packed_stage(struct virtqueue *queue, uint16_t head,
			    uint32_t bytes)
{
	uint16_t position = queue->used_staged;
	struct vring_packed_desc *shared = descriptor_at(queue, position);
	uint16_t flags =
		(uint16_t)(used_flags(queue, position) | VRING_DESC_F_WRITE);

	shared->id = head;
	shared->len = bytes;
	if (position == queue->used_published)
		queue->used_flags = flags;
	else
		__atomic_store_n(&shared->flags, flags, __ATOMIC_RELAXED);
	queue->used_staged = position_add(queue, position, queue->counts[head]);
	queue->counts[head] = 0;
}

/* Whether the driver wants to hear of what was used from @old to @new. */
static bool notification_wanted(const struct virtqueue *queue, uint16_t old,
				uint16_t new)
{
	const uint32_t *place = (const void *)queue->driver_event;
	const union event event = {.all = shared_poll_u32(place)};
	uint16_t flags = event.words.flags & EVENT_FLAGS_MASK;
	uint16_t position;

	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !queue->event_index)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	if (!base_parse(queue, event.words.off_wrap, &position))
		return true;
	return distance(queue, old, position) < distance(queue, old, new);
}

bool virtqueue_packed_publish(struct virtqueue *queue)
{
	uint16_t old = queue->used_published;
	uint16_t new = queue->used_staged;

	if (old == new)
		return false;
	__atomic_store_n(&descriptor_at(queue, old)->flags, queue->used_flags,
			 __ATOMIC_RELEASE);
	queue->used_published = new;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return notification_wanted(queue, old, new);
}

static void event_set(struct virtqueue *queue, uint16_t flags)
{
	uint32_t *place = (void *)queue->device_event;
	uint16_t position = queue->available_next;
	union event event = {
		.words.off_wrap = virtqueue_packed_index(queue, position),
		.words.flags = flags,
	};

	if (virtqueue_packed_wrap(queue, position))
		event.words.off_wrap |= WRAP_BIT;
	__atomic_store_n(place, event.all, __ATOMIC_RELAXED);
}

bool virtqueue_packed_arm(struct virtqueue *queue)
{
	event_set(queue, queue->event_index ? VRING_PACKED_EVENT_FLAG_DESC
					    : VRING_PACKED_EVENT_FLAG_ENABLE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtqueue_packed_look(queue) != 0;
}

void virtqueue_packed_disarm(struct virtqueue *queue)
{
	/* A passed descriptor asks for nothing by itself. */
	if (!queue->event_index)
		event_set(queue, VRING_PACKED_EVENT_FLAG_DISABLE);
}
