// SPDX-License-Identifier: Apache-2.0
/*
 * daemon_link.c - two states: connected (there is a channel), or waiting for
 * the timer that tries again.
 *
 * The daemon is another program, so what it sends is checked; a packet that
 * breaks the protocol costs it the connection.
 */
#include "daemon_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "daemon_protocol.h"
#include "failpoint.h"
#include "fd.h"
#include "log.h"

struct memory {
	char name[DAEMON_NAME_BYTES]; /* empty: unused */
	void *address; /* NULL: not mapped */
	uint64_t bytes;
	bool waiting; /* for the daemon's answer */
};

struct daemon_link {
	struct loop *loop;
	struct daemon_link_handler handler;
	char *socket;
	struct daemon_hello hello;
	struct channel *channel;
	struct loop_timer retry;
	uint64_t retry_delay_ns;
	struct memory memories[DAEMON_LINK_MEMORIES_MAX];
	unsigned char packet[CHANNEL_BYTES_MAX]; /* of the current send */
};

static int send_packet(struct daemon_link *link, enum daemon_type type,
		       const void *payload, size_t count, const int *fds,
		       uint32_t fd_count)
{
	struct daemon_head head;

	if (!link->channel)
		return -ENOTCONN;
	if (count > DAEMON_PAYLOAD_MAX)
		return -EMSGSIZE;
	head = daemon_head_make(type, count);
	memcpy(link->packet, &head, sizeof(head));
	if (count > 0)
		memcpy(link->packet + sizeof(head), payload, count);
	return channel_send(link->channel, link->packet, sizeof(head) + count,
			    fds, fd_count);
}

static struct memory *memory_find(struct daemon_link *link, const char *name)
{
	for (unsigned int i = 0; i < DAEMON_LINK_MEMORIES_MAX; i++)
		if (strcmp(link->memories[i].name, name) == 0)
			return &link->memories[i];
	return NULL;
}

static void memory_report(struct daemon_link *link, struct memory *memory,
			  int status)
{
	memory->waiting = false;
	if (link->handler.memory)
		link->handler.memory(link->handler.owner, memory->name,
				     status == 0 ? memory->address : NULL,
				     memory->bytes, status);
}

static void memory_unmap(struct memory *memory)
{
	if (memory->address)
		munmap(memory->address, memory->bytes);
	memory->address = NULL;
}

/* Maps @fd if it is what was asked for and can't be cut off under us. */
static int memory_map(struct memory *memory, int fd)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_SEAL;
	struct stat file;
	void *address;

	if (fstat(fd, &file) < 0)
		return -errno;
	if ((uint64_t)file.st_size != memory->bytes)
		return -EBADMSG;
	if ((fcntl(fd, F_GET_SEALS) & seals) != seals)
		return -EPERM;
	address = mmap(NULL, memory->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		       fd, 0);
	if (address == MAP_FAILED)
		return -errno;
	memory_unmap(memory);
	memory->address = address;
	failpoint(FAILPOINT_KEPT_MAPPED);
	return 0;
}

/* Returns: 0 or -EBADMSG. The descriptors stay the caller's. */
static int handle_kept(struct daemon_link *link, const void *payload,
		       const int *fds, uint32_t fd_count)
{
	struct daemon_kept kept;
	struct memory *memory;
	int status;

	memcpy(&kept, payload, sizeof(kept));
	if (!daemon_name_valid(kept.name) || kept.status > 0 ||
	    fd_count != (kept.status == 0 ? 1u : 0u))
		return -EBADMSG;
	memory = memory_find(link, kept.name);
	if (!memory || !memory->waiting || kept.bytes != memory->bytes)
		return -EBADMSG;
	status = kept.status == 0 ? memory_map(memory, fds[0]) : kept.status;
	memory_report(link, memory, status);
	return 0;
}

static void close_all(const int *fds, uint32_t fd_count)
{
	for (uint32_t i = 0; i < fd_count; i++)
		close(fds[i]);
}

static int handle_packet(struct daemon_link *link, const void *bytes,
			 size_t count, const int *fds, uint32_t fd_count)
{
	const unsigned char *payload =
		(const unsigned char *)bytes + sizeof(struct daemon_head);
	struct daemon_head head;
	int status = daemon_head_parse(bytes, count, &head);

	if (status == 0 && head.type == DAEMON_FILTER &&
	    link->handler.message) {
		link->handler.message(link->handler.owner, payload, head.bytes,
				      fds, fd_count);
		return 0; /* the descriptors are the handler's now */
	}
	if (status == 0 && head.type == DAEMON_KEPT)
		status = handle_kept(link, payload, fds, fd_count);
	else if (status == 0 && head.type != DAEMON_FILTER)
		status = -EBADMSG;
	close_all(fds, fd_count);
	return status;
}

static void retry_later(struct daemon_link *link)
{
	loop_timer_arm(link->loop, &link->retry, link->retry_delay_ns);
	link->retry_delay_ns *= 2;
	if (link->retry_delay_ns > DAEMON_LINK_RETRY_MAX_NS)
		link->retry_delay_ns = DAEMON_LINK_RETRY_MAX_NS;
}

