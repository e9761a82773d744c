/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept.h - what outlives a process that is killed: the log as far as it was
 * applied, so that the next one need not read it again.
 *
 *   kept | directory | ghosts | segments | leaves | pages of chunks
 *
 * The index and the counts of the segments change by UNDO_SET() alone; one
 * block's change is a commit. `sequence` says up to which record that is the
 * log: the records behind it are read from the SSD as ever (warm.c), and
 * applying one twice does no harm. So nothing of a request, an I/O or a timer
 * is in here: it begins anew.
 *
 * Not believed after the process has shown that it may have written anywhere:
 * that is the host's to know (engine_config.warm).
 */
#ifndef FOREBAY_ENGINE_KEPT_H
#define FOREBAY_ENGINE_KEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "index.h"
#include "undo.h"

struct engine;

struct kept {
	uint64_t layout; /* hash of all that gives the memory its shape */
	uint8_t uuid[16];
	uint64_t ready; /* 1 while what is here is the log */
	/* Generation of the superblock, and of one that is being written. */
	uint64_t generation;
	uint64_t next_generation;
	uint64_t sequence;
	uint64_t tail_sequence;
	uint64_t tail; /* segment */
	uint64_t doubt_ns; /* when a check value was wrong last; 0: never */
	/* Versions up to this may be clean here and dirty in the log. */
	uint64_t unsaid;
	struct index_root root;
	struct undo undo;
};

/* As long as a wrong check value is fresh, memory may be what was wrong. */
#define KEPT_DOUBT_NS (60ull * 1000 * 1000 * 1000)

/* Empties it: nothing is cached, nothing is ready. */
void kept_format(struct engine *engine);
/*
 * Whether the memory is the log's of this disk, as a predecessor left it.
 * Order: the superblock has been chosen. Rolls back what it had begun.
 */
bool kept_good(struct engine *engine);
/* Says that the memory is the log's, up to @sequence. */
void kept_begin(struct engine *engine, uint64_t sequence);
/* All records up to @sequence are applied. */
void kept_applied(struct engine *engine, uint64_t sequence);
/* The log begins with @sequence, in @segment. */
void kept_tail(struct engine *engine, uint32_t segment, uint64_t sequence);
/* A CLEAN of versions up to @upto takes effect, and will have no record. */
void kept_unsaid(struct engine *engine, uint64_t upto);
/* A check value was wrong. */
void kept_doubt(struct engine *engine);
/* The engine has failed: who comes next shall look for himself. */
void kept_forsake(struct engine *engine);
/* The superblock is being written, or has been. */
void kept_superblock(struct engine *engine, bool done);

#endif
