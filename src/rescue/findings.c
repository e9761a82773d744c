// SPDX-License-Identifier: Apache-2.0
/* findings.c - see findings.h. */
#include "findings.h"

#include "log_format.h"

int findings_add(struct findings *findings, const struct copy_piece *piece,
		 struct error *error)
{
	const struct range *range = &piece->range;
	uint64_t bytes = range->sector_count * LOG_SECTOR_BYTES;
	int status = 0;

	if (range->fault == COPY_GOOD) {
		*(range->dirty ? &findings->dirty_bytes
			       : &findings->clean_bytes) += bytes;
		if (piece->doubtful)
			status = ranges_add(&findings->doubtful, range);
	} else {
		*(range->dirty ? &findings->bad_dirty_bytes
			       : &findings->bad_clean_bytes) += bytes;
		status = ranges_add(&findings->bad, range);
	}
	return status < 0 ? error_set(error, status, "no memory for a report")
			  : 0;
}

void findings_release(struct findings *findings)
{
	ranges_release(&findings->bad);
	ranges_release(&findings->doubtful);
}

struct check {
	struct findings *findings;
	void (*progress)(void *context, uint64_t blocks_done);
	void *context;
};

static int check_piece(void *context, const struct copy_piece *piece,
		       struct error *error)
{
	struct check *check = context;

	return findings_add(check->findings, piece, error);
}

static void check_progress(void *context, uint64_t blocks_done)
{
	const struct check *check = context;

	if (check->progress)
		check->progress(check->context, blocks_done);
}

int findings_check(const struct recovered *recovered,
		   void (*progress)(void *context, uint64_t blocks_done),
		   void *context, struct findings *ret_findings,
		   struct error *error)
{
	struct check check = {ret_findings, progress, context};
	struct copies copies = {
		.recovered = recovered,
		.piece = check_piece,
		.progress = check_progress,
		.context = &check,
	};

	*ret_findings = (struct findings){0};
	return copies_walk(&copies, error);
}
