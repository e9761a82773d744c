/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_hold.h - which requests must wait after a connection broke: pure.
 *
 * A change that was in flight then may still be carried out by the server, at
 * any time, although we issue it again on another connection. It is *suspect*:
 *
 *        broke        back again               clock + hold
 *   ------|---------------|----------------------------|-------> time
 *     W1 in flight     W1 issued again, done        W1 is no longer suspect
 *     (may land at any time until here, we assume)
 *                      W2 over it waits ............ issued
 *
 * Two rules say what waits:
 *
 *   - Nothing is issued while an older change that overlaps it is being made
 *     again. So nobody sees the older data after the newer.
 *   - No change is issued over the range of an older suspect one: the late
 *     write would replace it.
 *
 * What is issued again is not held by its own suspicion: landing twice does no
 * harm.
 */
#ifndef FOREBAY_BACKEND_NBD_HOLD_H
#define FOREBAY_BACKEND_NBD_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"

/* Beyond this, whatever is changed after the break is held, wherever it is. */
#define NBD_HOLD_SUSPECTS_MAX 1024u

/* A request, as far as order goes. */
struct nbd_hold_request {
	struct list redo_node; /* in no list: is not being made again */
	uint64_t sequence; /* order of submission, from 1 */
	uint64_t offset;
	uint64_t length;
	bool changes;
};

struct nbd_hold_suspect {
	uint64_t sequence;
	uint64_t offset;
	uint64_t length;
	uint64_t until_ns; /* UINT64_MAX: its clock hasn't started */
};

struct nbd_hold {
	uint64_t hold_ns;
	struct list redos; /* changes that are to be made again, oldest first */
	unsigned int suspect_count;
	struct nbd_hold_suspect suspects[NBD_HOLD_SUSPECTS_MAX];
};

void nbd_hold_init(struct nbd_hold *hold, uint64_t hold_ns);
/* Fills @request, which is in no list. */
void nbd_hold_request_init(struct nbd_hold_request *request, uint64_t sequence,
			   uint64_t offset, uint64_t length, bool changes);
/* @request was in flight on a connection that broke. */
void nbd_hold_broken(struct nbd_hold *hold, struct nbd_hold_request *request);
/* @request ended, whatever its result. */
void nbd_hold_ended(struct nbd_hold_request *request);
/* The server can be reached: what is suspect may land for as long as we hold.
 */
void nbd_hold_start_clock(struct nbd_hold *hold, uint64_t now_ns);
/* Forgets what has been suspect long enough. */
void nbd_hold_expire(struct nbd_hold *hold, uint64_t now_ns);
bool nbd_hold_may_issue(const struct nbd_hold *hold,
			const struct nbd_hold_request *request);
/* Returns: when nbd_hold_expire() has something to do, UINT64_MAX: never. */
uint64_t nbd_hold_next_ns(const struct nbd_hold *hold);

#endif
