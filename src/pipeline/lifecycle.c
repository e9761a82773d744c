// SPDX-License-Identifier: Apache-2.0
/*
 * lifecycle.c - how a pipeline comes up and goes down.
 *
 *   libraries loaded, order checked -> backend open and locked -> chain built
 *   -> filters open, lowest first -> open
 *
 * A filter may use the layers below it from its open() to its close_done(), and
 * that is why the order is what it is. When a step fails, what is open already
 * is closed the same way as in a normal close.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "pipeline_object.h"
#include "quantity.h"

#define BLOCK_BYTES 512u
/* Room for a size as text. */
#define SIZE_TEXT_BYTES 32u
/* Longest reason why opening takes time. */
#define PROGRESS_BYTES 512u
/* Between two looks at a sidecar that somebody has. */
#define CLAIM_RETRY_NS (10 * NS_PER_MS)

__attribute__((format(printf, 2, 3))) static void progress(
	const struct pipeline *pipeline, const char *format, ...)
{
	const struct pipeline_open_request *opening = pipeline->opening;
	char reason[PROGRESS_BYTES];
	va_list arguments;

	if (!opening->progress)
		return;
	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	opening->progress(opening->owner, reason);
}

static void destroy(struct pipeline *pipeline)
{
	held_stop(&pipeline->held);
	for (uint32_t i = 0; i < pipeline->instance_count; i++)
		instance_sidecars_close(pipeline->instances[i]);
	/* All that a filter brought down has been flushed by it. */
	claim_end(&pipeline->home.claim, pipeline->bottom.backend,
		  !pipeline->opening && pipeline->close_status == 0);
	request_pool_release(&pipeline->pool);
	fallback_release(&pipeline->fallback);
	for (uint32_t i = 0; i < pipeline->instance_count; i++)
		instance_destroy(pipeline->instances[i]);
	worker_pool_destroy(pipeline->home.workers);
	backend_close(pipeline->bottom.backend);
	free(pipeline->name);
	free(pipeline);
}

/* Everything that was open is closed. */
static void finish_close(struct pipeline *pipeline)
{
	struct pipeline_open_request *opening = pipeline->opening;
	struct error error = pipeline->error;
	void (*closed)(void *context, int status) = pipeline->closed;
	void *context = pipeline->closed_context;
	int status = pipeline->close_status;

	destroy(pipeline);
	if (opening)
		opening->done(opening, error.code, NULL, &error);
	else
		closed(context, status);
}

static void close_next(struct pipeline *pipeline);

static void on_closed(struct forebay_instance *instance, int status)
{
	struct pipeline *pipeline = instance->owner;

	if (status < 0) {
		log_error("filter %s failed to close disk %s: %s",
			  instance->filter->name, pipeline->name,
			  strerror(-status));
		if (pipeline->close_status == 0)
			pipeline->close_status = status;
	}
	pipeline->open_count--;
	close_next(pipeline);
}

static void close_next(struct pipeline *pipeline)
{
	uint32_t top = pipeline->instance_count - pipeline->open_count;

	if (pipeline->open_count == 0)
		finish_close(pipeline);
	else
		instance_close(pipeline->instances[top], on_closed, pipeline);
}

/* What the disk's life does to all of its filters at once. */
static void begin_life_event(struct pipeline *pipeline,
			     enum forebay_event_kind kind,
			     void (*done)(struct pipeline_event *event,
					  int status))
{
	pipeline->life = (struct pipeline_event){
		.kind = kind,
		.done = done,
		.owner = pipeline,
	};
}

static void on_close_told(struct pipeline_event *event, int status)
{
	(void)status;
	pipeline_event_release(event);
	close_next(event->owner);
}

void pipeline_close(struct pipeline *pipeline,
		    void (*done)(void *context, int status), void *context)
{
	assert(!pipeline->opening && pipeline->in_flight == 0 &&
	       pipeline->actions == 0);
	pipeline->closed = done;
	pipeline->closed_context = context;
	held_stop(&pipeline->held);
	begin_life_event(pipeline, FOREBAY_EVENT_CLOSE, on_close_told);
	pipeline_event_pre(pipeline, &pipeline->life);
}

