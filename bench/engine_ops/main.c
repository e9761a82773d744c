// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - what the engine costs: processor time per operation, memory per
 * cached block, bytes to the SSD per byte of the guest.
 *
 *   engine-ops [--without-curve]    a JSON object on standard output
 *
 * The engine of the product over an SSD that is memory (product.h). Data aren't
 * copied, since it is a device that would do that; they are checked, as ever.
 * What a check of 4 KiB takes here is measured beside it, and times the checks
 * of an operation it is what `bare_ns` leaves out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "crc32c.h"
#include "index.h"
#include "log_format.h"
#include "product.h"

#define CACHE_BLOCKS (256u << 10)
#define DEPTH 32u
/* Few enough that nothing has to be destaged or evicted meanwhile. */
#define BLOCKS 32768u
#define ROUNDS 5u
/* Enough that the memory which doesn't grow with them counts for little. */
#define INDEXED_BLOCKS (128u << 10)
/* Of the misses: they go round a full log. */
#define SMALL_CACHE_BLOCKS (16u << 10)

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Scattered, and each block once: the factor is odd. */
static uint32_t scatter(uint32_t i, uint32_t blocks)
{
	return i * 40503u % blocks;
}

/* Processor time of @count requests of one block each. */
static uint64_t run(struct product *product, bool write, uint32_t first,
		    uint32_t blocks, uint32_t count)
{
	uint64_t begin = cpu_ns();

	for (uint32_t i = 0; i < count; i++) {
		const struct request request = {
			.block = first + scatter(i, blocks),
			.count = 1,
			.write = write,
		};

		product_submit(product, &request);
	}
	product_finish(product);
	return cpu_ns() - begin;
}

/* As in the product, unless asked. */
static bool keeps_curve = true;

static struct product *make(uint32_t cache_blocks, uint32_t disk_blocks,
			    uint32_t depth)
{
	struct product *product = product_create(
		&(struct product_shape){.cache_blocks = cache_blocks,
					.disk_blocks = disk_blocks,
					.depth = depth,
					.curve = keeps_curve});

	if (!product) {
		fprintf(stderr, "engine-ops: no memory for the engine\n");
		exit(EXIT_FAILURE);
	}
	product_leave_data(product);
	return product;
}

static double check_ns(void)
{
	static uint8_t data[64][LOG_BLOCK_BYTES];
	uint64_t begin = cpu_ns();
	uint32_t sum = 0;

	for (uint32_t i = 0; i < 200000; i++)
		sum = crc32c(sum, data[i % 64], LOG_BLOCK_BYTES);
	return (double)(cpu_ns() - begin) / 200000;
}

static int by_value(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* The middle of @ns, of ROUNDS; @checks of 4 KiB each are in it. */
static void print_operation(const char *name, double *ns, double checks,
			    double check)
{
	qsort(ns, ROUNDS, sizeof(*ns), by_value);
	printf("  \"%s\": {\"ns\": %.0f, \"bare_ns\": %.0f, \"min_ns\": %.0f, "
	       "\"max_ns\": %.0f},\n",
	       name, ns[ROUNDS / 2], ns[ROUNDS / 2] - checks * check, ns[0],
	       ns[ROUNDS - 1]);
}

static void operations(void)
{
	double hit[ROUNDS], dirty[ROUNDS], newly[ROUNDS], miss[ROUNDS];
	double check = check_ns();

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct product *product =
			make(CACHE_BLOCKS, CACHE_BLOCKS, DEPTH);
		struct product *full;

		newly[i] =
			(double)run(product, true, 0, BLOCKS, BLOCKS) / BLOCKS;
		dirty[i] =
			(double)run(product, true, 0, BLOCKS, BLOCKS) / BLOCKS;
		hit[i] = (double)run(product, false, 0, BLOCKS, 4 * BLOCKS) /
			 (4 * BLOCKS);
		product_destroy(product);
		full = make(SMALL_CACHE_BLOCKS, CACHE_BLOCKS, DEPTH);
		run(full, false, 0, CACHE_BLOCKS, CACHE_BLOCKS);
		miss[i] = (double)run(full, false, 0, CACHE_BLOCKS, BLOCKS) /
			  BLOCKS;
		product_destroy(full);
	}
	printf("  \"check_ns\": %.0f,\n", check);
	print_operation("read_hit", hit, 1, check);
	/* Of what is submitted, and again when it is written. */
	print_operation("write_dirty", dirty, 2, check);
	print_operation("write_newly_dirty", newly, 2, check);
	print_operation("read_miss", miss, 0, check);
}

