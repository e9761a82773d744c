// SPDX-License-Identifier: Apache-2.0
/*
 * throttle.c - limits a disk's requests and bytes a second.
 *
 * A request passes when both buckets can pay for it. Otherwise it is held, and
 * so is everything that comes after it: requests leave in the order in which
 * they came, so that none starves. A timer is set for the moment at which the
 * first of them can be paid.
 *
 * A FLUSH is never held: it covers only writes that have completed, and none of
 * those is here. DISCARD and WRITE_ZEROES move no data: they are one request of
 * zero bytes.
 *
 * The held requests are linked through their contexts, so nothing is allocated
 * while the disk is open.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <forebay/filter.h>

#include "bucket.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* This filter's part of a request. */
struct held {
	struct forebay_request *next;
	uint64_t since_ns;
};

struct throttle {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	struct bucket requests;
	struct bucket bytes;
	/* The held ones, the oldest first. */
	struct forebay_request *first;
	struct forebay_request *last;
	struct forebay_timer timer;
	uint64_t held_count;
	uint64_t delayed_count;
	uint64_t delay_sum_ns;
	uint64_t delay_max_ns;
};

static struct held *held_of(struct throttle *throttle,
			    struct forebay_request *request)
{
	return throttle->host->request_context(request);
}

static uint64_t data_bytes(const struct throttle *throttle,
			   const struct forebay_request *request)
{
	enum forebay_operation operation =
		throttle->host->request_operation(request);

	if (operation != FOREBAY_READ && operation != FOREBAY_WRITE)
		return 0;
	return throttle->host->request_length(request);
}

/* Takes the request's cost, or returns how long it must wait. */
static uint64_t pay(struct throttle *throttle,
		    const struct forebay_request *request, uint64_t now_ns)
{
	uint64_t bytes = data_bytes(throttle, request);
	uint64_t for_request = bucket_wait_ns(&throttle->requests, 1, now_ns);
	uint64_t for_bytes = bucket_wait_ns(&throttle->bytes, bytes, now_ns);
	uint64_t wait = for_request > for_bytes ? for_request : for_bytes;

	if (wait > 0)
		return wait;
	bucket_take(&throttle->requests, 1, now_ns);
	bucket_take(&throttle->bytes, bytes, now_ns);
	return 0;
}

static void hold(struct throttle *throttle, struct forebay_request *request,
		 uint64_t now_ns)
{
	struct held *held = held_of(throttle, request);

	held->since_ns = now_ns;
	if (throttle->first)
		held_of(throttle, throttle->last)->next = request;
	else
		throttle->first = request;
	throttle->last = request;
	throttle->held_count++;
	throttle->delayed_count++;
}

static struct forebay_request *take_first(struct throttle *throttle,
					  uint64_t now_ns)
{
	struct forebay_request *request = throttle->first;
	struct held *held = held_of(throttle, request);
	uint64_t delay_ns = now_ns - held->since_ns;

	throttle->first = held->next;
	throttle->held_count--;
	throttle->delay_sum_ns += delay_ns;
	if (delay_ns > throttle->delay_max_ns)
		throttle->delay_max_ns = delay_ns;
	return request;
}

/* Forwards what can be paid, and sets the timer for the next. */
static void dispatch(struct throttle *throttle)
{
	const struct forebay_host *host = throttle->host;
	uint64_t now_ns = host->now_ns(throttle->instance);

	while (throttle->first) {
		uint64_t wait_ns = pay(throttle, throttle->first, now_ns);

		if (wait_ns > 0) {
			host->timer_arm(throttle->instance, &throttle->timer,
					wait_ns);
			return;
		}
		/* Off the list first: forwarding may submit the next. */
		host->request_forward(take_first(throttle, now_ns));
	}
}

static void on_timer(struct forebay_timer *timer)
{
	dispatch(timer->owner);
}

static void throttle_submit(void *state, struct forebay_request *request)
{
	struct throttle *throttle = state;
	const struct forebay_host *host = throttle->host;
	uint64_t now_ns;
	uint64_t wait_ns;

	/* Neither moves data. A hint to read ahead isn't worth the budget, so
	 * CACHE isn't one of our operations. */
	if (host->request_operation(request) == FOREBAY_FLUSH ||
	    host->request_operation(request) == FOREBAY_EXTENTS) {
		host->request_forward(request);
		return;
	}
	now_ns = host->now_ns(throttle->instance);
	if (throttle->first) {
		hold(throttle, request, now_ns);
		return;
	}
	wait_ns = pay(throttle, request, now_ns);
	if (wait_ns == 0) {
		host->request_forward(request);
		return;
	}
	hold(throttle, request, now_ns);
	host->timer_arm(throttle->instance, &throttle->timer, wait_ns);
}

