// SPDX-License-Identifier: Apache-2.0
/*
 * test_throttle.c - the throttle filter in virtual time, where a rate can be
 * checked to the nanosecond.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fake_host.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define KIB 1024u
#define REQUESTS_MAX 4096u

struct scene {
	struct forebay_instance instance;
	struct forebay_request requests[REQUESTS_MAX];
	unsigned int submitted_count;
	uint64_t backlog; /* an eager disk submits as many more */
};

static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->instance.now_ns = 5 * NS_PER_S;
	fake_set(&scene->instance, "burst", (int64_t)(100 * NS_PER_MS));
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	fake_close(&scene->instance);
	free(scene);
	return 0;
}

static struct forebay_request *submit(struct scene *scene,
				      enum forebay_operation operation,
				      uint64_t length)
{
	struct forebay_request *request =
		&scene->requests[scene->submitted_count++];

	assert_true(scene->submitted_count <= REQUESTS_MAX);
	request->operation = operation;
	request->length = length;
	request->owner = scene;
	fake_submit(&scene->instance, request);
	return request;
}

static void submit_many(struct scene *scene, unsigned int count,
			uint64_t length)
{
	for (unsigned int i = 0; i < count; i++)
		submit(scene, i % 2 ? FOREBAY_READ : FOREBAY_WRITE, length);
}

static void run_for(struct scene *scene, uint64_t ns)
{
	fake_run_until(&scene->instance, scene->instance.now_ns + ns);
}

static void change(struct scene *scene, const char *name, int64_t value)
{
	fake_set(&scene->instance, name, value);
	forebay_filter.properties_changed(scene->instance.state);
}

static void without_limits_everything_passes_at_once(void **state)
{
	struct scene *scene = *state;

	fake_open(&scene->instance);
	submit_many(scene, 1000, 1024 * KIB);
	assert_int_equal(scene->instance.forwarded_count, 1000);
}

static void the_rate_is_exact_after_the_burst(void **state)
{
	struct scene *scene = *state;

	/* 3000/s doesn't divide a second: rounding would show. */
	fake_set(&scene->instance, "iops", 3000);
	fake_open(&scene->instance);
	submit_many(scene, 4000, 4 * KIB);
	assert_int_equal(scene->instance.forwarded_count, 300);
	run_for(scene, NS_PER_S);
	assert_int_equal(scene->instance.forwarded_count, 3300);
}

static void no_window_sees_more_than_the_rate_and_one_burst(void **state)
{
	struct scene *scene = *state;

	fake_set(&scene->instance, "iops", 1000);
	fake_open(&scene->instance);
	submit_many(scene, 1000, 4 * KIB);
	run_for(scene, 10 * NS_PER_S);
	for (unsigned int i = 0; i < 1000; i++)
		for (unsigned int j = i; j < 1000; j++) {
			uint64_t window_ns = scene->requests[j].forwarded_ns -
					     scene->requests[i].forwarded_ns;

			assert_true(j - i <= 100 + window_ns / NS_PER_MS);
		}
}

static void bytes_are_limited_as_exactly_as_requests(void **state)
{
	struct scene *scene = *state;
	uint64_t rate = 10 * 1024 * KIB;

	fake_set(&scene->instance, "bytes_per_second", (int64_t)rate);
	fake_open(&scene->instance);
	submit_many(scene, 1000, 64 * KIB);
	assert_int_equal(scene->instance.forwarded_count, 16);
	run_for(scene, 2 * NS_PER_S);
	assert_int_equal(scene->instance.forwarded_count, 16 + 320);
}

static void the_tighter_limit_decides(void **state)
{
	struct scene *scene = *state;

	fake_set(&scene->instance, "iops", 1000);
	fake_set(&scene->instance, "bytes_per_second", 100 * 4 * KIB);
	fake_open(&scene->instance);
	submit_many(scene, 1000, 4 * KIB);
	run_for(scene, NS_PER_S);
	assert_int_equal(scene->instance.forwarded_count, 110);
}

static void a_request_larger_than_the_bucket_passes(void **state)
{
	struct scene *scene = *state;
	struct forebay_request *large;
	struct forebay_request *after;

	/* The bucket holds 100 KiB. */
	fake_set(&scene->instance, "bytes_per_second", 1000 * KIB);
	fake_open(&scene->instance);
	large = submit(scene, FOREBAY_WRITE, 1000 * KIB);
	after = submit(scene, FOREBAY_WRITE, 100 * KIB);
	assert_true(large->forwarded);
	assert_false(after->forwarded);
	/* It is paid after 0.9 s, and the next one's budget takes 0.1 s. */
	run_for(scene, NS_PER_S - 1);
	assert_false(after->forwarded);
	run_for(scene, 1);
	assert_true(after->forwarded);
}

static void held_requests_leave_in_the_order_in_which_they_came(void **state)
{
	struct scene *scene = *state;

	fake_set(&scene->instance, "iops", 100);
	fake_set(&scene->instance, "bytes_per_second", 1000 * KIB);
	fake_open(&scene->instance);
	for (unsigned int i = 0; i < 200; i++)
		submit(scene, FOREBAY_WRITE, i % 7 ? 4 * KIB : 300 * KIB);
	run_for(scene, 60 * NS_PER_S);
	for (unsigned int i = 0; i < 200; i++) {
		assert_true(scene->requests[i].forwarded);
		assert_int_equal(scene->requests[i].place, i);
	}
}

