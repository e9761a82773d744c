/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipeline_scene.h - a whole pipeline to test: a real loop, real filter
 * libraries, and a backend over memory.
 *
 * The probe filters write what happens to them into `events`. A watchdog fails
 * the test that waits for what never comes.
 */
#ifndef FOREBAY_TESTS_PIPELINE_SCENE_H
#define FOREBAY_TESTS_PIPELINE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first. */
#include <cmocka.h>

#include "loop.h"
#include "memory_backend.h"
#include "pipeline.h"

#define EVENTS_BYTES 1024u
#define FILTERS_MAX (PIPELINE_FILTERS_MAX + 1)

struct scene {
	struct loop *loop;
	struct loop_timer watchdog;
	struct pipeline_open_request opening;
	struct pipeline_filter_spec filters[FILTERS_MAX];
	char libraries[FILTERS_MAX][512];
	struct pipeline *pipeline;
	int status; /* of what the loop ran for */
	struct error error;
	char progress[256];
};

extern char events[EVENTS_BYTES];

int scene_begin(void **state);
int scene_end(void **state);
#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

/* Adds a filter; @properties is JSON or NULL. */
void add(struct scene *scene, const char *name, const char *properties);
/* Returns: what it ended with; scene->pipeline is there if 0. */
int open_pipeline(struct scene *scene);
void close_pipeline(struct scene *scene);
/* One request of one block, from or to @block. Returns: its status. */
int run_request(struct scene *scene, enum forebay_operation operation,
		uint64_t offset, void *block);

/* Gives one filter other properties. Returns: 0, or scene->error's code. */
int set_properties(struct scene *scene, const char *filter, const char *json);

/* For what runs until loop_run() is stopped: they set the scene's status. */
void on_done(void *context, int status);
void on_request_done(struct pipeline_request *request, int status);

#endif
