// SPDX-License-Identifier: Apache-2.0
/*
 * test_copies.c - stable copies and replaced buffers, over two layers that keep
 * their requests until the test lets them go.
 *
 * The upper one copies; the lower one is the last.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "copies.h"

#define REQUESTS 8u
#define LARGEST FOREBAY_LENGTH_MAX
#define ALL_OPERATIONS 0x1fu

struct scene {
	struct loop *loop;
	struct chain chain;
	struct request_pool pool;
	struct copies copies;
	uint64_t copied_bytes;
	/* Of each request_stable() so far. */
	int stable[2 * REQUESTS];
	unsigned int stable_count;
	/* At the last layer, in order of arrival. */
	struct forebay_request *below[REQUESTS];
	unsigned int below_count;
	const struct iovec *seen_in_completed;
	unsigned int ended;
	struct iovec own; /* of every request */
	struct loop_timer tick;
	bool replaces; /* the upper layer replaces, and makes no copy */
	struct iovec other;
};

static void upper_submit(void *state, struct forebay_request *request)
{
	struct scene *scene = state;
	int status;

	if (scene->replaces)
		status = copies_request_replace(request, &scene->other, 1);
	else
		status = copies_request_stable(request);
	scene->stable[scene->stable_count++] = status;
	if (status != -EINPROGRESS)
		chain_forward(request);
}

static void upper_completed(void *state, struct forebay_request *request,
			    int status)
{
	struct scene *scene = state;

	scene->seen_in_completed = request->user.iov;
	chain_complete(request, status);
}

static void lower_submit(void *state, struct forebay_request *request)
{
	struct scene *scene = state;

	scene->below[scene->below_count++] = request;
}

static void on_ended(struct forebay_request *request, int status)
{
	struct scene *scene = request->user.owner;

	assert_int_equal(status, 0);
	assert_ptr_equal(request->user.iov, &scene->own);
	scene->ended++;
	request_pool_put(&scene->pool, request);
}

static int begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct chain_layer upper = {
		.submit = upper_submit,
		.completed = upper_completed,
		.operations = ALL_OPERATIONS,
		.context_bytes = 24,
		.name = "copier",
	};
	struct chain_layer lower = {
		.submit = lower_submit,
		.operations = ALL_OPERATIONS,
	};

	assert_non_null(scene);
	assert_int_equal(loop_create(&scene->loop), 0);
	assert_int_equal(
		copies_init(&scene->copies, scene->loop, &scene->copied_bytes),
		0);
	upper.state = scene;
	upper.copies = &scene->copies;
	lower.state = scene;
	chain_add(&scene->chain, &upper);
	chain_add(&scene->chain, &lower);
	assert_int_equal(request_pool_init(&scene->pool, &scene->chain,
					   scene->chain.context_bytes,
					   REQUESTS),
			 0);
	scene->own.iov_base = aligned_alloc(4096, LARGEST);
	assert_non_null(scene->own.iov_base);
	*state = scene;
	return 0;
}

static int end(void **state)
{
	struct scene *scene = *state;

	copies_release(&scene->copies);
	request_pool_release(&scene->pool);
	loop_destroy(scene->loop);
	free(scene->own.iov_base);
	free(scene);
	return 0;
}

static void submit(struct scene *scene, enum forebay_operation operation,
		   size_t length)
{
	struct forebay_request *request = request_pool_get(&scene->pool);

	assert_non_null(request);
	scene->own.iov_len = length;
	request->user = (struct pipeline_request){
		.operation = operation,
		.length = length,
		.iov = &scene->own,
		.iov_count = 1,
		.owner = scene,
	};
	request->ended = on_ended;
	chain_submit(request, 0);
}

static void on_tick(struct loop_timer *timer)
{
	loop_stop(timer->owner);
}

/* What is deferred until now, and what that defers. */
static void let_the_loop_turn(struct scene *scene)
{
	scene->tick.expired = on_tick;
	scene->tick.owner = scene->loop;
	for (unsigned int i = 0; i < 4; i++) {
		loop_timer_arm(scene->loop, &scene->tick, 1);
		assert_int_equal(loop_run(scene->loop), 0);
	}
}

static void a_copy_does_not_change_with_the_data_of_the_vm(void **state)
{
	struct scene *scene = *state;
	const struct iovec *iov;

	memset(scene->own.iov_base, 'a', 8192);
	submit(scene, FOREBAY_WRITE, 8192);
	memset(scene->own.iov_base, 'b', 8192);
	iov = scene->below[0]->user.iov;
	assert_int_equal(scene->below[0]->user.iov_count, 1);
	assert_int_equal(iov->iov_len, 8192);
	assert_int_equal((uintptr_t)iov->iov_base % 4096, 0);
	assert_int_equal(((char *)iov->iov_base)[8191], 'a');
	/* And the other way round. */
	memset(iov->iov_base, 'c', 8192);
	assert_int_equal(((char *)scene->own.iov_base)[0], 'b');
	assert_int_equal(scene->copied_bytes, 8192);
	chain_complete(scene->below[0], 0);
	assert_int_equal(scene->ended, 1);
}

