/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.h - the layers of one disk, and how a request walks through them.
 *
 *        entry                                    last layer
 *          |                                          |
 *       [ filter ] -forward-> [ filter ] -forward-> [ backend ]
 *          <--completed--        <--completed--      complete
 *
 * A layer gets a request with submit() and has it until it forwards or
 * completes it. On the way up the layers that want to are called again, the
 * lowest first, and pass the request on with chain_complete(). The backend is a
 * layer like the others: it never forwards.
 *
 * A request enters at layer 0 when an export made it, and below a filter when
 * that filter made it; it leaves where it entered.
 */
#ifndef FOREBAY_PIPELINE_CHAIN_H
#define FOREBAY_PIPELINE_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "forebay/filter.h"
#include "pipeline.h"
#include "request_pool.h"
#include "running.h"

/* The filters and the backend. */
#define CHAIN_LAYERS_MAX (PIPELINE_FILTERS_MAX + 1)

struct copies;

struct chain_layer {
	void (*submit)(void *state, struct forebay_request *request);
	/* NULL: requests pass upwards without a call. */
	void (*completed)(void *state, struct forebay_request *request,
			  int status);
	void *state;
	uint32_t operations; /* FOREBAY_OPERATION_BIT()s it understands */
	uint32_t context_bytes; /* in every request */
	bool zero_context; /* before each submit() */
	const char *name; /* a filter's; NULL: ours */
	struct copies *copies; /* NULL: it makes none */
	/* The chain's: */
	uint32_t context_offset;
	uint32_t saved_offset; /* of a filter: its struct request_saved */
	const struct running_filter *running;
};

/* Zero it before the first chain_add(). */
struct chain {
	struct chain_layer layers[CHAIN_LAYERS_MAX];
	uint32_t layer_count;
	uint32_t context_bytes; /* of all layers, each rounded up to 16 */
};

/* Puts @layer under those that are there. Returns: its number. */
uint32_t chain_add(struct chain *chain, const struct chain_layer *layer);
/* Operations that every layer from @entry down takes. */
uint32_t chain_operations(const struct chain *chain, uint32_t entry);

/*
 * Sends a request that is FREE into the layer @entry; its ended() is called
 * once. Order: maybe before this returns.
 */
void chain_submit(struct forebay_request *request, uint32_t entry);

/* For the layer that has the request. */
void chain_forward(struct forebay_request *request);
void chain_complete(struct forebay_request *request, int status);
void *chain_context(struct forebay_request *request);
/* The caller must have the request, and @function names what it calls. */
void chain_check(const struct forebay_request *request, const char *function);

/* Gives a request in phase WAITING to its layer once more. */
void chain_submit_again(struct forebay_request *request);

#endif
