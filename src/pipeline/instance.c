// SPDX-License-Identifier: Apache-2.0
/*
 * instance.c - the life of an instance, on its disk's loop.
 *
 * Both ends (of open and of close) are reported in a later step of the loop:
 * a filter may call open_done() inside its open(), before its state is known.
 */
#include "instance.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter_files.h"
#include "host_services.h"
#include "log.h"

/* Room for a filter's status document: first try, last try. */
#define STATUS_BYTES_MIN 4096u
#define STATUS_BYTES_MAX 32768u

int instance_create(struct instance_home *home,
		    const struct pipeline_filter_spec *spec,
		    struct forebay_instance **ret_instance, struct error *error)
{
	struct forebay_instance *instance = calloc(1, sizeof(*instance));
	int status;

	if (!instance)
		return error_set(error, -ENOMEM, "out of memory");
	instance->home = home;
	status = filter_library_open(spec->library, &instance->library, error);
	if (status < 0)
		goto fail;
	instance->filter = &instance->library->filter;
	if (strcmp(instance->filter->name, spec->name) != 0) {
		status = error_set(
			error, -EINVAL, "%s holds the filter '%s', not '%s'",
			spec->library, instance->filter->name, spec->name);
		goto fail;
	}
	status = properties_create(instance->filter->properties,
				   instance->filter->name, spec->properties,
				   &instance->properties, error);
	if (status < 0)
		goto fail;
	status = filter_files_keep(instance->filter, instance->properties,
				   home->disk.name, error);
	if (status < 0)
		goto fail;
	status = filter_metrics_create(instance->filter->metrics,
				       &instance->metrics);
	if (status < 0) {
		error_set(error, status, "out of memory");
		goto fail;
	}
	if (spec->daemon_socket) {
		instance->daemon_socket = strdup(spec->daemon_socket);
		if (!instance->daemon_socket) {
			status = error_set(error, -ENOMEM, "out of memory");
			goto fail;
		}
	}
	*ret_instance = instance;
	return 0;
fail:
	instance_destroy(instance);
	return status;
}

void instance_destroy(struct forebay_instance *instance)
{
	if (!instance)
		return;
	assert(instance->phase == INSTANCE_CLOSED);
	instance_sidecars_close(instance);
	instance_io_release(instance);
	copies_release(&instance->copies);
	arena_release(&instance->arena);
	properties_destroy(instance->properties);
	filter_metrics_destroy(instance->metrics);
	filter_library_close(instance->library);
	free(instance->daemon_socket);
	free(instance);
}

void instance_join(struct forebay_instance *instance)
{
	const struct forebay_filter *filter = instance->filter;
	const struct chain_layer layer = {
		.submit = filter->submit,
		.completed = filter->completed,
		.operations = filter->operations,
		.context_bytes = filter->request_context_bytes,
		.zero_context = filter->request_context_bytes > 0,
		.name = filter->name,
		.copies = filter->flags & FOREBAY_FILTER_COPIES
				  ? &instance->copies
				  : NULL,
	};

	instance->layer = chain_add(instance->home->chain, &layer);
	instance->running = running_filter(filter->name, instance->layer);
}

/* Everything that could still call into the instance must be over. */
static void check_quiet(const struct forebay_instance *instance)
{
	bool closing = instance->phase == INSTANCE_CLOSING;
	const char *function = closing ? "close_done()" : "open_done()";
	const struct running_place *before = instance_enter(
		instance, closing ? RUNNING_CLOSE : RUNNING_OPEN);

	if (instance->ios.count > 0)
		running_misuse(instance->filter->name, function,
			       "with an io under way");
	if (instance->timers_armed > 0)
		running_misuse(instance->filter->name, function,
			       "with a timer armed");
	if (instance->deferred > 0)
		running_misuse(instance->filter->name, function,
			       "with work deferred");
	if (instance->works > 0)
		running_misuse(instance->filter->name, function,
			       "with work under way");
	running_leave(before);
}

