// SPDX-License-Identifier: Apache-2.0
/*
 * null-filter.c - the smallest filter that is worth reading.
 *
 * It changes nothing: every request goes down as it came and comes back as it
 * was answered. On the way it counts, to show where a filter keeps its state.
 * Start your own filter from a copy of it:
 *
 *	cc -std=gnu17 -shared -fPIC -o null.so null-filter.c
 *	forebay-disk --describe-filter null.so
 *
 * Everything that it may use is explained in forebay/filter.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <forebay/filter.h>

/* One filter on one disk. All calls come on the disk's one thread: no locks. */
struct null_filter {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	uint64_t request_count;
	uint64_t error_count;
};

static void null_open(struct forebay_instance *instance,
		      const struct forebay_host *host,
		      const struct forebay_disk *disk, void **ret_state)
{
	struct null_filter *filter = calloc(1, sizeof(*filter));

	if (!filter) {
		host->explain(instance, "there is no memory for its state");
		host->open_done(instance, -ENOMEM);
		return;
	}
	filter->instance = instance;
	filter->host = host;
	*ret_state = filter;
	host->log(instance, FOREBAY_LOG_INFO, "stands before disk %s",
		  disk->name);
	host->open_done(instance, 0);
}

static void null_close(void *state)
{
	struct null_filter *filter = state;
	struct forebay_instance *instance = filter->instance;
	const struct forebay_host *host = filter->host;

	free(filter);
	host->close_done(instance, 0);
}

/* On the way down. */
static void null_submit(void *state, struct forebay_request *request)
{
	struct null_filter *filter = state;

	filter->request_count++;
	filter->host->request_forward(request);
}

/* On the way up. */
static void null_completed(void *state, struct forebay_request *request,
			   int status)
{
	struct null_filter *filter = state;

	if (status < 0)
		filter->error_count++;
	filter->host->request_complete(request, status);
}

static int null_status(void *state, char *buffer, size_t buffer_bytes)
{
	const struct null_filter *filter = state;
	int length =
		snprintf(buffer, buffer_bytes,
			 "{\"requests\": %" PRIu64 ", \"errors\": %" PRIu64 "}",
			 filter->request_count, filter->error_count);

	return (size_t)length < buffer_bytes ? length : -ENOSPC;
}

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = "null",
	.version = "1.0.0",
	.description = "Passes every request on and counts them.",
	.filter_class = FOREBAY_CLASS_INSPECTION,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH) |
		      FOREBAY_OPERATION_BIT(FOREBAY_DISCARD) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE_ZEROES) |
		      FOREBAY_OPERATION_BIT(FOREBAY_EXTENTS) |
		      FOREBAY_OPERATION_BIT(FOREBAY_CACHE),
	.open = null_open,
	.close = null_close,
	.submit = null_submit,
	.completed = null_completed,
	.status = null_status,
};
