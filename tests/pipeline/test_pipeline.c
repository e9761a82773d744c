// SPDX-License-Identifier: Apache-2.0
/*
 * test_pipeline.c - whole pipelines: a real loop, real filter libraries, and a
 * backend over memory.
 *
 * The probe filters write what happens to them into `events`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "loop.h"
#include "memory_backend.h"
#include "pipeline.h"

#define FILTERS_MAX (PIPELINE_FILTERS_MAX + 1)

struct scene {
	struct loop *loop;
	struct loop_timer watchdog;
	struct pipeline_open_request opening;
	struct pipeline_filter_spec filters[FILTERS_MAX];
	char libraries[FILTERS_MAX][512];
	struct pipeline *pipeline;
	int status; /* of what the loop ran for */
	struct error error;
	char progress[256];
};

static char events[1024];
/* Where the test filters are. */
static const char *filter_dir;
static const char *null_library;

void probe_note(const char *filter, const char *event);

__attribute__((visibility("default"))) void probe_note(const char *filter,
						       const char *event)
{
	size_t used = strlen(events);

	/* All are called probe-...: the rest is enough. */
	snprintf(events + used, sizeof(events) - used, "%s%s:%s",
		 used ? " " : "", filter + strlen("probe-"), event);
}

static void on_watchdog(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the loop waited for something that never came");
}

static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	assert_int_equal(loop_create(&scene->loop), 0);
	scene->watchdog.expired = on_watchdog;
	loop_timer_arm(scene->loop, &scene->watchdog, 20 * NS_PER_SECOND);
	scene->opening.name = "db1";
	scene->opening.backend_uri = "memory:";
	scene->opening.size_bytes = MEMORY_BACKEND_BYTES;
	scene->opening.filters = scene->filters;
	memory_backend_reset();
	events[0] = '\0';
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	assert_null(scene->pipeline);
	assert_false(memory_backend.open);
	for (unsigned int i = 0; i < scene->opening.filter_count; i++)
		json_decref((json_t *)scene->filters[i].properties);
	loop_timer_cancel(scene->loop, &scene->watchdog);
	loop_destroy(scene->loop);
	free(scene);
	return 0;
}

/* Adds a filter; @properties is JSON or NULL. */
static void add(struct scene *scene, const char *name, const char *properties)
{
	unsigned int i = scene->opening.filter_count++;

	if (strcmp(name, "null") == 0)
		snprintf(scene->libraries[i], sizeof(scene->libraries[i]), "%s",
			 null_library);
	else
		snprintf(scene->libraries[i], sizeof(scene->libraries[i]),
			 "%s/%s.so", filter_dir, name);
	scene->filters[i].name = name;
	scene->filters[i].library = scene->libraries[i];
	if (properties) {
		scene->filters[i].properties = json_loads(properties, 0, NULL);
		assert_non_null(scene->filters[i].properties);
	}
}

static void on_opened(struct pipeline_open_request *request, int status,
		      struct pipeline *pipeline, const struct error *error)
{
	struct scene *scene = request->owner;

	scene->status = status;
	scene->pipeline = pipeline;
	if (error)
		scene->error = *error;
	loop_stop(scene->loop);
}

static void on_progress(void *owner, const char *reason)
{
	struct scene *scene = owner;

	snprintf(scene->progress, sizeof(scene->progress), "%s", reason);
}

static int open_pipeline(struct scene *scene)
{
	scene->opening.done = on_opened;
	scene->opening.progress = on_progress;
	scene->opening.owner = scene;
	pipeline_open(scene->loop, &scene->opening);
	assert_int_equal(loop_run(scene->loop), 0);
	return scene->status;
}

static void on_done(void *context, int status)
{
	struct scene *scene = context;

	scene->status = status;
	loop_stop(scene->loop);
}

static void close_pipeline(struct scene *scene)
{
	pipeline_close(scene->pipeline, on_done, scene);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(scene->status, 0);
	scene->pipeline = NULL;
}

static void expect_refused(struct scene *scene, int code, const char *message)
{
	assert_int_equal(open_pipeline(scene), code);
	assert_null(scene->pipeline);
	assert_string_equal(scene->error.message, message);
}

static void on_request_done(struct pipeline_request *request, int status)
{
	on_done(request->owner, status);
}