static void on_end(struct loop_deferred *deferred)
{
	struct forebay_instance *instance = deferred->owner;
	bool opened = instance->phase == INSTANCE_OPENING &&
		      instance->end_status == 0;

	if (opened) {
		struct chain_layer *layer =
			&instance->home->chain->layers[instance->layer];

		instance->phase = INSTANCE_OPEN;
		layer->state = instance->state;
	} else {
		check_quiet(instance);
		instance->sidecars.waited_for =
			!instance_sidecars_quiet(instance);
		if (instance->sidecars.waited_for)
			return;
		instance->phase = INSTANCE_CLOSED;
		daemon_link_destroy(instance->link);
		instance->link = NULL;
	}
	instance->ended(instance, instance->end_status);
}

/* It has said its end, which is carried out later. */
static bool has_ended(const struct forebay_instance *instance)
{
	return instance->end.queued || instance->sidecars.waited_for;
}

void instance_end_quietly(struct forebay_instance *instance)
{
	instance->sidecars.waited_for = false;
	loop_defer(instance->home->loop, &instance->end);
}

void instance_end(struct forebay_instance *instance,
		  enum instance_state expected, int status)
{
	const char *function =
		expected == INSTANCE_OPENING ? "open_done()" : "close_done()";

	if (instance->phase != expected)
		running_misuse(instance->filter->name, function,
			       expected == INSTANCE_OPENING
				       ? "of an instance that isn't opening"
				       : "of an instance that isn't closing");
	if (has_ended(instance))
		running_misuse(instance->filter->name, function,
			       "for the second time");
	instance->end_status = status;
	instance->end.run = on_end;
	instance->end.owner = instance;
	loop_defer(instance->home->loop, &instance->end);
}

/* Memory that the filter's requests and ios will need. */
static int prepare(struct forebay_instance *instance)
{
	int status = instance_io_prepare(instance);

	if (status == 0 && instance->filter->flags & FOREBAY_FILTER_COPIES)
		status = copies_init(&instance->copies, instance->home->loop,
				     &instance->home->copied_bytes);
	return status;
}

void instance_open(struct forebay_instance *instance,
		   void (*ended)(struct forebay_instance *instance, int status),
		   void *owner)
{
	const struct running_place *before;

	instance->ended = ended;
	instance->owner = owner;
	instance->phase = INSTANCE_OPENING;
	if (prepare(instance) < 0) {
		instance_end(instance, INSTANCE_OPENING, -ENOMEM);
		return;
	}
	before = instance_enter(instance, RUNNING_OPEN);
	instance->filter->open(instance, &host_services, &instance->home->disk,
			       &instance->state);
	running_leave(before);
}

static void call_close(struct forebay_instance *instance)
{
	const struct running_place *before =
		instance_enter(instance, RUNNING_CLOSE);

	instance->filter->close(instance->state);
	running_leave(before);
}

void instance_close(struct forebay_instance *instance,
		    void (*ended)(struct forebay_instance *instance,
				  int status),
		    void *owner)
{
	assert(instance->phase == INSTANCE_OPEN);
	instance->ended = ended;
	instance->owner = owner;
	instance->phase = INSTANCE_CLOSING;
	if (instance->works > 0)
		instance->close_waits = true;
	else
		call_close(instance);
}

void instance_quiet(struct forebay_instance *instance)
{
	if (!instance->close_waits || instance->works > 0)
		return;
	instance->close_waits = false;
	call_close(instance);
}

/*
 * The daemon's side of the callbacks: NULL ones are left out by the link. An
 * instance that has said its end may have freed its state already, although the
 * end is carried out only when this batch of events is over.
 */

static void on_link_state(void *owner, bool connected)
{
	struct forebay_instance *instance = owner;

	const struct running_place *before;

	if (!instance->filter->channel_state || has_ended(instance))
		return;
	before = instance_enter(instance, RUNNING_CHANNEL_STATE);
	instance->filter->channel_state(instance->state, connected);
	running_leave(before);
}

static void on_link_message(void *owner, const void *bytes, size_t count,
			    const int *fds, uint32_t fd_count)
{
	struct forebay_instance *instance = owner;
	const struct running_place *before;

	if (has_ended(instance)) {
		for (uint32_t i = 0; i < fd_count; i++)
			close(fds[i]);
		return;
	}
	before = instance_enter(instance, RUNNING_CHANNEL_MESSAGE);
	instance->filter->channel_message(instance->state, bytes, count, fds,
					  fd_count);
	running_leave(before);
}

