// SPDX-License-Identifier: Apache-2.0
/*
 * create.c - gives each part of an engine its place in the host's memory.
 */
#include "core.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Where each part's memory lies in its region. */
struct kept_layout {
	uint64_t end;
	uint64_t kept;
	uint64_t directory;
	uint64_t zeroed;
	uint64_t ghosts;
	uint64_t segments;
	uint64_t leaves;
	uint64_t pages;
	uint64_t chunks;
};

struct layout {
	uint64_t end;
	struct kept_layout kept;
	uint64_t engine;
	uint64_t hazards;
	uint64_t surveys;
	uint64_t items;
	uint64_t records;
	uint64_t slots;
	uint64_t blocks;
	uint64_t headers;
	uint64_t buffers;
	uint64_t segment_buffer;
	uint64_t superblocks;
	uint64_t zeros;
	uint64_t summaries;
	uint64_t hold_bits;
	uint64_t hold_counts;
	uint64_t curve;
	uint32_t segment_count;
	struct index_limits index;
	uint32_t ghost_count;
	uint64_t disk_blocks;
};

static uint64_t place(uint64_t *end, uint64_t count, uint64_t bytes)
{
	uint64_t at = *end;

	*end += (count * bytes + LOG_BLOCK_BYTES - 1) / LOG_BLOCK_BYTES *
		LOG_BLOCK_BYTES;
	return at;
}

static int check_config(const struct engine_config *config, struct error *error)
{
	uint32_t blocks = config->segment_blocks;

	if (config->disk_bytes == 0 ||
	    config->disk_bytes % LOG_SECTOR_BYTES != 0)
		return error_set(error, -EINVAL,
				 "the disk's size must be a multiple of 512");
	if (blocks < LOG_SEGMENT_BLOCKS_MIN ||
	    blocks > LOG_SEGMENT_BLOCKS_MAX || (blocks & (blocks - 1)) != 0)
		return error_set(error, -EINVAL, "bad segment size");
	if (config->file_bytes / LOG_BLOCK_BYTES > UINT32_MAX ||
	    config->file_bytes / LOG_BLOCK_BYTES <
		    log_first_segment_block(blocks) +
			    (uint64_t)ENGINE_SEGMENTS_MIN * blocks)
		return error_set(error, -EINVAL,
				 "a cache file of %llu bytes is not possible",
				 (unsigned long long)config->file_bytes);
	if (config->records_in_flight_max == 0 ||
	    config->records_in_flight_max > ENGINE_RECORDS_MAX ||
	    config->dirty_limit_percent == 0 ||
	    config->dirty_limit_percent > 100 || config->epoch == 0 ||
	    config->zeroing_blocks_max > ENGINE_ZEROING_BLOCKS_MAX)
		return error_set(error, -EINVAL, "a limit is out of range");
	return 0;
}

/* Each record in flight may have to be amended by some more. */
static uint32_t ring_size(const struct engine_config *config)
{
	return config->records_in_flight_max * (1 + AMEND_RECORDS_MAX);
}

static void lay_out_sizes(struct layout *layout,
			  const struct engine_config *config)
{
	uint32_t blocks = config->segment_blocks;
	uint64_t cache_blocks;

	layout->disk_blocks =
		(config->disk_bytes + LOG_BLOCK_BYTES - 1) / LOG_BLOCK_BYTES;
	layout->segment_count =
		(uint32_t)((config->file_bytes / LOG_BLOCK_BYTES -
			    log_first_segment_block(blocks)) /
			   blocks);
	cache_blocks = (uint64_t)layout->segment_count * blocks;
	layout->index = index_limits(layout->disk_blocks, cache_blocks);
	layout->ghost_count = ghost_entries(cache_blocks);
}

