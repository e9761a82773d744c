// SPDX-License-Identifier: Apache-2.0
/* test_crc32c.c - published check values, and that parts add up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "crc32c.h"

static void the_check_value_of_the_standard_is_met(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
}

/* RFC 3720, B.4. */
static void the_vectors_of_iscsi_are_met(void **state)
{
	uint8_t bytes[32];

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x113fdb5c);
}

static void nothing_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, NULL, 0), 0);
	assert_int_equal(crc32c(0x12345678, NULL, 0), 0x12345678);
}

static void parts_add_up_wherever_they_are_cut(void **state)
{
	uint8_t bytes[4096 + 7];
	uint32_t whole;

	(void)state;
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 131 + i / 256);
	whole = crc32c(0, bytes, sizeof(bytes));
	for (size_t cut = 0; cut <= sizeof(bytes); cut += 97)
		assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut,
					sizeof(bytes) - cut),
				 whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_check_value_of_the_standard_is_met),
		cmocka_unit_test(the_vectors_of_iscsi_are_met),
		cmocka_unit_test(nothing_changes_nothing),
		cmocka_unit_test(parts_add_up_wherever_they_are_cut),
	};

	return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}
