// SPDX-License-Identifier: Apache-2.0
/* extract.c - see extract.h. */
#include "extract.h"

#include "target.h"

struct extraction {
	const struct extract_options *options;
	struct findings *findings;
	struct target target;
};

static int extract_piece(void *context, const struct copy_piece *piece,
			 struct error *error)
{
	struct extraction *extraction = context;
	int status = findings_add(extraction->findings, piece, error);

	if (status == 0 && piece->zero)
		return target_zero(&extraction->target,
				   piece->range.first_sector,
				   piece->range.sector_count, error);
	if (status < 0 || !piece->bytes)
		return status;
	return target_put(&extraction->target, piece->range.first_sector,
			  piece->range.sector_count, piece->bytes, error);
}

static void extract_progress(void *context, uint64_t blocks_done)
{
	const struct extraction *extraction = context;

	if (extraction->options->progress)
		extraction->options->progress(extraction->options->context,
					      blocks_done);
}

/* Who knows no size takes the end of what is there. */
static uint64_t end_of_copies(const struct recovered *recovered)
{
	struct inspect_copy copy = {0};
	uint64_t end = 0;

	while (inspect_next(recovered->engine, end, &copy))
		end = copy.block + copy.block_count;
	return end * LOG_BLOCK_BYTES;
}

static int run(struct recovered *recovered, struct extraction *extraction,
	       struct error *error)
{
	const struct extract_options *options = extraction->options;
	struct copies copies = {
		.recovered = recovered,
		.dirty_only = options->dirty_only || options->in_place ||
			      options->base,
		.piece = extract_piece,
		.progress = extract_progress,
		.context = extraction,
	};
	int status;

	if (extraction->target.bytes == 0)
		extraction->target.bytes = end_of_copies(recovered);
	/* What lies behind the end of an image was never the disk's. */
	if (recovered->disk_bytes == 0)
		recovered->disk_bytes = extraction->target.bytes;
	status = target_begin(&extraction->target, error);
	if (status == 0)
		status = copies_walk(&copies, error);
	if (status == 0)
		status = target_finish(&extraction->target, error);
	return status;
}

int extract(struct recovered *recovered, const struct extract_options *options,
	    struct findings *ret_findings, struct error *error)
{
	struct target_options where = {
		.path = options->to,
		.base = options->base,
		.source_fd = recovered->source->fd,
		.in_place = options->in_place,
		.disk_bytes = recovered->disk_bytes,
	};
	struct extraction extraction = {
		.options = options,
		.findings = ret_findings,
	};
	int status;

	*ret_findings = (struct findings){0};
	status = target_open(&where, &extraction.target, error);
	if (status < 0)
		return status;
	status = run(recovered, &extraction, error);
	target_release(&extraction.target);
	return status;
}
