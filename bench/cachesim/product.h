/* SPDX-License-Identifier: Apache-2.0 */
/*
 * product.h - the engine as it is in the product, over an SSD and a backend
 * that take no time.
 *
 * The disk is full of zeros and stays so: data aren't what is looked at here,
 * and a block of zeros is as good as any to check.
 */
#ifndef FOREBAY_BENCH_CACHESIM_PRODUCT_H
#define FOREBAY_BENCH_CACHESIM_PRODUCT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "workload.h"

/* Requests that a guest has under way at once. */
#define PRODUCT_DEPTH_MAX 32u

struct product;

struct product_shape {
	uint32_t cache_blocks; /* of the cache file, for all that is in it */
	uint32_t disk_blocks;
	uint32_t depth;
	uint32_t segment_blocks; /* 0: as product_segment_blocks() says */
	bool curve; /* it keeps one */
};

/* Returns: NULL if that can't be. Owns: the caller. */
struct product *product_create(const struct product_shape *shape);
/* So long that a small log has as many as a product's would, if it can. */
uint32_t product_segment_blocks(uint32_t cache_blocks);
void product_destroy(struct product *product);
/* Ends, with those before it, when @depth requests are together. */
void product_submit(struct product *product, const struct request *request);
void product_finish(struct product *product);
/*
 * From now on nobody moves data between guest and SSD or below: they are zeros
 * everywhere, so that checks hold all the same.
 */
void product_leave_data(struct product *product);
/* What the kept memory takes of the machine's. */
uint64_t product_kept_resident_bytes(const struct product *product);
struct engine_curve product_curve(const struct product *product);
/* Without the zeros that go ahead of a log where none has been. */
struct engine_stats product_stats(struct product *product);

#endif
