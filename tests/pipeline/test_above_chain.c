// SPDX-License-Identifier: Apache-2.0
/*
 * test_above_chain.c - what the pipeline does with requests before the chain
 * has them: discards and zeroes that it lacks, and fences around requests that
 * were given up.
 */
#include "pipeline_scene.h"

#include <errno.h>
#include <string.h>

/* A request of any length without data; it runs until loop_run(). */
static struct pipeline_request *submit_range(struct scene *scene,
					     enum forebay_operation operation,
					     uint32_t flags, uint64_t offset,
					     uint64_t length)
{
	struct pipeline_request *request =
		pipeline_request_get(scene->pipeline);

	assert_non_null(request);
	request->operation = operation;
	request->flags = flags;
	request->offset = offset;
	request->length = length;
	request->iov = NULL;
	request->iov_count = 0;
	request->done = on_request_done;
	request->owner = scene;
	pipeline_submit(scene->pipeline, request);
	return request;
}

static int run_range(struct scene *scene, enum forebay_operation operation,
		     uint32_t flags, uint64_t offset, uint64_t length)
{
	struct pipeline_request *request =
		submit_range(scene, operation, flags, offset, length);

	assert_int_equal(loop_run(scene->loop), 0);
	/* The export sees what it asked for. */
	assert_int_equal(request->operation, operation);
	assert_int_equal(request->flags, flags);
	assert_int_equal(request->offset, offset);
	assert_int_equal(request->length, length);
	pipeline_request_put(scene->pipeline, request);
	return scene->status;
}

static void expect_bytes(uint64_t offset, uint64_t length, int value)
{
	for (uint64_t i = 0; i < length; i++)
		assert_int_equal(memory_backend.image[offset + i], value);
}

/* With a chain that completes later, and one that completes at once. */
static void zeroes_that_the_chain_lacks_are_written_in_pieces(void **state)
{
	struct scene *scene = *state;
	const uint64_t end = MEMORY_BACKEND_BYTES - 512;

	for (unsigned int i = 0; i < 2; i++) {
		memory_backend_reset();
		memory_backend.operations = 0x07;
		memory_backend.at_once = i == 1;
		assert_int_equal(open_pipeline(scene), 0);
		memset(memory_backend.image, 0xa5, MEMORY_BACKEND_BYTES);
		assert_int_equal(run_range(scene, FOREBAY_WRITE_ZEROES,
					   FOREBAY_FUA | FOREBAY_NO_HOLE, 512,
					   end - 512),
				 0);
		expect_bytes(0, 512, 0xa5);
		expect_bytes(512, end - 512, 0);
		expect_bytes(end, 512, 0xa5);
		assert_int_equal(memory_backend.write_count, 4);
		assert_int_equal(memory_backend.fua_count, 4);
		assert_in_range(memory_backend.longest_write_bytes, 512,
				PIPELINE_LENGTH_MAX);
		close_pipeline(scene);
	}
}

static void zeroes_that_the_chain_knows_go_down_as_they_are(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(open_pipeline(scene), 0);
	memset(memory_backend.image, 0xa5, MEMORY_BACKEND_BYTES);
	assert_int_equal(run_range(scene, FOREBAY_WRITE_ZEROES, 0, 0,
				   MEMORY_BACKEND_BYTES),
			 0);
	expect_bytes(0, MEMORY_BACKEND_BYTES, 0);
	assert_int_equal(memory_backend.write_count, 0);
	close_pipeline(scene);
}

static void zeroes_end_with_the_first_piece_that_fails(void **state)
{
	struct scene *scene = *state;

	memory_backend.operations = 0x07;
	memory_backend.fail_after = 2;
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_range(scene, FOREBAY_WRITE_ZEROES, 0, 0,
				   MEMORY_BACKEND_BYTES),
			 -EIO);
	assert_int_equal(memory_backend.write_count, 2);
	close_pipeline(scene);
}

static void a_long_range_of_zeroes_lets_others_pass(void **state)
{
	struct scene *scene = *state;
	_Alignas(512) unsigned char block[512];
	struct pipeline_request *zeroes;

	memory_backend.operations = 0x07;
	assert_int_equal(open_pipeline(scene), 0);
	zeroes = submit_range(scene, FOREBAY_WRITE_ZEROES, 0, 0,
			      MEMORY_BACKEND_BYTES);
	assert_int_equal(run_request(scene, FOREBAY_READ, 0, block), 0);
	assert_int_equal(memory_backend.write_count, 1);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(memory_backend.write_count, 4);
	pipeline_request_put(scene->pipeline, zeroes);
	close_pipeline(scene);
}

/* One block of @value at @offset; its end is counted in @ret_ended. */
struct block_io {
	struct pipeline_request *request;
	struct iovec iov;
	int status; /* 1: not ended */
	_Alignas(512) unsigned char data[512];
};

static void on_block_done(struct pipeline_request *request, int status)
{
	struct block_io *io = request->owner;

	io->status = status;
}

static void submit_block(struct scene *scene, struct block_io *io,
			 enum forebay_operation operation, uint64_t offset,
			 int value)
{
	memset(io->data, value, sizeof(io->data));
	io->iov = (struct iovec){io->data, sizeof(io->data)};
	io->status = 1;
	io->request = pipeline_request_get(scene->pipeline);
	assert_non_null(io->request);
	io->request->operation = operation;
	io->request->flags = 0;
	io->request->offset = offset;
	io->request->length = operation == FOREBAY_FLUSH ? 0 : 512;
	io->request->iov = operation == FOREBAY_FLUSH ? NULL : &io->iov;
	io->request->iov_count = operation == FOREBAY_FLUSH ? 0 : 1;
	io->request->done = on_block_done;
	io->request->owner = io;
	pipeline_submit(scene->pipeline, io->request);
}

