// SPDX-License-Identifier: Apache-2.0
/* test_status.c - the cache's status document is JSON and says the truth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "status.h"

static json_t *document_of(const struct status *status)
{
	char buffer[4096];
	int length = status_format(status, buffer, sizeof(buffer));
	json_t *root;

	assert_true(length > 0);
	assert_int_equal(strlen(buffer), length);
	root = json_loads(buffer, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	return root;
}

static json_t *document(const struct engine_stats *stats)
{
	const struct status status = {.stats = *stats};

	return document_of(&status);
}

static const char *mode_text(json_t *root, const char *key)
{
	return json_string_value(
		json_object_get(json_object_get(root, "mode"), key));
}

static void what_is_lost_is_told_range_by_range(void **state)
{
	const struct status status = {
		.lost = {{4096, 8192}, {1048576, 512}},
		.lost_count = 2,
		.lost_bytes = 8704,
	};
	json_t *root = document_of(&status);
	const json_t *lost = json_object_get(root, "lost");
	const json_t *ranges = json_object_get(lost, "ranges");

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(lost, "bytes")),
			 8704);
	assert_true(json_is_false(json_object_get(lost, "more")));
	assert_int_equal(json_array_size(ranges), 2);
	assert_int_equal(json_integer_value(json_object_get(
				 json_array_get(ranges, 1), "offset")),
			 1048576);
	assert_int_equal(json_integer_value(json_object_get(
				 json_array_get(ranges, 1), "length")),
			 512);
	json_decref(root);
}

static void a_draining_disk_says_why_its_mode_differs(void **state)
{
	const struct engine_stats stats = {
		.mode_requested = ENGINE_WRITE_THROUGH,
		.mode_actual = ENGINE_WRITE_BACK,
		.mode_reason = ENGINE_MODE_DRAINING,
		.mode_left_bytes = 8192,
	};
	json_t *root = document(&stats);

	(void)state;
	assert_string_equal(mode_text(root, "requested"), "write-through");
	assert_string_equal(mode_text(root, "actual"), "write-back");
	assert_string_equal(mode_text(root, "reason"), "draining");
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(root, "mode"), "left_bytes")),
			 8192);
	json_decref(root);
}

static void a_disk_that_gives_way_still_wants_what_it_wants(void **state)
{
	const struct status status = {
		.stats.mode_requested = ENGINE_WRITE_THROUGH,
		.stats.mode_actual = ENGINE_WRITE_THROUGH,
		.gives_way = true,
	};
	json_t *root = document_of(&status);

	(void)state;
	assert_string_equal(mode_text(root, "requested"), "write-back");
	assert_string_equal(mode_text(root, "actual"), "write-through");
	assert_string_equal(mode_text(root, "reason"), "migrating");
	json_decref(root);
}

static void a_refusal_has_the_words_of_its_error(void **state)
{
	const struct status status = {
		.stats.mode_requested = ENGINE_WRITE_BACK,
		.stats.mode_actual = ENGINE_WRITE_BACK,
		.troubles = {.below = ENGINE_TROUBLE_REFUSING,
			     .code = -ENOSPC,
			     .writes_wait = true},
	};
	json_t *root = document_of(&status);

	(void)state;
	assert_string_equal(mode_text(root, "actual"), "write-back");
	assert_string_equal(mode_text(root, "reason"), "backend-refusing");
	assert_non_null(strstr(mode_text(root, "detail"), strerror(ENOSPC)));
	assert_true(json_is_true(
		json_object_get(json_object_get(root, "mode"), "writes_wait")));
	json_decref(root);
}

static void silence_is_told_before_that_it_drains(void **state)
{
	const struct status status = {
		.stats.mode_requested = ENGINE_WRITE_THROUGH,
		.stats.mode_actual = ENGINE_WRITE_BACK,
		.stats.mode_reason = ENGINE_MODE_DRAINING,
		.troubles.below = ENGINE_TROUBLE_SILENT,
	};
	json_t *root = document_of(&status);

	(void)state;
	assert_string_equal(mode_text(root, "reason"), "backend-silent");
	json_decref(root);
}

static void a_claim_that_is_refused_leaves_the_wish_as_it_was(void **state)
{
	const struct status status = {
		.stats.mode_requested = ENGINE_WRITE_THROUGH,
		.stats.mode_actual = ENGINE_WRITE_THROUGH,
		.hold_error = -EROFS,
	};
	json_t *root = document_of(&status);

	(void)state;
	assert_string_equal(mode_text(root, "requested"), "write-back");
	assert_string_equal(mode_text(root, "actual"), "write-through");
	assert_string_equal(mode_text(root, "reason"), "no-sidecar");
	assert_non_null(strstr(mode_text(root, "detail"), strerror(EROFS)));
	json_decref(root);
}

static void a_failed_cache_says_of_what(void **state)
{
	const struct status status = {
		.stats.mode_requested = ENGINE_WRITE_BACK,
		.stats.mode_actual = ENGINE_WRITE_BACK,
		.failure = "writing record 7 to \"the\" SSD failed",
	};
	json_t *root = document_of(&status);

	(void)state;
	assert_string_equal(mode_text(root, "actual"), "none");
	assert_string_equal(mode_text(root, "reason"), "cache-failed");
	assert_non_null(strstr(mode_text(root, "detail"),
			       "writing record 7 to 'the' SSD failed"));
	json_decref(root);
}

static void hits_are_a_part_of_all_that_was_read(void **state)
{
	const struct engine_stats stats = {
		.mode_requested = ENGINE_WRITE_BACK,
		.mode_actual = ENGINE_WRITE_BACK,
		.read_hit_bytes = 3,
		.read_miss_bytes = 1,
		.dirty_bytes = UINT64_MAX >> 1,
	};
	json_t *root = document(&stats);

	(void)state;
	assert_null(mode_text(root, "reason"));
	assert_true(json_real_value(json_object_get(root, "hit_ratio")) ==
		    0.75);
	assert_int_equal(
		json_integer_value(json_object_get(root, "dirty_bytes")),
		INT64_MAX);
	assert_true(json_is_object(json_object_get(root, "log")));
	json_decref(root);
}

static void what_was_not_cached_has_a_reason(void **state)
{
	const struct engine_stats stats = {
		.mode_requested = ENGINE_WRITE_BACK,
		.mode_actual = ENGINE_WRITE_BACK,
		.bypassed_first_bytes = 1,
		.bypassed_large_bytes = 2,
		.bypassed_busy_bytes = 3,
		.bypassed_undurable_bytes = 4,
		.bypassed_stream_bytes = 5,
		.bypassed_in_use_bytes = 6,
		.bypassed_fenced_bytes = 7,
		.bypassed_mode_bytes = 8,
		.reappended_bytes = 7,
		.copied_bytes = 8,
	};
	static const char *const reasons[] = {
		"first_miss_bytes", "large_read_bytes",
		"busy_bytes",	    "not_durable_below_bytes",
		"stream_bytes",	    "in_use_bytes",
		"fenced_bytes",	    "mode_bytes"};
	json_t *root = document(&stats);
	json_t *bypassed = json_object_get(root, "bypassed");

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(json_integer_value(
					 json_object_get(bypassed, reasons[i])),
				 i + 1);
	assert_int_equal(
		json_integer_value(json_object_get(root, "reappended_bytes")),
		7);
	assert_int_equal(
		json_integer_value(json_object_get(root, "copied_bytes")), 8);
	json_decref(root);
}

static void what_the_ssd_takes_is_told_by_byte_of_the_guest(void **state)
{
	struct engine_stats stats = {
		.mode_requested = ENGINE_WRITE_BACK,
		.mode_actual = ENGINE_WRITE_BACK,
		.ssd_written_bytes = 5,
		.write_bytes = 2,
		.cached_bytes = 1,
		.capacity_bytes = 4,
	};
	json_t *root = document(&stats);

	(void)state;
	assert_true(json_real_value(json_object_get(
			    root, "write_amplification")) == 2.5);
	assert_true(json_real_value(json_object_get(root, "occupancy_ratio")) ==
		    0.25);
	json_decref(root);
	/* Of a guest that only reads there is none. */
	stats.write_bytes = 0;
	root = document(&stats);
	assert_true(json_is_null(json_object_get(root, "write_amplification")));
	json_decref(root);
}

