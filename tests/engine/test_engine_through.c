// SPDX-License-Identifier: Apache-2.0
/*
 * test_engine_through.c - what the log and the layers below have of a write
 * that goes to both.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "scene.h"

/* The superblock has been told that writes go below. */
static void set_mode(struct scene *scene, enum engine_mode mode)
{
	engine_set_mode(scene->engine, mode);
	scene_write_now(scene, 255, 1, 'z');
	scene_drain(scene);
	scene_flush_now(scene);
}

/* The next record of one block begins a segment. */
static void fill_segment(struct scene *scene)
{
	uint64_t end;

	do {
		const struct engine_io *io;

		scene_write(scene, 200, 1, 'f');
		scene_poll(scene);
		io = scene_oldest(scene, ENGINE_SSD_WRITE);
		end = (io->offset + io->length) / LOG_BLOCK_BYTES;
		scene_end_all(scene);
		scene_forget_guests(scene);
	} while (end % SCENE_SEGMENT_BLOCKS < SCENE_SEGMENT_BLOCKS - 1);
}

/*
 * Its second block is in another unit than its first, which somebody is busy
 * with below.
 */
static struct guest *write_that_waits_for_another(struct scene *scene)
{
	struct guest *write;

	set_mode(scene, ENGINE_WRITE_THROUGH);
	fill_segment(scene);
	scene_write(scene, 3, 1, 'x');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	scene_end(scene, ENGINE_SSD_FLUSH);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 1);
	write = scene_write(scene, 15, 2, 'a');
	scene_poll(scene);
	return write;
}

/* All but the write of block 3. */
static void end_others(struct scene *scene)
{
	struct engine_io *held = scene_oldest(scene, ENGINE_BELOW_WRITE);

	for (uint32_t i = 0; i < 100 && scene->waiting_count > 1; i++)
		scene_end_io(scene, scene->waiting[scene->waiting[0] == held],
			     0);
}

static void a_buffer_that_changes_before_it_goes_below_is_the_same_in_both(
	void **state)
{
	struct scene *scene = *state;
	struct guest *write = write_that_waits_for_another(scene);

	engine_set_draining(scene->engine, true);
	for (uint32_t i = 0; i < 4; i++) {
		end_others(scene);
		scene_pass_ns(scene, SCENE_SECOND_NS);
	}
	memset(write->bytes + LOG_BLOCK_BYTES, 'b', LOG_BLOCK_BYTES);
	for (uint32_t i = 0; i < 4; i++) {
		scene_end_all(scene);
		scene_pass_ns(scene, SCENE_SECOND_NS);
	}
	assert_true(write->done);
	assert_true(engine_clean(scene->engine));
	scene_forget_guests(scene);
	assert_below(scene, 16, (char)scene_read_now(scene, 16));
	scene_restart(scene);
	assert_below(scene, 16, (char)scene_read_now(scene, 16));
}

/* Virtual time goes in small steps, and what is asked for ends at once. */
static void the_destager_waits_for_a_write_that_hangs_below(void **state)
{
	struct scene *scene = *state;
	uint32_t reads = 0;
	struct guest *write;

	set_mode(scene, ENGINE_WRITE_THROUGH);
	write = scene_write(scene, 3, 1, 'x');
	scene_poll(scene);
	scene_end(scene, ENGINE_SSD_WRITE);
	scene_end(scene, ENGINE_SSD_FLUSH);
	engine_set_draining(scene->engine, true);
	for (uint32_t i = 0; i < 60; i++) {
		scene_pass_ns(scene, SCENE_SECOND_NS / 200);
		while (scene_waiting(scene, ENGINE_SSD_READ) > 0) {
			reads++;
			scene_end(scene, ENGINE_SSD_READ);
		}
		end_others(scene);
	}
	assert_false(write->done);
	assert_int_equal(reads, 1);
	/* Its end is what was waited for: no time passes. */
	scene_end(scene, ENGINE_BELOW_WRITE);
	assert_true(scene_waiting(scene, ENGINE_SSD_READ) > 0);
	scene_end_all(scene);
	assert_true(write->done);
	assert_true(engine_clean(scene->engine));
	assert_below(scene, 3, 'x');
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_buffer_that_changes_before_it_goes_below_is_the_same_in_both),
		TEST(the_destager_waits_for_a_write_that_hangs_below),
	};

	return cmocka_run_group_tests_name("engine: through", tests, NULL,
					   NULL);
}
