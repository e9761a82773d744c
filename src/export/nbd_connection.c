/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_connection.c - the life of a client: handshake, service, end.
 *
 * Runs on the loop. However a connection ends, it is freed at one place
 * (nbd_connection_settle), when the kernel and the pipeline have given back all
 * of its memory.
 */
#include "nbd_connection.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fd.h"
#include "log.h"
#include "nbd_export.h"

/* Before a connection gives memory back, and between the parts of that. */
#define QUIET_NS UINT64_C(1000000000)
#define SHRINK_PAUSE_NS UINT64_C(5000000)

static void handshake_advance(struct nbd_connection *connection);

struct nbd_slot *nbd_connection_slot_take(struct nbd_connection *connection)
{
	struct nbd_slot *slot = connection->slots_free;

	if (!slot)
		return NULL;
	connection->slots_free = slot->next;
	slot->next = NULL;
	slot->iov = NULL;
	slot->iov_count = 0;
	return slot;
}

void nbd_connection_slot_release(struct nbd_slot *slot)
{
	struct nbd_connection *connection = slot->connection;

	nbd_buffers_give_back(&connection->buffers, slot->iov, slot->iov_count);
	slot->next = connection->slots_free;
	connection->slots_free = slot;
}

void nbd_connection_quiet(struct nbd_connection *connection)
{
	if (connection->shrinking || !nbd_buffers_swollen(&connection->buffers))
		return;
	connection->shrinking = true;
	loop_timer_arm(connection->loop, &connection->shrink, QUIET_NS);
}

static void shrink_expired(struct loop_timer *timer)
{
	struct nbd_connection *connection = timer->owner;

	connection->shrinking = nbd_buffers_shrink(&connection->buffers);
	if (connection->shrinking)
		loop_timer_arm(connection->loop, timer, SHRINK_PAUSE_NS);
}

