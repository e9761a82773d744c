/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_reply.c - turns completed requests into the bytes of replies.
 *
 * Runs on the loop. Replies that became ready in one turn leave in one sendmsg,
 * in order of completion; data go out from where the pipeline has put them. A
 * client that doesn't read keeps its own slots busy and nobody else's.
 */
#include <assert.h>

#include "failpoint.h"
#include "nbd_connection.h"
#include "nbd_export.h"
#include "nbd_status.h"

static void sent(struct loop_io *io, int result);

/* All of it lies in the slot's buffer. */
static void format_status(struct nbd_slot *slot)
{
	struct nbd_connection *connection = slot->connection;

	slot->head_bytes = 0;
	slot->data_bytes =
		nbd_status_format(&slot->request, connection->session.contexts,
				  &slot->extents, slot->iov[0].iov_base);
	nbd_buffers_shorten(&connection->buffers, slot->index,
			    slot->data_bytes);
}

void nbd_reply_queue(struct nbd_slot *slot)
{
	struct nbd_connection *connection = slot->connection;
	uint16_t command = slot->request.command;

	slot->data_bytes = 0;
	if (slot->error == NBD_OK && command == NBD_COMMAND_BLOCK_STATUS) {
		format_status(slot);
	} else {
		slot->head_bytes = (uint32_t)nbd_reply_format(
			&slot->request, slot->error,
			connection->session.structured_replies, slot->head);
		if (slot->error != NBD_OK)
			connection->export->counts.errors++;
		else if (command == NBD_COMMAND_READ)
			slot->data_bytes = slot->request.length;
	}
	slot->next = NULL;
	if (connection->queue_tail)
		connection->queue_tail->next = slot;
	else
		connection->queue_head = slot;
	connection->queue_tail = slot;
	loop_defer(connection->loop, &connection->turn);
}

static struct nbd_slot *queue_take(struct nbd_connection *connection)
{
	struct nbd_slot *slot = connection->queue_head;

	connection->queue_head = slot->next;
	if (!connection->queue_head)
		connection->queue_tail = NULL;
	connection->queue_sent = 0;
	return slot;
}

void nbd_reply_drop(struct nbd_connection *connection)
{
	assert(!connection->sending);
	while (connection->queue_head)
		nbd_connection_slot_release(queue_take(connection));
}

/* Appends @bytes at @base less the first *skip. Returns: entries used. */
static uint32_t add(struct iovec *iov, const void *base, size_t bytes,
		    size_t *skip)
{
	if (*skip >= bytes) {
		*skip -= bytes;
		return 0;
	}
	iov->iov_base = (uint8_t *)base + *skip;
	iov->iov_len = bytes - *skip;
	*skip = 0;
	return 1;
}

/* Gathers as many replies as fit. Returns: entries of send_iov. */
static uint32_t gather(struct nbd_connection *connection)
{
	struct iovec *iov = connection->send_iov;
	size_t skip = connection->queue_sent;
	uint32_t count = 0;

	for (const struct nbd_slot *slot = connection->queue_head; slot;
	     slot = slot->next) {
		uint32_t entries = slot->data_bytes > 0 ? slot->iov_count : 0;

		if (count < NBD_SEND_IOV_MAX)
			count += add(&iov[count], slot->head, slot->head_bytes,
				     &skip);
		for (uint32_t i = 0; i < entries && count < NBD_SEND_IOV_MAX;
		     i++)
			count += add(&iov[count], slot->iov[i].iov_base,
				     slot->iov[i].iov_len, &skip);
		if (count == NBD_SEND_IOV_MAX)
			break;
	}
	return count;
}

void nbd_reply_send(struct nbd_connection *connection)
{
	if (connection->sending || connection->broken ||
	    !connection->queue_head)
		return;
	connection->send_message = (struct msghdr){
		.msg_iov = connection->send_iov,
		.msg_iovlen = gather(connection),
	};
	connection->send_io.done = sent;
	connection->send_io.owner = connection;
	connection->sending = true;
	failpoint(FAILPOINT_NBD_REPLY_BEGIN);
	loop_sendmsg(connection->loop, &connection->send_io, connection->fd,
		     &connection->send_message, MSG_NOSIGNAL);
}

/* Releases the slots whose replies are gone with @bytes more. */
static void account(struct nbd_connection *connection, size_t bytes)
{
	connection->queue_sent += bytes;
	while (connection->queue_head) {
		const struct nbd_slot *slot = connection->queue_head;
		size_t whole = (size_t)slot->head_bytes + slot->data_bytes;
		size_t beyond;

		if (connection->queue_sent < whole)
			return;
		beyond = connection->queue_sent - whole;
		nbd_connection_slot_release(queue_take(connection));
		connection->queue_sent = beyond;
	}
}

static void sent(struct loop_io *io, int result)
{
	struct nbd_connection *connection = io->owner;

	connection->sending = false;
	failpoint(FAILPOINT_NBD_REPLY_SENT);
	if (result <= 0) {
		nbd_connection_break(connection, NULL);
		nbd_connection_settle(connection);
		return;
	}
	account(connection, (size_t)result);
	nbd_reply_send(connection);
	nbd_connection_quiet(connection);
	if (connection->starved)
		nbd_receive_advance(connection);
	nbd_connection_settle(connection);
}
