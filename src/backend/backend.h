/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h - where a disk's bytes live at last: a URI and its driver.
 *
 * A backend belongs to one loop. Opening is asynchronous, because it must wait
 * until the I/O of a killed predecessor has ended: the driver takes the image's
 * lock, and the kernel holds the predecessor's until its last I/O is done.
 * Operations may complete in any order and overlap; the layers above order
 * them.
 */
#ifndef FOREBAY_BACKEND_BACKEND_H
#define FOREBAY_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "error.h"
#include "loop.h"

struct backend;

enum backend_operation {
	BACKEND_READ,
	BACKEND_WRITE,
	BACKEND_FLUSH,
	BACKEND_DISCARD,
	BACKEND_WRITE_ZEROES,
	/*
	 * What the range holds: the driver calls add_extent() for one piece
	 * after the other. It may stop early, and then the caller asks on. A
	 * driver that can't tell leaves it out of its operations: all is taken
	 * for data then.
	 */
	BACKEND_EXTENTS,
	/* A hint: the range will be read soon. */
	BACKEND_CACHE,
};

#define BACKEND_FUA (1u << 0)
#define BACKEND_NO_HOLE (1u << 1)
/* WRITE_ZEROES: -EOPNOTSUPP, and no change, unless faster than a write. */
#define BACKEND_FAST (1u << 2)

/* What an extent is; without a flag: data, or not known. */
#define BACKEND_EXTENT_HOLE (1u << 0) /* takes no space */
#define BACKEND_EXTENT_ZERO (1u << 1) /* reads as zeros */

/* Owns: the caller owns it and its iovec until done(). */
struct backend_io {
	enum backend_operation operation;
	uint32_t flags;
	uint32_t iov_count;
	const struct iovec *iov;
	uint64_t offset; /* bytes, multiple of 512 */
	/*
	 * Bytes, multiple of 512. A read may reach beyond the end and gets
	 * zeros there, all else fails with -ENOSPC.
	 */
	uint64_t length;
	/* @result: 0 or a negative errno; never a short count. */
	void (*done)(struct backend_io *io, int result);
	/*
	 * EXTENTS only. Called before done(), on the loop, in the order of the
	 * disk and without gaps from `offset` on. What reaches beyond the range
	 * is cut. Returns: false if nothing more is wanted: then done() is due.
	 */
	bool (*add_extent)(struct backend_io *io, uint64_t length_bytes,
			   uint32_t flags);
	void *owner;
	/* The driver's: */
	struct loop_io loop_io;
	struct iovec rest[2];
	uint64_t transferred_bytes;
	void *driver_private[4];
};

/* Whether writes of a killed process can still land after its successor opened.
 */
enum backend_late_writes {
	BACKEND_LATE_WRITES_IMPOSSIBLE,
	BACKEND_LATE_WRITES_POSSIBLE
};

/* Where marker, generation and the sidecars of filters belong. */
enum backend_sidecar {
	BACKEND_SIDECAR_BESIDE, /* in the folder IMAGE.forebay */
	BACKEND_SIDECAR_BY_UUID /* nothing is beside it: found by the disk's id
				 */
};

/*
 * What shows that somebody has changed the backend, if it can be seen from
 * outside. Not the device number: hosts and reboots change it.
 */
struct backend_facts {
	bool known;
	uint64_t inode;
	uint64_t size_bytes;
	int64_t mtime_ns;
	int64_t ctime_ns;
};

struct backend_info {
	uint64_t size_bytes;
	/*
	 * Of offsets, lengths and memory: 512 or 4096. What isn't aligned to it
	 * works too, but is copied through the host's page cache.
	 */
	uint32_t alignment_bytes;
	uint32_t operations; /* 1 << BACKEND_x that work here */
	enum backend_late_writes late_writes;
	enum backend_sidecar sidecar;
	bool volatile_cache; /* a flush is needed for durability */
	/* Its size is for others to change: it may have grown already. */
	bool resized_elsewhere;
	/* As the open found it, before it could change anything. */
	struct backend_facts found;
};

/* How it is now. */
struct backend_status {
	/*
	 * "connected", "reconnecting"; NULL: this kind of backend has no state
	 * that could change, and nothing of what follows is set.
	 */
	const char *state;
	uint64_t state_ns; /* for how long */
	const char *reason; /* of the last loss; "" if there was none */
	unsigned int connections;
	unsigned int waiting; /* requests that can't be issued now */
	uint64_t losses; /* connections that broke since the open */
	uint64_t copied_bytes; /* data that did not go straight */
};

struct backend_open_request {
	const char *uri; /* "file:/path", "nbd+unix:///?socket=/path" */
	bool read_only;
	/* Opens after the close go on from this one, as after backend_keep().
	 */
	bool keep;
	uint64_t lock_timeout_ns; /* how long to wait for a predecessor; 0 =
				     don't */
	/*
	 * May be NULL. Says why it takes time, once: the image is locked, the
	 * server isn't there.
	 * @reason is valid during the call.
	 */
	void (*waiting)(struct backend_open_request *request,
			const char *reason);
	/* @error is valid during the call; @backend is NULL on failure. */
	void (*done)(struct backend_open_request *request, int status,
		     struct backend *backend, const struct error *error);
	void *owner;
	/* The driver's: */
	struct loop_deferred answer;
	struct error error;
};

/*
 * For a process that opens later what it may then not open any more: does what
 * needs the rights of now, and takes no lock. Opens of the same @uri and
 * @read_only, as many as there are, go on from there.
 * Returns: 0 or @error's code.
 */
int backend_keep(const char *uri, bool read_only, struct error *error);
/* Starts an open; @request lives until its done(). */
void backend_open(struct loop *loop, struct backend_open_request *request);
const struct backend_info *backend_info(const struct backend *backend);
/* Strings of @ret_status live until the next call about @backend. */
void backend_status(const struct backend *backend,
		    struct backend_status *ret_status);
/*
 * Order: no operation is in flight, and all that was written was flushed.
 * Blocks until the facts themselves are durable.
 */
void backend_facts(const struct backend *backend,
		   struct backend_facts *ret_facts);
void backend_submit(struct backend *backend, struct backend_io *io);
/*
 * Makes it larger, durably: what is added reads as zeros. Blocks for as long as
 * that takes; no operation may be in flight.
 * Returns: 0, -EOPNOTSUPP or why not, with words in @error.
 */
int backend_grow(struct backend *backend, uint64_t size_bytes,
		 struct error *error);
/* No operation may be in flight. Releases the locks. NULL is fine. */
void backend_close(struct backend *backend);

/*
 * For the control plane, without a loop: size in bytes of what @uri names.
 * Returns: 0, -ENOENT, -EINVAL (bad URI), ... with words in @error.
 */
int backend_probe(const char *uri, uint64_t *ret_size_bytes,
		  struct error *error);
/*
 * Makes a backend of @size_bytes where there is none (-EEXIST otherwise).
 * -ENOTSUP: such backends are made elsewhere.
 */
int backend_make(const char *uri, uint64_t size_bytes, struct error *error);
/*
 * The folder beside what @uri names, for its sidecars. Returns: false if
 * nothing can be beside it, or @uri names nothing.
 */
bool backend_beside(const char *uri, char *ret_folder, size_t folder_bytes);
/* The image itself, for whoever needs its owner; NULL as above. */
const char *backend_path(const char *uri);
/* Deletes it and what is beside it; -ENOTSUP as above. */
int backend_delete(const char *uri, struct error *error);

#endif
