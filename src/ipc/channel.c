// SPDX-License-Identifier: Apache-2.0
/*
 * channel.c - one receive and at most one send in flight, the rest queued.
 *
 * The kernel may be using the channel's memory until both have come back, so a
 * destroyed channel only says goodbye to its peer and cancels; the last done()
 * frees it. A failed send doesn't end the channel at once: what the peer sent
 * before it died is delivered first, then the receive reports the end.
 */
#include "channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fd.h"
#include "list.h"
#include "passed_fds.h"

#define CONTROL_BYTES PASSED_FDS_BYTES(CHANNEL_FDS_MAX)

enum channel_state {
	CHANNEL_OPEN,
	CHANNEL_ENDING, /* a send failed; the receive will say so */
	CHANNEL_CLOSED, /* closed() has been called */
	CHANNEL_DESTROYED,
};

struct packet {
	struct list node;
	struct iovec iov;
	struct msghdr header;
	uint32_t fd_count;
	int fds[CHANNEL_FDS_MAX];
	_Alignas(struct cmsghdr) char control[CONTROL_BYTES];
	char bytes[];
};

struct channel {
	struct loop *loop;
	int fd;
	enum channel_state state;
	int reason;
	struct channel_handler handler;

	struct loop_io receive_io;
	bool receiving;
	struct iovec receive_iov;
	struct msghdr receive_header;
	_Alignas(struct cmsghdr) char receive_control[CONTROL_BYTES];

	struct loop_io send_io;
	struct packet *sending;
	struct list queue;
	uint32_t queued;

	char buffer[CHANNEL_BYTES_MAX];
};

static void packet_free(struct packet *packet)
{
	for (uint32_t i = 0; i < packet->fd_count; i++)
		fd_close(packet->fds[i]);
	free(packet);
}

static void drop_queue(struct channel *channel)
{
	struct list *node;

	while ((node = list_take_first(&channel->queue)))
		packet_free(list_entry(node, struct packet, node));
	channel->queued = 0;
}

static void free_if_unused(struct channel *channel)
{
	if (channel->state != CHANNEL_DESTROYED || channel->receiving ||
	    channel->sending)
		return;
	fd_close(channel->fd);
	free(channel);
}

static void start_receive(struct channel *channel)
{
	channel->receive_iov =
		(struct iovec){channel->buffer, sizeof(channel->buffer)};
	channel->receive_header = (struct msghdr){
		.msg_iov = &channel->receive_iov,
		.msg_iovlen = 1,
		.msg_control = channel->receive_control,
		.msg_controllen = sizeof(channel->receive_control),
	};
	channel->receiving = true;
	loop_recvmsg(channel->loop, &channel->receive_io, channel->fd,
		     &channel->receive_header, MSG_CMSG_CLOEXEC);
}

/* Ends the channel for its owner, who may destroy it in closed(). */
static void report_end(struct channel *channel, int reason)
{
	if (channel->state == CHANNEL_ENDING && reason == 0)
		reason = channel->reason;
	channel->state = CHANNEL_CLOSED;
	shutdown(channel->fd, SHUT_RDWR);
	drop_queue(channel);
	channel->handler.closed(channel->handler.owner, reason);
}

static void receive_done(struct loop_io *io, int result)
{
	struct channel *channel = io->owner;
	int fds[CHANNEL_FDS_MAX];
	uint32_t fd_count = 0;
	bool truncated;

	channel->receiving = false;
	if (result >= 0)
		fd_count = passed_fds_take(&channel->receive_header, fds,
					   CHANNEL_FDS_MAX);
	truncated =
		channel->receive_header.msg_flags & (MSG_TRUNC | MSG_CTRUNC);
	if (result <= 0 || truncated || channel->state == CHANNEL_DESTROYED) {
		for (uint32_t i = 0; i < fd_count; i++)
			fd_close(fds[i]);
		if (channel->state == CHANNEL_DESTROYED)
			free_if_unused(channel);
		else
			report_end(channel, result > 0 ? -EMSGSIZE : result);
		return;
	}
	/*
	 * The callback may destroy the channel; as long as a receive counts as
	 * running, its memory stays.
	 */
	channel->receiving = true;
	channel->handler.message(channel->handler.owner, channel->buffer,
				 (size_t)result, fds, fd_count);
	channel->receiving = false;
	if (channel->state == CHANNEL_DESTROYED)
		free_if_unused(channel);
	else
		start_receive(channel);
}

