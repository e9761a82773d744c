/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - the cache's counters as the JSON object that operators see. */
#ifndef FOREBAY_CACHE_STATUS_H
#define FOREBAY_CACHE_STATUS_H

#include <stddef.h>

#include "engine.h"

/* Returns: its length, or -ENOSPC. */
int status_format(const struct engine_stats *stats, char *buffer,
		  size_t buffer_bytes);

#endif
