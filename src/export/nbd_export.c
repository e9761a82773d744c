/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_export.c - the NBD server of a disk: its socket, clients and end.
 *
 * Runs on the loop, but for nbd_export_create(). What it offers is fixed when
 * it is made, but for the size.
 *
 * Parking asks nothing of the connections: they look whether there is a
 * pipeline when a request is whole, and what is in flight ends by itself.
 */
#include "nbd_export.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "listen_socket.h"
#include "log.h"
#include "nbd_connection.h"

#define CONNECTIONS_MAX_DEFAULT 16u
#define SOCKET_MODE_DEFAULT 0660
#define HANDSHAKE_TIMEOUT_NS UINT64_C(30000000000)
#define LINGER_TIMEOUT_NS UINT64_C(5000000000)
#define COMPLAINT_PAUSE_NS UINT64_C(1000000000)

static_assert(NBD_EXPORT_NAME_BYTES_MAX + sizeof(NBD_READ_ONLY_SUFFIX) - 1 <=
		      NBD_NAME_BYTES_MAX,
	      "both names fit");

/* The pipeline takes all of it on every chain. */
static uint16_t offered_flags(bool read_only)
{
	unsigned int flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH |
			     NBD_FLAG_SEND_FUA | NBD_FLAG_CAN_MULTI_CONN |
			     NBD_FLAG_SEND_CACHE;

	if (read_only)
		flags |= NBD_FLAG_READ_ONLY;
	else
		flags |= NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES |
			 NBD_FLAG_SEND_FAST_ZERO;
	return (uint16_t)flags;
}

static uint32_t in_flight(const struct nbd_export *export)
{
	uint32_t count = 0;

	list_for_each (node, &export->connections)
		count += list_entry(node, struct nbd_connection, node)
				 ->in_flight;
	return count;
}

static void park_advance(struct loop_deferred *deferred)
{
	struct nbd_export *export = deferred->owner;

	if (!export->parking || in_flight(export) > 0)
		return;
	export->parking = false;
	export->pipeline = NULL;
	export->park_done(export->park_context);
}

/* Ends the stop when nothing is left to wait for. */
static void check_stopped(struct nbd_export *export)
{
	if (export->stopping && !export->acceptor.waiting &&
	    export->connection_count == 0)
		loop_defer(export->loop, &export->stopped);
}

static void stop_ended(struct loop_deferred *deferred)
{
	struct nbd_export *export = deferred->owner;
	void (*done)(void *context) = export->stop_done;

	export->stop_done = NULL;
	done(export->stop_context);
}

void nbd_export_complain(struct nbd_export *export, uint32_t connection,
			 const char *complaint)
{
	uint64_t now_ns = loop_now_ns(export->loop);

	export->counts.connections_broken++;
	if (export->complained_ns != 0 &&
	    now_ns - export->complained_ns < COMPLAINT_PAUSE_NS)
		return;
	export->complained_ns = now_ns;
	log_info("nbd %s: connection %u hung up on: the client %s",
		 export->socket_path, connection, complaint);
}

void nbd_export_connection_gone(struct nbd_export *export)
{
	export->connection_count--;
	check_stopped(export);
}

static void admit(struct nbd_export *export, int fd)
{
	if (export->connection_count >= export->connections_max) {
		if (export->counts.connections_refused++ == 0)
			log_warning("nbd %s: more than %u clients: hung up on "
				    "the last one",
				    export->socket_path,
				    export->connections_max);
		fd_close(fd);
		return;
	}
	export->counts.connections++;
	if (nbd_connection_create(export, fd) < 0)
		log_error("nbd %s: no memory for a client",
			  export->socket_path);
	else
		export->connection_count++;
}

static void accepted(struct acceptor *acceptor, int fd)
{
	struct nbd_export *export = acceptor->owner;

	if (fd < 0)
		log_warning("nbd %s: can't accept a client: %s",
			    export->socket_path, strerror(-fd));
	else
		admit(export, fd);
}

static void accepts_no_more(struct acceptor *acceptor)
{
	check_stopped(acceptor->owner);
}

static int check_options(const struct nbd_options *options, struct error *error)
{
	if (!options->socket_path || !options->socket_path[0])
		return error_set(error, -EINVAL, "NBD export without a socket");
	if (options->export_name &&
	    strlen(options->export_name) > NBD_EXPORT_NAME_BYTES_MAX)
		return error_set(error, -EINVAL,
				 "NBD export name longer than %u bytes",
				 NBD_EXPORT_NAME_BYTES_MAX);
	if (options->description &&
	    strlen(options->description) > NBD_NAME_BYTES_MAX)
		return error_set(error, -EINVAL,
				 "NBD description longer than %u bytes",
				 NBD_NAME_BYTES_MAX);
	return 0;
}

