/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer_heap.h - armed timers, earliest first: an intrusive pairing heap.
 *
 * Inserting costs O(1), taking out O(log n) on average, and nothing is ever
 * allocated, so that arming a timer can't fail.
 */
#ifndef FOREBAY_EVENT_TIMER_HEAP_H
#define FOREBAY_EVENT_TIMER_HEAP_H

#include "loop.h"

struct timer_heap {
	struct loop_timer *root; /* the earliest, or NULL */
};

void timer_heap_insert(struct timer_heap *heap, struct loop_timer *timer);
/* @timer is in @heap. */
void timer_heap_remove(struct timer_heap *heap, struct loop_timer *timer);

#endif
