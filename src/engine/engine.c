// SPDX-License-Identifier: Apache-2.0
/*
 * engine.c - makes the parts, lets them advance, and answers the host.
 */
#include "core.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Rule 12; small (test) logs have less to reserve from. */
#define RESERVE_SEGMENTS 4u
#define RESERVE_SEGMENTS_SMALL 2u
#define SMALL_LOG_SEGMENTS 32u

/* Where each part's memory lies in the region. */
struct layout {
	uint64_t end;
	uint64_t engine;
	uint64_t hazards;
	uint64_t directory;
	uint64_t leaves;
	uint64_t ghosts;
	uint64_t segments;
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
	uint32_t segment_count;
	uint32_t leaf_count;
	uint32_t ghost_count;
	uint64_t disk_blocks;
};

static uint64_t place(struct layout *layout, uint64_t count, uint64_t bytes)
{
	uint64_t at = layout->end;

	layout->end += (count * bytes + LOG_BLOCK_BYTES - 1) / LOG_BLOCK_BYTES *
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
	    config->dirty_limit_percent > 100 || config->epoch == 0)
		return error_set(error, -EINVAL, "a limit is out of range");
	return 0;
}

/* Each record in flight may have to be amended by some more. */
static uint32_t ring_size(const struct engine_config *config)
{
	return config->records_in_flight_max * (1 + AMEND_RECORDS_MAX);
}

static struct layout lay_out(const struct engine_config *config)
{
	struct layout layout = {0};
	uint32_t blocks = config->segment_blocks;
	uint64_t cache_blocks;

	layout.disk_blocks =
		(config->disk_bytes + LOG_BLOCK_BYTES - 1) / LOG_BLOCK_BYTES;
	layout.segment_count =
		(uint32_t)((config->file_bytes / LOG_BLOCK_BYTES -
			    log_first_segment_block(blocks)) /
			   blocks);
	cache_blocks = (uint64_t)layout.segment_count * blocks;
	layout.leaf_count =
		(uint32_t)index_leaves_needed(layout.disk_blocks, cache_blocks);
	layout.ghost_count = ghost_entries(cache_blocks);
	layout.engine = place(&layout, 1, sizeof(struct engine));
	layout.hazards = place(&layout, 1, sizeof(struct hazards));
	layout.directory =
		place(&layout, layout.disk_blocks / INDEX_LEAF_BLOCKS + 1, 4);
	layout.ghosts = place(&layout, layout.ghost_count, 2);
	layout.segments =
		place(&layout, layout.segment_count, sizeof(struct segment));
	layout.surveys =
		place(&layout, layout.segment_count, sizeof(struct survey));
	layout.items = place(&layout, ITEMS_COUNT, sizeof(struct append_item));
	layout.records =
		place(&layout, ring_size(config), sizeof(struct record));
	layout.slots = place(&layout, SLOTS_COUNT, sizeof(struct io_slot));
	layout.blocks = place(&layout, blocks, sizeof(struct destage_block));
	layout.headers =
		place(&layout, ring_size(config) * 2ull, LOG_BLOCK_BYTES);
	layout.buffers = place(&layout, BUFFERS_COUNT, LOG_BLOCK_BYTES);
	layout.superblocks = place(
		&layout, (LOG_SUPERBLOCK_COPIES + 1) * LOG_SUPERBLOCK_BLOCKS,
		LOG_BLOCK_BYTES);
	layout.zeros = place(&layout, ZERO_BLOCKS, LOG_BLOCK_BYTES);
	layout.summaries = place(&layout, RECOVERY_READS,
				 (uint64_t)log_summary_blocks_max(blocks) *
					 LOG_BLOCK_BYTES);
	layout.segment_buffer = place(&layout, blocks, LOG_BLOCK_BYTES);
	layout.leaves =
		place(&layout, layout.leaf_count, sizeof(struct index_leaf));
	return layout;
}

