// SPDX-License-Identifier: Apache-2.0
/*
 * lost.c - see lost.h.
 *
 * There is seldom anything, and then seldom much: all of it is looked at each
 * time, so that the sum is right and what was overwritten is gone.
 */
#include "lost.h"

#include <inttypes.h>
#include <stdio.h>

/* Lines in the log at a time. */
#define LINES_MAX 16u
/* What a report holds; and where no range more is begun, each of which has 46
 * bytes at most. */
#define REPORT_BYTES 500
#define RANGES_BYTES (REPORT_BYTES - 60)

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

/* All ranges in a line, as far as they fit. */
static void lost_report(const struct runner *runner,
			const struct forebay_host *host,
			struct forebay_instance *instance, uint64_t bytes)
{
	char text[REPORT_BYTES];
	uint64_t offset = 0;
	uint64_t length;
	int used =
		snprintf(text, sizeof(text),
			 "%" PRIu64 " bytes can't be read from the SSD", bytes);
	const char *comma = ":";

	while (used < RANGES_BYTES &&
	       runner_next_lost(runner, &offset, &length)) {
		used += snprintf(text + used, sizeof(text) - (size_t)used,
				 "%s %" PRIu64 " at %" PRIu64, comma, length,
				 offset);
		offset += length;
		comma = ",";
	}
	if (runner_next_lost(runner, &offset, &length))
		snprintf(text + used, sizeof(text) - (size_t)used,
			 ", and more");
	host->report(instance, "loss", text);
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
	lost_report(runner, host, instance, bytes);
}
