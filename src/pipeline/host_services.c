// SPDX-License-Identifier: Apache-2.0
/*
 * host_services.c - one function for each entry of struct forebay_host.
 *
 * Thin by intent: what a service does lives in the file of its noun, and here
 * the filter's types meet ours. What we keep in a filter's timer or deferred
 * lies in its host_private and starts as zeros.
 */
#include "host_services.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "chain.h"
#include "copies.h"
#include "daemon_protocol.h"
#include "filter_call.h"
#include "filter_files.h"
#include "instance.h"
#include "instance_work.h"
#include "log.h"
#include "loop.h"

/* Longest line that a filter may log. */
#define LOG_LINE_BYTES 512u

struct timer_private {
	struct loop_timer timer;
	struct forebay_instance *instance;
	bool armed;
};

struct deferred_private {
	struct loop_deferred deferred;
	struct forebay_instance *instance;
	bool queued;
};

#define FITS(private, type)                                             \
	static_assert(sizeof(struct private) <=                         \
			      sizeof(((struct type *)0)->host_private), \
		      "the host's part fits")

static_assert(FOREBAY_CHANNEL_BYTES_MAX == DAEMON_PAYLOAD_MAX &&
		      FOREBAY_CHANNEL_FDS_MAX == CHANNEL_FDS_MAX,
	      "a filter is promised what the channel holds");

FITS(timer_private, forebay_timer);
FITS(deferred_private, forebay_deferred);

/* Requests. */

static enum forebay_operation request_operation(
	const struct forebay_request *request)
{
	return request->user.operation;
}

static uint32_t request_flags(const struct forebay_request *request)
{
	return request->user.flags;
}

static uint64_t request_offset(const struct forebay_request *request)
{
	return request->user.offset;
}

static uint64_t request_length(const struct forebay_request *request)
{
	return request->user.length;
}

static const struct iovec *request_iov(const struct forebay_request *request,
				       uint32_t *ret_count)
{
	*ret_count = request->user.iov_count;
	return request->user.iov;
}

static struct forebay_extents *request_extents(struct forebay_request *request)
{
	return request->user.operation == FOREBAY_EXTENTS
		       ? request->user.extents
		       : NULL;
}

/* Time. */

static uint64_t now_ns(struct forebay_instance *instance)
{
	return loop_now_ns(instance->home->loop);
}

static struct timer_private *timer_private(struct forebay_timer *timer)
{
	return (struct timer_private *)timer->host_private;
}

static void on_timer(struct loop_timer *loop_timer)
{
	struct forebay_timer *timer = loop_timer->owner;
	struct timer_private *private = timer_private(timer);
	const struct running_place *before;

	private->armed = false;
	private->instance->timers_armed--;
	before = instance_enter(private->instance, RUNNING_TIMER);
	timer->expired(timer);
	running_leave(before);
}

static void timer_arm(struct forebay_instance *instance,
		      struct forebay_timer *timer, uint64_t delay_ns)
{
	struct timer_private *private = timer_private(timer);

	if (!private->armed) {
		private->armed = true;
		private->instance = instance;
		private->timer.expired = on_timer;
		private->timer.owner = timer;
		instance->timers_armed++;
	}
	loop_timer_arm(instance->home->loop, &private->timer, delay_ns);
}

static void timer_cancel(struct forebay_instance *instance,
			 struct forebay_timer *timer)
{
	struct timer_private *private = timer_private(timer);

	if (!private->armed)
		return;
	private->armed = false;
	instance->timers_armed--;
	loop_timer_cancel(instance->home->loop, &private->timer);
}

static void on_deferred(struct loop_deferred *loop_deferred)
{
	struct forebay_deferred *deferred = loop_deferred->owner;
	struct deferred_private *private =
		(struct deferred_private *)deferred->host_private;

	const struct running_place *before;

	private->queued = false;
	private->instance->deferred--;
	before = instance_enter(private->instance, RUNNING_DEFERRED);
	deferred->run(deferred);
	running_leave(before);
}

