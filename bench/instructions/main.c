// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - does one operation many times, for a tool that counts instructions.
 *
 *   instructions NAME      does it; prints how many times
 *   instructions           prints the names
 *
 * What counts is what happens within measured(), which the tool is told of:
 * callgrind's --toggle-collect. Check values aren't computed: those are isa-l's
 * instructions, chosen for the processor, not ours.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "product.h"
#include "ring.h"

#define CACHE_BLOCKS (64u << 10)
#define DEPTH 32u
#define BLOCKS 4096u
#define SMALL_CACHE_BLOCKS (4u << 10)
#define BATCHES 128u

struct load {
	struct product *product;
	uint32_t blocks;
	bool write;
	struct ring *ring;
};

/* Every check value is the same, and so all are right. */
uint32_t crc32c(uint32_t seed, const void *bytes, size_t count)
{
	(void)seed;
	(void)bytes;
	(void)count;
	return 1;
}

/* Scattered, and each block once: the factor is odd. */
static uint32_t scatter(uint32_t i, uint32_t blocks)
{
	return i * 40503u % blocks;
}

static void requests(const struct load *load, uint32_t count)
{
	assert(load->blocks > 0);
	for (uint32_t i = 0; i < count; i++) {
		const struct request request = {
			.block = scatter(i, load->blocks),
			.count = 1,
			.write = load->write,
		};

		product_submit(load->product, &request);
	}
	product_finish(load->product);
}

/* The tool knows it by its name, so it is never a part of another. */
__attribute__((noinline)) static uint32_t measured(const struct load *load)
{
	if (load->ring)
		return ring_serve(load->ring);
	requests(load, BLOCKS);
	return BLOCKS;
}

static struct product *make(uint32_t cache_blocks)
{
	struct product *product = product_create(
		&(struct product_shape){.cache_blocks = cache_blocks,
					.disk_blocks = CACHE_BLOCKS,
					.depth = DEPTH,
					.curve = true});

	if (!product)
		exit(EXIT_FAILURE);
	product_leave_data(product);
	return product;
}

static uint32_t write_newly_dirty(void)
{
	return measured(&(struct load){make(CACHE_BLOCKS), BLOCKS, true, NULL});
}

static uint32_t write_dirty(void)
{
	const struct load load = {make(CACHE_BLOCKS), BLOCKS, true, NULL};

	requests(&load, BLOCKS);
	return measured(&load);
}

static uint32_t read_hit(void)
{
	struct load load = {make(CACHE_BLOCKS), BLOCKS, true, NULL};

	requests(&load, BLOCKS);
	load.write = false;
	return measured(&load);
}

/* The cache is full of other blocks, which go. */
static uint32_t read_miss(void)
{
	const struct load load = {make(SMALL_CACHE_BLOCKS), CACHE_BLOCKS, false,
				  NULL};

	requests(&load, 4 * BLOCKS);
	return measured(&load);
}

static uint32_t serve(bool packed)
{
	const struct load load = {.ring = ring_create(packed)};
	uint32_t count = 0;

	for (uint32_t i = 0; i < BATCHES; i++) {
		ring_fill(load.ring);
		count += measured(&load);
	}
	return count;
}

static uint32_t virtqueue_split(void)
{
	return serve(false);
}

static uint32_t virtqueue_packed(void)
{
	return serve(true);
}

static const struct {
	const char *name;
	uint32_t (*run)(void);
} operations[] = {
	{"read_hit", read_hit},
	{"write_dirty", write_dirty},
	{"write_newly_dirty", write_newly_dirty},
	{"read_miss", read_miss},
	{"virtqueue_split", virtqueue_split},
	{"virtqueue_packed", virtqueue_packed},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		if (argc < 2)
			printf("%s\n", operations[i].name);
		else if (strcmp(argv[1], operations[i].name) == 0)
			printf("%u\n", operations[i].run());
	}
	return EXIT_SUCCESS;
}
