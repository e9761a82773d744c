/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pressure.h - how full the log is of what the layers below lack, who is slowed
 * by it, and what is told of it. Private to src/engine; see pressure.c and
 * trouble.c.
 */
#ifndef FOREBAY_ENGINE_PRESSURE_H
#define FOREBAY_ENGINE_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct segment;

/* It is now_ns: who may go how fast? */
void pressure_look(struct engine *engine);
/* Dirty blocks at most. */
uint64_t pressure_limit_blocks(const struct engine *engine);
/* A write of so many blocks has room, and its turn has come. */
bool pressure_admits(struct engine *engine, uint64_t blocks);
/* So it is admitted; they are dirty soon. */
void pressure_charge(struct engine *engine, uint64_t blocks);
/* They are, and no longer in flight. */
void pressure_arrived(struct engine *engine, uint64_t blocks);
/* When a write that waits has its turn; UINT64_MAX: not by time. */
uint64_t pressure_next_ns(const struct engine *engine);
/* Destage shall begin, with @oldest. */
bool pressure_due(struct engine *engine, const struct segment *oldest);
/* When it shall, for @oldest has become old. */
uint64_t pressure_due_ns(const struct engine *engine,
			 const struct segment *oldest);
/* When a cap lets a pass go on; UINT64_MAX: it isn't in the way. */
uint64_t pressure_capped_until_ns(const struct engine *engine);

/* Notes since when there is trouble. */
void trouble_look(struct engine *engine);
/* When there might be one trouble more; UINT64_MAX = never. */
uint64_t trouble_next_ns(const struct engine *engine);

#endif
