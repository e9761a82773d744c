/* SPDX-License-Identifier: Apache-2.0 */
/* image.h - a disk's image: looked at, made, deleted. Raw files and devices. */
#ifndef FOREBAY_AGENT_IMAGE_H
#define FOREBAY_AGENT_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "problem.h"

struct image {
	char *path; /* without links; owned */
	uint64_t size_bytes;
	bool made; /* by image_provide() */
};

/*
 * Adopts what is at @path if @size_bytes is 0 or its size; makes a sparse file
 * of @size_bytes if there is nothing and it may be written. Refuses everything
 * else.
 */
int image_provide(const char *path, uint64_t size_bytes, bool read_only,
		  struct image *ret_image, struct problem *problem);
/* Deletes a regular file. Returns: 0 (also if it's gone) or a problem. */
int image_delete(const char *path, struct problem *problem);
/* Returns: 0, or why it can't be looked at. */
int image_size(const char *path, uint64_t *ret_bytes);
bool image_is_device(const char *path);
void image_free(struct image *image);

#endif
