// SPDX-License-Identifier: Apache-2.0
/*
 * product.c - see product.h. Time is a number: each round of requests takes
 * ROUND_NS of it.
 */
#include "product.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "log_format.h"

#define ROUND_NS 1000000ull
/* So many segments, if they can be as large: a product's log has more. */
#define SEGMENTS 256u
#define MAX_DIRTY_AGE_NS (60ull * 1000 * 1000 * 1000)

struct slot {
	struct engine_request request;
	struct iovec iov;
};

struct product {
	struct engine *engine;
	struct engine_memory memory;
	uint8_t *ssd;
	uint64_t now_ns;
	uint8_t *guest; /* memory of all slots */
	uint32_t depth;
	uint32_t submitted;
	struct slot slots[PRODUCT_DEPTH_MAX];
};

static void move_data(struct product *product, const struct engine_io *io)
{
	uint8_t *at = product->ssd + io->offset;

	for (uint32_t i = 0; i < io->iov_count; i++) {
		const struct iovec *part = &io->iov[i];

		if (io->type == ENGINE_SSD_WRITE)
			memcpy(at, part->iov_base, part->iov_len);
		else
			memcpy(part->iov_base, at, part->iov_len);
		at += part->iov_len;
	}
}

static void end_io(struct product *product, struct engine_io *io)
{
	switch (io->type) {
	case ENGINE_SSD_READ:
	case ENGINE_SSD_WRITE:
		move_data(product, io);
		break;
	case ENGINE_BELOW_READ:
		for (uint32_t i = 0; i < io->iov_count; i++)
			memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
		break;
	case ENGINE_SSD_FLUSH:
	case ENGINE_BELOW_WRITE:
	case ENGINE_BELOW_FLUSH:
	case ENGINE_BELOW_ZERO:
	case ENGINE_VOID:
		break;
	}
	engine_io_done(product->engine, io, 0);
}

/* Until there is nothing left to do but wait for time to pass. */
static void settle(struct product *product)
{
	bool again = true;

	while (again) {
		struct engine_io *io;
		struct engine_request *request;

		again = false;
		engine_poll(product->engine, product->now_ns);
		while ((io = engine_next_io(product->engine)) != NULL) {
			end_io(product, io);
			again = true;
		}
		while ((request = engine_next_completed(product->engine)) !=
		       NULL) {
			assert(request->status == 0);
			product->submitted--;
		}
	}
}

static uint32_t segment_blocks(uint32_t cache_blocks)
{
	uint32_t blocks = LOG_SEGMENT_BLOCKS_MIN;

	while (blocks < LOG_SEGMENT_BLOCKS_MAX &&
	       cache_blocks / (2 * blocks) >= SEGMENTS)
		blocks *= 2;
	return blocks;
}

static bool start(struct product *product, const struct engine_config *config)
{
	struct error error;
	size_t own = engine_memory_bytes(config);
	size_t kept = engine_kept_bytes(config);
	size_t guest = (size_t)product->depth * WORKLOAD_REQUEST_BLOCKS_MAX *
		       LOG_BLOCK_BYTES;

	product->memory.own = aligned_alloc(LOG_BLOCK_BYTES, own);
	product->memory.kept = aligned_alloc(LOG_BLOCK_BYTES, kept);
	product->ssd = calloc(1, config->file_bytes);
	product->guest = aligned_alloc(LOG_BLOCK_BYTES, guest);
	if (own == 0 || !product->memory.own || !product->memory.kept ||
	    !product->ssd || !product->guest)
		return false;
	memset(product->memory.own, 0, own);
	memset(product->memory.kept, 0, kept);
	memset(product->guest, 0, guest);
	if (engine_create(config, &product->memory, &product->engine, &error) <
	    0)
		return false;
	engine_start(product->engine);
	settle(product);
	return engine_state(product->engine) == ENGINE_RUNNING;
}

struct product *product_create(uint32_t cache_blocks, uint32_t disk_blocks,
			       uint32_t depth)
{
	struct product *product = calloc(1, sizeof(*product));
	uint32_t segment = segment_blocks(cache_blocks);
	const struct engine_config config = {
		.uuid = "bench/cachesim",
		.disk_bytes = (uint64_t)disk_blocks * LOG_BLOCK_BYTES,
		.file_bytes = ((uint64_t)log_first_segment_block(segment) +
			       cache_blocks) *
			      LOG_BLOCK_BYTES,
		.epoch = 1,
		.max_dirty_age_ns = MAX_DIRTY_AGE_NS,
		.mode = ENGINE_WRITE_BACK,
		.segment_blocks = segment,
		.records_in_flight_max = 4,
		.dirty_limit_percent = 70,
		.summaries = true,
		.may_format = true,
	};

	assert(depth > 0 && depth <= PRODUCT_DEPTH_MAX);
	if (!product)
		return NULL;
	product->depth = depth;
	product->now_ns = 1;
	if (!start(product, &config)) {
		product_destroy(product);
		return NULL;
	}
	return product;
}

void product_destroy(struct product *product)
{
	if (!product)
		return;
	free(product->memory.own);
	free(product->memory.kept);
	free(product->ssd);
	free(product->guest);
	free(product);
}

void product_finish(struct product *product)
{
	product->now_ns += ROUND_NS;
	settle(product);
	/* What waits for time to pass, such as room. */
	while (product->submitted > 0) {
		uint64_t next = engine_next_poll_ns(product->engine);

		assert(next != 0);
		if (next > product->now_ns)
			product->now_ns = next;
		settle(product);
	}
}

void product_submit(struct product *product, const struct request *request)
{
	struct slot *slot = &product->slots[product->submitted];
	size_t bytes = (size_t)request->count * LOG_BLOCK_BYTES;

	assert(request->count <= WORKLOAD_REQUEST_BLOCKS_MAX);
	slot->iov = (struct iovec){product->guest +
					   (size_t)product->submitted *
						   WORKLOAD_REQUEST_BLOCKS_MAX *
						   LOG_BLOCK_BYTES,
				   bytes};
	slot->request = (struct engine_request){
		.operation = request->write ? ENGINE_WRITE : ENGINE_READ,
		.sector = (uint64_t)request->block * LOG_SECTORS_PER_BLOCK,
		.sector_count =
			(uint64_t)request->count * LOG_SECTORS_PER_BLOCK,
		.iov = &slot->iov,
		.iov_count = 1,
	};
	product->submitted++;
	engine_submit(product->engine, &slot->request);
	if (product->submitted == product->depth)
		product_finish(product);
}

struct engine_stats product_stats(struct product *product)
{
	struct engine_stats stats;

	engine_stats(product->engine, &stats);
	return stats;
}
