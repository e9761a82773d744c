// SPDX-License-Identifier: Apache-2.0
/*
 * miniature.c - see miniature.h.
 *
 * Copies have numbers in the order in which they came, and so have segments;
 * number % room is the place. A live copy is in the row of its block's hash.
 */
#include "miniature.h"

#include <assert.h>
#include <stddef.h>

#include "ghost.h"
#include "log_format.h"
#include "policy.h"

/* A copy: its block's number above these. */
#define COPY_HEAT 3ull
#define COPY_FILL 4ull
#define COPY_LIVE 8ull
#define COPY_SHIFT 4u

/* Of the sample, in a segment: enough that a limit of half of it means
 * something. */
#define SEGMENT_BLOCKS 32u
/* What an entry takes of a summary. */
#define SUMMARY_ENTRY_BYTES 44u
/* In a smaller log the last segment, the first and what is between them and
 * free count for more than a miniature knows. */
#define SEGMENTS_MIN 24u
#define USED_ONE 65536u
/* Half segments that are held but not in use. */
#define HALVES_UNUSED 3u

static_assert(MINIATURE_COPIES <= UINT16_MAX, "a row's links have 16 bits");

uint64_t miniature_hash(uint64_t block)
{
	/* Fibonacci hashing: numbers side by side are spread evenly, so that of
	 * any range the sample has its share. */
	return (block + 1) * 0x9e3779b97f4a7c15ull;
}

/* Of other bits than those by which it is sampled. */
static uint32_t mix(uint64_t block)
{
	uint64_t hash = (block ^ (block >> 31)) * 0xbf58476d1ce4e5b9ull;

	return (uint32_t)(hash >> 32);
}

static uint16_t *row_of(struct miniature *miniature, uint64_t block)
{
	return &miniature->heads[mix(block) % MINIATURE_ROWS];
}

static uint64_t *copy_at(struct miniature *miniature, uint32_t number)
{
	return &miniature->copies[number % MINIATURE_COPIES];
}

/* The link that leads to @block's live copy, or the end of its row. */
static uint16_t *find(struct miniature *miniature, uint64_t block)
{
	uint16_t *link = row_of(miniature, block);

	while (*link != 0 &&
	       miniature->copies[*link - 1] >> COPY_SHIFT != block)
		link = &miniature->rows[*link - 1];
	return link;
}

static void unlink_copy(struct miniature *miniature, uint16_t *link)
{
	uint16_t place = (uint16_t)(*link - 1);

	miniature->copies[place] &= ~COPY_LIVE;
	*link = miniature->rows[place];
	miniature->live--;
}

/* Blocks of a segment that records can take. */
static uint32_t usable_blocks(uint32_t segment_blocks)
{
	uint32_t summary =
		2 + segment_blocks * SUMMARY_ENTRY_BYTES / LOG_BLOCK_BYTES;
	uint32_t most = log_summary_blocks_max(segment_blocks);

	return segment_blocks - 1 - (summary < most ? summary : most);
}

/* @blocks of the log, in units of the miniature. */
static uint64_t scaled(const struct miniature *miniature, uint64_t blocks)
{
	return (blocks * MINIATURE_UNIT * (miniature->sample + 1ull)) >> 32;
}

static void set_sample(struct miniature *miniature, uint64_t blocks)
{
	miniature->sample =
		blocks <= MINIATURE_BLOCKS
			? UINT32_MAX
			: (uint32_t)(((uint64_t)MINIATURE_BLOCKS << 32) /
				     blocks);
}

bool miniature_init(struct miniature *miniature,
		    const struct miniature_log *log)
{
	uint64_t blocks = (uint64_t)log->segments * log->segment_blocks;
	uint32_t usable = usable_blocks(log->segment_blocks);
	uint64_t one, longer;

	if (log->segments < SEGMENTS_MIN)
		return false;
	set_sample(miniature, blocks);
	one = scaled(miniature, usable);
	if (one == 0)
		one = 1;
	longer = (SEGMENT_BLOCKS * MINIATURE_UNIT + one - 1) / one;
	if (longer > (log->segments - log->free_segments) / 4)
		longer = (log->segments - log->free_segments) / 4;
	/* The segment that is being filled is half full, in the mean; and one
	 * that was given up waits for a flush. */
	miniature->capacity_units =
		scaled(miniature,
		       (log->segments - log->free_segments) * (uint64_t)usable -
			       usable * HALVES_UNUSED / 2);
	miniature->room_units = scaled(miniature, blocks);
	miniature->segment_units = scaled(miniature, longer * usable);
	miniature->spare_units = scaled(miniature, usable) / 2;
	miniature->data_units =
		scaled(miniature,
		       longer * (log->segment_blocks - POLICY_OVERHEAD_BLOCKS));
	miniature->ghost_count =
		(uint32_t)(scaled(miniature, ghost_entries(blocks)) /
			   MINIATURE_UNIT);
	miniature->segment_next = 1;
	return true;
}

