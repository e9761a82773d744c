/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_image.h - a disk's image on a server: it is there already, and only
 * looked at. Request threads; the server has a deadline.
 */
#ifndef FOREBAY_AGENT_REMOTE_IMAGE_H
#define FOREBAY_AGENT_REMOTE_IMAGE_H

#include <stdint.h>

#include "problem.h"

/* @wanted_bytes: the size that it must have; 0: any. */
int remote_image_adopt(const char *uri, uint64_t wanted_bytes,
		       uint64_t *ret_size_bytes, struct problem *problem);

#endif
