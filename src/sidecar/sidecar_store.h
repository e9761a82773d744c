/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sidecar_store.h - a filter's sidecar: a file whose writes are atomic and in
 * order, whatever crashes.
 *
 * A state machine without system calls, like the engine: its host starts the
 * ios that it asks for and says when they have ended.
 *
 *   submit -> queue -> one record in the journal -> done
 *                                  `-> later: copied into the data, in place
 *
 * Rules, each of which the crash test finds when it is broken:
 *
 * 1. A record is one io, and the next begins when it has ended: what a crash
 *    leaves of the journal is a beginning of it. The first record that is torn
 *    or missing is its end.
 * 2. Each open has an incarnation of its own, durable before its first record:
 *    what lay behind an end that was cut off never comes back.
 * 3. Nothing is copied into the data before a sync has covered its record.
 * 4. A place in the journal is used again when the copies in the data are
 *    durable, after that a head that says so, and nobody reads there any more.
 * 5. A failed write or sync of the journal is not tried again: from then on all
 *    writes fail, until the file is opened again and what is there is known.
 *    Copies that can't be made are no harm: writes that need their room fail.
 * 6. A resize has the journal for itself: all before it is in place.
 *
 * Thread: the host's loop. done() of a request may be called inside
 * sidecar_store_submit(); the host's start() must not end an io inside itself.
 */
#ifndef FOREBAY_SIDECAR_SIDECAR_STORE_H
#define FOREBAY_SIDECAR_SIDECAR_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "sidecar_format.h"

/* Of the files that we make: 4 MiB. */
#define SIDECAR_STORE_JOURNAL_BLOCKS 1024u
/* Most bytes in one READ or WRITE. */
#define SIDECAR_STORE_LENGTH_MAX (256u << 10)
/* Most entries of all iovecs of a group. */
#define SIDECAR_STORE_IOV_MAX 512u

struct sidecar_store;

/* For open, which blocks. Each returns 0 or -errno; what lies behind the end of
 * the file reads as zeros. */
struct sidecar_medium {
	int (*read)(void *owner, uint64_t offset, void *bytes, size_t count);
	int (*write)(void *owner, uint64_t offset, const void *bytes,
		     size_t count);
	int (*sync)(void *owner);
	int (*resize)(void *owner, uint64_t bytes);
	void *owner;
};

enum sidecar_io_kind {
	SIDECAR_IO_READ,
	SIDECAR_IO_WRITE,
	SIDECAR_IO_SYNC, /* what had ended when it was started */
	SIDECAR_IO_RESIZE, /* the file is `offset` bytes long then */
};

/* Ios of one store at a time, told apart by `number`. */
#define SIDECAR_STORE_READS_MAX 8u
#define SIDECAR_STORE_IOS (SIDECAR_STORE_READS_MAX + 3u)

struct sidecar_io {
	enum sidecar_io_kind kind;
	uint32_t number; /* below SIDECAR_STORE_IOS */
	uint64_t offset;
	uint64_t length;
	const struct iovec *iov;
	uint32_t iov_count;
};

struct sidecar_store_host {
	void (*start)(void *owner, const struct sidecar_io *io);
	void *owner;
};

enum sidecar_request_kind {
	SIDECAR_READ,
	SIDECAR_WRITE,
	SIDECAR_FLUSH, /* what is done is durable */
	SIDECAR_RESIZE, /* to `length` bytes; what is added reads as zeros */
};

/* Owns: the caller, until done(). Offsets and lengths are whole blocks. */
struct sidecar_request {
	enum sidecar_request_kind kind;
	bool more; /* WRITE: the next one belongs to it, and what follows that
		    */
	uint64_t offset;
	uint64_t length;
	const struct iovec *iov;
	uint32_t iov_count;
	void (*done)(struct sidecar_request *request, int result);
	void *owner;
	/* The store's: */
	struct sidecar_request *next;
	uint64_t ticket;
	int result;
};

struct sidecar_store_spec {
	uint32_t journal_blocks; /* of a file that is made now */
	uint64_t length_bytes_max;
	bool writable;
	uint32_t lot; /* drawn: no two opens have the same incarnation */
};

/* What a store holds and has done. */
struct sidecar_store_figures {
	uint64_t length_bytes;
	uint64_t journal_bytes; /* in use */
	uint64_t records; /* appended since the open */
	uint64_t checkpoints; /* copies into the data that are complete */
	int failed; /* why it takes no writes; 0: it does */
};

/*
 * The newest label of the file.
 * Returns: 0, -ENODATA (no label was ever written), -EUCLEAN,
 * -EPROTONOSUPPORT, or an error of @medium.
 */
int sidecar_label_read(const struct sidecar_medium *medium,
		       struct sidecar_label *ret_label);
/* Puts @label with the next serial number over the older one, durably. */
int sidecar_label_write(const struct sidecar_medium *medium,
			const struct sidecar_label *label);

/*
 * Writes what a new file begins with; who opens one that has a label doesn't
 * need it. Durable before it returns: only then may a label be written.
 */
int sidecar_store_format(const struct sidecar_medium *medium,
			 const struct sidecar_store_spec *spec);
/*
 * Reads the journal. With `writable` all of it is copied into the data, and it
 * is empty and of a new incarnation: again from the start after any crash.
 * Returns: 0, -EUCLEAN (no head is right), -EPROTONOSUPPORT, -ENOMEM or an
 * error of @medium.
 */
int sidecar_store_open(const struct sidecar_medium *medium,
		       const struct sidecar_store_spec *spec,
		       const struct sidecar_store_host *host,
		       struct sidecar_store **ret_store);
/* Order: it is quiet. NULL is fine. */
void sidecar_store_close(struct sidecar_store *store);

/*
 * Ends with -EINVAL (not whole blocks, or beyond the end), -EFBIG (a length
 * beyond the most), -EROFS, -EMSGSIZE (a group that is larger than a record),
 * -ENOSPC and other errors of the ios.
 */
void sidecar_store_submit(struct sidecar_store *store,
			  struct sidecar_request *request);
/* @result: 0 or -errno, never a short count. */
void sidecar_store_io_done(struct sidecar_store *store, uint32_t number,
			   int result);
/* No request and no io is under way. */
bool sidecar_store_quiet(const struct sidecar_store *store);
void sidecar_store_figures(const struct sidecar_store *store,
			   struct sidecar_store_figures *ret_figures);

#endif
