// SPDX-License-Identifier: Apache-2.0
/* test_pipeline.c - whole pipelines: life, order, requests, actions. */
#include "pipeline_scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect_refused(struct scene *scene, int code, const char *message)
{
	assert_int_equal(open_pipeline(scene), code);
	assert_null(scene->pipeline);
	assert_string_equal(scene->error.message, message);
}

static int run_action(struct scene *scene, const char *filter,
		      const char *action)
{
	pipeline_action(scene->pipeline, filter, action, on_done, scene);
	assert_int_equal(loop_run(scene->loop), 0);
	return scene->status;
}

static void filters_open_from_below_and_close_from_above(void **state)
{
	struct scene *scene = *state;

	/* Given in the wrong order: the class decides. */
	add(scene, "probe-bottom", NULL);
	add(scene, "probe-top", NULL);
	add(scene, "probe-middle", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_string_equal(events, "bottom:open middle:open top:open");
	assert_string_equal(scene->progress, "filter probe-top");
	close_pipeline(scene);
	assert_string_equal(events, "bottom:open middle:open top:open "
				    "top:close middle:close bottom:close");
}

static void a_filter_waits_until_the_one_below_is_open(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	add(scene, "probe-bottom", "{\"late\": \"5ms\"}");
	assert_int_equal(open_pipeline(scene), 0);
	assert_string_equal(events, "bottom:open bottom:late top:open");
	close_pipeline(scene);
}

static void a_filter_that_fails_to_open_takes_the_others_back(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	add(scene, "probe-middle", "{\"fail\": true}");
	add(scene, "probe-bottom", NULL);
	expect_refused(scene, -EACCES,
		       "filter probe-middle: it was told to fail");
	assert_string_equal(events, "bottom:open middle:open bottom:close");
}

static void two_filters_of_one_class_are_refused(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-bottom", NULL);
	add(scene, "probe-second", NULL);
	expect_refused(scene, -EINVAL,
		       "filters probe-bottom and probe-second of disk db1 are "
		       "both of class cache, of which a disk can have one: "
		       "remove one of them");
}

static void any_number_of_inspection_filters_is_fine(void **state)
{
	struct scene *scene = *state;

	add(scene, "null", NULL);
	add(scene, "probe-top", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	close_pipeline(scene);
}

static void more_filters_than_the_limit_are_refused(void **state)
{
	struct scene *scene = *state;

	for (unsigned int i = 0; i < PIPELINE_FILTERS_MAX; i++)
		add(scene, "null", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	close_pipeline(scene);
	add(scene, "null", NULL);
	expect_refused(scene, -EINVAL, "disk db1 has 17 filters, more than 16");
}

static void a_library_with_another_filter_is_refused(void **state)
{
	struct scene *scene = *state;
	char message[1024];

	add(scene, "probe-top", NULL);
	scene->filters[0].name = "cache";
	snprintf(message, sizeof(message),
		 "%s/probe-top.so holds the filter 'probe-top', not 'cache'",
		 getenv("TEST_FILTER_DIR"));
	expect_refused(scene, -EINVAL, message);
}

static void an_invalid_property_is_refused(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", "{\"fial\": true}");
	expect_refused(scene, -EINVAL,
		       "filter probe-top has no property 'fial': did you mean "
		       "'fail'? It knows fail, late, "
		       "untidy, stuck");
}

static void a_disk_must_have_its_backends_size(void **state)
{
	struct scene *scene = *state;

	scene->opening.size_bytes = 2 * MEMORY_BACKEND_BYTES;
	expect_refused(scene, -EINVAL,
		       "disk db1 is 8MiB, but its backend memory: is 4MiB: "
		       "give the disk its backend's size");
	scene->opening.size_bytes = MEMORY_BACKEND_BYTES - 1;
	expect_refused(scene, -EINVAL,
		       "disk db1 has a size of 4194303 bytes: it must be a "
		       "multiple of 512");
}

static void a_backend_that_fails_to_open_says_why(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	memory_backend.open_status = -EBUSY;
	expect_refused(scene, -EBUSY, "the image is locked");
	assert_string_equal(events, "");
}

static void what_was_written_through_filters_is_read_back(void **state)
{
	struct scene *scene = *state;
	_Alignas(512) unsigned char out[512];
	_Alignas(512) unsigned char in[512] = {0};

	add(scene, "null", NULL);
	add(scene, "probe-bottom", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	memset(out, 0xa5, sizeof(out));
	assert_int_equal(run_request(scene, FOREBAY_WRITE, 4096, out), 0);
	assert_int_equal(run_request(scene, FOREBAY_READ, 4096, in), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(run_request(scene, FOREBAY_FLUSH, 0, NULL), 0);
	assert_int_equal(memory_backend.flush_count, 1);
	close_pipeline(scene);
}

static void what_a_filter_does_not_understand_is_not_offered(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_false(pipeline_operations(scene->pipeline) &
		     FOREBAY_OPERATION_BIT(FOREBAY_DISCARD));
	close_pipeline(scene);
}

static void what_the_backend_can_not_do_is_not_offered(void **state)
{
	struct scene *scene = *state;

	memory_backend.operations = 0x07;
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(pipeline_operations(scene->pipeline), 0x07);
	close_pipeline(scene);
}

static void a_read_only_disk_refuses_changes(void **state)
{
	struct scene *scene = *state;
	_Alignas(512) unsigned char block[512] = {0};

	scene->opening.read_only = true;
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(pipeline_operations(scene->pipeline), 0x65);
	assert_int_equal(run_request(scene, FOREBAY_WRITE, 0, block), -EROFS);
	assert_int_equal(run_request(scene, FOREBAY_READ, 0, block), 0);
	assert_int_equal(run_request(scene, FOREBAY_FLUSH, 0, NULL), 0);
	close_pipeline(scene);
}

static json_int_t number_at(const json_t *document, const char *section,
			    const char *operation, const char *key)
{
	const json_t *at =
		json_object_get(json_object_get(document, section), operation);

	return json_integer_value(json_object_get(at, key));
}

static void stats_count_requests_bytes_and_errors(void **state)
{
	struct scene *scene = *state;
	_Alignas(512) unsigned char block[512] = {0};
	json_t *stats;
	json_t *filter;

	add(scene, "null", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	run_request(scene, FOREBAY_WRITE, 0, block);
	run_request(scene, FOREBAY_WRITE, 512, block);
	memory_backend.fail_status = -EIO;
	assert_int_equal(run_request(scene, FOREBAY_READ, 0, block), -EIO);
	pipeline_count_copied(scene->pipeline, 77);
	stats = pipeline_stats(scene->pipeline);
	assert_int_equal(number_at(stats, "requests", "write", "count"), 2);
	assert_int_equal(number_at(stats, "requests", "write", "bytes"), 1024);
	assert_int_equal(number_at(stats, "requests", "write", "errors"), 0);
	assert_int_equal(number_at(stats, "requests", "read", "errors"), 1);
	assert_int_equal(number_at(stats, "requests", "read", "bytes"), 0);
	assert_int_equal(
		json_integer_value(json_object_get(stats, "copied_bytes")), 77);
	assert_int_equal(
		json_integer_value(json_object_get(stats, "in_flight")), 0);
	assert_int_equal(
		json_integer_value(json_object_get(stats, "backend_errors")),
		1);
	filter = json_array_get(json_object_get(stats, "filters"), 0);
	assert_string_equal(json_string_value(json_object_get(filter, "name")),
			    "null");
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(filter, "status"), "errors")),
			 1);
	json_decref(stats);
	close_pipeline(scene);
}

static void ios_below_wait_their_turn_and_keep_their_order(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	add(scene, "null", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_action(scene, "probe-top", "many-below"), 0);
	assert_true(memory_backend.reads_in_order);
	assert_int_equal(memory_backend.last_read_offset, 1999 * 512);
	close_pipeline(scene);
}

static void an_io_below_never_ends_inside_of_its_start(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-bottom", NULL);
	memory_backend.at_once = true;
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_action(scene, "probe-bottom", "many-below"), 0);
	assert_true(memory_backend.reads_in_order);
	close_pipeline(scene);
}

static void an_io_below_that_leaves_the_disk_is_refused(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-bottom", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_action(scene, "probe-bottom", "bad-below"),
			 -EINVAL);
	close_pipeline(scene);
}

static void a_filter_does_every_operation_on_its_own_file(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-bottom", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_action(scene, "probe-bottom", "own-file"), 0);
	close_pipeline(scene);
}

static void the_flush_action_asks_all_filters_then_the_backend(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	add(scene, "null", NULL);
	add(scene, "probe-bottom", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	events[0] = '\0';
	assert_int_equal(run_action(scene, NULL, "flush"), 0);
	assert_string_equal(events, "top:flush bottom:flush");
	assert_int_equal(memory_backend.flush_count, 1);
	memory_backend.fail_status = -ENOSPC;
	assert_int_equal(run_action(scene, NULL, "flush"), -ENOSPC);
	close_pipeline(scene);
}

static void the_flush_action_is_done_at_once_on_a_read_only_disk(void **state)
{
	struct scene *scene = *state;

	scene->opening.read_only = true;
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_action(scene, NULL, "flush"), 0);
	assert_int_equal(memory_backend.flush_count, 0);
	assert_int_equal(run_action(scene, NULL, "dance"), -ENOTSUP);
	close_pipeline(scene);
}

static void an_action_that_nobody_knows_is_refused(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	add(scene, "null", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_action(scene, NULL, "dance"), -ENOTSUP);
	assert_int_equal(run_action(scene, "null", "flush"), -ENOTSUP);
	assert_int_equal(run_action(scene, "cache", "flush"), -ENOENT);
	close_pipeline(scene);
}

static void a_change_of_properties_reaches_the_filter(void **state)
{
	struct scene *scene = *state;
	const char *good = "{\"late\": \"1s\"}";
	const char *bad = "{\"fail\": true}";

	add(scene, "probe-top", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	events[0] = '\0';
	assert_int_equal(set_properties(scene, "probe-top", bad), -EBUSY);
	assert_string_equal(events, "");
	assert_int_equal(set_properties(scene, "probe-top", good), 0);
	assert_string_equal(events, "top:changed");
	assert_int_equal(set_properties(scene, "cache", good), -ENOENT);
	assert_string_equal(scene->error.message,
			    "disk db1 has no filter 'cache'");
	close_pipeline(scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(filters_open_from_below_and_close_from_above),
		SCENE_TEST(a_filter_waits_until_the_one_below_is_open),
		SCENE_TEST(a_filter_that_fails_to_open_takes_the_others_back),
		SCENE_TEST(two_filters_of_one_class_are_refused),
		SCENE_TEST(any_number_of_inspection_filters_is_fine),
		SCENE_TEST(more_filters_than_the_limit_are_refused),
		SCENE_TEST(a_library_with_another_filter_is_refused),
		SCENE_TEST(an_invalid_property_is_refused),
		SCENE_TEST(a_disk_must_have_its_backends_size),
		SCENE_TEST(a_backend_that_fails_to_open_says_why),
		SCENE_TEST(what_was_written_through_filters_is_read_back),
		SCENE_TEST(what_a_filter_does_not_understand_is_not_offered),
		SCENE_TEST(what_the_backend_can_not_do_is_not_offered),
		SCENE_TEST(a_read_only_disk_refuses_changes),
		SCENE_TEST(stats_count_requests_bytes_and_errors),
		SCENE_TEST(ios_below_wait_their_turn_and_keep_their_order),
		SCENE_TEST(an_io_below_never_ends_inside_of_its_start),
		SCENE_TEST(an_io_below_that_leaves_the_disk_is_refused),
		SCENE_TEST(a_filter_does_every_operation_on_its_own_file),
		SCENE_TEST(the_flush_action_asks_all_filters_then_the_backend),
		SCENE_TEST(
			the_flush_action_is_done_at_once_on_a_read_only_disk),
		SCENE_TEST(an_action_that_nobody_knows_is_refused),
		SCENE_TEST(a_change_of_properties_reaches_the_filter),
	};

	return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
