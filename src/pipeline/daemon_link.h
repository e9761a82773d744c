/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon_link.h - an instance's connection to its filter's daemon.
 *
 * The daemon may be absent, die and come back at any time: the link connects
 * again by itself, after 10 ms at first and after at most a second later, and
 * reports each change. Memory that the daemon keeps stays mapped here when the
 * daemon is gone.
 */
#ifndef FOREBAY_PIPELINE_DAEMON_LINK_H
#define FOREBAY_PIPELINE_DAEMON_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "loop.h"

struct daemon_link;

/* Most names under which an instance keeps memory. */
#define DAEMON_LINK_MEMORIES_MAX 8u

#define DAEMON_LINK_RETRY_MIN_NS (10u * 1000 * 1000)
#define DAEMON_LINK_RETRY_MAX_NS (1000u * 1000 * 1000)

/* Each may be NULL, and is never called from inside a function of the link. */
struct daemon_link_handler {
	void (*state)(void *owner, bool connected);
	/* Owns: the callee owns the descriptors, not the bytes. */
	void (*message)(void *owner, const void *bytes, size_t count,
			const int *fds, uint32_t fd_count);
	void (*memory)(void *owner, const char *name, void *address,
		       uint64_t bytes, int status);
	void *owner;
};

struct daemon_link_options {
	const char *socket; /* path; copied */
	const char *filter; /* name; copied */
	uint8_t disk_uuid[16];
};

/* Connects in the next turn of the loop. */
int daemon_link_create(struct loop *loop,
		       const struct daemon_link_options *options,
		       const struct daemon_link_handler *handler,
		       struct daemon_link **ret_link);
/* Unmaps the memory too. NULL is fine. */
void daemon_link_destroy(struct daemon_link *link);

/* Returns: 0, -ENOTCONN, -EMSGSIZE or -ENOBUFS. */
int daemon_link_send(struct daemon_link *link, const void *bytes, size_t count,
		     const int *fds, uint32_t fd_count);
/*
 * memory() reports. Returns: 0, -ENOTCONN, -EINVAL (name or size), -EBUSY (an
 * earlier request of that name waits) or -ENOSPC (too many names).
 */
int daemon_link_keep(struct daemon_link *link, const char *name,
		     uint64_t bytes);

#endif
