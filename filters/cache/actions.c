// SPDX-License-Identifier: Apache-2.0
/* actions.c - what forebayd and the exports ask the cache to do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "held.h"
#include "object.h"

struct cache_action {
	struct runner_drain drain;
	void (*done)(void *context, int status);
	void *context;
};

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
	if (cache->bypass.on) {
		done(context, 0);
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
	/* As in any mode in which writes go straight below. */
	if (cache->bypass.on)
		return -EPROTONOSUPPORT;
	status = runner_hold(cache->runner, timeout_ns);
	return status == -EOPNOTSUPP ? -EPROTONOSUPPORT : status;
}

static int set_migrating(struct cache *cache, bool migrating)
{
	if (!cache->open)
		return -EAGAIN;
	cache->migrating = migrating;
	cache_apply_mode(cache);
	return 0;
}

void cache_action(void *state, const char *name,
		  void (*done)(void *context, int status), void *context)
{
	struct cache *cache = state;

	if (strcmp(name, "flush") == 0)
		flush(cache, done, context);
	else if (strncmp(name, HELD_ACTION, strlen(HELD_ACTION)) == 0)
		done(context, hold_below(cache, name));
	else if (strcmp(name, "release") == 0)
		done(context, cache->open && !cache->bypass.on
				      ? runner_release(cache->runner)
				      : -ENOENT);
	else if (strcmp(name, "migration-begin") == 0)
		done(context, set_migrating(cache, true));
	else if (strcmp(name, "migration-end") == 0)
		done(context, set_migrating(cache, false));
	else
		done(context, -ENOTSUP);
}
