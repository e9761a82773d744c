// SPDX-License-Identifier: Apache-2.0
/*
 * test_engine_withdrawal.c - the SSD fails, and the disk goes on without it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "scene.h"

#define FIRST 0x100000001ull
#define SECOND 0x200000002ull
#define THIRD 0x300000003ull
#define FOURTH 0x400000004ull

/* Writes and flushes of the SSD fail; its reads may, too. */
struct weakness {
	bool reads;
	bool lost; /* what VOID said */
	uint32_t voids;
};

static void set_up(struct scene *scene)
{
	scene->config.may_withdraw = true;
	scene->config.below = (struct engine_below){
		.looked = true,
		.found = FIRST,
		.next = SECOND,
	};
	scene_restart(scene);
}

/* Ends everything but a VOID, as an SSD of that weakness would. */
static bool end_one(struct scene *scene, struct weakness *weakness)
{
	struct engine_io *io = scene->waiting[0];
	int status = 0;

	switch (io->type) {
	case ENGINE_SSD_WRITE:
	case ENGINE_SSD_FLUSH:
		status = -EIO;
		break;
	case ENGINE_SSD_READ:
		status = weakness->reads ? -EIO : 0;
		break;
	case ENGINE_VOID:
		weakness->voids++;
		weakness->lost = io->lost;
		break;
	case ENGINE_BELOW_READ:
	case ENGINE_BELOW_WRITE:
	case ENGINE_BELOW_FLUSH:
	case ENGINE_BELOW_ZERO:
		break;
	}
	scene_end_io(scene, io, status);
	return true;
}

/* And goes on while that leads anywhere. */
static void weaken(struct scene *scene, struct weakness *weakness)
{
	scene_poll(scene);
	for (uint32_t i = 0; i < 10000; i++) {
		if (scene->waiting_count > 0)
			end_one(scene, weakness);
		else if (i % 16 == 15)
			scene_pass_ns(scene, SCENE_SECOND_NS);
		else
			scene_poll(scene);
	}
}

static void assert_out_of_use(struct scene *scene)
{
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
	assert_int_equal(scene_stats(scene).mode_reason,
			 ENGINE_MODE_SSD_FAILED);
	assert_int_equal(scene_stats(scene).mode_actual, ENGINE_WRITE_AROUND);
}

static void a_write_that_the_SSD_refuses_goes_below(void **state)
{
	struct scene *scene = *state;
	struct weakness weakness = {0};
	struct guest *guest;

	set_up(scene);
	scene_write_now(scene, 7, 1, 'a');
	guest = scene_write(scene, 9, 2, 'b');
	weaken(scene, &weakness);
	assert_true(guest->done);
	assert_int_equal(guest->request.status, 0);
	assert_int_equal(weakness.voids, 1);
	assert_false(weakness.lost);
	assert_out_of_use(scene);
	assert_non_null(strstr(engine_failure(scene->engine)->message,
			       "to the SSD failed"));
	assert_below(scene, 7, 'a');
	assert_below(scene, 10, 'b');
	assert_int_equal(scene_stats(scene).cached_bytes, 0);
	assert_int_equal(scene_read_now(scene, 7), 'a');
}

static void writes_wait_until_the_log_is_void(void **state)
{
	struct scene *scene = *state;
	struct guest *guest;

	set_up(scene);
	scene_write_now(scene, 7, 1, 'a');
	guest = scene_write(scene, 7, 1, 'b');
	scene_poll(scene);
	for (uint32_t i = 0; i < 3; i++)
		scene_end_with(scene, ENGINE_SSD_WRITE, -EIO);
	assert_int_equal(scene_stats(scene).mode_reason,
			 ENGINE_MODE_SSD_FAILING);
	scene_end(scene, ENGINE_SSD_READ);
	/* The older version, and nothing but it. */
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 1);
	scene_end(scene, ENGINE_BELOW_WRITE);
	assert_below(scene, 7, 'a');
	scene_end(scene, ENGINE_BELOW_FLUSH);
	assert_int_equal(scene_waiting(scene, ENGINE_VOID), 1);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 0);
	assert_false(guest->done);
	scene_end(scene, ENGINE_VOID);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_WRITE), 1);
	scene_end(scene, ENGINE_BELOW_WRITE);
	assert_true(guest->done);
	assert_below(scene, 7, 'b');
}

