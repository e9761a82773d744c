// SPDX-License-Identifier: Apache-2.0
/*
 * vhost_connection.c - receives, handles and answers messages.
 *
 *   HEADER -> PAYLOAD -> HOLD -> (handle) [-> HAND_OVER] -> ANSWER -> HEADER
 * ... any of them -> CLOSING -> freed
 *
 * Runs on the disk's loop. At most one operation on the socket is under way.
 * In HOLD, requests in flight end before a message takes away what they stand
 * on; the same goes for CLOSING. Both look again whenever connection_advance()
 * is called, so it does no harm to call it too often.
 *
 * They wait for stop_deadline_ns at most, where it is the end of the device's
 * work: then what hasn't ended is given up (vhost_wreck.h). A migration waits
 * for as long as it takes: its guest goes on elsewhere, with every request.
 */
#include "vhost_connection.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "passed_fds.h"
#include "vhost_wreck.h"

enum phase {
	PHASE_HEADER,
	PHASE_PAYLOAD,
	PHASE_HOLD,
	PHASE_HAND_OVER,
	PHASE_ANSWER,
	PHASE_CLOSING
};

struct vhost_connection {
	struct loop *loop;
	struct vhost_device *device;
	const char *name;
	int fd;
	enum phase phase;
	bool busy; /* an operation on the socket is under way */
	bool overdue; /* the deadline has passed, and it waits on */
	bool migrating; /* as was told */
	bool aborting; /* likewise */
	uint64_t stop_deadline_ns;
	struct loop_timer deadline;
	size_t received; /* of the header or the payload */
	struct vhost_message message;
	struct loop_io io;
	struct loop_deferred advance;
	struct msghdr header;
	struct iovec iov[2];
	_Alignas(struct cmsghdr)
		uint8_t control[PASSED_FDS_BYTES(VHOST_MESSAGE_FDS_MAX)];
	const struct vhost_connection_events *events;
};

int vhost_message_take_fd(struct vhost_message *message, unsigned int index)
{
	int fd;

	if (index >= message->fd_count)
		return -1;
	fd = message->fds[index];
	message->fds[index] = -1;
	return fd;
}