static void on_open_told(struct pipeline_event *event, int status)
{
	struct pipeline *pipeline = event->owner;
	struct pipeline_open_request *opening = pipeline->opening;

	(void)status;
	pipeline_event_release(event);
	pipeline->opening = NULL;
	opening->done(opening, 0, pipeline, NULL);
}

/* For the claim: the labels of all sidecars first. */
static int note_generations(void *owner, uint64_t found, uint64_t next,
			    struct error *error)
{
	struct pipeline *pipeline = owner;
	int status = 0;

	for (uint32_t i = 0; i < pipeline->instance_count && status == 0; i++)
		status = instance_sidecars_note(pipeline->instances[i], found,
						next, error);
	return status;
}

/* The backend may be written from here on, and no filter has refused. */
static int settle_claim(struct pipeline *pipeline)
{
	int status = claim_take(&pipeline->home.claim, &pipeline->error);

	for (uint32_t i = 0; i < pipeline->instance_count && status == 0; i++)
		status = instance_sidecars_accept(pipeline->instances[i],
						  &pipeline->error);
	return status;
}

static void tell_open(struct pipeline *pipeline)
{
	held_start(&pipeline->held, pipeline->opening->held_limit_ns
					    ? pipeline->opening->held_limit_ns
					    : HELD_LIMIT_NS);
	begin_life_event(pipeline, FOREBAY_EVENT_OPEN, on_open_told);
	pipeline_event_post(pipeline, &pipeline->life);
}

static void on_attached(struct pipeline *pipeline, int status)
{
	if (status < 0 || settle_claim(pipeline) < 0)
		close_next(pipeline);
	else
		pipeline_attached(pipeline, tell_open);
}

static void finish_open(struct pipeline *pipeline)
{
	pipeline_attach(pipeline, on_attached);
}

static void open_next(struct pipeline *pipeline);

static void on_opened(struct forebay_instance *instance, int status)
{
	struct pipeline *pipeline = instance->owner;

	if (status == 0) {
		pipeline->open_count++;
		open_next(pipeline);
		return;
	}
	if (instance->explanation.code != 0)
		error_set(&pipeline->error, status, "filter %s: %s",
			  instance->filter->name,
			  instance->explanation.message);
	else
		error_set(&pipeline->error, status,
			  "filter %s can't open disk %s: %s",
			  instance->filter->name, pipeline->name,
			  strerror(-status));
	close_next(pipeline);
}

static void open_next(struct pipeline *pipeline)
{
	struct forebay_instance *instance;

	if (pipeline->open_count == pipeline->instance_count) {
		finish_open(pipeline);
		return;
	}
	instance = pipeline->instances[pipeline->instance_count -
				       pipeline->open_count - 1];
	progress(pipeline, "filter %s", instance->filter->name);
	instance_open(instance, on_opened, pipeline);
}

/* Durable before anything may rely on it. */
static int grow_backend(struct pipeline *pipeline)
{
	struct backend *backend = pipeline->bottom.backend;
	const struct pipeline_open_request *opening = pipeline->opening;
	int status;

	if (!opening->grow ||
	    backend_info(backend)->size_bytes >= opening->size_bytes)
		return 0;
	status = claim_will_change(&pipeline->home.claim, &pipeline->error);
	if (status < 0)
		return status;
	return backend_grow(backend, opening->size_bytes, &pipeline->error);
}

static int check_backend(struct pipeline *pipeline,
			 const struct backend_info *info)
{
	const struct pipeline_open_request *opening = pipeline->opening;
	char actual[SIZE_TEXT_BYTES];
	char known[SIZE_TEXT_BYTES];

	/* Who makes a device larger and then the disk wants both to live on
	 * in between. */
	if (info->resized_elsewhere && info->size_bytes > opening->size_bytes)
		return 0;
	if (info->size_bytes != opening->size_bytes)
		return error_set(&pipeline->error, -EINVAL,
				 "disk %s is %s, but its backend %s is %s: "
				 "give the disk its backend's size",
				 pipeline->name,
				 quantity_format_size(opening->size_bytes,
						      known, sizeof(known)),
				 opening->backend_uri,
				 quantity_format_size(info->size_bytes, actual,
						      sizeof(actual)));
	return 0;
}

