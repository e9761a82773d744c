/* SPDX-License-Identifier: Apache-2.0 */
/* findings.h - what a walk over the copies has found, for a report. */
#ifndef FOREBAY_RESCUE_FINDINGS_H
#define FOREBAY_RESCUE_FINDINGS_H

#include <stdint.h>

#include "copies.h"
#include "ranges.h"

struct findings {
	uint64_t dirty_bytes; /* that can be given */
	uint64_t clean_bytes;
	uint64_t bad_dirty_bytes; /* that can't */
	uint64_t bad_clean_bytes;
	struct ranges bad;
	struct ranges doubtful;
};

/* Returns: 0 or -ENOMEM with words in @error. */
int findings_add(struct findings *findings, const struct copy_piece *piece,
		 struct error *error);
void findings_release(struct findings *findings);

/*
 * Reads every copy. @progress may be NULL; @context is its own. The caller
 * releases *ret_findings. Returns: 0, whatever was found, or -ENOMEM.
 */
int findings_check(const struct recovered *recovered,
		   void (*progress)(void *context, uint64_t blocks_done),
		   void *context, struct findings *ret_findings,
		   struct error *error);

#endif
