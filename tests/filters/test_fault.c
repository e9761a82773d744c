// SPDX-License-Identifier: Apache-2.0
/*
 * test_fault.c - the fault filter's effects on requests, in virtual time; what
 * it does to its process is tested in a real one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_host.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define REQUESTS_MAX 64u

struct scene {
	struct forebay_instance instance;
	struct forebay_request requests[REQUESTS_MAX];
	unsigned int submitted_count;
};

static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->instance.now_ns = 5 * NS_PER_S;
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	if (scene->instance.open)
		fake_close(&scene->instance);
	free(scene);
	return 0;
}

static void open_with(struct scene *scene, const char *rules)
{
	fake_set_text(&scene->instance, "rules", rules);
	fake_open(&scene->instance);
}

static void change(struct scene *scene, const char *rules)
{
	fake_set_text(&scene->instance, "rules", rules);
	forebay_filter.properties_changed(scene->instance.state);
}

static struct forebay_request *submit(struct scene *scene,
				      enum forebay_operation operation,
				      uint64_t offset)
{
	struct forebay_request *request =
		&scene->requests[scene->submitted_count++];

	assert_true(scene->submitted_count <= REQUESTS_MAX);
	request->operation = operation;
	request->offset = offset;
	request->length = 4096;
	fake_submit(&scene->instance, request);
	return request;
}

static void run_for(struct scene *scene, uint64_t ns)
{
	fake_run_until(&scene->instance, scene->instance.now_ns + ns);
}

static const char *status_of(struct scene *scene)
{
	static char status[4096];
	int length = forebay_filter.status(scene->instance.state, status,
					   sizeof(status));

	assert_int_equal(length, strlen(status));
	return status;
}

static void without_rules_everything_passes(void **state)
{
	struct scene *scene = *state;

	fake_open(&scene->instance);
	for (unsigned int i = 0; i < 7; i++)
		assert_true(
			submit(scene, (enum forebay_operation)i, 0)->forwarded);
}

static void an_error_ends_the_request_above_the_layers_below(void **state)
{
	struct scene *scene = *state;
	struct forebay_request *request;

	open_with(scene, "error ENOSPC on write");
	request = submit(scene, FOREBAY_WRITE, 0);
	assert_true(request->completed);
	assert_false(request->forwarded);
	assert_int_equal(request->status, -ENOSPC);
	assert_true(submit(scene, FOREBAY_READ, 0)->forwarded);
}

static void a_delay_lets_the_request_go_on_later(void **state)
{
	struct scene *scene = *state;
	struct forebay_request *request;

	open_with(scene, "delay 20ms on read");
	request = submit(scene, FOREBAY_READ, 0);
	run_for(scene, 20 * NS_PER_MS - 1);
	assert_false(request->forwarded);
	run_for(scene, 1);
	assert_true(request->forwarded);
}

static void delays_add_up(void **state)
{
	struct scene *scene = *state;
	struct forebay_request *request;

	open_with(scene, "delay 20ms; delay 30ms");
	request = submit(scene, FOREBAY_READ, 0);
	run_for(scene, 50 * NS_PER_MS - 1);
	assert_false(request->forwarded);
	run_for(scene, 1);
	assert_true(request->forwarded);
}

static void a_delayed_request_may_fail_then(void **state)
{
	struct scene *scene = *state;
	struct forebay_request *request;

	open_with(scene, "delay 20ms; error EBUSY");
	request = submit(scene, FOREBAY_READ, 0);
	assert_false(request->completed);
	run_for(scene, 20 * NS_PER_MS);
	assert_true(request->completed);
	assert_int_equal(request->status, -EBUSY);
}

static void requests_leave_in_the_order_of_their_times(void **state)
{
	struct scene *scene = *state;
	struct forebay_request *slow;
	struct forebay_request *fast[2];

	open_with(scene, "delay 90ms at 0+4KiB; delay 40ms at 8KiB+4KiB");
	slow = submit(scene, FOREBAY_READ, 0);
	fast[0] = submit(scene, FOREBAY_READ, 8192);
	fast[1] = submit(scene, FOREBAY_READ, 8192);
	run_for(scene, NS_PER_S);
	assert_int_equal(fast[0]->place, 0);
	assert_int_equal(fast[1]->place, 1);
	assert_int_equal(slow->place, 2);
	assert_int_equal(slow->forwarded_ns - fast[0]->forwarded_ns,
			 50 * NS_PER_MS);
}

static void a_failure_ends_the_walk_over_the_rules(void **state)
{
	struct scene *scene = *state;

	open_with(scene, "error every 2; delay 1ms");
	submit(scene, FOREBAY_READ, 0);
	submit(scene, FOREBAY_READ, 0);
	assert_string_equal(
		status_of(scene),
		"{\"rules\": [{\"rule\": \"error every 2\", \"met\": 2, "
		"\"fired\": 1}, {\"rule\": \"delay 1ms\", \"met\": 1, "
		"\"fired\": 1}], \"waiting\": 1, \"leaked_bytes\": 0, "
		"\"refused\": null}");
	run_for(scene, NS_PER_S);
}

static void a_leak_is_counted_and_ends_with_the_instance(void **state)
{
	struct scene *scene = *state;

	/* The leak checker of a sanitized build sees the rest. */
	open_with(scene, "leak 64KiB on write");
	for (unsigned int i = 0; i < 3; i++)
		assert_true(submit(scene, FOREBAY_WRITE, 0)->forwarded);
	assert_non_null(strstr(status_of(scene), "\"leaked_bytes\": 196608"));
}

