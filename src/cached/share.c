// SPDX-License-Identifier: Apache-2.0
/* share.c - see share.h. */
#include "share.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static bool takes_part(const struct share_disk *disk)
{
	return disk->state == SHARE_OPEN || disk->state == SHARE_WAITING;
}

/* What can't be given to another now. */
static uint64_t has(const struct share_disk *disk)
{
	return disk->state == SHARE_OPEN ? most(disk->granted, disk->held)
					 : disk->held;
}

uint64_t share_base(uint64_t reserved, uint64_t limit)
{
	return least(most(reserved, SHARE_FLOOR), limit);
}

static uint64_t base_of(const struct share_disk *disk)
{
	return share_base(disk->reserved, disk->limit);
}

uint64_t share_committed(const struct share_disk *disks, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		if (takes_part(&disks[i]))
			sum += base_of(&disks[i]);
		else if (disks[i].state != SHARE_CLOSED)
			sum += disks[i].held;
	}
	return sum;
}

uint64_t share_free(const struct share_disk *disks, size_t count, uint64_t room)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += has(&disks[i]);
	return room > sum ? room - sum : 0;
}

bool share_is_short(const struct share_disk *disks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (takes_part(&disks[i]) && disks[i].granted < disks[i].limit)
			return true;
	}
	return false;
}

/* -- the fair shares ---------------------------------------------------- */

/* Those that use nothing count a little, or they would get nothing of what is
 * left over. */
static double weight(const struct share_disk *disk)
{
	return (double)disk->use + 1.0;
}

/* Shares @rest out once. Returns: what is left, since limits were met. */
static uint64_t share_out(struct share_disk *disks, size_t count, uint64_t rest)
{
	uint64_t given = 0;
	double weights = 0;

	for (size_t i = 0; i < count; i++) {
		if (takes_part(&disks[i]) && disks[i].fair < disks[i].limit)
			weights += weight(&disks[i]);
	}
	for (size_t i = 0; i < count && weights > 0; i++) {
		struct share_disk *disk = &disks[i];
		uint64_t part;

		if (!takes_part(disk) || disk->fair >= disk->limit)
			continue;
		part = (uint64_t)((double)rest * (weight(disk) / weights));
		part = least(least(part, disk->limit - disk->fair),
			     rest - given);
		disk->fair += part;
		given += part;
	}
	return given > 0 ? rest - given : 0;
}

static void share_fairly(struct share_disk *disks, size_t count, uint64_t room)
{
	uint64_t committed = share_committed(disks, count);
	uint64_t rest = room > committed ? room - committed : 0;

	for (size_t i = 0; i < count; i++)
		disks[i].fair = takes_part(&disks[i]) ? base_of(&disks[i]) : 0;
	/* Each turn meets a limit, or shares out all but what rounding left. */
	for (size_t turn = 0; turn <= count && rest > 0; turn++)
		rest = share_out(disks, count, rest);
}

/* -- 1. what is free ---------------------------------------------------- */

enum level { LEVEL_BASE, LEVEL_FAIR, LEVEL_LIMIT, LEVELS };

static uint64_t level_of(const struct share_disk *disk, enum level level)
{
	switch (level) {
	case LEVEL_BASE:
		return base_of(disk);
	case LEVEL_FAIR:
		return disk->fair;
	case LEVEL_LIMIT:
	case LEVELS:
		break;
	}
	return disk->limit;
}

/* A disk that was asked to give back may keep that instead. */
static void give(struct share_disk *disk, uint64_t up_to, uint64_t *free)
{
	uint64_t keeps = has(disk);
	uint64_t more;

	if (disk->granted < up_to)
		disk->granted = most(disk->granted, least(keeps, up_to));
	if (disk->granted >= up_to)
		return;
	more = least(up_to - disk->granted, *free);
	disk->granted += more;
	*free -= more;
}

/* To those who wait nothing can be given; they are told to come. */
static void give_free(struct share_disk *disks, size_t count, uint64_t free)
{
	for (size_t i = 0; i < count; i++) {
		if (disks[i].state == SHARE_WAITING)
			free -= least(base_of(&disks[i]), free);
	}
	for (enum level level = LEVEL_BASE; level < LEVELS; level++) {
		for (size_t i = 0; i < count && free > 0; i++) {
			if (disks[i].state == SHARE_OPEN)
				give(&disks[i], level_of(&disks[i], level),
				     &free);
		}
	}
}

/* -- 2. and 3. what is wanted ------------------------------------------- */

