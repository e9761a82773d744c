// SPDX-License-Identifier: Apache-2.0
/*
 * test_old_filter.c - a filter that was built with the first header runs.
 *
 * test_filter_abi.c says that what it relies on is where it was; this says that
 * it still does what it did.
 */
#include "pipeline_scene.h"

#include <jansson.h>

static int64_t figure(const struct scene *scene, const char *name)
{
	json_t *stats = pipeline_stats(scene->pipeline);
	json_t *status = json_object_get(
		json_array_get(json_object_get(stats, "filters"), 0), "status");
	json_t *value = json_object_get(status, name);
	int64_t number = json_is_true(value) ? 1 : json_integer_value(value);

	json_decref(stats);
	return number;
}

static void its_open_reads_below_and_waits_for_a_timer(void **state)
{
	struct scene *scene = *state;

	add(scene, "abi-1", "{\"marks\": 3}");
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(figure(scene, "opened"), 1);
	close_pipeline(scene);
}

static void its_requests_go_down_and_come_back_with_their_context(void **state)
{
	struct scene *scene = *state;
	_Alignas(512) char block[512] = "data";

	add(scene, "null", NULL);
	add(scene, "abi-1", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_request(scene, FOREBAY_WRITE, 0, block), 0);
	block[0] = 'x';
	assert_int_equal(run_request(scene, FOREBAY_READ, 0, block), 0);
	assert_int_equal(run_request(scene, FOREBAY_FLUSH, 0, NULL), 0);
	assert_string_equal(block, "data");
	close_pipeline(scene);
}

static void its_status_and_its_actions_are_what_they_were(void **state)
{
	struct scene *scene = *state;
	_Alignas(512) char block[512] = "data";

	add(scene, "abi-1", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_request(scene, FOREBAY_WRITE, 0, block), 0);
	assert_int_equal(run_request(scene, FOREBAY_READ, 0, block), 0);
	assert_int_equal(figure(scene, "writes"), 1);
	assert_int_equal(figure(scene, "reads"), 1);
	assert_int_equal(figure(scene, "completed"), 2);
	pipeline_action(scene->pipeline, "abi-1", "later", on_done, scene);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(scene->status, 0);
	assert_int_equal(figure(scene, "deferred"), 1);
	close_pipeline(scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(its_open_reads_below_and_waits_for_a_timer),
		SCENE_TEST(
			its_requests_go_down_and_come_back_with_their_context),
		SCENE_TEST(its_status_and_its_actions_are_what_they_were),
	};

	return cmocka_run_group_tests_name("old filter", tests, NULL, NULL);
}
