// SPDX-License-Identifier: Apache-2.0
/*
 * stale.c - what a log is worth if the layers below have changed behind it.
 *
 * Runs once, when recovery has applied the log and before its row is added. The
 * superblock has two numbers of the layers below: the one that the last start
 * found there, and the one that its host was to write there. If one of them is
 * there now, nobody else has been; otherwise, or if the host has seen a change
 * by other means, clean copies are forgotten. Dirty ones can't be: they may be
 * older than what is below, and nothing can tell.
 */
#include "core.h"

#include <errno.h>

/* As recovery leaves a log without records; and so does kept memory say. */
static void forget_all(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;

	kept_format(engine);
	segments_list_none(&engine->segments);
	segments_list_others(&engine->segments,
			     engine->config.granted_segments > 0);
	engine->cached_blocks = 0;
	engine->dirty_blocks = 0;
	engine->zero_blocks = 0;
	engine->lost_blocks = 0;
	engine->destage.oldest = engine->segments.tail;
	recovery->first = 0;
	recovery->end = 0;
	recovery->tail = recovery->cut + 1;
}

/* Whether these are still the layers below that the log was made over. */
static bool knows_below(const struct engine *engine)
{
	const struct log_superblock *image = engine->superblock.image;
	uint64_t found = engine->config.below.found;

	/* It has never noted a number: older than they are, or new. */
	if (image->below_generation == 0)
		return !engine->config.below.held;
	return found == image->below_generation || found == image->below_before;
}

static void refuse_other(struct engine *engine)
{
	engine_fail(
		engine, -ESTALE,
		"diverged: the backend waits for data in a cache that was "
		"used with its generation %016llx, and this one was not: "
		"it is new, or knows generation %016llx; give the right "
		"one back, or 'forebay disk open --discard-dirty' gives up "
		"what it held",
		(unsigned long long)engine->config.below.found,
		(unsigned long long)engine->superblock.image->below_generation);
}

static void refuse_dirty(struct engine *engine, const char *why)
{
	engine_fail(
		engine, -ESTALE,
		"diverged: it holds %llu bytes that were never brought to "
		"the backend, and %s (generation %016llx there, %016llx "
		"here): 'forebay disk open --discard-dirty' gives these "
		"bytes up",
		(unsigned long long)engine->dirty_blocks * LOG_BLOCK_BYTES, why,
		(unsigned long long)engine->config.below.found,
		(unsigned long long)engine->superblock.image->below_generation);
}

/* The SSD was taken out of use while the log was over these layers. */
static bool is_void(const struct engine *engine)
{
	uint64_t voided = engine->config.below.voided;

	return voided != 0 &&
	       engine->superblock.image->below_generation == voided;
}

static void forget(struct engine *engine, enum engine_forgot why)
{
	engine->stats.forgotten_bytes = engine->cached_blocks * LOG_BLOCK_BYTES;
	engine->stats.forgotten_because = why;
	forget_all(engine);
}

bool stale_settle(struct engine *engine)
{
	const struct engine_below *below = &engine->config.below;
	struct log_superblock *image = engine->superblock.image;
	bool known = knows_below(engine);

	if (!below->looked)
		return true;
	if (below->held && (!known || engine->superblock.formatted)) {
		refuse_other(engine);
		return false;
	}
	if (is_void(engine)) {
		forget(engine, ENGINE_FORGOT_VOID);
	} else if ((!known || below->rewritten) && engine->dirty_blocks > 0) {
		refuse_dirty(
			engine,
			known ? "that was written while the disk was closed"
			      : "that was opened elsewhere since");
		return false;
	} else if ((!known || below->changed) && engine->dirty_blocks == 0) {
		/* Beside dirty copies: the contents at least are as they were.
		 */
		forget(engine,
		       known ? ENGINE_FORGOT_CHANGED : ENGINE_FORGOT_OPENED);
	}
	image->below_before = below->found;
	image->below_generation = below->next;
	return true;
}
