/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runner.h - runs the actions of a cache engine for whoever hosts it.
 *
 *   host                          runner                      engine
 *   runner_submit()        ->                          ->     engine_submit()
 *   io done                ->  gathers a batch         ->     engine_io_done()
 *   deferred, timer        ->                          ->     engine_poll()
 *   io_submit()            <-                          <-     actions
 *   completed()            <-                          <-     requests
 *
 * The engine is asked once a batch: whatever arrives in one turn of the host's
 * loop may share a record of the log. The host is a table of functions in the
 * shapes of the filter API, so that a filter passes its own through; a daemon
 * with an event loop of its own can offer the same ones.
 *
 * One thread: the host's loop. Nothing is allocated after runner_create().
 */
#ifndef FOREBAY_RUNNER_RUNNER_H
#define FOREBAY_RUNNER_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "error.h"
#include "forebay/filter.h"
#include "list.h"

struct runner;

/* What a host offers; @context is its own, the first argument of each. */
struct runner_host {
	/* On the file, or on FOREBAY_BELOW. */
	void (*io_submit)(void *context, struct forebay_io *io);
	uint64_t (*now_ns)(void *context);
	void (*timer_arm)(void *context, struct forebay_timer *timer,
			  uint64_t delay_ns);
	void (*timer_cancel)(void *context, struct forebay_timer *timer);
	void (*defer)(void *context, struct forebay_deferred *deferred);
	void (*count_copied)(void *context, uint64_t bytes);
	/*
	 * Runs ENGINE_VOID, and may block; @why the SSD is out of use. NULL if
	 * config.may_withdraw is false. Returns: 0 or a negative errno.
	 */
	int (*say_void)(void *context, bool lost, const struct error *why);
};

struct runner_setup {
	struct engine_config config;
	/* O_DIRECT, exclusively locked. The host's, until the runner is gone.
	 */
	int file;
	/*
	 * engine_kept_bytes(), for engine_memory.kept, if there is memory that
	 * outlives the process; else NULL, and config.warm says nothing. The
	 * host's, until the runner is gone.
	 */
	void *kept;
	const struct runner_host *host;
	void *context; /* the host's */
	/*
	 * RUNNING: requests may come. FAILED: @failure says why, and every
	 * request fails; comes at most once, also after RUNNING.
	 */
	void (*state_changed)(void *owner, enum engine_state state,
			      const struct error *failure);
	void (*completed)(void *owner, struct engine_request *request);
	/* Of a hold: its state is another one. NULL is fine. */
	void (*hold_changed)(void *owner, const struct engine_hold *hold);
	/* What engine_troubles() says is another. NULL: nobody asks. */
	void (*troubles_changed)(void *owner,
				 const struct engine_troubles *troubles);
	/* runner_next_returned() has something. NULL: nobody asks. */
	void (*returned)(void *owner);
	void *owner; /* of the callbacks */
};

/* Returns: 0, -ENOMEM or -EINVAL with words in @error. */
int runner_create(const struct runner_setup *setup, struct runner **ret_runner,
		  struct error *error);
/* Recovers the log; state_changed() reports, later. */
void runner_start(struct runner *runner);
/*
 * Brings what was started to an end, closes the log (engine_close()) and frees
 * the runner; then done(). No request may be in flight. Dirty data stays in the
 * log.
 */
void runner_close(struct runner *runner, void (*done)(void *context),
		  void *context);
/*
 * Frees it as a kill would: nothing is finished, and the host is not told. The
 * host must have forgotten it: no io, timer or deferred work of it may be left.
 * NULL is fine.
 */
void runner_destroy(struct runner *runner);

void runner_submit(struct runner *runner, struct engine_request *request);

/*
 * A wish to have all that is acknowledged now destaged. Owns: the caller owns
 * it until done(), which comes with 0 as soon as that is below and below has
 * been flushed, or with -EIO when the engine has failed or can't read what it
 * should bring down. If below has taken nothing for RUNNER_DRAIN_STALL_NS, it
 * comes with why it refuses, or -ETIMEDOUT: it doesn't answer. Writes that come
 * later don't delay it.
 */
#define RUNNER_DRAIN_STALL_NS 30000000000ull
struct runner_drain {
	void (*done)(struct runner_drain *drain, int status);
	void *owner;
	/* The runner's: */
	struct list node;
	struct engine_point point;
	uint64_t began_ns;
};
void runner_drain(struct runner *runner, struct runner_drain *drain);

/* As engine_hold(), engine_release() and engine_hold_now(). */
int runner_hold(struct runner *runner, uint64_t timeout_ns);
int runner_release(struct runner *runner);
struct engine_hold runner_hold_now(const struct runner *runner);

/*
 * As engine_dirty_run(), in bytes. Returns: -EIO when the engine has failed.
 */
int runner_dirty_run(const struct runner *runner, uint64_t offset,
		     uint64_t length, uint64_t *ret_length, bool *ret_dirty);

/* As engine_next_lost(), in bytes. */
bool runner_next_lost(const struct runner *runner, uint64_t *offset,
		      uint64_t *ret_length);

bool runner_may_fill(const struct runner *runner);

void runner_set_mode(struct runner *runner, enum engine_mode mode);
void runner_set_durable_writes(struct runner *runner, bool durable_writes);
void runner_set_max_dirty_age(struct runner *runner, uint64_t age_ns);
void runner_set_max_dirty_bytes(struct runner *runner, uint64_t max_bytes);
void runner_set_destage_rate(struct runner *runner, uint64_t bytes_per_s);
/* As engine_set_grant() and the functions that stand beside it. */
void runner_set_grant(struct runner *runner, uint32_t segments);
bool runner_next_returned(struct runner *runner, struct engine_segment *ret);
bool runner_next_away(const struct runner *runner, uint32_t from,
		      struct engine_segment *ret);
void runner_take_segment(struct runner *runner, uint32_t number);
void runner_stats(struct runner *runner, struct engine_stats *ret_stats);
bool runner_curve(const struct runner *runner, struct engine_curve *ret_curve);
/* As of the last turn. */
struct engine_troubles runner_troubles(const struct runner *runner);
bool runner_draining(const struct runner *runner);
/* As engine_clean(). */
bool runner_clean(const struct runner *runner);

#endif
