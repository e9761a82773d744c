// SPDX-License-Identifier: Apache-2.0
/*
 * fallback.c - runs on the disk's loop.
 *
 * A piece that ends puts its request at the end of the list of those whose next
 * one is due, and the list is served once a turn. A chain that completes inside
 * of its submit() can't eat the stack in this way either.
 */
#include "fallback.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

static_assert(FALLBACK_PIECE_BYTES <= PIPELINE_LENGTH_MAX,
	      "a piece is a write that every chain takes");

static struct fallback *fallback_of(const struct forebay_request *request)
{
	return request->zeroing.fallback;
}

static void enqueue(struct forebay_request *request)
{
	struct fallback *fallback = fallback_of(request);

	request->next_free = NULL;
	if (fallback->first)
		fallback->last->next_free = request;
	else
		fallback->first = request;
	fallback->last = request;
	loop_defer(fallback->loop, &fallback->next);
}

/* The request becomes again what was asked for. */
static void finish(struct forebay_request *request, int status)
{
	const struct request_zeroing *asked = &request->zeroing;

	request->user.operation = FOREBAY_WRITE_ZEROES;
	request->user.flags = asked->flags;
	request->user.offset = asked->offset;
	request->user.length = asked->length;
	request->user.iov = NULL;
	request->user.iov_count = 0;
	request->ended = asked->ended;
	request->ended(request, status);
}

static void on_piece(struct forebay_request *request, int status)
{
	request->zeroing.done_bytes += request->user.length;
	/* Nobody wants the rest of what was given up. */
	if (status == 0 && request->fence.abandoned)
		status = -ECANCELED;
	if (status < 0 ||
	    request->zeroing.done_bytes == request->zeroing.length)
		finish(request, status);
	else
		enqueue(request);
}

static void write_piece(struct forebay_request *request)
{
	struct request_zeroing *asked = &request->zeroing;
	uint64_t left = asked->length - asked->done_bytes;

	asked->piece = fallback_of(request)->zeros;
	if (asked->piece.iov_len > left)
		asked->piece.iov_len = left;
	request->user.operation = FOREBAY_WRITE;
	/* What is written stays allocated: NO_HOLE holds by itself. */
	request->user.flags = asked->flags & FOREBAY_FUA;
	request->user.offset = asked->offset + asked->done_bytes;
	request->user.length = asked->piece.iov_len;
	request->user.iov = &asked->piece;
	request->user.iov_count = 1;
	request->ended = on_piece;
	chain_submit(request, 0);
}

/* What ends meanwhile waits for the next turn. */
static void write_due(struct loop_deferred *deferred)
{
	struct fallback *fallback = deferred->owner;
	struct forebay_request *request = fallback->first;

	fallback->first = NULL;
	while (request) {
		struct forebay_request *next = request->next_free;

		write_piece(request);
		request = next;
	}
}

bool fallback_submit(struct fallback *fallback, struct forebay_request *request)
{
	const struct pipeline_request *user = &request->user;

	if (user->operation == FOREBAY_DISCARD && fallback->discards) {
		fallback->discards_ignored++;
		request->ended(request, 0);
		return true;
	}
	if (user->operation != FOREBAY_WRITE_ZEROES || !fallback->zeroes)
		return false;
	if (user->flags & FOREBAY_FAST) {
		request->ended(request, -EOPNOTSUPP);
		return true;
	}
	request->zeroing = (struct request_zeroing){
		.fallback = fallback,
		.ended = request->ended,
		.flags = user->flags,
		.offset = user->offset,
		.length = user->length,
	};
	write_piece(request);
	return true;
}

int fallback_prepare(struct fallback *fallback, struct loop *loop,
		     const struct chain *chain)
{
	uint32_t operations = chain_operations(chain, 0);
	void *zeros;

	fallback->loop = loop;
	fallback->next.run = write_due;
	fallback->next.owner = fallback;
	fallback->discards =
		!(operations & FOREBAY_OPERATION_BIT(FOREBAY_DISCARD));
	fallback->zeroes =
		!(operations & FOREBAY_OPERATION_BIT(FOREBAY_WRITE_ZEROES));
	if (!fallback->zeroes)
		return 0;
	/* Nobody can write there, a filter with a bug neither. */
	zeros = mmap(NULL, FALLBACK_PIECE_BYTES, PROT_READ,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (zeros == MAP_FAILED)
		return -ENOMEM;
	fallback->zeros.iov_base = zeros;
	fallback->zeros.iov_len = FALLBACK_PIECE_BYTES;
	return 0;
}

void fallback_release(struct fallback *fallback)
{
	assert(!fallback->first);
	if (fallback->zeros.iov_base)
		munmap(fallback->zeros.iov_base, fallback->zeros.iov_len);
	fallback->zeros = (struct iovec){0};
}
