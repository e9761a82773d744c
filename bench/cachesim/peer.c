// SPDX-License-Identifier: Apache-2.0
/*
 * peer.c - the queues, and the two oldest algorithms.
 */
#include "peer.h"

#include <stdlib.h>

const struct peer_kind *const peer_kinds[PEER_KINDS] = {
	&peer_lru, &peer_s3fifo, &peer_arc, &peer_clock2qplus};

struct peer *peer_create(const struct peer_kind *kind, uint32_t capacity,
			 uint32_t disk_blocks)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	peer->nodes = calloc(disk_blocks + 1ull, sizeof(*peer->nodes));
	if (!peer->nodes) {
		free(peer);
		return NULL;
	}
	peer->kind = kind;
	peer->capacity = capacity;
	kind->init(peer);
	return peer;
}

void peer_destroy(struct peer *peer)
{
	if (!peer)
		return;
	free(peer->nodes);
	free(peer);
}

void peer_push(struct peer *peer, uint8_t queue, uint32_t node)
{
	struct peer_queue *to = &peer->queues[queue];
	struct peer_node *at = &peer->nodes[node];

	at->queue = queue;
	at->older = to->newest;
	at->newer = 0;
	if (to->newest)
		peer->nodes[to->newest].newer = node;
	else
		to->oldest = node;
	to->newest = node;
	to->count++;
}

void peer_take(struct peer *peer, uint32_t node)
{
	struct peer_node *at = &peer->nodes[node];
	struct peer_queue *from = &peer->queues[at->queue];

	if (at->older)
		peer->nodes[at->older].newer = at->newer;
	else
		from->oldest = at->newer;
	if (at->newer)
		peer->nodes[at->newer].older = at->older;
	else
		from->newest = at->older;
	from->count--;
	at->queue = 0;
}

uint32_t peer_pop(struct peer *peer, uint8_t queue)
{
	uint32_t node = peer->queues[queue].oldest;

	peer_take(peer, node);
	return node;
}

enum { LRU = 1 };

static void lru_init(struct peer *peer)
{
	(void)peer;
}

static bool lru_use(struct peer *peer, uint32_t node)
{
	bool hit = peer->nodes[node].queue == LRU;

	if (hit)
		peer_take(peer, node);
	else if (peer->queues[LRU].count == peer->capacity)
		peer_pop(peer, LRU);
	peer_push(peer, LRU, node);
	return hit;
}

const struct peer_kind peer_lru = {"LRU", lru_init, lru_use};

/* T: in the cache, seen once (1) or more often (2); B: gone from there. */
enum { T1 = 1, T2, B1, B2 };

static void arc_init(struct peer *peer)
{
	(void)peer;
}

/* Makes room for one block, by the target's word. */
static void arc_replace(struct peer *peer, bool from_b2)
{
	uint32_t t1 = peer->queues[T1].count;
	bool first = t1 > 0 &&
		     (t1 > peer->target || (from_b2 && t1 == peer->target) ||
		      peer->queues[T2].count == 0);

	peer_push(peer, first ? B1 : B2, peer_pop(peer, first ? T1 : T2));
}

static void arc_adapt(struct peer *peer, bool b2)
{
	uint32_t mine = peer->queues[b2 ? B2 : B1].count;
	uint32_t other = peer->queues[b2 ? B1 : B2].count;
	uint32_t step = other > mine ? other / mine : 1;

	if (b2)
		peer->target = peer->target > step ? peer->target - step : 0;
	else
		peer->target = peer->target + step < peer->capacity
				       ? peer->target + step
				       : peer->capacity;
}

/* A block that nothing is known of. */
static void arc_make_room(struct peer *peer)
{
	const struct peer_queue *queues = peer->queues;
	uint32_t l1 = queues[T1].count + queues[B1].count;
	uint32_t all = l1 + queues[T2].count + queues[B2].count;

	if (l1 == peer->capacity) {
		if (queues[T1].count == peer->capacity) {
			peer_pop(peer, T1);
			return;
		}
		peer_pop(peer, B1);
		arc_replace(peer, false);
		return;
	}
	if (all < peer->capacity)
		return;
	if (all == 2 * peer->capacity)
		peer_pop(peer, B2);
	arc_replace(peer, false);
}

static bool arc_use(struct peer *peer, uint32_t node)
{
	uint8_t queue = peer->nodes[node].queue;

	if (queue == 0) {
		arc_make_room(peer);
		peer_push(peer, T1, node);
		return false;
	}
	if (queue == B1 || queue == B2) {
		arc_adapt(peer, queue == B2);
		arc_replace(peer, queue == B2);
	}
	peer_take(peer, node);
	peer_push(peer, T2, node);
	return queue == T1 || queue == T2;
}

const struct peer_kind peer_arc = {"ARC", arc_init, arc_use};
