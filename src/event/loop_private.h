/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop_private.h - the loop itself, for the files of this folder only.
 *
 * `user_data` of a kernel operation is the address of its loop_io with a tag in
 * the low bits: what kind it is.
 */
#ifndef FOREBAY_EVENT_LOOP_PRIVATE_H
#define FOREBAY_EVENT_LOOP_PRIVATE_H

#include <liburing.h>

#include "loop.h"
#include "spin.h"
#include "timer_heap.h"

enum loop_tag {
	LOOP_TAG_FILE = 1, /* reads, writes, syncs: a device will answer soon */
	LOOP_TAG_SOCKET = 2, /* sends and receives: a peer will, some day */
	LOOP_TAG_POLL = 3,
	LOOP_TAG_ACCEPT = 4,
};

#define LOOP_TAG_MASK UINT64_C(7)
/* user_data of the loop's own cancel requests. */
#define LOOP_USER_DATA_NONE UINT64_C(0)

enum loop_io_state {
	LOOP_IO_IDLE = 0,
	LOOP_IO_STARTED = 1,
	LOOP_IO_CANCELLING = 2,
};

struct loop {
	struct io_uring ring;
	uint64_t now_ns;
	unsigned int in_flight[LOOP_TAG_ACCEPT + 1]; /* by tag */
	bool stopping;
	/* Pollers or a device had work since the loop slept: spin is worth it.
	 */
	bool active;
	struct timer_heap timers;
	struct loop_deferred *deferred_first;
	struct loop_deferred *deferred_last;
	unsigned int deferred_count;
	struct loop_poller *pollers;
	struct loop_poller *next_poller; /* cursor: pollers may remove others */
	struct spin idle_spin;
	struct spin in_flight_spin;
};

/* Enters the kernel with what is queued, without waiting. */
int loop_submit(struct loop *loop);
/* Starts @io's multishot poll again. */
void loop_poll_again(struct loop *loop, struct loop_io *io);

#endif
