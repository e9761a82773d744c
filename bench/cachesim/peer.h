/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h - replacement algorithms that ours is compared with, block by block.
 *
 * Written from their papers' descriptions. They decide only: a block is a
 * number, capacities are blocks, and nothing costs them space but the blocks.
 */
#ifndef FOREBAY_BENCH_CACHESIM_PEER_H
#define FOREBAY_BENCH_CACHESIM_PEER_H

#include <stdbool.h>
#include <stdint.h>

/* In which queue of its algorithm a block is; 0: in none. */
#define PEER_QUEUES 5u

struct peer_node {
	uint32_t older;
	uint32_t newer;
	uint32_t stamp; /* the algorithm's */
	uint8_t queue;
	uint8_t used; /* the algorithm's */
};

struct peer_queue {
	uint32_t oldest;
	uint32_t newest;
	uint32_t count;
};

struct peer {
	const struct peer_kind *kind;
	struct peer_node *nodes; /* by block + 1; 0 is nobody */
	uint32_t capacity;
	uint32_t small_max; /* parts of the capacity, as the algorithm says */
	uint32_t ghost_max;
	uint32_t target; /* ARC's */
	uint32_t inserted; /* in the small queue, ever */
	struct peer_queue queues[PEER_QUEUES];
};

struct peer_kind {
	const char *name;
	void (*init)(struct peer *peer);
	/* Returns: whether it was there. It is there afterwards. */
	bool (*use)(struct peer *peer, uint32_t node);
};

extern const struct peer_kind peer_lru;
extern const struct peer_kind peer_s3fifo; /* Yang et al., SOSP 2023 */
extern const struct peer_kind peer_arc; /* Megiddo and Modha, FAST 2003 */
extern const struct peer_kind peer_clock2qplus; /* arXiv 2511.21958 */

#define PEER_KINDS 4u
extern const struct peer_kind *const peer_kinds[PEER_KINDS];

/* Returns: NULL without memory. Owns: the caller. */
struct peer *peer_create(const struct peer_kind *kind, uint32_t capacity,
			 uint32_t disk_blocks);
void peer_destroy(struct peer *peer);

static inline bool peer_use(struct peer *peer, uint32_t block)
{
	return peer->kind->use(peer, block + 1);
}

/* For the algorithms. A queue's newest is where blocks enter. */
void peer_push(struct peer *peer, uint8_t queue, uint32_t node);
void peer_take(struct peer *peer, uint32_t node);
/* Takes the queue's oldest, which there is. */
uint32_t peer_pop(struct peer *peer, uint8_t queue);

#endif
