/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_connection.h - one client of an NBD export (inside src/export only).
 *
 * Three files share the object: nbd_connection.c has its life and the
 * handshake, nbd_receive.c turns bytes into requests, nbd_reply.c turns
 * completed requests into bytes.
 *
 *            .---- staging (heads) ----.
 *   socket --+                         +--> slot --> pipeline --> slot
 *            `-- slot's own buffers ---'                           |
 *   socket <-------------- queue of replies, in order of completion'
 *
 * A slot is one request: free, incoming (its payload is arriving, or it waits
 * for the pipeline), in flight (the pipeline's, which only then has a request
 * for it), or queued (its reply is waiting or being sent). The kernel
 * may use the memory of an incoming slot while `receiving` and that of queued
 * ones while `sending`: neither is released before the operation is back.
 */
#ifndef FOREBAY_EXPORT_NBD_CONNECTION_H
#define FOREBAY_EXPORT_NBD_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "list.h"
#include "loop.h"
#include "nbd_buffers.h"
#include "nbd_handshake.h"
#include "nbd_request.h"
#include "pipeline.h"

struct nbd_export;

#define NBD_STAGING_BYTES (NBD_OPTION_BYTES + NBD_OPTION_DATA_MAX)
/* Entries of one recvmsg: payload, then staging. */
#define NBD_RECEIVE_IOV_MAX 17u
#define NBD_SEND_IOV_MAX 256u

struct nbd_slot {
	struct nbd_connection *connection;
	struct nbd_slot *next; /* free, or queued behind this one */
	uint32_t index;
	uint32_t iov_count;
	const struct iovec *iov; /* the connection's buffers own it */
	struct nbd_request request;
	struct forebay_extents extents; /* BLOCK_STATUS: in the buffers */
	enum nbd_error error;
	uint32_t head_bytes;
	uint32_t data_bytes; /* of a read or status, behind the head */
	uint8_t head[NBD_REPLY_HEAD_MAX];
};

struct nbd_connection {
	struct nbd_export *export;
	struct list node; /* in the export's connections */
	struct loop *loop;
	int fd;
	uint32_t number; /* for people */

	bool transmission; /* the handshake is over */
	bool closing; /* nothing more is read */
	bool broken; /* nothing more is sent either */
	bool receiving; /* or watches for the client's end meanwhile */
	bool sending;
	bool shrinking;
	/* A request waits: in staging for slot or memory, as `incoming` for a
	 * request of the pipeline. */
	bool starved;
	/* The last request had a payload, so the next one likely has, too. */
	bool expects_payload;

	struct nbd_session session; /* in transmission */
	struct nbd_handshake handshake;
	enum nbd_handshake_step step; /* once the output is sent */
	size_t output_sent;
	struct loop_timer deadline; /* of the handshake, then of closing */
	struct loop_timer retry;
	struct loop_timer shrink; /* armed while `shrinking` */
	struct loop_deferred turn;

	struct loop_io receive_io;
	struct msghdr receive_message;
	struct iovec receive_iov[NBD_RECEIVE_IOV_MAX];
	uint32_t receive_payload_bytes; /* how much of it is for `incoming` */
	struct nbd_slot *incoming;
	uint32_t payload_left;
	uint32_t payload_copied; /* of it, from staging */
	size_t staging_start;
	size_t staging_end;
	uint8_t staging[NBD_STAGING_BYTES];

	struct loop_io send_io;
	struct msghdr send_message;
	struct iovec send_iov[NBD_SEND_IOV_MAX];
	struct nbd_slot *queue_head;
	struct nbd_slot *queue_tail;
	size_t queue_sent; /* bytes of the head's reply that are gone */

	struct nbd_buffers buffers;
	struct nbd_slot *slots;
	struct nbd_slot *slots_free;
	uint32_t in_flight;
};

/* nbd_connection.c */

/* Owns: takes @fd, also on failure. Returns: 0 or -ENOMEM. */
int nbd_connection_create(struct nbd_export *export, int fd);
/* Reads no more; answers what is in flight, then closes. */
void nbd_connection_finish(struct nbd_connection *connection);
/* There is a pipeline again. */
void nbd_connection_resume(struct nbd_connection *connection);
/* Hangs up; what is in flight ends unheard. @complaint: NULL, or for the log */
void nbd_connection_break(struct nbd_connection *connection,
			  const char *complaint);
/*
 * Frees the connection if nothing is left of it. Called last by every callback
 * of the loop, and only by those: its caller's caller still uses the object.
 */
void nbd_connection_settle(struct nbd_connection *connection);

/* Returns: a free slot, or NULL. */
struct nbd_slot *nbd_connection_slot_take(struct nbd_connection *connection);
/* Gives its memory back too. */
void nbd_connection_slot_release(struct nbd_slot *slot);
/* Looks whether a quiet connection should give memory back to the system. */
void nbd_connection_quiet(struct nbd_connection *connection);

/* nbd_receive.c */

/* Takes the requests that are in staging, then reads on, if there is room. */
void nbd_receive_advance(struct nbd_connection *connection);

/* nbd_reply.c */

/* Its error is set; sent with others at the end of the loop's turn. */
void nbd_reply_queue(struct nbd_slot *slot);
/* Starts to send what is queued, unless that is going on. */
void nbd_reply_send(struct nbd_connection *connection);
/* Forgets what is queued. Nothing may be being sent. */
void nbd_reply_drop(struct nbd_connection *connection);

#endif
