// SPDX-License-Identifier: Apache-2.0
/* test_kept_memory.c - memory that a filter finds again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "kept_memory.h"

static const uint8_t disk_a[UUID_BYTES] = {0xaa};
static const uint8_t disk_b[UUID_BYTES] = {0xbb};

static int begin(void **state)
{
	static struct kept_memory kept;

	kept_memory_init(&kept);
	*state = &kept;
	return 0;
}

static int end(void **state)
{
	kept_memory_clear(*state);
	return 0;
}

static void the_same_name_is_the_same_memory_again(void **state)
{
	struct kept_memory *kept = *state;
	char text[6] = {0};
	int fd = -1;

	assert_int_equal(kept_memory_get(kept, disk_a, "index", 8192, &fd), 0);
	assert_int_equal(pwrite(fd, "dirty", 5, 4096), 5);
	fd = -1;
	assert_int_equal(kept_memory_get(kept, disk_a, "index", 8192, &fd), 0);
	assert_int_equal(pread(fd, text, 5, 4096), 5);
	assert_string_equal(text, "dirty");
	assert_int_equal(kept->count, 1);
}

static void another_disk_or_name_is_other_memory_all_zeros(void **state)
{
	struct kept_memory *kept = *state;
	char byte = 1;
	int first = -1;
	int fd = -1;

	kept_memory_get(kept, disk_a, "index", 4096, &first);
	assert_int_equal(pwrite(first, "x", 1, 0), 1);
	assert_int_equal(kept_memory_get(kept, disk_b, "index", 4096, &fd), 0);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 0);
	assert_int_equal(kept_memory_get(kept, disk_a, "other", 4096, &fd), 0);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 0);
}

static void its_size_is_sealed(void **state)
{
	int fd = -1;

	kept_memory_get(*state, disk_a, "index", 8192, &fd);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(ftruncate(fd, 16384), -1);
}

static void another_size_is_other_memory_in_its_place(void **state)
{
	struct kept_memory *kept = *state;
	char byte = 1;
	int fd = -1;

	kept_memory_get(kept, disk_a, "index", 8192, &fd);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(kept_memory_get(kept, disk_a, "index", 4096, &fd), 0);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 4096);
	assert_int_equal(kept->count, 1);
	assert_int_equal(kept_memory_get(kept, disk_a, "index", 100, &fd),
			 -EINVAL);
	assert_int_equal(kept->count, 1);
}

static void a_disk_gets_no_more_than_its_share(void **state)
{
	struct kept_memory *kept = *state;
	char name[16];
	int fd = -1;

	assert_int_equal(kept_memory_get(kept, disk_a, "odd", 100, &fd),
			 -EINVAL);
	assert_int_equal(kept_memory_get(kept, disk_a, "none", 0, &fd),
			 -EINVAL);
	assert_int_equal(kept_memory_get(kept, disk_a, "much",
					 KEPT_MEMORY_BYTES_PER_DISK_MAX + 4096,
					 &fd),
			 -ENOSPC);
	for (unsigned int i = 0; i < KEPT_MEMORY_NAMES_PER_DISK_MAX; i++) {
		snprintf(name, sizeof(name), "name%u", i);
		assert_int_equal(kept_memory_get(kept, disk_a, name, 4096, &fd),
				 0);
	}
	assert_int_equal(kept_memory_get(kept, disk_a, "last", 4096, &fd),
			 -ENOSPC);
	assert_int_equal(kept_memory_get(kept, disk_b, "first", 4096, &fd), 0);
	kept_memory_forget(kept, disk_a);
	assert_int_equal(kept->count, 1);
	assert_int_equal(kept_memory_bytes(kept), 4096);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_same_name_is_the_same_memory_again),
		TEST(another_disk_or_name_is_other_memory_all_zeros),
		TEST(its_size_is_sealed),
		TEST(another_size_is_other_memory_in_its_place),
		TEST(a_disk_gets_no_more_than_its_share),
	};

	return cmocka_run_group_tests_name("kept_memory", tests, NULL, NULL);
}
