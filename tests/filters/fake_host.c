// SPDX-License-Identifier: Apache-2.0
/*
 * fake_host.c - the part of the host table that a filter without a daemon and
 * without io of its own needs. The rest is NULL: to call it ends the test.
 */
#include "fake_host.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
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
	instance->open = status == 0;
	instance->open_status = status;
}

static void close_done(struct forebay_instance *instance, int status)
{
	assert(status == 0 && !instance->timer);
	instance->closed = true;
}

static void explain(struct forebay_instance *instance, const char *message)
{
	snprintf(instance->explanation, sizeof(instance->explanation), "%s",
		 message);
}

__attribute__((format(printf, 3, 4))) static void log_line(
	struct forebay_instance *instance, enum forebay_log_level level,
	const char *format, ...)
{
	va_list arguments;

	(void)level;
	va_start(arguments, format);
	vsnprintf(instance->logged, sizeof(instance->logged), format,
		  arguments);
	va_end(arguments);
}

static struct fake_property *find_property(struct forebay_instance *instance,
					   const char *name)
{
	for (unsigned int i = 0; i < FAKE_PROPERTIES_MAX; i++) {
		struct fake_property *property = &instance->properties[i];

		if (property->name && strcmp(property->name, name) == 0)
			return property;
	}
	return NULL;
}

static int property_integer(struct forebay_instance *instance, const char *name,
			    int64_t *ret_value)
{
	const struct fake_property *property = find_property(instance, name);

	if (!property)
		return -ENOENT;
	*ret_value = property->value;
	return 0;
}

static int property_string(struct forebay_instance *instance, const char *name,
			   const char **ret_value)
{
	const struct fake_property *property = find_property(instance, name);

	if (!property || !property->text)
		return -ENOENT;
	*ret_value = property->text;
	return 0;
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
	.explain = explain,
	.log = log_line,
	.property_integer = property_integer,
	.property_string = property_string,
};

static struct fake_property *claim_property(struct forebay_instance *instance,
					    const char *name)
{
	for (unsigned int i = 0; i < FAKE_PROPERTIES_MAX; i++) {
		struct fake_property *property = &instance->properties[i];

		if (property->name && strcmp(property->name, name) != 0)
			continue;
		property->name = name;
		return property;
	}
	abort();
}

void fake_set(struct forebay_instance *instance, const char *name,
	      int64_t value)
{
	claim_property(instance, name)->value = value;
}

void fake_set_text(struct forebay_instance *instance, const char *name,
		   const char *text)
{
	claim_property(instance, name)->text = text;
}

int fake_try_open(struct forebay_instance *instance)
{
	static const struct forebay_disk disk = {
		.struct_size = sizeof(disk),
		.logical_block_bytes = 512,
		.size_bytes = 1 << 30,
		.name = "fake",
	};
	const struct forebay_property *property = forebay_filter.properties;

	for (; property->name; property++) {
		if (find_property(instance, property->name))
			continue;
		fake_set(instance, property->name, property->default_integer);
		fake_set_text(instance, property->name,
			      property->default_string);
	}
	current = instance;
	forebay_filter.open(instance, &fake_host, &disk, &instance->state);
	return instance->open_status;
}

void fake_open(struct forebay_instance *instance)
{
	int status = fake_try_open(instance);

	assert(status == 0);
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
