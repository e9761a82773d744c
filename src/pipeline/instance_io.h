/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_io.h - operations that a filter starts itself.
 *
 * On a file of the filter they go straight to the loop. On the layers below
 * they walk the rest of the chain as requests of their own, taken from a pool
 * that belongs to this instance: so the ios of an upper filter can't use up
 * what a lower one needs to finish them. When the pool is empty, ios wait in
 * the order in which they came.
 */
#ifndef FOREBAY_PIPELINE_INSTANCE_IO_H
#define FOREBAY_PIPELINE_INSTANCE_IO_H

#include "forebay/filter.h"
#include "request_pool.h"

/* Most ios of one instance in the layers below; more wait. */
#define INSTANCE_IOS_BELOW_MAX 512u

struct instance_ios {
	struct request_pool pool;
	struct forebay_io *waiting_first;
	struct forebay_io *waiting_last;
	uint32_t count; /* submitted and not done */
	bool starting; /* the waiting ones are being started */
};

/* Order: the chain has all its layers. Returns: 0 or -ENOMEM. */
int instance_io_prepare(struct forebay_instance *instance);
void instance_io_release(struct forebay_instance *instance);
void instance_io_submit(struct forebay_instance *instance,
			struct forebay_io *io);
/* The io's file is a sidecar, and becomes so long. */
void instance_io_resize(struct forebay_instance *instance,
			struct forebay_io *io);

#endif
