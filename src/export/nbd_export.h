/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_export.h - what the connections of an export share (inside src/export
 * only).
 */
#ifndef FOREBAY_EXPORT_NBD_EXPORT_H
#define FOREBAY_EXPORT_NBD_EXPORT_H

#include "acceptor.h"
#include "list.h"
#include "nbd.h"
#include "nbd_protocol.h"

#define NBD_TRASH_BYTES (128u << 10)
/* The disk, and the disk to read only. */
#define NBD_EXPORT_NAMES 2u

struct nbd_counts {
	uint64_t connections; /* since the start */
	uint64_t connections_refused;
	uint64_t connections_broken; /* hung up on, for what they sent */
	uint64_t errors; /* replies that say so */
};

struct nbd_export {
	struct loop *loop;
	struct pipeline *pipeline; /* NULL: parked */
	struct nbd_terms terms[NBD_EXPORT_NAMES]; /* the default first */
	char name[NBD_NAME_BYTES_MAX + 1];
	char read_only_name[NBD_NAME_BYTES_MAX + 1];
	char description[NBD_NAME_BYTES_MAX + 1];
	char *socket_path;
	unsigned int connections_max;
	uint64_t handshake_timeout_ns;
	uint64_t linger_timeout_ns;

	int listen_fd;
	bool parking;
	bool stopping;
	struct acceptor acceptor;
	struct list connections;
	unsigned int connection_count;
	struct nbd_counts counts;
	uint64_t complained_ns; /* when a client was last logged */

	struct loop_deferred park;
	void (*park_done)(void *context);
	void *park_context;

	struct loop_deferred stopped;
	void (*stop_done)(void *context);
	void *stop_context;

	/* Payload that is refused lands here; never read. */
	uint8_t trash[NBD_TRASH_BYTES];
};

/* Counts a client that was hung up on, and logs it, but no more than one a
 * second: a client can't fill the log. */
void nbd_export_complain(struct nbd_export *export, uint32_t connection,
			 const char *complaint);
/* Whether a request may be given to the pipeline now. */
static inline bool nbd_export_serves(const struct nbd_export *export)
{
	return export->pipeline && !export->parking;
}
/* A request that was the pipeline's is not any more. */
static inline void nbd_export_progressed(struct nbd_export *export)
{
	if (export->parking)
		loop_defer(export->loop, &export->park);
}
/* A connection is gone. */
void nbd_export_connection_gone(struct nbd_export *export);

#endif
