// SPDX-License-Identifier: Apache-2.0
/*
 * test_extents.c - questions about a range, and hints, through whole pipelines
 * over a backend of memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "extents.h"
#include "loop.h"
#include "memory_backend.h"
#include "pipeline.h"

#define HOLE MEMORY_BACKEND_HOLE_BYTES
#define HOLE_FLAGS (FOREBAY_EXTENT_HOLE | FOREBAY_EXTENT_ZERO)

struct scene {
	struct loop *loop;
	struct loop_timer watchdog;
	struct pipeline_open_request opening;
	struct pipeline_filter_spec filters[2];
	char probe[512];
	struct pipeline *pipeline;
	struct forebay_extent list[FOREBAY_EXTENTS_MIN];
	struct forebay_extents extents;
	int status;
	bool ended;
	bool read_only;
};

static const char *filter_dir;
static const char *null_library;

void probe_note(const char *filter, const char *event);

__attribute__((visibility("default"))) void probe_note(const char *filter,
						       const char *event)
{
	(void)filter;
	(void)event;
}

static void on_watchdog(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the loop waited for something that never came");
}

static void end(struct scene *scene, int status)
{
	scene->status = status;
	scene->ended = true;
	loop_stop(scene->loop);
}

static int wait_for_end(struct scene *scene)
{
	while (!scene->ended)
		assert_int_equal(loop_run(scene->loop), 0);
	scene->ended = false;
	return scene->status;
}

static void on_opened(struct pipeline_open_request *request, int status,
		      struct pipeline *pipeline, const struct error *error)
{
	struct scene *scene = request->owner;

	(void)error;
	scene->pipeline = pipeline;
	end(scene, status);
}

static void on_closed(void *context, int status)
{
	end(context, status);
}

/* Over the backend: the null filter, and under it one that knows no extents. */
static void open_pipeline(struct scene *scene, unsigned int filter_count)
{
	scene->filters[0] = (struct pipeline_filter_spec){
		.name = "null", .library = null_library};
	snprintf(scene->probe, sizeof(scene->probe), "%s/probe-bottom.so",
		 filter_dir);
	scene->filters[1] = (struct pipeline_filter_spec){
		.name = "probe-bottom", .library = scene->probe};
	scene->opening = (struct pipeline_open_request){
		.name = "db1",
		.backend_uri = "memory:",
		.size_bytes = MEMORY_BACKEND_BYTES,
		.read_only = scene->read_only,
		.filters = scene->filters,
		.filter_count = filter_count,
		.done = on_opened,
		.owner = scene,
	};
	pipeline_open(scene->loop, &scene->opening);
	assert_int_equal(wait_for_end(scene), 0);
}

static int begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	assert_int_equal(loop_create(&scene->loop), 0);
	scene->watchdog.expired = on_watchdog;
	loop_timer_arm(scene->loop, &scene->watchdog, 20 * NS_PER_SECOND);
	memory_backend_reset();
	/* Two holes, two blocks of data, and holes. */
	memset(memory_backend.image + 2 * HOLE, 'd', 2 * HOLE);
	*state = scene;
	return 0;
}

static int finish(void **state)
{
	struct scene *scene = *state;

	if (scene->pipeline) {
		pipeline_close(scene->pipeline, on_closed, scene);
		assert_int_equal(wait_for_end(scene), 0);
	}
	loop_timer_cancel(scene->loop, &scene->watchdog);
	loop_destroy(scene->loop);
	free(scene);
	return 0;
}

static void on_done(struct pipeline_request *request, int status)
{
	end(request->owner, status);
}

static int run(struct scene *scene, enum forebay_operation operation,
	       uint32_t flags, uint64_t offset, uint64_t length)
{
	struct pipeline_request *request =
		pipeline_request_get(scene->pipeline);
	int status;

	*request = (struct pipeline_request){
		.operation = operation,
		.flags = flags,
		.offset = offset,
		.length = length,
		.extents = &scene->extents,
		.done = on_done,
		.owner = scene,
	};
	scene->extents = (struct forebay_extents){
		.list = scene->list,
		.capacity = FOREBAY_EXTENTS_MIN,
	};
	pipeline_submit(scene->pipeline, request);
	status = wait_for_end(scene);
	pipeline_request_put(scene->pipeline, request);
	return status;
}

static void expect(const struct scene *scene, unsigned int i, uint64_t length,
		   uint32_t flags)
{
	assert_true(i < scene->extents.count);
	assert_int_equal(scene->list[i].length, length);
	assert_int_equal(scene->list[i].flags, flags);
	assert_int_equal(scene->list[i].reserved, 0);
}

static void equal_neighbours_become_one(void **state)
{
	struct forebay_extent list[2];
	struct forebay_extents extents = {list, 2, 0};

	(void)state;
	assert_true(extents_add(&extents, 512, 0));
	assert_true(extents_add(&extents, 1024, 0));
	assert_true(extents_add(&extents, 512, HOLE_FLAGS));
	assert_false(extents_add(&extents, 512, 0));
	assert_true(extents_add(&extents, 512, HOLE_FLAGS));
	assert_int_equal(extents.count, 2);
	assert_int_equal(list[0].length, 1536);
	assert_int_equal(list[1].length, 1024);
}

