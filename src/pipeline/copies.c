// SPDX-License-Identifier: Apache-2.0
/*
 * copies.c - on the disk's loop.
 *
 * The next request that waits is tried in a later step of the loop, not inside
 * of the end of the one whose memory it gets: a filter whose requests end at
 * once would eat the stack.
 */
#include "copies.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "chain.h"

#define ORDERS 14u /* 32 MiB are 2^13 pages */
#define SECTOR_BYTES 512u

static_assert((COPIES_PAGE_BYTES << (ORDERS - 1)) == FOREBAY_LENGTH_MAX,
	      "the largest block takes the largest request");

static const struct chain_layer *layer_of(const struct forebay_request *request)
{
	return &request->chain->layers[request->at];
}

static struct request_saved *saved_of(struct forebay_request *request,
				      uint32_t layer)
{
	return (struct request_saved *)(request->contexts +
					request->chain->layers[layer]
						.saved_offset);
}

static bool is_saved(const struct forebay_request *request, uint32_t layer)
{
	return request->saved_layers & (UINT32_C(1) << layer);
}

static uint32_t pages_of(uint64_t bytes)
{
	return (uint32_t)((bytes + COPIES_PAGE_BYTES - 1) / COPIES_PAGE_BYTES);
}

static void save(struct forebay_request *request)
{
	struct request_saved *saved = saved_of(request, request->at);

	if (is_saved(request, request->at))
		return;
	*saved = (struct request_saved){
		.iov = request->user.iov,
		.iov_count = request->user.iov_count,
		.page = BUDDY_NONE,
	};
	request->saved_layers |= UINT32_C(1) << request->at;
}

static void retry(struct loop_deferred *deferred);

int copies_init(struct copies *copies, struct loop *loop,
		uint64_t *copied_bytes)
{
	void *memory = mmap(NULL, COPIES_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int status;

	if (memory == MAP_FAILED)
		return -ENOMEM;
	*copies = (struct copies){
		.loop = loop,
		.memory = memory,
		.copied_bytes = copied_bytes,
		.retry = {.run = retry, .owner = copies},
	};
	status = buddy_init(&copies->buddy, COPIES_BYTES / COPIES_PAGE_BYTES,
			    ORDERS);
	if (status < 0)
		copies_release(copies);
	return status;
}

void copies_release(struct copies *copies)
{
	if (!copies->memory)
		return;
	assert(!copies->first &&
	       copies->buddy.free_pages == copies->buddy.page_count);
	loop_defer_cancel(copies->loop, &copies->retry);
	buddy_release(&copies->buddy);
	munmap(copies->memory, COPIES_BYTES);
	*copies = (struct copies){0};
}

/* The host has it now. */
static void take_back(struct copies *copies, struct forebay_request *request)
{
	request->phase = REQUEST_WAITING;
	request->next_free = NULL;
	if (copies->first)
		copies->last->next_free = request;
	else
		copies->first = request;
	copies->last = request;
	copies->waiting++;
}

static bool has_room(struct copies *copies, uint64_t bytes)
{
	uint32_t page = buddy_take(&copies->buddy, pages_of(bytes));

	if (page == BUDDY_NONE)
		return false;
	buddy_give(&copies->buddy, page);
	return true;
}

/* One each time: its turn may use what the next one would need. */
static void retry(struct loop_deferred *deferred)
{
	struct copies *copies = deferred->owner;
	struct forebay_request *request = copies->first;

	if (!request || !has_room(copies, request->user.length))
		return;
	copies->first = request->next_free;
	copies->waiting--;
	/* What others hold back for those that wait is for this one. */
	copies->serving = request;
	chain_submit_again(request);
	copies->serving = NULL;
	if (copies->first)
		loop_defer(copies->loop, &copies->retry);
}

static void gather(unsigned char *to, const struct iovec *iov, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
}

int copies_request_stable(struct forebay_request *request)
{
	struct copies *copies = layer_of(request)->copies;
	struct request_saved *saved = saved_of(request, request->at);
	uint32_t page;

	chain_check(request, "request_stable()");
	if (!copies || request->user.operation != FOREBAY_WRITE ||
	    request->phase != REQUEST_DOWN)
		return -EINVAL;
	if (is_saved(request, request->at) && saved->page != BUDDY_NONE)
		return 0;
	page = BUDDY_NONE;
	if (!copies->first || copies->serving == request)
		page = buddy_take(&copies->buddy,
				  pages_of(request->user.length));
	if (page == BUDDY_NONE) {
		take_back(copies, request);
		return -EINPROGRESS;
	}
	save(request);
	saved->page = page;
	saved->copy.iov_base =
		copies->memory + (size_t)page * COPIES_PAGE_BYTES;
	saved->copy.iov_len = request->user.length;
	gather(saved->copy.iov_base, request->user.iov,
	       request->user.iov_count);
	*copies->copied_bytes += request->user.length;
	request->user.iov = &saved->copy;
	request->user.iov_count = 1;
	return 0;
}

int copies_request_replace(struct forebay_request *request,
			   const struct iovec *iov, uint32_t iov_count)
{
	uint64_t length = 0;

	chain_check(request, "request_replace()");
	if (request->phase != REQUEST_DOWN || iov_count == 0 ||
	    iov_count > FOREBAY_IOV_MAX ||
	    (request->user.operation != FOREBAY_READ &&
	     request->user.operation != FOREBAY_WRITE))
		return -EINVAL;
	for (uint32_t i = 0; i < iov_count; i++) {
		if (((uintptr_t)iov[i].iov_base | iov[i].iov_len) %
		    SECTOR_BYTES)
			return -EINVAL;
		length += iov[i].iov_len;
	}
	if (length != request->user.length)
		return -EINVAL;
	save(request);
	request->user.iov = iov;
	request->user.iov_count = iov_count;
	return 0;
}

void copies_restore(struct forebay_request *request, uint32_t layer)
{
	struct request_saved *saved = saved_of(request, layer);
	struct copies *copies = request->chain->layers[layer].copies;

	request->saved_layers &= ~(UINT32_C(1) << layer);
	request->user.iov = saved->iov;
	request->user.iov_count = saved->iov_count;
	if (saved->page == BUDDY_NONE)
		return;
	buddy_give(&copies->buddy, saved->page);
	if (copies->first)
		loop_defer(copies->loop, &copies->retry);
}
