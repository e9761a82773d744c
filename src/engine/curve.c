// SPDX-License-Identifier: Apache-2.0
/* curve.c - see curve.h. */
#include "curve.h"

#include <string.h>

#include "log_format.h"
#include "policy.h"

/* Eighths of the log that is there. */
static const uint32_t eighths[ENGINE_CURVE_SIZES] = {1,	 2,  4,	 6,  8,
						     12, 16, 24, 32, 64};

/* A window has so many reads for each block of the log, and so many at least.
 */
#define WINDOW_TIMES 4u
#define WINDOW_READS_MIN 65536u
/* Of what is measured, half is forgotten when there is more than this. */
#define SHARE_OF 65536u
/* Costs are computed anew each time so much was read or written. */
#define REFRESH_BLOCKS 1024u
/* A header for so many blocks, before anything is measured. */
#define FIRST_WRITES 8u
#define FIRST_FILLS 32u
#define FIRST_BATCH 8
#define FIRST_MOVED 64u
/* How unlike the mean a sample may be, and from how many on that is known. */
#define FACTOR_MAX 4.0
#define SAMPLED_MIN 64u
#define BATCH_MAX 64u

static void share_add(struct curve_share *share, uint64_t some, uint64_t of)
{
	share->some += some;
	share->of += of;
	if (share->of > SHARE_OF) {
		share->some /= 2;
		share->of /= 2;
	}
}

static double share_of(const struct curve_share *share, double otherwise)
{
	return share->of > 0 ? (double)share->some / (double)share->of
			     : otherwise;
}

void curve_record(struct curve *curve, uint32_t written, uint32_t filled,
		  uint32_t moved, bool spare)
{
	if (written > 0)
		share_add(&curve->headers_of_writes, 1, written);
	else if (filled > 0 && !spare)
		share_add(&curve->headers_of_fills, 1, filled);
	else if (filled == 0 && moved > 0)
		share_add(&curve->headers_of_moved, 1, moved);
}

/* The sample's share of all blocks. */
static double sample_share(const struct curve *curve, uint32_t size)
{
	return ((double)curve->miniatures[size].sample + 1) * 0x1p-32;
}

/*
 * A few blocks may get most of the writes, and whether they are in the sample
 * is chance. How fast the log turns must not depend on it: so a write takes
 * more or less than its room, as the sample has too few or too many of them.
 */
static double write_factor(const struct curve *curve, uint32_t size)
{
	double expected = (double)curve->written * sample_share(curve, size);
	double factor = expected / (double)curve->sampled[size];

	if (curve->sampled[size] < SAMPLED_MIN)
		return 1;
	if (factor > FACTOR_MAX)
		return FACTOR_MAX;
	return factor < 1 / FACTOR_MAX ? 1 / FACTOR_MAX : factor;
}

static double miss_ratio(const struct curve *curve, uint32_t size)
{
	bool fresh = curve->now.reads < curve->window_reads / 8;
	const struct curve_window *window =
		fresh && curve->windows > 0 ? &curve->last : &curve->now;
	double misses = (double)window->misses[size];
	double expected = (double)window->reads * sample_share(curve, size);

	/* A new log misses everything. */
	return expected < 1 || misses > expected ? 1 : misses / expected;
}

/*
 * Headers of a block that fills a new log: the misses of a batch share one, if
 * there are several.
 */
static double spare_header(const struct curve *curve, uint32_t size)
{
	double batch = share_of(&curve->batches, FIRST_BATCH);
	double misses = miss_ratio(curve, size);
	double none = 1;

	if (misses <= 0)
		return 1;
	if (batch > BATCH_MAX)
		batch = BATCH_MAX;
	for (uint32_t i = 0; i < (uint32_t)(batch + 0.5); i++)
		none *= 1 - misses;
	return (1 - none) / (batch * misses) / share_of(&curve->runs, 1);
}

static uint32_t units(double blocks)
{
	return (uint32_t)(blocks * MINIATURE_UNIT);
}

static void refresh(struct curve *curve)
{
	double fill = share_of(&curve->headers_of_fills, 1.0 / FIRST_FILLS);
	double write = share_of(&curve->headers_of_writes, 1.0 / FIRST_WRITES);

	/* A record ends with its segment, and the rest needs one more. */
	double cut = 1.0 / curve->segment_blocks;
	double moved = share_of(&curve->headers_of_moved, 1.0 / FIRST_MOVED);

	for (uint32_t i = 0; i < ENGINE_CURVE_SIZES; i++)
		curve->miniatures[i].costs = (struct miniature_costs){
			.write = units((1 + write) * write_factor(curve, i)),
			.fill_spare = units(1 + spare_header(curve, i) + cut),
			.fill = units(1 + fill),
			.reappend = units(1 + moved),
		};
	curve->refresh_in =
		curve->now.reads < REFRESH_BLOCKS && curve->windows == 0
			? REFRESH_BLOCKS / 32
			: REFRESH_BLOCKS;
}

/* Segments of a cache file of so many bytes. */
static uint32_t segments_of_file(uint64_t bytes, uint32_t segment_blocks)
{
	uint64_t blocks = bytes / LOG_BLOCK_BYTES;
	uint64_t first = log_first_segment_block(segment_blocks);

	return blocks > first ? (uint32_t)((blocks - first) / segment_blocks)
			      : 0;
}