static void extents_come_up_through_filters_that_know_them(void **state)
{
	struct scene *scene = *state;

	open_pipeline(scene, 1);
	assert_int_equal(run(scene, FOREBAY_EXTENTS, 0, HOLE, 8 * HOLE), 0);
	/* The backend tells more than that, which is cut. */
	assert_int_equal(scene->extents.count, 3);
	expect(scene, 0, HOLE, HOLE_FLAGS);
	expect(scene, 1, 2 * HOLE, 0);
	expect(scene, 2, 5 * HOLE, HOLE_FLAGS);
}

static void a_list_that_is_full_ends_the_answer(void **state)
{
	struct scene *scene = *state;

	for (unsigned int i = 0; i < MEMORY_BACKEND_BYTES / HOLE; i += 2)
		memory_backend.image[(size_t)i * HOLE] = 'd';
	open_pipeline(scene, 1);
	assert_int_equal(run(scene, FOREBAY_EXTENTS, 0, 4 * HOLE,
			     MEMORY_BACKEND_BYTES - 4 * HOLE),
			 0);
	assert_int_equal(scene->extents.count, FOREBAY_EXTENTS_MIN);
	expect(scene, 15, HOLE, HOLE_FLAGS);
}

static void above_a_filter_without_extents_all_is_data(void **state)
{
	struct scene *scene = *state;

	open_pipeline(scene, 2);
	assert_int_equal(run(scene, FOREBAY_EXTENTS, 0, HOLE, 8 * HOLE), 0);
	assert_int_equal(scene->extents.count, 1);
	expect(scene, 0, 8 * HOLE, 0);
}

static void over_a_backend_without_extents_all_is_data(void **state)
{
	struct scene *scene = *state;

	memory_backend.operations = 0x07;
	open_pipeline(scene, 1);
	assert_int_equal(run(scene, FOREBAY_EXTENTS, 0, 0, HOLE), 0);
	assert_int_equal(scene->extents.count, 1);
	expect(scene, 0, HOLE, 0);
}

static void a_read_only_disk_tells_its_extents(void **state)
{
	struct scene *scene = *state;

	scene->read_only = true;
	open_pipeline(scene, 0);
	assert_int_equal(run(scene, FOREBAY_EXTENTS, 0, 0, HOLE), 0);
	expect(scene, 0, HOLE, HOLE_FLAGS);
	assert_int_equal(run(scene, FOREBAY_CACHE, 0, 0, HOLE), 0);
	assert_int_equal(run(scene, FOREBAY_WRITE_ZEROES, 0, 0, HOLE), -EROFS);
}

static void a_failure_of_the_backend_is_passed_up(void **state)
{
	struct scene *scene = *state;

	open_pipeline(scene, 1);
	memory_backend.fail_status = -EIO;
	assert_int_equal(run(scene, FOREBAY_EXTENTS, 0, 0, HOLE), -EIO);
}

static void a_hint_ends_where_it_is_not_known(void **state)
{
	struct scene *scene = *state;

	open_pipeline(scene, 1);
	assert_int_equal(run(scene, FOREBAY_CACHE, 0, 0, 4096), 0);
	assert_int_equal(memory_backend.cache_count, 1);
	pipeline_close(scene->pipeline, on_closed, scene);
	assert_int_equal(wait_for_end(scene), 0);
	open_pipeline(scene, 2);
	assert_int_equal(run(scene, FOREBAY_CACHE, 0, 0, 4096), 0);
	assert_int_equal(memory_backend.cache_count, 1);
}

static void zeroes_that_must_be_fast_are_not_written(void **state)
{
	struct scene *scene = *state;

	memory_backend.operations = 0x07;
	open_pipeline(scene, 1);
	assert_int_equal(
		run(scene, FOREBAY_WRITE_ZEROES, FOREBAY_FAST, 2 * HOLE, HOLE),
		-EOPNOTSUPP);
	assert_int_equal(memory_backend.write_count, 0);
	assert_int_equal(memory_backend.image[2 * HOLE], 'd');
	/* Without the flag they are. */
	assert_int_equal(run(scene, FOREBAY_WRITE_ZEROES, 0, 2 * HOLE, HOLE),
			 0);
	assert_int_equal(memory_backend.image[2 * HOLE], 0);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_neighbours_become_one),
		SCENE_TEST(extents_come_up_through_filters_that_know_them),
		SCENE_TEST(a_list_that_is_full_ends_the_answer),
		SCENE_TEST(above_a_filter_without_extents_all_is_data),
		SCENE_TEST(over_a_backend_without_extents_all_is_data),
		SCENE_TEST(a_read_only_disk_tells_its_extents),
		SCENE_TEST(a_failure_of_the_backend_is_passed_up),
		SCENE_TEST(a_hint_ends_where_it_is_not_known),
		SCENE_TEST(zeroes_that_must_be_fast_are_not_written),
	};

	filter_dir = getenv("TEST_FILTER_DIR");
	null_library = getenv("TEST_NULL_FILTER");
	assert(filter_dir && null_library);
	return cmocka_run_group_tests_name("extents", tests, NULL, NULL);
}
