// SPDX-License-Identifier: Apache-2.0
/*
 * timer_heap.c - a tree in which no timer is earlier than its parent.
 *
 * Children of a timer are a list: `child` is the first, `sibling` the next;
 * `previous` of the first child is the parent, of the others the sibling before
 * it. The root has neither sibling nor previous.
 */
#include "timer_heap.h"

#include <assert.h>
#include <stddef.h>

/* Hangs the later of two roots under the earlier one. Returns: that one. */
static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->deadline_ns < a->deadline_ns) {
		struct loop_timer *earlier = b;

		b = a;
		a = earlier;
	}
	b->previous = a;
	b->sibling = a->child;
	if (a->child)
		a->child->previous = b;
	a->child = b;
	return a;
}

/*
 * Melds a list of siblings into one tree: in pairs from the left, then the
 * pairs from the right, which is what keeps the trees flat.
 */
static struct loop_timer *meld_siblings(struct loop_timer *first)
{
	struct loop_timer *pairs = NULL;
	struct loop_timer *root = NULL;

	while (first) {
		struct loop_timer *a = first;
		struct loop_timer *b = a->sibling;
		struct loop_timer *pair;

		first = b ? b->sibling : NULL;
		a->sibling = NULL;
		if (b)
			b->sibling = NULL;
		pair = meld(a, b);
		pair->sibling = pairs;
		pairs = pair;
	}
	while (pairs) {
		struct loop_timer *pair = pairs;

		pairs = pair->sibling;
		pair->sibling = NULL;
		root = meld(root, pair);
	}
	if (root)
		root->previous = NULL;
	return root;
}

void timer_heap_insert(struct timer_heap *heap, struct loop_timer *timer)
{
	timer->child = NULL;
	timer->sibling = NULL;
	timer->previous = NULL;
	heap->root = meld(heap->root, timer);
}

void timer_heap_remove(struct timer_heap *heap, struct loop_timer *timer)
{
	struct loop_timer *orphans = meld_siblings(timer->child);

	if (timer == heap->root) {
		heap->root = orphans;
	} else {
		assert(timer->previous);
		if (timer->previous->child == timer)
			timer->previous->child = timer->sibling;
		else
			timer->previous->sibling = timer->sibling;
		if (timer->sibling)
			timer->sibling->previous = timer->previous;
		heap->root = meld(heap->root, orphans);
	}
	timer->child = NULL;
	timer->sibling = NULL;
	timer->previous = NULL;
}
