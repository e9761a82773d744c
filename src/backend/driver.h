/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.h - what a backend driver is; for this folder only.
 *
 * A driver is a table of functions in a file of its own, listed in backend.c.
 * The part of the URI behind "scheme:" is called the location; a driver of
 * several schemes gets the whole URI instead.
 */
#ifndef FOREBAY_BACKEND_DRIVER_H
#define FOREBAY_BACKEND_DRIVER_H

#include "backend.h"

/* A driver's own object begins with this. */
struct backend {
	const struct backend_driver *driver;
	struct backend_info info;
};

struct backend_driver {
	const char *scheme;
	/* As backend_keep(); NULL: an open needs nothing that a sandbox
	 * forbids.
	 */
	int (*keep)(const char *location, bool read_only, struct error *error);
	bool whole_uri;
	/* As backend_open(): never answers from inside. */
	void (*open)(struct loop *loop, struct backend_open_request *request,
		     const char *location);
	void (*submit)(struct backend *backend, struct backend_io *io);
	void (*close)(struct backend *backend);
	int (*grow)(struct backend *backend, uint64_t size_bytes,
		    struct error *error);
	/* May be NULL: changes can't be seen. */
	void (*facts)(const struct backend *backend,
		      struct backend_facts *ret_facts);
	/* May be NULL: nothing can be beside it. As backend_beside(). */
	bool (*beside)(const char *location, char *ret_folder,
		       size_t folder_bytes);
	/* May be NULL. @ret_status is zeroed. */
	void (*status)(const struct backend *backend,
		       struct backend_status *ret_status);
	int (*probe)(const char *location, uint64_t *ret_size_bytes,
		     struct error *error);
	int (*make)(const char *location, uint64_t size_bytes,
		    struct error *error);
	int (*remove)(const char *location, struct error *error);
};

/* Answers an open that has failed with request->error, a turn later. */
void backend_refuse(struct loop *loop, struct backend_open_request *request);

/* Zeros in the caller's memory from byte @first of the operation on. */
void backend_clear(const struct backend_io *io, uint64_t first);

extern const struct backend_driver file_driver;
extern const struct backend_driver nbd_driver; /* nbd://HOST:PORT/EXPORT */
extern const struct backend_driver nbd_unix_driver; /* nbd+unix:///... */

#endif
