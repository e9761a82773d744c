// SPDX-License-Identifier: Apache-2.0
/*
 * fence.c - runs on the disk's loop, and only when a backend hangs: lists are
 * walked from end to end.
 */
#include "fence.h"

#include <assert.h>

static bool overlaps(const struct forebay_request *stuck,
		     const struct pipeline_request *user)
{
	const struct request_fence *range = &stuck->fence;

	return user->offset < range->offset + range->length &&
	       range->offset < user->offset + user->length;
}

bool fence_stops(const struct fence *fence,
		 const struct forebay_request *request)
{
	for (const struct forebay_request *stuck = fence->stuck; stuck;
	     stuck = stuck->fence.next)
		if (overlaps(stuck, &request->user))
			return true;
	return false;
}

static void append(struct forebay_request **list,
		   struct forebay_request *request)
{
	while (*list)
		list = &(*list)->fence.next;
	request->fence.next = NULL;
	*list = request;
}

/* Returns: false if it isn't there. */
static bool take(struct forebay_request **list, struct forebay_request *request)
{
	while (*list && *list != request)
		list = &(*list)->fence.next;
	if (!*list)
		return false;
	*list = request->fence.next;
	return true;
}

void fence_wait(struct fence *fence, struct forebay_request *request)
{
	append(&fence->waiting, request);
	fence->waiting_count++;
}

bool fence_leave(struct fence *fence, struct forebay_request *request)
{
	if (!take(&fence->waiting, request))
		return false;
	fence->waiting_count--;
	return true;
}

void fence_raise(struct fence *fence, struct forebay_request *request,
		 uint64_t offset, uint64_t length, uint64_t now_ns)
{
	request->fence.abandoned = true;
	request->fence.offset = offset;
	request->fence.length = length;
	request->fence.since_ns = now_ns;
	append(&fence->stuck, request);
	fence->stuck_count++;
}

void fence_drop(struct fence *fence, struct forebay_request *request)
{
	bool found = take(&fence->stuck, request);

	assert(found && request->fence.abandoned);
	request->fence.abandoned = false;
	fence->stuck_count--;
}

struct forebay_request *fence_next(struct fence *fence)
{
	struct forebay_request *request = fence->waiting;

	while (request && fence_stops(fence, request))
		request = request->fence.next;
	if (request)
		fence_leave(fence, request);
	return request;
}

uint64_t fence_since_ns(const struct fence *fence)
{
	/* Appended in order of time. */
	return fence->stuck ? fence->stuck->fence.since_ns : 0;
}
