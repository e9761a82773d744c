/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd.h - the NBD server of a disk, on a unix socket.
 *
 * Fixed newstyle with structured replies; every command of the protocol on
 * every chain, block status by base:allocation and forebay:dirty. The disk has
 * two names: its own, and one with NBD_READ_ONLY_SUFFIX for those who only
 * read, such as a backup beside the VM. Several connections serve the same disk
 * and a flush on one covers what any of them was told is written: the pipeline
 * knows no connections. Requests must be aligned to 512 bytes, which is
 * published.
 *
 * An export may be parked: it has no pipeline, negotiates with who connects,
 * and lets requests wait until it gets one. A client keeps the size that it was
 * told when it connected, whatever the disk grows to: the protocol has no word
 * to tell it of another.
 *
 *   create -> serving --park--> parked --unpark--> serving -> stop -> done()
 *                                  `-------------------------^     -> destroy
 *
 * Thread: everything on the disk's loop.
 */
#ifndef FOREBAY_EXPORT_NBD_H
#define FOREBAY_EXPORT_NBD_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "loop.h"
#include "pipeline.h"

struct nbd_export;

#define NBD_READ_ONLY_SUFFIX "-ro"
#define NBD_EXPORT_NAME_BYTES_MAX 252u

/* Copied. Zero and NULL stand for the defaults that are named. */
struct nbd_options {
	const char *socket_path; /* at most 107 bytes; needed */
	const char *export_name; /* at most 252 bytes; "" */
	const char *description; /* for people, at most 255 bytes; "" */
	mode_t socket_mode; /* 0660 */
	unsigned int connections_max; /* 16; one more is hung up on */
	uint64_t handshake_timeout_ns; /* 30 s from connect to first request */
	uint64_t linger_timeout_ns; /* 5 s for a client to take its replies */
};

/*
 * Listens at once; serves when the loop runs.
 * Order: @pipeline lives longer than the export, or until it is parked.
 */
int nbd_export_create(struct loop *loop, struct pipeline *pipeline,
		      const struct nbd_options *options,
		      struct nbd_export **ret_export, struct error *error);
/*
 * Takes no more requests, lets those in flight end and forgets the pipeline;
 * then calls done(), once, never from inside this call. Clients stay connected.
 * Order: it serves.
 */
void nbd_export_park(struct nbd_export *export, void (*done)(void *context),
		     void *context);
/* Goes on with what waits. Who connects from now on is told the disk's size. */
void nbd_export_unpark(struct nbd_export *export, struct pipeline *pipeline);
/*
 * Takes no more requests, lets those in flight finish and be answered, closes
 * the connections and calls done(). The socket's path is gone at once. Once.
 */
void nbd_export_stop(struct nbd_export *export, void (*done)(void *context),
		     void *context);
/* Only when stop's done() was called. NULL is fine. */
void nbd_export_destroy(struct nbd_export *export);

/* Returns: a new object of counters and states, or NULL without memory. */
json_t *nbd_export_stats(const struct nbd_export *export);

#endif
