/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_pool.h - a few threads for work that takes CPU time, not waiting.
 *
 * The loop gives jobs; each runs on one of the threads, several side by side,
 * and done() is called on the loop in the order in which they ended. Jobs are
 * begun in the order in which they were given.
 *
 * The threads start with the pool, and so behind whatever sandbox the caller is
 * in by then.
 */
#ifndef FOREBAY_EVENT_WORKER_POOL_H
#define FOREBAY_EVENT_WORKER_POOL_H

#include "loop.h"

#define WORKER_POOL_THREADS 2u

struct worker_pool;

struct worker_pool_job {
	void (*run)(struct worker_pool_job *job); /* on a thread of the pool */
	void (*done)(struct worker_pool_job *job); /* on the loop */
	void *owner;
	/* The pool's: */
	struct worker_pool_job *next;
};

/* Returns: 0, -ENOMEM, -EAGAIN (no more threads), -EMFILE. */
int worker_pool_create(struct loop *loop, struct worker_pool **ret_pool);
/* Order: every job is done. NULL is fine. */
void worker_pool_destroy(struct worker_pool *pool);
/* Owns: the caller owns @job, and leaves it alone until done(). */
void worker_pool_give(struct worker_pool *pool, struct worker_pool_job *job);

#endif
