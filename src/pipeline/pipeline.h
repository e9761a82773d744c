/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipeline.h - one disk's chain of filters over its backend.
 *
 *   export -> request -> filter 0 -> filter 1 -> ... -> backend
 *
 * An export takes a request from the pool, fills in its first part and submits
 * it; done() is called once, on the loop, when the chain has completed it. A
 * request owns the context bytes of every filter, so nothing is allocated on
 * the way. Iovecs must be aligned to 512 in address and length: an export
 * bounces what isn't (and counts the copied bytes).
 */
#ifndef FOREBAY_PIPELINE_PIPELINE_H
#define FOREBAY_PIPELINE_PIPELINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "backend.h"
#include "claim.h"
#include "error.h"
#include "forebay/filter.h"
#include "loop.h"

struct pipeline;
struct pipeline_event; /* pipeline_event.h */

/* Most requests in flight through one pipeline. */
#define PIPELINE_REQUESTS_MAX 4096u
/* Most iovec entries in a request; exports publish smaller limits. */
#define PIPELINE_IOV_MAX FOREBAY_IOV_MAX
/* Most bytes in a READ or WRITE. */
#define PIPELINE_LENGTH_MAX FOREBAY_LENGTH_MAX
#define PIPELINE_FILTERS_MAX 16u

/* What an export sees of a request. */
struct pipeline_request {
	enum forebay_operation operation;
	uint32_t flags; /* FOREBAY_FUA ... */
	uint64_t offset;
	uint64_t length;
	const struct iovec *iov; /* the export's, until done() */
	uint32_t iov_count;
	struct forebay_extents *extents; /* EXTENTS: the export's, likewise */
	void (*done)(struct pipeline_request *request, int status);
	void *owner;
	uint64_t submitted_ns; /* the pipeline's: for latency */
};

/* One filter of the chain as the control plane names it. */
struct pipeline_filter_spec {
	const char *name;
	const char *library; /* absolute path of the .so */
	const json_t *properties; /* object; NULL = all defaults */
	const char *daemon_socket; /* NULL if it has no daemon */
};

struct pipeline_open_request {
	uint8_t uuid[16];
	const char *name;
	const char *backend_uri;
	uint64_t size_bytes; /* as the control plane knows it: must match */
	bool read_only;
	/* Its backend stays open for the opens after this one's close. */
	bool keep;
	bool grow; /* a backend that is smaller is made that large */
	bool kept_memory_good; /* forebay_disk's, of the same name */
	/*
	 * How long a filter that doesn't say that it holds requests may have
	 * one; 0: a minute.
	 */
	uint64_t held_limit_ns;
	const struct pipeline_filter_spec *filters; /* from the VM down */
	uint32_t filter_count;
	uint64_t lock_timeout_ns;
	/*
	 * What is kept beside the backend; lives as long as the pipeline. NULL:
	 * nothing.
	 */
	const struct claim_spec *claim;
	/* @error is valid during the call; @pipeline is NULL on failure. */
	void (*done)(struct pipeline_open_request *request, int status,
		     struct pipeline *pipeline, const struct error *error);
	/* May be NULL. What it is that opens now, or what it waits for. */
	void (*progress)(void *owner, const char *reason);
	/*
	 * May be NULL. An event is over: it has happened, or doesn't. As long
	 * as the pipeline lives.
	 */
	void (*happened)(void *owner, const struct pipeline_event *event);
	/* May be NULL. What a filter wants to be known later. As long. */
	void (*reported)(void *owner, const char *filter, const char *what,
			 const char *text);
	void *owner;
};

/*
 * Puts the filters into class order, opens the backend, then the filters from
 * the bottom up. @request lives until done(); all that it points to is copied.
 * Order: done() may be called before this returns.
 */
void pipeline_open(struct loop *loop, struct pipeline_open_request *request);
/*
 * Closes the filters from the top down, then the backend. No request and no
 * action may be under way. done() comes with 0 or the first failure; the
 * pipeline is gone.
 */
void pipeline_close(struct pipeline *pipeline,
		    void (*done)(void *context, int status), void *context);

/*
 * For a process that opens the pipeline only after its doors are closed: what
 * the filter will need then is loaded and opened, for good. Returns: 0 or
 * @error's code.
 */
