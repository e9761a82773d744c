// SPDX-License-Identifier: Apache-2.0
/* mode.c - which mode the engine is to be in, and what is said below. */
#include "object.h"
#include "settings.h"

#define HOLD_AGAIN_NS (UINT64_C(60) * 1000 * 1000 * 1000)

int cache_hold(struct cache *cache, enum engine_mode mode)
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

/*
 * What is dirty when the VM stops here keeps it from running elsewhere, so for
 * the time of a migration nothing gets dirty any more.
 */
bool cache_gives_way(const struct cache *cache)
{
	return cache->migrating &&
	       settings_mode(cache->host, cache->instance) == ENGINE_WRITE_BACK;
}

void cache_apply_mode(struct cache *cache)
{
	enum engine_mode mode =
		cache_gives_way(cache)
			? ENGINE_WRITE_THROUGH
			: settings_mode(cache->host, cache->instance);
	int status;

	/* It is when the cache is there again. */
	if (cache->bypass.on)
		return;
	/* The log has the reason as well. */
	status = cache->open ? cache_hold(cache, mode) : 0;
	cache->hold_error = mode == ENGINE_WRITE_BACK ? status : 0;
	if (status < 0) {
		mode = ENGINE_WRITE_THROUGH;
		cache->host->timer_arm(cache->instance, &cache->hold_again,
				       HOLD_AGAIN_NS);
	}
	runner_set_mode(cache->runner, mode);
}

/* What couldn't be said a minute ago may be possible now. */
void cache_hold_again(struct forebay_timer *timer)
{
	cache_apply_mode(timer->owner);
}

void cache_properties_changed(void *state)
{
	struct cache *cache = state;

	/* Otherwise it starts with them. */
	if (!cache->runner || cache->bypass.on)
		return;
	cache_apply_mode(cache);
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