static uint64_t slack(uint64_t granules)
{
	return most(granules / SHARE_SLACK_PART, 1);
}

static bool is_full(const struct share_disk *disk)
{
	return disk->state == SHARE_OPEN &&
	       disk->used * SHARE_FULL_OF >= disk->granted * SHARE_FULL_PARTS;
}

/* What reservations lack, and what fair shares lack besides. */
static void wanted(const struct share_disk *disks, size_t count,
		   uint64_t *ret_must, uint64_t *ret_wish)
{
	uint64_t must = 0, wish = 0;

	for (size_t i = 0; i < count; i++) {
		const struct share_disk *disk = &disks[i];
		uint64_t base = base_of(disk);
		uint64_t sure = most(disk->granted, base);

		if (!takes_part(disk))
			continue;
		if (disk->granted < base)
			must += base - disk->granted;
		if (is_full(disk) && disk->fair >= sure + slack(sure))
			wish += disk->fair - sure;
	}
	*ret_must = must;
	*ret_wish = wish;
}

/* What comes by itself: free now, or asked back already. */
static uint64_t coming(const struct share_disk *disks, size_t count,
		       uint64_t room)
{
	uint64_t sum = share_free(disks, count, room);

	for (size_t i = 0; i < count; i++) {
		if (disks[i].state == SHARE_OPEN &&
		    disks[i].held > disks[i].granted)
			sum += disks[i].held - disks[i].granted;
		if (disks[i].evict)
			sum += disks[i].held;
	}
	return sum;
}

static struct share_disk *closed_first(struct share_disk *disks, size_t count)
{
	struct share_disk *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (disks[i].state == SHARE_CLOSED && !disks[i].evict &&
		    disks[i].held > 0 &&
		    (!found || disks[i].closed_at < found->closed_at))
			found = &disks[i];
	}
	return found;
}

static uint64_t beyond(const struct share_disk *disk)
{
	uint64_t keeps = most(disk->fair, base_of(disk));

	return disk->state == SHARE_OPEN && disk->granted > keeps
		       ? disk->granted - keeps
		       : 0;
}

static struct share_disk *richest(struct share_disk *disks, size_t count)
{
	struct share_disk *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (beyond(&disks[i]) > 0 &&
		    (!found || beyond(&disks[i]) > beyond(found)))
			found = &disks[i];
	}
	return found;
}

/* For reservations all that it takes, from whom it takes. */
static void take_must(struct share_disk *disks, size_t count, uint64_t must)
{
	while (must > 0) {
		struct share_disk *from = richest(disks, count);
		uint64_t part;

		if (!from)
			return;
		part = least(must, beyond(from));
		from->granted -= part;
		must -= part;
	}
}

/* Of one disk's surplus a step, if it is no trifle. */
static void take_wish(struct share_disk *disks, size_t count, uint64_t wish)
{
	struct share_disk *from = richest(disks, count);
	uint64_t step;

	/* The next step is for when it has given what it was asked for. */
	if (!from || beyond(from) < slack(from->granted) ||
	    from->held > from->granted)
		return;
	step = most(SHARE_STEP, from->granted / SHARE_STEP_PART);
	from->granted -= least(least(step, beyond(from)), wish);
}

/* Nobody may have more than there is, or than its limit. */
static void cut(struct share_disk *disks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (disks[i].state == SHARE_OPEN)
			disks[i].granted =
				least(disks[i].granted, disks[i].limit);
	}
}

/* What is promised and not there: others have filled the file system. */
static uint64_t overdrawn(const struct share_disk *disks, size_t count,
			  uint64_t room)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += disks[i].state == SHARE_OPEN ? disks[i].granted
						    : disks[i].held;
	return sum > room ? sum - room : 0;
}

void share_decide(struct share_disk *disks, size_t count, uint64_t room)
{
	struct share_disk *closed;
	uint64_t must, wish, comes;

	for (size_t i = 0; i < count; i++)
		disks[i].evict = false;
	cut(disks, count);
	share_fairly(disks, count, room);
	give_free(disks, count, share_free(disks, count, room));
	take_must(disks, count, overdrawn(disks, count, room));
	wanted(disks, count, &must, &wish);
	while (coming(disks, count, room) < must + wish &&
	       (closed = closed_first(disks, count)))
		closed->evict = true;
	comes = coming(disks, count, room);
	if (must > comes)
		take_must(disks, count, must - comes);
	else if (must + wish > comes)
		take_wish(disks, count, must + wish - comes);
}
