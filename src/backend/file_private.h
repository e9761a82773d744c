/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_private.h - an open image, shared by file.c (its life), file_io.c (its
 * operations) and file_extents.c (where its holes are).
 */
#ifndef FOREBAY_BACKEND_FILE_PRIVATE_H
#define FOREBAY_BACKEND_FILE_PRIVATE_H

#include "driver.h"

/* Most zeros in one write, where the kernel can't zero a range by itself. */
#define FILE_ZERO_BYTES 65536u
#define FILE_ZERO_IOV_COUNT 16u

struct file_extents;

struct file {
	struct backend backend;
	struct loop *loop;
	/*
	 * Two open file descriptions, both locked. Nearly everything goes
	 * through `direct_fd`, straight between the disk and the caller's
	 * memory; only what isn't aligned takes the page cache. The kernel
	 * keeps the two coherent. direct_fd is -1 where there is no direct I/O.
	 */
	int direct_fd;
	int buffered_fd;
	int kept_direct_fd; /* -1: it has none */
	bool kept; /* the descriptors are image_keep.c's */
	bool block_device;
	bool read_only;
	bool can_punch;
	bool can_zero_range;
	unsigned int in_flight;
	struct iovec zeros[FILE_ZERO_IOV_COUNT];
	struct file_extents *extents; /* NULL: nobody has asked yet */
	bool told_no_extents;

	/* While it is being opened. */
	struct backend_open_request *request;
	struct loop_timer retry;
	uint64_t deadline_ns;
	bool told_waiting;
	char path[];
};

void file_submit(struct backend *backend, struct backend_io *io);
void file_prepare_zeros(struct file *file);
/* For file_extents.c: the file that has @io, and a pointer of @io to use. */
struct file *file_of(struct backend_io *io);
struct backend_io **file_io_next(struct backend_io *io);
void file_finish(struct backend_io *io, int result);
/* How many of the bytes of @io lie inside the image. */
uint64_t file_bytes_inside(const struct file *file,
			   const struct backend_io *io);

/* Returns: false if it can't be known; @io is the caller's still. */
bool file_extents_submit(struct backend_io *io);
/* NULL is fine. */
void file_extents_destroy(struct file_extents *extents);

#endif
