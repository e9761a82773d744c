/* SPDX-License-Identifier: Apache-2.0 */
/* advice.h - the engine's curve against the engine itself at each size. */
#ifndef FOREBAY_BENCH_CACHESIM_ADVICE_H
#define FOREBAY_BENCH_CACHESIM_ADVICE_H

#include <stdint.h>

#include "workload.h"

/*
 * One engine of @cache blocks runs the workload and keeps a curve; then one of
 * each of the curve's sizes with a bit in @sizes runs it. Prints lines of
 * tab-separated columns: workload, blocks of the one, blocks of the other, hit
 * ratio by the curve, by simulation. Returns: 0 or 1.
 */
int advice_run(enum workload_kind kind, uint32_t cache, uint64_t requests,
	       uint32_t depth, uint64_t seed, uint32_t sizes);

#endif
