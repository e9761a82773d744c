/* SPDX-License-Identifier: Apache-2.0 */
/*
 * selection.h - the blocks that one pass of the destager takes below: the
 * destager's `blocks`, each of whose units it has in the hazards until they are
 * released. Private to src/engine.
 */
#ifndef FOREBAY_ENGINE_SELECTION_H
#define FOREBAY_ENGINE_SELECTION_H

#include <stdbool.h>
#include <stdint.h>

struct engine;

/* Of the segment in the buffer, in the order of their addresses. */
void selection_make(struct engine *engine);
/* Zeros of the segment that is in the buffer go into the pass, if all can. */
bool selection_zeros(struct engine *engine, uint64_t block, uint64_t count);
/* A pass is under way that will mark some of these blocks clean. */
bool selection_has(const struct engine *engine, uint64_t first, uint64_t count);
/* Guests may write there again. */
void selection_release(struct engine *engine);

#endif