static void defer(struct forebay_instance *instance,
		  struct forebay_deferred *deferred)
{
	struct deferred_private *private =
		(struct deferred_private *)deferred->host_private;

	if (private->queued)
		return;
	private->queued = true;
	private->instance = instance;
	private->deferred.run = on_deferred;
	private->deferred.owner = deferred;
	instance->deferred++;
	loop_defer(instance->home->loop, &private->deferred);
}

/* The daemon. */

static int open_channel(struct forebay_instance *instance)
{
	return instance_link(instance);
}

static int send_to_daemon(struct forebay_instance *instance, const void *bytes,
			  size_t count, const int *fds, uint32_t fd_count)
{
	if (!instance->link)
		return -ENOTCONN;
	return daemon_link_send(instance->link, bytes, count, fds, fd_count);
}

static int memory_request(struct forebay_instance *instance, const char *name,
			  uint64_t bytes)
{
	if (!instance->link)
		return -ENOTCONN;
	return daemon_link_keep(instance->link, name, bytes);
}

/* Ends, words, counters. */

static void open_done(struct forebay_instance *instance, int status)
{
	instance_end(instance, INSTANCE_OPENING, status);
}

static void close_done(struct forebay_instance *instance, int status)
{
	instance_end(instance, INSTANCE_CLOSING, status);
}

static void explain(struct forebay_instance *instance, const char *message)
{
	error_set(&instance->explanation, -EIO, "%s", message);
}

