/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_receive.c - turns the bytes of a client into requests.
 *
 * Runs on the loop. At most one receive is under way, and none while the
 * connection's slots or memory are used up, or the export is parked: the client
 * then waits in its own send().
 *
 * The payload of a write is received where the pipeline wants it. To keep it
 * from being staged, a receive asks for no more than one head behind a payload
 * as long as writes follow each other; reads' heads are taken by the dozen.
 * Payload that was staged all the same is copied, and counted.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "nbd_connection.h"
#include "nbd_export.h"
#include "nbd_status.h"

/* Wait for requests of the pipeline, which other exports use up as well. */
#define RETRY_NS UINT64_C(1000000)

static size_t staged_bytes(const struct nbd_connection *connection)
{
	return connection->staging_end - connection->staging_start;
}

/* Adds the part of the incoming payload that starts at @at. */
static uint32_t add_payload(struct nbd_connection *connection, uint32_t at,
			    uint32_t *ret_bytes)
{
	const struct nbd_slot *slot = connection->incoming;
	uint32_t entry = at / NBD_CHUNK_BYTES;
	uint32_t skip = at % NBD_CHUNK_BYTES;
	uint32_t count = 0;

	/* Every entry but the last has the size of a chunk. */
	for (; entry < slot->iov_count && count < NBD_RECEIVE_IOV_MAX - 1;
	     entry++, count++) {
		struct iovec *iov = &connection->receive_iov[count];

		iov->iov_base = (uint8_t *)slot->iov[entry].iov_base + skip;
		iov->iov_len = slot->iov[entry].iov_len - skip;
		*ret_bytes += (uint32_t)iov->iov_len;
		skip = 0;
	}
	return count;
}

/* A refused write's payload goes where nobody looks. */
static uint32_t add_trash(struct nbd_connection *connection, uint32_t left,
			  uint32_t *ret_bytes)
{
	uint32_t count = 0;

	for (; left > 0 && count < NBD_RECEIVE_IOV_MAX - 1; count++) {
		struct iovec *iov = &connection->receive_iov[count];

		iov->iov_base = connection->export->trash;
		iov->iov_len = left < NBD_TRASH_BYTES ? left : NBD_TRASH_BYTES;
		left -= (uint32_t)iov->iov_len;
		*ret_bytes += (uint32_t)iov->iov_len;
	}
	return count;
}

static uint32_t add_staging(struct nbd_connection *connection, uint32_t count)
{
	size_t staged = staged_bytes(connection);
	size_t limit = connection->expects_payload ? NBD_REQUEST_BYTES
						   : NBD_STAGING_BYTES;

	/* What is staged is part of one head. */
	memmove(connection->staging,
		connection->staging + connection->staging_start, staged);
	connection->staging_start = 0;
	connection->staging_end = staged;
	connection->receive_iov[count].iov_base = connection->staging + staged;
	connection->receive_iov[count].iov_len = limit - staged;
	return count + 1;
}

static void received(struct loop_io *io, int result);

static void receive(struct nbd_connection *connection)
{
	const struct nbd_slot *slot = connection->incoming;
	uint32_t payload = 0;
	uint32_t count = 0;

	if (slot && slot->error != NBD_OK)
		count = add_trash(connection, connection->payload_left,
				  &payload);
	else if (slot)
		count = add_payload(connection,
				    slot->request.length -
					    connection->payload_left,
				    &payload);
	if (payload == connection->payload_left)
		count = add_staging(connection, count);
	connection->receive_payload_bytes = payload;
	connection->receive_message = (struct msghdr){
		.msg_iov = connection->receive_iov,
		.msg_iovlen = count,
	};
	connection->receive_io.done = received;
	connection->receive_io.owner = connection;
	connection->receiving = true;
	loop_recvmsg(connection->loop, &connection->receive_io, connection->fd,
		     &connection->receive_message, 0);
}