bool miniature_full(const struct miniature *miniature)
{
	return miniature->segment_first > 0;
}

static bool has_spare(const struct miniature *miniature)
{
	return miniature->log_units + miniature->spare_units <
	       miniature->capacity_units;
}

static uint16_t *ghost_of(struct miniature *miniature, uint64_t block,
			  uint16_t *ret_fingerprint)
{
	uint64_t hash = (uint64_t)mix(~block) * miniature->ghost_count;

	*ret_fingerprint = (uint16_t)(mix(block) | 1u);
	return &miniature->ghosts[hash >> 32];
}

static void note_ghost(struct miniature *miniature, uint64_t block)
{
	uint16_t fingerprint;
	uint16_t *entry = ghost_of(miniature, block, &fingerprint);

	*entry = fingerprint;
}

static bool missed_again(struct miniature *miniature, uint64_t block)
{
	uint16_t fingerprint;
	uint16_t *entry = ghost_of(miniature, block, &fingerprint);

	if (*entry == fingerprint) {
		*entry = 0;
		return true;
	}
	*entry = fingerprint;
	return false;
}

/* The newest copy of @block, which has none. */
static void push(struct miniature *miniature, uint64_t block, uint64_t bits,
		 uint32_t cost)
{
	uint32_t place = miniature->next % MINIATURE_COPIES;
	uint32_t active = (miniature->segment_next - 1) % MINIATURE_SEGMENTS;
	uint16_t *row = row_of(miniature, block);

	assert(miniature->next - miniature->first < MINIATURE_COPIES);
	miniature->copies[place] = block << COPY_SHIFT | COPY_LIVE | bits;
	miniature->rows[place] = *row;
	*row = (uint16_t)(place + 1);
	miniature->live++;
	miniature->next++;
	miniature->log_units += cost;
	miniature->units[active] += cost;
	miniature->ends[active] = miniature->next;
	if (miniature->units[active] < miniature->segment_units)
		return;
	active = miniature->segment_next++ % MINIATURE_SEGMENTS;
	miniature->units[active] = 0;
	miniature->ends[active] = miniature->next;
}

/* How many of each heat may move up. */
struct choice {
	uint32_t wanted[MINIATURE_HEATS];
	bool sparse;
	bool crowded;
};

static bool sparse(const struct miniature *miniature)
{
	/* The log's room is all of it, with heads and what is kept free. */
	return (uint64_t)miniature->live * MINIATURE_UNIT * 100 <
	       miniature->room_units * POLICY_SPARSE_PERCENT;
}

static bool eligible(uint64_t copy, bool sparse)
{
	return (copy & COPY_LIVE) &&
	       ((copy & COPY_HEAT) > 0 || (sparse && (copy & COPY_FILL)));
}

