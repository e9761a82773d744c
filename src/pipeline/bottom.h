/* SPDX-License-Identifier: Apache-2.0 */
/* bottom.h - the backend as the lowest layer of a chain. */
#ifndef FOREBAY_PIPELINE_BOTTOM_H
#define FOREBAY_PIPELINE_BOTTOM_H

#include "backend.h"
#include "chain.h"

struct bottom {
	struct backend *backend;
	struct loop *loop;
	const char *name; /* of the disk, for messages */
	uint64_t *copied_bytes; /* the disk's counter */
	uint64_t alignment_mask; /* what the backend takes without copying */
	uint64_t error_count;
	uint64_t last_report_ns;
	uint64_t unreported;
};

/* Makes it the last layer of @chain. */
void bottom_join(struct bottom *bottom, struct chain *chain);

#endif
