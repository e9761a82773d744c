// SPDX-License-Identifier: Apache-2.0
/*
 * vhost_request.c - carries out block requests.
 *
 * Runs on the disk's loop. Data go straight between the guest's memory and the
 * pipeline; only what isn't aligned to 512 goes through the bounce buffer, one
 * request at a time, in the order of arrival. A discard or zeroes of several
 * ranges are several requests of the pipeline, one after the other in the same
 * place, and one for the guest.
 */
#include "vhost_request.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "vhost_log.h"

static void slot_return(struct vhost_slot *slot, uint8_t status,
			uint32_t written)
{
	struct vhost_queue *queue = slot->queue;

	if (slot->request)
		pipeline_request_put(queue->shared->pipeline, slot->request);
	slot->request = NULL;
	slot->busy = false;
	if (slot->silent) {
		vhost_queue_forget(queue);
		return;
	}
	*slot->command.status = status;
	if (queue->shared->log.active)
		vhost_log_bytes(queue->shared, slot->command.status, 1);
	vhost_queue_return(queue, slot->head, written);
}

/*
 * Ends a request that failed. The bytes of `used.len` are counted from the
 * first writable one, so with data in front of the status none are certain.
 */
static void slot_fail(struct vhost_slot *slot, uint8_t status)
{
	bool data_first = slot->command.data_writable && slot->command.length;

	slot_return(slot, status, data_first ? 0 : 1);
}

static void bounce_release(struct vhost_slot *slot)
{
	struct vhost_shared *shared = slot->queue->shared;

	slot->bounced = false;
	bounce_give_back(&shared->bounce, slot->command.length);
	if (shared->bounce_first)
		loop_defer(shared->loop, &shared->bounce_next);
}

/*
 * A read that failed may have written some of its data; one that was bounced
 * has written none then.
 */
static void log_read(struct vhost_slot *slot, int status)
{
	if (status == 0 || !slot->bounced)
		vhost_log_iov(slot->queue->shared, slot->iov,
			      slot->command.length);
}

static void request_done(struct pipeline_request *request, int status)
{
	struct vhost_slot *slot = request->owner;
	const struct virtio_blk_command *command = &slot->command;
	bool read = request->operation == FOREBAY_READ;

	if (slot->bounced && read && status == 0)
		bounce_scatter(&slot->queue->shared->bounce, slot->iov,
			       command->iov_count);
	/* Only now is all of it in the guest's memory. */
	if (read && slot->queue->shared->log.active)
		log_read(slot, status);
	if (slot->bounced)
		bounce_release(slot);
	if (slot->queue->shared->memory.lost)
		status = -EFAULT;
	if (status == 0)
		slot_return(slot, VIRTIO_BLK_S_OK,
			    read ? (uint32_t)command->length + 1 : 1);
	else
		slot_fail(slot, status == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP
						      : VIRTIO_BLK_S_IOERR);
}

/* Order: it has the bounce buffer. */
static void submit_bounced(struct vhost_slot *slot)
{
	struct vhost_shared *shared = slot->queue->shared;
	struct pipeline_request *request = slot->request;

	if (request->operation == FOREBAY_WRITE)
		bounce_gather(&shared->bounce, slot->iov,
			      slot->command.iov_count);
	slot->bounced = true;
	if (shared->memory.lost) {
		/* Zeros would go down in the place of the guest's data. */
		request_done(request, -EFAULT);
		return;
	}
	slot->bounce_piece.iov_base = shared->bounce.buffer;
	slot->bounce_piece.iov_len = slot->command.length;
	request->iov = &slot->bounce_piece;
	request->iov_count = 1;
	shared->counters->bounced++;
	pipeline_count_copied(shared->pipeline, slot->command.length);
	pipeline_submit(shared->pipeline, request);
}

static void bounce_enqueue(struct vhost_slot *slot)
{
	struct vhost_shared *shared = slot->queue->shared;

	slot->bounce_next = NULL;
	slot->bounce_waits = true;
	if (shared->bounce_first)
		shared->bounce_last->bounce_next = slot;
	else
		shared->bounce_first = slot;
	shared->bounce_last = slot;
}

