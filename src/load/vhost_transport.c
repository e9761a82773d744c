// SPDX-License-Identifier: Apache-2.0
/*
 * vhost_transport.c - the load as a virtual machine's driver.
 *
 * A slot of the front is a request of the load. A back-end that keeps an
 * in-flight region answers what the one before it left; for one without, the
 * rings start afresh, since only requests that end in order could be told from
 * those that are lost.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "error.h"
#include "front.h"
#include "transport.h"

#define SECTOR_BYTES 512u
#define QUEUE_SIZE_MIN 16u
#define REAP_MAX 64u
/* While polling, how often the connection is looked at. */
#define IDLE_LOOKS 4096u
#define NS_PER_SECOND UINT64_C(1000000000)
#define BIT(number) (UINT64_C(1) << (number))

struct vhost_transport {
	struct transport base; /* first: a transport is cast to this */
	struct front *front;
	unsigned int slots_each;
	struct load_io **ios; /* by queue and slot; NULL: not under way */
	unsigned int looks;
	bool connected_before;
};

static struct vhost_transport *vhost_of(struct transport *transport)
{
	return (struct vhost_transport *)transport;
}

static struct load_io **slot_io(struct vhost_transport *vhost,
				unsigned int queue, unsigned int slot)
{
	return &vhost->ios[(size_t)queue * vhost->slots_each + slot];
}

static void look_at_server(struct vhost_transport *vhost)
{
	const struct front *front = vhost->front;
	uint64_t features = front->features;
	bool writable = !(features & BIT(VIRTIO_BLK_F_RO));
	struct transport *base = &vhost->base;
	struct ucred peer;
	socklen_t peer_bytes = sizeof(peer);

	base->size_bytes = front->config.capacity * SECTOR_BYTES;
	base->offers[LOAD_READ] = true;
	base->offers[LOAD_WRITE] = writable;
	base->offers[LOAD_FLUSH] = features & BIT(VIRTIO_BLK_F_FLUSH);
	base->offers[LOAD_DISCARD] =
		writable && (features & BIT(VIRTIO_BLK_F_DISCARD));
	base->offers[LOAD_WRITE_ZEROES] =
		writable && (features & BIT(VIRTIO_BLK_F_WRITE_ZEROES));
	base->server = getsockopt(front->socket, SOL_SOCKET, SO_PEERCRED, &peer,
				  &peer_bytes) == 0
			       ? peer.pid
			       : 0;
}

static void submit(struct transport *transport, struct load_io *io)
{
	static const uint32_t types[LOAD_KINDS] = {
		[LOAD_READ] = VIRTIO_BLK_T_IN,
		[LOAD_WRITE] = VIRTIO_BLK_T_OUT,
		[LOAD_FLUSH] = VIRTIO_BLK_T_FLUSH,
		[LOAD_DISCARD] = VIRTIO_BLK_T_DISCARD,
		[LOAD_WRITE_ZEROES] = VIRTIO_BLK_T_WRITE_ZEROES,
	};
	struct vhost_transport *vhost = vhost_of(transport);
	struct iovec segment = {.iov_base = io->data, .iov_len = io->bytes};
	struct front_request request = {
		.type = types[io->kind],
		.sector = io->offset / SECTOR_BYTES,
		.segments = &segment,
		.segment_count = 1,
	};
	struct front_slot *slot = NULL;

	if (io->kind == LOAD_FLUSH) {
		request.sector = 0;
		request.segment_count = 0;
	} else if (io->kind == LOAD_DISCARD || io->kind == LOAD_WRITE_ZEROES) {
		struct virtio_blk_discard_write_zeroes range = {
			.sector = request.sector,
			.num_sectors = io->bytes / SECTOR_BYTES,
		};

		memcpy(io->data, &range, sizeof(range));
		segment.iov_len = sizeof(range);
		request.sector = 0;
	}
	/* The queue is as large as the depth, so there is a slot. */
	if (front_submit(vhost->front, io->queue, &request, &slot) < 0)
		abort();
	io->under_way = true;
	*slot_io(vhost, io->queue, slot->number) = io;
}

