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

/*
 * Alignment of direct I/O on the open @fd: 512 or 4096; 0 if the file system
 * has no direct I/O.
 */
uint32_t image_alignment(int fd);

#endif
