/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance.h - one filter on one disk.
 *
 *   instance_create   library loaded, properties checked, nothing runs
 *   instance_join     it is a layer of the chain
 *   instance_open     the filter's open(); ended() reports
 *   instance_close    the filter's close(); ended() reports
 *   instance_destroy  library unloaded
 *
 * The chain sees the filter's own callbacks; all else goes through here.
 */
#ifndef FOREBAY_PIPELINE_INSTANCE_H
#define FOREBAY_PIPELINE_INSTANCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "chain.h"
#include "claim.h"
#include "copies.h"
#include "daemon_link.h"
#include "error.h"
#include "filter_library.h"
#include "filter_metrics.h"
#include "instance_event.h"
#include "instance_io.h"
#include "instance_sidecar.h"
#include "properties.h"
#include "running.h"
#include "worker_pool.h"

enum instance_state {
	INSTANCE_CLOSED,
	INSTANCE_OPENING,
	INSTANCE_OPEN,
	INSTANCE_CLOSING
};

/* What the instances of one disk share; the pipeline's. */
struct instance_home {
	struct loop *loop;
	struct chain *chain;
	struct forebay_disk disk;
	struct claim claim; /* on the backend */
	uint64_t copied_bytes;
	/* Takes what filters report; NULL: nobody. */
	void (*reported)(void *owner, const char *filter, const char *what,
			 const char *text);
	void *reported_owner;
	struct worker_pool *workers; /* NULL: not needed yet */
	bool no_workers; /* they can't be had */
};

struct forebay_instance {
	struct instance_home *home;
	const struct forebay_filter *filter;
	void *state; /* the filter's */
	struct instance_ios ios;
	struct copies copies; /* zeros: the filter makes none */
	struct arena arena;
	uint32_t works; /* under way */
	uint32_t reports; /* that were taken */
	bool close_waits; /* for them */
	uint32_t timers_armed;
	uint32_t deferred;

	struct filter_library *library;
	struct properties *properties;
	struct properties *proposed; /* NULL: no change is under way */
	struct filter_metrics *metrics;
	char *daemon_socket; /* NULL: no daemon */
	struct daemon_link *link; /* NULL: not opened */
	struct error explanation; /* of a failing open() */
	enum instance_state phase;
	uint32_t overdue; /* requests that it has had for too long */
	uint32_t layer; /* number in the chain */
	struct running_filter *running; /* from instance_join() on */
	/* The end of open or close, never from inside of either. */
	void (*ended)(struct forebay_instance *instance, int status);
	void *owner;
	int end_status;
	struct loop_deferred end;
	struct forebay_event_end event;
	struct instance_sidecars sidecars;
};

int instance_create(struct instance_home *home,
		    const struct pipeline_filter_spec *spec,
		    struct forebay_instance **ret_instance,
		    struct error *error);
/* NULL is fine. */
void instance_destroy(struct forebay_instance *instance);

/* Makes it the next layer down. */
void instance_join(struct forebay_instance *instance);
/* Order: the chain has all its layers. On failure the explanation is filled. */
void instance_open(struct forebay_instance *instance,
		   void (*ended)(struct forebay_instance *instance, int status),
		   void *owner);
void instance_close(struct forebay_instance *instance,
		    void (*ended)(struct forebay_instance *instance,
				  int status),
		    void *owner);
/* Work of the instance has ended: a close may go on. */
void instance_quiet(struct forebay_instance *instance);
/* For the host table: open() or close() has ended. */
void instance_end(struct forebay_instance *instance,
		  enum instance_state expected, int status);

/* For its sidecars: what they did by themselves is over. */
void instance_end_quietly(struct forebay_instance *instance);

/* Opens the link to the filter's daemon. Returns: 0, -ENOENT (it has none),
 * -EALREADY. */
int instance_link(struct forebay_instance *instance);

/*
 * {name, version, class, properties, status, event, metrics, sidecars,
 * blocked}. Owns: the caller.
 */
json_t *instance_status(const struct forebay_instance *instance);
void instance_action(struct forebay_instance *instance, const char *name,
		     void (*done)(void *context, int status), void *context);

/* Marks that a callback of the filter runs. Returns: for running_leave(). */
static inline const struct running_place *instance_enter(
	const struct forebay_instance *instance, enum running_callback callback)
{
	return running_enter(instance->running, callback);
}

#endif
