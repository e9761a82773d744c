/* SPDX-License-Identifier: Apache-2.0 */
/* extents.h - how the list of an EXTENTS grows. */
#ifndef FOREBAY_PIPELINE_EXTENTS_H
#define FOREBAY_PIPELINE_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "forebay/filter.h"

/*
 * Puts an extent behind the others, or makes the last one longer when it is of
 * the same kind. Returns: false if the list is full: it is as before.
 */
bool extents_add(struct forebay_extents *extents, uint64_t length,
		 uint32_t flags);

#endif