void vhost_request_next_bounced(struct loop_deferred *deferred)
{
	struct vhost_shared *shared = deferred->owner;

	while (shared->bounce_first && bounce_take(&shared->bounce)) {
		struct vhost_slot *slot = shared->bounce_first;

		shared->bounce_first = slot->bounce_next;
		slot->bounce_waits = false;
		submit_bounced(slot);
	}
}

static void begin_transfer(struct vhost_slot *slot,
			   enum forebay_operation operation)
{
	struct vhost_shared *shared = slot->queue->shared;
	const struct virtio_blk_command *command = &slot->command;
	struct pipeline_request *request = slot->request;
	bool write = operation == FOREBAY_WRITE;

	if (virtio_blk_check_transfer(command, shared->model, shared->features,
				      pipeline_size_bytes(shared->pipeline)) <
		    0 ||
	    (write && pipeline_read_only(shared->pipeline))) {
		slot_fail(slot, VIRTIO_BLK_S_IOERR);
		return;
	}
	request->operation = operation;
	request->flags = write && shared->writes_durable ? FOREBAY_FUA : 0;
	request->offset = command->sector * VIRTIO_BLK_SECTOR_BYTES;
	request->length = command->length;
	request->iov = slot->iov;
	request->iov_count = command->iov_count;
	request->done = request_done;
	request->owner = slot;
	if (!bounce_needed(slot->iov, command->iov_count))
		pipeline_submit(shared->pipeline, request);
	else if (!shared->bounce_first && bounce_take(&shared->bounce))
		submit_bounced(slot);
	else
		bounce_enqueue(slot);
}

static void begin_flush(struct vhost_slot *slot)
{
	struct pipeline_request *request = slot->request;

	request->operation = FOREBAY_FLUSH;
	request->flags = 0;
	request->offset = 0;
	request->length = 0;
	request->iov = NULL;
	request->iov_count = 0;
	request->done = request_done;
	request->owner = slot;
	pipeline_submit(slot->queue->shared->pipeline, request);
}

static void next_range(struct vhost_slot *slot);

static void range_done(struct pipeline_request *request, int status)
{
	struct vhost_slot *slot = request->owner;

	if (status < 0)
		slot_fail(slot, VIRTIO_BLK_S_IOERR);
	else
		next_range(slot);
}

/* Ends inside of itself at most VIRTIO_BLK_RANGES_MAX times. */
static void next_range(struct vhost_slot *slot)
{
	struct vhost_shared *shared = slot->queue->shared;
	struct pipeline_request *request = slot->request;
	const struct virtio_blk_range *range = &slot->ranges[slot->range_next];

	if (slot->range_next == slot->range_count) {
		slot_return(slot, VIRTIO_BLK_S_OK, 1);
		return;
	}
	slot->range_next++;
	request->flags = 0;
	if (request->operation == FOREBAY_WRITE_ZEROES) {
		request->flags |= range->unmap ? 0 : FOREBAY_NO_HOLE;
		request->flags |= shared->writes_durable ? FOREBAY_FUA : 0;
	}
	request->offset = range->offset;
	request->length = range->length;
	pipeline_submit(shared->pipeline, request);
}

static void begin_ranges(struct vhost_slot *slot,
			 enum forebay_operation operation, unsigned int feature)
{
	struct vhost_shared *shared = slot->queue->shared;
	struct virtio_blk_range ranges[VIRTIO_BLK_RANGES_MAX];
	struct pipeline_request *request = slot->request;
	int count;

