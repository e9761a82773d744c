/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_private.h - a disk on an NBD server, shared by the nbd*.c files.
 *
 *   nbd.c             its life: open, connections kept, close
 *   nbd_io.c          requests: issued, waiting, ended
 *   nbd_link.c        one connection, from its start to its death
 *   nbd_dialer.c      who makes it, also when we no longer may
 *   nbd_facts.c       what a server says about its export, and if it suits us
 *   nbd_probe.c       the control plane's questions, without a loop
 *   nbd_hold.c        what must wait after a connection broke
 */
#ifndef FOREBAY_BACKEND_NBD_PRIVATE_H
#define FOREBAY_BACKEND_NBD_PRIVATE_H

#include "clock.h"
#include "driver.h"
#include "list.h"
#include "nbd_dialer.h"
#include "nbd_facts.h"
#include "nbd_hold.h"
#include "nbd_link.h"
#include "nbd_uri.h"

/* How many connections a disk has if the server allows more than one. */
#define NBD_CONNECTIONS 4u
/* How long a server may take to accept and to finish the handshake. */
#define NBD_CONNECT_TIMEOUT_NS (NBD_DIAL_TIMEOUT_MS * NS_PER_MS)
#define NBD_RETRY_FIRST_NS (100 * NS_PER_MS)
#define NBD_RETRY_MAX_NS (5 * NS_PER_SECOND)
/* See docs/adr/0013-nbd-has-no-fence.md. */
#define NBD_LATE_WRITE_HOLD_NS (5 * NS_PER_SECOND)
/*
 * A request in several pieces of memory is copied into one command up to here,
 * if the pieces are small: a command costs more than to copy a few KiB.
 */
#define NBD_BOUNCE_BYTES (256u << 10)
#define NBD_PIECE_MIN_BYTES (64u << 10)
#define NBD_BOUNCES_KEPT 8u
/* Most bytes of a command that moves no data. */
#define NBD_RANGE_MAX_BYTES (1u << 30)
#define NBD_REASON_BYTES 256u

/* What a test decides: the peer, and times. */
struct nbd_ways {
	/* Returns: a connected socket. NULL: the dialer makes it. */
	int (*dial)(void *owner);
	void *owner;
	uint64_t retry_first_ns;
	uint64_t late_write_hold_ns;
};

struct nbd {
	struct backend backend;
	struct loop *loop;
	struct nbd_uri address;
	struct nbd_dialer *dialer;
	struct nbd_facts facts;
	struct nbd_hold hold;
	struct nbd_link *connections[NBD_CONNECTIONS];
	struct nbd_ways ways;
	unsigned int connections_wanted;
	unsigned int connections_ready;
	unsigned int next_connection; /* whose turn it is */
	struct loop_timer retry;
	uint64_t retry_ns; /* the next delay */
	struct loop_timer release; /* of what is held */

	/* Each request is in one of these: */
	struct list waiting; /* in order of submission */
	struct list ended; /* its done() is due */
	/* or in its connection's list. */
	struct loop_deferred run;
	struct list free_requests;
	struct backend_io *refused; /* for lack of memory; driver_private links
				     */
	unsigned int in_flight; /* all that were submitted and aren't done */
	uint64_t last_sequence;

	/*
	 * What the server has acknowledged and may forget: changes are counted,
	 * and a flush covers those up to the count at its start.
	 */
	uint64_t change_count;
	uint64_t flushed_count;
	uint64_t doubtful_count; /* these many were there when it broke */

	void *bounces[NBD_BOUNCES_KEPT];
	unsigned int bounces_kept;

	/* Told by nbd_describe(). */
	uint64_t copied_bytes;
	uint64_t state_since_ns;
	uint64_t losses; /* connections that broke */
	char reason[NBD_REASON_BYTES]; /* of the last loss or failed attempt */

	/* While it is being opened. */
	struct backend_open_request *request;
	uint64_t deadline_ns;
	bool told_waiting;
	bool read_only;
	bool known; /* facts are */
	char uri[];
};

/* One operation on its way. */
struct nbd_task {
	struct list node;
	struct nbd_hold_request hold;
	struct nbd *nbd;
	struct backend_io *io;
	struct nbd_link *link; /* NULL: not issued */
	unsigned int parts; /* commands that libnbd hasn't forgotten */
	unsigned int unanswered; /* those without an answer */
	int result; /* the first error of its commands */
	bool lost; /* a command was on a connection that broke */
	bool flushing; /* the flush that stands for FUA */
	bool doubtful; /* a flush over changes that may be forgotten */
	bool extents_given;
	uint64_t covers_count; /* a flush: changes that it makes durable */
	uint64_t done_bytes; /* zeroes and discards: how far */
	uint64_t read_bytes; /* that the server has sent */
	void *bounce;
	size_t bounce_bytes; /* of the buffer */
};

/* As backend_open(). @ways is copied. */
void nbd_open_with(struct loop *loop, struct backend_open_request *request,
		   const char *uri, const struct nbd_ways *ways);
void nbd_submit(struct backend *backend, struct backend_io *io);
/* Issues what may be issued and calls done() of what ended, a bit later. */
void nbd_io_run_later(struct nbd *nbd);
void nbd_io_init(struct nbd *nbd);
void nbd_io_release(struct nbd *nbd);
/* A connection that was ready is lost. Its requests wait to be issued again. */
void nbd_io_lost(struct nbd *nbd);
unsigned int nbd_io_waiting(const struct nbd *nbd);

int nbd_probe(const char *uri, uint64_t *ret_size_bytes, struct error *error);

#endif