static void the_request_has_its_own_data_on_its_way_up(void **state)
{
	struct scene *scene = *state;

	submit(scene, FOREBAY_WRITE, 4096);
	assert_ptr_not_equal(scene->below[0]->user.iov, &scene->own);
	chain_complete(scene->below[0], 0);
	assert_ptr_equal(scene->seen_in_completed, &scene->own);
}

static void only_a_write_has_a_copy(void **state)
{
	struct scene *scene = *state;

	submit(scene, FOREBAY_READ, 4096);
	assert_int_equal(scene->stable[0], -EINVAL);
	chain_complete(scene->below[0], 0);
	assert_int_equal(scene->copied_bytes, 0);
}

static void whoever_finds_no_memory_waits_in_order(void **state)
{
	struct scene *scene = *state;

	submit(scene, FOREBAY_WRITE, LARGEST);
	submit(scene, FOREBAY_WRITE, LARGEST);
	submit(scene, FOREBAY_WRITE, LARGEST);
	submit(scene, FOREBAY_WRITE, 512);
	assert_int_equal(scene->below_count, 2);
	assert_int_equal(scene->stable[2], -EINPROGRESS);
	assert_int_equal(scene->stable[3], -EINPROGRESS);
	chain_complete(scene->below[1], 0);
	let_the_loop_turn(scene);
	/* The small one would have found memory at any time. */
	assert_int_equal(scene->below_count, 3);
	assert_int_equal(scene->below[2]->user.length, LARGEST);
	chain_complete(scene->below[0], 0);
	let_the_loop_turn(scene);
	assert_int_equal(scene->below_count, 4);
	chain_complete(scene->below[2], 0);
	chain_complete(scene->below[3], 0);
	assert_int_equal(scene->ended, 4);
}

static void what_comes_while_others_wait_waits_behind_them(void **state)
{
	struct scene *scene = *state;

	submit(scene, FOREBAY_WRITE, LARGEST);
	submit(scene, FOREBAY_WRITE, 512);
	submit(scene, FOREBAY_WRITE, LARGEST);
	assert_int_equal(scene->below_count, 2);
	/* There is room for it, and it must not starve the large one. */
	submit(scene, FOREBAY_WRITE, 512);
	assert_int_equal(scene->stable[3], -EINPROGRESS);
	chain_complete(scene->below[1], 0);
	let_the_loop_turn(scene);
	assert_int_equal(scene->below_count, 3);
	assert_int_equal(scene->below[2]->user.length, LARGEST);
	chain_complete(scene->below[0], 0);
	let_the_loop_turn(scene);
	chain_complete(scene->below[2], 0);
	chain_complete(scene->below[3], 0);
	assert_int_equal(scene->ended, 4);
}

static void replaced_buffers_go_down_and_not_up(void **state)
{
	struct scene *scene = *state;
	unsigned char *memory = aligned_alloc(4096, 4096);

	assert_non_null(memory);
	scene->replaces = true;
	scene->other = (struct iovec){memory, 4096};
	submit(scene, FOREBAY_READ, 4096);
	assert_int_equal(scene->stable[0], 0);
	assert_ptr_equal(scene->below[0]->user.iov, &scene->other);
	chain_complete(scene->below[0], 0);
	assert_ptr_equal(scene->seen_in_completed, &scene->own);
	free(memory);
}

static void buffers_of_another_length_or_place_are_refused(void **state)
{
	struct scene *scene = *state;
	unsigned char *memory = aligned_alloc(4096, 8192);

	assert_non_null(memory);
	scene->replaces = true;
	scene->other = (struct iovec){memory, 8192};
	submit(scene, FOREBAY_READ, 4096);
	scene->other = (struct iovec){memory + 8, 4096};
	submit(scene, FOREBAY_READ, 4096);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(scene->stable[i], -EINVAL);
		assert_ptr_equal(scene->below[i]->user.iov, &scene->own);
		chain_complete(scene->below[i], 0);
	}
	free(memory);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_copy_does_not_change_with_the_data_of_the_vm),
		TEST(the_request_has_its_own_data_on_its_way_up),
		TEST(only_a_write_has_a_copy),
		TEST(whoever_finds_no_memory_waits_in_order),
		TEST(what_comes_while_others_wait_waits_behind_them),
		TEST(replaced_buffers_go_down_and_not_up),
		TEST(buffers_of_another_length_or_place_are_refused),
	};

	return cmocka_run_group_tests_name("copies", tests, NULL, NULL);
}
