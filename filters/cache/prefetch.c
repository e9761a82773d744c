// SPDX-License-Identifier: Apache-2.0
/* prefetch.c - on the disk's loop, as all of the filter. */
#include "prefetch.h"

#include <stdlib.h>

#include "log_format.h"

static void read_piece(struct prefetch *prefetch)
{
	struct engine_request *read = &prefetch->read;
	uint64_t piece = prefetch->end - prefetch->at;

	/* Whole pieces from the second one on. */
	if (piece > PREFETCH_PIECE_BYTES - prefetch->at % PREFETCH_PIECE_BYTES)
		piece = PREFETCH_PIECE_BYTES -
			prefetch->at % PREFETCH_PIECE_BYTES;
	prefetch->iov = (struct iovec){prefetch->memory, piece};
	*read = (struct engine_request){
		.operation = ENGINE_READ,
		.admit = true,
		.sector = prefetch->at / LOG_SECTOR_BYTES,
		.sector_count = piece / LOG_SECTOR_BYTES,
		.iov = &prefetch->iov,
		.iov_count = 1,
		.owner = prefetch,
	};
	prefetch->at += piece;
	runner_submit(prefetch->runner, read);
}

static void next_request(struct prefetch *prefetch);

static void end_request(struct prefetch *prefetch, int status)
{
	struct forebay_request *request = prefetch->current->request;

	next_request(prefetch);
	prefetch->host->request_complete(request, status);
}

static void look_for_room(struct prefetch *prefetch)
{
	uint64_t now_ns = prefetch->host->now_ns(prefetch->instance);

	if (runner_may_fill(prefetch->runner))
		read_piece(prefetch);
	else if (now_ns - prefetch->waiting_since_ns >= PREFETCH_PATIENCE_NS)
		end_request(prefetch, 0);
	else
		prefetch->host->timer_arm(prefetch->instance, &prefetch->look,
					  PREFETCH_LOOK_NS);
}

static void on_look(struct forebay_timer *timer)
{
	look_for_room(timer->owner);
}

static void next_piece(struct prefetch *prefetch)
{
	prefetch->waiting_since_ns = prefetch->host->now_ns(prefetch->instance);
	look_for_room(prefetch);
}

static void next_request(struct prefetch *prefetch)
{
	struct prefetch_request *entry = prefetch->first;
	uint64_t length;

	prefetch->current = entry;
	if (!entry)
		return;
	prefetch->first = entry->next;
	length = prefetch->host->request_length(entry->request);
	if (length > PREFETCH_BYTES_MAX)
		length = PREFETCH_BYTES_MAX;
	prefetch->at = prefetch->host->request_offset(entry->request);
	prefetch->end = prefetch->at + length;
	next_piece(prefetch);
}

void prefetch_begin(struct prefetch *prefetch, const struct forebay_host *host,
		    struct forebay_instance *instance, struct runner *runner)
{
	*prefetch = (struct prefetch){
		.host = host,
		.instance = instance,
		.runner = runner,
		.look = {.expired = on_look, .owner = prefetch},
	};
}

void prefetch_end(struct prefetch *prefetch)
{
	free(prefetch->memory);
	prefetch->memory = NULL;
}

void prefetch_submit(struct prefetch *prefetch, struct prefetch_request *entry)
{
	if (!prefetch->memory)
		prefetch->memory =
			aligned_alloc(LOG_BLOCK_BYTES, PREFETCH_PIECE_BYTES);
	if (!prefetch->memory) {
		/* Nobody relies on a hint. */
		prefetch->host->request_complete(entry->request, 0);
		return;
	}
	entry->next = NULL;
	if (prefetch->first)
		prefetch->last->next = entry;
	else
		prefetch->first = entry;
	prefetch->last = entry;
	if (!prefetch->current)
		next_request(prefetch);
}

bool prefetch_completed(struct prefetch *prefetch, struct engine_request *read)
{
	if (read != &prefetch->read)
		return false;
	if (read->status == 0 && prefetch->at < prefetch->end)
		next_piece(prefetch);
	else
		end_request(prefetch, read->status);
	return true;
}
