// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_io.c - requests in their states.
 *
 *               .------- connection broke --------.
 *               v                                 |
 *   submit -> waiting -> in a connection's list -> ended -> done()
 *               '--------- refused ----------------^
 *
 * All operations are idempotent, so what was in flight when a connection broke
 * simply waits again and is issued again. nbd_hold.c says in which order.
 *
 * A flush has a memory of its own. What the server has acknowledged and we
 * haven't flushed may be gone when we find it again: it may have crashed, and
 * the protocol has no word for that. So the first flush after a break that
 * should have covered such changes fails, once: who sent them must send them
 * again, or knows that they may be lost. To report success would be a lie.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "log.h"
#include "nbd_command.h"

static bool changes(const struct backend_io *io)
{
	return io->operation == BACKEND_WRITE ||
	       io->operation == BACKEND_DISCARD ||
	       io->operation == BACKEND_WRITE_ZEROES;
}

void nbd_io_run_later(struct nbd *nbd)
{
	loop_defer(nbd->loop, &nbd->run);
}

static struct nbd_task *take_request(struct nbd *nbd, struct backend_io *io)
{
	struct list *node = list_take_first(&nbd->free_requests);
	struct nbd_task *task = node ? list_entry(node, struct nbd_task, node)
				     : malloc(sizeof(*task));

	if (!task)
		return NULL;
	*task = (struct nbd_task){.nbd = nbd, .io = io};
	list_init(&task->node);
	nbd_hold_request_init(&task->hold, ++nbd->last_sequence, io->offset,
			      io->length, changes(io));
	return task;
}

static struct nbd_link *choose_connection(struct nbd *nbd)
{
	for (unsigned int i = 0; i < NBD_CONNECTIONS; i++) {
		struct nbd_link *link = nbd->connections[nbd->next_connection];

		nbd->next_connection =
			(nbd->next_connection + 1) % NBD_CONNECTIONS;
		if (link && link->state == NBD_LINK_READY)
			return link;
	}
	return NULL;
}

/* Returns: false if it must wait. It is in no list. */
static bool try_issue(struct nbd_task *task)
{
	struct nbd *nbd = task->nbd;

	if (!nbd_hold_may_issue(&nbd->hold, &task->hold))
		return false;
	task->link = choose_connection(nbd);
	if (!task->link)
		return false;
	nbd_command_issue(task);
	return true;
}

/* In order of submission: what waits again is older than most. */
static void wait(struct nbd_task *task)
{
	struct list *waiting = &task->nbd->waiting;
	struct list *position = waiting;

	while (position->previous != waiting &&
	       list_entry(position->previous, struct nbd_task, node)
			       ->hold.sequence > task->hold.sequence)
		position = position->previous;
	list_insert_before(position, &task->node);
}

static void issue_or_wait(struct nbd_task *task)
{
	if (!try_issue(task))
		wait(task);
}

static int settle_flush(const struct nbd_task *task)
{
	struct nbd *nbd = task->nbd;
	bool whole = task->io->operation == BACKEND_FLUSH;

	if (task->doubtful && !whole)
		return 0; /* it was about one write, which is there */
	if (task->covers_count > nbd->flushed_count)
		nbd->flushed_count = task->covers_count;
	if (!task->doubtful)
		return 0;
	log_error("backend %s: the connection broke with changes that were "
		  "acknowledged and not flushed, which the server may have "
		  "forgotten: a flush fails, so that they are written again",
		  nbd->uri);
	return -EIO;
}

static void finish(struct nbd_task *task)
{
	struct nbd *nbd = task->nbd;
	struct backend_io *io = task->io;
	int result = task->result;

	if (result == 0 && task->covers_count + task->doubtful > 0)
		result = settle_flush(task);
	if (result == 0 && task->hold.changes && !(io->flags & BACKEND_FUA))
		nbd->change_count++;
	nbd_hold_ended(&task->hold);
	nbd_command_reset(task);
	list_append(&nbd->free_requests, &task->node);
	nbd->in_flight--;
	io->done(io, result);
}

static void begin_again(struct nbd_task *task)
{
	struct nbd_link *link = task->link;

	/* A server that is about to go gets no more. */
	if (link && link->state == NBD_LINK_READY)
		nbd_link_break(link, "the server shuts down");
	nbd_hold_broken(&task->nbd->hold, &task->hold);
	nbd_command_reset(task);
	wait(task);
}