int pipeline_keep_filter(const struct pipeline_filter_spec *spec,
			 const char *disk, struct error *error);

uint64_t pipeline_size_bytes(const struct pipeline *pipeline);
const uint8_t *pipeline_uuid(const struct pipeline *pipeline);
bool pipeline_read_only(const struct pipeline *pipeline);
/*
 * Operations that the whole chain takes as they are: FOREBAY_OPERATION_BIT()s.
 * DISCARD and WRITE_ZEROES may be submitted without it: the one is then without
 * effect and counted, the other becomes writes of zeros and takes its time
 * (with FOREBAY_FAST it fails with -EOPNOTSUPP). EXTENTS and CACHE may always
 * be submitted: where they aren't known all is data, and the hint has no
 * effect.
 */
uint32_t pipeline_operations(const struct pipeline *pipeline);

/* Returns: a request, or NULL when PIPELINE_REQUESTS_MAX are in flight. */
struct pipeline_request *pipeline_request_get(struct pipeline *pipeline);
void pipeline_request_put(struct pipeline *pipeline,
			  struct pipeline_request *request);
/*
 * The caller has checked that the request lies within the disk, in whole blocks
 * of 512 bytes and within the limits above; a FLUSH has no range; a DISCARD,
 * WRITE_ZEROES, EXTENTS or CACHE no data and no limit but the disk; an EXTENTS
 * an empty list of at least FOREBAY_EXTENTS_MIN entries. A request that changes
 * a read-only disk ends with -EROFS. Order: done() may be called before this
 * returns.
 */
void pipeline_submit(struct pipeline *pipeline,
		     struct pipeline_request *request);

/*
 * Gives up a request that doesn't end. One that hasn't entered the chain ends
 * now, with -ECANCELED. Of any other done() is called when it has really ended,
 * for it can't be called back; until then its iovec and memory belong to it,
 * and later requests that overlap it wait. Its `done` and `owner` may be
 * changed. Returns: true if done() was called.
 */
bool pipeline_abandon(struct pipeline *pipeline,
		      struct pipeline_request *request);

/* What has been given up and hasn't ended. */
struct pipeline_stuck {
	uint32_t requests;
	uint32_t waiting; /* because they overlap one of those */
	uint64_t ns; /* since the oldest was given up */
};
/* Order: a pipeline with stuck requests can't be closed. */
void pipeline_stuck(const struct pipeline *pipeline,
		    struct pipeline_stuck *ret_stuck);

void pipeline_count_copied(struct pipeline *pipeline, uint64_t bytes);
/* Counters, latency histogram summaries and each filter's status document. */
json_t *pipeline_stats(const struct pipeline *pipeline);
/* Asks filters to bring what they hold down to the backend, which is flushed
 * then. */
#define PIPELINE_ACTION_FLUSH "flush"
/* The VM is on its way to another host, and may be there soon; or it stays.
 * Not for filters that are told of FOREBAY_EVENT_MIGRATE. */
#define PIPELINE_ACTION_HOLD "hold" /* and a number of seconds */
#define PIPELINE_ACTION_MIGRATION_BEGIN "migration-begin"
#define PIPELINE_ACTION_MIGRATION_END "migration-end"
/*
 * Runs a named action of filter @filter, or of every filter that knows it, from
 * the VM down, when @filter is NULL. done() gets 0, -ENOENT (no such filter),
 * -ENOTSUP (nobody knows the action) or the first failure.
 */
void pipeline_action(struct pipeline *pipeline, const char *filter,
		     const char *action,
		     void (*done)(void *context, int status), void *context);
/*
 * @changes: an object of the filters' names, with the properties that change.
 * All is checked and asked before anything is applied: done() gets NULL, or why
 * all is as it was. Order: maybe before this returns.
 */
void pipeline_set_properties(struct pipeline *pipeline, const json_t *changes,
			     void (*done)(void *context,
					  const struct error *error),
			     void *context);
/*
 * Calls a declared action of filter @filter. done() gets the result, which it
 * owns, or NULL for none; or the error, which is valid during the call.
 */
void pipeline_call(struct pipeline *pipeline, const char *filter,
		   const char *action, const json_t *arguments,
		   void (*done)(void *context, json_t *result,
				const struct error *error),
		   void *context);

#endif
