// SPDX-License-Identifier: Apache-2.0
/* test_uuid_text.c - one UUID has one name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "uuid_text.h"

static const uint8_t sample[UUID_BYTES] = {
	0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
	0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10,
};

static void a_uuid_is_written_in_lower_case_with_dashes(void **state)
{
	char text[UUID_TEXT_BYTES];

	(void)state;
	uuid_format(sample, text);
	assert_string_equal(text, "01234567-89ab-cdef-fedc-ba9876543210");
}

static void either_case_is_read(void **state)
{
	uint8_t uuid[UUID_BYTES];

	(void)state;
	assert_int_equal(
		uuid_parse("01234567-89AB-cdef-FEDC-ba9876543210", uuid), 0);
	assert_memory_equal(uuid, sample, sizeof(sample));
}

static void other_forms_are_refused(void **state)
{
	static const char *const refused[] = {
		"",
		"01234567-89ab-cdef-fedc-ba987654321",
		"01234567-89ab-cdef-fedc-ba98765432100",
		"0123456789abcdeffedcba9876543210",
		"{1234567-89ab-cdef-fedc-ba987654321}",
		"01234567-89ab-cdef-fedc_ba9876543210",
		"0123456-789ab-cdef-fedc-ba9876543210",
		"g1234567-89ab-cdef-fedc-ba9876543210",
		"../../..-....-....-....-............",
	};
	uint8_t uuid[UUID_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (uuid_parse(refused[i], uuid) != -EINVAL)
			fail_msg("'%s' is taken for a UUID", refused[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_uuid_is_written_in_lower_case_with_dashes),
		cmocka_unit_test(either_case_is_read),
		cmocka_unit_test(other_forms_are_refused),
	};

	return cmocka_run_group_tests_name("uuid_text", tests, NULL, NULL);
}
