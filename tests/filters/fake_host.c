// SPDX-License-Identifier: Apache-2.0
/*
 * fake_host.c - the part of the host table that a filter without a daemon and
 * without io of its own needs. The rest is NULL: to call it ends the test.
 */
#include "fake_host.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static enum forebay_operation request_operation(
	const struct forebay_request *request)
{
	return request->operation;
}

static uint32_t request_flags(const struct forebay_request *request)
{
	return request->flags;
}

static uint64_t request_offset(const struct forebay_request *request)
{
	return request->offset;
}

static uint64_t request_length(const struct forebay_request *request)
{
	return request->length;
}

static void *request_context(struct forebay_request *request)
{
	return request->context;
}

static struct forebay_instance *current;

static void request_forward(struct forebay_request *request)
{
	assert(!request->forwarded);
	request->forwarded = true;
	request->forwarded_ns = current->now_ns;
	request->place = current->forwarded_count++;
	if (request->on_forward)
		request->on_forward(request);
}

static void request_complete(struct forebay_request *request, int status)
{
	assert(!request->completed);
	request->completed = true;
	request->status = status;
}

static uint64_t now_ns(struct forebay_instance *instance)
{
	return instance->now_ns;
}

static void timer_arm(struct forebay_instance *instance,
		      struct forebay_timer *timer, uint64_t delay_ns)
{
	assert(!instance->timer || instance->timer == timer);
	instance->timer = timer;
	instance->deadline_ns = instance->now_ns + delay_ns;
}

static void timer_cancel(struct forebay_instance *instance,
			 struct forebay_timer *timer)
{
	if (instance->timer == timer)
		instance->timer = NULL;
}

static void open_done(struct forebay_instance *instance, int status)
{
	assert(status == 0);
	instance->open = true;
}

static void close_done(struct forebay_instance *instance, int status)
{
	assert(status == 0 && !instance->timer);
	instance->closed = true;
}

static int property_integer(struct forebay_instance *instance, const char *name,
			    int64_t *ret_value)
{
	for (unsigned int i = 0; i < FAKE_PROPERTIES_MAX; i++) {
		const struct fake_property *property = &instance->properties[i];

		if (property->name && strcmp(property->name, name) == 0) {
			*ret_value = property->value;
			return 0;
		}
	}
	return -ENOENT;
}

const struct forebay_host fake_host = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_host),
	.request_operation = request_operation,
	.request_flags = request_flags,
	.request_offset = request_offset,
	.request_length = request_length,
	.request_context = request_context,
	.request_forward = request_forward,
	.request_complete = request_complete,
	.now_ns = now_ns,
	.timer_arm = timer_arm,
	.timer_cancel = timer_cancel,
	.open_done = open_done,
	.close_done = close_done,
	.property_integer = property_integer,
};

void fake_set(struct forebay_instance *instance, const char *name,
	      int64_t value)
{
	for (unsigned int i = 0; i < FAKE_PROPERTIES_MAX; i++) {
		struct fake_property *property = &instance->properties[i];

		if (property->name && strcmp(property->name, name) != 0)
			continue;
		property->name = name;
		property->value = value;
		return;
	}
	abort();
}

void fake_open(struct forebay_instance *instance)
{
	static const struct forebay_disk disk = {
		.struct_size = sizeof(disk),
		.logical_block_bytes = 512,
		.size_bytes = 1 << 30,
		.name = "fake",
	};
	const struct forebay_property *property = forebay_filter.properties;

	for (; property->name; property++) {
		int64_t value;

		if (property_integer(instance, property->name, &value) < 0)
			fake_set(instance, property->name,
				 property->default_integer);
	}
	current = instance;
	forebay_filter.open(instance, &fake_host, &disk, &instance->state);
	assert(instance->open);
}

void fake_close(struct forebay_instance *instance)
{
	forebay_filter.close(instance->state);
	assert(instance->closed);
}

void fake_submit(struct forebay_instance *instance,
		 struct forebay_request *request)
{
	assert(forebay_filter.request_context_bytes <=
	       sizeof(request->context));
	memset(request->context, 0, sizeof(request->context));
	forebay_filter.submit(instance->state, request);
}

void fake_run_until(struct forebay_instance *instance, uint64_t until_ns)
{
	while (instance->timer && instance->deadline_ns <= until_ns) {
		struct forebay_timer *timer = instance->timer;

		instance->timer = NULL;
		instance->now_ns = instance->deadline_ns;
		timer->expired(timer);
	}
	instance->now_ns = until_ns;
}