static void start_send(struct channel *channel)
{
	struct list *node = list_take_first(&channel->queue);

	if (!node)
		return;
	channel->queued--;
	channel->sending = list_entry(node, struct packet, node);
	loop_sendmsg(channel->loop, &channel->send_io, channel->fd,
		     &channel->sending->header, 0);
}

static void send_done(struct loop_io *io, int result)
{
	struct channel *channel = io->owner;

	packet_free(channel->sending);
	channel->sending = NULL;
	switch (channel->state) {
	case CHANNEL_OPEN:
		if (result >= 0) {
			start_send(channel);
			return;
		}
		channel->state = CHANNEL_ENDING;
		channel->reason = result;
		drop_queue(channel);
		/* The receive ends now, after what has arrived already. */
		shutdown(channel->fd, SHUT_RDWR);
		return;
	case CHANNEL_ENDING:
	case CHANNEL_CLOSED:
		return;
	case CHANNEL_DESTROYED:
		free_if_unused(channel);
		return;
	}
}

int channel_create(struct loop *loop, int fd,
		   const struct channel_handler *handler,
		   struct channel **ret_channel)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return -ENOMEM;
	channel->loop = loop;
	channel->fd = fd;
	channel->handler = *handler;
	channel->receive_io.done = receive_done;
	channel->receive_io.owner = channel;
	channel->send_io.done = send_done;
	channel->send_io.owner = channel;
	list_init(&channel->queue);
	start_receive(channel);
	*ret_channel = channel;
	return 0;
}

void channel_destroy(struct channel *channel)
{
	if (!channel)
		return;
	assert(channel->state != CHANNEL_DESTROYED);
	channel->state = CHANNEL_DESTROYED;
	drop_queue(channel);
	/* Tells the peer at once, though the descriptor closes a turn later. */
	shutdown(channel->fd, SHUT_RDWR);
	if (channel->receiving)
		loop_cancel(channel->loop, &channel->receive_io);
	if (channel->sending)
		loop_cancel(channel->loop, &channel->send_io);
	free_if_unused(channel);
}

/* Returns: 0, or -errno with none of the copies left open. */
static int packet_take_copies(struct packet *packet, const int *fds,
			      uint32_t fd_count)
{
	for (uint32_t i = 0; i < fd_count; i++) {
		int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (copy < 0)
			return -errno;
		packet->fds[packet->fd_count++] = copy;
	}
	return 0;
}

static void packet_fill_header(struct packet *packet, size_t count)
{
	packet->iov = (struct iovec){packet->bytes, count};
	packet->header =
		(struct msghdr){.msg_iov = &packet->iov, .msg_iovlen = 1};
	passed_fds_put(&packet->header, packet->control, packet->fds,
		       packet->fd_count);
}

int channel_send(struct channel *channel, const void *bytes, size_t count,
		 const int *fds, uint32_t fd_count)
{
	struct packet *packet;
	int status;

	/* A packet without bytes would look like the end of the stream. */
	if (count == 0 || count > CHANNEL_BYTES_MAX ||
	    fd_count > CHANNEL_FDS_MAX)
		return -EMSGSIZE;
	if (channel->state != CHANNEL_OPEN)
		return -ENOTCONN;
	if (channel->queued == CHANNEL_QUEUE_MAX)
		return -ENOBUFS;
	packet = calloc(1, sizeof(*packet) + count);
	if (!packet)
		return -ENOMEM;
	status = packet_take_copies(packet, fds, fd_count);
	if (status < 0) {
		packet_free(packet);
		return status;
	}
	memcpy(packet->bytes, bytes, count);
	packet_fill_header(packet, count);
	list_append(&channel->queue, &packet->node);
	channel->queued++;
	if (!channel->sending)
		start_send(channel);
	return 0;
}

int channel_peer(const struct channel *channel, uid_t *ret_uid, pid_t *ret_pid)
{
	struct ucred credentials;
	socklen_t bytes = sizeof(credentials);

	if (getsockopt(channel->fd, SOL_SOCKET, SO_PEERCRED, &credentials,
		       &bytes) < 0)
		return -errno;
	*ret_uid = credentials.uid;
	*ret_pid = credentials.pid;
	return 0;
}