static void reads_go_on_while_the_log_is_drained(void **state)
{
	struct scene *scene = *state;
	struct guest *hit;

	set_up(scene);
	scene_write_now(scene, 7, 1, 'a');
	scene_write(scene, 8, 1, 'b');
	scene_poll(scene);
	for (uint32_t i = 0; i < 3; i++)
		scene_end_with(scene, ENGINE_SSD_WRITE, -EIO);
	hit = scene_read(scene, 7, 1);
	scene_poll(scene);
	while (!hit->done)
		scene_end(scene, ENGINE_SSD_READ);
	assert_int_equal(hit->request.status, 0);
	assert_block(hit->bytes, 'a');
	scene_end_all(scene);
}

static void a_FLUSH_that_the_SSD_fails_waits_for_the_layers_below(void **state)
{
	struct scene *scene = *state;
	struct weakness weakness = {0};
	struct guest *flush;

	set_up(scene);
	scene_write_now(scene, 7, 1, 'a');
	flush = scene_flush(scene);
	scene_poll(scene);
	scene_end_with(scene, ENGINE_SSD_FLUSH, -EIO);
	assert_false(flush->done);
	scene_end(scene, ENGINE_SSD_READ);
	scene_end(scene, ENGINE_BELOW_WRITE);
	assert_false(flush->done);
	weaken(scene, &weakness);
	assert_true(flush->done);
	assert_int_equal(flush->request.status, 0);
	assert_int_equal(scene_stats(scene).below_flushes, 1);
	assert_out_of_use(scene);
}

static void what_cannot_be_read_is_lost_and_said_so(void **state)
{
	struct scene *scene = *state;
	struct weakness weakness = {.reads = true};
	struct guest *flush, *part, *whole;
	uint64_t sector = 0;
	uint64_t count;

	set_up(scene);
	scene_write_now(scene, 7, 1, 'a');
	flush = scene_flush(scene);
	weaken(scene, &weakness);
	assert_true(weakness.lost);
	assert_out_of_use(scene);
	/* It asked for data that are gone. */
	assert_int_equal(flush->request.status, -EIO);
	/* Below has an older version, which nobody gets. */
	assert_int_equal(scene_read_now(scene, 7), -EIO);
	assert_true(engine_next_lost(scene->engine, &sector, &count));
	assert_int_equal(sector, 7 * 8);
	assert_int_equal(count, 8);
	sector += count;
	assert_false(engine_next_lost(scene->engine, &sector, &count));
	assert_int_equal(scene_stats(scene).dirty_bytes, LOG_BLOCK_BYTES);
	part = scene_write_sectors(scene, 7 * 8 + 1, 2, 'p');
	scene_end_all(scene);
	assert_int_equal(part->request.status, -EIO);
	whole = scene_write(scene, 6, 3, 'b');
	scene_end_all(scene);
	assert_int_equal(whole->request.status, 0);
	assert_int_equal(scene_read_now(scene, 7), 'b');
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
}

static void a_lost_block_stays_lost_when_its_overwriting_fails(void **state)
{
	struct scene *scene = *state;
	struct weakness weakness = {.reads = true};
	struct guest *guest;

	set_up(scene);
	scene_write_now(scene, 7, 1, 'a');
	scene_flush(scene);
	weaken(scene, &weakness);
	guest = scene_write(scene, 7, 1, 'b');
	scene_poll(scene);
	scene_end_with(scene, ENGINE_BELOW_WRITE, -ENOSPC);
	assert_int_equal(guest->request.status, -ENOSPC);
	assert_int_equal(scene_read_now(scene, 7), -EIO);
}