static int slots_create(struct nbd_connection *connection)
{
	struct nbd_slot *slots = calloc(NBD_SLOTS_MAX, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	if (nbd_buffers_create(&connection->buffers) < 0) {
		free(slots);
		return -ENOMEM;
	}
	for (uint32_t i = NBD_SLOTS_MAX; i > 0; i--) {
		struct nbd_slot *slot = &slots[i - 1];

		slot->connection = connection;
		slot->index = i - 1;
		slot->next = connection->slots_free;
		connection->slots_free = slot;
	}
	connection->slots = slots;
	return 0;
}

static void connection_free(struct nbd_connection *connection)
{
	struct nbd_export *export = connection->export;

	log_debug("nbd: connection %u closed", connection->number);
	loop_timer_cancel(connection->loop, &connection->deadline);
	loop_timer_cancel(connection->loop, &connection->retry);
	loop_timer_cancel(connection->loop, &connection->shrink);
	loop_defer_cancel(connection->loop, &connection->turn);
	fd_close(connection->fd);
	if (connection->slots)
		nbd_buffers_destroy(&connection->buffers);
	free(connection->slots);
	list_remove(&connection->node);
	free(connection);
	nbd_export_connection_gone(export);
}

void nbd_connection_settle(struct nbd_connection *connection)
{
	if (!connection->closing)
		return;
	if (connection->incoming && !connection->receiving) {
		nbd_connection_slot_release(connection->incoming);
		connection->incoming = NULL;
	}
	if (connection->broken && !connection->sending)
		nbd_reply_drop(connection);
	if (connection->receiving || connection->sending ||
	    connection->in_flight > 0 || connection->queue_head)
		return;
	connection_free(connection);
}

void nbd_connection_finish(struct nbd_connection *connection)
{
	if (connection->closing)
		return;
	if (!connection->transmission) {
		nbd_connection_break(connection, NULL);
		return;
	}
	connection->closing = true;
	if (connection->receiving)
		loop_cancel(connection->loop, &connection->receive_io);
	loop_timer_arm(connection->loop, &connection->deadline,
		       connection->export->linger_timeout_ns);
	loop_defer(connection->loop, &connection->turn);
}

void nbd_connection_break(struct nbd_connection *connection,
			  const char *complaint)
{
	if (connection->broken)
		return;
	if (complaint)
		nbd_export_complain(connection->export, connection->number,
				    complaint);
	connection->closing = true;
	connection->broken = true;
	/* Ends what the kernel still does on it. */
	shutdown(connection->fd, SHUT_RDWR);
	loop_defer(connection->loop, &connection->turn);
}

/* End of a turn in which something became ready. */
static void turn_ended(struct loop_deferred *deferred)
{
	struct nbd_connection *connection = deferred->owner;

	nbd_reply_send(connection);
	nbd_connection_settle(connection);
}

static void deadline_expired(struct loop_timer *timer)
{
	struct nbd_connection *connection = timer->owner;

	if (!connection->transmission)
		nbd_connection_break(connection, "took too long to negotiate");
	else if (connection->sending)
		nbd_connection_break(connection, "doesn't take its replies");
	else
		/* The pipeline has it; that may take as long as it takes. */
		loop_timer_arm(connection->loop, timer,
			       connection->export->linger_timeout_ns);
}

void nbd_connection_resume(struct nbd_connection *connection)
{
	if (!connection->starved)
		return;
	/* What it does while it waits is to watch; that goes on when it ends.
	 */
	if (connection->receiving)
		loop_cancel(connection->loop, &connection->receive_io);
	else
		nbd_receive_advance(connection);
}

static void retry_expired(struct loop_timer *timer)
{
	nbd_connection_resume(timer->owner);
}

static void transmission_begin(struct nbd_connection *connection)
{
	if (slots_create(connection) < 0) {
		log_error("nbd: connection %u: no memory for its requests",
			  connection->number);
		nbd_connection_break(connection, NULL);
		return;
	}
	loop_timer_cancel(connection->loop, &connection->deadline);
	connection->transmission = true;
	connection->session = connection->handshake.session;
	nbd_receive_advance(connection);
}

static void handshake_received(struct loop_io *io, int result)
{
	struct nbd_connection *connection = io->owner;

	connection->receiving = false;
	if (result <= 0)
		nbd_connection_break(connection, NULL);
	else
		connection->staging_end += (size_t)result;
	if (!connection->closing)
		handshake_advance(connection);
	nbd_connection_settle(connection);
}

static void handshake_receive(struct nbd_connection *connection)
{
	size_t staged = connection->staging_end - connection->staging_start;

	memmove(connection->staging,
		connection->staging + connection->staging_start, staged);
	connection->staging_start = 0;
	connection->staging_end = staged;
	/* A whole option fits, so there is always room for more of it. */
	assert(staged < NBD_STAGING_BYTES);
	connection->receive_io.done = handshake_received;
	connection->receive_io.owner = connection;
	connection->receiving = true;
	loop_recv(connection->loop, &connection->receive_io, connection->fd,
		  connection->staging + staged, NBD_STAGING_BYTES - staged, 0);
}

static void handshake_sent(struct loop_io *io, int result);

static void handshake_send(struct nbd_connection *connection)
{
	const struct nbd_handshake *handshake = &connection->handshake;

	connection->send_io.done = handshake_sent;
	connection->send_io.owner = connection;
	connection->sending = true;
	loop_send(connection->loop, &connection->send_io, connection->fd,
		  handshake->output + connection->output_sent,
		  handshake->output_bytes - connection->output_sent,
		  MSG_NOSIGNAL);
}

/* The answer is out, or there was none: goes on as the handshake said. */
static void handshake_continue(struct nbd_connection *connection)
{
	switch (connection->step) {
	case NBD_HANDSHAKE_MORE:
		handshake_receive(connection);
		return;
	case NBD_HANDSHAKE_ANSWER:
		handshake_advance(connection);
		return;
	case NBD_HANDSHAKE_TRANSMIT:
		transmission_begin(connection);
		return;
	case NBD_HANDSHAKE_CLOSE:
		nbd_connection_break(connection,
				     connection->handshake.complaint);
		return;
	}
}

static void handshake_sent(struct loop_io *io, int result)
{
	struct nbd_connection *connection = io->owner;

	connection->sending = false;
	if (result <= 0)
		nbd_connection_break(connection, NULL);
	else
		connection->output_sent += (size_t)result;
	if (!connection->closing) {
		if (connection->output_sent <
		    connection->handshake.output_bytes)
			handshake_send(connection);
		else
			handshake_continue(connection);
	}
	nbd_connection_settle(connection);
}

static void handshake_advance(struct nbd_connection *connection)
{
	size_t used = 0;

	connection->step = nbd_handshake_feed(
		&connection->handshake,
		connection->staging + connection->staging_start,
		connection->staging_end - connection->staging_start, &used);
	connection->staging_start += used;
	connection->output_sent = 0;
	if (connection->handshake.output_bytes > 0)
		handshake_send(connection);
	else
		handshake_continue(connection);
}

int nbd_connection_create(struct nbd_export *export, int fd)
{
	struct nbd_connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		fd_close(fd);
		return -ENOMEM;
	}
	connection->export = export;
	connection->loop = export->loop;
	connection->fd = fd;
	connection->number = (uint32_t) export->counts.connections;
	connection->deadline.expired = deadline_expired;
	connection->deadline.owner = connection;
	connection->retry.expired = retry_expired;
	connection->retry.owner = connection;
	connection->shrink.expired = shrink_expired;
	connection->shrink.owner = connection;
	connection->turn.run = turn_ended;
	connection->turn.owner = connection;
	list_append(&export->connections, &connection->node);
	loop_timer_arm(connection->loop, &connection->deadline,
		       export->handshake_timeout_ns);
	/* The greeting is an answer to nothing. */
	nbd_handshake_begin(&connection->handshake, export->terms,
			    NBD_EXPORT_NAMES);
	connection->step = NBD_HANDSHAKE_ANSWER;
	handshake_send(connection);
	return 0;
}
