/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_dialer.h - a process that makes connections for one that may not.
 *
 * A disk's process gives up its user, and with it the right to connect to a
 * server's unix socket; it opens no file either, so it can't look up a host.
 * But it must reach the server again after each outage. So before it gives that
 * up, it forks a process that knows one address and does one thing: asked by a
 * byte, it answers with a connected socket or with the reason why there is
 * none. There is nothing in the question that a process taken over could abuse.
 *
 * It ends when its parent does, however that is killed, and holds no connection
 * of its own, so the server sees the end of the parent's connections.
 *
 * docs/adr/0014-a-dialer-keeps-the-right-to-connect.md
 *
 * Thread: the loop's.
 */
#ifndef FOREBAY_BACKEND_NBD_DIALER_H
#define FOREBAY_BACKEND_NBD_DIALER_H

#include "list.h"
#include "loop.h"
#include "nbd_dial.h"

struct nbd_dialer;

/* A wish for a connection. */
struct nbd_call {
	/*
	 * Called once, never from inside nbd_dialer_call(), unless it is
	 * cancelled before. @fd: a connected socket, now the callee's, or -1;
	 * then @reason says why.
	 */
	void (*answered)(struct nbd_call *call, int fd, const char *reason);
	void *owner;
	struct list node; /* the dialer's */
};

/*
 * Forks. The process has its parent's user, its descriptors closed.
 * Returns: 0 or a negative errno with words that name @uri.
 */
int nbd_dialer_start(const char *uri, const struct nbd_uri *address,
		     struct nbd_dialer **ret_dialer, struct error *error);
void nbd_dialer_call(struct nbd_dialer *dialer, struct loop *loop,
		     struct nbd_call *call);
/* Its answered() is not called any more. */
void nbd_dialer_cancel(struct nbd_call *call);
/* Ends the process. There is no call any more. NULL is fine. */
void nbd_dialer_end(struct nbd_dialer *dialer);

/*
 * For a process that opens a backend when it may not fork any more: starts one,
 * which the opens of @uri from then on share, one after the other. Twice is
 * once, and there is one per process. Returns: as nbd_dialer_start(), or
 * -EBUSY.
 */
int nbd_dialer_keep(const char *uri, struct error *error);
/* Returns: the one that is kept, or NULL. */
struct nbd_dialer *nbd_dialer_kept(const char *uri);

#endif