static void zeroes_and_discards_go_below(void **state)
{
	struct scene *scene = *state;
	struct weakness weakness = {0};
	struct guest *zero;

	set_up(scene);
	scene_write_now(scene, 7, 2, 'a');
	scene_zero_now(scene, 8, 1);
	scene_write(scene, 20, 1, 'x');
	weaken(scene, &weakness);
	assert_below(scene, 7, 'a');
	assert_below(scene, 8, 0);
	zero = scene_zero(scene, ENGINE_DISCARD, 7 * 8, 8);
	scene_end_all(scene);
	assert_int_equal(zero->request.status, 0);
	assert_below(scene, 7, 0);
	zero = scene_zero(scene, ENGINE_ZERO, 0, SCENE_DISK_BLOCKS * 8);
	zero->request.fast = true;
	scene_end_all(scene);
	assert_true(zero->done);
}

static void the_layers_below_may_fail_for_a_while(void **state)
{
	struct scene *scene = *state;
	struct weakness weakness = {0};
	struct guest *guest;

	set_up(scene);
	scene_write_now(scene, 7, 1, 'a');
	guest = scene_write(scene, 8, 1, 'b');
	scene_poll(scene);
	for (uint32_t i = 0; i < 3; i++)
		scene_end_with(scene, ENGINE_SSD_WRITE, -EIO);
	scene_end(scene, ENGINE_SSD_READ);
	scene_end_with(scene, ENGINE_BELOW_WRITE, -EIO);
	assert_int_equal(scene_waiting(scene, ENGINE_VOID), 0);
	assert_false(guest->done);
	weaken(scene, &weakness);
	assert_out_of_use(scene);
	assert_true(guest->done);
	assert_below(scene, 7, 'a');
}

static void a_void_log_is_not_believed_by_the_next_start(void **state)
{
	struct scene *scene = *state;
	struct weakness weakness = {0};
	struct guest *guest;

	set_up(scene);
	scene_write_now(scene, 7, 1, 'a');
	guest = scene_write(scene, 7, 1, 'b');
	weaken(scene, &weakness);
	assert_true(guest->done);
	assert_below(scene, 7, 'b');
	/* The SSD is there again, and its log has the older one as dirty. */
	scene->config.below = (struct engine_below){
		.looked = true,
		.found = THIRD,
		.next = FOURTH,
		.voided = SECOND,
	};
	scene_restart(scene);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
	assert_int_equal(scene_stats(scene).forgotten_because,
			 ENGINE_FORGOT_VOID);
	assert_int_equal(scene_stats(scene).dirty_bytes, 0);
	assert_int_equal(scene_read_now(scene, 7), 'b');
	scene_write_now(scene, 7, 1, 'c');
	scene_drain(scene);
	assert_below(scene, 7, 'c');
}

static void a_log_that_lost_something_is_refused_by_the_next_start(void **state)
{
	struct scene *scene = *state;
	struct weakness weakness = {.reads = true};

	set_up(scene);
	scene_write_now(scene, 7, 1, 'a');
	scene_flush(scene);
	weaken(scene, &weakness);
	scene->config.below = (struct engine_below){
		.looked = true,
		.held = true,
		.found = THIRD,
		.next = FOURTH,
		.voided = SECOND,
	};
	scene_restart(scene);
	assert_int_equal(engine_state(scene->engine), ENGINE_FAILED);
	assert_non_null(
		strstr(engine_failure(scene->engine)->message, "diverged"));
}

static void without_a_place_to_say_so_the_engine_fails(void **state)
{
	struct scene *scene = *state;
	struct weakness weakness = {0};
	struct guest *guest;

	set_up(scene);
	scene->config.may_withdraw = false;
	scene_restart(scene);
	guest = scene_write(scene, 7, 1, 'a');
	weaken(scene, &weakness);
	assert_int_equal(guest->request.status, -EIO);
	assert_int_equal(engine_state(scene->engine), ENGINE_FAILED);
}

static void a_VOID_that_fails_is_the_end(void **state)
{
	struct scene *scene = *state;
	struct guest *guest;

	set_up(scene);
	guest = scene_write(scene, 7, 1, 'a');
	scene_poll(scene);
	for (uint32_t i = 0; i < 3; i++)
		scene_end_with(scene, ENGINE_SSD_WRITE, -EIO);
	scene_end_with(scene, ENGINE_VOID, -EROFS);
	assert_int_equal(engine_state(scene->engine), ENGINE_FAILED);
	assert_int_equal(guest->request.status, -EIO);
	assert_below(scene, 7, 'o');
}

