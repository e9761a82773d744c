// SPDX-License-Identifier: Apache-2.0
/* pipeline_scene.c - see pipeline_scene.h. */
#include "pipeline_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

char events[EVENTS_BYTES];

void probe_note(const char *filter, const char *event);

__attribute__((visibility("default"))) void probe_note(const char *filter,
						       const char *event)
{
	size_t used = strlen(events);

	/* All are called probe-...: the rest is enough. */
	snprintf(events + used, EVENTS_BYTES - used, "%s%s:%s", used ? " " : "",
		 filter + strlen("probe-"), event);
}

static void on_watchdog(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the loop waited for something that never came");
}

int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	assert_int_equal(loop_create(&scene->loop), 0);
	scene->watchdog.expired = on_watchdog;
	loop_timer_arm(scene->loop, &scene->watchdog, 20 * NS_PER_SECOND);
	scene->opening.name = "db1";
	scene->opening.backend_uri = "memory:";
	scene->opening.size_bytes = MEMORY_BACKEND_BYTES;
	scene->opening.filters = scene->filters;
	memory_backend_reset();
	events[0] = '\0';
	*state = scene;
	return 0;
}

int scene_end(void **state)
{
	struct scene *scene = *state;

	assert_null(scene->pipeline);
	assert_false(memory_backend.open);
	for (unsigned int i = 0; i < scene->opening.filter_count; i++)
		json_decref((json_t *)scene->filters[i].properties);
	loop_timer_cancel(scene->loop, &scene->watchdog);
	loop_destroy(scene->loop);
	free(scene);
	return 0;
}

void add(struct scene *scene, const char *name, const char *properties)
{
	const char *filter_dir = getenv("TEST_FILTER_DIR");
	const char *null_library = getenv("TEST_NULL_FILTER");
	unsigned int i = scene->opening.filter_count++;

	assert_non_null(filter_dir);
	assert_non_null(null_library);

	if (strcmp(name, "null") == 0)
		snprintf(scene->libraries[i], sizeof(scene->libraries[i]), "%s",
			 null_library);
	else
		snprintf(scene->libraries[i], sizeof(scene->libraries[i]),
			 "%s/%s.so", filter_dir, name);
	scene->filters[i].name = name;
	scene->filters[i].library = scene->libraries[i];
	if (properties) {
		scene->filters[i].properties = json_loads(properties, 0, NULL);
		assert_non_null(scene->filters[i].properties);
	}
}

static void on_opened(struct pipeline_open_request *request, int status,
		      struct pipeline *pipeline, const struct error *error)
{
	struct scene *scene = request->owner;

	scene->status = status;
	scene->pipeline = pipeline;
	if (error)
		scene->error = *error;
	loop_stop(scene->loop);
}

static void on_progress(void *owner, const char *reason)
{
	struct scene *scene = owner;

	snprintf(scene->progress, sizeof(scene->progress), "%s", reason);
}

int open_pipeline(struct scene *scene)
{
	scene->opening.done = on_opened;
	scene->opening.progress = on_progress;
	scene->opening.owner = scene;
	pipeline_open(scene->loop, &scene->opening);
	assert_int_equal(loop_run(scene->loop), 0);
	return scene->status;
}

void on_done(void *context, int status)
{
	struct scene *scene = context;

	scene->status = status;
	loop_stop(scene->loop);
}

void close_pipeline(struct scene *scene)
{
	pipeline_close(scene->pipeline, on_done, scene);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(scene->status, 0);
	scene->pipeline = NULL;
}

static void on_changed(void *context, const struct error *error)
{
	struct scene *scene = context;

	if (error)
		scene->error = *error;
	on_done(scene, error ? error->code : 0);
}

int set_properties(struct scene *scene, const char *filter, const char *json)
{
	json_t *changes = json_pack("{s:o}", filter, json_loads(json, 0, NULL));

	assert_non_null(changes);
	pipeline_set_properties(scene->pipeline, changes, on_changed, scene);
	json_decref(changes);
	assert_int_equal(loop_run(scene->loop), 0);
	return scene->status;
}

void on_request_done(struct pipeline_request *request, int status)
{
	on_done(request->owner, status);
}

int run_request(struct scene *scene, enum forebay_operation operation,
		uint64_t offset, void *block)
{
	struct pipeline_request *request =
		pipeline_request_get(scene->pipeline);
	struct iovec iov = {block, 512};

	assert_non_null(request);
	request->operation = operation;
	request->flags = 0;
	request->offset = offset;
	request->length = operation == FOREBAY_FLUSH ? 0 : 512;
	request->iov = block ? &iov : NULL;
	request->iov_count = block ? 1 : 0;
	request->done = on_request_done;
	request->owner = scene;
	pipeline_submit(scene->pipeline, request);
	assert_int_equal(loop_run(scene->loop), 0);
	pipeline_request_put(scene->pipeline, request);
	return scene->status;
}