static void lay_out_kept(struct layout *layout)
{
	struct kept_layout *kept = &layout->kept;

	kept->kept = place(&kept->end, 1, sizeof(struct kept));
	kept->directory = place(&kept->end,
				layout->disk_blocks / INDEX_LEAF_BLOCKS + 1, 4);
	kept->zeroed = place(&kept->end,
			     layout->disk_blocks / INDEX_LEAF_BLOCKS + 1, 4);
	kept->ghosts = place(&kept->end, layout->ghost_count, 2);
	kept->segments = place(&kept->end, layout->segment_count,
			       sizeof(struct segment));
	kept->leaves = place(&kept->end, layout->index.leaves,
			     sizeof(struct index_leaf));
	kept->pages = place(&kept->end, layout->index.pages,
			    sizeof(struct chunk_page));
	kept->chunks = place(&kept->end, layout->index.pages, CHUNK_PAGE_BYTES);
}

static void lay_out_own(struct layout *layout,
			const struct engine_config *config)
{
	uint32_t blocks = config->segment_blocks;
	uint64_t *end = &layout->end;

	layout->engine = place(end, 1, sizeof(struct engine));
	layout->hazards = place(end, 1, sizeof(struct hazards));
	layout->surveys =
		place(end, layout->segment_count, sizeof(struct survey));
	layout->items = place(end, ITEMS_COUNT, sizeof(struct append_item));
	layout->records = place(end, ring_size(config), sizeof(struct record));
	layout->slots = place(end, SLOTS_COUNT, sizeof(struct io_slot));
	layout->blocks = place(end, blocks, sizeof(struct destage_block));
	layout->headers = place(end, ring_size(config) * 2ull, LOG_BLOCK_BYTES);
	layout->buffers = place(end, BUFFERS_COUNT, LOG_BLOCK_BYTES);
	layout->superblocks =
		place(end, (LOG_SUPERBLOCK_COPIES + 1) * LOG_SUPERBLOCK_BLOCKS,
		      LOG_BLOCK_BYTES);
	layout->zeros = place(end, ZERO_BLOCKS, LOG_BLOCK_BYTES);
	layout->summaries = place(end, RECOVERY_READS,
				  (uint64_t)log_summary_blocks_max(blocks) *
					  LOG_BLOCK_BYTES);
	layout->segment_buffer = place(end, blocks, LOG_BLOCK_BYTES);
	layout->hold_bits = place(
		end, (uint64_t)layout->segment_count * blocks / 64 + 1, 8);
	layout->hold_counts = place(end, layout->segment_count, 4);
	layout->curve = place(end, config->curve ? 1 : 0, sizeof(struct curve));
}

static struct layout lay_out(const struct engine_config *config)
{
	struct layout layout = {0};

	lay_out_sizes(&layout, config);
	lay_out_kept(&layout);
	lay_out_own(&layout, config);
	return layout;
}

size_t engine_memory_bytes(const struct engine_config *config)
{
	if (check_config(config, NULL) < 0)
		return 0;
	return lay_out(config).end;
}

size_t engine_kept_bytes(const struct engine_config *config)
{
	if (check_config(config, NULL) < 0)
		return 0;
	return lay_out(config).kept.end;
}

/* Recovery has ended before the first summary is written. */
static void init_summaries(struct engine *engine, uint8_t *memory)
{
	size_t bytes =
		(size_t)log_summary_blocks_max(engine->config.segment_blocks) *
		LOG_BLOCK_BYTES;

	static_assert(SUMMARY_BUFFERS <= RECOVERY_READS, "they share memory");
	for (uint32_t i = 0; i < RECOVERY_READS; i++)
		engine->recovery.reads[i].buffer = memory + i * bytes;
	for (uint32_t i = 0; i < SUMMARY_BUFFERS; i++)
		engine->summary.buffers[i] = memory + i * bytes;
}

