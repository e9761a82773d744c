// SPDX-License-Identifier: Apache-2.0
/*
 * test_engine_pace.c - writers, destage and layers below that are slow, capped
 * or don't answer; a clock that goes from one I/O's end to the next.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "scene.h"

#define MS_NS 1000000ull
#define SSD_NS 50000ull
#define WRITERS 4u
#define WAITS_MAX 4000u

/* When each of the scene's waiting I/Os ends. */
struct line {
	struct engine_io *io;
	uint64_t ends_ns;
};

struct load {
	struct scene *scene;
	uint64_t below_ns; /* of a write below; UINT64_MAX: never */
	uint64_t below_free_ns; /* it does one at a time */
	struct line lines[SCENE_WAITING_MAX];
	uint32_t line_count;
	struct guest *writes[WRITERS];
	uint64_t began_ns[WRITERS];
	uint64_t next_block;
	uint64_t written;
	uint64_t waits[WAITS_MAX];
	uint32_t wait_count;
};

static int set_up(void **state)
{
	struct scene *scene;
	int status = scene_set_up(state);

	scene = *state;
	scene->config.paced = true;
	scene_restart(scene);
	return status;
}

static uint64_t ends_ns(struct load *load, const struct engine_io *io)
{
	uint64_t now_ns = load->scene->now_ns;

	if (io->type != ENGINE_BELOW_WRITE && io->type != ENGINE_BELOW_FLUSH)
		return now_ns + SSD_NS;
	if (load->below_ns == UINT64_MAX)
		return UINT64_MAX;
	if (load->below_free_ns < now_ns)
		load->below_free_ns = now_ns;
	load->below_free_ns +=
		load->below_ns * (io->length / LOG_BLOCK_BYTES > 0
					  ? io->length / LOG_BLOCK_BYTES
					  : 1);
	return load->below_free_ns;
}

static bool in_line(const struct load *load, const struct engine_io *io)
{
	for (uint32_t i = 0; i < load->line_count; i++) {
		if (load->lines[i].io == io)
			return true;
	}
	return false;
}

static void queue_new(struct load *load)
{
	struct scene *scene = load->scene;

	for (uint32_t i = 0; i < scene->waiting_count; i++) {
		struct engine_io *io = scene->waiting[i];

		if (!in_line(load, io))
			load->lines[load->line_count++] =
				(struct line){io, ends_ns(load, io)};
	}
}

/* Each writer writes one block after the other. */
static void write_more(struct load *load)
{
	struct scene *scene = load->scene;

	for (uint32_t i = 0; i < WRITERS; i++) {
		struct guest *write = load->writes[i];

		if (write && !write->done)
			continue;
		if (write) {
			assert_int_equal(write->request.status, 0);
			load->written++;
			if (load->wait_count < WAITS_MAX)
				load->waits[load->wait_count++] =
					scene->now_ns - load->began_ns[i];
		}
		/* Its memory is used again. */
		scene->guest_count = i;
		load->writes[i] = scene_write(
			scene, load->next_block++ * 7 % 250, 1, 'w');
		load->began_ns[i] = scene->now_ns;
	}
	scene->guest_count = WRITERS;
	scene_poll(scene);
}

/* Returns: false if nothing will happen before @until_ns. */
static bool step(struct load *load, uint64_t until_ns)
{
	struct scene *scene = load->scene;
	uint64_t next = engine_next_poll_ns(scene->engine);
	struct line *first = NULL;

	queue_new(load);
	for (uint32_t i = 0; i < load->line_count; i++) {
		if (!first || load->lines[i].ends_ns < first->ends_ns)
			first = &load->lines[i];
	}
	if (next == 0)
		next = UINT64_MAX;
	if (first && first->ends_ns <= next && first->ends_ns <= until_ns) {
		struct line line = *first;

		*first = load->lines[--load->line_count];
		scene->now_ns = line.ends_ns;
		scene_end_io(scene, line.io, 0);
		return true;
	}
	/* A time that has passed already would be a busy loop. */
	assert_true(next > scene->now_ns);
	if (next > until_ns) {
		scene->now_ns = until_ns;
		return false;
	}
	scene->now_ns = next;
	scene_poll(scene);
	return true;
}

static void run(struct load *load, uint64_t ns)
{
	uint64_t until_ns = load->scene->now_ns + ns;

	do
		write_more(load);
	while (step(load, until_ns));
}

/* Only what was begun. */
static void finish(struct load *load, uint64_t ns)
{
	uint64_t until_ns = load->scene->now_ns + ns;

	while (step(load, until_ns))
		;
}

