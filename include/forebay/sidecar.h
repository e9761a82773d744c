/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forebay/sidecar.h - what a filter keeps of a disk, beside the disk's backend.
 *
 * Sidecars move with the disk, and die with it. A filter names them in its
 * table; they are there before open(), each with a length of 0 at first.
 * host->sidecar_file() finds one, and io_submit() takes it for a file:
 *
 *   READ, WRITE  whole blocks of 4096 bytes, at most 256 KiB, within the length
 *                (-EINVAL). A WRITE is in force as a whole when it is done; and
 *                after any crash the sidecar holds the result of a beginning of
 *                all writes, in the order in which they were submitted. A READ
 *                sees what had been done when it was submitted; what is written
 *                meanwhile may be seen or not
 *   FLUSH        what was done when it was submitted is durable when it is done
 *
 * With FOREBAY_MORE several writes are a group: they are done together, and no
 * other is between them. At most 128 of them, 1 MiB and 512 iovec entries in
 * all (-EMSGSIZE), and then one without that flag, at once: what is submitted
 * later waits until the group is whole. The memory of a write must not change
 * before it is done. FOREBAY_FUA isn't known here.
 *
 * A full file system fails the writes that need its room, with -ENOSPC, and
 * nothing else. After another error of the file system (-EIO) all writes and
 * flushes fail until the disk is opened again. Of a read-only disk they can be
 * read (-EROFS).
 *
 * Every block is written twice: they are meant for what has to be kept, not for
 * copies of what could be had again.
 */
#ifndef FOREBAY_SIDECAR_H
#define FOREBAY_SIDECAR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One that a filter has. A list of them ends with an entry without a name. */
struct forebay_sidecar {
	const char *name; /* a-z, 0-9, '-'; at most 31 */
	const char *description; /* one sentence */
	uint64_t length_bytes_max; /* a multiple of 4096, at most 8 TiB */
	uint64_t reserved[5]; /* 0 */
};

/* Most sidecars of a filter. */
#define FOREBAY_SIDECARS_MAX 4u

/* Whether a sidecar is what the filter left. Told until an open() succeeds. */
enum forebay_sidecar_state {
	/* As this filter left it, and nobody has written the disk since. */
	FOREBAY_SIDECAR_SAME = 0,
	/*
	 * The disk was, or may have been, written while this filter wasn't
	 * there, or behind Forebay's back.
	 */
	FOREBAY_SIDECAR_BYPASSED = 1,
	/* It was made for another disk: the backend was copied with it. */
	FOREBAY_SIDECAR_FOREIGN = 2,
	/* Made now. Of a read-only disk: there is none. */
	FOREBAY_SIDECAR_NEW = 3,
};

struct forebay_sidecar_file {
	uint32_t struct_size; /* set by the caller */
	enum forebay_sidecar_state state;
	int file; /* for io_submit() and sidecar_resize() */
	uint32_t reserved;
	uint64_t length_bytes; /* now */
	/*
	 * Version of the filter that had it last; "": none had. Lives until
	 * close_done().
	 */
	const char *last_version;
};

#ifdef __cplusplus
}
#endif

#endif