/* Of the memory that outlives the process, with one block in @every cached. */
static double bytes_per_block(uint32_t every)
{
	struct product *product =
		make(2 * CACHE_BLOCKS, INDEXED_BLOCKS * every, DEPTH);
	uint64_t before = product_kept_resident_bytes(product);
	uint64_t bytes;

	for (uint32_t i = 0; i < INDEXED_BLOCKS; i++) {
		const struct request request = {
			.block = i * every,
			.count = 1,
			.write = true,
		};

		product_submit(product, &request);
	}
	product_finish(product);
	bytes = product_kept_resident_bytes(product) - before;
	product_destroy(product);
	return (double)bytes / INDEXED_BLOCKS;
}

static void *map_zeros(size_t count, size_t size)
{
	void *memory = mmap(NULL, count * size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED) {
		fprintf(stderr, "engine-ops: no memory for the index\n");
		exit(EXIT_FAILURE);
	}
	return memory;
}

/* What was looked up is used for something. */
static volatile uint32_t found;

/* Of one look-up, in no order, with one block in @every cached; once a run. */
static double lookup_ns(uint32_t every)
{
	const uint64_t blocks = (uint64_t)INDEXED_BLOCKS * every;
	const struct index_limits limits = index_limits(blocks, INDEXED_BLOCKS);
	const struct index_memory memory = {
		.root = map_zeros(1, sizeof(struct index_root)),
		.directory = map_zeros(blocks / INDEX_LEAF_BLOCKS, 4),
		.zeroed = map_zeros(blocks / INDEX_LEAF_BLOCKS, 4),
		.leaves = map_zeros(limits.leaves, sizeof(struct index_leaf)),
		.pages = map_zeros(limits.pages, sizeof(struct chunk_page)),
		.chunks = map_zeros(limits.pages, CHUNK_PAGE_BYTES),
		.undo = map_zeros(1, sizeof(struct undo)),
	};
	struct index index;
	uint64_t begin;
	uint32_t sum = 0;

	index_init(&index, blocks, &limits, &memory);
	for (uint32_t i = 0; i < INDEXED_BLOCKS; i++) {
		const struct index_copy copy = {.location = i + 1, .mask = 255};

		index_set(&index, (uint64_t)i * every, &copy);
		index_commit(&index);
	}
	begin = cpu_ns();
	for (uint32_t i = 0; i < INDEXED_BLOCKS; i++)
		sum += index_get(&index,
				 (uint64_t)scatter(i, INDEXED_BLOCKS) * every)
			       .location;
	found = sum;
	return (double)(cpu_ns() - begin) / INDEXED_BLOCKS;
}

static double ssd_bytes_per_byte(uint32_t depth)
{
	struct product *product = make(CACHE_BLOCKS, CACHE_BLOCKS, depth);
	struct engine_stats before = product_stats(product);
	struct engine_stats after;

	run(product, true, 0, BLOCKS, BLOCKS);
	after = product_stats(product);
	product_destroy(product);
	return (double)(after.ssd_written_bytes - before.ssd_written_bytes) /
	       (double)(after.write_bytes - before.write_bytes);
}

int main(int argc, char **argv)
{
	keeps_curve = argc != 2 || strcmp(argv[1], "--without-curve") != 0;
	printf("{\n");
	operations();
	printf("  \"bytes_per_block\": {\"100\": %.1f, \"25\": %.1f, "
	       "\"6\": %.1f},\n",
	       bytes_per_block(1), bytes_per_block(4), bytes_per_block(16));
	printf("  \"lookup_ns\": {\"100\": %.0f, \"25\": %.0f, \"6\": %.0f},\n",
	       lookup_ns(1), lookup_ns(4), lookup_ns(16));
	printf("  \"ssd_bytes_per_byte\": {\"1\": %.2f, \"32\": %.2f}\n}\n",
	       ssd_bytes_per_byte(1), ssd_bytes_per_byte(32));
	return EXIT_SUCCESS;
}
