// SPDX-License-Identifier: Apache-2.0
/*
 * action.c - an operator's action goes round the filters, one after the other,
 * from the VM down: what an upper filter brings down, a lower one gets in time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filter_call.h"
#include "pipeline_object.h"

struct action_round {
	struct pipeline *pipeline;
	uint32_t next; /* the filter to ask */
	uint32_t end; /* one behind the last */
	bool flush; /* the backend's flush follows */
	bool known; /* to one of them, or to the backend */
	int status; /* the first failure */
	void (*done)(void *context, int status);
	void *context;
	char name[];
};

static void round_end(struct action_round *round)
{
	int status = round->status;

	if (status == 0 && !round->known)
		status = -ENOTSUP;
	round->pipeline->actions--;
	round->done(round->context, status);
	free(round);
}

static void on_flushed(struct forebay_request *request, int status)
{
	struct action_round *round = request->user.owner;

	request_pool_put(&round->pipeline->pool, request);
	round->status = status;
	round_end(round);
}

/* The filters have had their turn: straight to the backend. */
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
		.owner = round,
	};
	request->ended = on_flushed;
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

	if (round->next < round->end)
		instance_action(pipeline->instances[round->next++], round->name,
				on_action, round);
	else if (round->flush && round->status == 0)
		round_flush(round);
	else
		round_end(round);
}

/* A call of one filter. */

struct pipeline_call {
	struct pipeline *pipeline;
	void (*done)(void *context, json_t *result, const struct error *error);
	void *context;
};

static void on_called(void *context, json_t *result, const struct error *error)
{
	struct pipeline_call call = *(struct pipeline_call *)context;

	free(context);
	call.pipeline->actions--;
	call.done(call.context, result, error);
}

void pipeline_call(struct pipeline *pipeline, const char *filter,
		   const char *action, const json_t *arguments,
		   void (*done)(void *context, json_t *result,
				const struct error *error),
		   void *context)
{
	uint32_t index = pipeline_find(pipeline, filter);
	struct pipeline_call *call = malloc(sizeof(*call));
	const struct filter_call_end end = {.done = on_called, .context = call};
	struct error error = {0};

	if (call && index < pipeline->instance_count) {
		*call = (struct pipeline_call){pipeline, done, context};
		pipeline->actions++;
		filter_call(pipeline->instances[index], action, arguments,
			    &end);
		return;
	}
	if (call)
		error_set(&error, -ENOENT, "disk %s has no filter '%s'",
			  pipeline->name, filter);
	else
		error_set(&error, -ENOMEM, "out of memory");
	free(call);
	done(context, NULL, &error);
}

void pipeline_action(struct pipeline *pipeline, const char *filter,
		     const char *action,
		     void (*done)(void *context, int status), void *context)
{
	uint32_t index = filter ? pipeline_find(pipeline, filter) : 0;
	struct action_round *round;

	if (filter && index == pipeline->instance_count) {
		done(context, -ENOENT);
		return;
	}
	round = calloc(1, sizeof(*round) + strlen(action) + 1);
	if (!round) {
		done(context, -ENOMEM);
		return;
	}
	round->pipeline = pipeline;
	round->next = index;
	round->end = filter ? index + 1 : pipeline->instance_count;
	/* The backend knows that one, and has nothing to do if read-only. */
	round->known = !filter && strcmp(action, PIPELINE_ACTION_FLUSH) == 0;
	round->flush = round->known && !pipeline->home.disk.read_only;
	round->done = done;
	round->context = context;
	memcpy(round->name, action, strlen(action) + 1);
	pipeline->actions++;
	round_next(round);
}
