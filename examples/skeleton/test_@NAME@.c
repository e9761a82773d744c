/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_@NAME@.c - the filter alone, between a host that only looks.
 *
 * Linked with the filter: no disk, no daemon, no privileges are needed.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <forebay/filter.h>

extern const struct forebay_filter forebay_filter;

/* What the filter did. The types are the test's own: a filter sees pointers. */
struct forebay_instance {
	int open_status;
	int closed;
};

struct forebay_request {
	int forwarded;
	int completed;
	int status;
};

static void open_done(struct forebay_instance *instance, int status)
{
	instance->open_status = status;
}

static void close_done(struct forebay_instance *instance, int status)
{
	assert(status == 0);
	instance->closed++;
}

static void request_forward(struct forebay_request *request)
{
	request->forwarded++;
}

static void request_complete(struct forebay_request *request, int status)
{
	request->completed++;
	request->status = status;
}

static const struct forebay_host host = {
	.struct_size = sizeof(struct forebay_host),
	.open_done = open_done,
	.close_done = close_done,
	.request_forward = request_forward,
	.request_complete = request_complete,
};

int main(void)
{
	struct forebay_instance instance = {.open_status = 1};
	struct forebay_request request = {0};
	struct forebay_disk disk = {.name = "test"};
	char status[256];
	void *state = NULL;

	forebay_filter.open(&instance, &host, &disk, &state);
	assert(instance.open_status == 0);
	forebay_filter.submit(state, &request);
	assert(request.forwarded == 1 && request.completed == 0);
	forebay_filter.completed(state, &request, -5);
	assert(request.completed == 1 && request.status == -5);
	assert(forebay_filter.status(state, status, sizeof(status)) > 0);
	assert(strcmp(status, "{\"requests\": 1}") == 0);
	forebay_filter.close(state);
	assert(instance.closed == 1);
	puts("@NAME@: ok");
	return 0;
}
