// SPDX-License-Identifier: Apache-2.0
/*
 * test_chain.c - the walk of a request, over layers that only write down what
 * happens to them.
 *
 * The trace has a letter for each call: a layer's letter on the way down, its
 * capital on the way up, '.' when the request has left the chain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain.h"

#define ALL_OPERATIONS 0x1fu
#define TRACE_LENGTH_MAX 32u

enum behaviour { FORWARDS, COMPLETES, HOLDS };

struct scene;

struct layer {
	struct scene *scene;
	char letter;
	enum behaviour behaviour;
	int status; /* of COMPLETES */
	struct forebay_request *held;
	uint64_t seen_context; /* first word of the context in submit() */
	uint64_t leaves_context; /* what submit() puts there; 0: nothing */
};

struct scene {
	struct chain chain;
	struct request_pool pool;
	struct layer layers[4];
	char trace[TRACE_LENGTH_MAX];
	int status;
};

static void note(struct scene *scene, char letter)
{
	size_t length = strlen(scene->trace);

	assert_true(length + 1 < TRACE_LENGTH_MAX);
	scene->trace[length] = letter;
}

static void layer_submit(void *state, struct forebay_request *request)
{
	struct layer *layer = state;
	uint64_t *context = chain_context(request);

	note(layer->scene, layer->letter);
	assert_int_equal((uintptr_t)context % 16, 0);
	layer->seen_context = *context;
	if (layer->leaves_context)
		*context = layer->leaves_context;
	switch (layer->behaviour) {
	case FORWARDS:
		chain_forward(request);
		return;
	case COMPLETES:
		chain_complete(request, layer->status);
		return;
	case HOLDS:
		layer->held = request;
		return;
	}
}

static void layer_completed(void *state, struct forebay_request *request,
			    int status)
{
	struct layer *layer = state;
	uint64_t *context = chain_context(request);

	note(layer->scene, (char)(layer->letter - 'a' + 'A'));
	if (layer->leaves_context)
		assert_int_equal(*context, layer->leaves_context);
	chain_complete(request, status);
}

static void on_ended(struct forebay_request *request, int status)
{
	struct scene *scene = request->user.owner;

	note(scene, '.');
	scene->status = status;
	request_pool_put(&scene->pool, request);
}

/* Layers a, b, c and the lowest, d, which completes. */
static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	for (unsigned int i = 0; i < 4; i++) {
		struct layer *layer = &scene->layers[i];
		struct chain_layer shape = {
			.submit = layer_submit,
			.completed = layer_completed,
			.state = layer,
			.operations = ALL_OPERATIONS,
			.context_bytes = 8,
			.zero_context = true,
			.name = "test",
		};

		layer->scene = scene;
		layer->letter = (char)('a' + i);
		layer->behaviour = i == 3 ? COMPLETES : FORWARDS;
		chain_add(&scene->chain, &shape);
	}
	assert_int_equal(request_pool_init(&scene->pool, &scene->chain,
					   scene->chain.context_bytes, 4),
			 0);
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	request_pool_release(&scene->pool);
	free(scene);
	return 0;
}

static void submit(struct scene *scene, enum forebay_operation operation,
		   uint32_t entry)
{
	struct forebay_request *request = request_pool_get(&scene->pool);

	assert_non_null(request);
	request->user.operation = operation;
	request->user.owner = scene;
	request->ended = on_ended;
	chain_submit(request, entry);
}

static void a_request_goes_down_and_comes_back_in_reverse(void **state)
{
	struct scene *scene = *state;

	submit(scene, FOREBAY_WRITE, 0);
	assert_string_equal(scene->trace, "abcdCBA.");
	assert_int_equal(scene->status, 0);
}

static void a_layer_without_completed_is_left_out_on_the_way_up(void **state)
{
	struct scene *scene = *state;

	scene->chain.layers[1].completed = NULL;
	submit(scene, FOREBAY_WRITE, 0);
	assert_string_equal(scene->trace, "abcdCA.");
}

static void a_layer_may_complete_a_request_itself(void **state)
{
	struct scene *scene = *state;

	scene->layers[1].behaviour = COMPLETES;
	scene->layers[1].status = -ENOSPC;
	submit(scene, FOREBAY_WRITE, 0);
	assert_string_equal(scene->trace, "abA.");
	assert_int_equal(scene->status, -ENOSPC);
}

static void a_held_request_goes_on_when_it_is_forwarded(void **state)
{
	struct scene *scene = *state;

	scene->layers[1].behaviour = HOLDS;
	submit(scene, FOREBAY_READ, 0);
	assert_string_equal(scene->trace, "ab");
	chain_forward(scene->layers[1].held);
	assert_string_equal(scene->trace, "abcdCBA.");
}

static void a_held_request_may_be_completed_later(void **state)
{
	struct scene *scene = *state;

	scene->layers[2].behaviour = HOLDS;
	submit(scene, FOREBAY_READ, 0);
	chain_complete(scene->layers[2].held, -EIO);
	assert_string_equal(scene->trace, "abcBA.");
	assert_int_equal(scene->status, -EIO);
}

