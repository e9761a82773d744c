/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share.h - who gets how much of one directory: a pure function.
 *
 * The rule. Each disk has its reservation, and SHARE_FLOOR in any case. What is
 * left goes to the disks by their use, and to none more than its limit: that is
 * a disk's fair share. Then
 *
 *   1. a disk that has less than its limit gets of what is free, up to its fair
 *      share first;
 *   2. is nothing free, and somebody lacks something who fills what he has, the
 *      caches of closed disks go, the one that was closed
 *      first before the others;
 *   3. then what others have beyond their fair share is asked back, from whom
 *      has most beyond it, SHARE_STEP at a time. What is missing of a
 *      reservation is asked back at once.
 *
 * A difference that is small against what a disk has moves nothing (3.), so
 * that space doesn't go to and fro. What was asked back counts as had until the
 * disk has given it, and the next turn gives it away.
 *
 * Units: granules of 2 MiB. Use: any, the same for all.
 */
#ifndef FOREBAY_CACHED_SHARE_H
#define FOREBAY_CACHED_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a log needs to get along, and so the least reservation: 32 MiB. */
#define SHARE_FLOOR 16u
/* Taken from one disk in one turn: 32 MiB, or a 16th of what it has. */
#define SHARE_STEP 16u
#define SHARE_STEP_PART 16u
/* Who has used less than two thirds of what he has lacks nothing. */
#define SHARE_FULL_PARTS 2u
#define SHARE_FULL_OF 3u
/* Differences below an 8th of what a disk has are let be. */
#define SHARE_SLACK_PART 8u

enum share_state {
	SHARE_OPEN,
	SHARE_WAITING, /* was refused for want of room: has nothing yet */
	/* Locked by a process that hasn't reported yet: left alone. */
	SHARE_UNKNOWN,
	SHARE_CLOSED, /* and nothing in it is needed */
	SHARE_KEPT, /* closed, and its data are needed */
};

struct share_disk {
	enum share_state state;
	bool evict; /* the decision: a CLOSED one goes */
	uint64_t reserved;
	uint64_t limit;
	uint64_t held; /* allocated */
	uint64_t used; /* that hold something */
	uint64_t use;
	uint64_t closed_at; /* CLOSED: when */
	/* What it may have; the decision is the new one. */
	uint64_t granted;
	uint64_t fair; /* the decision's */
};

/* What is certain for a disk of this reservation and limit. */
uint64_t share_base(uint64_t reserved, uint64_t limit);
/* What is certain for all of them, and what can't be taken. */
uint64_t share_committed(const struct share_disk *disks, size_t count);
/* What nobody has or may have. @room: for all cache files together. */
uint64_t share_free(const struct share_disk *disks, size_t count,
		    uint64_t room);
/* Somebody lacks something, so it matters who is CLOSED. */
bool share_is_short(const struct share_disk *disks, size_t count);
/* Decides one turn. */
void share_decide(struct share_disk *disks, size_t count, uint64_t room);

#endif
