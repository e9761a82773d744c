// SPDX-License-Identifier: Apache-2.0
/*
 * test_sidecar_crash.c - random programs on a sidecar, and the power fails
 * after every step: what is there then is a beginning of what was written,
 * whole units, with all that was flushed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sidecar_scene.h"

#define SEEDS 12u
#define LIVES 6u
#define STEPS 60u
#define FATES 6u

static uint64_t states; /* that were looked at */

static uint32_t length_of(const struct scene *scene)
{
	return (uint32_t)scene->states[scene->units].blocks;
}

static void draw_range(struct scene *scene, uint32_t most, uint32_t *ret_block,
		       uint32_t *ret_count)
{
	uint32_t length = length_of(scene);

	*ret_block = (uint32_t)random_below(&scene->random, length);
	*ret_count = 1 + (uint32_t)random_below(&scene->random, most);
	if (*ret_count > length - *ret_block)
		*ret_count = length - *ret_block;
}

static void act(struct scene *scene)
{
	uint64_t dice = random_below(&scene->random, 100);
	uint32_t block, count;

	if (dice < 6 || length_of(scene) == 0) {
		scene_resize(scene, (uint32_t)random_below(&scene->random,
							   SCENE_BLOCKS + 1));
		return;
	}
	if (dice < 20) {
		scene_flush(scene);
		return;
	}
	draw_range(scene, 5, &block, &count);
	if (dice < 30 && scene->completed == scene->units) {
		scene_read(scene, block, count);
		return;
	}
	if (dice < 60) {
		scene_write(scene, block, count, false);
		return;
	}
	/* At most 11 blocks of data fit into a record here. */
	for (uint32_t left = (uint32_t)random_below(&scene->random, 4); left;
	     left--) {
		draw_range(scene, 2, &block, &count);
		scene_write(scene, block, count, true);
	}
	draw_range(scene, 4, &block, &count);
	scene_write(scene, block, count, false);
}

static void try_fates(struct scene *scene, struct scene *after)
{
	size_t all = medium_fates(&scene->medium);

	for (uint32_t i = 0; i < FATES; i++, states++)
		scene_crash(scene, after);
	if (random_percent(&scene->random, 95))
		return;
	for (size_t i = 0; i < all; i++, states++)
		scene_crash_as(scene, medium_fate(&scene->medium, i), after);
}

static void live(struct scene *scene, struct scene *after)
{
	for (uint32_t i = 0; i < STEPS; i++) {
		if (scene_has_room(scene, 8) &&
		    (scene->io_count == 0 ||
		     random_percent(&scene->random, 45)))
			act(scene);
		else if (scene->io_count > 0)
			scene_step(scene);
		try_fates(scene, after);
	}
}

static void lives_of(uint64_t seed)
{
	struct scene *scene = scene_new(seed);
	struct scene *after = scene_new(0);

	scene_format(scene);
	assert_int_equal(scene_open(scene, true), 0);
	for (uint32_t i = 0; i < LIVES; i++) {
		struct scene *next = scene_new(0);
		uint32_t unit;

		live(scene, after);
		unit = scene_crash(scene, next);
		scene_inherit(scene, unit, next);
		scene_free(scene);
		scene = next;
	}
	scene_free(after);
	scene_free(scene);
}

static void a_crash_leaves_a_beginning_of_what_was_written(void **state)
{
	const char *first = getenv("FOREBAY_SEED");
	const char *more = getenv("FOREBAY_SEEDS");
	uint64_t seed = first ? strtoull(first, NULL, 0) : 1;
	uint64_t count = more ? strtoull(more, NULL, 0) : SEEDS;

	(void)state;
	for (uint64_t i = 0; i < count; i++) {
		printf("# seed %" PRIu64 "\n", seed + i);
		lives_of(seed + i);
	}
	printf("# %llu states\n", (unsigned long long)states);
	assert_true(states > count * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_crash_leaves_a_beginning_of_what_was_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