static void a_leak_that_gets_no_memory_fails_its_request(void **state)
{
	struct scene *scene = *state;
	struct forebay_request *request;

	open_with(scene, "leak 18446744073709551615");
	request = submit(scene, FOREBAY_WRITE, 0);
	assert_true(request->completed);
	assert_int_equal(request->status, -ENOMEM);
}

static void a_hang_with_a_time_ends(void **state)
{
	struct scene *scene = *state;

	open_with(scene, "hang 1ms on read; loop 1ms on read");
	assert_true(submit(scene, FOREBAY_READ, 0)->forwarded);
	assert_string_equal(
		scene->instance.logged,
		"now: \"loop 1ms on read\", by a request of 4096 bytes at 0");
}

static void wrong_rules_refuse_the_open(void **state)
{
	struct scene *scene = *state;

	fake_set_text(&scene->instance, "rules", "error; explode");
	assert_int_equal(fake_try_open(&scene->instance), -EINVAL);
	assert_string_equal(scene->instance.explanation,
			    "rule 2: \"explode\" isn't one of error, delay, "
			    "crash, hang, loop, leak");
}

static void changed_rules_hold_from_then_on(void **state)
{
	struct scene *scene = *state;

	open_with(scene, "error");
	assert_true(submit(scene, FOREBAY_READ, 0)->completed);
	change(scene, "");
	assert_true(submit(scene, FOREBAY_READ, 0)->forwarded);
	change(scene, "error");
	assert_true(submit(scene, FOREBAY_READ, 0)->completed);
}

static void what_waits_goes_on_when_the_rules_change(void **state)
{
	struct scene *scene = *state;
	struct forebay_request *request;

	open_with(scene, "delay 20ms");
	request = submit(scene, FOREBAY_READ, 0);
	change(scene, "");
	run_for(scene, 20 * NS_PER_MS);
	assert_true(request->forwarded);
}

static void wrong_new_rules_leave_the_old_ones(void **state)
{
	struct scene *scene = *state;

	open_with(scene, "error");
	change(scene, "delay");
	assert_true(submit(scene, FOREBAY_READ, 0)->completed);
	assert_non_null(strstr(status_of(scene),
			       "\"refused\": \"rule 1 ends before a time such "
			       "as 20ms, of a day at most\""));
	assert_non_null(strstr(scene->instance.logged, "the old ones stand"));
	change(scene, "");
	assert_non_null(strstr(status_of(scene), "\"refused\": null"));
}

static void quotes_in_a_refusal_are_escaped(void **state)
{
	struct scene *scene = *state;

	fake_open(&scene->instance);
	change(scene, "x");
	assert_non_null(strstr(status_of(scene),
			       "\"refused\": \"rule 1: \\\"x\\\" isn't one"));
}

static void a_status_that_does_not_fit_asks_for_more(void **state)
{
	struct scene *scene = *state;
	char small[32];

	open_with(scene, "error on write");
	assert_int_equal(forebay_filter.status(scene->instance.state, small,
					       sizeof(small)),
			 -ENOSPC);
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(without_rules_everything_passes),
		SCENE_TEST(an_error_ends_the_request_above_the_layers_below),
		SCENE_TEST(a_delay_lets_the_request_go_on_later),
		SCENE_TEST(delays_add_up),
		SCENE_TEST(a_delayed_request_may_fail_then),
		SCENE_TEST(requests_leave_in_the_order_of_their_times),
		SCENE_TEST(a_failure_ends_the_walk_over_the_rules),
		SCENE_TEST(a_leak_is_counted_and_ends_with_the_instance),
		SCENE_TEST(a_leak_that_gets_no_memory_fails_its_request),
		SCENE_TEST(a_hang_with_a_time_ends),
		SCENE_TEST(wrong_rules_refuse_the_open),
		SCENE_TEST(changed_rules_hold_from_then_on),
		SCENE_TEST(what_waits_goes_on_when_the_rules_change),
		SCENE_TEST(wrong_new_rules_leave_the_old_ones),
		SCENE_TEST(quotes_in_a_refusal_are_escaped),
		SCENE_TEST(a_status_that_does_not_fit_asks_for_more),
	};

	return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