static int by_size(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static void writers_get_what_a_slow_backend_takes_and_wait_alike(void **state)
{
	static struct load load;
	uint64_t below;
	uint64_t written;

	load = (struct load){.scene = *state, .below_ns = 2 * MS_NS};
	run(&load, 20 * SCENE_SECOND_NS);
	below = scene_stats(load.scene).destaged_bytes;
	written = load.written;
	load.wait_count = 0;
	run(&load, 5 * SCENE_SECOND_NS);
	below = (scene_stats(load.scene).destaged_bytes - below) /
		LOG_BLOCK_BYTES;
	written = load.written - written;
	assert_true(below > 1000);
	/* Blocks that are written again before they went below count once. */
	assert_in_range(written, below * 9 / 10, below * 12 / 10);
	assert_in_range(load.wait_count, 1000, WAITS_MAX - 1);
	qsort(load.waits, load.wait_count, sizeof(uint64_t), by_size);
	assert_in_range(load.waits[load.wait_count - 1], 0,
			4 * load.waits[load.wait_count / 2]);
}

static void no_write_fails_while_the_backend_is_silent(void **state)
{
	static struct load load;
	struct engine_troubles troubles;

	load = (struct load){.scene = *state, .below_ns = UINT64_MAX};
	run(&load, 100 * SCENE_SECOND_NS);
	troubles = engine_troubles(load.scene->engine);
	assert_int_equal(troubles.below, ENGINE_TROUBLE_SILENT);
	assert_true(troubles.writes_wait);
	/* It answers again: what waited goes on. */
	load.below_ns = MS_NS;
	for (uint32_t i = 0; i < load.line_count; i++)
		load.lines[i].ends_ns = load.scene->now_ns + MS_NS;
	finish(&load, 20 * SCENE_SECOND_NS);
	for (uint32_t i = 0; i < WRITERS; i++) {
		assert_true(load.writes[i]->done);
		assert_int_equal(load.writes[i]->request.status, 0);
	}
	troubles = engine_troubles(load.scene->engine);
	assert_int_equal(troubles.below, ENGINE_TROUBLE_NONE);
	assert_false(troubles.writes_wait);
}

static void fill_to_the_limit(struct scene *scene, struct guest **ret_last)
{
	for (uint32_t i = 0; i < 20; i++) {
		*ret_last = scene_write(scene, i * 10, 6, 'a');
		scene_end_all_but_below(scene);
	}
	assert_false((*ret_last)->done);
}

static void it_is_said_within_a_second_that_writes_wait(void **state)
{
	struct scene *scene = *state;
	struct engine_troubles troubles;
	struct guest *last;
	uint64_t began_ns;

	scene->config.paced = false;
	scene_restart(scene);
	began_ns = scene->now_ns;
	fill_to_the_limit(scene, &last);
	do {
		uint64_t next = engine_next_poll_ns(scene->engine);

		assert_in_range(next, scene->now_ns + 1,
				began_ns + SCENE_SECOND_NS);
		scene->now_ns = next;
		scene_end_all_but_below(scene);
		troubles = engine_troubles(scene->engine);
	} while (!troubles.writes_wait);
	assert_int_equal(troubles.below, ENGINE_TROUBLE_SILENT);
	assert_false(last->done);
}

static void a_refusal_is_told_in_its_own_words_until_it_ends(void **state)
{
	struct scene *scene = *state;
	struct engine_troubles troubles;
	struct guest *last;

	scene->config.paced = false;
	scene_restart(scene);
	fill_to_the_limit(scene, &last);
	for (uint32_t i = 0; i < 3; i++) {
		while (scene_waiting(scene, ENGINE_BELOW_WRITE) > 0)
			scene_end_with(scene, ENGINE_BELOW_WRITE, -ENOSPC);
		scene->now_ns += SCENE_SECOND_NS;
		scene_end_all_but_below(scene);
		troubles = engine_troubles(scene->engine);
		assert_int_equal(troubles.below, ENGINE_TROUBLE_REFUSING);
		assert_int_equal(troubles.code, -ENOSPC);
		assert_true(troubles.writes_wait);
		assert_false(last->done);
	}
	scene->now_ns += SCENE_SECOND_NS;
	scene_end_all(scene);
	scene->now_ns += SCENE_SECOND_NS;
	scene_end_all(scene);
	assert_true(last->done);
	assert_int_equal(last->request.status, 0);
	troubles = engine_troubles(scene->engine);
	assert_int_equal(troubles.below, ENGINE_TROUBLE_NONE);
}

static void a_limit_in_bytes_holds(void **state)
{
	struct scene *scene = *state;
	struct guest *third;

	scene->config.paced = false;
	scene_restart(scene);
	engine_set_max_dirty_bytes(scene->engine, 12 * LOG_BLOCK_BYTES);
	scene_write(scene, 0, 6, 'a');
	scene_write(scene, 10, 6, 'b');
	third = scene_write(scene, 20, 6, 'c');
	scene_end_all_but_below(scene);
	assert_int_equal(scene_stats(scene).dirty_limit_bytes,
			 12 * LOG_BLOCK_BYTES);
	assert_int_equal(scene_stats(scene).dirty_bytes, 12 * LOG_BLOCK_BYTES);
	assert_false(third->done);
	/* Destage makes room for it, though nothing is old. */
	scene_end_all(scene);
	assert_true(third->done);
}

/* Nothing but the lost block is left, and that never goes. */
static void a_large_write_gets_through_beside_a_lost_block(void **state)
{
	struct scene *scene = *state;
	struct guest *write;

	scene->config.paced = false;
	scene_restart(scene);
	scene_write_now(scene, 3, 1, 'a');
	scene_flush_now(scene);
	scene_copy(scene, 3)[9] ^= 1;
	assert_int_equal(scene_read_now(scene, 3), -EIO);
	assert_int_equal(scene_stats(scene).lost_blocks, 1);
	engine_set_max_dirty_bytes(scene->engine, 4 * LOG_BLOCK_BYTES);
	write = scene_write(scene, 100, 6, 'b');
	scene_end_all(scene);
	assert_true(write->done);
	assert_int_equal(write->request.status, 0);
}

static void the_age_of_the_oldest_is_told(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(scene_stats(scene).dirty_age_ns, 0);
	scene_write_now(scene, 3, 1, 'a');
	scene_flush_now(scene);
	scene_pass_ns(scene, 7 * SCENE_SECOND_NS);
	assert_int_equal(scene_stats(scene).dirty_age_ns, 7 * SCENE_SECOND_NS);
	scene_drain(scene);
	assert_int_equal(scene_stats(scene).dirty_age_ns, 0);
}

/* Those behind the oldest wait for it: it must not begin at the last moment. */
static void no_write_gets_older_than_it_may(void **state)
{
	static struct load load;
	struct scene *scene = *state;
	uint64_t oldest = 0;

	load = (struct load){.scene = scene, .below_ns = 20 * MS_NS};
	engine_set_max_dirty_age(scene->engine, 3 * SCENE_SECOND_NS);
	for (uint32_t i = 0; i < 200; i++) {
		uint64_t age;

		/* A write now and then: it never comes near the limit. */
		load.writes[0] = scene_write(scene, i * 7 % 250, 1, 'w');
		scene_poll(scene);
		finish(&load, 500 * MS_NS);
		assert_true(load.writes[0]->done);
		scene_forget_guests(scene);
		age = scene_stats(scene).dirty_age_ns;
		/* The first pass only teaches how long one takes. */
		if (i > 20 && age > oldest)
			oldest = age;
	}
	assert_in_range(oldest, SCENE_SECOND_NS, 3 * SCENE_SECOND_NS);
}

static void a_cap_holds_until_dirty_data_near_the_limit(void **state)
{
	static struct load load;
	struct scene *scene = *state;
	uint64_t before;

	load = (struct load){.scene = scene, .below_ns = MS_NS};
	engine_set_destage_rate(scene->engine, 10 * LOG_BLOCK_BYTES);
	engine_set_max_dirty_age(scene->engine, SCENE_SECOND_NS);
	/* Nine blocks, each on its own: one I/O each. */
	for (uint32_t i = 0; i < 9; i++)
		scene_write(scene, i * 10, 1, 'w');
	scene_poll(scene);
	finish(&load, 1500 * MS_NS);
	assert_in_range(scene_stats(scene).destaged_bytes, LOG_BLOCK_BYTES,
			8 * LOG_BLOCK_BYTES);
	finish(&load, 2 * SCENE_SECOND_NS);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
	/* At full speed writers would wait for the cap: it gives way. */
	scene_forget_guests(scene);
	run(&load, 10 * SCENE_SECOND_NS);
	before = scene_stats(scene).destaged_bytes;
	run(&load, 5 * SCENE_SECOND_NS);
	assert_true(scene_stats(scene).destaged_bytes - before >
		    5 * 30 * LOG_BLOCK_BYTES);
	/* And so it does when somebody waits for it. */
	finish(&load, 30 * SCENE_SECOND_NS);
	scene_forget_guests(scene);
	for (uint32_t i = 0; i < 20; i++)
		scene_write(scene, i * 10, 1, 'w');
	engine_set_draining(scene->engine, true);
	scene_poll(scene);
	finish(&load, SCENE_SECOND_NS / 2);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(writers_get_what_a_slow_backend_takes_and_wait_alike),
		TEST(no_write_fails_while_the_backend_is_silent),
		TEST(it_is_said_within_a_second_that_writes_wait),
		TEST(a_refusal_is_told_in_its_own_words_until_it_ends),
		TEST(a_limit_in_bytes_holds),
		TEST(a_large_write_gets_through_beside_a_lost_block),
		TEST(the_age_of_the_oldest_is_told),
		TEST(no_write_gets_older_than_it_may),
		TEST(a_cap_holds_until_dirty_data_near_the_limit),
	};

	return cmocka_run_group_tests_name("engine: pace", tests, NULL, NULL);
}
