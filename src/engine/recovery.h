/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recovery.h - how an engine finds out what its log holds: the functions that
 * recovery's files have for each other. Private to src/engine; the structs are
 * parts of the engine in core.h.
 */
#ifndef FOREBAY_ENGINE_RECOVERY_H
#define FOREBAY_ENGINE_RECOVERY_H

#include "core.h"

/* warm.c */
/*
 * Whether the kept memory is good to start from. Then recovery looks at the
 * log's end only.
 */
bool warm_begin(struct engine *engine);
/* May it hold records that weren't applied, as far as kept memory knows? */
bool warm_asks(const struct engine *engine, uint32_t segment);
/* And with that head? */
bool warm_wants(const struct engine *engine, uint32_t segment,
		uint64_t first_sequence);
/* Orders the surveys and finds the cut. Returns: false if they don't fit. */
bool warm_chain(struct engine *engine);
/* The chain of segments as it is then. Returns: false if it doesn't fit. */
bool warm_segments(struct engine *engine);

/* recovery.c */
void recovery_start(struct engine *engine);
void recovery_advance(struct engine *engine);
/* Of segments that have records, in the order of their sequences. */
void recovery_order(struct recovery *recovery);
/* Does the log go on from one segment to the other? */
bool recovery_follows(const struct survey *older, const struct survey *newer);

/* recovery_read.c */
/*
 * The summary of survey @at, and those up to @end ahead of their turn. Each is
 * given out once a pass, in order, and holds until the next call. Returns: 0;
 * -EAGAIN: it is being read; -ENODATA: there is none that fits.
 */
int recovery_summary(struct engine *engine, uint32_t at, uint32_t end,
		     const struct log_summary **ret_summary);
/* Returns: true if the survey's segment is in the buffer, else reads it. */
bool recovery_segment(struct engine *engine, uint32_t at);
/* Which survey is applied next. */
uint32_t recovery_turn(struct engine *engine);

/* salvage.c */
static inline bool salvaging(const struct engine *engine)
{
	return engine->config.inspection == ENGINE_SALVAGE;
}
/* All heads are known: what no row explains gets one, or is left out. */
void salvage_rows(struct engine *engine);
/* Chooses the chain among the surveys, which are in order. */
void salvage_chain(struct engine *engine);
/* Record @sequence is applied, or will be the next that isn't. */
void salvage_pass(struct engine *engine, uint64_t sequence);

/* inspect.c */
/* Recovery has found what there is, and goes no further. */
void inspect_finish(struct engine *engine);

#endif
