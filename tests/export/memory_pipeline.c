/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_pipeline.c - a pipeline over plain memory, to test exports alone.
 *
 * A request takes effect when it completes, not when it is submitted: what a
 * test holds back is neither visible nor durable yet. It checks on the way what
 * an export owes the pipeline: range, alignment, sum of the iovec.
 */
#include "memory_pipeline.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "extents.h"
#include "list.h"

#define BLOCK_BYTES 4096u

struct memory_request {
	struct pipeline_request request; /* first: exports see this */
	struct list node;
	bool submitted;
	bool abandoned;
};

struct pipeline {
	struct loop *loop;
	uint64_t size_bytes;
	uint64_t mapped_bytes;
	bool read_only;
	uint32_t operations;
	enum memory_pipeline_order order;
	uint8_t *image;
	uint8_t *durable;
	uint8_t *unflushed; /* a byte a block */
	struct memory_request *requests;
	struct list free;
	struct list waiting; /* the oldest first */
	struct loop_deferred deferred;
	unsigned int requests_max;
	unsigned int given_count;
	int fail_status[FOREBAY_CACHE + 1];
	unsigned int fail_count[FOREBAY_CACHE + 1];
	struct memory_pipeline_counts counts;
};

static const uint8_t test_uuid[16] = "memory-pipeline";

static void complete_waiting(struct loop_deferred *deferred);

static uint8_t *map(uint64_t bytes)
{
	void *address =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert(address != MAP_FAILED);
	return address;
}

