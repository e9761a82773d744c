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
#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "pipeline_object.h"

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
		operations &= FOREBAY_OPERATION_BIT(FOREBAY_READ) |
			      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH);
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
	user->done(user, status);
}

static bool changes_disk(enum forebay_operation operation)
{
	return operation != FOREBAY_READ && operation != FOREBAY_FLUSH;
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
	chain_submit(request, 0);
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

json_t *pipeline_stats(const struct pipeline *pipeline)
{
	json_t *filters = json_array();

	for (uint32_t i = 0; i < pipeline->instance_count; i++)
		json_array_append_new(filters,
				      instance_status(pipeline->instances[i]));
	return json_pack("{s:o, s:I, s:i, s:I, s:o}", "requests",
			 requests_document(pipeline), "copied_bytes",
			 (json_int_t)pipeline->home.copied_bytes, "in_flight",
			 (int)pipeline->in_flight, "backend_errors",
			 (json_int_t)pipeline->bottom.error_count, "filters",
			 filters);
}

static struct forebay_instance *find(const struct pipeline *pipeline,
				     const char *filter)
{
	for (uint32_t i = 0; i < pipeline->instance_count; i++)
		if (strcmp(pipeline->instances[i]->filter->name, filter) == 0)
			return pipeline->instances[i];
	return NULL;
}

int pipeline_set_properties(struct pipeline *pipeline, const char *filter,
			    const json_t *properties, struct error *error)
{
	struct forebay_instance *instance = find(pipeline, filter);

	if (!instance)
		return error_set(error, -ENOENT, "disk %s has no filter '%s'",
				 pipeline->name, filter);
	return instance_change(instance, properties, error);
}

/* An action that is asked of every filter, one after the other. */
struct action_round {
	struct pipeline *pipeline;
	uint32_t next; /* the filter to ask */
	bool known; /* by one of them */
	int status; /* the first failure */
	bool flush; /* the backend's flush follows */
	void (*done)(void *context, int status);
	void *context;
	char name[32];
};

static void round_end(struct action_round *round)
{
	int status = round->status;

	if (status == 0 && !round->known)
		status = -ENOTSUP;
	round->done(round->context, status);
	free(round);
}

static void on_flushed(struct pipeline_request *user, int status)
{
	struct action_round *round = user->owner;

	pipeline_request_put(round->pipeline, user);
	round->known = true;
	if (round->status == 0)
		round->status = status;
	round_end(round);
}

static void round_flush(struct action_round *round)
{
	struct pipeline *pipeline = round->pipeline;
	struct forebay_request *request = request_pool_get(&pipeline->pool);

	if (!request) {
		round->status = -EBUSY;
		round_end(round);
		return;
	}
	request->user = (struct pipeline_request){
		.operation = FOREBAY_FLUSH,
		.done = on_flushed,
		.owner = round,
		.submitted_ns = loop_now_ns(pipeline->home.loop),
	};
	request->ended = on_ended;
	pipeline->in_flight++;
	/* The filters have had their turn: straight to the backend. */
	chain_submit(request, pipeline->chain.layer_count - 1);
}

static void round_next(struct action_round *round);

static void on_action(void *context, int status)
{
	struct action_round *round = context;

	if (status != -ENOTSUP) {
		round->known = true;
		if (round->status == 0)
			round->status = status;
	}
	round_next(round);
}

static void round_next(struct action_round *round)
{
	struct pipeline *pipeline = round->pipeline;

	if (round->next < pipeline->instance_count)
		instance_action(pipeline->instances[round->next++], round->name,
				on_action, round);
	else if (round->flush && round->status == 0)
		round_flush(round);
	else
		round_end(round);
}

void pipeline_action(struct pipeline *pipeline, const char *filter,
		     const char *action,
		     void (*done)(void *context, int status), void *context)
{
	struct forebay_instance *instance =
		filter ? find(pipeline, filter) : NULL;
	struct action_round *round;

	if (filter) {
		if (instance)
			instance_action(instance, action, done, context);
		else
			done(context, -ENOENT);
		return;
	}
	if (strlen(action) >= sizeof(round->name)) {
		done(context, -ENOTSUP);
		return;
	}
	round = calloc(1, sizeof(*round));
	if (!round) {
		done(context, -ENOMEM);
		return;
	}
	round->pipeline = pipeline;
	round->done = done;
	round->context = context;
	round->flush = strcmp(action, PIPELINE_ACTION_FLUSH) == 0 &&
		       !pipeline->home.disk.read_only;
	memcpy(round->name, action, strlen(action) + 1);
	round_next(round);
}