static void init_kept(struct engine *engine, uint8_t *memory,
		      const struct layout *layout)
{
	const struct kept_layout *at = &layout->kept;
	struct kept *kept = (void *)(memory + at->kept);
	const struct index_memory index = {
		.root = &kept->root,
		.directory = (void *)(memory + at->directory),
		.zeroed = (void *)(memory + at->zeroed),
		.leaves = (void *)(memory + at->leaves),
		.pages = (void *)(memory + at->pages),
		.chunks = memory + at->chunks,
		.undo = &kept->undo,
	};

	engine->kept = kept;
	index_init(&engine->index, layout->disk_blocks, &layout->index, &index);
	ghost_init(&engine->ghosts, layout->ghost_count,
		   (void *)(memory + at->ghosts));
	segments_init(&engine->segments, layout->segment_count,
		      engine->config.segment_blocks,
		      (void *)(memory + at->segments));
}

static void init_parts(struct engine *engine, uint8_t *memory,
		       const struct layout *layout)
{
	struct superblock *superblock = &engine->superblock;
	uint64_t copy_bytes = LOG_SUPERBLOCK_BLOCKS * LOG_BLOCK_BYTES;

	engine->hazards = (void *)(memory + layout->hazards);
	engine->recovery.surveys = (void *)(memory + layout->surveys);
	engine->append.items = (void *)(memory + layout->items);
	engine->append.ring = ring_size(&engine->config);
	engine->append.records = (void *)(memory + layout->records);
	engine->io.slots = (void *)(memory + layout->slots);
	engine->io.buffers = memory + layout->buffers;
	engine->destage.blocks = (void *)(memory + layout->blocks);
	engine->destage.buffer = memory + layout->segment_buffer;
	engine->hold.kept = (void *)(memory + layout->hold_bits);
	engine->hold.kept_counts = (void *)(memory + layout->hold_counts);
	engine->zero_ahead.zeros = memory + layout->zeros;
	if (engine->config.curve)
		engine->curve = (void *)(memory + layout->curve);
	init_summaries(engine, memory + layout->summaries);
	for (uint32_t i = 0; i < engine->append.ring; i++) {
		struct record *record = &engine->append.records[i];
		uint8_t *at = memory + layout->headers +
			      (size_t)i * 2 * LOG_BLOCK_BYTES;

		record->header = (void *)at;
		record->head = (void *)(at + LOG_BLOCK_BYTES);
	}
	superblock->image = (void *)(memory + layout->superblocks);
	for (uint32_t i = 0; i < LOG_SUPERBLOCK_COPIES; i++)
		superblock->copies[i] = (void *)(memory + layout->superblocks +
						 (i + 1) * copy_bytes);
	io_init(engine);
	append_init(engine);
	list_init(&engine->reads.issuing);
	list_init(&engine->reads.pieces);
	list_init(&engine->writes.waiting);
	list_init(&engine->writes.through);
	list_init(&engine->writes.admitted);
	list_init(&engine->flusher.waiting);
}

int engine_create(const struct engine_config *config,
		  const struct engine_memory *memory,
		  struct engine **ret_engine, struct error *error)
{
	struct engine *engine = memory->own;
	struct layout layout;
	int status = check_config(config, error);

	if (status < 0)
		return status;
	layout = lay_out(config);
	assert((uintptr_t)memory->own % LOG_BLOCK_BYTES == 0 &&
	       (uintptr_t)memory->kept % LOG_BLOCK_BYTES == 0);
	engine->config = *config;
	engine->disk_blocks = layout.disk_blocks;
	engine->disk_sectors = config->disk_bytes / LOG_SECTOR_BYTES;
	memcpy(engine->identity.uuid, config->uuid, 16);
	engine->identity.epoch = config->epoch;
	width_init(&engine->width);
	width_set_cap(&engine->width, config->destage_bytes_per_s);
	init_kept(engine, memory->kept, &layout);
	init_parts(engine, memory->own, &layout);
	grant_settle(engine, config->granted_segments > 0
				     ? config->granted_segments
				     : layout.segment_count);
	if (engine->curve)
		curve_init(engine->curve, config->file_bytes,
			   config->segment_blocks);
	*ret_engine = engine;
	return 0;
}
