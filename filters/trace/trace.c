// SPDX-License-Identifier: Apache-2.0
/*
 * trace.c - writes down which requests a disk gets, and never what is in them.
 *
 * Requests are forwarded at once and recorded when they come back, in a block
 * in memory. A block that is full, or that has waited for a second, goes to the
 * file as it is, and the next one begins behind it. There are a few blocks;
 * when all are on their way a request isn't recorded, and is counted as lost: a
 * slow file never holds up the disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <forebay/filter.h>

#include "block.h"
#include "status_text.h"

#define NS_PER_S UINT64_C(1000000000)
#define BLOCKS 8u

struct trace;

/* A block, free, being filled, or on its way to the file. */
struct page {
	struct trace *trace;
	struct page *next; /* among the free ones */
	uint8_t *bytes;
	struct iovec iov;
	struct forebay_io io;
};

struct trace {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	struct forebay_trace_head head; /* what is the same in all blocks */
	uint64_t begin_ns;
	int file; /* -1: nothing is recorded */
	int status; /* of the write that ended it all */
	uint64_t limit_bytes;
	uint64_t written_bytes; /* where the next block goes */
	uint64_t record_count;
	uint64_t block_count;
	uint8_t *memory;
	struct page pages[BLOCKS];
	struct page *free;
	struct page *filling; /* NULL: the next record takes one */
	struct block block; /* of `filling` */
	struct forebay_timer timer;
	unsigned int under_way;
	bool closing;
};

/* This filter's part of a request. */
struct underway {
	uint64_t since_ns;
};

static void release(struct trace *trace)
{
	struct forebay_instance *instance = trace->instance;
	const struct forebay_host *host = trace->host;

	free(trace->memory);
	free(trace);
	host->close_done(instance, 0);
}

static void on_written(struct forebay_io *io, int result)
{
	struct page *page = io->owner;
	struct trace *trace = page->trace;

	if (result < 0 && trace->status == 0) {
		trace->status = result;
		trace->host->log(trace->instance, FOREBAY_LOG_ERROR,
				 "the trace ends: its file can't be written: "
				 "%s",
				 strerror(-result));
	}
	page->next = trace->free;
	trace->free = page;
	trace->under_way--;
	if (trace->closing && trace->under_way == 0)
		release(trace);
}

/* Sends off what has been filled, if there is something. */
static void send(struct trace *trace)
{
	struct page *page = trace->filling;
	uint32_t bytes;

	if (!page)
		return;
	trace->filling = NULL;
	trace->head.number = trace->block_count++;
	bytes = block_seal(&trace->block, &trace->head);
	page->iov = (struct iovec){page->bytes, bytes};
	page->io = (struct forebay_io){
		.operation = FOREBAY_WRITE,
		.file = trace->file,
		.iov = &page->iov,
		.iov_count = 1,
		.offset = trace->written_bytes,
		.length = bytes,
		.done = on_written,
		.owner = page,
	};
	trace->written_bytes += bytes;
	trace->under_way++;
	trace->host->io_submit(trace->instance, &page->io);
}

static void on_timer(struct forebay_timer *timer)
{
	send(timer->owner);
}

static bool is_full(const struct trace *trace)
{
	return trace->written_bytes + FOREBAY_TRACE_BLOCK_BYTES >
	       trace->limit_bytes;
}

/* Returns: whether there is a block to fill. */
static bool take_page(struct trace *trace)
{
	if (trace->filling)
		return true;
	if (!trace->free || is_full(trace) || trace->status < 0)
		return false;
	trace->filling = trace->free;
	trace->free = trace->filling->next;
	block_begin(&trace->block, trace->filling->bytes);
	/* What happens now is in the file in a second. */
	trace->host->timer_arm(trace->instance, &trace->timer, NS_PER_S);
	return true;
}

static void record(struct trace *trace, const struct block_record *ended)
{
	if (take_page(trace) && !block_add(&trace->block, ended)) {
		send(trace);
		if (take_page(trace) && !block_add(&trace->block, ended))
			abort(); /* an empty block has room */
	}
	if (trace->filling)
		trace->record_count++;
	else
		trace->head.lost_count++;
}

static void trace_submit(void *state, struct forebay_request *request)
{
	struct trace *trace = state;
	const struct forebay_host *host = trace->host;
	struct underway *underway = host->request_context(request);

	underway->since_ns = host->now_ns(trace->instance);
	host->request_forward(request);
}

static void trace_completed(void *state, struct forebay_request *request,
			    int status)
{
	struct trace *trace = state;
	const struct forebay_host *host = trace->host;
	const struct underway *underway = host->request_context(request);
	uint64_t now_ns = host->now_ns(trace->instance);

	if (trace->file >= 0)
		record(trace,
		       &(struct block_record){
			       .operation = host->request_operation(request),
			       .flags = host->request_flags(request),
			       .begin_ns = underway->since_ns - trace->begin_ns,
			       .took_ns = now_ns - underway->since_ns,
			       .offset = host->request_offset(request),
			       .length = host->request_length(request),
			       .status = status,
		       });
	host->request_complete(request, status);
}

/* Life. */

