// SPDX-License-Identifier: Apache-2.0
/*
 * hazard.c - see hazard.h.
 */
#include "hazard.h"

#include <assert.h>

static uint64_t unit_of(uint64_t block)
{
	return block / HAZARD_UNIT_BLOCKS;
}

/* Units that the range touches; a range of nothing touches none. */
static uint64_t units_end(uint64_t first, uint64_t count)
{
	return count == 0 ? unit_of(first) : unit_of(first + count - 1) + 1;
}

void hazard_write_begin(struct hazards *hazards, uint64_t first, uint64_t count)
{
	for (uint64_t unit = unit_of(first); unit < units_end(first, count);
	     unit++) {
		struct hazard_bucket *bucket =
			&hazards->buckets[unit % HAZARD_BUCKETS];

		assert(bucket->writes < UINT16_MAX);
		bucket->writes++;
		bucket->generation++;
	}
}

void hazard_write_end(struct hazards *hazards, uint64_t first, uint64_t count)
{
	for (uint64_t unit = unit_of(first); unit < units_end(first, count);
	     unit++) {
		struct hazard_bucket *bucket =
			&hazards->buckets[unit % HAZARD_BUCKETS];

		assert(bucket->writes > 0);
		bucket->writes--;
	}
}

bool hazard_writes(const struct hazards *hazards, uint64_t first,
		   uint64_t count)
{
	for (uint64_t unit = unit_of(first); unit < units_end(first, count);
	     unit++) {
		if (hazards->buckets[unit % HAZARD_BUCKETS].writes > 0)
			return true;
	}
	return false;
}

uint64_t hazard_generation(const struct hazards *hazards, uint64_t first,
			   uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t unit = unit_of(first); unit < units_end(first, count);
	     unit++)
		sum += hazards->buckets[unit % HAZARD_BUCKETS].generation;
	return sum;
}

void hazard_fill_begin(struct hazards *hazards, uint64_t first, uint64_t count)
{
	for (uint64_t unit = unit_of(first); unit < units_end(first, count);
	     unit++) {
		struct hazard_bucket *bucket =
			&hazards->buckets[unit % HAZARD_BUCKETS];

		assert(bucket->fills < UINT16_MAX);
		bucket->fills++;
	}
}

void hazard_fill_end(struct hazards *hazards, uint64_t first, uint64_t count)
{
	for (uint64_t unit = unit_of(first); unit < units_end(first, count);
	     unit++) {
		struct hazard_bucket *bucket =
			&hazards->buckets[unit % HAZARD_BUCKETS];

		assert(bucket->fills > 0);
		bucket->fills--;
	}
}

bool hazard_fills(const struct hazards *hazards, uint64_t first, uint64_t count)
{
	for (uint64_t unit = unit_of(first); unit < units_end(first, count);
	     unit++) {
		if (hazards->buckets[unit % HAZARD_BUCKETS].fills > 0)
			return true;
	}
	return false;
}

void hazard_block(struct hazards *hazards, uint64_t block)
{
	hazards->buckets[unit_of(block) % HAZARD_BUCKETS].blocked++;
}

void hazard_unblock(struct hazards *hazards, uint64_t block)
{
	struct hazard_bucket *bucket =
		&hazards->buckets[unit_of(block) % HAZARD_BUCKETS];

	assert(bucket->blocked > 0);
	bucket->blocked--;
}

bool hazard_blocked(const struct hazards *hazards, uint64_t first,
		    uint64_t count)
{
	for (uint64_t unit = unit_of(first); unit < units_end(first, count);
	     unit++) {
		if (hazards->buckets[unit % HAZARD_BUCKETS].blocked > 0)
			return true;
	}
	return false;
}

bool hazard_below_take(struct hazards *hazards, uint64_t first, uint64_t count)
{
	uint64_t end = units_end(first, count);

	for (uint64_t unit = unit_of(first); unit < end; unit++) {
		if (hazards->buckets[unit % HAZARD_BUCKETS].below !=
		    HAZARD_BELOW_FREE)
			return false;
	}
	for (uint64_t unit = unit_of(first); unit < end; unit++)
		hazards->buckets[unit % HAZARD_BUCKETS].below =
			HAZARD_BELOW_GUEST;
	return true;
}

void hazard_below_release(struct hazards *hazards, uint64_t first,
			  uint64_t count)
{
	for (uint64_t unit = unit_of(first); unit < units_end(first, count);
	     unit++) {
		struct hazard_bucket *bucket =
			&hazards->buckets[unit % HAZARD_BUCKETS];

		assert(bucket->below == HAZARD_BELOW_GUEST);
		bucket->below = HAZARD_BELOW_FREE;
	}
}

void hazard_below_written(struct hazards *hazards, uint64_t first,
			  uint64_t count, uint64_t number)
{
	for (uint64_t unit = unit_of(first); unit < units_end(first, count);
	     unit++)
		hazards->buckets[unit % HAZARD_BUCKETS].unflushed = number;
}

uint64_t hazard_last_below(const struct hazards *hazards, uint64_t first,
			   uint64_t count)
{
	uint64_t last = 0;

	for (uint64_t unit = unit_of(first); unit < units_end(first, count);
	     unit++) {
		uint64_t number =
			hazards->buckets[unit % HAZARD_BUCKETS].unflushed;

		if (number > last)
			last = number;
	}
	return last;
}

bool hazard_destage_take(struct hazards *hazards, uint64_t block)
{
	struct hazard_bucket *bucket =
		&hazards->buckets[unit_of(block) % HAZARD_BUCKETS];

	if (bucket->below == HAZARD_BELOW_GUEST)
		return false;
	bucket->below = HAZARD_BELOW_DESTAGE;
	return true;
}

void hazard_destage_release(struct hazards *hazards, uint64_t block)
{
	struct hazard_bucket *bucket =
		&hazards->buckets[unit_of(block) % HAZARD_BUCKETS];

	assert(bucket->below != HAZARD_BELOW_GUEST);
	bucket->below = HAZARD_BELOW_FREE;
}