static uint64_t percent(uint64_t units, uint32_t share)
{
	return units * share / 100;
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

/* Takes as many of @wanted as @units hold. Returns: what is left of these. */
static uint64_t grant(uint32_t *wanted, uint64_t units)
{
	*wanted = (uint32_t)at_most(*wanted, units / MINIATURE_UNIT);
	return units - (uint64_t)*wanted * MINIATURE_UNIT;
}

static void note_used(struct miniature *miniature, uint64_t used)
{
	uint64_t share =
		at_most(used * USED_ONE / miniature->data_units, USED_ONE);
	uint64_t sum = (uint64_t)miniature->used * (POLICY_MEAN_OF - 1);

	miniature->used = (uint32_t)((sum + share) / POLICY_MEAN_OF);
}

static void settle(struct miniature *miniature, struct choice *choice)
{
	uint64_t hot = percent(miniature->data_units, POLICY_HOT_PERCENT);
	uint64_t cold = percent(miniature->data_units, POLICY_COLD_PERCENT);
	uint64_t room = hot + miniature->hot_left;
	uint64_t rest = cold + miniature->cold_left;
	uint64_t used = 0;

	for (uint32_t heat = 1; heat < MINIATURE_HEATS; heat++)
		used += (uint64_t)choice->wanted[heat] * MINIATURE_UNIT;
	note_used(miniature, used);
	choice->crowded = used > room;
	for (uint32_t heat = MINIATURE_HEATS - 1; heat > 0; heat--)
		room = grant(&choice->wanted[heat], room);
	rest = rest > used ? rest - used : 0;
	if (choice->sparse) {
		uint64_t left = grant(&choice->wanted[0], at_most(rest, room));
		uint64_t moved = at_most(rest, room) - left;

		room -= moved;
		rest -= moved;
	}
	miniature->hot_left = at_most(room, hot);
	miniature->cold_left = at_most(rest, cold);
}

static void give_up(struct miniature *miniature, struct choice *choice,
		    uint32_t number)
{
	uint64_t copy = *copy_at(miniature, number);
	uint64_t block = copy >> COPY_SHIFT;
	uint64_t heat = copy & COPY_HEAT;
	bool moves = eligible(copy, choice->sparse) && choice->wanted[heat] > 0;

	miniature->first = number + 1;
	if (!(copy & COPY_LIVE))
		return;
	unlink_copy(miniature, find(miniature, block));
	if (!moves) {
		if (heat > 0)
			note_ghost(miniature, block);
		return;
	}
	choice->wanted[heat]--;
	if (heat > 0 && (choice->crowded || !choice->sparse))
		heat--;
	push(miniature, block, heat | COPY_FILL, miniature->costs.reappend);
}

static void evict(struct miniature *miniature)
{
	uint32_t place = miniature->segment_first % MINIATURE_SEGMENTS;
	uint32_t end = miniature->ends[place];
	struct choice choice = {.sparse = sparse(miniature)};

	for (uint32_t i = miniature->first; i != end; i++) {
		uint64_t copy = *copy_at(miniature, i);

		if (eligible(copy, choice.sparse))
			choice.wanted[copy & COPY_HEAT]++;
	}
	settle(miniature, &choice);
	miniature->log_units -= miniature->units[place];
	miniature->segment_first++;
	for (uint32_t i = miniature->first; i != end; i++)
		give_up(miniature, &choice, i);
}

static bool is_over(const struct miniature *miniature)
{
	/* It is given up whole, so it stays until half of it is too much. */
	return miniature->log_units > miniature->capacity_units +
					      miniature->segment_units / 2 ||
	       miniature->next - miniature->first > MINIATURE_COPIES * 3 / 4;
}

static void append(struct miniature *miniature, uint64_t block, uint64_t bits,
		   uint32_t cost)
{
	push(miniature, block, bits, cost);
	while (is_over(miniature) &&
	       miniature->segment_first + 1 < miniature->segment_next)
		evict(miniature);
}

static bool let_in(struct miniature *miniature)
{
	return miniature->used <=
		       (uint64_t)USED_ONE * POLICY_ALL_USED_PERMILLE / 1000 ||
	       miniature->turned_away++ % (POLICY_LET_IN_OF / POLICY_LET_IN) ==
		       0;
}

/* As fill.c does. */
static bool admitted(struct miniature *miniature, uint64_t block,
		     uint32_t flags, bool spare)
{
	if (missed_again(miniature, block))
		return spare || let_in(miniature);
	return spare && !(flags & MINIATURE_STREAM);
}

static void warm(uint64_t *copy)
{
	if ((*copy & COPY_HEAT) < COPY_HEAT)
		*copy += 1;
}

bool miniature_read(struct miniature *miniature, uint64_t block, uint32_t flags)
{
	uint16_t *link = find(miniature, block);
	bool spare = has_spare(miniature);

	if (*link != 0) {
		warm(&miniature->copies[*link - 1]);
		return true;
	}
	if (flags & (MINIATURE_PART | MINIATURE_LARGE))
		return false;
	if (admitted(miniature, block, flags, spare) ||
	    (flags & MINIATURE_ADMIT))
		append(miniature, block, COPY_FILL,
		       spare ? miniature->costs.fill_spare
			     : miniature->costs.fill);
	return false;
}

void miniature_write(struct miniature *miniature, uint64_t block)
{
	uint16_t *link = find(miniature, block);
	uint64_t heat = 0;

	if (*link != 0) {
		uint64_t *copy = &miniature->copies[*link - 1];

		warm(copy);
		heat = *copy & COPY_HEAT;
		unlink_copy(miniature, link);
	}
	append(miniature, block, heat, miniature->costs.write);
}

void miniature_forget(struct miniature *miniature, uint64_t block)
{
	uint16_t *link = find(miniature, block);

	if (*link != 0)
		unlink_copy(miniature, link);
}