static int build_chain(struct pipeline *pipeline)
{
	int status;

	for (uint32_t i = 0; i < pipeline->instance_count; i++)
		instance_join(pipeline->instances[i]);
	bottom_join(&pipeline->bottom, &pipeline->chain);
	status = request_pool_init(&pipeline->pool, &pipeline->chain,
				   pipeline->chain.context_bytes,
				   PIPELINE_REQUESTS_MAX);
	if (status == 0)
		status =
			fallback_prepare(&pipeline->fallback,
					 pipeline->home.loop, &pipeline->chain);
	if (status < 0)
		error_set(&pipeline->error, status, "out of memory");
	return status;
}

static void claim_again(struct loop_timer *timer);

/*
 * Nothing of the backend has been looked at or changed before this. A killed
 * predecessor's lock on the sidecar may be gone a little later than the one on
 * the image. Returns: 0, -EINPROGRESS (it goes on later) or the error's code.
 */
static int begin_claim(struct pipeline *pipeline)
{
	const struct claim_spec *spec = pipeline->opening->claim;
	struct claim *claim = &pipeline->home.claim;
	int status = 0;

	if (spec && !pipeline->claimed) {
		status = claim_begin(spec, pipeline->bottom.backend, claim,
				     &pipeline->error);
		claim->raising = note_generations;
		claim->raising_owner = pipeline;
		pipeline->claimed = status == 0;
	}
	for (uint32_t i = 0; i < pipeline->instance_count && status == 0; i++)
		status = instance_sidecars_open(pipeline->instances[i],
						&pipeline->error);
	if (status != -EBUSY ||
	    loop_now_ns(pipeline->home.loop) >= pipeline->claim_deadline_ns)
		return status;
	progress(pipeline, "%s", pipeline->error.message);
	pipeline->claim_retry.expired = claim_again;
	pipeline->claim_retry.owner = pipeline;
	loop_timer_arm(pipeline->home.loop, &pipeline->claim_retry,
		       CLAIM_RETRY_NS);
	return -EINPROGRESS;
}

static void open_filters(struct pipeline *pipeline)
{
	struct backend *backend = pipeline->bottom.backend;
	int status = begin_claim(pipeline);

	if (status == -EINPROGRESS)
		return;
	if (status == 0)
		status = grow_backend(pipeline);
	if (status == 0)
		status = check_backend(pipeline, backend_info(backend));
	if (status == 0)
		status = build_chain(pipeline);
	if (status < 0)
		close_next(pipeline);
	else
		open_next(pipeline);
}

static void claim_again(struct loop_timer *timer)
{
	open_filters(timer->owner);
}

static void on_backend_waiting(struct backend_open_request *request,
			       const char *reason)
{
	progress(request->owner, "%s", reason);
}

static void on_backend_open(struct backend_open_request *request, int status,
			    struct backend *backend, const struct error *error)
{
	struct pipeline *pipeline = request->owner;

	pipeline->bottom.backend = backend;
	if (status < 0) {
		error_set(&pipeline->error, status, "%s", error->message);
		close_next(pipeline);
		return;
	}
	if (__builtin_add_overflow(loop_now_ns(pipeline->home.loop),
				   pipeline->opening->lock_timeout_ns,
				   &pipeline->claim_deadline_ns))
		pipeline->claim_deadline_ns = UINT64_MAX;
	open_filters(pipeline);
}

/* Puts @instance in its place: stable by class, from the VM down. */
static int insert_by_class(struct pipeline *pipeline,
			   struct forebay_instance *instance)
{
	enum forebay_class filter_class = instance->filter->filter_class;
	uint32_t place = pipeline->instance_count;

	while (place > 0 &&
	       pipeline->instances[place - 1]->filter->filter_class >
		       filter_class) {
		pipeline->instances[place] = pipeline->instances[place - 1];
		place--;
	}
	pipeline->instances[place] = instance;
	pipeline->instance_count++;
	if (place == 0 || filter_class == FOREBAY_CLASS_INSPECTION ||
	    pipeline->instances[place - 1]->filter->filter_class !=
		    filter_class)
		return 0;
	return error_set(&pipeline->error, -EINVAL,
			 "filters %s and %s of disk %s are both of class %s, "
			 "of which a disk can have one: remove one of them",
			 pipeline->instances[place - 1]->filter->name,
			 instance->filter->name, pipeline->name,
			 filter_class_name(filter_class));
}

