/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curve.h - what this disk would hit with a cache of another size.
 *
 * A miniature (miniature.h) for each of some sizes, from an eighth of the log
 * to eight times as much. Each has a sample of its own, the smaller the larger
 * its log is, so that all take the same memory whatever the disk's size:
 * CURVE_BYTES_MAX in all, and most blocks of most requests are in none of them.
 *
 * Hit ratios are not those of the sample. A few blocks get many of the reads,
 * and whether they are in the sample is chance; but they nearly always hit. So
 * misses are counted in the sample, reads in all of the disk, and what isn't a
 * miss is a hit (as SHARDS does it; Waldspurger et al., FAST 2015).
 *
 * Reads count in windows, so that the curve follows the disk: the last whole
 * one and the present one. It begins empty with the process, and says so until
 * it has seen a window.
 *
 * Pure: no I/O, clock, allocation or randomness.
 */
#ifndef FOREBAY_ENGINE_CURVE_H
#define FOREBAY_ENGINE_CURVE_H

#include <assert.h>

#include "engine.h"
#include "miniature.h"

/* All of a curve. */
#define CURVE_BYTES_MAX (1u << 20)

struct curve_window {
	uint64_t reads; /* blocks */
	uint64_t hits; /* of the log that is there */
	uint64_t misses[ENGINE_CURVE_SIZES]; /* in the sample */
};

/* So many of one for so many of the other; older ones count for less. */
struct curve_share {
	uint64_t some;
	uint64_t of;
};

struct curve {
	uint32_t sample; /* the largest of any miniature */
	uint64_t file_bytes[ENGINE_CURVE_SIZES]; /* 0: it isn't possible */
	uint32_t segment_blocks;
	uint64_t window_reads; /* that make one */
	uint64_t windows; /* that have ended */
	struct curve_window last;
	struct curve_window now;
	uint64_t written; /* blocks by the guest; older ones count for less */
	uint64_t sampled[ENGINE_CURVE_SIZES]; /* of these */
	struct curve_share headers_of_writes;
	struct curve_share headers_of_fills; /* of a full log */
	struct curve_share headers_of_moved;
	struct curve_share runs; /* of reads, in blocks */
	struct curve_share batches; /* of runs that come together */
	/* Since the last poll: */
	uint64_t runs_read;
	uint64_t blocks_read;
	uint64_t blocks_hit;
	uint64_t blocks_written;
	uint64_t refresh_in; /* blocks until costs are computed anew */
	struct miniature miniatures[ENGINE_CURVE_SIZES];
};

static_assert(sizeof(struct curve) <= CURVE_BYTES_MAX, "as it is said");

/* All zeros before. The log that is there has a file of @file_bytes. */
void curve_init(struct curve *curve, uint64_t file_bytes,
		uint32_t segment_blocks);

/* The guest has read them: @hit, or they were missed; flags: miniature.h. */
void curve_read(struct curve *curve, uint64_t block, uint64_t count, bool hit,
		uint32_t flags);
void curve_write(struct curve *curve, uint64_t block, uint64_t count);
/* They are in no log any more. */
void curve_forget(struct curve *curve, uint64_t block, uint64_t count);
/* Zeros were read, which take no room in any log. */
void curve_read_zeros(struct curve *curve, uint64_t count);

/* A record with so many blocks of the guest's, of fills, and of what moves up.
 * @spare: the log has room that nothing had to be given up for. */
void curve_record(struct curve *curve, uint32_t written, uint32_t filled,
		  uint32_t moved, bool spare);
/* Counts what has come together since the last one. Order: now and then. */
void curve_poll(struct curve *curve);

void curve_look(const struct curve *curve, struct engine_curve *ret_curve);

#endif
