// SPDX-License-Identifier: Apache-2.0
/*
 * cache.c - the cache filter: a disk's requests through the cache engine.
 *
 *   submit() -> engine -> log on the SSD      (runner, io on our own file)
 *                      -> layers below        (runner, FOREBAY_BELOW)
 *
 * forebay-cached is needed for the opening alone (opening.c): afterwards its
 * death changes nothing here.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "log_format.h"
#include "lost.h"
#include "object.h"
#include "settings.h"
#include "status.h"

static enum engine_operation operation_of(enum forebay_operation operation)
{
	switch (operation) {
	case FOREBAY_READ:
		return ENGINE_READ;
	case FOREBAY_WRITE:
		return ENGINE_WRITE;
	case FOREBAY_DISCARD:
		return ENGINE_DISCARD;
	case FOREBAY_WRITE_ZEROES:
		return ENGINE_ZERO;
	case FOREBAY_FLUSH:
	case FOREBAY_EXTENTS:
	case FOREBAY_CACHE:
		break;
	}
	return ENGINE_FLUSH;
}

/* Notes what is dirty now; the layers below know the rest. */
static void ask_below(struct cache *cache, struct forebay_request *request)
{
	const struct forebay_host *host = cache->host;
	struct cache_request *context = host->request_context(request);
	struct forebay_extents *extents = host->request_extents(request);
	uint64_t at = host->request_offset(request);
	uint64_t end = at + host->request_length(request);
	uint64_t length;
	bool dirty;

	overlay_begin(&context->overlay, extents);
	for (; at < end; at += length) {
		int status = runner_dirty_run(cache->runner, at, end - at,
					      &length, &dirty);

		if (status < 0) {
			overlay_forget(&context->overlay, extents);
			host->request_complete(request, status);
			return;
		}
		if (!overlay_note(&context->overlay, extents, length, dirty))
			break;
	}
	host->request_forward(request);
}

/* Of all requests only EXTENTS are forwarded, but in a bypass. */
static void cache_completed(void *state, struct forebay_request *request,
			    int status)
{
	struct cache *cache = state;
	const struct forebay_host *host = cache->host;
	struct cache_request *context = host->request_context(request);
	struct forebay_extents *extents = host->request_extents(request);

	if (context->bypassed) {
		bypass_completed(cache, context, status);
		return;
	}
	if (status < 0)
		overlay_forget(&context->overlay, extents);
	else
		overlay_merge(&context->overlay, extents);
	host->request_complete(request, status);
}

void cache_submit(void *state, struct forebay_request *request)
{
	struct cache *cache = state;
	const struct forebay_host *host = cache->host;
	struct cache_request *context = host->request_context(request);
	struct engine_request *engine = &context->engine;
	uint32_t flags = host->request_flags(request);

	context->bypassed = cache->bypass.on;
	if (cache->bypass.on) {
		context->request = request;
		bypass_submit(cache, context);
		return;
	}
	if (host->request_operation(request) == FOREBAY_EXTENTS) {
		ask_below(cache, request);
		return;
	}
	if (host->request_operation(request) == FOREBAY_CACHE) {
		context->hint.request = request;
		prefetch_submit(&cache->prefetch, &context->hint);
		return;
	}
	if (host->request_operation(request) != FOREBAY_FLUSH &&
	    host->request_length(request) == 0) {
		host->request_complete(request, 0);
		return;
	}
	context->request = request;
	engine->operation = operation_of(host->request_operation(request));
	engine->fua = (flags & FOREBAY_FUA) != 0;
	engine->no_hole = (flags & FOREBAY_NO_HOLE) != 0;
	engine->fast = (flags & FOREBAY_FAST) != 0;
	engine->sector = host->request_offset(request) / LOG_SECTOR_BYTES;
	engine->sector_count = host->request_length(request) / LOG_SECTOR_BYTES;
	engine->iov = host->request_iov(request, &engine->iov_count);
	engine->owner = context;
	runner_submit(cache->runner, engine);
}

static void cache_channel_state(void *state, bool connected)
{
	struct cache *cache = state;

	attach_channel_state(&cache->attach, connected);
	if (connected)
		space_tell(&cache->space);
	else
		cache_unheard(cache);
}

static void cache_channel_message(void *state, const void *bytes, size_t count,
				  const int *fds, uint32_t fd_count)
{
	struct cache *cache = state;
	union pool_answer answer = {0};

	if (cache->attach.phase == ATTACH_ASKING) {
		attach_message(&cache->attach, bytes, count, fds, fd_count);
		return;
	}
	if (pool_answer_parse(bytes, count, fd_count, &answer) == 0 &&
	    fd_count == 0)
		cache_heard(cache, &answer);
	for (uint32_t i = 0; i < fd_count; i++)
		close(fds[i]);
}

static void cache_memory_ready(void *state, const char *name, void *address,
			       uint64_t bytes, int status)
{
	struct cache *cache = state;

	(void)name;
	(void)bytes;
	(void)status;
	attach_memory(&cache->attach, address);
}

static int cache_status(void *state, char *buffer, size_t buffer_bytes)
{
	struct cache *cache = state;
	struct status status = {
		.gives_way = cache_gives_way(cache),
		.hold_error = cache->hold_error,
		.troubles = cache->troubles,
		.now_ns = cache->host->now_ns(cache->instance),
	};

	if (cache->runner) {
		runner_stats(cache->runner, &status.stats);
		status.has_curve = runner_curve(cache->runner, &status.curve);
		lost_find(cache->runner, &status);
		status.hold = runner_hold_now(cache->runner);
	}
	status.stats.bypassed_mode_bytes += cache->bypass.read_bytes;
	if (cache->open && cache->failure.code < 0)
		status.failure = cache->failure.message;
	if (cache->bypass.on) {
		status.bypass = &cache->bypass.why;
		status.stats.mode_requested =
			settings_mode(cache->host, cache->instance);
	}
	return status_format(&status, buffer, buffer_bytes);
}

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = "cache",
	.version = FOREBAY_VERSION,
	.description = "Keeps reads and writes of a disk on a local "
		       "SSD.",
	.filter_class = FOREBAY_CLASS_CACHE,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH) |
		      FOREBAY_OPERATION_BIT(FOREBAY_DISCARD) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE_ZEROES) |
		      FOREBAY_OPERATION_BIT(FOREBAY_EXTENTS) |
		      FOREBAY_OPERATION_BIT(FOREBAY_CACHE),
	.request_context_bytes = sizeof(struct cache_request),
	.properties = settings_properties,
	.open = cache_open,
	.close = cache_close,
	.submit = cache_submit,
	.completed = cache_completed,
	.properties_changed = cache_properties_changed,
	.channel_state = cache_channel_state,
	.channel_message = cache_channel_message,
	.memory_ready = cache_memory_ready,
	.status = cache_status,
	.action = cache_action,
	.flags = FOREBAY_FILTER_HOLDS,
};
