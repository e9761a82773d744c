// SPDX-License-Identifier: Apache-2.0
/*
 * test_pace.c - writers against layers below of a known speed, in virtual time.
 *
 * A model of a log: writers that always want more, and passes that bring down a
 * segment at a time, as fast as the test says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>

#include "pace.h"

#define LIMIT_BLOCKS 20000u
#define SEGMENT_BLOCKS 500u
#define STEP_NS 100000ull
#define SECOND_NS 1000000000ull
#define WAITS_MAX 200000u

struct model {
	struct pace pace;
	uint64_t now_ns;
	uint64_t below_rate; /* blocks a second; 0: it is silent */
	uint64_t dirty;
	uint64_t pass_ends_ns; /* 0: no pass */
	uint64_t pass_blocks;
	uint64_t written;
	uint64_t cleaned;
	uint64_t last_ns; /* when a write was admitted */
	uint32_t wait_count;
	uint64_t waits[WAITS_MAX];
};

static uint32_t pressure(const struct model *model)
{
	return (uint32_t)(model->dirty * PACE_FULL / LIMIT_BLOCKS);
}

static void pass_step(struct model *model)
{
	if (model->pass_ends_ns > 0 && model->now_ns >= model->pass_ends_ns) {
		model->dirty -= model->pass_blocks;
		model->cleaned += model->pass_blocks;
		model->pass_ends_ns = 0;
		pace_pass_ended(&model->pace, model->now_ns, false);
	}
	if (model->pass_ends_ns > 0 || pressure(model) < PACE_SLOW * 4 / 5)
		return;
	model->pass_blocks = SEGMENT_BLOCKS;
	pace_pass_began(&model->pace, model->now_ns);
	pace_pass_selected(&model->pace, model->pass_blocks);
	model->pass_ends_ns = UINT64_MAX;
	if (model->below_rate > 0)
		model->pass_ends_ns = model->now_ns + model->pass_blocks *
							      SECOND_NS /
							      model->below_rate;
}

static void write_step(struct model *model, uint64_t blocks)
{
	while (model->dirty + blocks <= LIMIT_BLOCKS &&
	       pace_admits(&model->pace)) {
		pace_charge(&model->pace, blocks);
		model->dirty += blocks;
		model->written += blocks;
		if (model->wait_count < WAITS_MAX)
			model->waits[model->wait_count++] =
				model->now_ns - model->last_ns;
		model->last_ns = model->now_ns;
		/* Nobody writes faster than an SSD. */
		if (pace_admits(&model->pace) && model->pace.rate > 200000)
			return;
	}
}

static void run(struct model *model, uint64_t ns, uint64_t write_blocks)
{
	uint64_t end_ns = model->now_ns + ns;

	for (; model->now_ns < end_ns; model->now_ns += STEP_NS) {
		pass_step(model);
		pace_look(&model->pace, model->now_ns, pressure(model),
			  LIMIT_BLOCKS - model->dirty);
		write_step(model, write_blocks);
	}
}

