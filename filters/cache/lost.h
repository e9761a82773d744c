/* SPDX-License-Identifier: Apache-2.0 */
/* lost.h - what can't be read from the SSD, for people. */
#ifndef FOREBAY_CACHE_LOST_H
#define FOREBAY_CACHE_LOST_H

#include "forebay/filter.h"
#include "runner.h"
#include "status.h"

/* Fills in what @status says of it. */
void lost_find(const struct runner *runner, struct status *status);
/*
 * Tells it in the log: so many ranges, and how many there are. @told_blocks:
 * how much was told last; updated. An SSD that dies loses block after block:
 * beyond LOST_TELL_EACH it is told again when it is twice as much, so that the
 * log isn't flooded, and status has all of it.
 */
#define LOST_TELL_EACH 16u /* blocks */
void lost_tell(const struct runner *runner, const struct forebay_host *host,
	       struct forebay_instance *instance, uint64_t lost_blocks,
	       uint64_t *told_blocks);
/* Whether it is time to tell it. */
bool lost_due(uint64_t lost_blocks, uint64_t told_blocks);

#endif
