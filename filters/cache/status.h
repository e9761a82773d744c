/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - the cache's counters as the JSON object that operators see. */
#ifndef FOREBAY_CACHE_STATUS_H
#define FOREBAY_CACHE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine.h"
#include "error.h"

/* Ranges that are told one by one; of more only the sum. */
#define STATUS_LOST_MAX 128u

struct status_range {
	uint64_t offset;
	uint64_t length;
};

struct status {
	/* What can't be read from the SSD, and isn't overwritten yet. */
	struct status_range lost[STATUS_LOST_MAX];
	uint32_t lost_count;
	bool lost_more;
	uint64_t lost_bytes;
	struct engine_stats stats;
	bool has_curve;
	struct engine_curve curve;
	struct engine_troubles troubles;
	/* For the time of a migration the engine is told otherwise. */
	bool gives_way;
	/* A negative errno: so it is, because the claim isn't there. */
	int hold_error;
	struct engine_hold hold;
	uint64_t now_ns; /* for how long it has stood, and will */
	const struct error *bypass; /* the disk runs without the cache; or NULL
				     */
	const char *failure; /* why every request fails; NULL: none does */
};

/* Returns: its length, or -ENOSPC. */
int status_format(const struct status *status, char *buffer,
		  size_t buffer_bytes);

#endif
