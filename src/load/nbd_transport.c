// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_transport.c - the load as an NBD client, a connection for each queue.
 *
 * libnbd's asynchronous commands end in ended(), called from within nbd_aio_*
 * on our own thread. A command that ends because its connection does has not
 * been answered: its request stays, and goes out again on the next connection.
 * All connections are made anew when one breaks, so that every request meets
 * the same server.
 */
#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "clock.h"
#include "error.h"
#include "transport.h"

#define CONNECT_MS 10000

struct nbd_queue {
	struct nbd_handle *handle; /* NULL: not connected */
	bool broken;
	struct load_io **under_way; /* by number */
	struct load_io **ended; /* a stack */
	unsigned int ended_count;
};

struct nbd_transport {
	struct transport base; /* first: a transport is cast to this */
	struct nbd_queue queues[TRANSPORT_QUEUES_MAX];
};

static struct nbd_transport *nbd_of(struct transport *transport)
{
	return (struct nbd_transport *)transport;
}

static void end(struct nbd_queue *queue, struct load_io *io, int code)
{
	io->error = code;
	io->under_way = false;
	queue->under_way[io->number] = NULL;
	queue->ended[queue->ended_count++] = io;
}

/* Returns: 1, so that libnbd forgets the command. */
static int ended(void *user_data, int *nbd_error)
{
	struct load_io *io = user_data;
	struct nbd_queue *queue = io->private;

	/* No server sends ENOTCONN; ESHUTDOWN says "not any more". */
	if (*nbd_error == ENOTCONN || *nbd_error == ESHUTDOWN)
		queue->broken = true;
	else
		end(queue, io, -*nbd_error);
	return 1;
}

static int64_t issue(struct nbd_handle *handle, struct load_io *io)
{
	nbd_completion_callback done = {.callback = ended, .user_data = io};

	switch (io->kind) {
	case LOAD_READ:
		return nbd_aio_pread(handle, io->data, io->bytes, io->offset,
				     done, 0);
	case LOAD_WRITE:
		return nbd_aio_pwrite(handle, io->data, io->bytes, io->offset,
				      done, 0);
	case LOAD_FLUSH:
		return nbd_aio_flush(handle, done, 0);
	case LOAD_DISCARD:
		return nbd_aio_trim(handle, io->bytes, io->offset, done, 0);
	case LOAD_WRITE_ZEROES:
		return nbd_aio_zero(handle, io->bytes, io->offset, done, 0);
	case LOAD_KINDS:
		break;
	}
	return -1;
}

static bool usable(const struct nbd_queue *queue)
{
	return queue->handle && !queue->broken &&
	       nbd_aio_is_dead(queue->handle) == 0 &&
	       nbd_aio_is_closed(queue->handle) == 0;
}

static void submit(struct transport *transport, struct load_io *io)
{
	struct nbd_queue *queue = &nbd_of(transport)->queues[io->queue];

	io->private = queue;
	io->under_way = true;
	queue->under_way[io->number] = io;
	if (!usable(queue)) {
		queue->broken = true;
		return;
	}
	if (issue(queue->handle, io) >= 0)
		return;
	if (usable(queue))
		end(queue, io, -nbd_get_errno());
	else
		queue->broken = true;
}

static void kick(struct transport *transport, unsigned int queue)
{
	/* libnbd sends at once what the socket takes. */
	(void)transport;
	(void)queue;
}

static unsigned int reap(struct transport *transport, unsigned int index,
			 struct load_io **ret_ios, unsigned int count)
{
	struct nbd_queue *queue = &nbd_of(transport)->queues[index];
	unsigned int done = 0;

	while (done < count && queue->ended_count > 0)
		ret_ios[done++] = queue->ended[--queue->ended_count];
	return done;
}

/* Callbacks of what is under way are called here, with ENOTCONN. */
static void queue_close(struct nbd_queue *queue)
{
	nbd_close(queue->handle);
	queue->handle = NULL;
	queue->broken = false;
}

static int wait_connected(struct nbd_handle *handle)
{
	uint64_t end_ns = clock_monotonic_ns() + CONNECT_MS * NS_PER_MS;

	while (nbd_aio_is_connecting(handle) == 1) {
		if (clock_monotonic_ns() > end_ns)
			return -ETIMEDOUT;
		if (nbd_poll(handle, CONNECT_MS / 10) < 0)
			return -EIO;
	}
	return nbd_aio_is_ready(handle) == 1 ? 0 : -EIO;
}

static int queue_connect(struct nbd_transport *nbd, struct nbd_queue *queue)
{
	struct nbd_handle *handle = nbd_create();

	if (!handle)
		return -ENOMEM;
	queue->handle = handle;
	/* The server judges requests, so that what it refuses is seen. */
	(void)nbd_set_strict_mode(handle, 0);
	if (nbd_aio_connect_uri(handle, nbd->base.options.address) < 0)
		return -(nbd_get_errno() ? nbd_get_errno() : EIO);
	return wait_connected(handle);
}

static void look_at_server(struct nbd_transport *nbd)
{
	struct nbd_handle *handle = nbd->queues[0].handle;
	bool writable = nbd_is_read_only(handle) == 0;
	struct transport *base = &nbd->base;
	int64_t size = nbd_get_size(handle);
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	base->size_bytes = size > 0 ? (uint64_t)size : 0;
	base->offers[LOAD_READ] = true;
	base->offers[LOAD_WRITE] = writable;
	base->offers[LOAD_FLUSH] = nbd_can_flush(handle) == 1;
	base->offers[LOAD_DISCARD] = writable && nbd_can_trim(handle) == 1;
	base->offers[LOAD_WRITE_ZEROES] = writable && nbd_can_zero(handle) == 1;
	base->server = getsockopt(nbd_aio_get_fd(handle), SOL_SOCKET,
				  SO_PEERCRED, &peer, &bytes) == 0
			       ? peer.pid
			       : 0;
}