static void an_unknown_operation_fails_before_the_layer_sees_it(void **state)
{
	struct scene *scene = *state;

	scene->chain.layers[2].operations &=
		~FOREBAY_OPERATION_BIT(FOREBAY_DISCARD);
	submit(scene, FOREBAY_DISCARD, 0);
	assert_string_equal(scene->trace, "abBA.");
	assert_int_equal(scene->status, -EOPNOTSUPP);
}

static void the_chain_takes_what_every_layer_takes(void **state)
{
	struct scene *scene = *state;

	scene->chain.layers[0].operations = 0x07;
	scene->chain.layers[3].operations = 0x1d;
	assert_int_equal(chain_operations(&scene->chain, 0), 0x05);
	assert_int_equal(chain_operations(&scene->chain, 1), 0x1d);
}

static void a_request_made_by_a_layer_starts_below_it(void **state)
{
	struct scene *scene = *state;

	submit(scene, FOREBAY_WRITE, 2);
	assert_string_equal(scene->trace, "cdC.");
}

static void contexts_are_apart_and_zero_at_every_submit(void **state)
{
	struct scene *scene = *state;

	for (unsigned int i = 0; i < 4; i++)
		scene->layers[i].leaves_context = 100 + i;
	for (unsigned int round = 0; round < 2; round++) {
		submit(scene, FOREBAY_WRITE, 0);
		for (unsigned int i = 0; i < 4; i++)
			assert_int_equal(scene->layers[i].seen_context, 0);
	}
}

static void a_pool_gives_what_it_has_and_takes_it_back(void **state)
{
	struct scene *scene = *state;
	struct forebay_request *requests[4];

	for (unsigned int i = 0; i < 4; i++) {
		requests[i] = request_pool_get(&scene->pool);
		assert_non_null(requests[i]);
	}
	assert_null(request_pool_get(&scene->pool));
	request_pool_put(&scene->pool, requests[2]);
	assert_ptr_equal(request_pool_get(&scene->pool), requests[2]);
	for (unsigned int i = 0; i < 4; i++)
		request_pool_put(&scene->pool, requests[i]);
}

/* Runs @misdeed in a child, which must end by abort(). */
static void expect_abort(struct scene *scene,
			 void (*misdeed)(struct scene *scene))
{
	const struct rlimit no_core = {0};
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		misdeed(scene);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void complete_twice(struct scene *scene)
{
	struct forebay_request *request = scene->layers[0].held;

	chain_complete(request, 0);
	chain_complete(request, 0);
}

static void complete_with_positive_status(struct scene *scene)
{
	chain_complete(scene->layers[0].held, 512);
}

static void a_filter_that_breaks_the_rules_ends_the_process(void **state)
{
	struct scene *scene = *state;

	scene->layers[0].behaviour = HOLDS;
	submit(scene, FOREBAY_READ, 0);
	expect_abort(scene, complete_twice);
	expect_abort(scene, complete_with_positive_status);
	chain_complete(scene->layers[0].held, 0);
}

static void a_request_must_lie_within_the_disk_in_whole_blocks(void **state)
{
	const uint64_t disk = 1 << 20;

	(void)state;
	assert_true(request_fits(FOREBAY_READ, 0, 512, 1, disk));
	assert_true(request_fits(FOREBAY_READ, disk - 512, 512, 1, disk));
	assert_true(request_fits(FOREBAY_DISCARD, 0, disk, 0, disk));
	assert_true(request_fits(FOREBAY_FLUSH, 0, 0, 0, disk));
	assert_false(request_fits(FOREBAY_FLUSH, 0, 512, 0, disk));
	assert_false(request_fits(FOREBAY_READ, disk, 512, 1, disk));
	assert_false(request_fits(FOREBAY_READ, disk - 512, 1024, 1, disk));
	assert_false(
		request_fits(FOREBAY_READ, UINT64_MAX - 511, 512, 1, disk));
	assert_false(request_fits(FOREBAY_READ, 0, 0, 1, disk));
	assert_false(request_fits(FOREBAY_WRITE, 0, 100, 1, disk));
	assert_false(request_fits(FOREBAY_WRITE, 100, 512, 1, disk));
	assert_false(request_fits(FOREBAY_WRITE, 0, 512, 0, disk));
	assert_false(request_fits(FOREBAY_WRITE, 0, 512, PIPELINE_IOV_MAX + 1,
				  disk));
	assert_false(request_fits(FOREBAY_WRITE, 0, PIPELINE_LENGTH_MAX + 512,
				  1, UINT64_C(1) << 40));
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(a_request_goes_down_and_comes_back_in_reverse),
		SCENE_TEST(a_layer_without_completed_is_left_out_on_the_way_up),
		SCENE_TEST(a_layer_may_complete_a_request_itself),
		SCENE_TEST(a_held_request_goes_on_when_it_is_forwarded),
		SCENE_TEST(a_held_request_may_be_completed_later),
		SCENE_TEST(an_unknown_operation_fails_before_the_layer_sees_it),
		SCENE_TEST(the_chain_takes_what_every_layer_takes),
		SCENE_TEST(a_request_made_by_a_layer_starts_below_it),
		SCENE_TEST(contexts_are_apart_and_zero_at_every_submit),
		SCENE_TEST(a_pool_gives_what_it_has_and_takes_it_back),
		SCENE_TEST(a_filter_that_breaks_the_rules_ends_the_process),
		cmocka_unit_test(
			a_request_must_lie_within_the_disk_in_whole_blocks),
	};

	return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
