/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - the cache's counters as the JSON object that operators see. */
#ifndef FOREBAY_CACHE_STATUS_H
#define FOREBAY_CACHE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine.h"

struct status {
	struct engine_stats stats;
	struct engine_troubles troubles;
	/* For the time of a migration the engine is told otherwise. */
	bool gives_way;
	/* A negative errno: so it is, because the claim isn't there. */
	int hold_error;
	const char *failure; /* why every request fails; NULL: none does */
};

/* Returns: its length, or -ENOSPC. */
int status_format(const struct status *status, char *buffer,
		  size_t buffer_bytes);

#endif
