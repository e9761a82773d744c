/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.h - a disk behind a socket, whatever is spoken there.
 *
 * A transport outlives its connections. When one breaks, requests that were
 * under way stay with the transport: connect() brings each to the next server
 * exactly once, by vhost-user's in-flight region where the server keeps one,
 * else by submitting it again.
 *
 * Order: create, connect, then submit/kick/reap/idle; after idle() said -EPIPE
 * connect again. One thread.
 */
#ifndef FOREBAY_LOAD_TRANSPORT_H
#define FOREBAY_LOAD_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "load_io.h"

#define TRANSPORT_QUEUES_MAX 64u
#define TRANSPORT_DEPTH_MAX 1024u

struct error;
struct transport;

struct transport_options {
	const char *address; /* a socket's path, or a URI; borrowed */
	unsigned int queue_count; /* for NBD: connections */
	unsigned int depth; /* of each queue */
	size_t data_bytes;
	bool polls; /* idle() does not sleep */
	bool packed; /* vhost-user: packed virtqueues */
};

struct transport_ops {
	/* Returns: 0, or a negative errno with @error filled. */
	int (*connect)(struct transport *transport, struct error *error);
	void (*submit)(struct transport *transport, struct load_io *io);
	/* What was submitted to @queue goes out. */
	void (*kick)(struct transport *transport, unsigned int queue);
	/* Returns: how many of @queue have ended, at most @count. */
	unsigned int (*reap)(struct transport *transport, unsigned int queue,
			     struct load_io **ret_ios, unsigned int count);
	/* Nothing has ended: waits at most @timeout_ns for something to. */
	int (*idle)(struct transport *transport, uint64_t timeout_ns);
	void (*destroy)(struct transport *transport);
};

struct transport {
	const struct transport_ops *ops;
	struct transport_options options;
	uint8_t *data; /* options.data_bytes that requests may use */
	/* Of the server, since the first connect(): */
	uint64_t size_bytes;
	bool offers[LOAD_KINDS];
	pid_t server; /* 0: not on this host, or unknown */
};

/* Returns: 0 or -ENOMEM. */
int vhost_transport_create(const struct transport_options *options,
			   struct transport **ret_transport);
int nbd_transport_create(const struct transport_options *options,
			 struct transport **ret_transport);

#endif
