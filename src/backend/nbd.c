// SPDX-License-Identifier: Apache-2.0
/*
 * nbd.c - the "nbd:" driver: a disk on an NBD server.
 *
 * The first connection tells what the export is; if the server is coherent over
 * several, the others follow. From then on connections are kept up for ever:
 * one that breaks is made anew, with growing delays, and no request fails for
 * it. There is no time limit for requests either: a server that hangs for hours
 * and then answers was slow.
 *
 * An NBD server can't be told to stop what a former connection asked for, so
 * late writes are possible: docs/adr/0013-nbd-has-no-fence.md.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "nbd_private.h"

static void keep_reason(struct nbd *nbd, const char *words)
{
	snprintf(nbd->reason, sizeof(nbd->reason), "%s", words);
}

static void destroy(struct nbd *nbd)
{
	loop_timer_cancel(nbd->loop, &nbd->retry);
	for (unsigned int i = 0; i < NBD_CONNECTIONS; i++)
		nbd_link_end(nbd->connections[i]);
	nbd_dialer_end(nbd->dialer);
	nbd_uri_release(&nbd->address);
	nbd_io_release(nbd);
	free(nbd);
}

/* From the loop, as all of this. The words are in request->error. */
static void refuse(struct nbd *nbd)
{
	struct backend_open_request *request = nbd->request;
	struct loop *loop = nbd->loop;

	destroy(nbd);
	backend_refuse(loop, request);
}

static void answer_opened(struct loop_deferred *deferred)
{
	struct nbd *nbd = deferred->owner;
	struct backend_open_request *request = nbd->request;

	nbd->request = NULL;
	request->done(request, 0, &nbd->backend, &request->error);
}

static void fill_info(struct nbd *nbd)
{
	struct backend_info *info = &nbd->backend.info;
	const struct nbd_facts *facts = &nbd->facts;

	info->size_bytes = facts->size_bytes;
	info->resized_elsewhere = true;
	info->alignment_bytes = NBD_SECTOR_BYTES;
	info->late_writes = BACKEND_LATE_WRITES_POSSIBLE;
	info->sidecar = BACKEND_SIDECAR_BY_UUID;
	info->volatile_cache = facts->flush;
	info->operations = 1u << BACKEND_READ | 1u << BACKEND_FLUSH;
	if (facts->block_status)
		info->operations |= 1u << BACKEND_EXTENTS;
	if (facts->cache)
		info->operations |= 1u << BACKEND_CACHE;
	if (nbd->read_only)
		return;
	info->operations |= 1u << BACKEND_WRITE | 1u << BACKEND_WRITE_ZEROES;
	if (facts->trim)
		info->operations |= 1u << BACKEND_DISCARD;
}

/* Of the first connection. Returns: 0, or -errno with words. */
static int learn(struct nbd *nbd, struct nbd_link *link)
{
	struct error *error = &nbd->request->error;
	struct error why = {0};
	int status = nbd_facts_read(link->handle, &nbd->facts, &why);

	if (status < 0)
		return error_set(error, status, "backend %s: %s", nbd->uri,
				 why.message);
	if (nbd->facts.read_only && !nbd->read_only)
		return error_set(error, -EROFS,
				 "backend %s: the export is read-only",
				 nbd->uri);
	if (nbd->facts.multi_conn)
		nbd->connections_wanted = NBD_CONNECTIONS;
	fill_info(nbd);
	return 0;
}

static void start_missing(struct nbd *nbd);

static void retry_later(struct nbd *nbd)
{
	uint64_t delay_ns = nbd->retry_ns;

	if (nbd->retry.armed)
		return;
	nbd->retry_ns = delay_ns * 2 < NBD_RETRY_MAX_NS ? delay_ns * 2
							: NBD_RETRY_MAX_NS;
	loop_timer_arm(nbd->loop, &nbd->retry, delay_ns);
}

static void drop(struct nbd *nbd, const struct nbd_link *link)
{
	for (unsigned int i = 0; i < NBD_CONNECTIONS; i++) {
		if (nbd->connections[i] == link)
			nbd->connections[i] = NULL;
	}
}