/* One request of one block, from or to @block. */
static int run_request(struct scene *scene, enum forebay_operation operation,
		       uint64_t offset, void *block)
{
	struct pipeline_request *request =
		pipeline_request_get(scene->pipeline);
	struct iovec iov = {block, 512};

	assert_non_null(request);
	request->operation = operation;
	request->flags = 0;
	request->offset = offset;
	request->length = operation == FOREBAY_FLUSH ? 0 : 512;
	request->iov = block ? &iov : NULL;
	request->iov_count = block ? 1 : 0;
	request->done = on_request_done;
	request->owner = scene;
	pipeline_submit(scene->pipeline, request);
	assert_int_equal(loop_run(scene->loop), 0);
	pipeline_request_put(scene->pipeline, request);
	return scene->status;
}

static int run_action(struct scene *scene, const char *filter,
		      const char *action)
{
	pipeline_action(scene->pipeline, filter, action, on_done, scene);
	assert_int_equal(loop_run(scene->loop), 0);
	return scene->status;
}

static void filters_open_from_below_and_close_from_above(void **state)
{
	struct scene *scene = *state;

	/* Given in the wrong order: the class decides. */
	add(scene, "probe-bottom", NULL);
	add(scene, "probe-top", NULL);
	add(scene, "probe-middle", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_string_equal(events, "bottom:open middle:open top:open");
	assert_string_equal(scene->progress, "filter probe-top");
	close_pipeline(scene);
	assert_string_equal(events, "bottom:open middle:open top:open "
				    "top:close middle:close bottom:close");
}

static void a_filter_waits_until_the_one_below_is_open(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	add(scene, "probe-bottom", "{\"late\": \"5ms\"}");
	assert_int_equal(open_pipeline(scene), 0);
	assert_string_equal(events, "bottom:open bottom:late top:open");
	close_pipeline(scene);
}

static void a_filter_that_fails_to_open_takes_the_others_back(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	add(scene, "probe-middle", "{\"fail\": true}");
	add(scene, "probe-bottom", NULL);
	expect_refused(scene, -EACCES,
		       "filter probe-middle: it was told to fail");
	assert_string_equal(events, "bottom:open middle:open bottom:close");
}

static void two_filters_of_one_class_are_refused(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-bottom", NULL);
	add(scene, "probe-second", NULL);
	expect_refused(scene, -EINVAL,
		       "filters probe-bottom and probe-second of disk db1 are "
		       "both of class cache, of which a disk can have one: "
		       "remove one of them");
}

static void any_number_of_inspection_filters_is_fine(void **state)
{
	struct scene *scene = *state;

	add(scene, "null", NULL);
	add(scene, "probe-top", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	close_pipeline(scene);
}

static void more_filters_than_the_limit_are_refused(void **state)
{
	struct scene *scene = *state;

	for (unsigned int i = 0; i < PIPELINE_FILTERS_MAX; i++)
		add(scene, "null", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	close_pipeline(scene);
	add(scene, "null", NULL);
	expect_refused(scene, -EINVAL, "disk db1 has 17 filters, more than 16");
}

static void a_library_with_another_filter_is_refused(void **state)
{
	struct scene *scene = *state;
	char message[1024];

	add(scene, "probe-top", NULL);
	scene->filters[0].name = "cache";
	snprintf(message, sizeof(message),
		 "%s/probe-top.so holds the filter 'probe-top', not 'cache'",
		 filter_dir);
	expect_refused(scene, -EINVAL, message);
}

static void an_invalid_property_is_refused(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", "{\"fial\": true}");
	expect_refused(scene, -EINVAL,
		       "filter probe-top has no property 'fial': did you mean "
		       "'fail'? It knows fail, late, "
		       "untidy, stuck");
}

static void a_disk_must_have_its_backends_size(void **state)
{
	struct scene *scene = *state;

	scene->opening.size_bytes = 2 * MEMORY_BACKEND_BYTES;
	expect_refused(scene, -EINVAL,
		       "disk db1 is 8MiB, but its backend memory: is 4MiB: "
		       "give the disk its backend's size");
	scene->opening.size_bytes = MEMORY_BACKEND_BYTES - 1;
	expect_refused(scene, -EINVAL,
		       "disk db1 has a size of 4194303 bytes: it must be a "
		       "multiple of 512");
}

static void a_backend_that_fails_to_open_says_why(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	memory_backend.open_status = -EBUSY;
	expect_refused(scene, -EBUSY, "the image is locked");
	assert_string_equal(events, "");
}

static void what_was_written_through_filters_is_read_back(void **state)
{
	struct scene *scene = *state;
	_Alignas(512) unsigned char out[512];
	_Alignas(512) unsigned char in[512] = {0};

	add(scene, "null", NULL);
	add(scene, "probe-bottom", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	memset(out, 0xa5, sizeof(out));
	assert_int_equal(run_request(scene, FOREBAY_WRITE, 4096, out), 0);
	assert_int_equal(run_request(scene, FOREBAY_READ, 4096, in), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(run_request(scene, FOREBAY_FLUSH, 0, NULL), 0);
	assert_int_equal(memory_backend.flush_count, 1);
	close_pipeline(scene);
}

static void what_a_filter_does_not_understand_is_not_offered(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_false(pipeline_operations(scene->pipeline) &
		     FOREBAY_OPERATION_BIT(FOREBAY_DISCARD));
	close_pipeline(scene);
}

static void what_the_backend_can_not_do_is_not_offered(void **state)
{
	struct scene *scene = *state;

	memory_backend.operations = 0x07;
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(pipeline_operations(scene->pipeline), 0x07);
	close_pipeline(scene);
}

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

static void a_read_only_disk_refuses_changes(void **state)
{
	struct scene *scene = *state;
	_Alignas(512) unsigned char block[512] = {0};

	scene->opening.read_only = true;
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(pipeline_operations(scene->pipeline), 0x65);
	assert_int_equal(run_request(scene, FOREBAY_WRITE, 0, block), -EROFS);
	assert_int_equal(run_request(scene, FOREBAY_READ, 0, block), 0);
	assert_int_equal(run_request(scene, FOREBAY_FLUSH, 0, NULL), 0);
	close_pipeline(scene);
}

static json_int_t number_at(const json_t *document, const char *section,
			    const char *operation, const char *key)
{
	const json_t *at =
		json_object_get(json_object_get(document, section), operation);

	return json_integer_value(json_object_get(at, key));
}

static void stats_count_requests_bytes_and_errors(void **state)
{
	struct scene *scene = *state;
	_Alignas(512) unsigned char block[512] = {0};
	json_t *stats;
	json_t *filter;

	add(scene, "null", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	run_request(scene, FOREBAY_WRITE, 0, block);
	run_request(scene, FOREBAY_WRITE, 512, block);
	memory_backend.fail_status = -EIO;
	assert_int_equal(run_request(scene, FOREBAY_READ, 0, block), -EIO);
	pipeline_count_copied(scene->pipeline, 77);
	stats = pipeline_stats(scene->pipeline);
	assert_int_equal(number_at(stats, "requests", "write", "count"), 2);
	assert_int_equal(number_at(stats, "requests", "write", "bytes"), 1024);
	assert_int_equal(number_at(stats, "requests", "write", "errors"), 0);
	assert_int_equal(number_at(stats, "requests", "read", "errors"), 1);
	assert_int_equal(number_at(stats, "requests", "read", "bytes"), 0);
	assert_int_equal(
		json_integer_value(json_object_get(stats, "copied_bytes")), 77);
	assert_int_equal(
		json_integer_value(json_object_get(stats, "in_flight")), 0);
	assert_int_equal(
		json_integer_value(json_object_get(stats, "backend_errors")),
		1);
	filter = json_array_get(json_object_get(stats, "filters"), 0);
	assert_string_equal(json_string_value(json_object_get(filter, "name")),
			    "null");
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(filter, "status"), "errors")),
			 1);
	json_decref(stats);
	close_pipeline(scene);
}

static void ios_below_wait_their_turn_and_keep_their_order(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	add(scene, "null", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_action(scene, "probe-top", "many-below"), 0);
	assert_true(memory_backend.reads_in_order);
	assert_int_equal(memory_backend.last_read_offset, 1999 * 512);
	close_pipeline(scene);
}

static void an_io_below_never_ends_inside_of_its_start(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-bottom", NULL);
	memory_backend.at_once = true;
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_action(scene, "probe-bottom", "many-below"), 0);
	assert_true(memory_backend.reads_in_order);
	close_pipeline(scene);
}

static void an_io_below_that_leaves_the_disk_is_refused(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-bottom", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_action(scene, "probe-bottom", "bad-below"),
			 -EINVAL);
	close_pipeline(scene);
}

static void a_filter_does_every_operation_on_its_own_file(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-bottom", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_action(scene, "probe-bottom", "own-file"), 0);
	close_pipeline(scene);
}

static void the_flush_action_asks_all_filters_then_the_backend(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	add(scene, "null", NULL);
	add(scene, "probe-bottom", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	events[0] = '\0';
	assert_int_equal(run_action(scene, NULL, "flush"), 0);
	assert_string_equal(events, "top:flush bottom:flush");
	assert_int_equal(memory_backend.flush_count, 1);
	memory_backend.fail_status = -ENOSPC;
	assert_int_equal(run_action(scene, NULL, "flush"), -ENOSPC);
	close_pipeline(scene);
}

static void the_flush_action_is_done_at_once_on_a_read_only_disk(void **state)
{
	struct scene *scene = *state;

	scene->opening.read_only = true;
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_action(scene, NULL, "flush"), 0);
	assert_int_equal(memory_backend.flush_count, 0);
	assert_int_equal(run_action(scene, NULL, "dance"), -ENOTSUP);
	close_pipeline(scene);
}

static void an_action_that_nobody_knows_is_refused(void **state)
{
	struct scene *scene = *state;

	add(scene, "probe-top", NULL);
	add(scene, "null", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	assert_int_equal(run_action(scene, NULL, "dance"), -ENOTSUP);
	assert_int_equal(run_action(scene, "null", "flush"), -ENOTSUP);
	assert_int_equal(run_action(scene, "cache", "flush"), -ENOENT);
	close_pipeline(scene);
}

static void a_change_of_properties_reaches_the_filter(void **state)
{
	struct scene *scene = *state;
	json_t *good = json_loads("{\"late\": \"1s\"}", 0, NULL);
	json_t *bad = json_loads("{\"fail\": true}", 0, NULL);
	struct error error = {0};

	add(scene, "probe-top", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	events[0] = '\0';
	assert_int_equal(pipeline_set_properties(scene->pipeline, "probe-top",
						 bad, &error),
			 -EBUSY);
	assert_string_equal(events, "");
	assert_int_equal(pipeline_set_properties(scene->pipeline, "probe-top",
						 good, &error),
			 0);
	assert_string_equal(events, "top:changed");
	assert_int_equal(
		pipeline_set_properties(scene->pipeline, "cache", good, &error),
		-ENOENT);
	assert_string_equal(error.message, "disk db1 has no filter 'cache'");
	json_decref(good);
	json_decref(bad);
	close_pipeline(scene);
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(filters_open_from_below_and_close_from_above),
		SCENE_TEST(a_filter_waits_until_the_one_below_is_open),
		SCENE_TEST(a_filter_that_fails_to_open_takes_the_others_back),
		SCENE_TEST(two_filters_of_one_class_are_refused),
		SCENE_TEST(any_number_of_inspection_filters_is_fine),
		SCENE_TEST(more_filters_than_the_limit_are_refused),
		SCENE_TEST(a_library_with_another_filter_is_refused),
		SCENE_TEST(an_invalid_property_is_refused),
		SCENE_TEST(a_disk_must_have_its_backends_size),
		SCENE_TEST(a_backend_that_fails_to_open_says_why),
		SCENE_TEST(what_was_written_through_filters_is_read_back),
		SCENE_TEST(what_a_filter_does_not_understand_is_not_offered),
		SCENE_TEST(what_the_backend_can_not_do_is_not_offered),
		SCENE_TEST(zeroes_that_the_chain_lacks_are_written_in_pieces),
		SCENE_TEST(zeroes_that_the_chain_knows_go_down_as_they_are),
		SCENE_TEST(zeroes_end_with_the_first_piece_that_fails),
		SCENE_TEST(a_long_range_of_zeroes_lets_others_pass),
		SCENE_TEST(a_discard_that_the_chain_lacks_changes_nothing),
		SCENE_TEST(what_overlaps_a_stuck_request_waits_for_its_end),
		SCENE_TEST(what_waits_at_a_fence_can_be_called_back),
		SCENE_TEST(zeroes_that_were_given_up_end_with_their_piece),
		SCENE_TEST(a_read_only_disk_refuses_changes),
		SCENE_TEST(stats_count_requests_bytes_and_errors),
		SCENE_TEST(ios_below_wait_their_turn_and_keep_their_order),
		SCENE_TEST(an_io_below_never_ends_inside_of_its_start),
		SCENE_TEST(an_io_below_that_leaves_the_disk_is_refused),
		SCENE_TEST(a_filter_does_every_operation_on_its_own_file),
		SCENE_TEST(the_flush_action_asks_all_filters_then_the_backend),
		SCENE_TEST(the_flush_action_is_done_at_once_on_a_read_only_disk),
		SCENE_TEST(an_action_that_nobody_knows_is_refused),
		SCENE_TEST(a_change_of_properties_reaches_the_filter),
	};

	filter_dir = getenv("TEST_FILTER_DIR");
	null_library = getenv("TEST_NULL_FILTER");
	assert_non_null(filter_dir);
	assert_non_null(null_library);
	return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
