/* SPDX-License-Identifier: Apache-2.0 */
/*
 * held.h - requests that a filter has, and those that it has had for too long.
 *
 * A filter that never completes a request would show as a VM that hangs. Every
 * sixth of the limit all requests are looked at, which costs their way nothing;
 * those that a filter without FOREBAY_FILTER_HOLDS has had for longer than the
 * limit are told, and counted in its status.
 */
#ifndef FOREBAY_PIPELINE_HELD_H
#define FOREBAY_PIPELINE_HELD_H

#include <stdint.h>

#include "instance.h"
#include "request_pool.h"

/* How long a filter may have a request, unless the opener says otherwise. */
#define HELD_LIMIT_NS (UINT64_C(60) * 1000 * 1000 * 1000)

struct held {
	struct loop *loop;
	struct forebay_instance *const *instances;
	const uint32_t *instance_count;
	const struct request_pool *pool; /* of the exports */
	uint64_t limit_ns;
	struct loop_timer timer;
};

struct held_figures {
	uint32_t requests; /* that @instance has now */
	uint64_t oldest_ns; /* since the oldest of them was submitted */
};

/* The timer runs until held_stop(). */
void held_start(struct held *held, uint64_t limit_ns);
/* A zeroed one is fine. */
void held_stop(struct held *held);
void held_count(const struct held *held,
		const struct forebay_instance *instance,
		struct held_figures *ret_figures);

#endif
