// SPDX-License-Identifier: Apache-2.0
/* test_journal.c - what a block may hold, and what is called wrong. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "error.h"
#include "journal.h"

#define BLOCK_BYTES 1024u

static const struct journal_shape shape = {
	.disk_bytes = 1 << 20,
	.first_byte = 4096,
	.block_count = 8,
	.block_bytes = BLOCK_BYTES,
};

struct scene {
	struct journal *journal;
	char path[32];
	uint8_t data[BLOCK_BYTES];
};

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	int fd;

	strcpy(scene->path, "/tmp/fbjXXXXXX");
	fd = mkstemp(scene->path);
	close(fd);
	*state = scene;
	return journal_open(scene->path, &shape, &scene->journal, NULL);
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	journal_close(scene->journal);
	unlink(scene->path);
	free(scene);
	return 0;
}

/* As if the process had been killed: nothing is ended, nothing flushed. */
static void open_again(struct scene *scene)
{
	journal_close(scene->journal);
	assert_int_equal(
		journal_open(scene->path, &shape, &scene->journal, NULL), 0);
}

static struct load_io begin(struct scene *scene, enum load_kind kind,
			    uint64_t block)
{
	struct load_io io = {
		.kind = kind,
		.block = block,
		.bytes = BLOCK_BYTES,
		.data = scene->data,
	};

	assert_true(journal_take(scene->journal, block));
	journal_begin(scene->journal, &io);
	return io;
}

static void run(struct scene *scene, enum load_kind kind, uint64_t block)
{
	struct load_io io = begin(scene, kind, block);

	journal_end(scene->journal, &io);
}

static uint64_t wrong(const struct scene *scene)
{
	return journal_failures(scene->journal)->sectors;
}

static void what_was_written_is_right_also_in_a_later_run(void **state)
{
	struct scene *scene = *state;

	run(scene, LOAD_WRITE, 3);
	run(scene, LOAD_READ, 3);
	open_again(scene);
	assert_true(journal_knows(scene->journal, 3));
	assert_false(journal_knows(scene->journal, 2));
	run(scene, LOAD_READ, 3);
	assert_int_equal(wrong(scene), 0);
}

static void a_flipped_bit_is_named_with_its_sector(void **state)
{
	struct scene *scene = *state;

	run(scene, LOAD_WRITE, 3);
	scene->data[512 + 400] ^= 1;
	run(scene, LOAD_READ, 3);
	assert_int_equal(wrong(scene), 1);
	assert_int_equal(journal_failures(scene->journal)->first_sector,
			 8 + 3 * 2 + 1);
	assert_string_equal(journal_failures(scene->journal)->expected,
			    "sequence 1");
	assert_string_equal(journal_failures(scene->journal)->found,
			    "damaged sequence 1");
}

static void an_older_version_is_wrong(void **state)
{
	struct scene *scene = *state;
	uint8_t old[BLOCK_BYTES];

	run(scene, LOAD_WRITE, 1);
	memcpy(old, scene->data, sizeof(old));
	run(scene, LOAD_WRITE, 1);
	memcpy(scene->data, old, sizeof(old));
	run(scene, LOAD_READ, 1);
	assert_int_equal(wrong(scene), 2);
	assert_string_equal(journal_failures(scene->journal)->expected,
			    "sequence 2");
	assert_string_equal(journal_failures(scene->journal)->found,
			    "sequence 1");
}

static void another_blocks_data_are_wrong(void **state)
{
	struct scene *scene = *state;

	run(scene, LOAD_WRITE, 2);
	run(scene, LOAD_WRITE, 1);
	run(scene, LOAD_READ, 2);
	assert_int_equal(wrong(scene), 2);
	assert_string_equal(journal_failures(scene->journal)->found,
			    "sequence 1 of sector 10");
}

static void a_lost_write_is_wrong(void **state)
{
	struct scene *scene = *state;

	run(scene, LOAD_WRITE, 0);
	memset(scene->data, 0, BLOCK_BYTES);
	run(scene, LOAD_READ, 0);
	assert_int_equal(wrong(scene), 2);
	assert_string_equal(journal_failures(scene->journal)->found, "zeroes");
}

