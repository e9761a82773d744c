// SPDX-License-Identifier: Apache-2.0
/* test_iov.c - slices and joins of iovecs, against one run of bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <forebay/iov.h>

#define BYTES 64u

static unsigned char memory[2 * BYTES];
/* The run of bytes is 0 ... 63, and lies in pieces with gaps between them. */
static struct iovec pieces[4];

static int begin(void **state)
{
	static const size_t lengths[] = {16, 8, 32, 8};
	unsigned char *at = memory;
	unsigned char next = 0;

	(void)state;
	memset(memory, 0xff, sizeof(memory));
	for (unsigned int i = 0; i < 4; i++) {
		pieces[i] = (struct iovec){at, lengths[i]};
		for (size_t k = 0; k < lengths[i]; k++)
			at[k] = next++;
		at += lengths[i] + 8;
	}
	return 0;
}

static void every_slice_is_that_part_of_the_run(void **state)
{
	struct iovec slice[4];
	unsigned char bytes[BYTES];

	(void)state;
	assert_int_equal(forebay_iov_length(pieces, 4), BYTES);
	for (uint64_t offset = 0; offset < BYTES; offset++) {
		for (uint64_t length = 1; length <= BYTES - offset; length++) {
			uint32_t count = forebay_iov_slice(pieces, 4, offset,
							   length, slice, 4);

			assert_in_range(count, 1, 4);
			assert_int_equal(forebay_iov_length(slice, count),
					 length);
			assert_int_equal(
				forebay_iov_read(slice, count, 0, bytes, BYTES),
				length);
			assert_int_equal(bytes[0], offset);
			assert_int_equal(bytes[length - 1],
					 offset + length - 1);
		}
	}
}

static void a_slice_that_does_not_fit_is_refused(void **state)
{
	struct iovec slice[4];

	(void)state;
	assert_int_equal(forebay_iov_slice(pieces, 4, 60, 8, slice, 4), 0);
	assert_int_equal(forebay_iov_slice(pieces, 4, 64, 1, slice, 4), 0);
	assert_int_equal(forebay_iov_slice(pieces, 4, 0, 40, slice, 2), 0);
	assert_int_equal(forebay_iov_slice(pieces, 4, 0, 24, slice, 2), 2);
}

static void what_follows_in_memory_is_joined(void **state)
{
	struct iovec list[4];
	const struct iovec halves[] = {{memory, 8}, {memory + 8, 8}};
	uint32_t used;

	(void)state;
	used = forebay_iov_append(list, 0, 4, halves, 2);
	assert_int_equal(used, 1);
	assert_int_equal(list[0].iov_len, 16);
	used = forebay_iov_append(list, used, 4, pieces + 1, 3);
	assert_int_equal(used, 4);
	assert_int_equal(forebay_iov_length(list, used), BYTES);
	assert_int_equal(forebay_iov_append(list, used, 4, pieces, 1), 0);
}

static void what_is_written_is_read_at_every_place(void **state)
{
	const unsigned char words[] = "sixteen letters";
	unsigned char back[sizeof(words)];

	(void)state;
	for (uint64_t offset = 0; offset + sizeof(words) <= BYTES; offset++) {
		assert_int_equal(forebay_iov_write(pieces, 4, offset, words,
						   sizeof(words)),
				 sizeof(words));
		forebay_iov_read(pieces, 4, offset, back, sizeof(back));
		assert_memory_equal(back, words, sizeof(words));
	}
	/* Nothing fell into the gaps, and no more than there is room for. */
	assert_int_equal(memory[16], 0xff);
	assert_int_equal(forebay_iov_write(pieces, 4, 60, words, 16), 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, NULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_slice_is_that_part_of_the_run),
		TEST(a_slice_that_does_not_fit_is_refused),
		TEST(what_follows_in_memory_is_joined),
		TEST(what_is_written_is_read_at_every_place),
	};

	return cmocka_run_group_tests_name("iov", tests, NULL, NULL);
}
