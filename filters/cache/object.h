/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.h - one disk's instance of the cache filter, as its files share it.
 *
 *   opening.c   cache file, engine, what these report, and the close
 *   mode.c      which mode the engine is to be in, and what is said below
 *   bypass.c    going on without a cache, and back
 *   space.c     how much of the file the log has
 *   actions.c   flush, hold, migration
 *   cache.c     requests, status, and the filter's table
 *
 * Everything runs on the disk's loop.
 */
#ifndef FOREBAY_CACHE_OBJECT_H
#define FOREBAY_CACHE_OBJECT_H

#include "attach.h"
#include "bypass.h"
#include "error.h"
#include "forebay/filter.h"
#include "list.h"
#include "overlay.h"
#include "prefetch.h"
#include "runner.h"
#include "space.h"

struct cache {
	const struct forebay_host *host;
	struct forebay_instance *instance;
	const struct forebay_disk *disk;
	struct attach attach;
	struct runner *runner;
	struct space space;
	struct forebay_timer bye; /* forebay-cached may take so long for it */
	bool parting; /* it was sent a BYE */
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
	bool taking_back; /* the runner is on its way out, not for good */
	bool closing;
	struct bypass bypass;
};

/* Lives in the request's context bytes. */
struct cache_request {
	struct engine_request engine;
	struct forebay_request *request;
	struct overlay overlay; /* EXTENTS */
	struct prefetch_request hint; /* CACHE */
	struct list link; /* waits for a bypass to end */
	bool bypassed;
};

/* opening.c */
void cache_open(struct forebay_instance *instance,
		const struct forebay_host *host,
		const struct forebay_disk *disk, void **ret_state);
void cache_close(void *state);
/* A message or a state of the channel to forebay-cached. */
void cache_heard(struct cache *cache, const union pool_answer *answer);
void cache_unheard(struct cache *cache);

/* mode.c */
/*
 * Says below that the disk may hold what that lacks, if it may in @mode: the
 * first write-back write may come when this has succeeded. What the log still
 * has is held as well, whatever the mode is now. Returns: 0 or a negative
 * errno.
 */
int cache_hold(struct cache *cache, enum engine_mode mode);
/* A migration is on its way, and the mode would be write-back. */
bool cache_gives_way(const struct cache *cache);
void cache_apply_mode(struct cache *cache);
void cache_properties_changed(void *state);
/* For the timer that tries cache_hold() again. */
void cache_hold_again(struct forebay_timer *timer);

/* actions.c */
void cache_action(void *state, const char *name,
		  void (*done)(void *context, int status), void *context);

/* cache.c */
void cache_submit(void *state, struct forebay_request *request);

#endif