static void ended(struct nbd_task *task)
{
	/* A part of an answer about extents is an answer. */
	if (task->lost && !task->extents_given) {
		begin_again(task);
		return;
	}
	if (task->lost)
		task->result = 0;
	if (task->result == 0 && nbd_command_goes_on(task)) {
		task->link = NULL;
		issue_or_wait(task);
		return;
	}
	finish(task);
}

static void take_ended(struct nbd *nbd)
{
	struct list list;
	struct list *node;

	/* What ends meanwhile has its turn next time. */
	list_init(&list);
	list_append_all(&list, &nbd->ended);
	while ((node = list_take_first(&list)))
		ended(list_entry(node, struct nbd_task, node));
}

static void issue_waiting(struct nbd *nbd)
{
	uint64_t now = loop_now_ns(nbd->loop);
	uint64_t next;

	nbd_hold_expire(&nbd->hold, now);
	if (nbd->connections_ready > 0) {
		list_for_each_safe (node, &nbd->waiting) {
			struct nbd_task *task =
				list_entry(node, struct nbd_task, node);

			list_remove(node);
			if (!try_issue(task))
				list_insert_before(node_next, node);
		}
	}
	next = nbd_hold_next_ns(&nbd->hold);
	if (next != UINT64_MAX)
		loop_timer_arm(nbd->loop, &nbd->release, next - now);
}

static void take_refused(struct nbd *nbd)
{
	struct backend_io *io = nbd->refused;

	nbd->refused = NULL;
	while (io) {
		struct backend_io *next = io->driver_private[0];

		nbd->in_flight--;
		io->done(io, -ENOMEM);
		io = next;
	}
}

static void run(struct loop_deferred *deferred)
{
	struct nbd *nbd = deferred->owner;

	take_refused(nbd);
	take_ended(nbd);
	if (!list_is_empty(&nbd->waiting) || nbd->hold.suspect_count > 0)
		issue_waiting(nbd);
}

static void on_release(struct loop_timer *timer)
{
	nbd_io_run_later(timer->owner);
}

void nbd_submit(struct backend *backend, struct backend_io *io)
{
	struct nbd *nbd = container_of(backend, struct nbd, backend);
	struct nbd_task *task = take_request(nbd, io);

	assert(io->offset % NBD_SECTOR_BYTES == 0 &&
	       io->length % NBD_SECTOR_BYTES == 0);
	nbd->in_flight++;
	if (!task) {
		io->driver_private[0] = nbd->refused;
		nbd->refused = io;
		nbd_io_run_later(nbd);
		return;
	}
	task->result = nbd_command_judge(nbd, io);
	if (task->result < 0) {
		list_append(&nbd->ended, &task->node);
		nbd_io_run_later(nbd);
		return;
	}
	issue_or_wait(task);
}

void nbd_io_lost(struct nbd *nbd)
{
	take_ended(nbd);
	if (nbd->facts.flush && nbd->change_count > nbd->flushed_count)
		nbd->doubtful_count = nbd->change_count;
	if (nbd->connections_ready > 0)
		nbd_hold_start_clock(&nbd->hold, loop_now_ns(nbd->loop));
	nbd_io_run_later(nbd);
}

unsigned int nbd_io_waiting(const struct nbd *nbd)
{
	unsigned int count = 0;

	list_for_each (node, &nbd->waiting) {
		(void)node;
		count++;
	}
	return count;
}

void nbd_io_init(struct nbd *nbd)
{
	list_init(&nbd->waiting);
	list_init(&nbd->ended);
	list_init(&nbd->free_requests);
	nbd->run.run = run;
	nbd->run.owner = nbd;
	nbd->release.expired = on_release;
	nbd->release.owner = nbd;
	nbd_hold_init(&nbd->hold, nbd->ways.late_write_hold_ns);
}

void nbd_io_release(struct nbd *nbd)
{
	loop_defer_cancel(nbd->loop, &nbd->run);
	loop_timer_cancel(nbd->loop, &nbd->release);
	list_for_each_safe (node, &nbd->free_requests) {
		free(list_entry(node, struct nbd_task, node));
	}
	while (nbd->bounces_kept > 0)
		free(nbd->bounces[--nbd->bounces_kept]);
}
