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

#include <stdint.h>

#include "engine.h"
#include "workload.h"

/* Requests that a guest has under way at once. */
#define PRODUCT_DEPTH_MAX 32u

struct product;

/*
 * The cache file has @cache_blocks for all that is in it. Returns: NULL if
 * that can't be. Owns: the caller.
 */
struct product *product_create(uint32_t cache_blocks, uint32_t disk_blocks,
			       uint32_t depth);
void product_destroy(struct product *product);
/* Ends, with those before it, when @depth requests are together. */
void product_submit(struct product *product, const struct request *request);
void product_finish(struct product *product);
struct engine_stats product_stats(struct product *product);

#endif