static void kick(struct transport *transport, unsigned int queue)
{
	front_kick(&vhost_of(transport)->front->queues[queue]);
}

/* Everything that was under way goes into rings that start afresh. */
static void submit_again(struct vhost_transport *vhost)
{
	unsigned int queue_count = vhost->base.options.queue_count;

	for (unsigned int i = 0; i < queue_count; i++) {
		struct load_io *left[TRANSPORT_DEPTH_MAX];
		unsigned int count = 0;

		for (unsigned int j = 0; j < vhost->slots_each; j++) {
			struct load_io **io = slot_io(vhost, i, j);

			if (*io)
				left[count++] = *io;
			*io = NULL;
		}
		for (unsigned int j = 0; j < count; j++)
			submit(&vhost->base, left[j]);
		kick(&vhost->base, i);
	}
}

static int refuse(const struct vhost_transport *vhost, int code,
		  struct error *error)
{
	const char *path = vhost->base.options.address;

	switch (-code) {
	case ENOENT:
	case ECONNREFUSED:
		return error_set(error, -ECONNREFUSED,
				 "%s: nobody listens there: %s", path,
				 strerror(-code));
	case EOPNOTSUPP:
		return error_set(error, code, "%s: has no packed virtqueues",
				 path);
	case EPROTOTYPE:
	case EPROTO:
		return error_set(error, -EPROTO,
				 "%s: whoever listens there doesn't speak "
				 "vhost-user",
				 path);
	case EPIPE:
	case ECONNRESET:
		return error_set(error, -ECONNREFUSED,
				 "%s: hung up before it could be used", path);
	case ENODEV:
		return error_set(error, code,
				 "%s: is a vhost-user device, but no "
				 "vhost-user-blk one",
				 path);
	case ETIMEDOUT:
		return error_set(error, code,
				 "%s: no answer; is it no vhost-user device, "
				 "or does it serve somebody else?",
				 path);
	case ENAMETOOLONG:
		return error_set(error, -EINVAL,
				 "%s: too long for a socket's path", path);
	case ENOSPC:
		return error_set(error, -EINVAL,
				 "%s: has fewer than %u queues; ask for fewer "
				 "with --queues",
				 path, vhost->base.options.queue_count);
	}
	return error_set(error, code, "%s: vhost-user: %s", path,
			 strerror(-code));
}

static int connect_front(struct transport *transport, struct error *error)
{
	struct vhost_transport *vhost = vhost_of(transport);
	struct front *front = vhost->front;
	bool fresh = false;
	int result;

	front_disconnect(front);
	result = front_dial(front);
	if (result == 0)
		result = front_negotiate(front);
	if (result == 0 && vhost->connected_before) {
		fresh = !(front->protocol_features &
			  BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD));
		if (fresh)
			front_reset(front);
	}
	if (result == 0)
		result = front_start(front);
	if (result < 0) {
		front_disconnect(front);
		return refuse(vhost, result, error);
	}
	vhost->connected_before = true;
	look_at_server(vhost);
	if (fresh)
		submit_again(vhost);
	if (transport->options.polls)
		for (unsigned int i = 0; i < transport->options.queue_count;
		     i++)
			front_disarm(&front->queues[i]);
	return 0;
}

static int status_error(uint8_t status)
{
	switch (status) {
	case VIRTIO_BLK_S_OK:
		return 0;
	case VIRTIO_BLK_S_UNSUPP:
		return -EOPNOTSUPP;
	}
	return -EIO;
}

static unsigned int reap(struct transport *transport, unsigned int queue,
			 struct load_io **ret_ios, unsigned int count)
{
	struct vhost_transport *vhost = vhost_of(transport);
	struct front_completion completions[REAP_MAX];
	unsigned int done = 0;
	unsigned int found =
		front_reap(&vhost->front->queues[queue], completions,
			   count < REAP_MAX ? count : REAP_MAX);