static void on_turn(struct loop_timer *timer)
{
	loop_stop(timer->owner);
}

/* Long enough for all that can end to end. */
static void turns(struct scene *scene)
{
	struct loop_timer timer = {.expired = on_turn, .owner = scene->loop};

	for (unsigned int i = 0; i < 4; i++) {
		loop_timer_arm(scene->loop, &timer, 0);
		assert_int_equal(loop_run(scene->loop), 0);
	}
}

static void what_overlaps_a_stuck_request_waits_for_its_end(void **state)
{
	struct scene *scene = *state;
	static struct block_io stuck, write, read, other;
	struct pipeline_stuck counts;

	assert_int_equal(open_pipeline(scene), 0);
	memory_backend.held = true;
	submit_block(scene, &stuck, FOREBAY_WRITE, 4096, 1);
	turns(scene);
	assert_false(pipeline_abandon(scene->pipeline, stuck.request));
	assert_false(pipeline_abandon(scene->pipeline, stuck.request));
	submit_block(scene, &write, FOREBAY_WRITE, 4096, 2);
	submit_block(scene, &read, FOREBAY_READ, 4096, 0);
	pipeline_stuck(scene->pipeline, &counts);
	assert_int_equal(counts.requests, 1);
	assert_int_equal(counts.waiting, 2);
	/* The storage takes up other work first. */
	submit_block(scene, &other, FOREBAY_WRITE, 512, 3);
	memory_backend_release();
	turns(scene);
	assert_int_equal(stuck.status, 0);
	assert_int_equal(other.status, 0);
	assert_int_equal(write.status, 0);
	assert_int_equal(read.status, 0);
	assert_int_equal(memory_backend.image[4096], 2);
	pipeline_stuck(scene->pipeline, &counts);
	assert_int_equal(counts.requests, 0);
	assert_int_equal(counts.waiting, 0);
	pipeline_request_put(scene->pipeline, stuck.request);
	pipeline_request_put(scene->pipeline, write.request);
	pipeline_request_put(scene->pipeline, read.request);
	pipeline_request_put(scene->pipeline, other.request);
	close_pipeline(scene);
}

static void what_waits_at_a_fence_can_be_called_back(void **state)
{
	struct scene *scene = *state;
	static struct block_io stuck, waiting;

	assert_int_equal(open_pipeline(scene), 0);
	memory_backend.held = true;
	submit_block(scene, &stuck, FOREBAY_READ, 0, 1);
	assert_false(pipeline_abandon(scene->pipeline, stuck.request));
	submit_block(scene, &waiting, FOREBAY_WRITE, 0, 2);
	assert_true(pipeline_abandon(scene->pipeline, waiting.request));
	assert_int_equal(waiting.status, -ECANCELED);
	memory_backend_release();
	turns(scene);
	assert_int_equal(memory_backend.image[0], 0);
	pipeline_request_put(scene->pipeline, stuck.request);
	pipeline_request_put(scene->pipeline, waiting.request);
	close_pipeline(scene);
}

static void zeroes_that_were_given_up_end_with_their_piece(void **state)
{
	struct scene *scene = *state;
	static struct block_io read;
	struct pipeline_request *zeroes;

	memory_backend.operations = 0x07;
	assert_int_equal(open_pipeline(scene), 0);
	memory_backend.held = true;
	zeroes = submit_range(scene, FOREBAY_WRITE_ZEROES, 0, 0,
			      MEMORY_BACKEND_BYTES);
	assert_false(pipeline_abandon(scene->pipeline, zeroes));
	/* All of the range is fenced, not the piece alone. */
	submit_block(scene, &read, FOREBAY_READ, MEMORY_BACKEND_BYTES - 512, 1);
	memory_backend_release();
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(scene->status, -ECANCELED);
	turns(scene);
	assert_int_equal(memory_backend.write_count, 1);
	assert_int_equal(read.status, 0);
	pipeline_request_put(scene->pipeline, zeroes);
	pipeline_request_put(scene->pipeline, read.request);
	close_pipeline(scene);
}

static void a_discard_that_the_chain_lacks_changes_nothing(void **state)
{
	struct scene *scene = *state;
	struct pipeline_request *discard;
	json_t *stats;

	add(scene, "probe-top", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	memset(memory_backend.image, 0xa5, MEMORY_BACKEND_BYTES);
	scene->status = -1;
	discard = submit_range(scene, FOREBAY_DISCARD, 0, 0,
			       MEMORY_BACKEND_BYTES);
	assert_int_equal(scene->status, 0);
	pipeline_request_put(scene->pipeline, discard);
	expect_bytes(0, MEMORY_BACKEND_BYTES, 0xa5);
	stats = pipeline_stats(scene->pipeline);
	assert_int_equal(
		json_integer_value(json_object_get(stats, "discards_ignored")),
		1);
	json_decref(stats);
	assert_int_equal(run_request(scene, FOREBAY_FLUSH, 0, NULL), 0);
	close_pipeline(scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(zeroes_that_the_chain_lacks_are_written_in_pieces),
		SCENE_TEST(zeroes_that_the_chain_knows_go_down_as_they_are),
		SCENE_TEST(zeroes_end_with_the_first_piece_that_fails),
		SCENE_TEST(a_long_range_of_zeroes_lets_others_pass),
		SCENE_TEST(a_discard_that_the_chain_lacks_changes_nothing),
		SCENE_TEST(what_overlaps_a_stuck_request_waits_for_its_end),
		SCENE_TEST(what_waits_at_a_fence_can_be_called_back),
		SCENE_TEST(zeroes_that_were_given_up_end_with_their_piece),
	};

	return cmocka_run_group_tests_name("above_chain", tests, NULL, NULL);
}