static int load_filters(struct pipeline *pipeline)
{
	const struct pipeline_open_request *opening = pipeline->opening;

	if (opening->filter_count > PIPELINE_FILTERS_MAX)
		return error_set(&pipeline->error, -EINVAL,
				 "disk %s has %u filters, more than %u",
				 pipeline->name, opening->filter_count,
				 PIPELINE_FILTERS_MAX);
	for (uint32_t i = 0; i < opening->filter_count; i++) {
		struct forebay_instance *instance;
		int status =
			instance_create(&pipeline->home, &opening->filters[i],
					&instance, &pipeline->error);

		if (status == 0)
			status = insert_by_class(pipeline, instance);
		if (status < 0)
			return status;
	}
	return 0;
}

static int check_disk(struct pipeline *pipeline)
{
	uint64_t size_bytes = pipeline->opening->size_bytes;

	if (size_bytes > 0 && size_bytes % BLOCK_BYTES == 0 &&
	    size_bytes <= INT64_MAX)
		return 0;
	return error_set(&pipeline->error, -EINVAL,
			 "disk %s has a size of %" PRIu64
			 " bytes: it must be a multiple of %u",
			 pipeline->name, size_bytes, BLOCK_BYTES);
}

int pipeline_keep_filter(const struct pipeline_filter_spec *spec,
			 const char *disk, struct error *error)
{
	struct instance_home home = {.disk.name = disk};
	struct forebay_instance *instance;
	int status = filter_library_keep(spec->library, error);

	if (status == 0)
		status = instance_create(&home, spec, &instance, error);
	if (status == 0)
		instance_destroy(instance);
	return status;
}

/* Returns: NULL if there is no memory. */
static struct pipeline *create(struct loop *loop,
			       struct pipeline_open_request *request)
{
	struct pipeline *pipeline = calloc(1, sizeof(*pipeline));
	char *name = strdup(request->name);

	if (!pipeline || !name) {
		free(pipeline);
		free(name);
		return NULL;
	}
	running_set_disk(name);
	pipeline->name = name;
	pipeline->opening = request;
	pipeline->home.loop = loop;
	pipeline->home.chain = &pipeline->chain;
	pipeline->home.disk = (struct forebay_disk){
		.struct_size = sizeof(struct forebay_disk),
		.logical_block_bytes = BLOCK_BYTES,
		.size_bytes = request->size_bytes,
		.name = name,
		.read_only = request->read_only,
		.kept_memory_good = request->kept_memory_good,
	};
	memcpy(pipeline->home.disk.uuid, request->uuid, sizeof(request->uuid));
	list_init(&pipeline->events);
	pipeline->happened = request->happened;
	pipeline->happened_owner = request->owner;
	pipeline->home.reported = request->reported;
	pipeline->home.reported_owner = request->owner;
	pipeline->held = (struct held){
		.loop = loop,
		.instances = pipeline->instances,
		.instance_count = &pipeline->instance_count,
		.pool = &pipeline->pool,
	};
	pipeline->bottom.loop = loop;
	pipeline->bottom.name = name;
	pipeline->bottom.copied_bytes = &pipeline->home.copied_bytes;
	return pipeline;
}

void pipeline_open(struct loop *loop, struct pipeline_open_request *request)
{
	struct pipeline *pipeline = create(loop, request);
	int status;

	if (!pipeline) {
		struct error error;
		int code = error_set(&error, -ENOMEM, "out of memory");

		request->done(request, code, NULL, &error);
		return;
	}
	status = check_disk(pipeline);
	if (status == 0)
		status = load_filters(pipeline);
	if (status < 0) {
		close_next(pipeline);
		return;
	}
	pipeline->backend_opening = (struct backend_open_request){
		.uri = request->backend_uri,
		.read_only = request->read_only,
		.keep = request->keep,
		.lock_timeout_ns = request->lock_timeout_ns,
		.waiting = on_backend_waiting,
		.done = on_backend_open,
		.owner = pipeline,
	};
	progress(pipeline, "backend %s", request->backend_uri);
	backend_open(loop, &pipeline->backend_opening);
}
