// SPDX-License-Identifier: Apache-2.0
/*
 * pipeline.c - requests in, answers and figures out, while the disk is open.
 *
 * Latency is counted in turns of the loop: both ends of a request are stamped
 * with the time of the turn in which they happened, which costs no look at the
 * clock and hides only what one turn takes.
 */
#include "pipeline.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "list.h"
#include "pipeline_object.h"

/* Those that leave the disk as it is. */
#define READ_ONLY_OPERATIONS                      \
	(FOREBAY_OPERATION_BIT(FOREBAY_READ) |    \
	 FOREBAY_OPERATION_BIT(FOREBAY_FLUSH) |   \
	 FOREBAY_OPERATION_BIT(FOREBAY_EXTENTS) | \
	 FOREBAY_OPERATION_BIT(FOREBAY_CACHE))

static struct forebay_request *request_of(struct pipeline_request *user)
{
	return container_of(user, struct forebay_request, user);
}

uint64_t pipeline_size_bytes(const struct pipeline *pipeline)
{
	return pipeline->home.disk.size_bytes;
}

const uint8_t *pipeline_uuid(const struct pipeline *pipeline)
{
	return pipeline->home.disk.uuid;
}

bool pipeline_read_only(const struct pipeline *pipeline)
{
	return pipeline->home.disk.read_only;
}

uint32_t pipeline_operations(const struct pipeline *pipeline)
{
	uint32_t operations = chain_operations(&pipeline->chain, 0);

	if (pipeline->home.disk.read_only)
		operations &= READ_ONLY_OPERATIONS;
	return operations;
}

struct pipeline_request *pipeline_request_get(struct pipeline *pipeline)
{
	struct forebay_request *request = request_pool_get(&pipeline->pool);

	return request ? &request->user : NULL;
}

void pipeline_request_put(struct pipeline *pipeline,
			  struct pipeline_request *request)
{
	request_pool_put(&pipeline->pool, request_of(request));
}

static void enter_chain(struct pipeline *pipeline,
			struct forebay_request *request);

/* What the fence has stopped, and doesn't any more. */
static void pass_fence(struct pipeline *pipeline)
{
	struct forebay_request *request;

	while ((request = fence_next(&pipeline->fence)) != NULL)
		enter_chain(pipeline, request);
}

static void on_ended(struct forebay_request *request, int status)
{
	struct pipeline *pipeline =
		container_of(request->chain, struct pipeline, chain);
	struct pipeline_request *user = &request->user;
	struct operation_counters *counters =
		&pipeline->counters[user->operation];

	latency_add(&counters->latency,
		    loop_now_ns(pipeline->home.loop) - user->submitted_ns);
	if (status == 0)
		counters->bytes += user->length;
	else
		counters->errors++;
	pipeline->in_flight--;
	if (__builtin_expect(request->fence.abandoned, 0)) {
		fence_drop(&pipeline->fence, request);
		user->done(user, status);
		pass_fence(pipeline);
		return;
	}
	user->done(user, status);
}

static bool changes_disk(enum forebay_operation operation)
{
	return !(READ_ONLY_OPERATIONS & FOREBAY_OPERATION_BIT(operation));
}

static bool changes_allocation(enum forebay_operation operation)
{
	return operation == FOREBAY_DISCARD ||
	       operation == FOREBAY_WRITE_ZEROES;
}

static void enter_chain(struct pipeline *pipeline,
			struct forebay_request *request)
{
	if (__builtin_expect(changes_allocation(request->user.operation), 0) &&
	    fallback_submit(&pipeline->fallback, request))
		return;
	chain_submit(request, 0);
}

void pipeline_submit(struct pipeline *pipeline, struct pipeline_request *user)
{
	struct forebay_request *request = request_of(user);

	assert(request_fits(user->operation, user->offset, user->length,
			    user->iov_count, pipeline->home.disk.size_bytes));
	user->submitted_ns = loop_now_ns(pipeline->home.loop);
	request->ended = on_ended;
	pipeline->in_flight++;
	if (__builtin_expect(pipeline->home.disk.read_only, 0) &&
	    changes_disk(user->operation)) {
		on_ended(request, -EROFS);
		return;
	}
	if (__builtin_expect(pipeline->fence.stuck_count > 0, 0) &&
	    fence_stops(&pipeline->fence, request)) {
		fence_wait(&pipeline->fence, request);
		return;
	}
	enter_chain(pipeline, request);
}

