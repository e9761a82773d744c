// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - hit ratios of the engine's policy and of its peers.
 *
 *   cachesim [--requests N] [--depth N] [--cache BLOCKS]... [--workload NAME]
 *            [--advice [--size INDEX]...]
 *
 * Prints lines of tab-separated columns: workload, cache blocks, who, hit
 * ratio of the blocks read in the second half; and of the engine what it wrote
 * to the SSD, and moved up the log, for each byte that was written by the guest
 * or admitted, and which part of the cache file held data that counted. With
 * --advice, what the engine says of other sizes instead: advice.h.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "peer.h"
#include "product.h"
#include "workload.h"

#define SEED 20231028u
#define CACHES_MAX 16u

struct arguments {
	uint64_t requests;
	uint32_t depth;
	uint32_t caches[CACHES_MAX];
	uint32_t cache_count;
	const char *workload;
	bool advice;
	uint32_t sizes; /* bits, of a curve's; 0: all */
};

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static int run_peer(const struct peer_kind *kind, enum workload_kind what,
		    const struct arguments *arguments, uint32_t cache)
{
	struct workload *workload = workload_create(what, SEED, cache);
	struct peer *peer = peer_create(kind, cache, WORKLOAD_DISK_BLOCKS);
	uint64_t hits = 0;
	uint64_t reads = 0;

	if (!workload || !peer)
		return 1;
	for (uint64_t i = 0; i < arguments->requests; i++) {
		struct request request = workload_next(workload);
		bool counts = i >= arguments->requests / 2 && !request.write;

		for (uint32_t k = 0; k < request.count; k++)
			hits += peer_use(peer, request.block + k) && counts;
		reads += counts ? request.count : 0;
	}
	printf("%s\t%u\t%s\t%.4f\n", workload_name(what), cache, kind->name,
	       share(hits, reads));
	peer_destroy(peer);
	workload_destroy(workload);
	return 0;
}

static void print_product(enum workload_kind what, uint32_t cache,
			  const struct engine_stats *half,
			  const struct engine_stats *end)
{
	uint64_t hits = end->read_hit_bytes - half->read_hit_bytes;
	uint64_t misses = end->read_miss_bytes - half->read_miss_bytes;
	uint64_t entered = end->fill_bytes - half->fill_bytes +
			   end->write_bytes - half->write_bytes;

	printf("%s\t%u\tForebay\t%.4f\t%.3f\t%.3f\t%.3f\n", workload_name(what),
	       cache, share(hits, hits + misses),
	       share(end->ssd_written_bytes - half->ssd_written_bytes, entered),
	       share(end->reappended_bytes - half->reappended_bytes, entered),
	       share(end->cached_bytes, end->capacity_bytes));
}

static int run_product(enum workload_kind what,
		       const struct arguments *arguments, uint32_t cache)
{
	struct workload *workload = workload_create(what, SEED, cache);
	struct product *product = product_create(
		&(struct product_shape){.cache_blocks = cache,
					.disk_blocks = WORKLOAD_DISK_BLOCKS,
					.depth = arguments->depth});
	struct engine_stats half = {0};
	struct engine_stats end;

	if (!workload || !product)
		return 1;
	for (uint64_t i = 0; i < arguments->requests; i++) {
		struct request request = workload_next(workload);

		if (i == arguments->requests / 2)
			half = product_stats(product);
		product_submit(product, &request);
	}
	product_finish(product);
	end = product_stats(product);
	print_product(what, cache, &half, &end);
	product_destroy(product);
	workload_destroy(workload);
	return 0;
}

static int run_all(enum workload_kind what, const struct arguments *arguments,
		   uint32_t cache)
{
	int status = 0;

	if (arguments->advice)
		return advice_run(what, cache, arguments->requests,
				  arguments->depth, SEED,
				  arguments->sizes ? arguments->sizes : ~0u);
	for (uint32_t p = 0; p < PEER_KINDS; p++)
		status |= run_peer(peer_kinds[p], what, arguments, cache);
	return status | run_product(what, arguments, cache);
}

static int run(const struct arguments *arguments)
{
	int status = 0;

	for (uint32_t i = 0; i < WORKLOAD_KINDS; i++) {
		const char *name = workload_name((enum workload_kind)i);

		if (arguments->workload &&
		    strcmp(arguments->workload, name) != 0)
			continue;
		for (uint32_t k = 0; k < arguments->cache_count; k++)
			status |= run_all((enum workload_kind)i, arguments,
					  arguments->caches[k]);
	}
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"requests", required_argument, NULL, 'r'},
		{"depth", required_argument, NULL, 'd'},
		{"cache", required_argument, NULL, 'c'},
		{"workload", required_argument, NULL, 'w'},
		{"advice", no_argument, NULL, 'a'},
		{"size", required_argument, NULL, 's'},
		{0},
	};
	struct arguments arguments = {.requests = 1000000, .depth = 8};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r')
			arguments.requests = strtoull(optarg, NULL, 10);
		else if (option == 'd')
			arguments.depth = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'c' && arguments.cache_count < CACHES_MAX)
			arguments.caches[arguments.cache_count++] =
				(uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'w')
			arguments.workload = optarg;
		else if (option == 'a')
			arguments.advice = true;
		else if (option == 's')
			arguments.sizes |= 1u << (strtoul(optarg, NULL, 10) %
						  ENGINE_CURVE_SIZES);
		else
			return 2;
	}
	if (arguments.cache_count == 0)
		arguments.caches[arguments.cache_count++] = 16384;
	if (arguments.depth == 0 || arguments.depth > PRODUCT_DEPTH_MAX)
		return 2;
	return run(&arguments);
}
