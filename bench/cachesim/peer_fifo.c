// SPDX-License-Identifier: Apache-2.0
/*
 * peer_fifo.c - the two that have a small queue before the main one.
 *
 * Both: what is new enters the small queue, a tenth of the cache. What leaves
 * it unused is remembered as a ghost, and goes to the main queue when it comes
 * again. The main queue gives what was used a further round.
 *
 * S3-FIFO counts uses up to 3 and lets into the main queue what had two.
 * Clock2Q+ has one bit, which a use sets only of a block that has left the
 * newer half of the small queue: uses close together count as one.
 */
#include "peer.h"

enum { SMALL = 1, MAIN, GHOST };

#define S3_USED_MAX 3u

static void s3fifo_init(struct peer *peer)
{
	peer->small_max = peer->capacity / 10;
	peer->ghost_max = peer->capacity - peer->small_max;
}

static void remember(struct peer *peer, uint32_t node)
{
	if (peer->queues[GHOST].count >= peer->ghost_max)
		peer_pop(peer, GHOST);
	peer_push(peer, GHOST, node);
}

static void main_evict(struct peer *peer)
{
	for (;;) {
		uint32_t node = peer_pop(peer, MAIN);

		if (peer->nodes[node].used == 0)
			return;
		peer->nodes[node].used--;
		peer_push(peer, MAIN, node);
	}
}

/* Lets blocks used @enough times into the main queue, until one is gone. */
static void make_room(struct peer *peer, uint8_t enough)
{
	while (peer->queues[SMALL].count + peer->queues[MAIN].count >=
	       peer->capacity) {
		uint32_t node;

		if (peer->queues[SMALL].count < peer->small_max ||
		    peer->queues[SMALL].count == 0) {
			main_evict(peer);
			continue;
		}
		node = peer_pop(peer, SMALL);
		if (peer->nodes[node].used >= enough) {
			peer->nodes[node].used = 0;
			peer_push(peer, MAIN, node);
		} else {
			remember(peer, node);
		}
	}
}

static void enter(struct peer *peer, uint32_t node, uint8_t enough)
{
	bool known = peer->nodes[node].queue == GHOST;

	if (known)
		peer_take(peer, node);
	make_room(peer, enough);
	peer->nodes[node].used = 0;
	peer->nodes[node].stamp = peer->inserted;
	peer->inserted += !known;
	peer_push(peer, known ? MAIN : SMALL, node);
}

static bool s3fifo_use(struct peer *peer, uint32_t node)
{
	struct peer_node *at = &peer->nodes[node];

	if (at->queue == SMALL || at->queue == MAIN) {
		if (at->used < S3_USED_MAX)
			at->used++;
		return true;
	}
	enter(peer, node, 2);
	return false;
}

const struct peer_kind peer_s3fifo = {"S3-FIFO", s3fifo_init, s3fifo_use};

static bool clock2qplus_use(struct peer *peer, uint32_t node)
{
	struct peer_node *at = &peer->nodes[node];

	if (at->queue == SMALL || at->queue == MAIN) {
		if (at->queue == MAIN ||
		    peer->inserted - at->stamp > peer->small_max / 2)
			at->used = 1;
		return true;
	}
	enter(peer, node, 1);
	return false;
}

const struct peer_kind peer_clock2qplus = {"Clock2Q+", s3fifo_init,
					   clock2qplus_use};
