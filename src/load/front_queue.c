// SPDX-License-Identifier: Apache-2.0
/*
 * front_queue.c - the driver's side of a virtqueue; what is special to packed
 * ones is in front_packed.c.
 *
 * A slot owns its descriptors for good, so a request only fills them in. The
 * slot's number is found back from the head that the device returns.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "front.h"
#include "front_packed.h"

/* Of one request without an indirect table. */
#define DIRECT_DESCRIPTORS 3u

static bool uses_indirect(const struct front *front)
{
	return !front->options.no_indirect;
}

struct front_slot *front_next_slot(const struct front_queue *queue)
{
	if (queue->free_count == 0)
		return NULL;
	return &queue->slots[queue->free[queue->free_count - 1]];
}

static void slot_give_back(struct front_queue *queue, struct front_slot *slot)
{
	slot->busy = false;
	queue->free[queue->free_count++] = slot->number;
}

/* Fills a chain of descriptors that follow each other in @table. */
static unsigned int chain_fill(const struct front *front,
			       const struct front_slot *slot,
			       const struct front_request *request,
			       struct vring_desc *table, uint16_t first)
{
	bool device_reads = request->type == VIRTIO_BLK_T_OUT ||
			    request->type == VIRTIO_BLK_T_DISCARD ||
			    request->type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint16_t data_flags = device_reads ? 0 : VRING_DESC_F_WRITE;
	unsigned int count = 0;

	table[count++] = (struct vring_desc){
		.addr = front_guest_address(front, slot->header),
		.len = sizeof(*slot->header),
	};
	for (unsigned int i = 0; i < request->segment_count; i++)
		table[count++] = (struct vring_desc){
			.addr = front_guest_address(
				front, request->segments[i].iov_base),
			.len = (uint32_t)request->segments[i].iov_len,
			.flags = data_flags,
		};
	table[count++] = (struct vring_desc){
		.addr = front_guest_address(front, slot->status),
		.len = 1,
		.flags = VRING_DESC_F_WRITE,
	};
	for (unsigned int i = 0; i + 1 < count; i++) {
		table[i].flags |= VRING_DESC_F_NEXT;
		table[i].next = (uint16_t)(first + i + 1);
	}
	return count;
}

static struct vring_desc indirect_descriptor(const struct front *front,
					     const struct front_slot *slot,
					     unsigned int count)
{
	return (struct vring_desc){
		.addr = front_guest_address(front, slot->table),
		.len = (uint32_t)(count * sizeof(struct vring_desc)),
		.flags = VRING_DESC_F_INDIRECT,
	};
}

static void submit_split(const struct front *front, struct front_queue *queue,
			 struct front_slot *slot,
			 const struct front_request *request)
{
	struct vring_desc *own = &queue->descriptors[slot->descriptor];

	if (uses_indirect(front)) {
		unsigned int count =
			chain_fill(front, slot, request, slot->table, 0);

		*own = indirect_descriptor(front, slot, count);
	} else {
		chain_fill(front, slot, request, own, slot->descriptor);
	}
	front_offer(queue, slot->descriptor);
}

/*
 * A table for it has the fields of struct vring_packed_desc: the flags are
 * where `next` is in the other one, and only WRITE is allowed.
 */
static void table_pack(struct vring_desc *table, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct vring_packed_desc packed = {
			.addr = table[i].addr,
			.len = table[i].len,
			.flags = table[i].flags & VRING_DESC_F_WRITE,
		};

		memcpy(&table[i], &packed, sizeof(packed));
	}
}

static void submit_packed(const struct front *front, struct front_queue *queue,
			  struct front_slot *slot,
			  const struct front_request *request)
{
	struct vring_desc direct[DIRECT_DESCRIPTORS];
	unsigned int count;

	if (uses_indirect(front)) {
		count = chain_fill(front, slot, request, slot->table, 0);
		table_pack(slot->table, count);
		direct[0] = indirect_descriptor(front, slot, count);
		count = 1;
	} else {
		count = chain_fill(front, slot, request, direct, 0);
	}
	slot->count = (uint16_t)count;
	front_packed_offer(queue, slot, direct, count);
}

int front_submit(struct front *front, unsigned int queue_index,
		 const struct front_request *request,
		 struct front_slot **ret_slot)
{
	struct front_queue *queue = &front->queues[queue_index];
	struct front_slot *slot = front_next_slot(queue);

	if (!slot)
		return -EAGAIN;
	queue->free_count--;
	slot->busy = true;
	assert(request->segment_count <=
	       (uses_indirect(front) ? FRONT_SEGMENTS_MAX : 1));
	slot->header->type = request->type;
	slot->header->ioprio = 0;
	slot->header->sector = request->sector;
	*slot->status = 0xff;
	if (queue->packed)
		submit_packed(front, queue, slot, request);
	else
		submit_split(front, queue, slot, request);
	*ret_slot = slot;
	return 0;
}