static void received(struct loop_io *io, int result)
{
	struct nbd_connection *connection = io->owner;
	uint32_t bytes = result > 0 ? (uint32_t)result : 0;
	uint32_t payload = connection->receive_payload_bytes;

	connection->receiving = false;
	if (bytes == 0) {
		/* Half a request is nothing: only whole ones have an effect. */
		nbd_connection_finish(connection);
		nbd_connection_settle(connection);
		return;
	}
	if (payload > bytes)
		payload = bytes;
	connection->payload_left -= payload;
	connection->staging_end += bytes - payload;
	nbd_receive_advance(connection);
	nbd_connection_settle(connection);
}

static void completed(struct pipeline_request *pipeline_request, int status)
{
	struct nbd_slot *slot = pipeline_request->owner;
	struct nbd_connection *connection = slot->connection;

	connection->in_flight--;
	slot->error = nbd_request_error(&slot->request, status);
	pipeline_request_put(connection->export->pipeline, pipeline_request);
	nbd_reply_queue(slot);
	nbd_export_progressed(connection->export);
}

static enum forebay_operation operation_of(const struct nbd_request *request)
{
	switch (request->command) {
	case NBD_COMMAND_WRITE:
		return FOREBAY_WRITE;
	case NBD_COMMAND_FLUSH:
		return FOREBAY_FLUSH;
	case NBD_COMMAND_TRIM:
		return FOREBAY_DISCARD;
	case NBD_COMMAND_CACHE:
		return FOREBAY_CACHE;
	case NBD_COMMAND_WRITE_ZEROES:
		return FOREBAY_WRITE_ZEROES;
	case NBD_COMMAND_BLOCK_STATUS:
		return FOREBAY_EXTENTS;
	}
	return FOREBAY_READ;
}

static uint32_t flags_of(const struct nbd_request *request)
{
	uint32_t flags = 0;

	/* Elsewhere FUA is allowed and means nothing: nothing is written. */
	if ((request->flags & NBD_COMMAND_FLAG_FUA) &&
	    (request->command == NBD_COMMAND_WRITE ||
	     request->command == NBD_COMMAND_TRIM ||
	     request->command == NBD_COMMAND_WRITE_ZEROES))
		flags |= FOREBAY_FUA;
	if (request->flags & NBD_COMMAND_FLAG_NO_HOLE)
		flags |= FOREBAY_NO_HOLE;
	if (request->flags & NBD_COMMAND_FLAG_FAST_ZERO)
		flags |= FOREBAY_FAST;
	return flags;
}

static uint32_t memory_of(const struct nbd_request *request)
{
	switch (request->command) {
	case NBD_COMMAND_READ:
	case NBD_COMMAND_WRITE:
		return request->length;
	case NBD_COMMAND_BLOCK_STATUS:
		return NBD_SMALL_BYTES;
	}
	return 0;
}

/* Returns: false if there is no pipeline, or it has no request to give. */
static bool submit(struct nbd_slot *slot)
{
	struct nbd_connection *connection = slot->connection;
	struct pipeline *pipeline = connection->export->pipeline;
	const struct nbd_request *request = &slot->request;
	struct pipeline_request *below;

	if (!nbd_export_serves(connection->export))
		return false;
	below = pipeline_request_get(pipeline);
	if (!below) {
		/* Perhaps none of ours comes back to wake us. */
		loop_timer_arm(connection->loop, &connection->retry, RETRY_NS);
		return false;
	}
	below->operation = operation_of(request);
	below->flags = flags_of(request);
	below->offset = request->offset;
	below->length = request->length;
	below->iov = slot->iov;
	below->iov_count = slot->iov_count;
	if (below->operation == FOREBAY_EXTENTS) {
		slot->extents = nbd_status_list(slot->iov[0].iov_base);
		below->extents = &slot->extents;
		below->iov = NULL;
		below->iov_count = 0;
	}
	below->done = completed;
	below->owner = slot;
	connection->in_flight++;
	if (connection->payload_copied > 0)
		pipeline_count_copied(pipeline, connection->payload_copied);
	connection->payload_copied = 0;
	pipeline_submit(pipeline, below);
	return true;
}

/* The incoming request is whole. Returns: false if it must wait. */
static bool dispatch(struct nbd_connection *connection)
{
	struct nbd_slot *slot = connection->incoming;

	connection->incoming = NULL;
	if (slot->error != NBD_OK) {
		nbd_reply_queue(slot);
		return true;
	}
	if (submit(slot))
		return true;
	connection->incoming = slot;
	return false;
}

