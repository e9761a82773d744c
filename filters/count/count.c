// SPDX-License-Identifier: Apache-2.0
/*
 * count.c - what a disk is asked for, seen from its place in the chain.
 *
 * Every request is forwarded at once and counted when it comes back. Times are
 * those of the loop's batches of events: cheap, and as exact as a request that
 * waits for a device needs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <forebay/filter.h>

#include "hot.h"
#include "spread.h"
#include "status_text.h"

#define OPERATIONS 7u
#define NS_PER_US 1000u
#define HOTTEST_MAX 16u

static const char *const operation_names[OPERATIONS] = {
	[FOREBAY_READ] = "read",
	[FOREBAY_WRITE] = "write",
	[FOREBAY_FLUSH] = "flush",
	[FOREBAY_DISCARD] = "discard",
	[FOREBAY_WRITE_ZEROES] = "write_zeroes",
	[FOREBAY_EXTENTS] = "extents",
	[FOREBAY_CACHE] = "cache",
};

struct counters {
	uint64_t requests;
	uint64_t bytes;
	uint64_t errors;
	struct spread sizes; /* in bytes; without flushes */
	struct spread times; /* in microseconds */
};

struct count {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	uint64_t extent_bytes;
	struct counters counters[OPERATIONS];
	struct hot hot;
};

/* This filter's part of a request. */
struct underway {
	uint64_t since_ns;
};

static void count_extents(struct count *count, uint64_t offset, uint64_t length)
{
	uint64_t number = offset / count->extent_bytes;
	uint64_t last = (offset + length - 1) / count->extent_bytes;

	for (; number <= last; number++)
		hot_count(&count->hot, number);
}

static void count_submit(void *state, struct forebay_request *request)
{
	struct count *count = state;
	const struct forebay_host *host = count->host;
	struct underway *underway = host->request_context(request);

	underway->since_ns = host->now_ns(count->instance);
	host->request_forward(request);
}

static void count_completed(void *state, struct forebay_request *request,
			    int status)
{
	struct count *count = state;
	const struct forebay_host *host = count->host;
	const struct underway *underway = host->request_context(request);
	enum forebay_operation operation = host->request_operation(request);
	struct counters *counters = &count->counters[operation];
	uint64_t length = host->request_length(request);
	uint64_t time_ns = host->now_ns(count->instance) - underway->since_ns;

	counters->requests++;
	counters->bytes += length;
	counters->errors += status < 0;
	if (length > 0)
		spread_add(&counters->sizes, length);
	spread_add(&counters->times, time_ns / NS_PER_US);
	if (operation == FOREBAY_READ || operation == FOREBAY_WRITE)
		count_extents(count, host->request_offset(request), length);
	host->request_complete(request, status);
}

static void read_extent(struct count *count)
{
	int64_t bytes = 1;

	count->host->property_integer(count->instance, "extent", &bytes);
	if (count->extent_bytes == (uint64_t)bytes)
		return;
	count->extent_bytes = (uint64_t)bytes;
	hot_init(&count->hot);
}

static void count_properties_changed(void *state)
{
	read_extent(state);
}

static void count_open(struct forebay_instance *instance,
		       const struct forebay_host *host,
		       const struct forebay_disk *disk, void **ret_state)
{
	struct count *count = calloc(1, sizeof(*count));

	(void)disk;
	if (!count) {
		host->open_done(instance, -ENOMEM);
		return;
	}
	count->instance = instance;
	count->host = host;
	read_extent(count);
	*ret_state = count;
	host->open_done(instance, 0);
}

static void count_close(void *state)
{
	struct count *count = state;
	struct forebay_instance *instance = count->instance;
	const struct forebay_host *host = count->host;

	free(count);
	host->close_done(instance, 0);
}