static void a_hold_ends_with_the_SSD(void **state)
{
	struct scene *scene = *state;
	struct weakness weakness = {0};

	set_up(scene);
	scene_write_now(scene, 7, 1, 'a');
	assert_int_equal(engine_hold(scene->engine, 600 * SCENE_SECOND_NS), 0);
	scene_end_all(scene);
	assert_int_equal(engine_hold_now(scene->engine).state,
			 ENGINE_HOLD_HELD);
	scene_write(scene, 7, 1, 'b');
	weaken(scene, &weakness);
	assert_out_of_use(scene);
	assert_int_equal(engine_hold_now(scene->engine).end,
			 ENGINE_HOLD_END_FAILED);
	assert_int_equal(engine_release(scene->engine), -ESTALE);
	assert_int_equal(engine_hold(scene->engine, 600 * SCENE_SECOND_NS),
			 -EOPNOTSUPP);
}

static void an_engine_without_a_log_can_be_closed(void **state)
{
	struct scene *scene = *state;
	struct weakness weakness = {0};

	set_up(scene);
	scene_write(scene, 7, 1, 'a');
	weaken(scene, &weakness);
	scene_flush_now(scene);
	assert_true(engine_clean(scene->engine));
	engine_close(scene->engine);
	scene_end_all(scene);
	assert_true(engine_closed(scene->engine));
}

static void a_write_through_that_waits_for_the_SSD_goes_below(void **state)
{
	struct scene *scene = *state;
	struct weakness weakness = {0};
	struct guest *through, *around;

	set_up(scene);
	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	through = scene_write(scene, 7, 1, 'a');
	scene_poll(scene);
	/* The superblock says first that there may be such writes. */
	while (scene_waiting(scene, ENGINE_SSD_WRITE) == 0 ||
	       scene_oldest(scene, ENGINE_SSD_WRITE)->offset <
		       SCENE_FIRST_SEGMENT * LOG_BLOCK_BYTES)
		scene_end_io(scene, scene->waiting[0], 0);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_FLUSH), 1);
	around = scene_write(scene, 7, 1, 'b');
	scene_end_with(scene, ENGINE_SSD_FLUSH, -EIO);
	weaken(scene, &weakness);
	assert_int_equal(through->request.status, 0);
	assert_true(around->done);
	assert_out_of_use(scene);
	assert_int_equal(scene_read_now(scene, 7), scene->below[7 * 4096]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SCENE_TEST(test) \
	cmocka_unit_test_setup_teardown(test, scene_set_up, scene_tear_down)
		SCENE_TEST(a_write_that_the_SSD_refuses_goes_below),
		SCENE_TEST(writes_wait_until_the_log_is_void),
		SCENE_TEST(reads_go_on_while_the_log_is_drained),
		SCENE_TEST(
			a_FLUSH_that_the_SSD_fails_waits_for_the_layers_below),
		SCENE_TEST(what_cannot_be_read_is_lost_and_said_so),
		SCENE_TEST(a_lost_block_stays_lost_when_its_overwriting_fails),
		SCENE_TEST(zeroes_and_discards_go_below),
		SCENE_TEST(the_layers_below_may_fail_for_a_while),
		SCENE_TEST(a_void_log_is_not_believed_by_the_next_start),
		SCENE_TEST(
			a_log_that_lost_something_is_refused_by_the_next_start),
		SCENE_TEST(without_a_place_to_say_so_the_engine_fails),
		SCENE_TEST(a_VOID_that_fails_is_the_end),
		SCENE_TEST(a_hold_ends_with_the_SSD),
		SCENE_TEST(an_engine_without_a_log_can_be_closed),
		SCENE_TEST(a_write_through_that_waits_for_the_SSD_goes_below),
	};

	return cmocka_run_group_tests_name("engine: withdrawal", tests, NULL,
					   NULL);
}
