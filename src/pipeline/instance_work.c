// SPDX-License-Identifier: Apache-2.0
/*
 * instance_work.c - what the host keeps in a work lies in its host_private.
 *
 * The threads are the disk's, and shared by its instances. Where they can't be
 * had, the work is done on the loop: slower, and all that would be said of it.
 */
#include "instance_work.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "instance.h"
#include "log.h"

struct work_private {
	struct worker_pool_job job;
	struct loop_deferred here; /* without threads */
	struct forebay_instance *instance;
	uint64_t under_way;
};

static_assert(sizeof(struct work_private) <=
		      sizeof(((struct forebay_work *)0)->host_private),
	      "the host's part of a work fits");

#define UNDER_WAY UINT64_C(0x776f726b657273e1)

static bool allowed;

void instance_work_allow(void)
{
	allowed = true;
}

static struct work_private *private_of(struct forebay_work *work)
{
	return (struct work_private *)work->host_private;
}

static uint64_t under_way_mark(const struct forebay_work *work)
{
	return (uintptr_t)work ^ UNDER_WAY;
}

/* On a thread of the pool, whose marker is its own; or on the loop. */
static void run(struct forebay_work *work)
{
	const struct running_place *before =
		instance_enter(private_of(work)->instance, RUNNING_WORK);

	work->run(work);
	running_leave(before);
}

static void finish(struct forebay_work *work)
{
	struct forebay_instance *instance = private_of(work)->instance;
	const struct running_place *before =
		instance_enter(instance, RUNNING_WORK);

	instance->works--;
	private_of(work)->under_way = 0;
	work->done(work);
	running_leave(before);
	instance_quiet(instance);
}

static void on_run(struct worker_pool_job *job)
{
	run(job->owner);
}

static void on_done(struct worker_pool_job *job)
{
	finish(job->owner);
}

static void on_here(struct loop_deferred *deferred)
{
	run(deferred->owner);
	finish(deferred->owner);
}

/* Returns: NULL if there are no threads. */
static struct worker_pool *pool_of(struct instance_home *home)
{
	int status;

	if (home->workers || !allowed || home->no_workers)
		return home->workers;
	status = worker_pool_create(home->loop, &home->workers);
	if (status == 0)
		return home->workers;
	home->no_workers = true;
	log_warning("filters work on the loop: no thread can be had: %s",
		    strerror(-status));
	return NULL;
}

void instance_work_submit(struct forebay_instance *instance,
			  struct forebay_work *work)
{
	struct work_private *private = private_of(work);
	struct worker_pool *pool = pool_of(instance->home);

	if (private->under_way == under_way_mark(work))
		running_misuse(instance->filter->name, "work_submit()",
			       "of work that is under way");
	*private = (struct work_private){
		.job = {.run = on_run, .done = on_done, .owner = work},
		.here = {.run = on_here, .owner = work},
		.instance = instance,
		.under_way = under_way_mark(work),
	};
	instance->works++;
	if (pool)
		worker_pool_give(pool, &private->job);
	else
		loop_defer(instance->home->loop, &private->here);
}
