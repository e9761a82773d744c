// SPDX-License-Identifier: Apache-2.0
/*
 * product.c - see product.h. Time is a number: each round of requests takes
 * ROUND_NS of it.
 */
#include "product.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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
	size_t guest_bytes;
	size_t segment_bytes;
	size_t own_bytes;
	size_t kept_bytes;
	uint64_t zeroed_bytes;
	bool leave_data; /* a device would move them, not the processor */
	uint32_t depth;
	uint32_t submitted;
	struct slot slots[PRODUCT_DEPTH_MAX];
};

static bool is_guests(const struct product *product, const void *place)
{
	const uint8_t *byte = place;

	return byte >= product->guest &&
	       byte < product->guest + product->guest_bytes;
}

/* Zeros ahead of a log that has never been there; so is our memory. */
static bool is_zeroing(const struct product *product,
		       const struct engine_io *io)
{
	uint64_t magic;

	if (io->type != ENGINE_SSD_WRITE ||
	    io->length != product->segment_bytes)
		return false;
	memcpy(&magic, io->iov[0].iov_base, sizeof(magic));
	return magic == 0;
}

static void move_data(struct product *product, const struct engine_io *io)
{
	uint8_t *at = product->ssd + io->offset;

	if (is_zeroing(product, io)) {
		product->zeroed_bytes += io->length;
		return;
	}
	for (uint32_t i = 0; i < io->iov_count; i++) {
		const struct iovec *part = &io->iov[i];

		if (product->leave_data && is_guests(product, part->iov_base))
			;
		else if (io->type == ENGINE_SSD_WRITE)
			memcpy(at, part->iov_base, part->iov_len);
		else
			memcpy(part->iov_base, at, part->iov_len);
		at += part->iov_len;
	}
}

static void clear_data(const struct engine_io *io)
{
	for (uint32_t i = 0; i < io->iov_count; i++)
		memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
}

static void end_io(struct product *product, struct engine_io *io)
{
	switch (io->type) {
	case ENGINE_SSD_READ:
	case ENGINE_SSD_WRITE:
		move_data(product, io);
		break;
	case ENGINE_BELOW_READ:
		if (!product->leave_data)
			clear_data(io);
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

static void take_completed(struct product *product)
{
	struct engine_request *request;

	while ((request = engine_next_completed(product->engine)) != NULL) {
		assert(request->status == 0);
		product->submitted--;
	}
}

/* Until there is nothing left to do but wait for time to pass. */
static void settle(struct product *product)
{
	bool again = true;

	while (again) {
		struct engine_io *io;

		again = false;
		engine_poll(product->engine, product->now_ns);
		while ((io = engine_next_io(product->engine)) != NULL) {
			end_io(product, io);
			again = true;
		}
		take_completed(product);
	}
}

uint32_t product_segment_blocks(uint32_t cache_blocks)
{
	uint32_t blocks = LOG_SEGMENT_BLOCKS_MIN;

	while (blocks < LOG_SEGMENT_BLOCKS_MAX &&
	       cache_blocks / (2 * blocks) >= SEGMENTS)
		blocks *= 2;
	return blocks;
}

/* Zeros that take memory when they are touched. Returns: NULL if there is none.
 */
static void *map_zeros(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void unmap(void *memory, size_t bytes)
{
	if (memory)
		munmap(memory, bytes);
}

static bool start(struct product *product, const struct engine_config *config)
{
	struct error error;

	product->own_bytes = engine_memory_bytes(config);
	product->kept_bytes = engine_kept_bytes(config);
	product->guest_bytes = (size_t)product->depth *
			       WORKLOAD_REQUEST_BLOCKS_MAX * LOG_BLOCK_BYTES;
	product->memory.own = map_zeros(product->own_bytes);
	product->memory.kept = map_zeros(product->kept_bytes);
	product->ssd = calloc(1, config->file_bytes);
	product->guest = map_zeros(product->guest_bytes);
	if (!product->memory.own || !product->memory.kept || !product->ssd ||
	    !product->guest)
		return false;
	if (engine_create(config, &product->memory, &product->engine, &error) <
	    0)
		return false;
	engine_start(product->engine);
	settle(product);
	return engine_state(product->engine) == ENGINE_RUNNING;
}

struct product *product_create(const struct product_shape *shape)
{
	struct product *product = calloc(1, sizeof(*product));
	uint32_t segment =
		shape->segment_blocks
			? shape->segment_blocks
			: product_segment_blocks(shape->cache_blocks);
	const struct engine_config config = {
		.uuid = "bench/cachesim",
		.disk_bytes = (uint64_t)shape->disk_blocks * LOG_BLOCK_BYTES,
		.file_bytes = ((uint64_t)log_first_segment_block(segment) +
			       shape->cache_blocks) *
			      LOG_BLOCK_BYTES,
		.epoch = 1,
		.max_dirty_age_ns = MAX_DIRTY_AGE_NS,
		.mode = ENGINE_WRITE_BACK,
		.segment_blocks = segment,
		.records_in_flight_max = 4,
		.dirty_limit_percent = 70,
		.summaries = true,
		.curve = shape->curve,
		.may_format = true,
	};

	assert(shape->depth > 0 && shape->depth <= PRODUCT_DEPTH_MAX);
	if (!product)
		return NULL;
	product->depth = shape->depth;
	product->segment_bytes = (size_t)segment * LOG_BLOCK_BYTES;
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
	unmap(product->memory.own, product->own_bytes);
	unmap(product->memory.kept, product->kept_bytes);
	unmap(product->guest, product->guest_bytes);
	free(product->ssd);
	free(product);
}

void product_leave_data(struct product *product)
{
	product->leave_data = true;
}

uint64_t product_kept_resident_bytes(const struct product *product)
{
	size_t pages = product->kept_bytes / LOG_BLOCK_BYTES;
	unsigned char *resident = calloc(pages, 1);
	uint64_t count = 0;

	if (!resident || mincore(product->memory.kept, pages * LOG_BLOCK_BYTES,
				 resident) < 0)
		abort();
	for (size_t i = 0; i < pages; i++)
		count += resident[i] & 1;
	free(resident);
	return count * LOG_BLOCK_BYTES;
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
	stats.ssd_written_bytes -= product->zeroed_bytes;
	return stats;
}

struct engine_curve product_curve(const struct product *product)
{
	struct engine_curve curve;

	if (!engine_curve(product->engine, &curve))
		abort();
	return curve;
}