	for (unsigned int i = 0; i < found; i++) {
		const struct front_slot *slot = completions[i].slot;
		struct load_io **io;

		if (!slot)
			continue; /* the back-end made it up */
		io = slot_io(vhost, queue, slot->number);
		if (!*io)
			continue; /* answered twice */
		(*io)->error = status_error(completions[i].status);
		(*io)->under_way = false;
		ret_ios[done++] = *io;
		*io = NULL;
	}
	return done;
}

static int sleep_for_interrupt(struct vhost_transport *vhost,
			       uint64_t timeout_ns)
{
	unsigned int count = vhost->base.options.queue_count;
	const struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / NS_PER_SECOND),
		.tv_nsec = (long)(timeout_ns % NS_PER_SECOND),
	};
	struct pollfd fds[FRONT_QUEUES_MAX + 1];
	bool ready = false;

	for (unsigned int i = 0; i < count; i++) {
		fds[i].fd = vhost->front->queues[i].call_fd;
		fds[i].events = POLLIN;
		ready |= front_arm(&vhost->front->queues[i]);
	}
	if (ready)
		return 0;
	fds[count].fd = vhost->front->socket;
	fds[count].events = POLLIN;
	if (ppoll(fds, count + 1, &timeout, NULL) < 0)
		return errno == EINTR ? 0 : -errno;
	for (unsigned int i = 0; i < count; i++) {
		eventfd_t events;

		if (fds[i].revents & POLLIN)
			(void)eventfd_read(fds[i].fd, &events);
	}
	return fds[count].revents ? -EPIPE : 0;
}

static int idle(struct transport *transport, uint64_t timeout_ns)
{
	struct vhost_transport *vhost = vhost_of(transport);

	if (!transport->options.polls)
		return sleep_for_interrupt(vhost, timeout_ns);
	if (++vhost->looks < IDLE_LOOKS)
		return 0;
	vhost->looks = 0;
	return front_connected(vhost->front) ? 0 : -EPIPE;
}

static void destroy(struct transport *transport)
{
	struct vhost_transport *vhost = vhost_of(transport);
	bool under_way = false;

	for (size_t i = 0;
	     vhost->ios &&
	     i < (size_t)vhost->slots_each * transport->options.queue_count;
	     i++)
		under_way |= vhost->ios[i] != NULL;
	/* As a VM that shuts down; one that dies just hangs up. */
	if (vhost->front && front_connected(vhost->front) && !under_way)
		(void)front_stop(vhost->front);
	front_destroy(vhost->front);
	free(vhost->ios);
	free(vhost);
}

int vhost_transport_create(const struct transport_options *options,
			   struct transport **ret_transport)
{
	static const struct transport_ops ops = {
		.connect = connect_front,
		.submit = submit,
		.kick = kick,
		.reap = reap,
		.idle = idle,
		.destroy = destroy,
	};
	struct front_options front_options = {
		.socket_path = options->address,
		.queue_count = options->queue_count,
		.queue_size = QUEUE_SIZE_MIN,
		.data_bytes = options->data_bytes,
		.discards = true,
		.packed = options->packed,
	};
	struct vhost_transport *vhost = calloc(1, sizeof(*vhost));
	int result;

	if (!vhost)
		return -ENOMEM;
	vhost->base = (struct transport){.ops = &ops, .options = *options};
	while (front_options.queue_size < options->depth)
		front_options.queue_size *= 2;
	vhost->slots_each = front_options.queue_size;
	vhost->ios = calloc((size_t)vhost->slots_each * options->queue_count,
			    sizeof(struct load_io *));
	result = vhost->ios ? front_create(&front_options, &vhost->front)
			    : -ENOMEM;
	if (result < 0) {
		destroy(&vhost->base);
		return result;
	}
	vhost->base.data = front_data(vhost->front);
	*ret_transport = &vhost->base;
	return 0;
}