static void set_terms(struct nbd_export *export)
{
	snprintf(export->read_only_name, sizeof(export->read_only_name),
		 "%s" NBD_READ_ONLY_SUFFIX, export->name);
	export->terms[0] = (struct nbd_terms){
		.size_bytes = pipeline_size_bytes(export->pipeline),
		.flags = offered_flags(pipeline_read_only(export->pipeline)),
		.name = export->name,
		.description = export->description,
	};
	export->terms[1] = export->terms[0];
	export->terms[1].flags = offered_flags(true);
	export->terms[1].name = export->read_only_name;
}

static void apply_options(struct nbd_export *export,
			  const struct nbd_options *options)
{
	if (options->export_name)
		memcpy(export->name, options->export_name,
		       strlen(options->export_name) + 1);
	if (options->description)
		memcpy(export->description, options->description,
		       strlen(options->description) + 1);
	export->connections_max = options->connections_max
					  ? options->connections_max
					  : CONNECTIONS_MAX_DEFAULT;
	export->handshake_timeout_ns = options->handshake_timeout_ns
					       ? options->handshake_timeout_ns
					       : HANDSHAKE_TIMEOUT_NS;
	export->linger_timeout_ns = options->linger_timeout_ns
					    ? options->linger_timeout_ns
					    : LINGER_TIMEOUT_NS;
	set_terms(export);
}

int nbd_export_create(struct loop *loop, struct pipeline *pipeline,
		      const struct nbd_options *options,
		      struct nbd_export **ret_export, struct error *error)
{
	mode_t mode = options->socket_mode ? options->socket_mode
					   : SOCKET_MODE_DEFAULT;
	struct nbd_export *export;
	int result = check_options(options, error);

	if (result < 0)
		return result;
	export = calloc(1, sizeof(*export));
	if (!export)
		return error_set(error, -ENOMEM, "NBD export: out of memory");
	export->loop = loop;
	export->pipeline = pipeline;
	list_init(&export->connections);
	export->acceptor = (struct acceptor){
		.accepted = accepted,
		.stopped = accepts_no_more,
		.owner = export,
	};
	export->park.run = park_advance;
	export->park.owner = export;
	export->stopped.run = stop_ended;
	export->stopped.owner = export;
	apply_options(export, options);
	export->socket_path = strdup(options->socket_path);
	result = export->socket_path
			 ? listen_socket_open(export->socket_path, mode,
					      &export->listen_fd, error)
			 : error_set(error, -ENOMEM,
				     "NBD export: out of memory");
	if (result < 0) {
		free(export->socket_path);
		free(export);
		return result;
	}
	acceptor_start(&export->acceptor, loop, export->listen_fd);
	*ret_export = export;
	return 0;
}

void nbd_export_park(struct nbd_export *export, void (*done)(void *context),
		     void *context)
{
	assert(nbd_export_serves(export) && !export->stopping);
	export->parking = true;
	export->park_done = done;
	export->park_context = context;
	loop_defer(export->loop, &export->park);
}

void nbd_export_unpark(struct nbd_export *export, struct pipeline *pipeline)
{
	assert(!export->pipeline && !export->stopping);
	export->pipeline = pipeline;
	for (unsigned int i = 0; i < NBD_EXPORT_NAMES; i++)
		export->terms[i].size_bytes = pipeline_size_bytes(pipeline);
	list_for_each (node, &export->connections)
		nbd_connection_resume(
			list_entry(node, struct nbd_connection, node));
}

void nbd_export_stop(struct nbd_export *export, void (*done)(void *context),
		     void *context)
{
	assert(!export->stopping);
	export->stopping = true;
	export->stop_done = done;
	export->stop_context = context;
	unlink(export->socket_path);
	/* What it waits for are the same requests. */
	export->parking = false;
	acceptor_stop(&export->acceptor);
	list_for_each (node, &export->connections)
		nbd_connection_finish(
			list_entry(node, struct nbd_connection, node));
	check_stopped(export);
}

void nbd_export_destroy(struct nbd_export *export)
{
	if (!export)
		return;
	assert(export->stopping && !export->stop_done);
	fd_close(export->listen_fd);
	free(export->socket_path);
	free(export);
}

json_t *nbd_export_stats(const struct nbd_export *export)
{
	const struct nbd_counts *counts = &export->counts;

	return json_pack(
		"{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "socket",
		export->socket_path, "name", export->name, "read_only_name",
		export->read_only_name, "connections",
		(json_int_t) export->connection_count, "in_flight",
		(json_int_t)in_flight(export), "connections_total",
		(json_int_t)counts->connections, "connections_refused",
		(json_int_t)counts->connections_refused, "connections_broken",
		(json_int_t)counts->connections_broken, "reply_errors",
		(json_int_t)counts->errors);
}
