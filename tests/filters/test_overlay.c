// SPDX-License-Identifier: Apache-2.0
/*
 * test_overlay.c - dirty runs over extents, against a model with an entry for
 * each sector.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "overlay.h"

#define SECTOR 512u
#define SECTORS 400u
#define CAPACITY_MAX 200u
#define ROUNDS 20000u

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* What a model says of each sector; sectors beyond `told` aren't known. */
struct model {
	uint32_t below[SECTORS];
	bool dirty[SECTORS];
	uint32_t told_below;
	uint32_t told_own;
};

/* The runs of @model->dirty, as far as the list takes them. */
static void note(struct model *model, struct overlay *overlay,
		 struct forebay_extents *extents, uint32_t *seed)
{
	uint32_t at = 0;

	overlay_begin(overlay, extents);
	while (at < SECTORS) {
		uint32_t length = 1 + next_random(seed) % 60;
		bool dirty = next_random(seed) % 2;

		if (length > SECTORS - at)
			length = SECTORS - at;
		if (!overlay_note(overlay, extents, (uint64_t)length * SECTOR,
				  dirty))
			break;
		for (uint32_t i = 0; i < length; i++)
			model->dirty[at + i] = dirty;
		at += length;
	}
	model->told_own = at;
}

/* What layers below would put into the list they were given. */
static void answer(struct model *model, struct forebay_extents *extents,
		   uint32_t *seed)
{
	uint32_t at = 0;

	while (at < SECTORS && extents->count < extents->capacity) {
		uint32_t length = 1 + next_random(seed) % 20;
		uint32_t flags = next_random(seed) % 4;

		if (length > SECTORS - at)
			length = SECTORS - at;
		extents->list[extents->count++] = (struct forebay_extent){
			.length = (uint64_t)length * SECTOR,
			.flags = flags,
		};
		for (uint32_t i = 0; i < length; i++)
			model->below[at + i] = flags;
		at += length;
	}
	model->told_below = at;
}

static void compare(const struct model *model,
		    const struct forebay_extents *extents)
{
	uint32_t told = model->told_below < model->told_own ? model->told_below
							    : model->told_own;
	uint32_t at = 0;

	for (uint32_t i = 0; i < extents->count; i++) {
		const struct forebay_extent *extent = &extents->list[i];

		assert_true(extent->length > 0 && extent->length % SECTOR == 0);
		assert_int_equal(extent->reserved, 0);
		assert_true(i == 0 || extent->flags != extent[-1].flags);
		for (uint64_t j = 0; j < extent->length / SECTOR; j++, at++)
			assert_int_equal(extent->flags,
					 model->dirty[at] ? FOREBAY_EXTENT_DIRTY
							  : model->below[at]);
	}
	assert_int_equal(at, told);
	assert_true(told > 0);
}

static void the_merged_list_is_what_the_model_says(void **state)
{
	struct forebay_extent list[CAPACITY_MAX];
	uint32_t seed = 1;

	(void)state;
	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct model model = {0};
		struct overlay overlay;
		struct forebay_extents extents = {
			.list = list,
			.capacity =
				FOREBAY_EXTENTS_MIN +
				next_random(&seed) % (CAPACITY_MAX -
						      FOREBAY_EXTENTS_MIN + 1),
		};
		uint32_t capacity = extents.capacity;

		note(&model, &overlay, &extents, &seed);
		assert_true(extents.capacity >= capacity / 2);
		answer(&model, &extents, &seed);
		overlay_merge(&overlay, &extents);
		assert_int_equal(extents.capacity, capacity);
		assert_true(extents.count <= capacity);
		compare(&model, &extents);
	}
}

static void a_list_takes_a_quarter_of_its_entries_as_runs(void **state)
{
	struct forebay_extent list[16];
	struct forebay_extents extents = {list, 16, 0};
	struct overlay overlay;

	(void)state;
	overlay_begin(&overlay, &extents);
	for (unsigned int i = 0; i < 4; i++)
		assert_true(overlay_note(&overlay, &extents, SECTOR, i % 2));
	assert_false(overlay_note(&overlay, &extents, SECTOR, false));
	assert_int_equal(extents.capacity, 8);
	overlay_forget(&overlay, &extents);
	assert_int_equal(extents.capacity, 16);
	assert_int_equal(extents.count, 0);
}

static void a_dirty_hole_is_neither_a_hole_nor_zeros(void **state)
{
	struct forebay_extent list[16];
	struct forebay_extents extents = {list, 16, 0};
	struct overlay overlay;

	(void)state;
	overlay_begin(&overlay, &extents);
	overlay_note(&overlay, &extents, SECTOR, true);
	list[extents.count++] = (struct forebay_extent){
		.length = SECTOR,
		.flags = FOREBAY_EXTENT_HOLE | FOREBAY_EXTENT_ZERO,
	};
	overlay_merge(&overlay, &extents);
	assert_int_equal(extents.count, 1);
	assert_int_equal(list[0].flags, FOREBAY_EXTENT_DIRTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_merged_list_is_what_the_model_says),
		cmocka_unit_test(a_list_takes_a_quarter_of_its_entries_as_runs),
		cmocka_unit_test(a_dirty_hole_is_neither_a_hole_nor_zeros),
	};

	return cmocka_run_group_tests_name("overlay", tests, NULL, NULL);
}
