/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.h - the layers below are brought to one point of the log, and stay
 * there.
 *
 *   GATHER   what goes below by itself ends, and nothing more begins to
 *   DESTAGE  the point is fixed: all that is applied. The destager brings down
 *            what was dirty then, and nothing newer
 *   FLUSH    of below
 *   HELD     nothing goes below, until it is released or ends itself
 *   ENDED    by itself; why is remembered until somebody asks
 *
 * Who writes on meanwhile replaces copies that are still to go below. A bit for
 * each block of the log says which of those that were replaced are kept: the
 * tail doesn't pass them, and the destager finds what they are in the headers
 * of their segment. Zeros have no block of their own in the log, so a table has
 * their ranges.
 *
 * Nothing of this is in the kept memory: a start knows of no hold.
 */
#ifndef FOREBAY_ENGINE_HOLD_H
#define FOREBAY_ENGINE_HOLD_H

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct index_copy;

/* Ranges of zeros that may be replaced while a hold is made. */
#ifndef HOLD_ZEROS_MAX
#define HOLD_ZEROS_MAX 4096u
#endif
/* Of the dirty limit; a hold that is complete ends itself then. */
#define HOLD_DIRTY_PERCENT 75u

enum hold_stage {
	HOLD_OFF,
	HOLD_GATHER,
	HOLD_DESTAGE,
	HOLD_FLUSH,
	HOLD_HELD,
	HOLD_ENDED,
};

/* Zeros that were replaced, and are still to go below. */
struct hold_zeros {
	uint64_t block;
	uint32_t count;
	uint32_t location; /* of the record that made them */
	bool going; /* all of it is in the pass that is under way */
};

struct hold {
	enum hold_stage stage;
	uint32_t zero_count;
	uint64_t timeout_ns;
	uint64_t until_ns; /* 0: not known before the next poll */
	uint64_t held_ns;
	uint64_t ended_ns;
	uint64_t sequence; /* the point */
	uint64_t left; /* blocks that are still to go below */
	uint64_t flush_ticket;
	uint64_t *kept; /* a bit for each block of the segments */
	uint32_t *kept_counts; /* by segment, zeros included */
	uint32_t end; /* enum engine_hold_end */
	struct hold_zeros zeros[HOLD_ZEROS_MAX];
};

void hold_advance(struct engine *engine);
/* When it ends by itself; UINT64_MAX: there is none. */
uint64_t hold_next_ns(const struct engine *engine);
/* Nothing but the destager may write below. */
bool hold_stands(const struct engine *engine);
/* The destager has something to bring down for it. */
bool hold_drains(const struct engine *engine);
/* A segment with that first sequence has nothing that may go below. */
bool hold_bars(const struct engine *engine, uint64_t first_sequence);
/* The last sequence that may go below. */
uint64_t hold_upto(const struct engine *engine);
/* The segment has copies that were replaced and must still go below. */
bool hold_keeps(const struct engine *engine, uint32_t segment);
bool hold_keeps_copy(const struct engine *engine, uint32_t location);

/* @copy of the blocks leaves the index for a newer one, or becomes clean. */
void hold_replaced(struct engine *engine, uint64_t block, uint32_t count,
		   const struct index_copy *copy);
void hold_cleaned(struct engine *engine, uint32_t count,
		  const struct index_copy *copy);

/* The destager selects what is kept of @segment's zeros. */
void hold_select_zeros(struct engine *engine, uint32_t segment);
/* Its records could be read up to that block only. */
void hold_read_up_to(struct engine *engine, uint32_t segment, uint32_t blocks);
/* What the destager's pass had selected is below, and flushed there, or not. */
void hold_pass_ended(struct engine *engine, bool good);

/* It ends by itself, if there is one; @why: enum engine_hold_end. */
void hold_end(struct engine *engine, uint32_t why);
/* A flush of below failed. */
void hold_flush_failed(struct engine *engine);

#endif