/* Ends the connection; those who wait for an answer get none any more. */
static void drop(struct daemon_link *link)
{
	channel_destroy(link->channel);
	link->channel = NULL;
	retry_later(link);
	for (unsigned int i = 0; i < DAEMON_LINK_MEMORIES_MAX; i++)
		if (link->memories[i].waiting)
			memory_report(link, &link->memories[i], -ENOTCONN);
	if (link->handler.state)
		link->handler.state(link->handler.owner, false);
}

static void on_message(void *owner, const void *bytes, size_t count,
		       const int *fds, uint32_t fd_count)
{
	struct daemon_link *link = owner;

	/* A daemon that talks sense is a living one: be quick next time. */
	link->retry_delay_ns = DAEMON_LINK_RETRY_MIN_NS;
	if (handle_packet(link, bytes, count, fds, fd_count) == 0)
		return;
	log_error("the daemon at %s broke the protocol: connecting anew",
		  link->socket);
	link->retry_delay_ns = DAEMON_LINK_RETRY_MAX_NS;
	drop(link);
}

static void on_closed(void *owner, int reason)
{
	struct daemon_link *link = owner;

	log_info("connection to the daemon at %s ended: %s", link->socket,
		 reason == 0 ? "it hung up" : strerror(-reason));
	drop(link);
}

static int connect_now(struct daemon_link *link)
{
	const struct channel_handler handler = {
		.message = on_message,
		.closed = on_closed,
		.owner = link,
	};
	_cleanup_fd_ int fd = channel_connect_now(link->socket);
	int status;

	if (fd < 0)
		return fd;
	status = channel_create(link->loop, fd, &handler, &link->channel);
	if (status < 0)
		return status;
	take_fd(&fd);
	status = send_packet(link, DAEMON_HELLO, &link->hello,
			     sizeof(link->hello), NULL, 0);
	if (status < 0) {
		channel_destroy(link->channel);
		link->channel = NULL;
	}
	return status;
}

static void on_retry(struct loop_timer *timer)
{
	struct daemon_link *link = timer->owner;

	if (connect_now(link) < 0) {
		retry_later(link);
		return;
	}
	if (link->handler.state)
		link->handler.state(link->handler.owner, true);
}

int daemon_link_create(struct loop *loop,
		       const struct daemon_link_options *options,
		       const struct daemon_link_handler *handler,
		       struct daemon_link **ret_link)
{
	struct daemon_link *link = calloc(1, sizeof(*link));

	if (!link)
		return -ENOMEM;
	link->socket = strdup(options->socket);
	if (!link->socket) {
		free(link);
		return -ENOMEM;
	}
	link->loop = loop;
	link->handler = *handler;
	link->hello.version = DAEMON_VERSION;
	snprintf(link->hello.filter, sizeof(link->hello.filter), "%s",
		 options->filter);
	memcpy(link->hello.disk_uuid, options->disk_uuid,
	       sizeof(link->hello.disk_uuid));
	link->retry.expired = on_retry;
	link->retry.owner = link;
	link->retry_delay_ns = DAEMON_LINK_RETRY_MIN_NS;
	loop_timer_arm(loop, &link->retry, 0);
	*ret_link = link;
	return 0;
}

void daemon_link_destroy(struct daemon_link *link)
{
	if (!link)
		return;
	loop_timer_cancel(link->loop, &link->retry);
	channel_destroy(link->channel);
	for (unsigned int i = 0; i < DAEMON_LINK_MEMORIES_MAX; i++)
		memory_unmap(&link->memories[i]);
	free(link->socket);
	free(link);
}

int daemon_link_send(struct daemon_link *link, const void *bytes, size_t count,
		     const int *fds, uint32_t fd_count)
{
	return send_packet(link, DAEMON_FILTER, bytes, count, fds, fd_count);
}

int daemon_link_keep(struct daemon_link *link, const char *name, uint64_t bytes)
{
	struct daemon_keep keep = {.bytes = bytes};
	struct memory *memory;
	int status;

	if (strlen(name) == 0 || strlen(name) >= DAEMON_NAME_BYTES ||
	    bytes == 0 || bytes % 4096 != 0)
		return -EINVAL;
	memory = memory_find(link, name);
	if (!memory)
		memory = memory_find(link, ""); /* an unused one */
	if (!memory)
		return -ENOSPC;
	if (memory->waiting)
		return -EBUSY;
	if (memory->address && memory->bytes != bytes)
		return -EINVAL;
	memcpy(keep.name, name, strlen(name));
	status = send_packet(link, DAEMON_KEEP, &keep, sizeof(keep), NULL, 0);
	if (status < 0)
		return status;
	memcpy(memory->name, keep.name, sizeof(memory->name));
	memory->bytes = bytes;
	memory->waiting = true;
	return 0;
}
