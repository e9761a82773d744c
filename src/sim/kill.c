// SPDX-License-Identifier: Apache-2.0
/*
 * kill.c - see kill.h.
 */
#include "kill.h"

#include <string.h>

#include "core.h"

static struct {
	const struct world *lives;
	struct world *left;
	uint64_t stores; /* that are to come */
	uint64_t time;
	bool happened;
} plan;

static void stored(void)
{
	if (--plan.stores > 0)
		return;
	undo_stored_hook = NULL;
	world_take(plan.left, plan.lives);
	world_arrive(plan.left, plan.lives, random_next(&plan.left->random));
	memcpy(plan.left->memory.kept, plan.lives->memory.kept,
	       plan.lives->kept_bytes);
	plan.time = plan.lives->oracle->time;
	plan.happened = true;
}

void kill_arm(const struct world *lives, struct world *left, uint64_t stores)
{
	plan.lives = lives;
	plan.left = left;
	plan.stores = stores + 1;
	plan.happened = false;
	undo_stored_hook = stored;
}

void kill_disarm(void)
{
	undo_stored_hook = NULL;
	plan.happened = false;
}

bool kill_happened(uint64_t *ret_time)
{
	*ret_time = plan.time;
	return plan.happened;
}

static bool same_copy(const struct index_copy *a, const struct index_copy *b)
{
	return a->location == b->location && a->check == b->check &&
	       a->mask == b->mask && a->dirty == b->dirty && a->zero == b->zero;
}

/*
 * What the predecessor had given up already, the log may still tell of; and
 * that a block can't be read is found when it is read.
 */
static bool may_differ(const struct engine *warm, const struct index_copy *a,
		       const struct engine *cold, const struct index_copy *b)
{
	return a->location == 0 && b->location != 0 && !b->dirty &&
	       segments_sequence(&cold->segments, b->location) <
		       warm->tail_sequence;
}

/*
 * In a log without room a CLEAN takes effect without a record, and who reads
 * the log destages the block again. The copy may have been given up since.
 */
static bool cleaned_unsaid(const struct engine *warm,
			   const struct index_copy *a,
			   const struct engine *cold,
			   const struct index_copy *b)
{
	if (!b->dirty || b->lost || a->dirty ||
	    segments_sequence(&cold->segments, b->location) >
		    warm->kept->unsaid)
		return false;
	if (a->location == 0)
		return b->zero ||
		       segments_sequence(&cold->segments, b->location) <
			       warm->tail_sequence;
	return a->location == b->location && a->check == b->check &&
	       a->mask == b->mask;
}

static bool counts_right(const struct engine *engine)
{
	uint64_t cached = 0;
	uint64_t zeros = 0;
	uint64_t dirty = 0;
	uint64_t lost = 0;
	uint64_t live = 0;

	for (uint64_t block = 0; block < engine->disk_blocks; block++) {
		struct index_copy copy = index_get(&engine->index, block);

		cached += copy.location != 0 && !copy.zero;
		zeros += copy.zero;
		dirty += copy.dirty;
		lost += copy.lost;
	}
	for (uint32_t i = 0; i < engine->segments.count; i++)
		live += engine->segments.segments[i].live;
	return cached == engine->cached_blocks &&
	       zeros == engine->zero_blocks && live == cached + zeros &&
	       dirty == engine->dirty_blocks && lost == engine->lost_blocks;
}

bool kill_compare(struct world *warm, const struct world *cold)
{
	const struct engine *a = warm->engine;
	const struct engine *b = cold->engine;

	if (!counts_right(a) || !counts_right(b))
		world_fail(warm, "the counts are not those of the index");
	for (uint64_t block = 0; block < a->disk_blocks; block++) {
		struct index_copy left = index_get(&a->index, block);
		struct index_copy right = index_get(&b->index, block);

		if (!same_copy(&left, &right) &&
		    !may_differ(a, &left, b, &right) &&
		    !cleaned_unsaid(a, &left, b, &right))
			world_fail(warm,
				   "block %llu is at %u (dirty %u) by kept "
				   "memory and at %u (dirty %u) by the log",
				   (unsigned long long)block, left.location,
				   left.dirty, right.location, right.dirty);
	}
	return !warm->failure[0];
}
