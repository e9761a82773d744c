// SPDX-License-Identifier: Apache-2.0
/*
 * workload.c - see workload.h.
 *
 * Where a shape has blocks that are hotter than others, they lie anywhere in
 * the working set: an odd multiplier scatters their ranks.
 */
#include "workload.h"

#include <math.h>
#include <stdlib.h>

#define SCATTER 40503u /* odd, so that a power of two has a permutation */
#define SCAN_BLOCKS (2 * WORKLOAD_WORKING_BLOCKS)
#define SCAN_BEGIN (4 * WORKLOAD_WORKING_BLOCKS)
#define SCAN_REQUEST_BLOCKS 32u
#define LOOP_REQUEST_BLOCKS 8u
#define LOG_BEGIN (2 * WORKLOAD_WORKING_BLOCKS)
#define LOG_BLOCKS WORKLOAD_WORKING_BLOCKS
#define INDEX_BLOCKS (WORKLOAD_WORKING_BLOCKS / 16)
#define SHIFT_WINDOW (WORKLOAD_WORKING_BLOCKS / 2)
/* One block in so many gets another in its place every so many requests. */
#define SHIFT_PARTS 128u
#define SHIFT_EVERY 2000u

/* Ranks 0 .. count-1, rank r as often as 1 / (r + 1)^exponent. */
struct zipf {
	double *sums;
	uint32_t count;
};

struct workload {
	enum workload_kind kind;
	uint64_t random;
	uint64_t number; /* of the next request */
	uint32_t loop_blocks;
	uint32_t loop_at;
	uint32_t scan_left;
	uint32_t log_at;
	struct zipf main;
	struct zipf index;
};

const char *workload_name(enum workload_kind kind)
{
	static const char *const names[] = {
		[WORKLOAD_ZIPF_08] = "zipf-0.8",
		[WORKLOAD_ZIPF_10] = "zipf-1.0",
		[WORKLOAD_ZIPF_12] = "zipf-1.2",
		[WORKLOAD_ZIPF_SCANS] = "zipf-scans",
		[WORKLOAD_SHIFTING] = "shifting",
		[WORKLOAD_LOOP] = "loop",
		[WORKLOAD_LOOP_SEQUENTIAL] = "loop-sequential",
		[WORKLOAD_DATABASE] = "database",
		[WORKLOAD_MIXED] = "mixed-30w",
		[WORKLOAD_WRITES] = "mixed-60w",
	};

	return names[kind];
}

