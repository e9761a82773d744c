/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - a raw image file or a block device: opening, facts, making,
 * deleting. Every failure says which image, what is wrong and what to do.
 */
#ifndef FOREBAY_BACKEND_IMAGE_H
#define FOREBAY_BACKEND_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

#define IMAGE_SECTOR_BYTES 512u

struct image_facts {
	uint64_t size_bytes;
	bool block_device;
};

/* Checks the form of @path. Returns: 0 or -EINVAL. */
int image_check_path(const char *path, struct error *error);

/* @flags: of open(2); O_CLOEXEC is added. Returns: descriptor or -errno. */
int image_open(const char *path, int flags, struct image_facts *ret_facts,
	       struct error *error);

/* What is true of the open @fd now; @path stands in errors. */
int image_read_facts(int fd, const char *path, struct image_facts *ret_facts,
		     struct error *error);

/*
 * A second open file description of the image @fd, for direct I/O. Of a block
 * device that is written, also the kernel's own claim: nothing may be mounted
 * there. Returns: descriptor, -EINVAL (no direct I/O here), -EBUSY or -errno.
 */
int image_open_direct(int fd, bool read_only, bool block_device);

/*
 * Alignment of direct I/O on the open @fd: 512 or 4096; 0 if the file system
 * has no direct I/O.
 */
uint32_t image_alignment(int fd);

#endif
