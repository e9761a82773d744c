// SPDX-License-Identifier: Apache-2.0
/*
 * cache.c - the cache filter: a disk's requests through the cache engine.
 *
 *   submit() -> engine -> log on the SSD      (runner, io on our own file)
 *                      -> layers below        (runner, FOREBAY_BELOW)
 *
 * It opens in two steps: attach.c gets the cache file and its lock, then the
 * engine recovers what the log holds. Only then does open_done() let requests
 * in, so that no request meets a half-known cache. forebay-cached is needed for
 * the first step alone: afterwards its death changes nothing here.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "error.h"
#include "forebay/filter.h"
#include "held.h"
#include "log_format.h"
#include "lost.h"
#include "overlay.h"
#include "prefetch.h"
#include "runner.h"
#include "settings.h"
#include "status.h"

#define CACHE_EPOCH 1u
#define CACHE_RECORDS_IN_FLIGHT 4u
#define CACHE_DIRTY_LIMIT_PERCENT 70u
#define HOLD_AGAIN_NS (UINT64_C(60) * 1000 * 1000 * 1000)

struct cache {
	const struct forebay_host *host;
	struct forebay_instance *instance;
	const struct forebay_disk *disk;
	struct attach attach;
	struct runner *runner;
	struct prefetch prefetch;
	int file;
	bool open; /* open_done(0) was called */
	bool held; /* it is said that we hold what below lacks */
	bool clean; /* at the close: there was nothing */
	bool migrating; /* the VM may soon run elsewhere */
	int hold_error; /* why it isn't said; it is tried again */
	struct forebay_timer hold_again;
	struct engine_troubles troubles; /* that the log has */
	uint64_t lost_told; /* blocks */
	/* Of an open that is being taken back, or of the engine later on. */
	struct error failure;
};

/* Lives in the request's context bytes. */
struct cache_request {
	struct engine_request engine;
	struct forebay_request *request;
	struct overlay overlay; /* EXTENTS */
	struct prefetch_request hint; /* CACHE */
};

struct cache_action {
	struct runner_drain drain;
	void (*done)(void *context, int status);
	void *context;
};

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

/* The open failed: the file goes, and with it the lock. */
static void open_fail(struct cache *cache)
{
	const struct forebay_host *host = cache->host;
	struct forebay_instance *instance = cache->instance;
	int code = cache->failure.code;

	host->explain(instance, cache->failure.message);
	if (cache->file >= 0)
		close(cache->file);
	free(cache);
	host->open_done(instance, code);
}