static int refuse(const struct nbd_transport *nbd, int code,
		  struct error *error)
{
	const char *why = nbd_get_error();

	if (code == -ETIMEDOUT)
		return error_set(error, code,
				 "%s: no answer; is it no NBD server?",
				 nbd->base.options.address);
	return error_set(error,
			 code == -ENOENT || code == -EIO ? -ECONNREFUSED : code,
			 "%s: NBD: %s", nbd->base.options.address,
			 why ? why : strerror(-code));
}

static int connect_all(struct transport *transport, struct error *error)
{
	struct nbd_transport *nbd = nbd_of(transport);
	unsigned int queue_count = transport->options.queue_count;

	for (unsigned int i = 0; i < queue_count; i++)
		queue_close(&nbd->queues[i]);
	for (unsigned int i = 0; i < queue_count; i++) {
		int result = queue_connect(nbd, &nbd->queues[i]);

		if (result < 0)
			return refuse(nbd, result, error);
	}
	look_at_server(nbd);
	for (unsigned int i = 0; i < queue_count; i++)
		for (unsigned int j = 0; j < transport->options.depth; j++)
			if (nbd->queues[i].under_way[j])
				submit(transport, nbd->queues[i].under_way[j]);
	return 0;
}

static short poll_events(struct nbd_handle *handle)
{
	unsigned int direction = nbd_aio_get_direction(handle);
	short events = 0;

	if (direction & LIBNBD_AIO_DIRECTION_READ)
		events |= POLLIN;
	if (direction & LIBNBD_AIO_DIRECTION_WRITE)
		events |= POLLOUT;
	return events;
}

static void notify(struct nbd_queue *queue, short events)
{
	unsigned int direction = nbd_aio_get_direction(queue->handle);

	if ((events & (POLLIN | POLLHUP | POLLERR)) &&
	    (direction & LIBNBD_AIO_DIRECTION_READ))
		(void)nbd_aio_notify_read(queue->handle);
	else if ((events & POLLOUT) && (direction & LIBNBD_AIO_DIRECTION_WRITE))
		(void)nbd_aio_notify_write(queue->handle);
	else if (events & (POLLHUP | POLLERR | POLLNVAL))
		queue->broken = true;
}

static int idle(struct transport *transport, uint64_t timeout_ns)
{
	struct nbd_transport *nbd = nbd_of(transport);
	unsigned int count = transport->options.queue_count;
	struct pollfd fds[TRANSPORT_QUEUES_MAX];
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / NS_PER_SECOND),
		.tv_nsec = (long)(timeout_ns % NS_PER_SECOND),
	};
	int result = 0;

	if (transport->options.polls)
		timeout = (struct timespec){0};
	for (unsigned int i = 0; i < count; i++) {
		if (!usable(&nbd->queues[i]))
			return -EPIPE;
		fds[i].fd = nbd_aio_get_fd(nbd->queues[i].handle);
		fds[i].events = poll_events(nbd->queues[i].handle);
	}
	if (ppoll(fds, count, &timeout, NULL) < 0)
		return errno == EINTR ? 0 : -errno;
	for (unsigned int i = 0; i < count; i++) {
		if (fds[i].revents)
			notify(&nbd->queues[i], fds[i].revents);
		if (!usable(&nbd->queues[i]))
			result = -EPIPE;
	}
	return result;
}

static void destroy(struct transport *transport)
{
	struct nbd_transport *nbd = nbd_of(transport);

	for (unsigned int i = 0; i < transport->options.queue_count; i++) {
		struct nbd_queue *queue = &nbd->queues[i];

		if (queue->handle && usable(queue))
			(void)nbd_shutdown(queue->handle, 0);
		queue_close(queue);
		free(queue->under_way);
		free(queue->ended);
	}
	if (transport->data)
		munmap(transport->data, transport->options.data_bytes);
	free(nbd);
}

int nbd_transport_create(const struct transport_options *options,
			 struct transport **ret_transport)
{
	static const struct transport_ops ops = {
		.connect = connect_all,
		.submit = submit,
		.kick = kick,
		.reap = reap,
		.idle = idle,
		.destroy = destroy,
	};
	struct nbd_transport *nbd = calloc(1, sizeof(*nbd));
	bool failed = false;
	void *data;

	if (!nbd)
		return -ENOMEM;
	nbd->base = (struct transport){.ops = &ops, .options = *options};
	data = mmap(NULL, options->data_bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	nbd->base.data = data == MAP_FAILED ? NULL : data;
	for (unsigned int i = 0; i < options->queue_count; i++) {
		struct nbd_queue *queue = &nbd->queues[i];

		queue->under_way =
			calloc(options->depth, sizeof(struct load_io *));
		queue->ended = calloc(options->depth, sizeof(struct load_io *));
		failed |= !queue->under_way || !queue->ended;
	}
	if (failed || !nbd->base.data) {
		destroy(&nbd->base);
		return -ENOMEM;
	}
	*ret_transport = &nbd->base;
	return 0;
}