/* Copies staged payload. Returns: whether all of the payload is there now. */
static bool take_payload(struct nbd_connection *connection)
{
	struct nbd_slot *slot = connection->incoming;
	const uint8_t *from = connection->staging + connection->staging_start;
	uint32_t at = slot->request.length - connection->payload_left;
	size_t bytes = staged_bytes(connection);

	if (bytes > connection->payload_left)
		bytes = connection->payload_left;
	connection->staging_start += bytes;
	connection->payload_left -= (uint32_t)bytes;
	if (slot->error == NBD_OK && bytes > 0) {
		/* Only a payload's beginning is ever staged, so one entry
		 * holds it. */
		memcpy((uint8_t *)slot->iov[0].iov_base + at, from, bytes);
		connection->payload_copied += (uint32_t)bytes;
	}
	return connection->payload_left == 0;
}

/* A good client's request, or one to refuse. Returns: false if it must wait. */
static bool take_request(struct nbd_connection *connection,
			 const struct nbd_request *request)
{
	struct nbd_slot *slot = nbd_connection_slot_take(connection);
	uint32_t memory;

	if (!slot)
		return false;
	slot->request = *request;
	slot->error = nbd_request_check(request, &connection->session);
	memory = slot->error == NBD_OK ? memory_of(request) : 0;
	if (memory > 0)
		slot->iov_count = nbd_buffers_take(
			&connection->buffers, slot->index, memory, &slot->iov);
	if (memory > 0 && slot->iov_count == 0) {
		nbd_connection_slot_release(slot);
		return false;
	}
	connection->staging_start += NBD_REQUEST_BYTES;
	connection->incoming = slot;
	connection->payload_left = nbd_request_payload_bytes(request);
	connection->payload_copied = 0;
	connection->expects_payload = connection->payload_left > 0;
	return true;
}

/* Looks at a whole head in staging. Returns: false if it must wait. */
static bool take_head(struct nbd_connection *connection)
{
	struct nbd_request request;

	if (nbd_request_parse(connection->staging + connection->staging_start,
			      &request) < 0) {
		nbd_connection_break(connection,
				     "sent a request with a wrong magic");
		return true;
	}
	if (request.command == NBD_COMMAND_DISCONNECT) {
		nbd_connection_finish(connection);
		return true;
	}
	if (nbd_request_payload_bytes(&request) > NBD_PAYLOAD_SKIP_MAX) {
		nbd_connection_break(connection,
				     "sent a write of absurd length");
		return true;
	}
	return take_request(connection, &request);
}

/*
 * Takes a step with what has arrived. Returns: false if there is none, for want
 * of bytes or (`starved`) of room.
 */
static bool step(struct nbd_connection *connection)
{
	if (connection->incoming) {
		if (!take_payload(connection))
			return false;
		connection->starved = !dispatch(connection);
		return !connection->starved;
	}
	if (staged_bytes(connection) < NBD_REQUEST_BYTES)
		return false;
	connection->starved = !take_head(connection);
	return !connection->starved;
}

static void watched(struct loop_io *io, int events)
{
	struct nbd_connection *connection = io->owner;

	connection->receiving = false;
	if (events >= 0)
		nbd_connection_break(connection, NULL);
	nbd_receive_advance(connection);
	nbd_connection_settle(connection);
}

/*
 * Nobody receives while the export is parked, which may be for long: a client
 * that is gone by then would keep its place.
 */
static void watch(struct nbd_connection *connection)
{
	connection->receive_io.done = watched;
	connection->receive_io.owner = connection;
	connection->receiving = true;
	/* Only what is always told: that the client has closed its end. */
	loop_poll(connection->loop, &connection->receive_io, connection->fd, 0);
}

void nbd_receive_advance(struct nbd_connection *connection)
{
	connection->starved = false;
	while (!connection->closing && step(connection))
		;
	if (connection->closing || connection->receiving)
		return;
	if (!connection->starved)
		receive(connection);
	else if (!nbd_export_serves(connection->export))
		watch(connection);
}
