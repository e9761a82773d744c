// SPDX-License-Identifier: Apache-2.0
/*
 * held.c - a filter's requests are those of the exports, and those that the
 * filters above it made.
 *
 * Nobody notes when a request changes hands. A look notes where it found it,
 * and the next one knows it by the time of its submission; so an age is at most
 * one look too low.
 */
#include "held.h"

#include <inttypes.h>

#include "clock.h"
#include "log.h"

#define LOOKS_IN_LIMIT 6u

static struct forebay_request *request_at(const struct request_pool *pool,
					  uint32_t index)
{
	return (struct forebay_request *)(pool->memory + pool->stride * index);
}

static bool has(const struct forebay_instance *instance,
		const struct forebay_request *request)
{
	return request->phase >= REQUEST_DOWN && request->at == instance->layer;
}

static void count_in(const struct request_pool *pool,
		     const struct forebay_instance *instance, uint64_t now_ns,
		     struct held_figures *figures)
{
	for (uint32_t i = 0; i < pool->touched; i++) {
		const struct forebay_request *request = request_at(pool, i);
		uint64_t age_ns = now_ns - request->user.submitted_ns;

		if (!has(instance, request))
			continue;
		figures->requests++;
		if (age_ns > figures->oldest_ns)
			figures->oldest_ns = age_ns;
	}
}

void held_count(const struct held *held,
		const struct forebay_instance *instance,
		struct held_figures *ret_figures)
{
	uint64_t now_ns = loop_now_ns(held->loop);

	*ret_figures = (struct held_figures){0};
	count_in(held->pool, instance, now_ns, ret_figures);
	for (uint32_t i = 0; i < *held->instance_count; i++)
		count_in(&held->instances[i]->ios.pool, instance, now_ns,
			 ret_figures);
}

/* Returns: how many of @pool's requests @instance has had for too long. */
static uint32_t look_in(const struct held *held,
			const struct request_pool *pool,
			const struct forebay_instance *instance)
{
	uint64_t now_ns = loop_now_ns(held->loop);
	uint32_t overdue = 0;

	for (uint32_t i = 0; i < pool->touched; i++) {
		struct forebay_request *request = request_at(pool, i);
		struct request_seen *seen = &request->seen;

		if (!has(instance, request))
			continue;
		if (seen->layer == instance->layer &&
		    seen->submitted_ns == request->user.submitted_ns) {
			overdue += now_ns - seen->since_ns >= held->limit_ns;
			continue;
		}
		*seen = (struct request_seen){
			.layer = instance->layer,
			.submitted_ns = request->user.submitted_ns,
			.since_ns = now_ns,
		};
	}
	return overdue;
}

static void look_at(const struct held *held, struct forebay_instance *instance)
{
	uint32_t overdue = look_in(held, held->pool, instance);

	for (uint32_t i = 0; i < *held->instance_count; i++)
		overdue +=
			look_in(held, &held->instances[i]->ios.pool, instance);
	if (overdue > 0 && instance->overdue == 0)
		log_error("disk %s: filter %s has had %" PRIu32
			  " requests for over %" PRIu64
			  " ms and neither forwards nor completes them, and it "
			  "doesn't say that it holds requests",
			  instance->home->disk.name, instance->filter->name,
			  overdue, held->limit_ns / NS_PER_MS);
	instance->overdue = overdue;
}

static void look(struct loop_timer *timer)
{
	struct held *held = timer->owner;

	for (uint32_t i = 0; i < *held->instance_count; i++)
		if (!(held->instances[i]->filter->flags & FOREBAY_FILTER_HOLDS))
			look_at(held, held->instances[i]);
	loop_timer_arm(held->loop, timer, held->limit_ns / LOOKS_IN_LIMIT);
}

void held_start(struct held *held, uint64_t limit_ns)
{
	held->limit_ns = limit_ns;
	held->timer.expired = look;
	held->timer.owner = held;
	loop_timer_arm(held->loop, &held->timer, limit_ns / LOOKS_IN_LIMIT);
}

void held_stop(struct held *held)
{
	if (held->loop)
		loop_timer_cancel(held->loop, &held->timer);
}