static void a_flush_is_never_held(void **state)
{
	struct scene *scene = *state;
	struct forebay_request *flush;

	fake_set(&scene->instance, "iops", 1);
	fake_open(&scene->instance);
	submit_many(scene, 3, 4 * KIB);
	flush = submit(scene, FOREBAY_FLUSH, 0);
	assert_true(flush->forwarded);
	run_for(scene, 10 * NS_PER_S);
}

static void a_discard_costs_a_request_and_no_bytes(void **state)
{
	struct scene *scene = *state;

	fake_set(&scene->instance, "bytes_per_second", 1024);
	fake_open(&scene->instance);
	for (unsigned int i = 0; i < 10; i++)
		submit(scene, FOREBAY_DISCARD, UINT64_C(1) << 30);
	assert_int_equal(scene->instance.forwarded_count, 10);
	change(scene, "iops", 10);
	submit(scene, FOREBAY_DISCARD, 512);
	submit(scene, FOREBAY_DISCARD, 512);
	assert_int_equal(scene->instance.forwarded_count, 11);
	run_for(scene, NS_PER_S);
}

static void lifting_the_limit_lets_the_held_ones_go(void **state)
{
	struct scene *scene = *state;

	fake_set(&scene->instance, "iops", 10);
	fake_open(&scene->instance);
	submit_many(scene, 100, 4 * KIB);
	assert_int_equal(scene->instance.forwarded_count, 1);
	change(scene, "iops", 0);
	assert_int_equal(scene->instance.forwarded_count, 100);
}

static void a_changed_limit_holds_from_then_on(void **state)
{
	struct scene *scene = *state;

	fake_set(&scene->instance, "iops", 1000);
	fake_open(&scene->instance);
	submit_many(scene, 2000, 4 * KIB);
	run_for(scene, NS_PER_S);
	assert_int_equal(scene->instance.forwarded_count, 1100);
	change(scene, "iops", 100);
	run_for(scene, NS_PER_S);
	assert_int_equal(scene->instance.forwarded_count, 1200);
	change(scene, "iops", 0);
}

/* The layer below answers at once and the disk submits again at once. */
static void submit_again(struct forebay_request *request)
{
	struct scene *scene = request->owner;
	struct forebay_request *next;

	if (scene->backlog == 0)
		return;
	scene->backlog--;
	next = &scene->requests[scene->submitted_count++];
	next->operation = FOREBAY_WRITE;
	next->length = 4 * KIB;
	next->owner = scene;
	next->on_forward = submit_again;
	fake_submit(&scene->instance, next);
}

static void a_disk_that_submits_from_inside_forward_is_limited_too(void **state)
{
	struct scene *scene = *state;

	fake_set(&scene->instance, "iops", 1000);
	fake_open(&scene->instance);
	scene->backlog = 1000;
	scene->requests[0].operation = FOREBAY_WRITE;
	scene->requests[0].length = 4 * KIB;
	scene->requests[0].owner = scene;
	scene->requests[0].on_forward = submit_again;
	scene->submitted_count = 1;
	fake_submit(&scene->instance, &scene->requests[0]);
	assert_int_equal(scene->instance.forwarded_count, 100);
	run_for(scene, 500 * NS_PER_MS);
	assert_int_equal(scene->instance.forwarded_count, 600);
	run_for(scene, NS_PER_S);
	assert_int_equal(scene->instance.forwarded_count, 1001);
}

static void the_status_counts_what_is_held_and_delayed(void **state)
{
	struct scene *scene = *state;
	char status[256];
	int length;

	fake_set(&scene->instance, "iops", 10);
	fake_open(&scene->instance);
	submit_many(scene, 3, 4 * KIB);
	run_for(scene, 100 * NS_PER_MS);
	length = forebay_filter.status(scene->instance.state, status,
				       sizeof(status));
	assert_int_equal(length, strlen(status));
	assert_string_equal(status, "{\"held\": 1, \"delayed_requests\": 2, "
				    "\"delay_us\": {\"mean\": 100000.000, "
				    "\"max\": 100000.000}}");
	run_for(scene, NS_PER_S);
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(without_limits_everything_passes_at_once),
		SCENE_TEST(the_rate_is_exact_after_the_burst),
		SCENE_TEST(no_window_sees_more_than_the_rate_and_one_burst),
		SCENE_TEST(bytes_are_limited_as_exactly_as_requests),
		SCENE_TEST(the_tighter_limit_decides),
		SCENE_TEST(a_request_larger_than_the_bucket_passes),
		SCENE_TEST(held_requests_leave_in_the_order_in_which_they_came),
		SCENE_TEST(a_flush_is_never_held),
		SCENE_TEST(a_discard_costs_a_request_and_no_bytes),
		SCENE_TEST(lifting_the_limit_lets_the_held_ones_go),
		SCENE_TEST(a_changed_limit_holds_from_then_on),
		SCENE_TEST(
			a_disk_that_submits_from_inside_forward_is_limited_too),
		SCENE_TEST(the_status_counts_what_is_held_and_delayed),
	};

	return cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