size_t engine_memory_bytes(const struct engine_config *config)
{
	if (check_config(config, NULL) < 0)
		return 0;
	return lay_out(config).end;
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

static void init_parts(struct engine *engine, uint8_t *memory,
		       const struct layout *layout)
{
	struct superblock *superblock = &engine->superblock;
	uint64_t copy_bytes = LOG_SUPERBLOCK_BLOCKS * LOG_BLOCK_BYTES;

	engine->hazards = (void *)(memory + layout->hazards);
	index_init(&engine->index, layout->disk_blocks, layout->leaf_count,
		   (void *)(memory + layout->directory),
		   (void *)(memory + layout->leaves));
	ghost_init(&engine->ghosts, layout->ghost_count,
		   (void *)(memory + layout->ghosts));
	segments_init(&engine->segments, layout->segment_count,
		      engine->config.segment_blocks,
		      (void *)(memory + layout->segments));
	engine->recovery.surveys = (void *)(memory + layout->surveys);
	engine->append.items = (void *)(memory + layout->items);
	engine->append.ring = ring_size(&engine->config);
	engine->append.records = (void *)(memory + layout->records);
	engine->io.slots = (void *)(memory + layout->slots);
	engine->io.buffers = memory + layout->buffers;
	engine->destage.blocks = (void *)(memory + layout->blocks);
	engine->destage.buffer = memory + layout->segment_buffer;
	engine->zero_ahead.zeros = memory + layout->zeros;
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

int engine_create(const struct engine_config *config, void *memory,
		  size_t memory_bytes, struct engine **ret_engine,
		  struct error *error)
{
	struct engine *engine = memory;
	struct layout layout;
	int status = check_config(config, error);

	if (status < 0)
		return status;
	layout = lay_out(config);
	assert((uintptr_t)memory % LOG_BLOCK_BYTES == 0);
	if (memory_bytes < layout.end)
		return error_set(error, -EINVAL, "not enough memory");
	engine->config = *config;
	engine->disk_blocks = layout.disk_blocks;
	engine->disk_sectors = config->disk_bytes / LOG_SECTOR_BYTES;
	engine->data_blocks_max = (uint64_t)layout.segment_count *
				  (config->segment_blocks - 1) *
				  config->dirty_limit_percent / 100;
	engine->reserve_segments = layout.segment_count >= SMALL_LOG_SEGMENTS
					   ? RESERVE_SEGMENTS
					   : RESERVE_SEGMENTS_SMALL;
	memcpy(engine->identity.uuid, config->uuid, 16);
	engine->identity.epoch = config->epoch;
	init_parts(engine, memory, &layout);
	*ret_engine = engine;
	return 0;
}

void engine_start(struct engine *engine)
{
	assert(engine->state == ENGINE_STARTING &&
	       engine->recovery.state == RECOVERY_OFF);
	recovery_start(engine);
}

enum engine_state engine_state(const struct engine *engine)
{
	return engine->state;
}

const struct error *engine_failure(const struct engine *engine)
{
	return &engine->failure;
}

void engine_fail(struct engine *engine, int code, const char *format, ...)
{
	va_list arguments;

	if (engine->state == ENGINE_FAILED)
		return;
	engine->state = ENGINE_FAILED;
	engine->failure.code = code;
	va_start(arguments, format);
	vsnprintf(engine->failure.message, sizeof(engine->failure.message),
		  format, arguments);
	va_end(arguments);
	engine->progress = true;
}

bool engine_bug(const struct engine *engine, enum engine_planted_bug bug)
{
#ifdef FOREBAY_PLANTED_BUGS
	return engine->config.planted_bug == (uint32_t)bug;
#else
	(void)engine;
	(void)bug;
	return false;
#endif
}

void engine_set_tail(struct engine *engine, uint64_t tail)
{
	assert(tail >= engine->tail_sequence);
	engine->tail_sequence = tail;
	/* The records that made the copies below it superfluous. */
	engine->tail_guard = engine->append.completed_sequence;
}

static bool in_range(const struct engine *engine,
		     const struct engine_request *request)
{
	return request->sector_count > 0 &&
	       request->sector <= engine->disk_sectors &&
	       request->sector_count <= engine->disk_sectors - request->sector;
}

void engine_submit(struct engine *engine, struct engine_request *request)
{
	request->status = 0;
	request->target_sequence = 0;
	request->below_target = 0;
	request->parts = 0;
	list_init(&request->link);
	if (engine->state != ENGINE_RUNNING) {
		io_request_done(engine, request, -EIO);
		return;
	}
	if (request->operation != ENGINE_FLUSH && !in_range(engine, request)) {
		io_request_done(engine, request, -EINVAL);
		return;
	}
	switch (request->operation) {
	case ENGINE_READ:
		read_submit(engine, request);
		return;
	case ENGINE_WRITE:
		write_submit(engine, request);
		return;
	case ENGINE_FLUSH:
		flush_submit(engine, request);
		return;
	}
}

void engine_io_done(struct engine *engine, struct engine_io *io, int status)
{
	assert(engine->io.in_flight > 0);
	engine->io.in_flight--;
	io->done(engine, io, status);
}

static void advance(struct engine *engine)
{
	retire_advance(engine);
	flush_advance(engine);
	through_advance(engine);
	destage_advance(engine);
	evict_advance(engine);
	write_advance(engine);
	append_advance(engine);
	zero_ahead_advance(engine);
	read_advance(engine);
	piece_advance(engine);
	closing_advance(engine);
}

/* Every request that isn't in the hands of an I/O ends with an error. */
static void fail_all(struct engine *engine)
{
	retire_advance(engine);
	append_fail_all(engine);
	write_fail_all(engine);
	through_fail_all(engine);
	flush_fail_all(engine);
	read_fail_all(engine);
	piece_advance(engine);
}

void engine_poll(struct engine *engine, uint64_t now_ns)
{
	engine->now_ns = now_ns;
	do {
		engine->progress = false;
		switch (engine->state) {
		case ENGINE_STARTING:
			recovery_advance(engine);
			break;
		case ENGINE_RUNNING:
			advance(engine);
			break;
		case ENGINE_FAILED:
			fail_all(engine);
			break;
		}
	} while (engine->progress);
}

struct engine_io *engine_next_io(struct engine *engine)
{
	struct list *out = &engine->io.out;
	struct list *node = out->next;

	if (list_is_empty(out))
		return NULL;
	list_remove(node);
	list_init(node);
	return list_entry(node, struct engine_io, link);
}

struct engine_request *engine_next_completed(struct engine *engine)
{
	struct list *completed = &engine->io.completed;
	struct list *node = completed->next;

	if (list_is_empty(completed))
		return NULL;
	list_remove(node);
	list_init(node);
	return list_entry(node, struct engine_request, link);
}

uint64_t engine_next_poll_ns(struct engine *engine)
{
	uint64_t next = UINT64_MAX;
	uint64_t flush;

	if (engine->state != ENGINE_RUNNING)
		return 0;
	next = destage_next_ns(engine);
	flush = flush_next_ns(engine);
	if (flush < next)
		next = flush;
	return next == UINT64_MAX ? 0 : next;
}

void engine_set_mode(struct engine *engine, enum engine_mode mode)
{
	if (engine->config.mode == ENGINE_WRITE_BACK &&
	    mode != ENGINE_WRITE_BACK)
		engine->mode_barrier = engine->append.next_sequence - 1;
	engine->config.mode = mode;
	engine->progress = true;
}

void engine_set_max_dirty_age(struct engine *engine, uint64_t max_dirty_age_ns)
{
	engine->config.max_dirty_age_ns = max_dirty_age_ns;
}

void engine_set_draining(struct engine *engine, bool draining)
{
	engine->destage.draining = draining;
	engine->progress = true;
}

struct engine_point engine_now(const struct engine *engine)
{
	return (struct engine_point){
		.sequence = engine->append.completed_sequence,
		.below_writes = engine->flusher.below_writes,
	};
}

bool engine_drained(struct engine *engine, const struct engine_point *point)
{
	return engine->state == ENGINE_RUNNING &&
	       destage_oldest_sequence(engine) > point->sequence &&
	       engine->flusher.below_flushed >= point->below_writes;
}

bool engine_clean(const struct engine *engine)
{
	return engine->state == ENGINE_RUNNING && engine->dirty_blocks == 0 &&
	       engine->writes.in_flight == 0 &&
	       list_is_empty(&engine->writes.waiting) &&
	       engine->flusher.below_writes == engine->flusher.below_flushed;
}

bool engine_drain_failed(const struct engine *engine)
{
	return engine->state == ENGINE_FAILED ||
	       engine->flusher.below_failed < 0 ||
	       (engine->dirty_blocks > 0 &&
		engine->dirty_blocks == engine->lost_blocks);
}

bool engine_idle(const struct engine *engine)
{
	return engine->io.in_flight == 0 && append_idle(engine) &&
	       engine->writes.in_flight == 0 &&
	       list_is_empty(&engine->writes.waiting) &&
	       list_is_empty(&engine->reads.issuing) &&
	       list_is_empty(&engine->flusher.waiting) &&
	       list_is_empty(&engine->io.completed);
}

void engine_quiesce(struct engine *engine)
{
	engine->destage.quiesced = true;
}

void engine_close(struct engine *engine)
{
	engine_quiesce(engine);
	closing_start(engine);
}

bool engine_closed(const struct engine *engine)
{
	return engine_idle(engine) && (engine->state == ENGINE_FAILED ||
				       engine->closing.state == CLOSING_DONE);
}

uint64_t engine_dirty_run(const struct engine *engine, uint64_t sector,
			  uint64_t count, bool *ret_dirty)
{
	uint64_t first = log_block_of(sector);
	uint64_t blocks = log_blocks_touched(sector, count);
	uint64_t run =
		index_dirty_run(&engine->index, first, blocks, ret_dirty);
	uint64_t end = (first + run) * LOG_SECTORS_PER_BLOCK;

	return run == blocks ? count : end - sector;
}

void engine_stats(struct engine *engine, struct engine_stats *ret_stats)
{
	*ret_stats = engine->stats;
	ret_stats->mode_requested = engine->config.mode;
	ret_stats->mode_actual = destage_mode_draining(engine)
					 ? ENGINE_WRITE_BACK
					 : engine->config.mode;
	ret_stats->dirty_bytes = engine->dirty_blocks * LOG_BLOCK_BYTES;
	ret_stats->cached_bytes = engine->cached_blocks * LOG_BLOCK_BYTES;
	ret_stats->capacity_bytes = (uint64_t)engine->segments.count *
				    engine->segments.segment_blocks *
				    LOG_BLOCK_BYTES;
	ret_stats->segments = engine->segments.count;
	ret_stats->segments_free = engine->segments.free;
	ret_stats->sequence = engine->append.next_sequence - 1;
	ret_stats->durable_sequence = engine->flusher.durable_sequence;
	ret_stats->tail_sequence = engine->tail_sequence;
}