void vhost_message_close_fds(struct vhost_message *message)
{
	for (unsigned int i = 0; i < message->fd_count; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	message->fd_count = 0;
}

static void connection_fail(struct vhost_connection *connection,
			    const char *reason)
{
	log_error("disk %s: vhost-user: %s; the connection is closed",
		  connection->name, reason);
	connection->phase = PHASE_CLOSING;
}

static void receive(struct vhost_connection *connection)
{
	struct vhost_message *message = &connection->message;
	bool payload = connection->phase == PHASE_PAYLOAD;
	uint8_t *target = payload ? (uint8_t *)&message->payload
				  : (uint8_t *)&message->header;
	size_t bytes =
		payload ? message->header.bytes : sizeof(message->header);

	connection->iov[0].iov_base = target + connection->received;
	connection->iov[0].iov_len = bytes - connection->received;
	connection->header = (struct msghdr){
		.msg_iov = connection->iov,
		.msg_iovlen = 1,
		.msg_control = connection->control,
		.msg_controllen = sizeof(connection->control),
	};
	connection->busy = true;
	loop_recvmsg(connection->loop, &connection->io, connection->fd,
		     &connection->header, MSG_CMSG_CLOEXEC);
}

static void answer(struct vhost_connection *connection)
{
	struct vhost_message *message = &connection->message;
	struct msghdr *header = &connection->header;

	connection->phase = PHASE_ANSWER;
	message->header.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
	connection->iov[0].iov_base = &message->header;
	connection->iov[0].iov_len = sizeof(message->header);
	connection->iov[1].iov_base = &message->payload;
	connection->iov[1].iov_len = message->header.bytes;
	*header = (struct msghdr){
		.msg_iov = connection->iov,
		.msg_iovlen = 2,
	};
	passed_fds_put(header, connection->control, message->fds,
		       message->fd_count);
	connection->busy = true;
	loop_sendmsg(connection->loop, &connection->io, connection->fd, header,
		     MSG_NOSIGNAL | MSG_WAITALL);
}

static void next_message(struct vhost_connection *connection)
{
	vhost_message_close_fds(&connection->message);
	connection->phase = PHASE_HEADER;
	connection->received = 0;
	/* What a short payload leaves out reads as zeros. */
	memset(&connection->message.payload, 0,
	       sizeof(connection->message.payload));
	receive(connection);
}

static void tell_migrating(struct vhost_connection *connection, bool migrating)
{
	if (migrating == connection->migrating)
		return;
	connection->migrating = migrating;
	connection->events->migrating(connection->events->owner, migrating);
}

static void tell_aborting(struct vhost_connection *connection, bool aborting)
{
	if (aborting == connection->aborting)
		return;
	connection->aborting = aborting;
	connection->events->aborting(connection->events->owner, aborting);
}

static void handle(struct vhost_connection *connection)
{
	bool wants_answer;

	loop_timer_cancel(connection->loop, &connection->deadline);
	connection->overdue = false;
	if (vhost_device_handle(connection->device, &connection->message,
				&wants_answer) < 0) {
		connection_fail(connection, "a message was refused");
		return;
	}
	tell_migrating(connection, vhost_device_migrates(connection->device));
	if (vhost_device_hands_over(connection->device, &connection->message)) {
		connection->phase = PHASE_HAND_OVER;
		connection->events->hand_over(connection->events->owner);
	} else if (wants_answer)
		answer(connection);
	else
		next_message(connection);
}

void vhost_connection_handed_over(struct vhost_connection *connection)
{
	if (connection->phase == PHASE_HAND_OVER)
		answer(connection);
}

static void connection_free(struct vhost_connection *connection)
{
	const struct vhost_connection_events *events = connection->events;

	tell_aborting(connection, false);
	tell_migrating(connection, false);
	loop_defer_cancel(connection->loop, &connection->advance);
	loop_timer_cancel(connection->loop, &connection->deadline);
	vhost_message_close_fds(&connection->message);
	vhost_device_destroy(connection->device);
	close(connection->fd);
	free(connection);
	events->closed(events->owner);
}

static void deadline_start(struct vhost_connection *connection)
{
	if (!connection->deadline.armed)
		loop_timer_arm(connection->loop, &connection->deadline,
			       connection->stop_deadline_ns);
}

static void wait_to_stop(struct vhost_connection *connection)
{
	deadline_start(connection);
	if (vhost_device_in_flight(connection->device) > 0)
		tell_aborting(connection, true);
}

static void connection_lose(struct vhost_connection *connection)
{
	if (connection->phase == PHASE_CLOSING)
		return;
	connection_fail(connection, "the VMM took the VM's memory away");
	if (connection->busy)
		loop_cancel(connection->loop, &connection->io);
}

static void connection_advance(struct loop_deferred *deferred)
{
	struct vhost_connection *connection = deferred->owner;

	if (vhost_device_memory_lost(connection->device))
		connection_lose(connection);
	if (connection->phase == PHASE_HOLD) {
		if (vhost_device_prepared(connection->device,
					  &connection->message))
			handle(connection);
		else if (vhost_device_stops(&connection->message))
			wait_to_stop(connection);
	}
	if (connection->aborting &&
	    vhost_device_in_flight(connection->device) == 0)
		tell_aborting(connection, false);
	if (connection->phase == PHASE_CLOSING) {
		vhost_device_release(connection->device);
		if (!vhost_device_released(connection->device)) {
			deadline_start(connection);
		} else if (!connection->busy) {
			connection_free(connection);
			return;
		}
	}
	connection->events->progressed(connection->events->owner);
}

/* Nothing is received meanwhile, so a VMM that has gone is looked for. */
static void migration_waits(struct vhost_connection *connection)
{
	if (!vhost_connection_alive(connection)) {
		connection->phase = PHASE_CLOSING;
		loop_defer(connection->loop, &connection->advance);
		return;
	}
	if (!connection->overdue)
		log_warning("disk %s: %u requests don't end, so the VM's "
			    "migration has to wait",
			    connection->name,
			    vhost_device_in_flight(connection->device));
	connection->overdue = true;
	deadline_start(connection);
}

static void deadline_passed(struct loop_timer *timer)
{
	struct vhost_connection *connection = timer->owner;
	bool answer = connection->phase == PHASE_HOLD;
	unsigned int count = vhost_device_in_flight(connection->device);
	int result;

	if (answer && vhost_device_migrates(connection->device)) {
		migration_waits(connection);
		return;
	}
	result = vhost_wreck_leave(connection->device, answer);
	if (result < 0 && answer)
		connection_fail(connection, "requests can't be given up");
	else if (result < 0)
		log_error("disk %s: requests can't be given up: %s",
			  connection->name, strerror(-result));
	else
		log_error("disk %s: gave up %u requests that didn't end in "
			  "time; %d of them are still under way, what "
			  "overlaps them waits",
			  connection->name, count, result);
	loop_defer(connection->loop, &connection->advance);
}

/* Never directly: the caller may be deep inside what would be freed. */
static void advance_later(void *owner)
{
	struct vhost_connection *connection = owner;

	loop_defer(connection->loop, &connection->advance);
}

static void wanted(void *owner)
{
	struct vhost_connection *connection = owner;

	connection->events->wanted(connection->events->owner);
}

/* Moves received descriptors into the message. Returns: false if too many. */
static bool take_descriptors(struct vhost_connection *connection)
{
	struct vhost_message *message = &connection->message;
	unsigned int room = VHOST_MESSAGE_FDS_MAX - message->fd_count;
	unsigned int count = passed_fds_take(
		&connection->header, &message->fds[message->fd_count], room);

	message->fd_count += count < room ? count : room;
	return count <= room && !(connection->header.msg_flags & MSG_CTRUNC);
}

static void header_received(struct vhost_connection *connection)
{
	const struct vhost_user_header *header = &connection->message.header;

	if ((header->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
	    header->bytes > sizeof(connection->message.payload)) {
		connection_fail(connection, "what it sent isn't vhost-user");
		return;
	}
	connection->phase = PHASE_PAYLOAD;
	connection->received = 0;
}

static void received(struct vhost_connection *connection, size_t bytes)
{
	const struct vhost_user_header *header = &connection->message.header;

	if (!take_descriptors(connection)) {
		connection_fail(connection, "it sent too many descriptors");
		return;
	}
	connection->received += bytes;
	if (connection->phase == PHASE_HEADER &&
	    connection->received == sizeof(*header))
		header_received(connection);
	if (connection->phase == PHASE_CLOSING)
		return;
	if (connection->phase == PHASE_HEADER ||
	    connection->received < header->bytes) {
		receive(connection);
		return;
	}
	connection->phase = PHASE_HOLD;
	vhost_device_prepare(connection->device, &connection->message);
}

static void socket_done(struct loop_io *io, int result)
{
	struct vhost_connection *connection = io->owner;

	connection->busy = false;
	if (connection->phase == PHASE_ANSWER) {
		size_t bytes =
			connection->iov[0].iov_len + connection->iov[1].iov_len;

		if (result >= 0 && (size_t)result == bytes)
			next_message(connection);
		else
			connection->phase = PHASE_CLOSING;
	} else if (connection->phase != PHASE_CLOSING) {
		if (result > 0)
			received(connection, (size_t)result);
		else
			connection->phase = PHASE_CLOSING;
	} else if (result > 0) {
		/* Cancelled too late: it may have brought descriptors. */
		take_descriptors(connection);
	}
	connection_advance(&connection->advance);
}

void vhost_connection_close(struct vhost_connection *connection)
{
	if (connection->phase == PHASE_CLOSING)
		return;
	connection->phase = PHASE_CLOSING;
	if (connection->busy)
		loop_cancel(connection->loop, &connection->io);
	advance_later(connection);
}

bool vhost_connection_alive(const struct vhost_connection *connection)
{
	struct pollfd poll_fd = {.fd = connection->fd, .events = POLLRDHUP};

	/* What it sent before it hung up may still be unread. */
	return connection->phase != PHASE_CLOSING && poll(&poll_fd, 1, 0) == 0;
}

bool vhost_connection_overdue(const struct vhost_connection *connection)
{
	return connection->overdue;
}

struct vhost_device *vhost_connection_device(
	const struct vhost_connection *connection)
{
	return connection->device;
}

int vhost_connection_create(const struct vhost_device_setup *setup, int fd,
			    const struct vhost_connection_events *events,
			    struct vhost_connection **ret_connection)
{
	struct vhost_device_setup own = *setup;
	struct vhost_connection *connection = calloc(1, sizeof(*connection));
	int result;

	if (!connection)
		return -ENOMEM;
	own.progress = advance_later;
	own.wanted = wanted;
	own.owner = connection;
	result = vhost_device_create(&own, &connection->device);
	if (result < 0) {
		free(connection);
		return result;
	}
	connection->loop = setup->loop;
	connection->name = setup->name;
	connection->fd = fd;
	connection->events = events;
	connection->io.done = socket_done;
	connection->io.owner = connection;
	connection->advance.run = connection_advance;
	connection->advance.owner = connection;
	connection->deadline.expired = deadline_passed;
	connection->deadline.owner = connection;
	connection->stop_deadline_ns = setup->stop_deadline_ns;
	next_message(connection);
	*ret_connection = connection;
	return 0;
}
