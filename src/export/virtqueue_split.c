// SPDX-License-Identifier: Apache-2.0
/*
 * virtqueue_split.c - takes chains from a split virtqueue and gives them back.
 *
 * Runs on the disk's loop; the other side is a guest's CPU. Two orders matter:
 *
 *   take     index (acquire), then the entry and the descriptors it names
 *   publish  entries, then the index (release); full fence; then look whether
 *            the driver wants a notification. The driver does the mirror
 *            image, so one of the two sides sees the other's last store.
 */
#include <assert.h>
#include <errno.h>

#include "shared_word.h"
#include "virtqueue_chain.h"

void virtqueue_split_start(struct virtqueue *queue)
{
	uint16_t index = shared_load_u16(&queue->used->idx);

	assert((queue->size & (queue->size - 1)) == 0);
	queue->available_next = index;
	queue->available_seen = index;
	queue->used_staged = index;
	queue->used_published = index;
}

void virtqueue_split_skip(struct virtqueue *queue, uint16_t count)
{
	queue->available_next = (uint16_t)(queue->available_next + count);
	queue->available_seen = queue->available_next;
}

/* The driver's wish: notify when this used index has been passed. */
static uint16_t used_event(const struct virtqueue *queue)
{
	return shared_poll_u16(&queue->available->ring[queue->size]);
}

/* Our wish, behind the used entries: kick when this index has been passed. */
static uint16_t *available_event(const struct virtqueue *queue)
{
	return (uint16_t *)(void *)&queue->used->ring[queue->size];
}

int virtqueue_split_look(struct virtqueue *queue)
{
	uint16_t index;

	if (queue->available_seen != queue->available_next)
		return 1;
	index = shared_poll_u16(&queue->available->idx);
	/* An index that jumps isn't remembered: each look reports it. */
	if ((uint16_t)(index - queue->available_next) > queue->size)
		return -EPROTO;
	queue->available_seen = index;
	return index != queue->available_next;
}

int virtqueue_split_take(struct virtqueue *queue, uint16_t *ret_head)
{
	uint16_t slot = queue->available_next & (uint16_t)(queue->size - 1);
	uint16_t head;
	int result = virtqueue_split_look(queue);

	if (result <= 0)
		return result;
	head = shared_load_u16(&queue->available->ring[slot]);
	if (head >= queue->size)
		return -EPROTO;
	queue->available_next++;
	*ret_head = head;
	return 1;
}

static struct vring_desc descriptor_copy(const struct vring_desc *shared)
{
	return (struct vring_desc){
		.addr = shared_load_u64(&shared->addr),
		.len = shared_load_u32(&shared->len),
		.flags = shared_load_u16(&shared->flags),
		.next = shared_load_u16(&shared->next),
	};
}

/* Where the chain goes on: a table of descriptors and a place in it. */
struct walk {
	const struct vring_desc *table;
	uint32_t size;
	uint32_t left; /* descriptors that it may still have */
	uint32_t index;
};

static int walk_chain(struct walk *walk, struct virtqueue_chain *chain)
{
	for (;;) {
		struct vring_desc descriptor;

		if (walk->index >= walk->size || walk->left-- == 0)
			return -EPROTO;
		descriptor = descriptor_copy(&walk->table[walk->index]);
		if (descriptor.flags & VRING_DESC_F_INDIRECT)
			return -EPROTO; /* nested, or behind direct ones */
		if (virtqueue_chain_add(chain, descriptor.addr, descriptor.len,
					descriptor.flags) < 0)
			return -EPROTO;
		if (!(descriptor.flags & VRING_DESC_F_NEXT))
			return 0;
		walk->index = descriptor.next;
	}
}

static int walk_indirect(struct guest_memory *memory,
			 const struct vring_desc *descriptor,
			 struct virtqueue_chain *chain)
{
	struct walk walk = {.left = VIRTQUEUE_CHAIN_MAX};
	const void *table;
	int count;

	if (descriptor->flags & VRING_DESC_F_NEXT)
		return -EPROTO;
	count = virtqueue_indirect_table(memory, descriptor->addr,
					 descriptor->len, &table);
	if (count < 0)
		return count;
	walk.table = table;
	walk.size = (uint32_t)count;
	return walk_chain(&walk, chain);
}

int virtqueue_split_read_chain(const struct virtqueue *queue,
			       struct guest_memory *memory, uint16_t head,
			       struct virtqueue_chain *ret_chain)
{
	struct vring_desc first = descriptor_copy(&queue->descriptors[head]);
	struct walk walk = {
		.table = queue->descriptors,
		.size = queue->size,
		.left = queue->size,
		.index = first.next,
	};

	ret_chain->count = 0;
	ret_chain->readable_count = 0;
	if (first.flags & VRING_DESC_F_INDIRECT)
		return queue->indirect
			       ? walk_indirect(memory, &first, ret_chain)
			       : -EPROTO;
	if (virtqueue_chain_add(ret_chain, first.addr, first.len, first.flags) <
	    0)
		return -EPROTO;
	if (!(first.flags & VRING_DESC_F_NEXT))
		return 0;
	walk.left--;
	return walk_chain(&walk, ret_chain);
}

void virtqueue_split_stage(struct virtqueue *queue, uint16_t head,
			   uint32_t bytes)
{
	uint16_t slot = queue->used_staged & (uint16_t)(queue->size - 1);
	struct vring_used_elem *element = &queue->used->ring[slot];

	element->id = head;
	element->len = bytes;
	queue->used_staged++;
}

bool virtqueue_split_publish(struct virtqueue *queue)
{
	uint16_t old = queue->used_published;
	uint16_t new = queue->used_staged;

	if (old == new)
		return false;
	__atomic_store_n(&queue->used->idx, new, __ATOMIC_RELEASE);
	queue->used_published = new;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (queue->event_index)
		return vring_need_event(used_event(queue), new, old);
	return !(shared_poll_u16(&queue->available->flags) &
		 VRING_AVAIL_F_NO_INTERRUPT);
}

bool virtqueue_split_arm(struct virtqueue *queue)
{
	if (queue->event_index)
		__atomic_store_n(available_event(queue), queue->available_next,
				 __ATOMIC_RELAXED);
	else
		__atomic_store_n(&queue->used->flags, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* A broken index counts as work: taking from it reports the error. */
	return virtqueue_split_look(queue) != 0;
}

void virtqueue_split_disarm(struct virtqueue *queue)
{
	/* With an event index a passed index asks for nothing by itself. */
	if (!queue->event_index)
		__atomic_store_n(&queue->used->flags, VRING_USED_F_NO_NOTIFY,
				 __ATOMIC_RELAXED);
}
