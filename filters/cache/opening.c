// SPDX-License-Identifier: Apache-2.0
/*
 * opening.c - from a cache file to a running engine, and back.
 *
 * In two steps: attach.c gets the cache file and its lock, then the engine
 * recovers what the log holds. Only then does open_done() let requests in, so
 * that no request meets a half-known cache. If the cache can't be had and none
 * of it is needed, the disk goes on without (bypass.c), and the same two steps
 * are tried again later.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "held.h"
#include "log_format.h"
#include "lost.h"
#include "object.h"
#include "settings.h"

#define CACHE_EPOCH 1u
#define CACHE_RECORDS_IN_FLIGHT 4u
#define CACHE_DIRTY_LIMIT_PERCENT 70u
/* For forebay-cached to take a farewell. */
#define BYE_NS (UINT64_C(1) * 1000 * 1000 * 1000)

/* What the runner needs of its host: the filter's own, nothing added. */

static void host_io_submit(void *context, struct forebay_io *io)
{
	struct cache *cache = context;

	cache->host->io_submit(cache->instance, io);
}

static uint64_t host_now_ns(void *context)
{
	struct cache *cache = context;

	return cache->host->now_ns(cache->instance);
}

static void host_timer_arm(void *context, struct forebay_timer *timer,
			   uint64_t delay_ns)
{
	struct cache *cache = context;

	cache->host->timer_arm(cache->instance, timer, delay_ns);
}

static void host_timer_cancel(void *context, struct forebay_timer *timer)
{
	struct cache *cache = context;

	cache->host->timer_cancel(cache->instance, timer);
}

static void host_defer(void *context, struct forebay_deferred *deferred)
{
	struct cache *cache = context;

	cache->host->defer(cache->instance, deferred);
}

static void host_count_copied(void *context, uint64_t bytes)
{
	struct cache *cache = context;

	cache->host->count_copied(cache->instance, bytes);
}

/* The SSD is out of use: what there is to say is said once. */
static int host_say_void(void *context, bool lost, const struct error *why)
{
	struct cache *cache = context;

	cache->host->log(cache->instance, FOREBAY_LOG_ERROR,
			 "the SSD is taken out of use, and the disk goes on "
			 "without a cache until it is opened again: %s",
			 why->message);
	cache->host->report(cache->instance, "ssd-out-of-use", why->message);
	return cache->host->below_void(cache->instance, lost);
}

static const struct runner_host cache_runner_host = {
	.io_submit = host_io_submit,
	.now_ns = host_now_ns,
	.timer_arm = host_timer_arm,
	.timer_cancel = host_timer_cancel,
	.defer = host_defer,
	.count_copied = host_count_copied,
	.say_void = host_say_void,
};

static void gone(struct cache *cache)
{
	const struct forebay_host *host = cache->host;
	struct forebay_instance *instance = cache->instance;

	host->timer_cancel(instance, &cache->bye);
	free(cache);
	host->close_done(instance, 0);
}

static void bye_expired(struct forebay_timer *timer)
{
	gone(timer->owner);
}

/* Nobody needs the file any more; when that can't be said, it stays. */
static void part(struct cache *cache)
{
	const struct pool_bye bye = {
		.type = POOL_BYE,
		.version = POOL_PROTOCOL_VERSION,
	};

	if (cache->host->channel_send(cache->instance, &bye, sizeof(bye), NULL,
				      0) < 0) {
		gone(cache);
		return;
	}
	cache->parting = true;
	cache->bye.expired = bye_expired;
	cache->bye.owner = cache;
	cache->host->timer_arm(cache->instance, &cache->bye, BYE_NS);
}

static void closed(void *context)
{
	struct cache *cache = context;
	bool had_file = cache->file >= 0;
	bool clear = false;

	if (!cache->bypass.on)
		prefetch_end(&cache->prefetch);
	/* Not before the log says so, too: now it is closed. */
	if (cache->clean)
		clear = cache->host->below_hold(cache->instance, false) == 0;
	if (cache->file >= 0)
		close(cache->file);
	cache->file = -1;
	if (had_file && clear && !cache->bypass.on)
		part(cache);
	else
		gone(cache);
}

