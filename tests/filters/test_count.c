// SPDX-License-Identifier: Apache-2.0
/*
 * test_count.c - histograms and the hottest extents against exact counts, and
 * the status document of the count filter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "fake_host.h"
#include "hot.h"
#include "spread.h"

#define NS_PER_US UINT64_C(1000)
#define MIB (UINT64_C(1) << 20)
#define NUMBERS 4096u

static uint64_t draw(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) +
		 UINT64_C(1442695040888963407);
	return *state >> 33;
}

/* Histograms. */

static void a_bucket_is_at_most_a_quarter_too_high(void **state)
{
	(void)state;
	for (uint64_t value = 1; value < UINT64_C(1) << SPREAD_BITS;
	     value += 1 + value / 7) {
		struct spread spread = {0};
		uint32_t bucket = 0;

		spread_add(&spread, value);
		while (spread.buckets[bucket] == 0)
			bucket++;
		assert_in_range(spread_bound(bucket), value, value + value / 4);
		if (bucket > 0)
			assert_true(spread_bound(bucket - 1) < value);
	}
}

static void a_value_beyond_all_buckets_is_in_the_last(void **state)
{
	struct spread spread = {0};

	(void)state;
	spread_add(&spread, UINT64_MAX);
	assert_int_equal(spread.buckets[SPREAD_BUCKETS - 1], 1);
	assert_int_equal(spread.max, UINT64_MAX);
}

static void percentiles_are_bounds_that_are_never_too_low(void **state)
{
	struct spread spread = {0};

	(void)state;
	assert_int_equal(spread_percentile(&spread, 50), 0);
	for (uint64_t value = 1; value <= 1000; value++)
		spread_add(&spread, value);
	assert_in_range(spread_percentile(&spread, 50), 500, 625);
	assert_in_range(spread_percentile(&spread, 99), 990, 1000);
	assert_int_equal(spread_percentile(&spread, 100), 1000);
}

/* The hottest extents. */

static void a_few_extents_are_counted_exactly(void **state)
{
	static struct hot hot;
	struct hot_extent largest[4];

	(void)state;
	hot_init(&hot);
	for (uint64_t number = 0; number < HOT_MAX; number++)
		for (uint64_t i = 0; i <= number; i++)
			hot_count(&hot, number * 1000);
	assert_int_equal(hot_largest(&hot, 4, largest), 4);
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(largest[i].number, (HOT_MAX - 1 - i) * 1000);
		assert_int_equal(largest[i].count, HOT_MAX - i);
		assert_int_equal(largest[i].over, 0);
	}
}

static void counts_are_never_further_off_than_they_say(void **state)
{
	static struct hot hot;
	static struct hot_extent all[HOT_MAX];
	static uint64_t exact[NUMBERS];
	uint64_t seed = 5;
	uint64_t sum = 0;

	(void)state;
	hot_init(&hot);
	for (uint64_t i = 0; i < 400000; i++) {
		uint64_t number = draw(&seed) % (1 + draw(&seed) % NUMBERS);

		exact[number]++;
		hot_count(&hot, number);
	}
	assert_int_equal(hot_largest(&hot, HOT_MAX, all), HOT_MAX);
	for (uint32_t i = 0; i < HOT_MAX; i++) {
		assert_in_range(exact[all[i].number],
				all[i].count - all[i].over, all[i].count);
		assert_true(all[i].over <= hot.total / HOT_MAX);
		sum += all[i].count;
		/* Its counter stays its own. */
		exact[all[i].number] = 0;
	}
	assert_int_equal(sum, hot.total);
	for (uint32_t number = 0; number < NUMBERS; number++)
		assert_true(exact[number] <= hot.total / HOT_MAX);
}

static void an_extent_with_its_share_is_found_among_a_stream_of_others(
	void **state)
{
	static struct hot hot;
	struct hot_extent largest[1];

	(void)state;
	hot_init(&hot);
	for (uint64_t i = 0; i < 1000000; i++)
		hot_count(&hot, i % 100 == 0 ? 7 : 1000 + i);
	assert_int_equal(hot_largest(&hot, 1, largest), 1);
	assert_int_equal(largest[0].number, 7);
	assert_in_range(largest[0].count, 10000, 10000 + 1000000 / HOT_MAX);
}

/* The filter. */

struct scene {
	struct forebay_instance instance;
	json_t *status;
};

static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	fake_open(&scene->instance);
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	json_decref(scene->status);
	fake_close(&scene->instance);
	free(scene);
	return 0;
}

/* One request that ends with @status after @us. */
static void serve(struct scene *scene, struct forebay_request request,
		  uint64_t us, int status)
{
	fake_submit(&scene->instance, &request);
	assert_true(request.forwarded);
	scene->instance.now_ns += us * NS_PER_US;
	forebay_filter.completed(scene->instance.state, &request, status);
	assert_true(request.completed);
	assert_int_equal(request.status, status);
}

static void access(struct scene *scene, enum forebay_operation operation,
		   uint64_t offset, uint64_t length)
{
	serve(scene,
	      (struct forebay_request){.operation = operation,
				       .offset = offset,
				       .length = length},
	      100, 0);
}

static const json_t *status_of(struct scene *scene)
{
	char text[32768];
	int length = forebay_filter.status(scene->instance.state, text,
					   sizeof(text));

	assert_int_equal(length, strlen(text));
	json_decref(scene->status);
	scene->status = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(scene->status);
	return scene->status;
}

