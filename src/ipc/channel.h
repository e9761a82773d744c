/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel.h - framed messages with descriptors over a unix SOCK_SEQPACKET
 * socket.
 *
 * One message is one packet: at most CHANNEL_BYTES_MAX bytes and
 * CHANNEL_FDS_MAX descriptors. The receiver owns the descriptors. Sending is
 * asynchronous and queued up to CHANNEL_QUEUE_MAX; descriptors are duplicated
 * at once, so the caller may close its own as soon as the call returns (and
 * rule 2 of the cache engine needs it to: nobody but the receiver may keep the
 * open file description of a cache file).
 */
#ifndef FOREBAY_IPC_CHANNEL_H
#define FOREBAY_IPC_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop.h"

#define CHANNEL_BYTES_MAX 65536u
#define CHANNEL_FDS_MAX 8u
#define CHANNEL_QUEUE_MAX 64u

struct channel;

struct channel_handler {
	/* Owns: the callee owns the descriptors, not the bytes. */
	void (*message)(void *owner, const void *bytes, size_t count,
			const int *fds, uint32_t fd_count);
	/*
	 * The other side is gone; the channel may be destroyed here. @reason: 0
	 * for an orderly end, -EMSGSIZE for a packet over the limits, or what
	 * the socket said.
	 */
	void (*closed)(void *owner, int reason);
	void *owner;
};

/* Owns: takes the connected socket @fd over, unless it fails. */
int channel_create(struct loop *loop, int fd,
		   const struct channel_handler *handler,
		   struct channel **ret_channel);
/*
 * Nothing is delivered any more; queued messages are dropped. The memory goes
 * with the loop's next turns, or with the loop. NULL is fine.
 */
void channel_destroy(struct channel *channel);
/*
 * Returns: 0, -EMSGSIZE (too large, or no bytes at all), -ENOBUFS (queue full),
 * -ENOTCONN, or -EMFILE, -ENOMEM.
 */
int channel_send(struct channel *channel, const void *bytes, size_t count,
		 const int *fds, uint32_t fd_count);
/* User that the other side ran as when it connected (SO_PEERCRED). */
int channel_peer(const struct channel *channel, uid_t *ret_uid, pid_t *ret_pid);

/*
 * Connects to @path; waits 2 s at most for a listener that is busy or stopped.
 * Returns: descriptor or -errno.
 */
int channel_connect(const char *path);
/* The same for a loop's thread: -EAGAIN if it would have to wait. */
int channel_connect_now(const char *path);
/*
 * Listens at @path with @mode: replaces a socket that nobody answers on.
 * Returns: descriptor, -EADDRINUSE if a living process answers, or -errno.
 */
int channel_listen(const char *path, mode_t mode);

#endif
