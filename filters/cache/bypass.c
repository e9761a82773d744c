// SPDX-License-Identifier: Apache-2.0
/* bypass.c - see bypass.h. */
#include "bypass.h"

#include <errno.h>

#include "object.h"

/*
 * What may pass by itself. A refusal for other reasons is a mistake in the
 * configuration, or damage that somebody has to look at.
 */
static bool may_pass(int code)
{
	switch (-code) {
	case ENODEV: /* the pool's directory is missing */
	case ENXIO:
	case EIO:
	case EROFS:
	case ENOSPC:
	case EDQUOT:
	case ETIMEDOUT: /* forebay-cached */
		return true;
	default:
		return false;
	}
}

/* All that was acknowledged is below, and a later open can tell that we were
 * here: the generation has moved on. */
static bool may_begin(const struct cache *cache)
{
	struct forebay_below below = {.struct_size = sizeof(below)};

	cache->host->below_state(cache->instance, &below);
	return may_pass(cache->failure.code) && below.generation != 0 &&
	       !(below.flags & FOREBAY_BELOW_HELD);
}

static void ask_again(struct forebay_timer *timer)
{
	struct cache *cache = timer->owner;

	/* Where the VM goes there is another cache. */
	if (cache->migrating)
		cache->host->timer_arm(cache->instance, timer,
				       cache->bypass.retry_ns);
	else
		attach_again(&cache->attach);
}

void bypass_may_end(struct cache *cache)
{
	if (cache->attach.phase == ATTACH_ENDED && !cache->runner &&
	    !cache->closing)
		cache->host->timer_arm(cache->instance, &cache->bypass.retry,
				       0);
}

static void forward(struct cache *cache, struct cache_request *context)
{
	if (cache->host->request_operation(context->request) == FOREBAY_READ)
		cache->bypass.read_bytes +=
			cache->host->request_length(context->request);
	cache->bypass.in_flight++;
	cache->host->request_forward(context->request);
}

/* The first one that waits, or NULL. */
static struct cache_request *take_waiting(struct bypass *bypass)
{
	struct cache_request *context;

	if (list_is_empty(&bypass->waiting))
		return NULL;
	context = list_entry(bypass->waiting.next, struct cache_request, link);
	list_remove(&context->link);
	return context;
}

/* The engine has failed before it got a request. */
static void stay(struct cache *cache)
{
	struct cache_request *context;

	cache->bypass.ending = false;
	while ((context = take_waiting(&cache->bypass)))
		forward(cache, context);
}

bool bypass_goes_on(struct cache *cache)
{
	struct bypass *bypass = &cache->bypass;
	bool first = !bypass->on;

	if (first && !may_begin(cache))
		return false;
	bypass->why = cache->failure;
	cache->failure = (struct error){0};
	bypass->retry_ns = first ? BYPASS_RETRY_FIRST_NS : bypass->retry_ns * 2;
	if (bypass->retry_ns > BYPASS_RETRY_MOST_NS)
		bypass->retry_ns = BYPASS_RETRY_MOST_NS;
	bypass->retry.expired = ask_again;
	bypass->retry.owner = cache;
	cache->host->timer_arm(cache->instance, &bypass->retry,
			       bypass->retry_ns);
	if (!first) {
		stay(cache);
		return true;
	}
	list_init(&bypass->waiting);
	bypass->on = true;
	cache->open = true;
	cache->host->log(cache->instance, FOREBAY_LOG_WARNING,
			 "the disk goes on without its cache, which holds "
			 "nothing that the backend lacks, until it can be had: "
			 "%s",
			 bypass->why.message);
	cache->host->open_done(cache->instance, 0);
	return true;
}

static void leave(struct cache *cache)
{
	struct bypass *bypass = &cache->bypass;
	struct cache_request *context;

	bypass->on = false;
	bypass->ending = false;
	cache->host->log(cache->instance, FOREBAY_LOG_INFO,
			 "the disk is cached again");
	/* What was changed meanwhile. */
	cache_properties_changed(cache);
	while ((context = take_waiting(bypass)))
		cache_submit(cache, context->request);
}

void bypass_end(struct cache *cache)
{
	cache->bypass.ending = true;
	if (cache->bypass.in_flight == 0)
		leave(cache);
}

void bypass_submit(struct cache *cache, struct cache_request *context)
{
	struct bypass *bypass = &cache->bypass;

	if (cache->host->request_operation(context->request) == FOREBAY_CACHE) {
		/* A hint, and there is nothing to bring it into. */
		cache->host->request_complete(context->request, 0);
		return;
	}
	if (!bypass->ending) {
		forward(cache, context);
		return;
	}
	list_append(&bypass->waiting, &context->link);
}

void bypass_completed(struct cache *cache, struct cache_request *context,
		      int status)
{
	struct bypass *bypass = &cache->bypass;

	bypass->in_flight--;
	cache->host->request_complete(context->request, status);
	if (bypass->ending && bypass->in_flight == 0)
		leave(cache);
}

void bypass_cancel(struct cache *cache)
{
	cache->host->timer_cancel(cache->instance, &cache->bypass.retry);
}