/* [[bound, count], ...]: only the buckets that have something. */
static void add_spread(struct status_text *text, const char *name,
		       const struct spread *spread)
{
	const char *comma = "";

	status_text_add(text, ", \"%s\": [", name);
	for (uint32_t i = 0; i < SPREAD_BUCKETS; i++) {
		if (spread->buckets[i] == 0)
			continue;
		status_text_add(text, "%s[%" PRIu64 ", %" PRIu64 "]", comma,
				spread_bound(i), spread->buckets[i]);
		comma = ", ";
	}
	status_text_add(text, "]");
}

static void add_operation(struct status_text *text, const char *name,
			  const struct counters *counters)
{
	const struct spread *times = &counters->times;

	status_text_add(text,
			"\"%s\": {\"requests\": %" PRIu64
			", \"bytes\": %" PRIu64 ", \"errors\": %" PRIu64,
			name, counters->requests, counters->bytes,
			counters->errors);
	status_text_add(
		text,
		", \"latency_us\": {\"p50\": %" PRIu64 ", \"p90\": %" PRIu64
		", \"p99\": %" PRIu64 ", \"max\": %" PRIu64 "}",
		spread_percentile(times, 50), spread_percentile(times, 90),
		spread_percentile(times, 99), times->max);
	add_spread(text, "latency_us_up_to", times);
	add_spread(text, "size_bytes_up_to", &counters->sizes);
	status_text_add(text, "}");
}

static void add_hottest(struct status_text *text, const struct count *count)
{
	struct hot_extent hottest[HOTTEST_MAX];
	uint32_t found = hot_largest(&count->hot, HOTTEST_MAX, hottest);

	status_text_add(text,
			", \"extent_bytes\": %" PRIu64
			", \"extent_requests\": %" PRIu64 ", \"hottest\": [",
			count->extent_bytes, count->hot.total);
	for (uint32_t i = 0; i < found; i++)
		status_text_add(text,
				"%s{\"offset\": %" PRIu64
				", \"requests\": %" PRIu64
				", \"over\": %" PRIu64 "}",
				i > 0 ? ", " : "",
				hottest[i].number * count->extent_bytes,
				hottest[i].count, hottest[i].over);
	status_text_add(text, "]");
}

static int count_status(void *state, char *buffer, size_t buffer_bytes)
{
	const struct count *count = state;
	struct status_text text = status_text_begin(buffer, buffer_bytes);
	const char *comma = "";

	status_text_add(&text, "{\"operations\": {");
	for (uint32_t i = 0; i < OPERATIONS; i++) {
		if (count->counters[i].requests == 0)
			continue;
		status_text_add(&text, "%s", comma);
		add_operation(&text, operation_names[i], &count->counters[i]);
		comma = ", ";
	}
	status_text_add(&text, "}");
	add_hottest(&text, count);
	status_text_add(&text, "}");
	return status_text_end(&text);
}

static const struct forebay_property count_properties[] = {
	{
		.name = "extent",
		.description = "Size of the parts of the disk among which the "
			       "hottest are found; a change begins anew.",
		.type = FOREBAY_PROPERTY_SIZE,
		.default_integer = INT64_C(1) << 20,
		.minimum = INT64_C(1) << 16,
		.maximum = INT64_C(1) << 40,
		.online = true,
	},
	{0},
};

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = "count",
	.version = "1.0.0",
	.description = "Counts requests by size, latency and place: what a "
		       "disk is asked for, and where.",
	.filter_class = FOREBAY_CLASS_INSPECTION,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH) |
		      FOREBAY_OPERATION_BIT(FOREBAY_DISCARD) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE_ZEROES) |
		      FOREBAY_OPERATION_BIT(FOREBAY_EXTENTS) |
		      FOREBAY_OPERATION_BIT(FOREBAY_CACHE),
	.request_context_bytes = sizeof(struct underway),
	.properties = count_properties,
	.open = count_open,
	.close = count_close,
	.submit = count_submit,
	.completed = count_completed,
	.properties_changed = count_properties_changed,
	.status = count_status,
};
