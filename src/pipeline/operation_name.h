/* SPDX-License-Identifier: Apache-2.0 */
/* operation_name.h - how operations are called in JSON and in messages. */
#ifndef FOREBAY_PIPELINE_OPERATION_NAME_H
#define FOREBAY_PIPELINE_OPERATION_NAME_H

#include <stddef.h>

#include "forebay/filter.h"

#define OPERATION_COUNT 7u

static inline const char *operation_name(enum forebay_operation operation)
{
	switch (operation) {
	case FOREBAY_READ:
		return "read";
	case FOREBAY_WRITE:
		return "write";
	case FOREBAY_FLUSH:
		return "flush";
	case FOREBAY_DISCARD:
		return "discard";
	case FOREBAY_WRITE_ZEROES:
		return "write_zeroes";
	case FOREBAY_EXTENTS:
		return "extents";
	case FOREBAY_CACHE:
		return "cache";
	}
	return NULL;
}

#endif