void cache_heard(struct cache *cache, const union pool_answer *answer)
{
	if (answer->type == POOL_BYE && cache->parting)
		gone(cache);
	else if (answer->type == POOL_MAY && cache->bypass.on)
		bypass_may_end(cache);
	else if (answer->type == POOL_MAY)
		space_granted(&cache->space, answer->may.granted_bytes,
			      answer->may.reserved_bytes);
}

void cache_unheard(struct cache *cache)
{
	if (cache->parting)
		gone(cache);
}

static void refuse(struct cache *cache)
{
	const struct forebay_host *host = cache->host;
	struct forebay_instance *instance = cache->instance;
	int code = cache->failure.code;

	host->explain(instance, cache->failure.message);
	free(cache);
	host->open_done(instance, code);
}

/* The open failed: the file goes, and with it the lock. */
static void open_fail(struct cache *cache)
{
	if (cache->file >= 0)
		close(cache->file);
	cache->file = -1;
	if (cache->closing)
		closed(cache);
	else if (!bypass_goes_on(cache))
		refuse(cache);
}

static void runner_taken_back(void *context)
{
	struct cache *cache = context;

	cache->runner = NULL;
	cache->taking_back = false;
	open_fail(cache);
}

static void runner_take_back(void *context)
{
	struct cache *cache = context;

	runner_close(cache->runner, runner_taken_back, cache);
}

static void take_back(struct cache *cache)
{
	cache->taking_back = true;
	space_end(&cache->space, runner_take_back, cache);
}

/* Puts what the host knows of the layers below into the engine's words. */
static void look_below(struct cache *cache, struct engine_below *ret_below)
{
	struct forebay_below below = {.struct_size = sizeof(below)};

	cache->host->below_state(cache->instance, &below);
	*ret_below = (struct engine_below){
		.looked = true,
		.found = below.generation,
		.next = below.next_generation,
		.held = (below.flags & FOREBAY_BELOW_HELD) != 0,
		.changed = (below.flags & FOREBAY_BELOW_CHANGED) != 0,
		.rewritten = (below.flags & FOREBAY_BELOW_REWRITTEN) != 0,
		.voided = below.void_generation,
	};
	/* We have written there, past whatever its log knows. */
	if (cache->bypass.on) {
		ret_below->changed = true;
		ret_below->rewritten = true;
	}
}

static void tell_forgotten(struct cache *cache,
			   const struct engine_stats *stats)
{
	static const char *const words[] = {
		[ENGINE_FORGOT_OPENED] =
			"the backend was opened elsewhere since",
		[ENGINE_FORGOT_CHANGED] =
			"the backend was changed while the disk was closed",
		[ENGINE_FORGOT_VOID] =
			"the SSD had been taken out of use since",
	};

	if (stats->forgotten_because == ENGINE_FORGOT_NOTHING)
		return;
	cache->host->log(cache->instance, FOREBAY_LOG_WARNING,
			 "%" PRIu64 " cached bytes are forgotten: %s",
			 stats->forgotten_bytes,
			 words[stats->forgotten_because]);
}

static void begin(struct cache *cache)
{
	struct engine_stats stats = {0};
	int status;

	runner_stats(cache->runner, &stats);
	tell_forgotten(cache, &stats);
	status = cache_hold(cache, settings_mode(cache->host, cache->instance));
	if (status < 0) {
		error_set(&cache->failure, status,
			  "the cache of disk '%s' can't start: no place to "
			  "say that it holds data: name one with --sidecar, "
			  "or don't cache write-back",
			  cache->disk->name);
		take_back(cache);
		return;
	}
	cache->open = true;
	space_begin(&cache->space, cache->runner, cache->file);
	prefetch_begin(&cache->prefetch, cache->host, cache->instance,
		       cache->runner);
	if (cache->bypass.on)
		bypass_end(cache);
	else
		cache->host->open_done(cache->instance, 0);
}

