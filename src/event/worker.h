/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - a thread for the few system calls that may wait and for which
 * io_uring has no operation.
 *
 *   loop's thread      worker_give() ............. done()
 *                            \                     /
 *   worker's thread           `---- run() --------'
 *
 * One job at a time. run() may use what the job points to and nothing else of
 * the process: everything but the worker belongs to the loop's thread.
 */
#ifndef FOREBAY_EVENT_WORKER_H
#define FOREBAY_EVENT_WORKER_H

#include <stdbool.h>

#include "loop.h"

struct worker;

/* Owns: the caller, until done(). */
struct worker_job {
	void (*run)(struct worker_job *job); /* on the worker's thread */
	void (*done)(struct worker_job *job); /* on the loop */
	void *owner;
};

/* Starts the thread. Returns: 0, -EAGAIN, -ENOMEM or -EMFILE. */
int worker_create(struct loop *loop, struct worker **ret_worker);
/* No job may be under way. Waits for the thread's end. NULL is fine. */
void worker_destroy(struct worker *worker);

/* Order: the worker is free: nothing was given, or its done() was called. */
void worker_give(struct worker *worker, struct worker_job *job);

#endif
