// SPDX-License-Identifier: Apache-2.0
/* test_stream.c - what is a stream, and what only looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "stream.h"

#define READ 8u

static int forget(void **state)
{
	static struct streams streams;

	memset(&streams, 0, sizeof(streams));
	*state = &streams;
	return 0;
}

static void a_row_of_reads_becomes_a_stream_at_its_length(void **state)
{
	struct streams *streams = *state;

	for (uint64_t at = 0; at < STREAM_BLOCKS; at += READ)
		assert_false(stream_goes_on(streams, 5000 + at, READ));
	assert_true(stream_goes_on(streams, 5000 + STREAM_BLOCKS, READ));
}

static void a_stream_may_be_out_of_order(void **state)
{
	struct streams *streams = *state;
	bool goes_on = false;

	/* Blocks of 32 reads, each from its last to its first. */
	for (uint64_t i = 0; i < 2 * STREAM_BLOCKS / READ; i++)
		goes_on = stream_goes_on(
			streams, 5000 + (i / 32 * 32 + 31 - i % 32) * READ,
			READ);
	assert_true(goes_on);
}

static void as_many_streams_as_there_is_room_for_go_on_at_once(void **state)
{
	struct streams *streams = *state;
	bool all = true;

	for (uint64_t at = 0; at <= STREAM_BLOCKS; at += READ) {
		all = true;
		for (uint64_t i = 0; i < STREAMS_MAX; i++)
			all &= stream_goes_on(streams, i * 100000 + at, READ);
	}
	assert_true(all);
}

static void reads_here_and_there_do_not_end_a_stream(void **state)
{
	struct streams *streams = *state;
	bool goes_on = false;

	for (uint64_t at = 0; at <= STREAM_BLOCKS; at += READ) {
		for (uint64_t i = 1; i < STREAMS_MAX; i++)
			stream_goes_on(streams, 1000000 + (at + i) * 7919, 1);
		goes_on = stream_goes_on(streams, at, READ);
	}
	assert_true(goes_on);
}

static void reads_that_skip_most_are_no_stream(void **state)
{
	struct streams *streams = *state;

	for (uint64_t at = 0; at < 8ull * STREAM_BLOCKS; at += 3 * READ)
		assert_false(stream_goes_on(streams, at, READ));
}

static void a_small_part_of_the_disk_read_anyhow_is_no_stream(void **state)
{
	struct streams *streams = *state;

	/* 7919 is prime: all of it, once. */
	for (uint64_t i = 0; i < 2 * STREAM_BLOCKS; i++)
		assert_false(stream_goes_on(streams,
					    i * 7919 % (2 * STREAM_BLOCKS), 1));
}

static void the_ends_of_the_numbers_are_no_trouble(void **state)
{
	struct streams *streams = *state;

	assert_false(stream_goes_on(streams, 0, READ));
	assert_false(stream_goes_on(streams, 0, READ));
	assert_false(stream_goes_on(streams, (UINT64_C(1) << 52) - READ, READ));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			a_row_of_reads_becomes_a_stream_at_its_length, forget),
		cmocka_unit_test_setup(a_stream_may_be_out_of_order, forget),
		cmocka_unit_test_setup(
			as_many_streams_as_there_is_room_for_go_on_at_once,
			forget),
		cmocka_unit_test_setup(reads_here_and_there_do_not_end_a_stream,
				       forget),
		cmocka_unit_test_setup(reads_that_skip_most_are_no_stream,
				       forget),
		cmocka_unit_test_setup(
			a_small_part_of_the_disk_read_anyhow_is_no_stream,
			forget),
		cmocka_unit_test_setup(the_ends_of_the_numbers_are_no_trouble,
				       forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
