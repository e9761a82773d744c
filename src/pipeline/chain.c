// SPDX-License-Identifier: Apache-2.0
/*
 * chain.c - the walk down and up; the shortest path in the house.
 *
 * Every request of every disk passes here once per layer in each direction, on
 * the disk's loop. So: no loop over layers on the way down, one predictable
 * branch for the mask, and nothing is touched that the layer doesn't need.
 *
 * A filter that breaks the rules of its requests is a bug in code that shares
 * our memory: the process logs which filter and rule it was, and aborts.
 */
#include "chain.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "copies.h"
#include "extents.h"

#define CONTEXT_ALIGNMENT 16u

static const struct chain_layer *layer_at(const struct forebay_request *request)
{
	return &request->chain->layers[request->at];
}

/*
 * Who calls has the request, or nobody's code is marked: then it is one of ours
 * that isn't inside of a layer.
 */
static bool has(const struct forebay_request *request)
{
	const struct running_place *place = running_now();

	return !place || place->layer == request->at ||
	       place->layer == RUNNING_LAYER_ANY;
}

/* A pointer that is used too late may be another request's by then, and that
 * one's place is all that can be judged. */
__attribute__((cold, noreturn)) static void misuse(
	const struct forebay_request *request, const char *function)
{
	const struct running_place *place = running_now();
	const char *rule = "of a request that has ended";

	if (request->phase == REQUEST_WAITING && has(request))
		rule = "of a request that the host has taken back "
		       "(-EINPROGRESS)";
	else if (request->phase == REQUEST_UP && has(request))
		rule = "of a request that has come back: it can only be "
		       "completed";
	else if (request->phase != REQUEST_FREE && place &&
		 request->at > place->layer)
		rule = "of a request that it has forwarded";
	else if (request->phase != REQUEST_FREE)
		rule = "of a request that it has completed";
	running_misuse(layer_at(request)->name, function, rule);
}

static uint32_t round_up(size_t bytes)
{
	return (uint32_t)((bytes + CONTEXT_ALIGNMENT - 1) &
			  ~(size_t)(CONTEXT_ALIGNMENT - 1));
}

uint32_t chain_add(struct chain *chain, const struct chain_layer *layer)
{
	uint32_t index = chain->layer_count++;
	struct chain_layer *added = &chain->layers[index];

	assert(index < CHAIN_LAYERS_MAX);
	*added = *layer;
	added->running = running_filter(layer->name, index);
	added->context_offset = chain->context_bytes;
	chain->context_bytes += round_up(layer->context_bytes);
	added->saved_offset = chain->context_bytes;
	if (layer->name)
		chain->context_bytes += round_up(sizeof(struct request_saved));
	return index;
}

uint32_t chain_operations(const struct chain *chain, uint32_t entry)
{
	uint32_t operations = UINT32_MAX;

	for (uint32_t i = entry; i < chain->layer_count; i++)
		operations &= chain->layers[i].operations;
	return operations;
}

static inline void restore(struct forebay_request *request, uint32_t index)
{
	if (__builtin_expect(request->saved_layers != 0, 0) &&
	    request->saved_layers & (UINT32_C(1) << index))
		copies_restore(request, index);
}

/* Hands the request from layer @from upwards until a layer wants to see it. */
static inline __attribute__((always_inline)) void ascend(
	struct forebay_request *request, uint32_t from, int status)
{
	uint32_t index = from;

	request->phase = REQUEST_UP;
	while (index > request->entry) {
		const struct chain_layer *layer;

		index--;
		restore(request, index);
		layer = &request->chain->layers[index];
		if (layer->completed) {
			const struct running_place *before = running_enter(
				layer->running, RUNNING_COMPLETED);

			request->at = index;
			layer->completed(layer->state, request, status);
			running_leave(before);
			return;
		}
	}
	request->phase = REQUEST_FREE;
	request->ended(request, status);
}

/*
 * What a filter doesn't understand must not slip past it. To two questions
 * there is an answer that is right without knowing anything.
 */
__attribute__((cold)) static void turn_back(struct forebay_request *request,
					    uint32_t index)
{
	int status = -EOPNOTSUPP;

	if (request->user.operation == FOREBAY_EXTENTS) {
		extents_add(request->user.extents, request->user.length, 0);
		status = 0;
	} else if (request->user.operation == FOREBAY_CACHE) {
		status = 0;
	}
	ascend(request, index, status);
}

static inline __attribute__((always_inline)) void enter(
	struct forebay_request *request, uint32_t index)
{
	const struct chain_layer *layer = &request->chain->layers[index];
	const struct running_place *before;

	if (!(layer->operations &
	      FOREBAY_OPERATION_BIT(request->user.operation))) {
		turn_back(request, index);
		return;
	}
	request->at = index;
	if (layer->zero_context)
		memset(request->contexts + layer->context_offset, 0,
		       layer->context_bytes);
	before = running_enter(layer->running, RUNNING_SUBMIT);
	layer->submit(layer->state, request);
	running_leave(before);
}

void chain_submit(struct forebay_request *request, uint32_t entry)
{
	assert(request->phase == REQUEST_FREE);
	assert(entry < request->chain->layer_count);
	request->phase = REQUEST_DOWN;
	request->entry = entry;
	enter(request, entry);
}

void chain_forward(struct forebay_request *request)
{
	if (request->phase != REQUEST_DOWN || !has(request))
		misuse(request, "request_forward()");
	/* The backend never forwards, so there is a next layer. */
	enter(request, request->at + 1);
}

void chain_complete(struct forebay_request *request, int status)
{
	if (request->phase < REQUEST_DOWN || !has(request))
		misuse(request, "request_complete()");
	if (status > 0)
		running_misuse(layer_at(request)->name, "request_complete()",
			       "with a positive status");
	restore(request, request->at);
	ascend(request, request->at, status);
}

void chain_check(const struct forebay_request *request, const char *function)
{
	if (request->phase < REQUEST_DOWN || !has(request))
		misuse(request, function);
}

void chain_submit_again(struct forebay_request *request)
{
	assert(request->phase == REQUEST_WAITING);
	request->phase = REQUEST_DOWN;
	enter(request, request->at);
}

void *chain_context(struct forebay_request *request)
{
	return request->contexts + layer_at(request)->context_offset;
}
