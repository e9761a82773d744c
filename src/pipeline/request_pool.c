// SPDX-License-Identifier: Apache-2.0
/* request_pool.c - runs on the disk's loop only, so nothing here is atomic. */
#include "request_pool.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

/* Neighbouring requests don't share a cache line. */
#define REQUEST_ALIGNMENT 64u

int request_pool_init(struct request_pool *pool, struct chain *chain,
		      size_t context_bytes, uint32_t capacity)
{
	size_t bytes = sizeof(struct forebay_request) + context_bytes;
	size_t stride = (bytes + REQUEST_ALIGNMENT - 1) &
			~((size_t)REQUEST_ALIGNMENT - 1);
	void *memory = mmap(NULL, stride * capacity, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;
	*pool = (struct request_pool){
		.memory = memory,
		.chain = chain,
		.stride = stride,
		.capacity = capacity,
	};
	return 0;
}

void request_pool_release(struct request_pool *pool)
{
	assert(pool->taken == 0);
	if (pool->memory)
		munmap(pool->memory, pool->stride * pool->capacity);
	*pool = (struct request_pool){0};
}

struct forebay_request *request_pool_get(struct request_pool *pool)
{
	struct forebay_request *request = pool->free;

	if (request) {
		pool->free = request->next_free;
	} else if (pool->touched < pool->capacity) {
		request = (struct forebay_request *)(pool->memory +
						     pool->stride *
							     pool->touched);
		request->chain = pool->chain;
		pool->touched++;
	} else {
		return NULL;
	}
	pool->taken++;
	return request;
}

void request_pool_put(struct request_pool *pool,
		      struct forebay_request *request)
{
	assert(request->phase == REQUEST_FREE && pool->taken > 0);
	request->next_free = pool->free;
	pool->free = request;
	pool->taken--;
}
