/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workload.h - block requests of a known shape, the same for the same seed.
 *
 * A workload is made for a cache of some size, because a loop that is slightly
 * larger than the cache has to know it. Units: blocks of 4 KiB.
 */
#ifndef FOREBAY_BENCH_CACHESIM_WORKLOAD_H
#define FOREBAY_BENCH_CACHESIM_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

/* A workload's disk, and the part of it that is used again and again. */
#define WORKLOAD_WORKING_BLOCKS 65536u
#define WORKLOAD_DISK_BLOCKS (8 * WORKLOAD_WORKING_BLOCKS)
#define WORKLOAD_REQUEST_BLOCKS_MAX 32u

enum workload_kind {
	WORKLOAD_ZIPF_08,
	WORKLOAD_ZIPF_10,
	WORKLOAD_ZIPF_12,
	WORKLOAD_ZIPF_SCANS,
	WORKLOAD_SHIFTING,
	WORKLOAD_LOOP,
	WORKLOAD_LOOP_SEQUENTIAL,
	WORKLOAD_DATABASE,
	WORKLOAD_MIXED, /* 30 % writes */
	WORKLOAD_WRITES, /* 60 % writes */
	WORKLOAD_KINDS
};

struct request {
	uint32_t block;
	uint32_t count;
	bool write;
};

struct workload;

const char *workload_name(enum workload_kind kind);
/* Returns: NULL without memory. Owns: the caller. */
struct workload *workload_create(enum workload_kind kind, uint64_t seed,
				 uint32_t cache_blocks);
void workload_destroy(struct workload *workload);
struct request workload_next(struct workload *workload);

#endif