void front_offer(struct front_queue *queue, uint16_t head)
{
	queue->available->ring[queue->available_next & (queue->size - 1)] =
		head;
	queue->available_next++;
}

/* The device's wish stands behind the used entries, or in a flag. */
static bool wants_kick(const struct front_queue *queue, uint16_t new,
		       uint16_t old)
{
	const uint16_t *event = (const void *)&queue->used->ring[queue->size];

	if (queue->event_index)
		return vring_need_event(
			__atomic_load_n(event, __ATOMIC_RELAXED), new, old);
	return !(__atomic_load_n(&queue->used->flags, __ATOMIC_RELAXED) &
		 VRING_USED_F_NO_NOTIFY);
}

static void signal_kick(struct front_queue *queue)
{
	queue->kicks++;
	eventfd_write(queue->kick_fd, 1);
}

void front_kick(struct front_queue *queue)
{
	uint16_t old = queue->available_published;
	uint16_t new = queue->available_next;

	if (old == new)
		return;
	if (queue->packed) {
		if (front_packed_publish(queue))
			signal_kick(queue);
		return;
	}
	__atomic_store_n(&queue->available->idx, new, __ATOMIC_RELEASE);
	queue->available_published = new;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (wants_kick(queue, new, old))
		signal_kick(queue);
}

static struct front_slot *slot_of(struct front_queue *queue, uint32_t head)
{
	unsigned int each = queue->packed || queue->slot_count == queue->size
				    ? 1
				    : DIRECT_DESCRIPTORS;

	if (head % each != 0 || head / each >= queue->slot_count)
		return NULL;
	return &queue->slots[head / each];
}

static bool completion_ready(const struct front_queue *queue)
{
	if (queue->packed)
		return front_packed_ready(queue);
	return __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE) !=
	       queue->used_next;
}

static void completion_take(struct front_queue *queue,
			    struct front_completion *completion)
{
	if (queue->packed) {
		const struct front_packed_used used = front_packed_reap(queue);

		completion->head = used.id;
		completion->written = used.written;
	} else {
		const struct vring_used_elem *element =
			&queue->used
				 ->ring[queue->used_next & (queue->size - 1)];

		completion->head = (uint16_t)element->id;
		completion->written = element->len;
		queue->used_next++;
	}
	queue->reaped++;
	completion->slot = slot_of(queue, completion->head);
	completion->status = 0xff;
	if (completion->slot && completion->slot->busy) {
		completion->status = *completion->slot->status;
		slot_give_back(queue, completion->slot);
	}
}

unsigned int front_reap(struct front_queue *queue,
			struct front_completion *ret_completions,
			unsigned int count)
{
	unsigned int done = 0;

	while (done < count && completion_ready(queue))
		completion_take(queue, &ret_completions[done++]);
	return done;
}

bool front_arm(struct front_queue *queue)
{
	if (queue->packed)
		front_packed_arm(queue);
	else if (queue->event_index)
		__atomic_store_n(&queue->available->ring[queue->size],
				 queue->used_next, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&queue->available->flags, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return completion_ready(queue);
}

void front_disarm(struct front_queue *queue)
{
	/*
	 * Half of the indexes' range away from both ends: the device may still
	 * be between its last used index and its look at this word.
	 */
	if (queue->packed)
		front_packed_disarm(queue);
	else if (queue->event_index)
		__atomic_store_n(&queue->available->ring[queue->size],
				 (uint16_t)(queue->used_next + 0x8000u),
				 __ATOMIC_RELAXED);
	else
		__atomic_store_n(&queue->available->flags,
				 VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
}

int front_wait(struct front *front, unsigned int index, int timeout_ms)
{
	struct front_queue *queue = &front->queues[index];
	struct pollfd poll_fds[] = {
		{.fd = queue->call_fd, .events = POLLIN},
		{.fd = front->socket, .events = POLLIN},
	};

	while (!front_arm(queue)) {
		eventfd_t count;
		int ready = poll(poll_fds, 2, timeout_ms);

		if (ready == 0)
			return -ETIMEDOUT;
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (poll_fds[0].revents)
			eventfd_read(queue->call_fd, &count);
		else if (poll_fds[1].revents)
			return -EPIPE;
	}
	return 0;
}

int front_run(struct front *front, unsigned int index,
	      const struct front_request *request, uint32_t *ret_written)
{
	struct front_queue *queue = &front->queues[index];
	struct front_completion completion;
	struct front_slot *slot;
	int result = front_submit(front, index, request, &slot);

	if (result < 0)
		return result;
	front_kick(queue);
	do {
		result = front_wait(front, index, 10000);
		if (result < 0)
			return result;
	} while (front_reap(queue, &completion, 1) == 0 ||
		 completion.slot != slot);
	if (ret_written)
		*ret_written = completion.written;
	return completion.status;
}
