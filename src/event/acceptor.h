/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acceptor.h - takes the connections of a listening socket, one after the
 * other.
 *
 * When that fails, for want of descriptors say, the next try would fail at
 * once, too: it comes after a pause.
 */
#ifndef FOREBAY_EVENT_ACCEPTOR_H
#define FOREBAY_EVENT_ACCEPTOR_H

#include "loop.h"

/* Zeroed but for the callbacks and @owner before its start. */
struct acceptor {
	/*
	 * @fd: a connection (close-on-exec), the callee's from now on; or a
	 * negative errno, which it may tell somebody.
	 */
	void (*accepted)(struct acceptor *acceptor, int fd);
	/* After acceptor_stop() returned false; may free the acceptor. */
	void (*stopped)(struct acceptor *acceptor);
	void *owner;
	/* Its own: */
	struct loop *loop;
	int fd;
	bool waiting; /* an accept is under way */
	bool stopping;
	struct loop_io io;
	struct loop_timer retry;
};

/* @fd: listens, and is open until the acceptor has stopped or the loop is
 * destroyed. */
void acceptor_start(struct acceptor *acceptor, struct loop *loop, int fd);
/*
 * accepted() is not called any more. Returns: whether it has stopped already;
 * else stopped() is called when it has, never from inside this call.
 */
bool acceptor_stop(struct acceptor *acceptor);

#endif