static void on_link_memory(void *owner, const char *name, void *address,
			   uint64_t bytes, int status)
{
	struct forebay_instance *instance = owner;

	const struct running_place *before;

	if (!instance->filter->memory_ready || has_ended(instance))
		return;
	before = instance_enter(instance, RUNNING_MEMORY);
	instance->filter->memory_ready(instance->state, name, address, bytes,
				       status);
	running_leave(before);
}

int instance_link(struct forebay_instance *instance)
{
	const struct daemon_link_handler handler = {
		.state = on_link_state,
		.message = instance->filter->channel_message ? on_link_message
							     : NULL,
		.memory = on_link_memory,
		.owner = instance,
	};
	struct daemon_link_options options = {
		.socket = instance->daemon_socket,
		.filter = instance->filter->name,
	};

	if (!instance->daemon_socket)
		return -ENOENT;
	if (instance->link)
		return -EALREADY;
	memcpy(options.disk_uuid, instance->home->disk.uuid,
	       sizeof(options.disk_uuid));
	return daemon_link_create(instance->home->loop, &options, &handler,
				  &instance->link);
}

/* Returns: the filter's own document, or one that says why there is none. */
static json_t *filter_document(const struct forebay_instance *instance)
{
	const struct running_place *before;
	json_t *document = NULL;
	int length = -ENOSPC;

	for (size_t bytes = STATUS_BYTES_MIN;
	     length == -ENOSPC && bytes <= STATUS_BYTES_MAX; bytes *= 2) {
		char *buffer = malloc(bytes);

		if (!buffer)
			break;
		before = instance_enter(instance, RUNNING_STATUS);
		length = instance->filter->status(instance->state, buffer,
						  bytes);
		running_leave(before);
		if (length >= 0 && (size_t)length < bytes)
			document = json_loadb(buffer, (size_t)length, 0, NULL);
		free(buffer);
	}
	if (json_is_object(document))
		return document;
	json_decref(document);
	return json_pack("{s:s}", "error",
			 "the filter gave no valid status document");
}

/* Calls that the watchdog saw keep the loop. */
static json_t *blocked_document(struct running_filter *running)
{
	return json_pack("{s:I, s:I}", "count",
			 (json_int_t)atomic_load(&running->blocked_count),
			 "longest_ns",
			 (json_int_t)atomic_load(&running->blocked_longest_ns));
}

json_t *instance_status(const struct forebay_instance *instance)
{
	const struct forebay_filter *filter = instance->filter;
	json_t *status = instance->phase == INSTANCE_OPEN && filter->status
				 ? filter_document(instance)
				 : json_object();

	return json_pack(
		"{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "name",
		filter->name, "version", filter->version, "class",
		filter_class_name(filter->filter_class), "properties",
		properties_document(instance->properties), "status", status,
		"event", instance_event_document(instance), "metrics",
		filter_metrics_document(instance->metrics), "blocked",
		blocked_document(instance->running), "sidecars",
		instance_sidecars_document(instance), "arena_bytes",
		(json_int_t)arena_used_bytes(&instance->arena));
}

/* Such a filter isn't told the same twice. */
static bool is_told_by_event(const struct forebay_instance *instance,
			     const char *action)
{
	return instance->filter->events &
		       FOREBAY_EVENT_BIT(FOREBAY_EVENT_MIGRATE) &&
	       (strcmp(action, PIPELINE_ACTION_MIGRATION_BEGIN) == 0 ||
		strcmp(action, PIPELINE_ACTION_MIGRATION_END) == 0);
}

void instance_action(struct forebay_instance *instance, const char *name,
		     void (*done)(void *context, int status), void *context)
{
	const struct running_place *before;

	if (instance->phase != INSTANCE_OPEN || !instance->filter->action ||
	    is_told_by_event(instance, name)) {
		done(context, -ENOTSUP);
		return;
	}
	before = instance_enter(instance, RUNNING_ACTION);
	instance->filter->action(instance->state, name, done, context);
	running_leave(before);
}
