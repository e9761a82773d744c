/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target.h - where what was rescued goes.
 *
 *   a new image   sparse; it gets its name when it is whole and durable, until
 *                 then it is called NAME.partial
 *   an image      written in place, locked as QEMU's tools lock it
 *   a stream      the whole disk in order, on standard output
 *
 * Under a new image or a stream may lie a base, an image of the disk that is
 * read only; without one, what isn't written is zeros.
 */
#ifndef FOREBAY_RESCUE_TARGET_H
#define FOREBAY_RESCUE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct target_options {
	const char *path; /* NULL: standard output */
	const char *base; /* NULL: none */
	int source_fd; /* the cache file: neither of them may be it */
	bool in_place;
	uint64_t disk_bytes; /* 0: nobody knows */
};

struct target {
	const struct target_options *options; /* borrowed */
	int fd;
	int base_fd; /* -1: none */
	char *partial; /* name of an unfinished image, or NULL */
	uint64_t bytes; /* of the disk; 0: nobody knows */
	uint64_t position; /* of a stream */
};

/*
 * Opens both and takes their locks; nothing is written yet. Returns: 0;
 * -EEXIST, -EBUSY, -EINVAL (of another size) or -errno, with words.
 */
int target_open(const struct target_options *options, struct target *ret_target,
		struct error *error);
/*
 * Before the first target_put(): makes a new image of target->bytes, with the
 * base's data in it.
 */
int target_begin(struct target *target, struct error *error);
/* Order: a stream's ranges come in ascending order. */
int target_put(struct target *target, uint64_t first_sector,
	       uint64_t sector_count, const uint8_t *bytes,
	       struct error *error);
/* The same of zeros; an image may get a hole. */
int target_zero(struct target *target, uint64_t first_sector,
		uint64_t sector_count, struct error *error);
/* All of it is durable, and an image has its name. */
int target_finish(struct target *target, struct error *error);
/* Leaves nothing behind of an image that isn't finished. */
void target_release(struct target *target);

#endif