/* While the disk is being opened: again, or enough? */
static void attempt_failed(struct nbd *nbd)
{
	struct backend_open_request *request = nbd->request;
	char reason[NBD_REASON_BYTES + 64];

	if (clock_monotonic_ns() >= nbd->deadline_ns) {
		error_set(&request->error, -EHOSTUNREACH, "backend %s: %s",
			  nbd->uri, nbd->reason);
		refuse(nbd);
		return;
	}
	if (!nbd->told_waiting) {
		nbd->told_waiting = true;
		snprintf(reason, sizeof(reason),
			 "waiting for the NBD server: "
			 "%s",
			 nbd->reason);
		log_info("backend %s: %s", nbd->uri, reason);
		if (request->waiting)
			request->waiting(request, reason);
	}
	retry_later(nbd);
}

static void report_loss(struct nbd *nbd)
{
	nbd->losses++;
	if (nbd->connections_ready > 0)
		return;
	nbd->state_since_ns = loop_now_ns(nbd->loop);
	log_warning("backend %s: connection lost (%s); requests wait for the "
		    "server",
		    nbd->uri, nbd->reason);
}

static void on_lost(struct nbd_link *link)
{
	struct nbd *nbd = link->owner;
	bool was_ready = link->was_ready;

	keep_reason(nbd, link->reason);
	drop(nbd, link);
	if (was_ready) {
		nbd->connections_ready--;
		report_loss(nbd);
		nbd_io_lost(nbd);
	}
	nbd_link_end(link);
	if (nbd->request && nbd->connections_ready == 0)
		attempt_failed(nbd);
	else
		retry_later(nbd);
}

static void opened(struct nbd *nbd)
{
	struct backend_open_request *request = nbd->request;

	request->answer = (struct loop_deferred){
		.run = answer_opened,
		.owner = nbd,
	};
	loop_defer(nbd->loop, &request->answer);
}

/* Returns: whether @link leads to what the disk was opened with. */
static bool suits(struct nbd *nbd, struct nbd_link *link)
{
	struct nbd_facts found;
	struct error why = {0};
	int status = nbd_facts_read(link->handle, &found, &why);

	if (status == 0)
		status = nbd_facts_compare(&nbd->facts, &found, nbd->read_only,
					   &why);
	if (status == 0)
		return true;
	if (strcmp(nbd->reason, why.message) != 0)
		log_error("backend %s: %s; requests wait until that is mended",
			  nbd->uri, why.message);
	nbd_link_break(link, why.message);
	return false;
}

static void on_ready(struct nbd_link *link)
{
	struct nbd *nbd = link->owner;
	bool first = !nbd->known;

	if (first && learn(nbd, link) < 0) {
		refuse(nbd);
		return;
	}
	if (!first && !suits(nbd, link))
		return;
	nbd->known = true;
	link->was_ready = true;
	nbd->retry_ns = nbd->ways.retry_first_ns;
	nbd->connections_ready++;
	if (nbd->connections_ready == 1) {
		if (!first)
			log_info("backend %s: connected again", nbd->uri);
		nbd->state_since_ns = loop_now_ns(nbd->loop);
	}
	nbd_hold_start_clock(&nbd->hold, loop_now_ns(nbd->loop));
	nbd_io_run_later(nbd);
	if (first)
		opened(nbd);
	start_missing(nbd);
}

static int start_link(struct nbd *nbd, struct nbd_link **ret_link)
{
	const char *name = nbd->address.export_name;

	if (nbd->ways.dial)
		return nbd_link_start(nbd->loop, name,
				      nbd->ways.dial(nbd->ways.owner),
				      NBD_CONNECT_TIMEOUT_NS, ret_link);
	return nbd_link_dial(nbd->loop, name, nbd->dialer,
			     NBD_CONNECT_TIMEOUT_NS, ret_link);
}

static void start_missing(struct nbd *nbd)
{
	for (unsigned int i = 0; i < nbd->connections_wanted; i++) {
		struct nbd_link *link;

		if (nbd->connections[i])
			continue;
		if (start_link(nbd, &link) < 0) {
			keep_reason(nbd, "no memory for a connection");
			retry_later(nbd);
			return;
		}
		link->ready = on_ready;
		link->lost = on_lost;
		link->owner = nbd;
		nbd->connections[i] = link;
		/* The others when the first has shown that there is a server.
		 */
		if (nbd->connections_ready == 0)
			return;
	}
}

static void on_retry(struct loop_timer *timer)
{
	start_missing(timer->owner);
}

