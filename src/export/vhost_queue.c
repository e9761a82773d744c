// SPDX-License-Identifier: Apache-2.0
/*
 * vhost_queue.c - a virtqueue's life, and its turns on the event loop.
 *
 * Runs on the disk's loop. In a turn, poll() takes what the guest has made
 * available; completions stage their used entries; at the end of the turn
 * publish() shows all of them at once and notifies at most once. A kick only
 * has to wake the loop: poll() finds the work in memory.
 *
 * The poll on a kick's eventfd ends some time after it is cancelled, and its
 * queue may have a new kick by then: so it is an object of its own.
 */
#include "vhost_queue.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "failpoint.h"
#include "log.h"
#include "vhost_log.h"
#include "vhost_request.h"

/* Requests taken before other work of the loop gets its turn. */
#define TAKE_MAX 64u

struct vhost_kick {
	struct loop_io io;
	struct vhost_shared *shared;
	struct vhost_queue *queue; /* NULL: it has another one now, or none */
	int fd;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void event_signal(int fd)
{
	uint64_t one = 1;

	/* It only fails when the counter is full: then it is signalled. */
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
		return;
}

static void queue_notify(struct vhost_queue *queue)
{
	queue->notify_once = queue->call_fd < 0;
	event_signal(queue->call_fd);
	queue->shared->counters->notifications++;
	failpoint(FAILPOINT_QUEUE_NOTIFIED);
}

/* Those that have something to take up are counted. */
static void queue_set_replaying(struct vhost_queue *queue, bool replaying)
{
	if (queue->replaying && !replaying)
		queue->shared->trial.owing--;
	if (!queue->replaying && replaying)
		queue->shared->trial.owing++;
	queue->replaying = replaying;
}

static void queue_break(struct vhost_queue *queue, const char *reason)
{
	if (queue->broken)
		return;
	queue->broken = true;
	queue_set_replaying(queue, false);
	queue->shared->counters->broken_queues++;
	log_error("disk %s: queue %u: %s; the queue is stopped until the "
		  "guest resets the disk",
		  queue->shared->name, queue->index, reason);
	event_signal(queue->error_fd);
	/* Somebody may wait for it to become idle. */
	loop_defer(queue->shared->loop, &queue->publish);
}

/*
 * The VMM took memory back, and what is read there are zeros; or its log, and
 * what it doesn't know of would be lost in its migration. The connection ends,
 * for all queues; it says so, once.
 */
static void queue_lose(struct vhost_queue *queue)
{
	if (queue->broken)
		return;
	queue->broken = true;
	queue_set_replaying(queue, false);
	queue->shared->counters->broken_queues++;
	queue->shared->progress(queue->shared);
	loop_defer(queue->shared->loop, &queue->publish);
}

static bool queue_active(const struct vhost_queue *queue)
{
	return queue->started && queue->enabled && !queue->paused &&
	       !queue->broken;
}

static bool shared_serves(const struct vhost_shared *shared)
{
	return shared->pipeline && !shared->parking;
}

static void queue_want_pipeline(struct vhost_queue *queue)
{
	if (queue_active(queue) && !queue->shared->pipeline)
		queue->shared->wanted(queue->shared);
}

/* Shows the guest what has been staged. */
static void queue_publish(struct vhost_queue *queue)
{
	uint16_t old = queue->ring.used_published;
	bool notify;

	inflight_prepare(&queue->inflight, &queue->ring);
	failpoint(FAILPOINT_INFLIGHT_PREPARED);
	notify = virtqueue_publish(&queue->ring);
	failpoint(FAILPOINT_USED_SHOWN);
	if (queue->shared->log.active)
		vhost_log_used(queue, old);
	inflight_publish(&queue->inflight, &queue->ring);
	failpoint(FAILPOINT_INFLIGHT_CLEARED);
	if (notify)
		queue_notify(queue);
}

static void publish_deferred(struct loop_deferred *deferred)
{
	struct vhost_queue *queue = deferred->owner;

	queue_publish(queue);
	if (queue->in_flight == 0 || vhost_shared_lost(queue->shared))
		queue->shared->progress(queue->shared);
}

void vhost_queue_return(struct vhost_queue *queue, uint16_t head,
			uint32_t written)
{
	assert(queue->in_flight > 0);
	queue->in_flight--;
	queue->shared->trial.in_flight--;
	virtqueue_stage(&queue->ring, head, written);
	failpoint(FAILPOINT_USED_STAGED);
	inflight_stage(&queue->inflight, &queue->ring, head);
	failpoint(FAILPOINT_INFLIGHT_STAGED);
	vhost_trial_end(&queue->shared->trial);
	loop_defer(queue->shared->loop, &queue->publish);
}

void vhost_queue_forget(struct vhost_queue *queue)
{
	assert(queue->in_flight > 0);
	queue->in_flight--;
	queue->shared->trial.in_flight--;
	vhost_trial_end(&queue->shared->trial);
}

static bool queue_has_replays(const struct vhost_queue *queue)
{
	return queue->replay_next < queue->replay_count;
}

/* Returns: 1 if there is a request to carry out, 0, or -EPROTO. */
static int queue_look(struct vhost_queue *queue)
{
	if (!vhost_trial_lets(&queue->shared->trial, queue_has_replays(queue)))
		return 0;
	if (queue_has_replays(queue))
		return 1;
	return virtqueue_look(&queue->ring);
}

/*
 * Takes the next head, a predecessor's before new ones. *ret_condemned: it is
 * to be failed.
 */
static int queue_take(struct vhost_queue *queue, uint16_t *ret_head,
		      bool *ret_condemned)
{
	int result;

	*ret_condemned = false;
	if (queue_has_replays(queue)) {
		/* Marked already; its counter keeps its place in the order. */
		*ret_head = queue->replays[queue->replay_next++];
		*ret_condemned = vhost_trial_begin(&queue->shared->trial,
						   queue->index, *ret_head);
		queue_set_replaying(queue, queue_has_replays(queue));
		inflight_replay(&queue->inflight, &queue->ring, *ret_head);
		queue->shared->counters->replayed++;
		failpoint(FAILPOINT_QUEUE_REPLAYED);
		return 1;
	}
	result = virtqueue_take(&queue->ring, ret_head);
	if (result <= 0)
		return result;
	failpoint(FAILPOINT_QUEUE_TAKEN);
	inflight_take(&queue->inflight, &queue->ring, *ret_head);
	failpoint(FAILPOINT_INFLIGHT_SET);
	return result;
}

/* Returns: true if a request was taken. */
static bool queue_step(struct vhost_queue *queue)
{
	struct pipeline *pipeline = queue->shared->pipeline;
	struct pipeline_request *request;
	bool condemned = false;
	uint16_t head;
	int result = queue_look(queue);

	if (vhost_shared_lost(queue->shared)) {
		queue_lose(queue);
		return false;
	}
	if (result == 0)
		return false;
	if (result < 0) {
		queue_break(queue, "the available index jumps");
		return false;
	}
	request = pipeline_request_get(pipeline);
	queue->starved = !request;
	if (!request)
		return false;
	result = queue_take(queue, &head, &condemned);
	if (condemned)
		log_error("disk %s: queue %u: a request made this disk's "
			  "process crash each time it was taken up: it is "
			  "failed to the VM with an I/O error",
			  queue->shared->name, queue->index);
	if (result > 0)
		result = vhost_request_begin(queue, head, condemned, request);
	if (result < 0) {
		vhost_trial_end(&queue->shared->trial);
		pipeline_request_put(pipeline, request);
	}
	if (vhost_shared_lost(queue->shared))
		queue_lose(queue);
	else if (result < 0)
		queue_break(queue, "the guest made a malformed request");
	return result >= 0;
}

static bool queue_poll(struct loop_poller *poller)
{
	struct vhost_queue *queue = poller->owner;
	unsigned int count = 0;

	if (!shared_serves(queue->shared))
		return false;
	while (count < TAKE_MAX && (queue->replaying || queue_active(queue)) &&
	       queue_step(queue))
		count++;
	return count > 0;
}

static bool queue_arm(struct loop_poller *poller)
{
	struct vhost_queue *queue = poller->owner;
	bool work;

	if (queue->starved || !shared_serves(queue->shared) ||
	    !vhost_trial_lets(&queue->shared->trial, queue_has_replays(queue)))
		return false;
	if (queue->replaying)
		return true;
	if (!queue_active(queue))
		return false;
	work = virtqueue_arm(&queue->ring);
	if (queue->shared->log.active)
		vhost_log_event(queue);
	/* The next step ends it: perhaps nobody kicks any more. */
	return work || vhost_shared_lost(queue->shared);
}

static void queue_disarm(struct loop_poller *poller)
{
	struct vhost_queue *queue = poller->owner;

	if (!queue_active(queue))
		return;
	virtqueue_disarm(&queue->ring);
	if (queue->shared->log.active)
		vhost_log_event(queue);
}

static void kick_event(struct loop_io *io, int result)
{
	struct vhost_kick *kick = io->owner;
	struct vhost_shared *shared = kick->shared;

	if (result >= 0) {
		shared->counters->kicks++;
		return;
	}
	if (kick->queue) { /* nobody has cancelled it */
		kick->queue->kick = NULL;
		queue_break(kick->queue, "its kick can't be waited for");
	}
	close_fd(&kick->fd);
	free(kick);
	shared->kicks--;
	shared->progress(shared);
}

static int kick_start(struct vhost_queue *queue, int fd)
{
	struct vhost_kick *kick = calloc(1, sizeof(*kick));

	if (!kick)
		return -ENOMEM;
	kick->shared = queue->shared;
	kick->queue = queue;
	kick->fd = fd;
	kick->io.done = kick_event;
	kick->io.owner = kick;
	loop_poll_multishot(queue->shared->loop, &kick->io, fd, POLLIN);
	queue->shared->kicks++;
	queue->kick = kick;
	return 0;
}

static void kick_stop(struct vhost_queue *queue)
{
	if (queue->kick) {
		queue->kick->queue = NULL;
		loop_cancel(queue->shared->loop, &queue->kick->io);
	}
	queue->kick = NULL;
}

/* Finds the rings in the VM's memory. Returns: 0 or -EFAULT. */
static int rings_find(struct vhost_queue *queue)
{
	const struct guest_memory *memory = &queue->shared->memory;
	struct virtqueue *ring = &queue->ring;
	void *descriptors =
		guest_memory_user(memory, queue->descriptors_address,
				  virtqueue_descriptors_bytes(ring->size),
				  VIRTQUEUE_DESCRIPTORS_ALIGNMENT);
	void *driver = guest_memory_user(
		memory, queue->available_address,
		virtqueue_driver_bytes(ring->size, ring->packed),
		VIRTQUEUE_DRIVER_ALIGNMENT(ring->packed));
	void *device = guest_memory_user(
		memory, queue->used_address,
		virtqueue_device_bytes(ring->size, ring->packed),
		VIRTQUEUE_DEVICE_ALIGNMENT);

	if (!descriptors || !driver || !device)
		return -EFAULT;
	virtqueue_place(ring, descriptors, driver, device);
	return 0;
}

static bool feature_accepted(const struct vhost_queue *queue,
			     unsigned int number)
{
	return queue->shared->features & (UINT64_C(1) << number);
}

/* Decides by the features what kind of ring it is, and finds its parts. */
static int rings_start(struct vhost_queue *queue)
{
	struct virtqueue *ring = &queue->ring;

	ring->packed = feature_accepted(queue, VIRTIO_F_RING_PACKED);
	ring->event_index = feature_accepted(queue, VIRTIO_RING_F_EVENT_IDX);
	ring->indirect = feature_accepted(queue, VIRTIO_RING_F_INDIRECT_DESC);
	if (ring->size == 0 || !queue->user_address_set ||
	    (!ring->packed && (ring->size & (ring->size - 1)) != 0))
		return -EINVAL;
	if (queue->inflight_region && (queue->inflight_size < ring->size ||
				       queue->inflight_packed != ring->packed))
		return -EINVAL;
	if (rings_find(queue) < 0)
		return -EFAULT;
	return virtqueue_start(ring, queue->base_set ? queue->base
						     : VIRTQUEUE_BASE_FIRST);
}

/*
 * A split ring's own used index says where to go on, a packed one's in-flight
 * region. That is the VMM's base on a clean start; after a disconnect it is
 * what really has been returned.
 */
static int queue_start(struct vhost_queue *queue)
{
	struct vhost_shared *shared = queue->shared;
	struct virtqueue *ring = &queue->ring;
	int result = rings_start(queue);

	if (result < 0)
		return result;
	result = inflight_start(&queue->inflight, queue->inflight_region, ring,
				queue->replays);
	if (result < 0)
		return result;
	failpoint(FAILPOINT_INFLIGHT_RESUMED);
	queue->slots = calloc(ring->size, sizeof(*queue->slots));
	if (!queue->slots)
		return -ENOMEM;
	queue->replay_next = 0;
	queue->replay_count = (unsigned int)result;
	if (queue->replay_count > 0)
		log_info("disk %s: queue %u: replays %u requests", shared->name,
			 queue->index, queue->replay_count);
	queue_set_replaying(queue, queue->enabled && queue->replay_count > 0);
	queue->broken = false;
	queue->starved = false;
	queue->started = true;
	/* A predecessor may have died between the index and the event. */
	if (queue->inflight.resumed || ring->used_published != 0)
		queue_notify(queue);
	if (shared->log.active)
		vhost_log_ring(queue);
	loop_poller_add(shared->loop, &queue->poller);
	return 0;
}

int vhost_queue_set_kick(struct vhost_queue *queue, int fd)
{
	bool started = queue->started;
	int result;

	if (!started) {
		result = queue_start(queue);
		if (result < 0) {
			close_fd(&fd);
			return result;
		}
	}
	kick_stop(queue);
	result = kick_start(queue, fd);
	if (result < 0) {
		close_fd(&fd);
		queue_break(queue, "no memory for its kick");
	}
	queue_want_pipeline(queue);
	return result;
}

void vhost_queue_set_call(struct vhost_queue *queue, int fd)
{
	close_fd(&queue->call_fd);
	queue->call_fd = fd;
	if (queue->notify_once)
		queue_notify(queue);
}

void vhost_queue_set_error(struct vhost_queue *queue, int fd)
{
	close_fd(&queue->error_fd);
	queue->error_fd = fd;
}

void vhost_queue_enable(struct vhost_queue *queue, bool enabled)
{
	queue->enabled = enabled;
	if (enabled && queue->started && !queue->broken)
		queue_set_replaying(queue, queue_has_replays(queue));
	queue_want_pipeline(queue);
}

bool vhost_queue_idle(const struct vhost_queue *queue)
{
	return queue->in_flight == 0 && !queue->publish.queued &&
	       !(queue->replaying && shared_serves(queue->shared));
}

bool vhost_queue_owes(const struct vhost_queue *queue)
{
	return queue->started && queue->enabled && !queue->broken &&
	       queue_has_replays(queue);
}

bool vhost_queue_pause(struct vhost_queue *queue)
{
	queue->paused = true;
	return vhost_queue_idle(queue);
}

void vhost_queue_give_up(struct vhost_queue *queue)
{
	queue->paused = true;
	queue_set_replaying(queue, false);
}

void vhost_queue_find_rings(struct vhost_queue *queue)
{
	if (queue->started && rings_find(queue) < 0)
		queue_break(queue, "its rings are no longer in memory");
}

void vhost_queue_resume(struct vhost_queue *queue)
{
	queue->paused = false;
	vhost_queue_find_rings(queue);
	queue_want_pipeline(queue);
}

uint32_t vhost_queue_stop(struct vhost_queue *queue)
{
	assert(vhost_queue_idle(queue));
	queue->paused = false;
	if (!queue->started)
		return queue->base;
	loop_poller_remove(queue->shared->loop, &queue->poller);
	kick_stop(queue);
	free(queue->slots);
	queue->slots = NULL;
	queue->started = false;
	queue_set_replaying(queue, false);
	queue->replay_count = 0;
	queue->replay_next = 0;
	/* What wasn't replayed yet stays marked for the next start. */
	queue->base = virtqueue_base(&queue->ring);
	queue->base_set = true;
	return queue->base;
}

void vhost_queue_reset(struct vhost_queue *queue)
{
	vhost_queue_stop(queue);
	queue->enabled = false;
	queue->broken = false;
	queue->user_address_set = false;
	/*
	 * The next start doesn't begin there, but it may still be asked for:
	 * QEMU 7.2 sets the status to 0 whenever the VM stops, and only then
	 * sends GET_VRING_BASE.
	 */
	queue->base_set = false;
}

void vhost_queue_init(struct vhost_queue *queue, struct vhost_shared *shared,
		      unsigned int index)
{
	queue->shared = shared;
	queue->index = index;
	queue->call_fd = -1;
	queue->error_fd = -1;
	queue->poller = (struct loop_poller){
		.poll = queue_poll,
		.arm = queue_arm,
		.disarm = queue_disarm,
		.owner = queue,
	};
	queue->publish = (struct loop_deferred){
		.run = publish_deferred,
		.owner = queue,
	};
}

void vhost_queue_destroy(struct vhost_queue *queue)
{
	assert(!queue->started && vhost_queue_idle(queue));
	close_fd(&queue->call_fd);
	close_fd(&queue->error_fd);
}

int vhost_shared_init(struct vhost_shared *shared)
{
	shared->bounce_next = (struct loop_deferred){
		.run = vhost_request_next_bounced,
		.owner = shared,
	};
	return bounce_create(&shared->bounce, VIRTIO_BLK_LENGTH_MAX);
}

void vhost_shared_destroy(struct vhost_shared *shared)
{
	assert(shared->kicks == 0 && !shared->bounce_first);
	bounce_destroy(&shared->bounce);
	dirty_log_unmap(&shared->log);
	guest_memory_clear(&shared->memory);
}
