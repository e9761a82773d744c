/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_private.h - an open image, shared by file.c (its life) and file_io.c
 * (its operations).
 */
#ifndef FOREBAY_BACKEND_FILE_PRIVATE_H
#define FOREBAY_BACKEND_FILE_PRIVATE_H

#include "driver.h"

/* Most zeros in one write, where the kernel can't zero a range by itself. */
#define FILE_ZERO_BYTES 65536u
#define FILE_ZERO_IOV_COUNT 16u

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
	bool block_device;
	bool read_only;
	bool can_punch;
	bool can_zero_range;
	unsigned int in_flight;
	struct iovec zeros[FILE_ZERO_IOV_COUNT];

	/* While it is being opened. */
	struct backend_open_request *request;
	struct loop_timer retry;
	uint64_t deadline_ns;
	bool told_waiting;
	char path[];
};

void file_submit(struct backend *backend, struct backend_io *io);
void file_prepare_zeros(struct file *file);

#endif
