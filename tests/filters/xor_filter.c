// SPDX-License-Identifier: Apache-2.0
/*
 * xor_filter.c - what lies below it is the VM's data with each byte turned
 * round: the two ways of putting other data in a request's place.
 *
 * A write is changed in its stable copy. A read goes into a buffer of the
 * filter, and from there into the VM's memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <forebay/filter.h>

#define KEY 0x5a

enum { TURNED, UNDER_WAY, READ_SIZE, READ_TIME };

static const struct forebay_metric xor_metrics[] = {
	[TURNED] = {"turned", "Bytes that were turned round.",
		    FOREBAY_METRIC_COUNTER, FOREBAY_UNIT_BYTES},
	[UNDER_WAY] = {"under_way", "Reads below.", FOREBAY_METRIC_GAUGE,
		       FOREBAY_UNIT_NONE},
	[READ_SIZE] = {"read_size", "Sizes of reads.", FOREBAY_METRIC_HISTOGRAM,
		       FOREBAY_UNIT_BYTES},
	[READ_TIME] = {"read_time", "How long they took below.",
		       FOREBAY_METRIC_HISTOGRAM, FOREBAY_UNIT_SECONDS},
	{0},
};

struct xor {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	int64_t under_way;
};

/* In each request: the buffer that is read into. */
struct read_buffer {
	unsigned char *bytes;
	struct iovec iov;
	uint64_t begun_ns;
};

/* In each write that is large: it is turned round beside the loop. */
struct write_work {
	struct forebay_work work;
	struct xor *xor;
	struct forebay_request *request;
	const struct iovec *iov;
	uint32_t iov_count;
};

#define LARGE_BYTES 65536u

static void turn(unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] ^= KEY;
}

static void xor_open(struct forebay_instance *instance,
		     const struct forebay_host *host,
		     const struct forebay_disk *disk, void **ret_state)
{
	struct xor *xor = calloc(1, sizeof(*xor));

	(void)disk;
	if (!xor) {
		host->open_done(instance, -ENOMEM);
		return;
	}
	xor->instance = instance;
	xor->host = host;
	*ret_state = xor;
	host->open_done(instance, 0);
}

static void xor_close(void *state)
{
	struct xor *xor = state;
	struct forebay_instance *instance = xor->instance;
	const struct forebay_host *host = xor->host;

	free(xor);
	host->close_done(instance, 0);
}

static void turn_all(const struct iovec *iov, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		turn(iov[i].iov_base, iov[i].iov_len);
}

static void on_work(struct forebay_work *work)
{
	const struct write_work *large = work->owner;

	turn_all(large->iov, large->iov_count);
}

static void on_worked(struct forebay_work *work)
{
	const struct write_work *large = work->owner;

	large->xor->host->request_forward(large->request);
}

static void submit_large(struct xor *xor, struct forebay_request *request)
{
	struct write_work *large = xor->host->request_context(request);

	large->work.run = on_work;
	large->work.done = on_worked;
	large->work.owner = large;
	large->xor = xor;
	large->request = request;
	large->iov = xor->host->request_iov(request, &large->iov_count);
	xor->host->work_submit(xor->instance, &large->work);
}

static void submit_write(struct xor *xor, struct forebay_request *request)
{
	uint64_t length = xor->host->request_length(request);
	int status = xor->host->request_stable(request);
	const struct iovec *iov;
	uint32_t count;

	if (status == -EINPROGRESS)
		return;
	if (status < 0) {
		xor->host->request_complete(request, status);
		return;
	}
	xor->host->metric_add(xor->instance, TURNED, length);
	if (length >= LARGE_BYTES) {
		submit_large(xor, request);
		return;
	}
	iov = xor->host->request_iov(request, &count);
	turn_all(iov, count);
	xor->host->request_forward(request);
}

static void submit_read(struct xor *xor, struct forebay_request *request)
{
	struct read_buffer *buffer = xor->host->request_context(request);
	size_t length = xor->host->request_length(request);

	buffer->bytes = xor->host->arena_alloc(xor->instance, length);
	if (!buffer->bytes) {
		xor->host->request_complete(request, -ENOMEM);
		return;
	}
	buffer->iov = (struct iovec){buffer->bytes, length};
	buffer->begun_ns = xor->host->now_ns(xor->instance);
	xor->host->metric_set(xor->instance, UNDER_WAY, ++xor->under_way);
	xor->host->metric_observe(xor->instance, READ_SIZE, length);
	if (xor->host->request_replace(request, &buffer->iov, 1) < 0)
		abort();
	xor->host->request_forward(request);
}

static void xor_submit(void *state, struct forebay_request *request)
{
	struct xor *xor = state;
	enum forebay_operation operation =
		xor->host->request_operation(request);

	if (operation == FOREBAY_WRITE)
		submit_write(xor, request);
	else if (operation == FOREBAY_READ)
		submit_read(xor, request);
	else
		xor->host->request_forward(request);
}

static void xor_completed(void *state, struct forebay_request *request,
			  int status)
{
	struct xor *xor = state;
	struct read_buffer *buffer = xor->host->request_context(request);
	const unsigned char *from = buffer->bytes;
	const struct iovec *iov;
	uint32_t count;

	if (xor->host->request_operation(request) == FOREBAY_READ) {
		xor->host->metric_add(xor->instance, TURNED,
				      buffer->iov.iov_len);
		turn(buffer->bytes, buffer->iov.iov_len);
		xor->host->metric_set(xor->instance, UNDER_WAY,
				      --xor->under_way);
		xor->host->metric_observe(xor->instance, READ_TIME,
					  xor->host->now_ns(xor->instance) -
						  buffer->begun_ns);
		iov = xor->host->request_iov(request, &count);
		for (uint32_t i = 0; i < count; i++) {
			memcpy(iov[i].iov_base, from, iov[i].iov_len);
			from += iov[i].iov_len;
		}
		xor->host->arena_free(xor->instance, buffer->bytes);
	}
	xor->host->request_complete(request, status);
}

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = XOR_NAME,
	.version = "1.0.0",
	.description = "Turns each byte round.",
	.filter_class = XOR_CLASS,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH),
	.request_context_bytes = sizeof(struct write_work),
	.open = xor_open,
	.close = xor_close,
	.submit = xor_submit,
	.completed = xor_completed,
	.flags = FOREBAY_FILTER_COPIES,
	.metrics = xor_metrics,
};