static bool is_word(const char *what)
{
	size_t length = strnlen(what, FILTER_NAME_MAX + 1);

	return length > 0 && length <= FILTER_NAME_MAX &&
	       strspn(what, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static void report(struct forebay_instance *instance, const char *what,
		   const char *text)
{
	const struct instance_home *home = instance->home;

	if (!is_word(what))
		running_misuse(instance->filter->name, "report()",
			       "of what isn't a word of a-z, 0-9 and '-'");
	log_warning("filter %s reports %s: %s", instance->filter->name, what,
		    text);
	if (!home->reported || instance->reports == FOREBAY_REPORTS_MAX)
		return;
	instance->reports++;
	home->reported(home->reported_owner, instance->filter->name, what,
		       text);
}

static enum log_level level_of(enum forebay_log_level level)
{
	switch (level) {
	case FOREBAY_LOG_ERROR:
		return LOG_LEVEL_ERROR;
	case FOREBAY_LOG_WARNING:
		return LOG_LEVEL_WARNING;
	case FOREBAY_LOG_INFO:
		return LOG_LEVEL_INFO;
	case FOREBAY_LOG_DEBUG:
		return LOG_LEVEL_DEBUG;
	}
	return LOG_LEVEL_ERROR;
}

__attribute__((format(printf, 3, 4))) static void log_line(
	struct forebay_instance *instance, enum forebay_log_level level,
	const char *format, ...)
{
	char line[LOG_LINE_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	log_write(level_of(level), "%s: %s", instance->filter->name, line);
}

static void count_copied(struct forebay_instance *instance, uint64_t bytes)
{
	instance->home->copied_bytes += bytes;
}

/* Metrics. */

static void check_metric(const struct forebay_instance *instance,
			 const char *function, int status)
{
	if (__builtin_expect(status < 0, 0))
		running_misuse(instance->filter->name, function,
			       "of what isn't a metric of that kind");
}

static void metric_add(struct forebay_instance *instance, uint32_t index,
		       uint64_t value)
{
	check_metric(instance, "metric_add()",
		     filter_metrics_add(instance->metrics, index, value));
}

static void metric_set(struct forebay_instance *instance, uint32_t index,
		       int64_t value)
{
	check_metric(instance, "metric_set()",
		     filter_metrics_set(instance->metrics, index, value));
}

static void metric_observe(struct forebay_instance *instance, uint32_t index,
			   uint64_t value)
{
	check_metric(instance, "metric_observe()",
		     filter_metrics_observe(instance->metrics, index, value));
}

/* Memory. */

static void *arena_alloc(struct forebay_instance *instance, uint64_t bytes)
{
	return arena_take(&instance->arena, bytes);
}

static void arena_free(struct forebay_instance *instance, void *memory)
{
	if (memory && arena_give(&instance->arena, memory) < 0)
		running_misuse(instance->filter->name, "arena_free()",
			       "of what isn't a block of its arena");
}

/* The backend. */

static void below_state(struct forebay_instance *instance,
			struct forebay_below *ret_below)
{
	struct forebay_below below = {.struct_size = ret_below->struct_size};
	struct claim_state state;

	claim_state(&instance->home->claim, &state);
	if (state.told) {
		below.generation = state.generation;
		below.next_generation = state.next_generation;
		below.void_generation = state.voided;
		below.flags = (state.marked ? FOREBAY_BELOW_HELD : 0) |
			      (state.changed ? FOREBAY_BELOW_CHANGED : 0) |
			      (state.rewritten ? FOREBAY_BELOW_REWRITTEN : 0);
	}
	/* A filter that was built with an older header has less room. */
	memcpy(ret_below, &below,
	       ret_below->struct_size < sizeof(below) ? ret_below->struct_size
						      : sizeof(below));
}

static int below_hold(struct forebay_instance *instance, bool holds)
{
	struct error error = {0};
	int status = claim_hold(&instance->home->claim, holds, &error);

	if (status < 0)
		log_error("filter %s: %s", instance->filter->name,
			  error.message);
	return status;
}

static int below_void(struct forebay_instance *instance, bool lost)
{
	struct error error = {0};
	int status = claim_void(&instance->home->claim, lost, &error);

	if (status < 0)
		log_error("filter %s: %s", instance->filter->name,
			  error.message);
	return status;
}

/* Properties. */

static int property_integer(struct forebay_instance *instance, const char *name,
			    int64_t *ret_value)
{
	return properties_integer(instance_properties(instance), name,
				  ret_value);
}

static int property_string(struct forebay_instance *instance, const char *name,
			   const char **ret_value)
{
	return properties_string(instance_properties(instance), name,
				 ret_value);
}

static int property_boolean(struct forebay_instance *instance, const char *name,
			    bool *ret_value)
{
	return properties_boolean(instance_properties(instance), name,
				  ret_value);
}

/* Files. */

static int file_find(struct forebay_instance *instance, const char *property,
		     int *ret_fd)
{
	return filter_files_find(instance->filter, instance->properties,
				 instance->home->disk.name, property, ret_fd);
}

const struct forebay_host host_services = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_host),
	.request_operation = request_operation,
	.request_flags = request_flags,
	.request_offset = request_offset,
	.request_length = request_length,
	.request_iov = request_iov,
	.request_context = chain_context,
	.request_forward = chain_forward,
	.request_complete = chain_complete,
	.io_submit = instance_io_submit,
	.now_ns = now_ns,
	.timer_arm = timer_arm,
	.timer_cancel = timer_cancel,
	.defer = defer,
	.channel_open = open_channel,
	.channel_send = send_to_daemon,
	.memory_request = memory_request,
	.open_done = open_done,
	.close_done = close_done,
	.explain = explain,
	.log = log_line,
	.count_copied = count_copied,
	.property_integer = property_integer,
	.property_string = property_string,
	.property_boolean = property_boolean,
	.request_extents = request_extents,
	.below_state = below_state,
	.below_hold = below_hold,
	.below_void = below_void,
	.event_end = instance_event_end,
	.file_find = file_find,
	.request_stable = copies_request_stable,
	.request_replace = copies_request_replace,
	.metric_add = metric_add,
	.metric_set = metric_set,
	.metric_observe = metric_observe,
	.call_integer = filter_call_integer,
	.call_string = filter_call_string,
	.call_boolean = filter_call_boolean,
	.call_done = filter_call_done,
	.work_submit = instance_work_submit,
	.arena_alloc = arena_alloc,
	.arena_free = arena_free,
	.sidecar_file = instance_sidecar_file,
	.sidecar_resize = instance_io_resize,
	.report = report,
};