static void zeroes_must_be_zero(void **state)
{
	struct scene *scene = *state;

	run(scene, LOAD_WRITE, 0);
	run(scene, LOAD_WRITE_ZEROES, 0);
	run(scene, LOAD_READ, 0);
	assert_int_equal(wrong(scene), 2);
	memset(scene->data, 0, BLOCK_BYTES);
	run(scene, LOAD_READ, 0);
	assert_int_equal(wrong(scene), 2);
}

static void a_discarded_block_may_hold_anything(void **state)
{
	struct scene *scene = *state;

	run(scene, LOAD_WRITE, 0);
	run(scene, LOAD_DISCARD, 0);
	assert_false(journal_knows(scene->journal, 0));
	memset(scene->data, 7, BLOCK_BYTES);
	run(scene, LOAD_READ, 0);
	assert_int_equal(wrong(scene), 0);
}

static void a_write_cut_off_by_a_kill_may_have_happened(void **state)
{
	struct scene *scene = *state;
	uint8_t old[BLOCK_BYTES];

	run(scene, LOAD_WRITE, 0);
	memcpy(old, scene->data, sizeof(old));
	(void)begin(scene, LOAD_WRITE, 0);
	open_again(scene);
	run(scene, LOAD_READ, 0);
	assert_int_equal(wrong(scene), 0);
	/* Seen once, it must stay. */
	memcpy(scene->data, old, sizeof(old));
	run(scene, LOAD_READ, 0);
	assert_int_equal(wrong(scene), 2);
}

static void a_write_cut_off_by_a_kill_may_not_have_happened(void **state)
{
	struct scene *scene = *state;
	uint8_t old[BLOCK_BYTES], new[BLOCK_BYTES];

	run(scene, LOAD_WRITE, 0);
	memcpy(old, scene->data, sizeof(old));
	(void)begin(scene, LOAD_WRITE, 0);
	memcpy(new, scene->data, sizeof(new));
	open_again(scene);
	memcpy(scene->data, old, sizeof(old));
	run(scene, LOAD_READ, 0);
	assert_int_equal(wrong(scene), 0);
	memcpy(scene->data, new, sizeof(new));
	run(scene, LOAD_READ, 0);
	assert_int_equal(wrong(scene), 2);
}

static void a_block_has_one_request_at_a_time(void **state)
{
	struct scene *scene = *state;
	struct load_io io = begin(scene, LOAD_WRITE, 0);

	assert_false(journal_take(scene->journal, 0));
	journal_end(scene->journal, &io);
	assert_true(journal_take(scene->journal, 0));
}

static void another_disks_journal_is_refused(void **state)
{
	struct scene *scene = *state;
	struct journal_shape other = shape;
	struct journal *journal = NULL;

	journal_close(scene->journal);
	scene->journal = NULL;
	other.disk_bytes *= 2;
	assert_int_equal(journal_open(scene->path, &other, &journal, NULL),
			 -EINVAL);
	other = shape;
	other.block_count--;
	assert_int_equal(journal_open(scene->path, &other, &journal, NULL),
			 -EINVAL);
	assert_null(journal);
}

static void two_runs_do_not_share_a_journal(void **state)
{
	struct scene *scene = *state;
	struct journal *journal = NULL;

	assert_int_equal(journal_open(scene->path, &shape, &journal, NULL),
			 -EBUSY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_written_is_right_also_in_a_later_run),
		TEST(a_flipped_bit_is_named_with_its_sector),
		TEST(an_older_version_is_wrong),
		TEST(another_blocks_data_are_wrong),
		TEST(a_lost_write_is_wrong),
		TEST(zeroes_must_be_zero),
		TEST(a_discarded_block_may_hold_anything),
		TEST(a_write_cut_off_by_a_kill_may_have_happened),
		TEST(a_write_cut_off_by_a_kill_may_not_have_happened),
		TEST(a_block_has_one_request_at_a_time),
		TEST(another_disks_journal_is_refused),
		TEST(two_runs_do_not_share_a_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
