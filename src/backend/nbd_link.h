/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_link.h - one connection to an NBD server: libnbd on our loop.
 *
 *   start -> connecting -> ready -> lost
 *                 `----------------> lost
 *
 * libnbd says on which events it waits; we poll for these and tell it. It calls
 * the completion callbacks of commands from inside our calls, with its lock
 * taken: they only note what happened.
 *
 * When lost() is called, all commands have ended, and the connection is used no
 * more: nbd_link_end() it.
 */
#ifndef FOREBAY_BACKEND_NBD_LINK_H
#define FOREBAY_BACKEND_NBD_LINK_H

#include <libnbd.h>
#include <stdbool.h>

#include "list.h"
#include "loop.h"
#include "nbd_dialer.h"

#define NBD_WORDS_BYTES 256u

enum nbd_link_state {
	NBD_LINK_CONNECTING,
	NBD_LINK_READY,
	NBD_LINK_LOST,
};

struct nbd_link {
	struct loop *loop;
	struct nbd_handle *handle; /* NULL when it is lost */
	enum nbd_link_state state;
	/* Neither is called from inside a call of this header. */
	void (*ready)(struct nbd_link *link);
	void (*lost)(struct nbd_link *link);
	void *owner;
	struct list requests; /* the owner's, in flight here */
	char reason[NBD_WORDS_BYTES]; /* why it is lost */
	/* Its own: */
	struct loop_io read_poll;
	struct loop_io write_poll;
	bool read_polled;
	bool write_polled;
	bool ended;
	bool was_ready; /* the owner's */
	bool dialing; /* the dialer has the call */
	struct loop_timer deadline;
	struct loop_deferred look;
	struct nbd_call call;
};

/*
 * Begins to connect to @export_name by @dialer, which must outlive the link.
 * @timeout_ns: for that and for the handshake. Returns: 0 or -ENOMEM.
 */
int nbd_link_dial(struct loop *loop, const char *export_name,
		  struct nbd_dialer *dialer, uint64_t timeout_ns,
		  struct nbd_link **ret_link);
/* The same on @socket_fd, which is connected already and is taken. */
int nbd_link_start(struct loop *loop, const char *export_name, int socket_fd,
		   uint64_t timeout_ns, struct nbd_link **ret_link);
/* Commands were given to the handle: look soon what libnbd waits for. */
void nbd_link_kick(struct nbd_link *link);
/* Treats it as broken, for @reason. */
void nbd_link_break(struct nbd_link *link, const char *reason);
/*
 * Gives it up: no call of it comes any more, and commands that were in flight
 * end in here. It frees itself when the kernel has let go. NULL is fine.
 */
void nbd_link_end(struct nbd_link *link);

/* A handle with what all our connections have in common, or NULL without
 * memory. */
struct nbd_handle *nbd_link_make_handle(const char *export_name);

#endif
