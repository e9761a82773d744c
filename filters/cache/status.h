/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - the cache's counters as the JSON object that operators see. */
#ifndef FOREBAY_CACHE_STATUS_H
#define FOREBAY_CACHE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine.h"

/*
 * @gives_way: it is write-back that is wanted, and for the time of a migration
 * the engine has been told otherwise. Returns: its length, or -ENOSPC.
 */
int status_format(const struct engine_stats *stats, bool gives_way,
		  char *buffer, size_t buffer_bytes);

#endif
