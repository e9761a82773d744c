/* SPDX-License-Identifier: Apache-2.0 */
/*
 * running.h - whose code runs now.
 *
 * Each callback of a filter is entered and left through here, so that whoever
 * ends the process, blocks its loop or breaks a rule is known by name:
 *
 *   crash handler   names the filter and its callback
 *   watchdog.h      another thread, which sees that a callback doesn't end
 *   chain.c         a request is completed by a filter that doesn't have it
 *
 * Entering costs two loads and three stores. Calls nest: a filter that forwards
 * is inside of its submit() while the next one's runs.
 *
 * What the marker points to is never freed, because the watchdog and a signal
 * handler may look at any time.
 *
 * Thread: the marker is the thread's own; filters are made on one thread.
 */
#ifndef FOREBAY_PIPELINE_RUNNING_H
#define FOREBAY_PIPELINE_RUNNING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum running_callback {
	RUNNING_OPEN,
	RUNNING_CLOSE,
	RUNNING_SUBMIT,
	RUNNING_COMPLETED,
	RUNNING_PROPERTIES,
	RUNNING_CHANNEL_STATE,
	RUNNING_CHANNEL_MESSAGE,
	RUNNING_MEMORY,
	RUNNING_STATUS,
	RUNNING_ACTION,
	RUNNING_IO,
	RUNNING_TIMER,
	RUNNING_DEFERRED,
	RUNNING_EVENT,
	RUNNING_CALL,
	RUNNING_WORK,
};

#define RUNNING_CALLBACKS 16u
/* With the NUL. */
#define RUNNING_NAME_BYTES 32u
/* A filter at one place of the chain is one; more share the last. */
#define RUNNING_FILTERS_MAX 64u
/* `layer` of who may be anywhere. */
#define RUNNING_LAYER_ANY UINT32_MAX

struct running_filter;

struct running_place {
	struct running_filter *filter;
	const char *callback;
	uint32_t layer;
};

struct running_filter {
	char name[RUNNING_NAME_BYTES]; /* "": not a filter, ours */
	struct running_place places[RUNNING_CALLBACKS];
	/* The watchdog's: calls that took too long, and the longest. */
	_Atomic uint64_t blocked_count;
	_Atomic uint64_t blocked_longest_ns;
};

/* One thread's marker. */
struct running {
	_Atomic(const struct running_place *) place; /* NULL: nobody's */
	_Atomic uint64_t calls; /* so many were entered */
	/* Set by the watchdog when it goes to sleep: who enters wakes it. */
	_Atomic bool unwatched;
};

extern _Thread_local struct running running_here
	__attribute__((tls_model("initial-exec")));

/* Whom messages are about; copied. */
void running_set_disk(const char *name);
const char *running_disk(void);

/* The same for the same name and layer, for good. @name: NULL for ours. */
struct running_filter *running_filter(const char *name, uint32_t layer);
const char *running_callback_name(enum running_callback callback);

__attribute__((cold)) void running_wake_watchdog(void);
/* Called by running_wake_watchdog(); NULL: there is none. */
void running_set_waker(void (*wake)(void));

/* Returns: what ran before, for running_leave(). */
static inline const struct running_place *running_enter(
	const struct running_filter *filter, enum running_callback callback)
{
	const struct running_place *before =
		atomic_load_explicit(&running_here.place, memory_order_relaxed);
	uint64_t calls =
		atomic_load_explicit(&running_here.calls, memory_order_relaxed);

	atomic_store_explicit(&running_here.calls, calls + 1,
			      memory_order_relaxed);
	atomic_store_explicit(&running_here.place, &filter->places[callback],
			      memory_order_relaxed);
	if (__builtin_expect(atomic_load_explicit(&running_here.unwatched,
						  memory_order_relaxed),
			     0))
		running_wake_watchdog();
	return before;
}

static inline void running_leave(const struct running_place *before)
{
	atomic_store_explicit(&running_here.place, before,
			      memory_order_relaxed);
}

static inline const struct running_place *running_now(void)
{
	return atomic_load_explicit(&running_here.place, memory_order_relaxed);
}

/*
 * A filter broke a rule that we can see: says so, and aborts. @function is the
 * host's, and @rule goes on from there: "request_complete()", "of a request
 * that has ended". @filter names it where nobody's code is marked.
 */
void running_misuse(const char *filter, const char *function, const char *rule)
	__attribute__((cold, noreturn));
/* The line that it said, for who reports the end; "": it wasn't called. */
const char *running_last_words(void);

#endif