static void runner_taken_back(void *context)
{
	struct cache *cache = context;

	cache->runner = NULL;
	open_fail(cache);
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

/*
 * The first write-back write may come when this has succeeded. What the log
 * still has is held as well, whatever the mode is now.
 */
static int hold(struct cache *cache, enum engine_mode mode)
{
	struct engine_stats stats = {0};
	bool holds;
	int status;

	runner_stats(cache->runner, &stats);
	holds = !cache->disk->read_only &&
		(mode == ENGINE_WRITE_BACK || stats.dirty_bytes > 0);
	/* Said once, it stands until the close. */
	if (cache->held || (cache->open && !holds))
		return 0;
	status = cache->host->below_hold(cache->instance, holds);
	cache->held = status == 0 && holds;
	return status;
}

static void begin(struct cache *cache)
{
	struct engine_stats stats = {0};
	int status;

	runner_stats(cache->runner, &stats);
	tell_forgotten(cache, &stats);
	status = hold(cache, settings_mode(cache->host, cache->instance));
	if (status < 0) {
		error_set(&cache->failure, status,
			  "the cache of disk '%s' can't start: no place to "
			  "say that it holds data: name one with --sidecar, "
			  "or don't cache write-back",
			  cache->disk->name);
		runner_close(cache->runner, runner_taken_back, cache);
		return;
	}
	cache->open = true;
	prefetch_begin(&cache->prefetch, cache->host, cache->instance,
		       cache->runner);
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
		if (cache->open) {
			cache->failure = *failure;
			cache->host->log(cache->instance, FOREBAY_LOG_ERROR,
					 "the cache has failed: %s",
					 failure->message);
			break;
		}
		error_set(&cache->failure, failure->code,
			  "the cache of disk '%s' can't start: %s",
			  cache->disk->name, failure->message);
		runner_close(cache->runner, runner_taken_back, cache);
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
		return;
	}
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
		.summaries = true,
		.may_format = cache->attach.unused,
		.warm = cache->disk->kept_memory_good,
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
		.owner = cache,
	};

	cache->file = attach->fd;
	if (status == 0) {
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

static void hold_again(struct forebay_timer *timer);

static void cache_open(struct forebay_instance *instance,
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
	cache->hold_again.expired = hold_again;
	cache->hold_again.owner = cache;
	cache->attach.host = host;
	cache->attach.instance = instance;
	cache->attach.disk = disk;
	cache->attach.done = attached;
	cache->attach.kept_bytes = kept_bytes;
	cache->attach.owner = cache;
	*ret_state = cache;
	attach_start(&cache->attach);
}

static void closed(void *context)
{
	struct cache *cache = context;
	const struct forebay_host *host = cache->host;
	struct forebay_instance *instance = cache->instance;

	prefetch_end(&cache->prefetch);
	/* Not before the log says so, too: now it is closed. */
	if (cache->clean)
		host->below_hold(instance, false);
	close(cache->file);
	free(cache);
	host->close_done(instance, 0);
}

/* Dirty data stays in the log: draining is an action of its own. */
static void cache_close(void *state)
{
	struct cache *cache = state;

	cache->host->timer_cancel(cache->instance, &cache->hold_again);
	cache->clean = runner_clean(cache->runner);
	runner_close(cache->runner, closed, cache);
}

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

/* Of all requests only EXTENTS are forwarded. */
static void cache_completed(void *state, struct forebay_request *request,
			    int status)
{
	struct cache *cache = state;
	const struct forebay_host *host = cache->host;
	struct cache_request *context = host->request_context(request);
	struct forebay_extents *extents = host->request_extents(request);

	if (status < 0)
		overlay_forget(&context->overlay, extents);
	else
		overlay_merge(&context->overlay, extents);
	host->request_complete(request, status);
}

static void cache_submit(void *state, struct forebay_request *request)
{
	struct cache *cache = state;
	const struct forebay_host *host = cache->host;
	struct cache_request *context = host->request_context(request);
	struct engine_request *engine = &context->engine;
	uint32_t flags = host->request_flags(request);

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

/*
 * What is dirty when the VM stops here keeps it from running elsewhere, so for
 * the time of a migration nothing gets dirty any more.
 */
static bool gives_way(const struct cache *cache)
{
	return cache->migrating &&
	       settings_mode(cache->host, cache->instance) == ENGINE_WRITE_BACK;
}

static void apply_mode(struct cache *cache)
{
	enum engine_mode mode =
		gives_way(cache) ? ENGINE_WRITE_THROUGH
				 : settings_mode(cache->host, cache->instance);
	int status;

	/* The log has the reason as well. */
	status = cache->open ? hold(cache, mode) : 0;
	cache->hold_error = mode == ENGINE_WRITE_BACK ? status : 0;
	if (status < 0) {
		mode = ENGINE_WRITE_THROUGH;
		cache->host->timer_arm(cache->instance, &cache->hold_again,
				       HOLD_AGAIN_NS);
	}
	runner_set_mode(cache->runner, mode);
}

/* What couldn't be said a minute ago may be possible now. */
static void hold_again(struct forebay_timer *timer)
{
	apply_mode(timer->owner);
}

static void cache_properties_changed(void *state)
{
	struct cache *cache = state;

	if (!cache->runner)
		return;
	apply_mode(cache);
	runner_set_durable_writes(
		cache->runner,
		settings_durable_writes(cache->host, cache->instance));
	runner_set_max_dirty_age(cache->runner,
				 settings_max_dirty_age_ns(cache->host,
							   cache->instance,
							   cache->disk));
	runner_set_max_dirty_bytes(
		cache->runner,
		settings_max_dirty_bytes(cache->host, cache->instance));
	runner_set_destage_rate(
		cache->runner,
		settings_destage_rate(cache->host, cache->instance));
}

static void cache_channel_state(void *state, bool connected)
{
	struct cache *cache = state;

	attach_channel_state(&cache->attach, connected);
}

static void cache_channel_message(void *state, const void *bytes, size_t count,
				  const int *fds, uint32_t fd_count)
{
	struct cache *cache = state;

	attach_message(&cache->attach, bytes, count, fds, fd_count);
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
		.gives_way = gives_way(cache),
		.hold_error = cache->hold_error,
		.troubles = cache->troubles,
		.now_ns = cache->host->now_ns(cache->instance),
	};

	if (cache->runner) {
		runner_stats(cache->runner, &status.stats);
		lost_find(cache->runner, &status);
		status.hold = runner_hold_now(cache->runner);
	}
	if (cache->open && cache->failure.code < 0)
		status.failure = cache->failure.message;
	return status_format(&status, buffer, buffer_bytes);
}

static void drained(struct runner_drain *drain, int status)
{
	struct cache_action *action = drain->owner;
	void (*done)(void *context, int status) = action->done;
	void *context = action->context;

	free(action);
	done(context, status);
}

static void flush(struct cache *cache, void (*done)(void *context, int status),
		  void *context)
{
	struct cache_action *action;
	struct engine_hold now;

	/* Nothing was ever dirty on a disk that can't be written. */
	if (!cache->open || cache->disk->read_only) {
		done(context, cache->open ? 0 : -EAGAIN);
		return;
	}
	now = runner_hold_now(cache->runner);
	if (held_stands(&now)) {
		done(context, -EBUSY);
		return;
	}
	action = calloc(1, sizeof(*action));
	if (!action) {
		done(context, -ENOMEM);
		return;
	}
	action->done = done;
	action->context = context;
	action->drain.done = drained;
	action->drain.owner = action;
	runner_drain(cache->runner, &action->drain);
}

/* It has begun; the status says when it is there. */
static int hold_below(struct cache *cache, const char *action)
{
	uint64_t timeout_ns;
	int status;

	if (!cache->open)
		return -EAGAIN;
	if (cache->disk->read_only)
		return -EROFS;
	status = held_parse(action, &timeout_ns);
	if (status < 0)
		return status;
	status = runner_hold(cache->runner, timeout_ns);
	return status == -EOPNOTSUPP ? -EPROTONOSUPPORT : status;
}

static int set_migrating(struct cache *cache, bool migrating)
{
	if (!cache->open)
		return -EAGAIN;
	cache->migrating = migrating;
	apply_mode(cache);
	return 0;
}

static void cache_action(void *state, const char *name,
			 void (*done)(void *context, int status), void *context)
{
	struct cache *cache = state;

	if (strcmp(name, "flush") == 0)
		flush(cache, done, context);
	else if (strncmp(name, HELD_ACTION, strlen(HELD_ACTION)) == 0)
		done(context, hold_below(cache, name));
	else if (strcmp(name, "release") == 0)
		done(context,
		     cache->open ? runner_release(cache->runner) : -ENOENT);
	else if (strcmp(name, "migration-begin") == 0)
		done(context, set_migrating(cache, true));
	else if (strcmp(name, "migration-end") == 0)
		done(context, set_migrating(cache, false));
	else
		done(context, -ENOTSUP);
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
};
