/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space.h - how much of its file the log has, between the engine and
 * forebay-cached.
 *
 *   MAY -> engine's grant -> segments come back  -> holes are made of them
 *                         -> segments are missing -> they are allocated, and
 *                                                    the engine gets them
 *
 * Holes and allocations go through the disk's own locked descriptor, one at a
 * time. So what is allocated is what the log has, plus or minus the one that is
 * on its way; a start makes holes of what the log isn't in and may not have.
 *
 * What there is to tell forebay-cached is told once a second, if it has
 * changed.
 */
#ifndef FOREBAY_CACHE_SPACE_H
#define FOREBAY_CACHE_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "forebay/filter.h"
#include "pool_protocol.h"
#include "runner.h"

struct space {
	const struct forebay_host *host;
	struct forebay_instance *instance;
	struct runner *runner; /* NULL: no log runs */
	int file;

	uint64_t granted_bytes; /* as forebay-cached says; 0: nothing yet */
	uint64_t reserved_bytes; /* of these, for certain */

	struct forebay_io io;
	bool busy; /* ->io is on its way */
	bool allocates; /* else it makes a hole */
	bool writes_zeros; /* the file system can't allocate otherwise */
	bool full; /* it has refused; tried again with the next tick */
	uint32_t first; /* of what ->io is about */
	uint32_t count;
	uint32_t away_from; /* none below is away */
	uint32_t sweep; /* from here on what is away may not be a hole yet */

	struct forebay_timer tick;
	struct pool_use told;
	uint64_t use_told; /* bytes, since the start */

	void (*ended)(void *context);
	void *context;
};

/* @space: zeroed. */
void space_init(struct space *space, const struct forebay_host *host,
		struct forebay_instance *instance);
/* Segments of a log that may have so much of its file. */
uint32_t space_segments(uint64_t granted_bytes);
/* From a GRANT or a MAY. */
void space_granted(struct space *space, uint64_t granted_bytes,
		   uint64_t reserved_bytes);
/* The log runs, on @file. */
void space_begin(struct space *space, struct runner *runner, int file);
/* For runner_setup.returned. */
void space_returned(struct space *space);
/* The channel is up: forebay-cached may be another one. */
void space_tell(struct space *space);
/*
 * The log is about to end: nothing is on its way when @ended is called, now or
 * later. Order: before runner_close().
 */
void space_end(struct space *space, void (*ended)(void *context),
	       void *context);

#endif
