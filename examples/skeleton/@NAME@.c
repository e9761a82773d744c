/* SPDX-License-Identifier: Apache-2.0 */
/*
 * @NAME@.c - a Forebay filter that changes nothing yet.
 *
 * All that it may use is explained in forebay/filter.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <forebay/filter.h>

/* One filter on one disk. All calls come on the disk's one thread. */
struct @IDENTIFIER@ {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	uint64_t request_count;
};

static void @IDENTIFIER@_open(struct forebay_instance *instance,
	const struct forebay_host *host, const struct forebay_disk *disk,
	void **ret_state)
{
	struct @IDENTIFIER@ *filter = calloc(1, sizeof(*filter));

	(void)disk;
	if (!filter) {
		host->open_done(instance, -ENOMEM);
		return;
	}
	filter->instance = instance;
	filter->host = host;
	*ret_state = filter;
	host->open_done(instance, 0);
}

static void @IDENTIFIER@_close(void *state)
{
	struct @IDENTIFIER@ *filter = state;
	struct forebay_instance *instance = filter->instance;
	const struct forebay_host *host = filter->host;

	free(filter);
	host->close_done(instance, 0);
}

/* On the way down: forward it, complete it, or keep it for later. */
static void @IDENTIFIER@_submit(void *state, struct forebay_request *request)
{
	struct @IDENTIFIER@ *filter = state;

	filter->request_count++;
	filter->host->request_forward(request);
}

/* On the way up. */
static void @IDENTIFIER@_completed(void *state,
	struct forebay_request *request, int status)
{
	struct @IDENTIFIER@ *filter = state;

	filter->host->request_complete(request, status);
}

static int @IDENTIFIER@_status(void *state, char *buffer, size_t buffer_bytes)
{
	const struct @IDENTIFIER@ *filter = state;
	int length = snprintf(buffer, buffer_bytes,
		"{\"requests\": %" PRIu64 "}", filter->request_count);

	return (size_t)length < buffer_bytes ? length : -ENOSPC;
}

__attribute__((visibility("default")))
const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = "@NAME@",
	.version = "0.1.0",
	.description = "Passes every request on and counts them.",
	.filter_class = FOREBAY_CLASS_INSPECTION,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		FOREBAY_OPERATION_BIT(FOREBAY_FLUSH) |
		FOREBAY_OPERATION_BIT(FOREBAY_DISCARD) |
		FOREBAY_OPERATION_BIT(FOREBAY_WRITE_ZEROES) |
		FOREBAY_OPERATION_BIT(FOREBAY_EXTENTS) |
		FOREBAY_OPERATION_BIT(FOREBAY_CACHE),
	.open = @IDENTIFIER@_open,
	.close = @IDENTIFIER@_close,
	.submit = @IDENTIFIER@_submit,
	.completed = @IDENTIFIER@_completed,
	.status = @IDENTIFIER@_status,
};