static void init_size(struct curve *curve, uint32_t size, uint64_t bytes)
{
	uint32_t segments = segments_of_file(bytes, curve->segment_blocks);
	struct miniature *miniature = &curve->miniatures[size];
	const struct miniature_log log = {
		.segments = segments,
		.segment_blocks = curve->segment_blocks,
		.free_segments = policy_free(segments),
	};

	if (!miniature_init(miniature, &log))
		return;
	curve->file_bytes[size] = bytes;
	if (miniature->sample > curve->sample)
		curve->sample = miniature->sample;
}

void curve_init(struct curve *curve, uint64_t file_bytes,
		uint32_t segment_blocks)
{
	uint64_t window = file_bytes / LOG_BLOCK_BYTES * WINDOW_TIMES;

	curve->segment_blocks = segment_blocks;
	curve->window_reads =
		window > WINDOW_READS_MIN ? window : WINDOW_READS_MIN;
	for (uint32_t i = 0; i < ENGINE_CURVE_SIZES; i++)
		init_size(curve, i, file_bytes / 8 * eighths[i]);
	refresh(curve);
}

/* In the sample of any size? */
static bool samples(const struct curve *curve, uint64_t hash)
{
	return (uint32_t)(hash >> 32) < curve->sample;
}

static void read_sampled(struct curve *curve, uint64_t block, uint64_t hash,
			 uint32_t flags)
{
	for (uint32_t i = 0; i < ENGINE_CURVE_SIZES; i++) {
		struct miniature *miniature = &curve->miniatures[i];

		if (miniature_samples(miniature, hash) &&
		    !miniature_read(miniature, block, flags))
			curve->now.misses[i]++;
	}
}

void curve_read_zeros(struct curve *curve, uint64_t blocks)
{
	curve->blocks_read += blocks;
	curve->blocks_hit += blocks;
}

void curve_read(struct curve *curve, uint64_t block, uint64_t blocks, bool hit,
		uint32_t flags)
{
	for (uint64_t at = block; at < block + blocks; at++) {
		uint64_t hash = miniature_hash(at);

		if (samples(curve, hash))
			read_sampled(curve, at, hash, flags);
	}
	curve->runs_read += blocks > 0;
	curve->blocks_read += blocks;
	curve->blocks_hit += hit ? blocks : 0;
}

static void write_sampled(struct curve *curve, uint64_t block, uint64_t hash)
{
	for (uint32_t i = 0; i < ENGINE_CURVE_SIZES; i++) {
		struct miniature *miniature = &curve->miniatures[i];

		if (!miniature_samples(miniature, hash))
			continue;
		curve->sampled[i]++;
		miniature_write(miniature, block);
	}
}

void curve_write(struct curve *curve, uint64_t block, uint64_t blocks)
{
	for (uint64_t at = block; at < block + blocks; at++) {
		uint64_t hash = miniature_hash(at);

		if (samples(curve, hash))
			write_sampled(curve, at, hash);
	}
	curve->blocks_written += blocks;
}

void curve_forget(struct curve *curve, uint64_t block, uint64_t blocks)
{
	for (uint64_t at = block; at < block + blocks; at++) {
		uint64_t hash = miniature_hash(at);

		if (!samples(curve, hash))
			continue;
		for (uint32_t i = 0; i < ENGINE_CURVE_SIZES; i++) {
			if (miniature_samples(&curve->miniatures[i], hash))
				miniature_forget(&curve->miniatures[i], at);
		}
	}
}

static void count_read(struct curve *curve)
{
	if (curve->runs_read > 0) {
		share_add(&curve->batches, curve->runs_read, 1);
		share_add(&curve->runs, curve->blocks_read, curve->runs_read);
	}
	curve->now.reads += curve->blocks_read;
	curve->now.hits += curve->blocks_hit;
	if (curve->now.reads >= curve->window_reads) {
		curve->last = curve->now;
		curve->windows++;
		memset(&curve->now, 0, sizeof(curve->now));
	}
}

static void count_written(struct curve *curve)
{
	curve->written += curve->blocks_written;
	if (curve->written < 2 * curve->window_reads)
		return;
	curve->written /= 2;
	for (uint32_t i = 0; i < ENGINE_CURVE_SIZES; i++)
		curve->sampled[i] /= 2;
}

void curve_poll(struct curve *curve)
{
	uint64_t blocks = curve->blocks_read + curve->blocks_written;

	if (blocks == 0)
		return;
	count_read(curve);
	count_written(curve);
	if (curve->refresh_in <= blocks)
		refresh(curve);
	else
		curve->refresh_in -= blocks;
	curve->runs_read = 0;
	curve->blocks_read = 0;
	curve->blocks_hit = 0;
	curve->blocks_written = 0;
}

void curve_look(const struct curve *curve, struct engine_curve *ret_curve)
{
	uint64_t reads =
		curve->now.reads + curve->last.reads + curve->blocks_read;

	*ret_curve = (struct engine_curve){
		.reads = reads,
		.reads_needed = curve->window_reads,
		.hits = curve->now.hits + curve->last.hits + curve->blocks_hit,
	};
	for (uint32_t i = 0; i < ENGINE_CURVE_SIZES; i++) {
		uint64_t sampled = curve->now.misses[i] + curve->last.misses[i];
		/* The sample stands for all blocks. */
		uint64_t misses =
			(uint64_t)((double)sampled / sample_share(curve, i));

		ret_curve->points[i] = (struct engine_curve_point){
			.file_bytes = curve->file_bytes[i],
			.full = miniature_full(&curve->miniatures[i]),
			.hits = misses < reads ? reads - misses : 0,
		};
	}
}
