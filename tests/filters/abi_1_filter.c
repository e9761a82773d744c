// SPDX-License-Identifier: Apache-2.0
/*
 * abi_1_filter.c - a filter as an author built it before the ABI grew.
 *
 * It is compiled against abi-1/forebay/filter.h, which is the header as it was
 * and is never changed. It uses each kind of service, so that what it relies on
 * is not only where it was but does what it did.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <forebay/filter.h>

#define BLOCK_BYTES 512u
#define OPERATIONS 7u

struct old {
	const struct forebay_host *host;
	struct forebay_instance *instance;
	struct forebay_timer timer;
	struct forebay_deferred deferred;
	struct forebay_io io;
	struct iovec iov;
	int64_t marks; /* its property */
	unsigned int submitted[OPERATIONS];
	unsigned int completed;
	bool opened;
	bool deferred_ran;
	void (*done)(void *context, int status);
	void *context;
	_Alignas(BLOCK_BYTES) unsigned char block[BLOCK_BYTES];
};

/* The first look at the disk is over: its timer starts the rest. */
static void on_read(struct forebay_io *io, int result)
{
	struct old *old = io->owner;

	if (result < 0)
		old->host->open_done(old->instance, result);
	else
		old->host->timer_arm(old->instance, &old->timer, 1);
}

static void on_timer(struct forebay_timer *timer)
{
	struct old *old = timer->owner;

	old->opened = true;
	old->host->open_done(old->instance, 0);
}

static void on_deferred(struct forebay_deferred *deferred)
{
	struct old *old = deferred->owner;

	old->deferred_ran = true;
	old->done(old->context, 0);
}

static void old_open(struct forebay_instance *instance,
		     const struct forebay_host *host,
		     const struct forebay_disk *disk, void **ret_state)
{
	struct old *old = aligned_alloc(BLOCK_BYTES, 4 * BLOCK_BYTES);

	_Static_assert(sizeof(*old) <= 4 * BLOCK_BYTES, "it fits");
	if (!old || disk->size_bytes < BLOCK_BYTES) {
		host->open_done(instance, -ENOMEM);
		return;
	}
	memset(old, 0, sizeof(*old));
	*ret_state = old;
	old->host = host;
	old->instance = instance;
	old->timer.expired = on_timer;
	old->timer.owner = old;
	old->deferred.run = on_deferred;
	old->deferred.owner = old;
	host->property_integer(instance, "marks", &old->marks);
	old->iov = (struct iovec){old->block, BLOCK_BYTES};
	old->io = (struct forebay_io){
		.operation = FOREBAY_READ,
		.file = FOREBAY_BELOW,
		.iov = &old->iov,
		.iov_count = 1,
		.length = BLOCK_BYTES,
		.done = on_read,
		.owner = old,
	};
	host->io_submit(instance, &old->io);
}

static void old_close(void *state)
{
	struct old *old = state;
	struct forebay_instance *instance = old->instance;
	const struct forebay_host *host = old->host;

	free(old);
	host->close_done(instance, 0);
}

static void old_submit(void *state, struct forebay_request *request)
{
	struct old *old = state;
	int64_t *mark = old->host->request_context(request);

	old->submitted[old->host->request_operation(request)]++;
	*mark = old->marks;
	old->host->request_forward(request);
}

static void old_completed(void *state, struct forebay_request *request,
			  int status)
{
	struct old *old = state;
	const int64_t *mark = old->host->request_context(request);

	old->completed += *mark == old->marks;
	old->host->request_complete(request, status);
}

static int old_status(void *state, char *buffer, size_t buffer_bytes)
{
	const struct old *old = state;
	int length = snprintf(buffer, buffer_bytes,
			      "{\"reads\": %u, \"writes\": %u, "
			      "\"completed\": %u, \"opened\": %s, "
			      "\"deferred\": %s}",
			      old->submitted[FOREBAY_READ],
			      old->submitted[FOREBAY_WRITE], old->completed,
			      old->opened ? "true" : "false",
			      old->deferred_ran ? "true" : "false");

	return (size_t)length < buffer_bytes ? length : -ENOSPC;
}

static void old_action(void *state, const char *name,
		       void (*done)(void *context, int status), void *context)
{
	struct old *old = state;

	if (strcmp(name, "later") != 0) {
		done(context, -ENOTSUP);
		return;
	}
	old->done = done;
	old->context = context;
	old->host->defer(old->instance, &old->deferred);
}

static const struct forebay_property old_properties[] = {
	{
		.name = "marks",
		.description = "What it leaves in each request.",
		.type = FOREBAY_PROPERTY_INTEGER,
		.default_integer = 7,
		.minimum = 1,
		.maximum = 9,
	},
	{0},
};

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = "abi-1",
	.version = "1.0.0",
	.description = "Was built before the ABI grew.",
	.filter_class = FOREBAY_CLASS_QOS,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH),
	.request_context_bytes = sizeof(int64_t),
	.properties = old_properties,
	.open = old_open,
	.close = old_close,
	.submit = old_submit,
	.completed = old_completed,
	.status = old_status,
	.action = old_action,
};