static void a_curve_has_a_row_for_each_size_that_is_possible(void **state)
{
	struct status status = {
		.has_curve = true,
		.curve = {.reads = 8,
			  .reads_needed = 9,
			  .hits = 2,
			  .file_bytes = 4096},
	};
	json_t *root, *curve, *point;

	(void)state;
	status.curve.points[ENGINE_CURVE_SIZES - 1] =
		(struct engine_curve_point){4096, 6, true};
	root = document_of(&status);
	curve = json_object_get(root, "curve");
	assert_int_equal(
		json_integer_value(json_object_get(curve, "needed_blocks")), 9);
	assert_true(json_real_value(json_object_get(curve, "hit_ratio")) ==
		    0.25);
	assert_int_equal(json_array_size(json_object_get(curve, "points")), 1);
	point = json_array_get(json_object_get(curve, "points"), 0);
	assert_true(json_is_true(json_object_get(point, "full")));
	assert_true(json_real_value(json_object_get(point, "hit_ratio")) ==
		    0.75);
	json_decref(root);
	/* Of a cache that can't be had there is none. */
	status.has_curve = false;
	root = document_of(&status);
	assert_true(json_is_null(json_object_get(root, "curve")));
	json_decref(root);
}

static void a_hold_is_part_of_it(void **state)
{
	const struct status status = {
		.hold = {.state = ENGINE_HOLD_HELD, .until_ns = 9},
		.now_ns = 4,
	};
	const struct status none = {.now_ns = 4};
	json_t *root = document_of(&status);

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(root, "hold"), "ends_in_ns")),
			 5);
	json_decref(root);
	root = document_of(&none);
	assert_true(json_is_null(json_object_get(root, "hold")));
	json_decref(root);
}

