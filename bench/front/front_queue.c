// SPDX-License-Identifier: Apache-2.0
/*
 * front_queue.c - the driver's side of a split virtqueue.
 *
 * A slot owns its descriptors for good, so a request only fills them in. The
 * slot's number is found back from the head that the device returns.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "front.h"

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

int front_submit(struct front *front, unsigned int queue_index,
		 const struct front_request *request,
		 struct front_slot **ret_slot)
{
	struct front_queue *queue = &front->queues[queue_index];
	struct front_slot *slot = front_next_slot(queue);
	struct vring_desc *own;

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
	own = &queue->descriptors[slot->descriptor];
	if (uses_indirect(front)) {
		unsigned int count =
			chain_fill(front, slot, request, slot->table, 0);

		*own = (struct vring_desc){
			.addr = front_guest_address(front, slot->table),
			.len = (uint32_t)(count * sizeof(struct vring_desc)),
			.flags = VRING_DESC_F_INDIRECT,
		};
	} else {
		chain_fill(front, slot, request, own, slot->descriptor);
	}
	front_offer(queue, slot->descriptor);
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

void front_kick(struct front_queue *queue)
{
	uint16_t old = queue->available_published;
	uint16_t new = queue->available_next;

	if (old == new)
		return;
	__atomic_store_n(&queue->available->idx, new, __ATOMIC_RELEASE);
	queue->available_published = new;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!wants_kick(queue, new, old))
		return;
	queue->kicks++;
	eventfd_write(queue->kick_fd, 1);
}

static struct front_slot *slot_of(struct front_queue *queue, uint32_t head)
{
	unsigned int each = queue->slot_count == queue->size ? 1 : 3;

	if (head % each != 0 || head / each >= queue->slot_count)
		return NULL;
	return &queue->slots[head / each];
}

unsigned int front_reap(struct front_queue *queue,
			struct front_completion *ret_completions,
			unsigned int count)
{
	uint16_t used = __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE);
	unsigned int done = 0;

	while (done < count && queue->used_next != used) {
		const struct vring_used_elem *element =
			&queue->used
				 ->ring[queue->used_next & (queue->size - 1)];
		struct front_completion *completion = &ret_completions[done++];

		completion->head = (uint16_t)element->id;
		completion->written = element->len;
		completion->slot = slot_of(queue, element->id);
		completion->status = 0xff;
		if (completion->slot && completion->slot->busy) {
			completion->status = *completion->slot->status;
			slot_give_back(queue, completion->slot);
		}
		queue->used_next++;
	}
	return done;
}

bool front_arm(struct front_queue *queue)
{
	if (queue->event_index)
		__atomic_store_n(&queue->available->ring[queue->size],
				 queue->used_next, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&queue->available->flags, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE) !=
	       queue->used_next;
}

void front_disarm(struct front_queue *queue)
{
	/*
	 * Half of the indexes' range away from both ends: the device may still
	 * be between its last used index and its look at this word.
	 */
	if (queue->event_index)
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