	if (pipeline_read_only(shared->pipeline)) {
		slot_fail(slot, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (!(shared->features & (UINT64_C(1) << feature))) {
		slot_fail(slot, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	count = virtio_blk_parse_ranges(
		&slot->command, slot->iov, shared->model,
		pipeline_size_bytes(shared->pipeline), ranges);
	if (shared->memory.lost)
		count = -EFAULT;
	if (count < 0) {
		slot_fail(slot, count == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP
						     : VIRTIO_BLK_S_IOERR);
		return;
	}
	memcpy(slot->ranges, ranges, sizeof(ranges[0]) * (size_t)count);
	slot->range_count = (unsigned int)count;
	slot->range_next = 0;
	request->operation = operation;
	request->iov = NULL;
	request->iov_count = 0;
	request->done = range_done;
	request->owner = slot;
	next_range(slot);
}

static void get_id(struct vhost_slot *slot)
{
	struct vhost_shared *shared = slot->queue->shared;
	const char *serial = shared->serial;
	size_t left = VIRTIO_BLK_ID_BYTES;

	for (unsigned int i = 0; i < slot->command.iov_count && left > 0; i++) {
		size_t bytes = slot->iov[i].iov_len;

		if (bytes > left)
			bytes = left;
		memcpy(slot->iov[i].iov_base,
		       serial + VIRTIO_BLK_ID_BYTES - left, bytes);
		left -= bytes;
	}
	if (shared->log.active)
		vhost_log_iov(shared, slot->iov, VIRTIO_BLK_ID_BYTES - left);
	/* The status is only right behind the data if they fit exactly. */
	if (slot->command.length == VIRTIO_BLK_ID_BYTES)
		slot_return(slot, VIRTIO_BLK_S_OK, VIRTIO_BLK_ID_BYTES + 1);
	else
		slot_return(slot, VIRTIO_BLK_S_OK,
			    (uint32_t)(VIRTIO_BLK_ID_BYTES - left));
}

static void carry_out(struct vhost_slot *slot)
{
	switch (slot->command.type) {
	case VIRTIO_BLK_T_IN:
		begin_transfer(slot, FOREBAY_READ);
		break;
	case VIRTIO_BLK_T_OUT:
		begin_transfer(slot, FOREBAY_WRITE);
		break;
	case VIRTIO_BLK_T_FLUSH:
		begin_flush(slot);
		break;
	case VIRTIO_BLK_T_GET_ID:
		get_id(slot);
		break;
	case VIRTIO_BLK_T_DISCARD:
		begin_ranges(slot, FOREBAY_DISCARD, VIRTIO_BLK_F_DISCARD);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		begin_ranges(slot, FOREBAY_WRITE_ZEROES,
			     VIRTIO_BLK_F_WRITE_ZEROES);
		break;
	default: /* any number that the guest likes */
		slot_fail(slot, VIRTIO_BLK_S_UNSUPP);
		break;
	}
}

int vhost_request_begin(struct vhost_queue *queue, uint16_t head,
			bool condemned, struct pipeline_request *request)
{
	struct vhost_shared *shared = queue->shared;
	struct vhost_slot *slot = &queue->slots[head];
	int result;

	if (slot->busy || virtqueue_read_chain(&queue->ring, &shared->memory,
					       head, &shared->chain) < 0)
		return -EPROTO;
	result = virtio_blk_parse(&shared->chain, &shared->memory,
				  &slot->command, slot->iov);
	if (result == -EPROTO)
		return result;
	slot->queue = queue;
	slot->head = head;
	slot->busy = true;
	slot->silent = false;
	slot->request = request;
	queue->in_flight++;
	shared->trial.in_flight++;
	if (result < 0 || condemned || shared->memory.lost)
		slot_fail(slot, VIRTIO_BLK_S_IOERR);
	else
		carry_out(slot);
	return 0;
}

/* Takes @slot out of the middle of those that wait for the bounce buffer. */
static void bounce_dequeue(struct vhost_slot *slot)
{
	struct vhost_shared *shared = slot->queue->shared;
	struct vhost_slot **link = &shared->bounce_first;
	struct vhost_slot *before = NULL;

	while (*link != slot) {
		before = *link;
		link = &before->bounce_next;
	}
	*link = slot->bounce_next;
	if (shared->bounce_last == slot)
		shared->bounce_last = before;
	slot->bounce_waits = false;
}

bool vhost_request_abandon(struct vhost_slot *slot, bool answer)
{
	slot->silent = !answer;
	if (!slot->bounce_waits)
		return pipeline_abandon(slot->queue->shared->pipeline,
					slot->request);
	bounce_dequeue(slot);
	slot_fail(slot, VIRTIO_BLK_S_IOERR);
	return true;
}

struct pipeline_request *vhost_request_part(struct vhost_slot *slot)
{
	struct pipeline_request *request = slot->request;

	slot->request = NULL;
	slot_fail(slot, VIRTIO_BLK_S_IOERR);
	return request;
}