static int by_size(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static int set_up(void **state)
{
	struct model *model = calloc(1, sizeof(*model));

	*state = model;
	if (!model)
		return -1;
	model->now_ns = 5 * SECOND_NS;
	model->last_ns = model->now_ns;
	model->below_rate = 2000;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void nobody_is_slowed_under_the_first_half(void **state)
{
	struct model *model = *state;

	pace_look(&model->pace, model->now_ns, PACE_SLOW - 1, 1000);
	for (uint32_t i = 0; i < 1000; i++) {
		assert_true(pace_admits(&model->pace));
		pace_charge(&model->pace, 256);
	}
}

static void a_writer_that_wants_more_gets_what_below_takes(void **state)
{
	struct model *model = *state;
	uint64_t written;

	run(model, 60 * SECOND_NS, 1);
	written = model->written;
	run(model, 60 * SECOND_NS, 1);
	assert_in_range(model->written - written, 57 * 2000, 63 * 2000);
}

static void dirty_data_settle_below_the_limit(void **state)
{
	struct model *model = *state;

	run(model, 60 * SECOND_NS, 1);
	for (uint32_t i = 0; i < 600; i++) {
		run(model, SECOND_NS / 10, 1);
		assert_in_range(pressure(model), 650, 850);
	}
}

static void no_write_waits_much_longer_than_others(void **state)
{
	struct model *model = *state;
	uint64_t median;

	run(model, 60 * SECOND_NS, 1);
	model->wait_count = 0;
	run(model, 60 * SECOND_NS, 1);
	assert_true(model->wait_count > 50000);
	qsort(model->waits, model->wait_count, sizeof(uint64_t), by_size);
	median = model->waits[model->wait_count / 2];
	assert_in_range(median, STEP_NS, 10 * STEP_NS);
	assert_in_range(model->waits[model->wait_count - 1], median,
			4 * median);
}

static void large_writes_get_as_much_as_small_ones(void **state)
{
	struct model *model = *state;
	uint64_t written;

	run(model, 60 * SECOND_NS, 256);
	written = model->written;
	run(model, 60 * SECOND_NS, 256);
	assert_in_range(model->written - written, 57 * 2000, 63 * 2000);
	assert_in_range(pressure(model), 650, 850);
}

static void a_backend_that_becomes_slower_slows_writers_without_a_wall(
	void **state)
{
	struct model *model = *state;
	uint64_t written;

	run(model, 30 * SECOND_NS, 1);
	model->below_rate = 200;
	run(model, 60 * SECOND_NS, 1);
	assert_true(model->dirty < LIMIT_BLOCKS);
	written = model->written;
	run(model, 120 * SECOND_NS, 1);
	assert_in_range(model->written - written, 110 * 200, 130 * 200);
	assert_in_range(pressure(model), 650, 900);
}

static void a_silent_backend_leaves_the_rest_up_to_the_limit(void **state)
{
	struct model *model = *state;
	uint64_t before;

	model->below_rate = 0;
	run(model, 5 * SECOND_NS, 1);
	before = model->dirty;
	assert_in_range(pressure(model), PACE_SLOW, 850);
	run(model, 5 * SECOND_NS, 1);
	assert_true(model->dirty > before);
	/* The limit is reached in the end, and no write fails there. */
	run(model, 200 * SECOND_NS, 1);
	assert_int_equal(model->dirty, LIMIT_BLOCKS);
	assert_true(pace_admits(&model->pace));
}

static void after_a_failed_pass_what_is_left_is_dealt_out(void **state)
{
	struct model *model = *state;

	run(model, 30 * SECOND_NS, 1);
	pace_pass_ended(&model->pace, model->now_ns, true);
	pace_look(&model->pace, model->now_ns, 900, 100000);
	assert_int_equal(model->pace.rate, 10000);
	pace_pass_began(&model->pace, model->now_ns);
	pace_pass_selected(&model->pace, 1);
	pace_pass_ended(&model->pace, model->now_ns + SECOND_NS / 2000, false);
	pace_look(&model->pace, model->now_ns + SECOND_NS / 2000, 900, 100000);
	assert_true(model->pace.rate < 1000);
}

static void a_pass_that_takes_no_time_is_no_reason_to_die(void **state)
{
	struct model *model = *state;

	pace_pass_began(&model->pace, 0);
	pace_pass_selected(&model->pace, 7);
	pace_pass_ended(&model->pace, 0, false);
	pace_look(&model->pace, 0, 750, 100);
	assert_true(pace_below_rate(&model->pace) > 0);
	assert_true(model->pace.rate > 0);
}

static void the_turn_of_a_write_that_waits_is_known(void **state)
{
	struct model *model = *state;
	uint64_t looks = 0;

	run(model, 60 * SECOND_NS, 1);
	/* No pass is under way, whose slowness would count. */
	pace_pass_ended(&model->pace, model->now_ns, false);
	pace_charge(&model->pace, 500);
	assert_false(pace_admits(&model->pace));
	for (; !pace_admits(&model->pace); looks++) {
		uint64_t next = pace_next_ns(&model->pace);

		assert_true(next > model->now_ns);
		model->now_ns = next;
		pace_look(&model->pace, model->now_ns, 750, LIMIT_BLOCKS / 4);
	}
	assert_in_range(looks, 1, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_is_slowed_under_the_first_half),
		TEST(a_writer_that_wants_more_gets_what_below_takes),
		TEST(dirty_data_settle_below_the_limit),
		TEST(no_write_waits_much_longer_than_others),
		TEST(large_writes_get_as_much_as_small_ones),
		TEST(a_backend_that_becomes_slower_slows_writers_without_a_wall),
		TEST(a_silent_backend_leaves_the_rest_up_to_the_limit),
		TEST(after_a_failed_pass_what_is_left_is_dealt_out),
		TEST(a_pass_that_takes_no_time_is_no_reason_to_die),
		TEST(the_turn_of_a_write_that_waits_is_known),
	};

	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
