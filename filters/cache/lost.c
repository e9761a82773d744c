// SPDX-License-Identifier: Apache-2.0
/*
 * lost.c - see lost.h.
 *
 * There is seldom anything, and then seldom much: all of it is looked at each
 * time, so that the sum is right and what was overwritten is gone.
 */
#include "lost.h"

#include <inttypes.h>

/* Lines in the log at a time. */
#define LINES_MAX 16u

void lost_find(const struct runner *runner, struct status *status)
{
	uint64_t offset = 0;
	uint64_t length;

	while (status->stats.lost_now_blocks > 0 &&
	       runner_next_lost(runner, &offset, &length)) {
		if (status->lost_count < STATUS_LOST_MAX)
			status->lost[status->lost_count++] =
				(struct status_range){offset, length};
		else
			status->lost_more = true;
		status->lost_bytes += length;
		offset += length;
	}
}

bool lost_due(uint64_t lost_blocks, uint64_t told_blocks)
{
	return lost_blocks > told_blocks && (lost_blocks <= LOST_TELL_EACH ||
					     lost_blocks >= 2 * told_blocks);
}

void lost_tell(const struct runner *runner, const struct forebay_host *host,
	       struct forebay_instance *instance, uint64_t lost_blocks,
	       uint64_t *told_blocks)
{
	uint64_t offset = 0;
	uint64_t length;
	uint64_t bytes = 0;
	uint32_t count = 0;

	if (lost_blocks < *told_blocks)
		*told_blocks = lost_blocks;
	if (!lost_due(lost_blocks, *told_blocks))
		return;
	*told_blocks = lost_blocks;
	for (; runner_next_lost(runner, &offset, &length); offset += length) {
		bytes += length;
		if (count++ < LINES_MAX)
			host->log(instance, FOREBAY_LOG_ERROR,
				  "lost: %" PRIu64 " bytes at %" PRIu64
				  " can't be read from the SSD, and the "
				  "backend has older ones: reads of them fail "
				  "until they are overwritten",
				  length, offset);
	}
	if (count > LINES_MAX)
		host->log(instance, FOREBAY_LOG_ERROR,
			  "lost: %" PRIu64 " bytes in all, in %u ranges", bytes,
			  count);
}