static void what_a_hold_keeps_from_draining_says_so(void **state)
{
	struct status status = {
		.stats.mode_requested = ENGINE_WRITE_THROUGH,
		.stats.mode_actual = ENGINE_WRITE_BACK,
		.stats.mode_reason = ENGINE_MODE_DRAINING,
		.hold = {.state = ENGINE_HOLD_HELD},
	};
	json_t *root = document_of(&status);

	(void)state;
	assert_string_equal(mode_text(root, "reason"), "hold");
	json_decref(root);
	/* One that ended by itself is in nobody's way. */
	status.hold.state = ENGINE_HOLD_ENDED;
	root = document_of(&status);
	assert_string_equal(mode_text(root, "reason"), "draining");
	json_decref(root);
	/* Nor does it explain a mode that is as requested. */
	status.hold.state = ENGINE_HOLD_HELD;
	status.stats.mode_reason = ENGINE_MODE_AS_REQUESTED;
	root = document_of(&status);
	assert_null(mode_text(root, "reason"));
	json_decref(root);
}

static void a_buffer_too_small_is_never_overrun(void **state)
{
	const struct status status = {.failure = "the SSD is gone"};
	char buffer[4096];
	int length = status_format(&status, buffer, sizeof(buffer));

	(void)state;
	assert_true(length > 0);
	for (size_t bytes = 1; bytes <= (size_t)length; bytes++) {
		memset(buffer, 'x', sizeof(buffer));
		assert_int_equal(status_format(&status, buffer, bytes),
				 -ENOSPC);
		assert_int_equal(buffer[bytes], 'x');
	}
	assert_int_equal(status_format(&status, buffer, (size_t)length + 1),
			 length);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_lost_is_told_range_by_range),
		cmocka_unit_test(a_draining_disk_says_why_its_mode_differs),
		cmocka_unit_test(
			a_disk_that_gives_way_still_wants_what_it_wants),
		cmocka_unit_test(a_refusal_has_the_words_of_its_error),
		cmocka_unit_test(silence_is_told_before_that_it_drains),
		cmocka_unit_test(
			a_claim_that_is_refused_leaves_the_wish_as_it_was),
		cmocka_unit_test(a_failed_cache_says_of_what),
		cmocka_unit_test(hits_are_a_part_of_all_that_was_read),
		cmocka_unit_test(what_was_not_cached_has_a_reason),
		cmocka_unit_test(
			what_the_ssd_takes_is_told_by_byte_of_the_guest),
		cmocka_unit_test(
			a_curve_has_a_row_for_each_size_that_is_possible),
		cmocka_unit_test(a_hold_is_part_of_it),
		cmocka_unit_test(what_a_hold_keeps_from_draining_says_so),
		cmocka_unit_test(a_buffer_too_small_is_never_overrun),
	};

	return cmocka_run_group_tests_name("cache_status", tests, NULL, NULL);
}