struct limits {
	int64_t iops;
	int64_t bytes_per_second;
	int64_t burst_ns;
};

static struct limits read_limits(const struct throttle *throttle)
{
	const struct forebay_host *host = throttle->host;
	struct limits limits = {0};

	host->property_integer(throttle->instance, "iops", &limits.iops);
	host->property_integer(throttle->instance, "bytes_per_second",
			       &limits.bytes_per_second);
	host->property_integer(throttle->instance, "burst", &limits.burst_ns);
	return limits;
}

static void throttle_properties_changed(void *state)
{
	struct throttle *throttle = state;
	struct limits limits = read_limits(throttle);
	uint64_t now_ns = throttle->host->now_ns(throttle->instance);

	bucket_change(&throttle->requests, (uint64_t)limits.iops,
		      (uint64_t)limits.burst_ns, now_ns);
	bucket_change(&throttle->bytes, (uint64_t)limits.bytes_per_second,
		      (uint64_t)limits.burst_ns, now_ns);
	dispatch(throttle);
}

static void throttle_open(struct forebay_instance *instance,
			  const struct forebay_host *host,
			  const struct forebay_disk *disk, void **ret_state)
{
	struct throttle *throttle = calloc(1, sizeof(*throttle));
	struct limits limits;

	(void)disk;
	if (!throttle) {
		host->open_done(instance, -ENOMEM);
		return;
	}
	throttle->instance = instance;
	throttle->host = host;
	throttle->timer.expired = on_timer;
	throttle->timer.owner = throttle;
	limits = read_limits(throttle);
	bucket_init(&throttle->requests, (uint64_t)limits.iops,
		    (uint64_t)limits.burst_ns, host->now_ns(instance));
	bucket_init(&throttle->bytes, (uint64_t)limits.bytes_per_second,
		    (uint64_t)limits.burst_ns, host->now_ns(instance));
	*ret_state = throttle;
	host->open_done(instance, 0);
}

static void throttle_close(void *state)
{
	struct throttle *throttle = state;
	struct forebay_instance *instance = throttle->instance;
	const struct forebay_host *host = throttle->host;

	host->timer_cancel(instance, &throttle->timer);
	free(throttle);
	host->close_done(instance, 0);
}

static int throttle_status(void *state, char *buffer, size_t buffer_bytes)
{
	const struct throttle *throttle = state;
	uint64_t forwarded = throttle->delayed_count - throttle->held_count;
	double mean_ns =
		forwarded ? (double)throttle->delay_sum_ns / (double)forwarded
			  : 0.0;
	int length = snprintf(
		buffer, buffer_bytes,
		"{\"held\": %" PRIu64 ", \"delayed_requests\": %" PRIu64
		", \"delay_us\": {\"mean\": %.3f, \"max\": %.3f}"
		"}",
		throttle->held_count, throttle->delayed_count, mean_ns / 1000.0,
		(double)throttle->delay_max_ns / 1000.0);

	return (size_t)length < buffer_bytes ? length : -ENOSPC;
}

static const struct forebay_property throttle_properties[] = {
	{
		.name = "iops",
		.description = "Most requests a second; 0 is no limit.",
		.type = FOREBAY_PROPERTY_INTEGER,
		.maximum = 100000000,
		.online = true,
	},
	{
		.name = "bytes_per_second",
		.description = "Most bytes read and written a second; 0 is no "
			       "limit.",
		.type = FOREBAY_PROPERTY_SIZE,
		.maximum = INT64_C(1) << 40,
		.online = true,
	},
	{
		.name = "burst",
		.description = "How much of the limits' budget an idle disk "
			       "saves up.",
		.type = FOREBAY_PROPERTY_DURATION,
		.default_integer = 100 * NS_PER_MS,
		.minimum = NS_PER_MS,
		.maximum = 60 * NS_PER_S,
		.online = true,
	},
	{0},
};

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = "throttle",
	.version = "1.0.0",
	.description = "Limits the requests and bytes a second of a disk.",
	.filter_class = FOREBAY_CLASS_QOS,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH) |
		      FOREBAY_OPERATION_BIT(FOREBAY_DISCARD) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE_ZEROES) |
		      FOREBAY_OPERATION_BIT(FOREBAY_EXTENTS),
	.request_context_bytes = sizeof(struct held),
	.properties = throttle_properties,
	.open = throttle_open,
	.close = throttle_close,
	.submit = throttle_submit,
	.properties_changed = throttle_properties_changed,
	.status = throttle_status,
	.flags = FOREBAY_FILTER_HOLDS,
};
