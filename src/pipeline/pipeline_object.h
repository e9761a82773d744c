/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline_object.h - what the files of a pipeline share. */
#ifndef FOREBAY_PIPELINE_PIPELINE_OBJECT_H
#define FOREBAY_PIPELINE_PIPELINE_OBJECT_H

#include "bottom.h"
#include "chain.h"
#include "fallback.h"
#include "fence.h"
#include "held.h"
#include "instance.h"
#include "latency.h"
#include "operation_name.h"
#include "pipeline.h"
#include "pipeline_event.h"
#include "request_pool.h"

struct operation_counters {
	uint64_t bytes;
	uint64_t errors;
	struct latency latency; /* its count is the number of requests */
};

struct pipeline {
	struct chain chain;
	struct request_pool pool;
	struct fallback fallback;
	struct fence fence;
	struct held held;
	uint32_t in_flight; /* requests of the exports */
	uint32_t actions; /* and phases of events, under way */
	struct list events; /* the first one is under way */
	struct loop_deferred next_event; /* begins */
	struct pipeline_event life; /* that the disk opens, or closes */
	char new_filters[CLAIM_FILTERS_BYTES]; /* on this disk */
	/* attachment.c's */
	void (*attach_done)(struct pipeline *pipeline, int status);
	void (*attached_done)(struct pipeline *pipeline);
	bool changing; /* properties */
	void (*happened)(void *owner, const struct pipeline_event *event);
	void *happened_owner;
	struct operation_counters counters[OPERATION_COUNT];

	struct instance_home home;
	struct bottom bottom;
	/*
	 * From the VM down, in class order. They open from the last one up and
	 * close from the first one down, so the open ones are always the last
	 * `open_count`.
	 */
	struct forebay_instance *instances[PIPELINE_FILTERS_MAX];
	uint32_t instance_count;
	uint32_t open_count;
	char *name;

	struct pipeline_open_request *opening; /* NULL once it is open */
	struct backend_open_request backend_opening;
	struct loop_timer claim_retry;
	uint64_t claim_deadline_ns;
	bool claimed; /* and the sidecars of filters are being opened */
	struct error error; /* why opening failed */
	void (*closed)(void *context, int status);
	void *closed_context;
	int close_status;
};

/*
 * Compares the filters with those that were attached before, tells the new
 * ones, and has noted who is attached when the claim is taken. done() comes
 * with 0 or pipeline->error's code; then pipeline_attached() ends it.
 */
void pipeline_attach(struct pipeline *pipeline,
		     void (*done)(struct pipeline *pipeline, int status));
void pipeline_attached(struct pipeline *pipeline,
		       void (*done)(struct pipeline *pipeline));

/* Returns: the filter's place in instances, or instance_count if it isn't one.
 */
uint32_t pipeline_find(const struct pipeline *pipeline, const char *filter);

#endif