static void state_changed(void *owner, enum engine_state state,
			  const struct error *failure)
{
	struct cache *cache = owner;

	switch (state) {
	case ENGINE_STARTING:
	case ENGINE_INSPECTED:
		break;
	case ENGINE_RUNNING:
		begin(cache);
		break;
	case ENGINE_FAILED:
		if (cache->open && !cache->bypass.on) {
			cache->failure = *failure;
			cache->host->log(cache->instance, FOREBAY_LOG_ERROR,
					 "the cache has failed: %s",
					 failure->message);
			break;
		}
		error_set(&cache->failure, failure->code,
			  "the cache of disk '%s' can't start: %s",
			  cache->disk->name, failure->message);
		take_back(cache);
		break;
	}
}

static void tell_below(struct cache *cache,
		       const struct engine_troubles *troubles)
{
	const struct forebay_host *host = cache->host;

	switch (troubles->below) {
	case ENGINE_TROUBLE_NONE:
		host->log(cache->instance, FOREBAY_LOG_INFO,
			  "the backend takes what is written back again");
		return;
	case ENGINE_TROUBLE_REFUSING:
		host->log(cache->instance, FOREBAY_LOG_WARNING,
			  "the backend refuses what is written back: %s; it "
			  "stays in the cache and is tried again",
			  strerror(-troubles->code));
		return;
	case ENGINE_TROUBLE_SILENT:
		host->log(cache->instance, FOREBAY_LOG_WARNING,
			  "the backend has not answered what is written back "
			  "for a second");
		return;
	}
}

static void troubles_changed(void *owner,
			     const struct engine_troubles *troubles)
{
	struct cache *cache = owner;
	struct engine_troubles *told = &cache->troubles;

	if (troubles->below != told->below || troubles->code != told->code)
		tell_below(cache, troubles);
	if (troubles->writes_wait != told->writes_wait)
		cache->host->log(cache->instance, FOREBAY_LOG_WARNING,
				 troubles->writes_wait
					 ? "writes wait: the cache has no room "
					   "until the backend takes something"
					 : "writes go on");
	lost_tell(cache->runner, cache->host, cache->instance,
		  troubles->lost_blocks, &cache->lost_told);
	*told = *troubles;
}

static void request_completed(void *owner, struct engine_request *done)
{
	struct cache *cache = owner;
	struct cache_request *context = done->owner;

	if (prefetch_completed(&cache->prefetch, done))
		return;
	cache->host->request_complete(context->request, done->status);
}

static void hold_changed(void *owner, const struct engine_hold *hold)
{
	struct cache *cache = owner;
	const struct forebay_host *host = cache->host;

	switch (hold->state) {
	case ENGINE_HOLD_NONE:
		host->log(cache->instance, FOREBAY_LOG_INFO,
			  "the backend is held no more");
		return;
	case ENGINE_HOLD_GATHERING:
	case ENGINE_HOLD_MAKING:
		return;
	case ENGINE_HOLD_HELD:
		host->log(cache->instance, FOREBAY_LOG_INFO,
			  "the backend is held at record %" PRIu64
			  " of the log",
			  hold->sequence);
		return;
	case ENGINE_HOLD_ENDED:
		host->log(cache->instance, FOREBAY_LOG_WARNING,
			  "the hold of the backend has ended by itself: %s",
			  held_words(hold->end));
		host->report(cache->instance, "hold-ended",
			     held_words(hold->end));
		return;
	}
}

static void segments_returned(void *owner)
{
	struct cache *cache = owner;

	space_returned(&cache->space);
}

