// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_link.c - polls for what libnbd wants and tells it what happened.
 *
 * A poll holds the socket open in the kernel although libnbd has closed it, so
 * a connection that is given up cancels its polls and lives until they ended.
 */
#include "nbd_link.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fd.h"

struct nbd_handle *nbd_link_make_handle(const char *export_name)
{
	struct nbd_handle *handle = nbd_create();

	/* We check bounds and sizes ourselves. */
	if (handle &&
	    (nbd_add_meta_context(handle, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
	     nbd_set_export_name(handle, export_name) < 0)) {
		nbd_close(handle);
		return NULL;
	}
	return handle;
}

/* Commands that were in flight end in here. */
static void close_handle(struct nbd_link *link)
{
	nbd_close(link->handle);
	link->handle = NULL;
}

static void free_if_unused(struct nbd_link *link)
{
	if (!link->ended || link->read_polled || link->write_polled)
		return;
	free(link);
}

static void keep_reason(struct nbd_link *link, const char *words)
{
	snprintf(link->reason, sizeof(link->reason), "%s",
		 words ? words : "the server closed the connection");
}

/* The words of the libnbd call that failed just now. */
static const char *library_words(void)
{
	const char *words = nbd_get_error();
	const char *colon = words ? strstr(words, ": ") : NULL;

	/* "nbd_aio_connect: connect: No such file ...": without its name. */
	return colon && strncmp(words, "nbd_", 4) == 0 ? colon + 2 : words;
}

void nbd_link_break(struct nbd_link *link, const char *reason)
{
	if (link->reason[0] == '\0')
		keep_reason(link, reason);
	link->state = NBD_LINK_LOST;
	nbd_link_kick(link);
}

static bool is_gone(const struct nbd_link *link)
{
	return nbd_aio_is_dead(link->handle) == 1 ||
	       nbd_aio_is_closed(link->handle) == 1;
}

static void on_read_poll(struct loop_io *io, int result);
static void on_write_poll(struct loop_io *io, int result);

static void arm(struct nbd_link *link)
{
	unsigned int wanted = nbd_aio_get_direction(link->handle);
	int fd = nbd_aio_get_fd(link->handle);

	if (fd < 0)
		return;
	if ((wanted & LIBNBD_AIO_DIRECTION_READ) && !link->read_polled) {
		link->read_polled = true;
		link->read_poll.done = on_read_poll;
		link->read_poll.owner = link;
		loop_poll(link->loop, &link->read_poll, fd, POLLIN);
	}
	if ((wanted & LIBNBD_AIO_DIRECTION_WRITE) && !link->write_polled) {
		link->write_polled = true;
		link->write_poll.done = on_write_poll;
		link->write_poll.owner = link;
		loop_poll(link->loop, &link->write_poll, fd, POLLOUT);
	}
}

static void hang_up(struct nbd_link *link)
{
	if (link->dialing)
		nbd_dialer_cancel(&link->call);
	link->dialing = false;
}

/* Whatever happened to the handle: what follows from it? */
static void look(struct loop_deferred *deferred)
{
	struct nbd_link *link = deferred->owner;

	if (link->ended)
		return;
	if (link->state != NBD_LINK_LOST && is_gone(link)) {
		if (link->reason[0] == '\0')
			keep_reason(link, NULL);
		link->state = NBD_LINK_LOST;
	}
	if (link->state == NBD_LINK_LOST) {
		hang_up(link);
		close_handle(link);
		link->lost(link);
		return;
	}
	arm(link);
	if (link->state == NBD_LINK_CONNECTING &&
	    nbd_aio_is_ready(link->handle) == 1) {
		link->state = NBD_LINK_READY;
		loop_timer_cancel(link->loop, &link->deadline);
		link->ready(link);
	}
}

void nbd_link_kick(struct nbd_link *link)
{
	loop_defer(link->loop, &link->look);
}

static void notify(struct nbd_link *link, unsigned int direction)
{
	unsigned int wanted = nbd_aio_get_direction(link->handle);
	int status = 0;

	if (wanted & direction & LIBNBD_AIO_DIRECTION_READ)
		status = nbd_aio_notify_read(link->handle);
	else if (wanted & direction & LIBNBD_AIO_DIRECTION_WRITE)
		status = nbd_aio_notify_write(link->handle);
	if (status < 0 && is_gone(link) && link->reason[0] == '\0')
		keep_reason(link, library_words());
	look(&link->look);
}

static void polled(struct nbd_link *link, unsigned int direction, int result)
{
	if (link->ended)
		free_if_unused(link);
	else if (link->state == NBD_LINK_LOST)
		return;
	else if (result < 0)
		nbd_link_break(link, strerror(-result));
	else
		notify(link, direction);
}

static void on_read_poll(struct loop_io *io, int result)
{
	struct nbd_link *link = io->owner;

	link->read_polled = false;
	polled(link, LIBNBD_AIO_DIRECTION_READ, result);
}

static void on_write_poll(struct loop_io *io, int result)
{
	struct nbd_link *link = io->owner;

	link->write_polled = false;
	polled(link, LIBNBD_AIO_DIRECTION_WRITE, result);
}

static void on_deadline(struct loop_timer *timer)
{
	struct nbd_link *link = timer->owner;

	nbd_link_break(link, "the server doesn't answer");
}

static void begin(struct nbd_link *link, int socket_fd)
{
	if (nbd_aio_connect_socket(link->handle, socket_fd) < 0)
		nbd_link_break(link, library_words());
	nbd_link_kick(link);
}

static void on_dialed(struct nbd_call *call, int fd, const char *reason)
{
	struct nbd_link *link = call->owner;

	link->dialing = false;
	if (fd < 0)
		nbd_link_break(link, reason);
	else
		begin(link, fd);
}

/* Returns: NULL without memory. */
static struct nbd_link *make(struct loop *loop, const char *export_name,
			     uint64_t timeout_ns)
{
	struct nbd_link *link = calloc(1, sizeof(*link));

	if (link)
		link->handle = nbd_link_make_handle(export_name);
	if (!link || !link->handle) {
		free(link);
		return NULL;
	}
	link->loop = loop;
	list_init(&link->requests);
	link->deadline.expired = on_deadline;
	link->deadline.owner = link;
	link->look.run = look;
	link->look.owner = link;
	link->call.answered = on_dialed;
	link->call.owner = link;
	loop_timer_arm(loop, &link->deadline, timeout_ns);
	return link;
}

int nbd_link_dial(struct loop *loop, const char *export_name,
		  struct nbd_dialer *dialer, uint64_t timeout_ns,
		  struct nbd_link **ret_link)
{
	struct nbd_link *link = make(loop, export_name, timeout_ns);

	if (!link)
		return -ENOMEM;
	link->dialing = true;
	nbd_dialer_call(dialer, loop, &link->call);
	*ret_link = link;
	return 0;
}

int nbd_link_start(struct loop *loop, const char *export_name, int socket_fd,
		   uint64_t timeout_ns, struct nbd_link **ret_link)
{
	struct nbd_link *link = make(loop, export_name, timeout_ns);

	if (!link) {
		fd_close(socket_fd);
		return -ENOMEM;
	}
	begin(link, socket_fd);
	*ret_link = link;
	return 0;
}

void nbd_link_end(struct nbd_link *link)
{
	if (!link)
		return;
	link->ended = true;
	loop_timer_cancel(link->loop, &link->deadline);
	loop_defer_cancel(link->loop, &link->look);
	if (link->read_polled)
		loop_cancel(link->loop, &link->read_poll);
	if (link->write_polled)
		loop_cancel(link->loop, &link->write_poll);
	hang_up(link);
	/* Says goodbye where it still can; then nothing is sent any more. */
	if (link->handle && nbd_aio_is_ready(link->handle) == 1)
		nbd_aio_disconnect(link->handle, 0);
	close_handle(link);
	free_if_unused(link);
}
