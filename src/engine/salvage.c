// SPDX-License-Identifier: Apache-2.0
/*
 * salvage.c - recovery of a file that a start refuses: what of it is left.
 *
 *   no superblock    one is invented, and rows from the segments' heads
 *   a newer one lost rows for the incarnations that the older one can't know
 *   records missing  those behind them count, and each gap is noted
 *   out of order     segments are taken by their sequence, wherever they stand
 *
 * Gaps are passed over only at or below what is known to be durable: there they
 * are damage. Above it the log ends at the first one, as for a start, for what
 * comes behind was never acknowledged as durable.
 *
 * The result is a guess wherever a gap is: a missing record may have held a
 * newer version of any block. inspect.c calls a copy doubtful then.
 */
#include "core.h"

#include "recovery.h"
#include "sort.h"

static int by_incarnation(const void *left, const void *right)
{
	const struct log_row *a = left;
	const struct log_row *b = right;

	return (a->incarnation > b->incarnation) -
	       (a->incarnation < b->incarnation);
}

/* The row that is invented for @survey's incarnation; NULL: there is none. */
static struct log_row *invented_row(struct log_superblock *image,
				    uint32_t known, const struct survey *survey)
{
	for (uint32_t i = known; i < image->row_count; i++) {
		if (image->rows[i].incarnation == survey->incarnation)
			return &image->rows[i];
	}
	if (image->row_count == LOG_ROWS_MAX)
		return NULL;
	image->rows[image->row_count] = (struct log_row){
		.epoch = survey->epoch,
		.incarnation = survey->incarnation,
		.first_sequence = survey->first_sequence,
		.last_sequence = LOG_ROW_OPEN,
	};
	return &image->rows[image->row_count++];
}

/*
 * An incarnation begins at the record behind the cut of the one before, so its
 * lowest head says where that one ended, if no more precisely than its own
 * segments are left.
 */
static void close_rows(struct log_superblock *image, uint32_t known)
{
	uint32_t first = known > 0 ? known - 1 : 0;

	for (uint32_t i = first; i + 1 < image->row_count; i++) {
		struct log_row *row = &image->rows[i];
		uint64_t end = image->rows[i + 1].first_sequence - 1;

		if (row->last_sequence > end)
			row->last_sequence = end;
	}
}

static void drop_homeless(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < recovery->survey_count; i++) {
		struct survey survey = recovery->surveys[i];

		if (superblock_find_row(engine, &survey))
			recovery->surveys[kept++] = survey;
	}
	recovery->survey_count = kept;
}

void salvage_rows(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	struct log_superblock *image = engine->superblock.image;
	uint32_t known = image->row_count;

	for (uint32_t i = 0; i < recovery->survey_count; i++) {
		const struct survey *survey = &recovery->surveys[i];
		struct log_row *row;

		if (survey->incarnation <= image->generation)
			continue;
		row = invented_row(image, known, survey);
		if (row && row->first_sequence > survey->first_sequence)
			row->first_sequence = survey->first_sequence;
	}
	sort_in_place(&image->rows[known], image->row_count - known,
		      sizeof(struct log_row), by_incarnation);
	if (image->row_count > known)
		close_rows(image, known);
	drop_homeless(engine);
}

/* Two segments with the same numbers: the second is a stray copy. */
static void drop_overlaps(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < recovery->survey_count; i++) {
		const struct survey *survey = &recovery->surveys[i];

		if (kept > 0 &&
		    survey->first_sequence <=
			    recovery->surveys[kept - 1].last_sequence)
			engine->salvage.overlaps++;
		else
			recovery->surveys[kept++] = *survey;
	}
	recovery->survey_count = kept;
}

void salvage_chain(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	uint32_t end = 0;

	recovery_order(recovery);
	drop_overlaps(engine);
	while (end < recovery->survey_count &&
	       (end == 0 ||
		recovery->surveys[end - 1].last_sequence < recovery->durable ||
		recovery_follows(&recovery->surveys[end - 1],
				 &recovery->surveys[end])))
		end++;
	recovery->start = 0;
	recovery->end = end;
	recovery->cut = end > 0 ? recovery->surveys[end - 1].last_sequence
				: engine->superblock.image->tail_sequence - 1;
}

static void note_gap(struct salvage *salvage, uint64_t first, uint64_t last)
{
	/* Too many: the last one covers what comes, which is said too much. */
	if (salvage->gap_count == SALVAGE_GAPS_MAX)
		salvage->gaps[SALVAGE_GAPS_MAX - 1].last = last;
	else
		salvage->gaps[salvage->gap_count++] =
			(struct inspect_gap){first, last};
}

void salvage_pass(struct engine *engine, uint64_t sequence)
{
	struct salvage *salvage = &engine->salvage;
	uint64_t first = salvage->applied + 1;

	/* Below the tail nothing is needed. */
	if (first < engine->recovery.tail)
		first = engine->recovery.tail;
	if (first < sequence)
		note_gap(salvage, first, sequence - 1);
	salvage->applied = sequence;
}