bool pipeline_abandon(struct pipeline *pipeline, struct pipeline_request *user)
{
	struct forebay_request *request = request_of(user);
	uint64_t offset = user->offset;
	uint64_t length = user->length;

	if (request->fence.abandoned)
		return false;
	if (fence_leave(&pipeline->fence, request)) {
		on_ended(request, -ECANCELED);
		return true;
	}
	if (request->ended != on_ended) { /* it is a piece of itself now */
		offset = request->zeroing.offset;
		length = request->zeroing.length;
	}
	fence_raise(&pipeline->fence, request, offset, length,
		    loop_now_ns(pipeline->home.loop));
	return false;
}

void pipeline_stuck(const struct pipeline *pipeline,
		    struct pipeline_stuck *ret_stuck)
{
	const struct fence *fence = &pipeline->fence;
	uint64_t since_ns = fence_since_ns(fence);

	*ret_stuck = (struct pipeline_stuck){
		.requests = fence->stuck_count,
		.waiting = fence->waiting_count,
		.ns = since_ns ? loop_now_ns(pipeline->home.loop) - since_ns
			       : 0,
	};
}

void pipeline_count_copied(struct pipeline *pipeline, uint64_t bytes)
{
	pipeline->home.copied_bytes += bytes;
}

static json_t *requests_document(const struct pipeline *pipeline)
{
	json_t *document = json_object();

	for (unsigned int i = 0; i < OPERATION_COUNT; i++) {
		const struct operation_counters *counters =
			&pipeline->counters[i];

		json_object_set_new(
			document, operation_name((enum forebay_operation)i),
			json_pack("{s:I, s:I, s:I, s:o}", "count",
				  (json_int_t)counters->latency.count, "bytes",
				  (json_int_t)counters->bytes, "errors",
				  (json_int_t)counters->errors, "latency_us",
				  latency_summary(&counters->latency)));
	}
	return document;
}

static json_t *stuck_document(const struct pipeline *pipeline)
{
	struct pipeline_stuck stuck;

	pipeline_stuck(pipeline, &stuck);
	return json_pack("{s:i, s:i, s:I}", "requests", (int)stuck.requests,
			 "waiting", (int)stuck.waiting, "oldest_ns",
			 (json_int_t)stuck.ns);
}

/* Null for a backend whose state can't change. */
static json_t *backend_document(const struct backend_status *status)
{
	if (!status->state)
		return json_null();
	return json_pack(
		"{s:s, s:I, s:s, s:i, s:i, s:I}", "state", status->state,
		"state_ms", (json_int_t)(status->state_ns / NS_PER_MS),
		"reason", status->reason, "connections",
		(int)status->connections, "waiting", (int)status->waiting,
		"losses", (json_int_t)status->losses);
}

/* Null where there is none. */
static json_t *sidecar_document(const struct claim *claim)
{
	char generation[17];

	if (!claim->told)
		return json_null();
	snprintf(generation, sizeof(generation), "%016" PRIx64,
		 claim->now.generation);
	return json_pack("{s:s, s:s, s:b}", "path", claim->sidecar.path,
			 "generation", generation, "marked", claim->now.marked);
}

static json_t *filter_document(const struct pipeline *pipeline, uint32_t index)
{
	const struct forebay_instance *instance = pipeline->instances[index];
	json_t *document = instance_status(instance);
	struct held_figures held;

	held_count(&pipeline->held, instance, &held);
	json_object_set_new(document, "held",
			    json_pack("{s:i, s:I, s:i}", "requests",
				      (int)held.requests, "oldest_ns",
				      (json_int_t)held.oldest_ns, "overdue",
				      (int)instance->overdue));
	return document;
}

json_t *pipeline_stats(const struct pipeline *pipeline)
{
	json_t *filters = json_array();
	struct backend_status backend;

	for (uint32_t i = 0; i < pipeline->instance_count; i++)
		json_array_append_new(filters, filter_document(pipeline, i));
	backend_status(pipeline->bottom.backend, &backend);
	backend.copied_bytes += pipeline->home.copied_bytes;
	return json_pack(
		"{s:o, s:I, s:i, s:I, s:I, s:o, s:o, s:o, s:o}", "requests",
		requests_document(pipeline), "copied_bytes",
		(json_int_t)backend.copied_bytes, "in_flight",
		(int)pipeline->in_flight, "backend_errors",
		(json_int_t)pipeline->bottom.error_count, "discards_ignored",
		(json_int_t)pipeline->fallback.discards_ignored, "stuck",
		stuck_document(pipeline), "backend", backend_document(&backend),
		"sidecar", sidecar_document(&pipeline->home.claim), "filters",
		filters);
}

uint32_t pipeline_find(const struct pipeline *pipeline, const char *filter)
{
	uint32_t index = 0;

	while (index < pipeline->instance_count &&
	       strcmp(pipeline->instances[index]->filter->name, filter) != 0)
		index++;
	return index;
}