/* splitmix64, Steele et al. 2014. */
static uint64_t random_next(struct workload *workload)
{
	uint64_t x = workload->random += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static double random_share(struct workload *workload)
{
	return (double)(random_next(workload) >> 11) * 0x1p-53;
}

static bool zipf_init(struct zipf *zipf, uint32_t count, double exponent)
{
	double sum = 0;

	zipf->sums = malloc(count * sizeof(*zipf->sums));
	if (!zipf->sums)
		return false;
	zipf->count = count;
	for (uint32_t i = 0; i < count; i++) {
		sum += pow((double)i + 1, -exponent);
		zipf->sums[i] = sum;
	}
	return true;
}

static uint32_t zipf_next(struct workload *workload, const struct zipf *zipf)
{
	double wanted = random_share(workload) * zipf->sums[zipf->count - 1];
	uint32_t low = 0;
	uint32_t high = zipf->count - 1;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (zipf->sums[middle] < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t scattered(uint32_t rank, uint32_t of)
{
	return rank * SCATTER % of;
}

struct workload *workload_create(enum workload_kind kind, uint64_t seed,
				 uint32_t cache_blocks)
{
	static const double exponents[WORKLOAD_KINDS] = {
		[WORKLOAD_ZIPF_08] = 0.8,	  [WORKLOAD_ZIPF_10] = 1.0,
		[WORKLOAD_ZIPF_12] = 1.2,	  [WORKLOAD_ZIPF_SCANS] = 1.0,
		[WORKLOAD_SHIFTING] = 0.9,	  [WORKLOAD_LOOP] = 1.0,
		[WORKLOAD_LOOP_SEQUENTIAL] = 1.0, [WORKLOAD_DATABASE] = 0.9,
		[WORKLOAD_MIXED] = 1.0,		  [WORKLOAD_WRITES] = 1.0,
	};
	struct workload *workload = calloc(1, sizeof(*workload));
	uint32_t count = kind == WORKLOAD_SHIFTING ? SHIFT_WINDOW
						   : WORKLOAD_WORKING_BLOCKS;

	if (!workload)
		return NULL;
	workload->kind = kind;
	workload->random = seed;
	workload->loop_blocks =
		(cache_blocks + cache_blocks / 10) & ~(LOOP_REQUEST_BLOCKS - 1);
	if (!zipf_init(&workload->main, count, exponents[kind]) ||
	    !zipf_init(&workload->index, INDEX_BLOCKS, 0.6)) {
		workload_destroy(workload);
		return NULL;
	}
	return workload;
}

void workload_destroy(struct workload *workload)
{
	if (!workload)
		return;
	free(workload->main.sums);
	free(workload->index.sums);
	free(workload);
}

static struct request one(uint32_t block, bool write)
{
	return (struct request){block, 1, write};
}

static struct request hot(struct workload *workload, double write_share)
{
	uint32_t rank = zipf_next(workload, &workload->main);
	bool write = random_share(workload) < write_share;

	return one(scattered(rank, WORKLOAD_WORKING_BLOCKS), write);
}

/* The next part of a scan of @begin.., one begins every @every requests. */
static bool scans(struct workload *workload, uint32_t every, uint32_t begin,
		  uint32_t blocks, struct request *ret_request)
{
	if (workload->scan_left == 0 && workload->number % every == every / 2)
		workload->scan_left = blocks;
	if (workload->scan_left == 0 || workload->number % 8 != 0)
		return false;
	*ret_request = (struct request){begin + blocks - workload->scan_left,
					SCAN_REQUEST_BLOCKS, false};
	workload->scan_left -= SCAN_REQUEST_BLOCKS;
	return true;
}

static struct request shifting(struct workload *workload)
{
	uint32_t place =
		scattered(zipf_next(workload, &workload->main), SHIFT_WINDOW);
	uint64_t moved = (workload->number / SHIFT_EVERY + place) / SHIFT_PARTS;

	return one((uint32_t)((place + moved * SHIFT_WINDOW) %
			      WORKLOAD_DISK_BLOCKS),
		   false);
}

static struct request loop(struct workload *workload, uint32_t count)
{
	uint32_t at = workload->loop_at;

	workload->loop_at = (at + count) % workload->loop_blocks;
	if (count > 1)
		return (struct request){at, count, false};
	/* An order that no stream has: 7919 is prime. */
	return one((uint32_t)((uint64_t)at * 7919 % workload->loop_blocks),
		   false);
}

static struct request database(struct workload *workload)
{
	double kind = random_share(workload);
	struct request request;

	if (scans(workload, 400000, 0, WORKLOAD_WORKING_BLOCKS, &request))
		return request;
	if (kind < 0.4)
		return one(
			WORKLOAD_WORKING_BLOCKS +
				scattered(zipf_next(workload, &workload->index),
					  INDEX_BLOCKS),
			random_share(workload) < 0.1);
	if (kind < 0.9)
		return hot(workload, 0.2);
	workload->log_at = (workload->log_at + 2) % LOG_BLOCKS;
	return (struct request){LOG_BEGIN + workload->log_at, 2, true};
}

static struct request next_of_kind(struct workload *workload)
{
	struct request request;

	switch (workload->kind) {
	case WORKLOAD_ZIPF_SCANS:
		if (scans(workload, 200000, SCAN_BEGIN, SCAN_BLOCKS, &request))
			return request;
		return hot(workload, 0);
	case WORKLOAD_SHIFTING:
		return shifting(workload);
	case WORKLOAD_LOOP:
		return loop(workload, 1);
	case WORKLOAD_LOOP_SEQUENTIAL:
		return loop(workload, LOOP_REQUEST_BLOCKS);
	case WORKLOAD_DATABASE:
		return database(workload);
	case WORKLOAD_MIXED:
		return hot(workload, 0.3);
	case WORKLOAD_WRITES:
		return hot(workload, 0.6);
	case WORKLOAD_ZIPF_08:
	case WORKLOAD_ZIPF_10:
	case WORKLOAD_ZIPF_12:
	case WORKLOAD_KINDS:
		break;
	}
	return hot(workload, 0);
}

struct request workload_next(struct workload *workload)
{
	struct request request = next_of_kind(workload);

	workload->number++;
	return request;
}
