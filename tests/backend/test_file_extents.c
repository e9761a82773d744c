// SPDX-License-Identifier: Apache-2.0
/*
 * test_file_extents.c - where the holes of a real image file are, and zeroes
 * that must be fast.
 */
#include "image_scene.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 65536u
#define ANSWER_MAX 1024u
#define HOLE (BACKEND_EXTENT_HOLE | BACKEND_EXTENT_ZERO)

struct answer {
	struct backend_io io;
	struct scene *scene;
	unsigned int wanted; /* pieces that are taken at most */
	unsigned int count;
	uint64_t lengths[ANSWER_MAX];
	uint32_t flags[ANSWER_MAX];
	int result;
	bool finished;
};

static bool add_extent(struct backend_io *io, uint64_t length, uint32_t flags)
{
	struct answer *answer = io->owner;

	assert_false(answer->finished);
	assert_true(answer->count < answer->wanted);
	answer->lengths[answer->count] = length;
	answer->flags[answer->count++] = flags;
	return answer->count < answer->wanted;
}

static void done(struct backend_io *io, int result)
{
	struct answer *answer = io->owner;

	answer->result = result;
	answer->finished = true;
	loop_stop(answer->scene->loop);
}

static void ask(struct scene *scene, struct answer *answer, uint64_t offset,
		uint64_t length)
{
	answer->io = (struct backend_io){
		.operation = BACKEND_EXTENTS,
		.offset = offset,
		.length = length,
		.done = done,
		.add_extent = add_extent,
		.owner = answer,
	};
	answer->scene = scene;
	if (answer->wanted == 0)
		answer->wanted = ANSWER_MAX;
	answer->count = 0;
	answer->finished = false;
	backend_submit(scene->backend, &answer->io);
}

static void wait_for(struct answer *answer)
{
	while (!answer->finished)
		assert_int_equal(loop_run(answer->scene->loop), 0);
	assert_int_equal(answer->result, 0);
}

static void put_data(struct scene *scene, uint64_t offset)
{
	memset(scene->buffer, 'd', BLOCK);
	assert_int_equal(
		run_on(scene, BACKEND_WRITE, scene->buffer, BLOCK, offset, 0),
		0);
}

static void expect(const struct answer *answer, unsigned int i, uint64_t length,
		   uint32_t flags)
{
	assert_true(i < answer->count);
	assert_int_equal(answer->lengths[i], length);
	assert_int_equal(answer->flags[i], flags);
}

static void an_empty_image_is_one_hole(void **state)
{
	struct scene *scene = *state;
	struct answer answer = {0};

	open_for_writing(scene);
	ask(scene, &answer, 0, IMAGE_BYTES);
	wait_for(&answer);
	assert_int_equal(answer.count, 1);
	expect(&answer, 0, IMAGE_BYTES, HOLE);
}

static void data_and_holes_alternate_as_they_were_written(void **state)
{
	struct scene *scene = *state;
	struct answer answer = {0};

	open_for_writing(scene);
	put_data(scene, 2 * BLOCK);
	put_data(scene, 3 * BLOCK);
	put_data(scene, 15 * BLOCK);
	ask(scene, &answer, 0, IMAGE_BYTES);
	wait_for(&answer);
	assert_int_equal(answer.count, 4);
	expect(&answer, 0, 2 * BLOCK, HOLE);
	expect(&answer, 1, 2 * BLOCK, 0);
	expect(&answer, 2, 11 * BLOCK, HOLE);
	expect(&answer, 3, BLOCK, 0);
	/* A part of it begins and ends where it is told to. */
	ask(scene, &answer, 2 * BLOCK + 512, 4 * BLOCK);
	wait_for(&answer);
	assert_int_equal(answer.count, 2);
	expect(&answer, 0, 2 * BLOCK - 512, 0);
	expect(&answer, 1, 2 * BLOCK + 512, HOLE);
}

static void what_was_discarded_is_a_hole_again(void **state)
{
	struct scene *scene = *state;
	struct answer answer = {0};

	open_for_writing(scene);
	for (unsigned int i = 0; i < 4; i++)
		put_data(scene, i * BLOCK);
	assert_int_equal(
		run_range(scene, BACKEND_DISCARD, BLOCK, BLOCK, BACKEND_FUA),
		0);
	ask(scene, &answer, 0, 4 * BLOCK);
	wait_for(&answer);
	assert_int_equal(answer.count, 3);
	expect(&answer, 1, BLOCK, HOLE);
}

