// SPDX-License-Identifier: Apache-2.0
/*
 * test_width.c - how destage makes room for the guest, in virtual time.
 *
 * A model of a device: a guest's I/O takes longer the more destage has there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "width.h"

#define SECOND_NS 1000000000ull
#define IDLE_NS 1000000ull

struct model {
	struct width width;
	uint64_t now_ns;
	uint64_t cost_ns; /* what each I/O of destage adds to the guest's */
	uint64_t looks;
	uint64_t wide_sum; /* of the width, over the looks */
	uint64_t slow; /* looks in which the guest took over twice its norm */
};

static int set_up(void **state)
{
	static struct model model;

	model = (struct model){.now_ns = SECOND_NS};
	width_init(&model.width);
	*state = &model;
	return 0;
}

/* A guest has ten I/Os in each look. */
static void run(struct model *model, uint32_t looks, bool working)
{
	for (uint32_t i = 0; i < looks; i++) {
		uint64_t ns = IDLE_NS;

		width_look(&model->width, model->now_ns, working, false);
		if (working)
			ns += model->cost_ns * model->width.ios;
		model->slow += ns > 2 * IDLE_NS;
		width_sample(&model->width, WIDTH_BELOW_READ, 10, 10 * ns);
		model->wide_sum += model->width.ios;
		model->looks++;
		model->now_ns += WIDTH_LOOK_NS;
	}
}

static void forget(struct model *model)
{
	model->looks = 0;
	model->wide_sum = 0;
	model->slow = 0;
}

static void nobody_who_is_in_the_way_means_full_width(void **state)
{
	struct model *model = *state;

	for (uint32_t i = 0; i < 100; i++) {
		width_look(&model->width, model->now_ns, true, false);
		model->now_ns += WIDTH_LOOK_NS;
	}
	assert_int_equal(model->width.ios, WIDTH_MAX);
}

static void destage_narrows_when_the_guest_gets_slower(void **state)
{
	struct model *model = *state;

	model->cost_ns = IDLE_NS / 8;
	run(model, 20, false);
	run(model, 20, true);
	forget(model);
	run(model, 500, true);
	/* Four I/Os make it slower by half: it stays around that. */
	assert_in_range(model->wide_sum / model->looks, 2, 6);
	assert_in_range(model->slow, 0, 25);
}

static void destage_stays_wide_when_it_does_no_harm(void **state)
{
	struct model *model = *state;

	model->cost_ns = IDLE_NS / 64;
	run(model, 20, false);
	run(model, 100, true);
	assert_int_equal(model->width.ios, WIDTH_MAX);
}

static void destage_widens_again_when_the_guest_rests(void **state)
{
	struct model *model = *state;

	model->cost_ns = IDLE_NS;
	run(model, 20, false);
	run(model, 20, true);
	assert_in_range(model->width.ios, 1, 2);
	for (uint32_t i = 0; i <= WIDTH_MAX; i++) {
		width_look(&model->width, model->now_ns, true, false);
		model->now_ns += WIDTH_LOOK_NS;
	}
	assert_int_equal(model->width.ios, WIDTH_MAX);
}

/* Larger I/Os of the guest take longer, whatever destage does. */
static void destage_is_not_held_down_by_what_it_does_not_cause(void **state)
{
	struct model *model = *state;

	run(model, 20, false);
	for (uint32_t i = 0; i < 200; i++) {
		width_look(&model->width, model->now_ns, true, false);
		width_sample(&model->width, WIDTH_BELOW_READ, 10,
			     100 * IDLE_NS);
		model->now_ns += WIDTH_LOOK_NS;
	}
	assert_int_equal(model->width.ios, WIDTH_MAX);
}

static void few_samples_say_nothing(void **state)
{
	struct model *model = *state;

	run(model, 20, false);
	for (uint32_t i = 0; i < 50; i++) {
		width_look(&model->width, model->now_ns, true, false);
		width_sample(&model->width, WIDTH_BELOW_READ,
			     WIDTH_SAMPLES_MIN - 1, 100 * IDLE_NS);
		model->now_ns += WIDTH_LOOK_NS;
	}
	assert_int_equal(model->width.ios, WIDTH_MAX);
}

static void urgent_destage_has_its_full_width(void **state)
{
	struct model *model = *state;

	model->cost_ns = IDLE_NS;
	run(model, 20, false);
	run(model, 20, true);
	assert_false(width_admits(&model->width, 3));
	width_look(&model->width, model->now_ns, true, true);
	assert_true(width_admits(&model->width, WIDTH_MAX - 1));
	assert_false(width_admits(&model->width, WIDTH_MAX));
}

#define CAP 1000000ull
#define IO_BYTES 4096u

/* As much as is allowed, for so long. Returns: the bytes. */
static uint64_t send(struct model *model, uint64_t ns, bool urgent)
{
	uint64_t end_ns = model->now_ns + ns;
	uint64_t bytes = 0;

	while (model->now_ns < end_ns && bytes < 100 * CAP) {
		width_look(&model->width, model->now_ns, true, urgent);
		if (width_admits(&model->width, 0)) {
			width_charge(&model->width, IO_BYTES);
			bytes += IO_BYTES;
		} else {
			assert_true(width_next_ns(&model->width) >
				    model->now_ns);
			model->now_ns = width_next_ns(&model->width);
		}
	}
	return bytes;
}

static void a_cap_holds(void **state)
{
	struct model *model = *state;

	width_set_cap(&model->width, CAP);
	/* A tenth of a second's worth may go ahead. */
	assert_in_range(send(model, 10 * SECOND_NS, false), 10 * CAP - IO_BYTES,
			10 * CAP + CAP / 10 + IO_BYTES);
}

static void a_cap_does_not_hold_what_is_urgent(void **state)
{
	struct model *model = *state;

	width_set_cap(&model->width, CAP);
	assert_true(send(model, SECOND_NS, true) >= 100 * CAP);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_who_is_in_the_way_means_full_width),
		TEST(destage_narrows_when_the_guest_gets_slower),
		TEST(destage_stays_wide_when_it_does_no_harm),
		TEST(destage_widens_again_when_the_guest_rests),
		TEST(destage_is_not_held_down_by_what_it_does_not_cause),
		TEST(few_samples_say_nothing),
		TEST(urgent_destage_has_its_full_width),
		TEST(a_cap_holds),
		TEST(a_cap_does_not_hold_what_is_urgent),
	};

	return cmocka_run_group_tests_name("width", tests, NULL, NULL);
}