static json_int_t number(const json_t *object, const char *operation,
			 const char *name)
{
	const json_t *operations = json_object_get(object, "operations");

	return json_integer_value(
		json_object_get(json_object_get(operations, operation), name));
}

static void operations_are_counted_apart(void **state)
{
	struct scene *scene = *state;
	const json_t *status;

	access(scene, FOREBAY_READ, 0, 4096);
	access(scene, FOREBAY_READ, 0, 8192);
	access(scene, FOREBAY_WRITE, 0, 512);
	access(scene, FOREBAY_FLUSH, 0, 0);
	serve(scene,
	      (struct forebay_request){.operation = FOREBAY_WRITE,
				       .length = 512},
	      1, -5);
	status = status_of(scene);
	assert_int_equal(number(status, "read", "requests"), 2);
	assert_int_equal(number(status, "read", "bytes"), 12288);
	assert_int_equal(number(status, "read", "errors"), 0);
	assert_int_equal(number(status, "write", "requests"), 2);
	assert_int_equal(number(status, "write", "errors"), 1);
	assert_int_equal(number(status, "flush", "requests"), 1);
	assert_int_equal(
		json_object_size(json_object_get(status, "operations")), 3);
}

static void a_time_is_from_the_way_down_to_the_way_up(void **state)
{
	struct scene *scene = *state;
	struct forebay_request read = {.operation = FOREBAY_READ,
				       .length = 4096};
	const json_t *times;

	for (unsigned int i = 0; i < 99; i++)
		serve(scene, read, 50, 0);
	serve(scene, read, 7000, 0);
	times = json_object_get(
		json_object_get(json_object_get(status_of(scene), "operations"),
				"read"),
		"latency_us");
	assert_in_range(json_integer_value(json_object_get(times, "p50")), 50,
			62);
	assert_in_range(json_integer_value(json_object_get(times, "p99")), 50,
			62);
	assert_int_equal(json_integer_value(json_object_get(times, "max")),
			 7000);
}

static void the_hottest_extent_is_first(void **state)
{
	struct scene *scene = *state;
	const json_t *status;
	const json_t *first;

	for (unsigned int i = 0; i < 10; i++)
		access(scene, FOREBAY_WRITE, i * MIB, 4096);
	access(scene, FOREBAY_READ, 7 * MIB + 512, 512);
	status = status_of(scene);
	first = json_array_get(json_object_get(status, "hottest"), 0);
	assert_int_equal(json_integer_value(json_object_get(first, "offset")),
			 7 * MIB);
	assert_int_equal(json_integer_value(json_object_get(first, "requests")),
			 2);
	assert_int_equal(json_array_size(json_object_get(status, "hottest")),
			 10);
}

static void a_request_counts_in_each_extent_that_it_touches(void **state)
{
	struct scene *scene = *state;
	const json_t *status;

	access(scene, FOREBAY_WRITE, MIB - 512, 1024);
	access(scene, FOREBAY_WRITE, MIB, MIB);
	/* Neither of these is a place that somebody works on. */
	access(scene, FOREBAY_DISCARD, 0, 64 * MIB);
	access(scene, FOREBAY_FLUSH, 0, 0);
	status = status_of(scene);
	assert_int_equal(
		json_integer_value(json_object_get(status, "extent_requests")),
		3);
	assert_int_equal(json_array_size(json_object_get(status, "hottest")),
			 2);
}

static void another_size_of_extents_begins_anew(void **state)
{
	struct scene *scene = *state;
	const json_t *status;

	access(scene, FOREBAY_WRITE, 0, 4096);
	fake_set(&scene->instance, "extent", 65536);
	forebay_filter.properties_changed(scene->instance.state);
	status = status_of(scene);
	assert_int_equal(
		json_integer_value(json_object_get(status, "extent_bytes")),
		65536);
	assert_int_equal(json_array_size(json_object_get(status, "hottest")),
			 0);
	assert_int_equal(number(status, "write", "requests"), 1);
}

static void the_largest_status_fits(void **state)
{
	struct scene *scene = *state;

	for (uint32_t operation = 0; operation < 7; operation++)
		for (uint32_t i = 0; i < SPREAD_BUCKETS; i++)
			serve(scene,
			      (struct forebay_request){
				      .operation = operation,
				      .offset = (uint64_t)i << 30,
				      .length = (spread_bound(i) / 512 + 1) *
						512 % (1u << 25)},
			      spread_bound(i) % (UINT64_C(1) << 37), 0);
	status_of(scene);
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_is_at_most_a_quarter_too_high),
		cmocka_unit_test(a_value_beyond_all_buckets_is_in_the_last),
		cmocka_unit_test(percentiles_are_bounds_that_are_never_too_low),
		cmocka_unit_test(a_few_extents_are_counted_exactly),
		cmocka_unit_test(counts_are_never_further_off_than_they_say),
		cmocka_unit_test(
			an_extent_with_its_share_is_found_among_a_stream_of_others),
		SCENE_TEST(operations_are_counted_apart),
		SCENE_TEST(a_time_is_from_the_way_down_to_the_way_up),
		SCENE_TEST(the_hottest_extent_is_first),
		SCENE_TEST(a_request_counts_in_each_extent_that_it_touches),
		SCENE_TEST(another_size_of_extents_begins_anew),
		SCENE_TEST(the_largest_status_fits),
	};

	return cmocka_run_group_tests_name("count", tests, NULL, NULL);
}