static void who_wants_no_more_is_asked_no_more(void **state)
{
	struct scene *scene = *state;
	struct answer answer = {.wanted = 1};

	open_for_writing(scene);
	put_data(scene, 0);
	put_data(scene, 2 * BLOCK);
	ask(scene, &answer, 0, IMAGE_BYTES);
	wait_for(&answer);
	assert_int_equal(answer.count, 1);
	expect(&answer, 0, BLOCK, 0);
}

static void questions_that_come_at_once_are_all_answered(void **state)
{
	struct scene *scene = *state;
	struct answer answers[20] = {0};

	open_for_writing(scene);
	put_data(scene, 3 * BLOCK);
	for (unsigned int i = 0; i < 16; i++)
		ask(scene, &answers[i], i * BLOCK, BLOCK);
	for (unsigned int i = 0; i < 16; i++) {
		wait_for(&answers[i]);
		assert_int_equal(answers[i].count, 1);
		expect(&answers[i], 0, BLOCK, i == 3 ? 0 : HOLE);
	}
}

/* 4 KiB of data, 4 KiB of nothing, and so on: more than one answer holds. */
static void an_answer_ends_when_it_is_long_enough(void **state)
{
	struct scene *scene = *state;
	struct answer answer = {0};
	uint64_t bytes = 4096 * 2 * ANSWER_MAX;
	uint64_t told = 0;
	int fd;

	resize(scene, (off_t)bytes);
	fd = open(scene->path, O_WRONLY | O_CLOEXEC);
	for (unsigned int i = 0; i < ANSWER_MAX; i++)
		assert_int_equal(
			pwrite(fd, scene->buffer, 4096, (off_t)i * 8192), 4096);
	close(fd);
	open_for_writing(scene);
	ask(scene, &answer, 0, bytes);
	wait_for(&answer);
	assert_in_range(answer.count, 2, ANSWER_MAX - 1);
	for (unsigned int i = 0; i < answer.count; i++) {
		expect(&answer, i, 4096, i % 2 == 0 ? 0 : HOLE);
		told += answer.lengths[i];
	}
	/* From there on it goes on. */
	ask(scene, &answer, told, bytes - told);
	wait_for(&answer);
	assert_true(answer.count > 0);
	expect(&answer, 0, 4096, told / 4096 % 2 == 0 ? 0 : HOLE);
}

static void a_read_only_image_tells_too(void **state)
{
	struct scene *scene = *state;
	struct answer answer = {0};

	assert_int_equal(open_image(scene, true, 0), 0);
	assert_true(backend_info(scene->backend)->operations &
		    1u << BACKEND_EXTENTS);
	ask(scene, &answer, 4096, 8192);
	wait_for(&answer);
	assert_int_equal(answer.count, 1);
	expect(&answer, 0, 8192, HOLE);
}

static void fast_zeroes_work_where_they_are_fast_and_nowhere_else(void **state)
{
	struct scene *scene = *state;
	char seen[4096];

	open_for_writing(scene);
	put_data(scene, 0);
	assert_int_equal(run_range(scene, BACKEND_WRITE_ZEROES, 0, 4096,
				   BACKEND_FAST | BACKEND_FUA),
			 0);
	read_back(scene, seen, sizeof(seen), 0);
	assert_true(all_are(seen, sizeof(seen), 0));
	if (backend_info(scene->backend)->alignment_bytes == 512)
		return;
	/* A part of a block has to be written. */
	assert_int_equal(
		run_range(scene, BACKEND_WRITE_ZEROES, 8192, 512, BACKEND_FAST),
		-EOPNOTSUPP);
	read_back(scene, seen, sizeof(seen), 8192);
	assert_true(all_are(seen, sizeof(seen), 'd'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(an_empty_image_is_one_hole),
		SCENE_TEST(data_and_holes_alternate_as_they_were_written),
		SCENE_TEST(what_was_discarded_is_a_hole_again),
		SCENE_TEST(who_wants_no_more_is_asked_no_more),
		SCENE_TEST(questions_that_come_at_once_are_all_answered),
		SCENE_TEST(an_answer_ends_when_it_is_long_enough),
		SCENE_TEST(a_read_only_image_tells_too),
		SCENE_TEST(
			fast_zeroes_work_where_they_are_fast_and_nowhere_else),
	};

	return cmocka_run_group_tests_name("file extents", tests, NULL, NULL);
}
