// SPDX-License-Identifier: Apache-2.0
/*
 * advice.c - see advice.h. All ratios are of the reads that the curve looks
 * back on.
 */
#include "advice.h"

#include <stdio.h>
#include <stdlib.h>

#include "log_format.h"
#include "product.h"

struct trial {
	enum workload_kind kind;
	uint32_t loop_cache; /* that the workload is made for */
	uint64_t requests;
	uint64_t seed;
	uint64_t begin_bytes; /* reads count that come after so many */
	struct product_shape shape;
};

struct outcome {
	struct engine_curve curve; /* if it keeps one */
	uint64_t read_bytes; /* all of them */
	double hit_ratio;
};

static struct engine_curve curve_of(const struct trial *trial,
				    const struct product *product)
{
	return trial->shape.curve ? product_curve(product)
				  : (struct engine_curve){0};
}

static int run(const struct trial *trial, struct outcome *ret_outcome)
{
	struct workload *workload =
		workload_create(trial->kind, trial->seed, trial->loop_cache);
	struct product *product = product_create(&trial->shape);
	struct engine_stats begin = {0}, end = {0};
	uint64_t hits, misses, read_bytes = 0;

	if (!workload || !product)
		return 1;
	for (uint64_t i = 0; i < trial->requests; i++) {
		struct request request = workload_next(workload);

		if (read_bytes <= trial->begin_bytes)
			begin = product_stats(product);
		product_submit(product, &request);
		if (!request.write)
			read_bytes += (uint64_t)request.count * LOG_BLOCK_BYTES;
	}
	product_finish(product);
	end = product_stats(product);
	hits = end.read_hit_bytes - begin.read_hit_bytes;
	misses = end.read_miss_bytes - begin.read_miss_bytes;
	ret_outcome->hit_ratio = (double)hits / (double)(hits + misses);
	ret_outcome->read_bytes = read_bytes;
	ret_outcome->curve = curve_of(trial, product);
	product_destroy(product);
	workload_destroy(workload);
	return 0;
}

int advice_run(enum workload_kind kind, uint32_t cache, uint64_t requests,
	       uint32_t depth, uint64_t seed, uint32_t sizes)
{
	struct trial trial = {
		.kind = kind,
		.loop_cache = cache,
		.requests = requests,
		.seed = seed,
		.shape = {.cache_blocks = cache,
			  .disk_blocks = WORKLOAD_DISK_BLOCKS,
			  .depth = depth,
			  .segment_blocks = product_segment_blocks(cache),
			  .curve = true},
	};
	struct outcome told, is;

	if (run(&trial, &told) != 0)
		return 1;
	trial.shape.curve = false;
	trial.begin_bytes =
		told.read_bytes - told.curve.reads * LOG_BLOCK_BYTES;
	for (uint32_t i = 0; i < ENGINE_CURVE_SIZES; i++) {
		const struct engine_curve_point *point = &told.curve.points[i];

		if (point->file_bytes == 0 || !(sizes >> i & 1))
			continue;
		trial.shape.cache_blocks =
			(uint32_t)(point->file_bytes / LOG_BLOCK_BYTES) -
			log_first_segment_block(trial.shape.segment_blocks);
		if (run(&trial, &is) != 0)
			return 1;
		printf("%s\t%u\t%u\t%.4f\t%.4f\n", workload_name(kind), cache,
		       trial.shape.cache_blocks,
		       (double)point->hits / (double)told.curve.reads,
		       is.hit_ratio);
	}
	return 0;
}