struct pipeline *memory_pipeline_create(struct loop *loop, uint64_t size_bytes,
					bool read_only)
{
	struct pipeline *pipeline = calloc(1, sizeof(*pipeline));

	assert(pipeline && size_bytes > 0);
	pipeline->loop = loop;
	pipeline->size_bytes = size_bytes;
	pipeline->mapped_bytes =
		(size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
	pipeline->read_only = read_only;
	pipeline->operations = (FOREBAY_OPERATION_BIT(FOREBAY_CACHE) << 1) - 1;
	pipeline->image = map(pipeline->mapped_bytes);
	pipeline->durable = map(pipeline->mapped_bytes);
	pipeline->unflushed = map(pipeline->mapped_bytes / BLOCK_BYTES);
	pipeline->requests =
		calloc(PIPELINE_REQUESTS_MAX, sizeof(*pipeline->requests));
	assert(pipeline->requests);
	pipeline->requests_max = PIPELINE_REQUESTS_MAX;
	pipeline->deferred.run = complete_waiting;
	pipeline->deferred.owner = pipeline;
	list_init(&pipeline->free);
	list_init(&pipeline->waiting);
	for (unsigned int i = 0; i < PIPELINE_REQUESTS_MAX; i++)
		list_append(&pipeline->free, &pipeline->requests[i].node);
	return pipeline;
}

void memory_pipeline_destroy(struct pipeline *pipeline)
{
	if (!pipeline)
		return;
	assert(pipeline->given_count == 0);
	loop_defer_cancel(pipeline->loop, &pipeline->deferred);
	munmap(pipeline->image, pipeline->mapped_bytes);
	munmap(pipeline->durable, pipeline->mapped_bytes);
	munmap(pipeline->unflushed, pipeline->mapped_bytes / BLOCK_BYTES);
	free(pipeline->requests);
	free(pipeline);
}

void memory_pipeline_set_order(struct pipeline *pipeline,
			       enum memory_pipeline_order order)
{
	pipeline->order = order;
}

void memory_pipeline_set_operations(struct pipeline *pipeline,
				    uint32_t operations)
{
	pipeline->operations = operations;
}

void memory_pipeline_set_requests_max(struct pipeline *pipeline,
				      unsigned int count)
{
	pipeline->requests_max = count;
}

void memory_pipeline_fail(struct pipeline *pipeline,
			  enum forebay_operation operation, int status,
			  unsigned int count)
{
	pipeline->fail_status[operation] = status;
	pipeline->fail_count[operation] = count;
}

static uint8_t *remap(uint8_t *old, uint64_t old_bytes, uint64_t bytes)
{
	void *address = mremap(old, old_bytes, bytes, MREMAP_MAYMOVE);

	assert(address != MAP_FAILED);
	return address;
}

void memory_pipeline_set_size(struct pipeline *pipeline, uint64_t size_bytes)
{
	uint64_t old = pipeline->mapped_bytes;
	uint64_t new =
		(size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES *BLOCK_BYTES;

	assert(new >= old && pipeline->counts.in_flight == 0);
	pipeline->image = remap(pipeline->image, old, new);
	pipeline->durable = remap(pipeline->durable, old, new);
	pipeline->unflushed = remap(pipeline->unflushed, old / BLOCK_BYTES,
				    new / BLOCK_BYTES);
	pipeline->size_bytes = size_bytes;
	pipeline->mapped_bytes = new;
}

uint8_t *memory_pipeline_image(struct pipeline *pipeline)
{
	return pipeline->image;
}

const uint8_t *memory_pipeline_durable(const struct pipeline *pipeline)
{
	return pipeline->durable;
}

const struct memory_pipeline_counts *memory_pipeline_counts(
	const struct pipeline *pipeline)
{
	return &pipeline->counts;
}

static void make_durable(struct pipeline *pipeline, uint64_t offset,
			 uint64_t length)
{
	memcpy(pipeline->durable + offset, pipeline->image + offset, length);
}

static void flush_all(struct pipeline *pipeline)
{
	uint64_t block_count = pipeline->mapped_bytes / BLOCK_BYTES;
	uint8_t *block = pipeline->unflushed;
	uint8_t *end = block + block_count;

	while ((block = memchr(block, 1, end - block)) != NULL) {
		make_durable(pipeline,
			     (uint64_t)(block - pipeline->unflushed) *
				     BLOCK_BYTES,
			     BLOCK_BYTES);
		*block++ = 0;
	}
}

static void transfer(struct pipeline *pipeline,
		     const struct pipeline_request *request)
{
	uint8_t *at = pipeline->image + request->offset;

	for (uint32_t i = 0; i < request->iov_count; i++) {
		const struct iovec *iov = &request->iov[i];

		if (request->operation == FOREBAY_READ)
			memcpy(iov->iov_base, at, iov->iov_len);
		else
			memcpy(at, iov->iov_base, iov->iov_len);
		at += iov->iov_len;
	}
}

static void change(struct pipeline *pipeline,
		   const struct pipeline_request *request)
{
	uint64_t first = request->offset / BLOCK_BYTES;
	uint64_t end = (request->offset + request->length + BLOCK_BYTES - 1) /
		       BLOCK_BYTES;

	if (request->operation == FOREBAY_WRITE)
		transfer(pipeline, request);
	else
		memset(pipeline->image + request->offset, 0, request->length);
	memset(pipeline->unflushed + first, 1, end - first);
	if (request->flags & FOREBAY_FUA)
		make_durable(pipeline, request->offset, request->length);
}

static void tell_extents(const struct pipeline *pipeline,
			 const struct pipeline_request *request)
{
	static const uint8_t zeros[BLOCK_BYTES];
	uint64_t end = request->offset + request->length;
	uint64_t next;

	for (uint64_t at = request->offset; at < end; at = next) {
		uint64_t block = at / BLOCK_BYTES;
		uint32_t flags = 0;

		next = (block + 1) * BLOCK_BYTES;
		if (next > end)
			next = end;
		if (pipeline->unflushed[block])
			flags = FOREBAY_EXTENT_DIRTY;
		else if (memcmp(pipeline->image + block * BLOCK_BYTES, zeros,
				BLOCK_BYTES) == 0)
			flags = FOREBAY_EXTENT_HOLE | FOREBAY_EXTENT_ZERO;
		if (!extents_add(request->extents, next - at, flags))
			return;
	}
}

static int carry_out(struct pipeline *pipeline,
		     const struct pipeline_request *request)
{
	enum forebay_operation operation = request->operation;

	/* As the real one: what the chain lacks is done above it. */
	if (!(pipeline->operations & FOREBAY_OPERATION_BIT(operation))) {
		if (operation == FOREBAY_DISCARD)
			return 0;
		if (operation != FOREBAY_WRITE_ZEROES ||
		    (request->flags & FOREBAY_FAST))
			return -EOPNOTSUPP;
	}
	if (pipeline->fail_count[operation] > 0) {
		pipeline->fail_count[operation]--;
		return pipeline->fail_status[operation];
	}
	switch (operation) {
	case FOREBAY_READ:
		transfer(pipeline, request);
		return 0;
	case FOREBAY_FLUSH:
		flush_all(pipeline);
		return 0;
	case FOREBAY_WRITE:
	case FOREBAY_DISCARD:
	case FOREBAY_WRITE_ZEROES:
		if (pipeline->read_only)
			return -EROFS;
		change(pipeline, request);
		return 0;
	case FOREBAY_EXTENTS:
		tell_extents(pipeline, request);
		return 0;
	case FOREBAY_CACHE:
		return 0;
	}
	return -EOPNOTSUPP;
}

static void complete(struct pipeline *pipeline, struct memory_request *memory)
{
	struct pipeline_request *request = &memory->request;
	int status = carry_out(pipeline, request);

	memory->submitted = false;
	memory->abandoned = false;
	pipeline->counts.in_flight--;
	request->done(request, status);
}

static void complete_waiting(struct loop_deferred *deferred)
{
	struct pipeline *pipeline = deferred->owner;

	if (pipeline->order != MEMORY_PIPELINE_HELD)
		memory_pipeline_release(pipeline, PIPELINE_REQUESTS_MAX);
}

unsigned int memory_pipeline_release(struct pipeline *pipeline,
				     unsigned int count)
{
	struct list batch;
	unsigned int done = 0;

	/* What a done() submits waits for the next turn. */
	list_init(&batch);
	list_append_all(&batch, &pipeline->waiting);
	while (done < count && !list_is_empty(&batch)) {
		struct list *node = list_last(&batch);

		list_remove(node);
		done++;
		complete(pipeline,
			 list_entry(node, struct memory_request, node));
	}
	list_append_all(&batch, &pipeline->waiting);
	list_append_all(&pipeline->waiting, &batch);
	return done;
}

static void check(const struct pipeline *pipeline,
		  const struct pipeline_request *request)
{
	uint64_t sum = 0;

	assert(request->done != NULL);
	assert(request->offset % 512 == 0 && request->length % 512 == 0);
	assert(request->offset <= pipeline->size_bytes);
	assert(request->length <= pipeline->size_bytes - request->offset);
	if (request->operation == FOREBAY_FLUSH)
		assert(request->offset == 0 && request->length == 0);
	else
		assert(request->length > 0);
	if (request->operation == FOREBAY_EXTENTS)
		assert(request->extents->count == 0 &&
		       request->extents->capacity >= FOREBAY_EXTENTS_MIN);
	if (request->operation != FOREBAY_READ &&
	    request->operation != FOREBAY_WRITE)
		return;
	assert(request->length > 0 && request->length <= PIPELINE_LENGTH_MAX);
	assert(request->iov_count > 0 &&
	       request->iov_count <= PIPELINE_IOV_MAX);
	for (uint32_t i = 0; i < request->iov_count; i++) {
		assert((uintptr_t)request->iov[i].iov_base % 512 == 0);
		assert(request->iov[i].iov_len % 512 == 0);
		sum += request->iov[i].iov_len;
	}
	assert(sum == request->length);
}

uint64_t pipeline_size_bytes(const struct pipeline *pipeline)
{
	return pipeline->size_bytes;
}

const uint8_t *pipeline_uuid(const struct pipeline *pipeline)
{
	(void)pipeline;
	return test_uuid;
}

bool pipeline_read_only(const struct pipeline *pipeline)
{
	return pipeline->read_only;
}

uint32_t pipeline_operations(const struct pipeline *pipeline)
{
	return pipeline->operations;
}

struct pipeline_request *pipeline_request_get(struct pipeline *pipeline)
{
	struct list *node;

	if (pipeline->given_count >= pipeline->requests_max)
		return NULL;
	node = list_take_first(&pipeline->free);
	if (!node)
		return NULL;
	pipeline->given_count++;
	return &list_entry(node, struct memory_request, node)->request;
}

void pipeline_request_put(struct pipeline *pipeline,
			  struct pipeline_request *request)
{
	struct memory_request *memory =
		container_of(request, struct memory_request, request);

	assert(!memory->submitted);
	memset(request, 0, sizeof(*request));
	list_prepend(&pipeline->free, &memory->node);
	pipeline->given_count--;
}

void pipeline_submit(struct pipeline *pipeline,
		     struct pipeline_request *request)
{
	struct memory_request *memory =
		container_of(request, struct memory_request, request);

	check(pipeline, request);
	memory->submitted = true;
	pipeline->counts.in_flight++;
	pipeline->counts.requests[request->operation]++;
	if (request->flags & FOREBAY_FUA)
		pipeline->counts.fua++;
	if (pipeline->order == MEMORY_PIPELINE_AT_ONCE) {
		complete(pipeline, memory);
		return;
	}
	list_append(&pipeline->waiting, &memory->node);
	loop_defer(pipeline->loop, &pipeline->deferred);
}

/* What is held goes on; the fence is the real one's. */
bool pipeline_abandon(struct pipeline *pipeline,
		      struct pipeline_request *request)
{
	struct memory_request *memory =
		container_of(request, struct memory_request, request);

	assert(memory->submitted);
	pipeline->counts.abandoned += !memory->abandoned;
	memory->abandoned = true;
	return false;
}

void pipeline_count_copied(struct pipeline *pipeline, uint64_t bytes)
{
	pipeline->counts.copied_bytes += bytes;
}
