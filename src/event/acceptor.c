// SPDX-License-Identifier: Apache-2.0
/* acceptor.c - accept, hand over, accept. */
#include "acceptor.h"

#include <errno.h>

#include "clock.h"
#include "fd.h"

#define RETRY_NS (100 * NS_PER_MS)

static void accept_next(struct acceptor *acceptor)
{
	acceptor->waiting = true;
	loop_accept(acceptor->loop, &acceptor->io, acceptor->fd);
}

static void accepted(struct loop_io *io, int result)
{
	struct acceptor *acceptor = io->owner;

	acceptor->waiting = false;
	if (acceptor->stopping) {
		fd_close(result);
		acceptor->stopped(acceptor);
		return;
	}
	/* The loop is being destroyed. */
	if (result == -ECANCELED)
		return;
	acceptor->accepted(acceptor, result);
	if (result < 0)
		loop_timer_arm(acceptor->loop, &acceptor->retry, RETRY_NS);
	else
		accept_next(acceptor);
}

static void retry(struct loop_timer *timer)
{
	accept_next(timer->owner);
}

void acceptor_start(struct acceptor *acceptor, struct loop *loop, int fd)
{
	acceptor->loop = loop;
	acceptor->fd = fd;
	acceptor->io.done = accepted;
	acceptor->io.owner = acceptor;
	acceptor->retry.expired = retry;
	acceptor->retry.owner = acceptor;
	accept_next(acceptor);
}

bool acceptor_stop(struct acceptor *acceptor)
{
	acceptor->stopping = true;
	loop_timer_cancel(acceptor->loop, &acceptor->retry);
	if (!acceptor->waiting)
		return true;
	loop_cancel(acceptor->loop, &acceptor->io);
	return false;
}