static void read_limit(struct trace *trace)
{
	int64_t limit = 0;

	trace->host->property_integer(trace->instance, "limit", &limit);
	trace->limit_bytes = (uint64_t)limit;
}

static void trace_properties_changed(void *state)
{
	read_limit(state);
}

/* An instance before us in this process may have written there. */
static int find_end(int file, uint64_t *ret_bytes)
{
	struct stat status;

	if (fstat(file, &status) < 0)
		return -errno;
	*ret_bytes = ((uint64_t)status.st_size + FOREBAY_TRACE_ALIGNMENT - 1) /
		     FOREBAY_TRACE_ALIGNMENT * FOREBAY_TRACE_ALIGNMENT;
	return 0;
}

static int make_pages(struct trace *trace)
{
	trace->memory = aligned_alloc(FOREBAY_TRACE_ALIGNMENT,
				      BLOCKS * FOREBAY_TRACE_BLOCK_BYTES);
	if (!trace->memory)
		return -ENOMEM;
	for (unsigned int i = 0; i < BLOCKS; i++) {
		struct page *page = &trace->pages[i];

		page->trace = trace;
		page->bytes =
			trace->memory + (size_t)i * FOREBAY_TRACE_BLOCK_BYTES;
		page->next = trace->free;
		trace->free = page;
	}
	return 0;
}

static void make_head(struct trace *trace, const struct forebay_disk *disk)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	trace->head.begin_unix_ns =
		(uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	trace->head.disk_bytes = disk->size_bytes;
	memcpy(trace->head.uuid, disk->uuid, sizeof(disk->uuid));
	trace->begin_ns = trace->host->now_ns(trace->instance);
}

static int prepare(struct trace *trace, const struct forebay_disk *disk)
{
	int status;

	read_limit(trace);
	make_head(trace, disk);
	trace->timer.expired = on_timer;
	trace->timer.owner = trace;
	if (trace->host->file_find(trace->instance, "folder", &trace->file) < 0)
		trace->file = -1;
	if (trace->file < 0)
		return 0;
	status = find_end(trace->file, &trace->written_bytes);
	return status < 0 ? status : make_pages(trace);
}

static void trace_open(struct forebay_instance *instance,
		       const struct forebay_host *host,
		       const struct forebay_disk *disk, void **ret_state)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	int status;

	if (!trace) {
		host->open_done(instance, -ENOMEM);
		return;
	}
	trace->instance = instance;
	trace->host = host;
	status = prepare(trace, disk);
	if (status < 0) {
		free(trace->memory);
		free(trace);
	} else {
		*ret_state = trace;
	}
	host->open_done(instance, status);
}

static void trace_close(void *state)
{
	struct trace *trace = state;

	trace->host->timer_cancel(trace->instance, &trace->timer);
	send(trace);
	trace->closing = true;
	if (trace->under_way == 0)
		release(trace);
}

static const char *what_it_does(const struct trace *trace)
{
	if (trace->file < 0)
		return "idle";
	if (trace->status < 0)
		return "failed";
	return is_full(trace) ? "full" : "recording";
}

static int trace_status(void *state, char *buffer, size_t buffer_bytes)
{
	const struct trace *trace = state;
	struct status_text text = status_text_begin(buffer, buffer_bytes);

	status_text_add(&text,
			"{\"state\": \"%s\", \"records\": %" PRIu64
			", \"lost\": %" PRIu64 ", \"file_bytes\": %" PRIu64
			", \"error\": ",
			what_it_does(trace), trace->record_count,
			trace->head.lost_count, trace->written_bytes);
	status_text_add_string(
		&text, trace->status < 0 ? strerror(-trace->status) : NULL);
	status_text_add(&text, "}");
	return status_text_end(&text);
}

static const struct forebay_property trace_properties[] = {
	{
		.name = "folder",
		.description = "Where a file is made for each process of the "
			       "disk; without it nothing is recorded.",
		.type = FOREBAY_PROPERTY_STRING,
		.default_string = "",
	},
	{
		.name = "limit",
		.description =
			"Size that a file doesn't exceed; then recording "
			"ends.",
		.type = FOREBAY_PROPERTY_SIZE,
		.default_integer = INT64_C(1) << 30,
		.minimum = INT64_C(1) << 20,
		.maximum = INT64_C(1) << 40,
		.online = true,
	},
	{0},
};

static const struct forebay_file trace_files[] = {
	{.property = "folder", .suffix = "trace"},
	{0},
};

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = "trace",
	.version = "1.0.0",
	.description = "Records when and where requests go, for forebay-trace.",
	.filter_class = FOREBAY_CLASS_INSPECTION,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH) |
		      FOREBAY_OPERATION_BIT(FOREBAY_DISCARD) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE_ZEROES) |
		      FOREBAY_OPERATION_BIT(FOREBAY_EXTENTS) |
		      FOREBAY_OPERATION_BIT(FOREBAY_CACHE),
	.request_context_bytes = sizeof(struct underway),
	.properties = trace_properties,
	.open = trace_open,
	.close = trace_close,
	.submit = trace_submit,
	.completed = trace_completed,
	.properties_changed = trace_properties_changed,
	.status = trace_status,
	.files = trace_files,
};