/* Returns: 0, or a negative errno with words. */
static int get_dialer(struct nbd *nbd)
{
	struct error *error = &nbd->request->error;
	int status = nbd_uri_parse(nbd->uri, &nbd->address, error);

	if (status < 0 || nbd->ways.dial)
		return status;
	if (nbd->request->keep)
		status = nbd_dialer_keep(nbd->uri, error);
	if (status < 0)
		return status;
	nbd->dialer = nbd_dialer_kept(nbd->uri);
	return nbd->dialer ? 0
			   : nbd_dialer_start(nbd->uri, &nbd->address,
					      &nbd->dialer, error);
}

void nbd_open_with(struct loop *loop, struct backend_open_request *request,
		   const char *uri, const struct nbd_ways *ways)
{
	struct nbd *nbd = calloc(1, sizeof(*nbd) + strlen(uri) + 1);

	if (!nbd) {
		error_set(&request->error, -ENOMEM, "backend %s: no memory",
			  uri);
		backend_refuse(loop, request);
		return;
	}
	memcpy(nbd->uri, uri, strlen(uri) + 1);
	nbd->loop = loop;
	nbd->request = request;
	nbd->read_only = request->read_only;
	nbd->connections_wanted = 1;
	nbd->ways = *ways;
	nbd->retry_ns = ways->retry_first_ns;
	nbd->retry.expired = on_retry;
	nbd->retry.owner = nbd;
	nbd->state_since_ns = loop_now_ns(loop);
	if (__builtin_add_overflow(clock_monotonic_ns(),
				   request->lock_timeout_ns, &nbd->deadline_ns))
		nbd->deadline_ns = UINT64_MAX;
	nbd_io_init(nbd);
	nbd->backend.driver = &nbd_driver;
	if (get_dialer(nbd) < 0)
		refuse(nbd);
	else
		start_missing(nbd);
}

static int nbd_keep(const char *uri, bool read_only, struct error *error)
{
	(void)read_only;
	return nbd_dialer_keep(uri, error);
}

static void nbd_open(struct loop *loop, struct backend_open_request *request,
		     const char *uri)
{
	const struct nbd_ways ways = {
		.retry_first_ns = NBD_RETRY_FIRST_NS,
		.late_write_hold_ns = NBD_LATE_WRITE_HOLD_NS,
	};

	nbd_open_with(loop, request, uri, &ways);
}

static void nbd_close_backend(struct backend *backend)
{
	struct nbd *nbd = container_of(backend, struct nbd, backend);

	assert(nbd->in_flight == 0);
	destroy(nbd);
}

static void nbd_status(const struct backend *backend,
		       struct backend_status *ret_status)
{
	const struct nbd *nbd = container_of(backend, struct nbd, backend);

	*ret_status = (struct backend_status){
		.state = nbd->connections_ready > 0 ? "connected"
						    : "reconnecting",
		.state_ns = loop_now_ns(nbd->loop) - nbd->state_since_ns,
		.reason = nbd->reason,
		.connections = nbd->connections_ready,
		.waiting = nbd_io_waiting(nbd),
		.losses = nbd->losses,
		.copied_bytes = nbd->copied_bytes,
	};
}

static int nbd_grow(struct backend *backend, uint64_t size_bytes,
		    struct error *error)
{
	const struct nbd *nbd = container_of(backend, struct nbd, backend);

	(void)size_bytes;
	return error_set(error, -EOPNOTSUPP,
			 "backend %s: has %" PRIu64
			 " bytes: make the export larger at its server first",
			 nbd->uri, nbd->facts.size_bytes);
}

static int nbd_make(const char *uri, uint64_t size_bytes, struct error *error)
{
	(void)size_bytes;
	return error_set(error, -ENOTSUP,
			 "backend %s: NBD can't make an export; make it at the "
			 "server, then create the disk without a size",
			 uri);
}

static int nbd_remove(const char *uri, struct error *error)
{
	return error_set(error, -ENOTSUP,
			 "backend %s: NBD can't delete an export; do it at the "
			 "server",
			 uri);
}

const struct backend_driver nbd_driver = {
	.scheme = "nbd",
	.whole_uri = true,
	.keep = nbd_keep,
	.open = nbd_open,
	.submit = nbd_submit,
	.close = nbd_close_backend,
	.grow = nbd_grow,
	.status = nbd_status,
	.probe = nbd_probe,
	.make = nbd_make,
	.remove = nbd_remove,
};

const struct backend_driver nbd_unix_driver = {
	.scheme = "nbd+unix",
	.whole_uri = true,
	.keep = nbd_keep,
	.open = nbd_open,
	.probe = nbd_probe,
	.make = nbd_make,
	.remove = nbd_remove,
};