static struct engine_config config_of(const struct cache *cache)
{
	struct engine_config config = {
		.disk_bytes = cache->disk->size_bytes,
		.file_bytes = cache->attach.file_bytes,
		.epoch = CACHE_EPOCH,
		.max_dirty_age_ns = settings_max_dirty_age_ns(
			cache->host, cache->instance, cache->disk),
		.max_dirty_bytes =
			settings_max_dirty_bytes(cache->host, cache->instance),
		.destage_bytes_per_s =
			settings_destage_rate(cache->host, cache->instance),
		.paced = !cache->disk->read_only,
		.mode = settings_mode(cache->host, cache->instance),
		.durable_writes =
			settings_durable_writes(cache->host, cache->instance),
		.segment_blocks = LOG_SEGMENT_BLOCKS_DEFAULT,
		.records_in_flight_max = CACHE_RECORDS_IN_FLIGHT,
		.dirty_limit_percent = CACHE_DIRTY_LIMIT_PERCENT,
		.granted_segments = space_segments(cache->attach.granted_bytes),
		.summaries = true,
		.curve = true,
		.may_format = cache->attach.unused,
		.warm = cache->disk->kept_memory_good && !cache->bypass.on,
	};

	memcpy(config.uuid, cache->disk->uuid, sizeof(config.uuid));
	return config;
}

static uint64_t kept_bytes(const struct attach *attach)
{
	struct engine_config config = config_of(attach->owner);

	return engine_kept_bytes(&config);
}

static void attached(struct attach *attach, int status)
{
	struct cache *cache = attach->owner;
	struct runner_setup setup = {
		.config = config_of(cache),
		.kept = attach->kept,
		.host = &cache_runner_host,
		.context = cache,
		.state_changed = state_changed,
		.completed = request_completed,
		.hold_changed = hold_changed,
		.troubles_changed = troubles_changed,
		.returned = segments_returned,
		.owner = cache,
	};

	cache->file = attach->fd;
	if (status == 0) {
		space_granted(
			&cache->space, attach->granted_bytes,
			settings_reservation(cache->host, cache->instance));
		look_below(cache, &setup.config.below);
		/* A later start must be able to tell that the log is void. */
		setup.config.may_withdraw =
			cache->disk->read_only || setup.config.below.found != 0;
		setup.file = cache->file;
		status = runner_create(&setup, &cache->runner, &cache->failure);
	} else {
		cache->failure = attach->error;
	}
	if (status < 0)
		open_fail(cache);
	else
		runner_start(cache->runner);
}

void cache_open(struct forebay_instance *instance,
		const struct forebay_host *host,
		const struct forebay_disk *disk, void **ret_state)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (!cache) {
		host->explain(instance, "no memory for the cache filter");
		host->open_done(instance, -ENOMEM);
		return;
	}
	cache->host = host;
	cache->instance = instance;
	cache->disk = disk;
	cache->file = -1;
	cache->hold_again.expired = cache_hold_again;
	cache->hold_again.owner = cache;
	cache->attach.host = host;
	cache->attach.instance = instance;
	cache->attach.disk = disk;
	cache->attach.done = attached;
	cache->attach.kept_bytes = kept_bytes;
	cache->attach.owner = cache;
	space_init(&cache->space, host, instance);
	*ret_state = cache;
	attach_start(&cache->attach);
}

static void runner_end(void *context)
{
	struct cache *cache = context;

	runner_close(cache->runner, closed, cache);
}

/* Dirty data stays in the log: draining is an action of its own. */
void cache_close(void *state)
{
	struct cache *cache = state;

	cache->host->timer_cancel(cache->instance, &cache->hold_again);
	bypass_cancel(cache);
	attach_cancel(&cache->attach);
	cache->closing = true;
	cache->clean = cache->bypass.on || runner_clean(cache->runner);
	if (cache->taking_back)
		return;
	if (cache->runner)
		space_end(&cache->space, runner_end, cache);
	else
		closed(cache);
}
