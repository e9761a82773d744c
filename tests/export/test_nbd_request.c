/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_nbd_request.c - the gate for requests of the NBD transmission phase.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "nbd_request.h"

#define DISK_BYTES (UINT64_C(1) << 40)

static const struct nbd_terms terms = {
	.size_bytes = DISK_BYTES,
	.flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_TRIM |
		 NBD_FLAG_SEND_WRITE_ZEROES,
	.name = "",
	.description = "",
};

static enum nbd_error check(uint16_t command, uint64_t offset, uint32_t length)
{
	struct nbd_request request = {
		.command = command,
		.offset = offset,
		.length = length,
	};

	return nbd_request_check(&request, &terms, false);
}

static void a_request_is_taken_apart(void **state)
{
	static const uint8_t bytes[NBD_REQUEST_BYTES] = {
		0x25, 0x60, 0x95, 0x13, 0,    1,    0,	  6,	1, 2,
		3,    4,    5,	  6,	7,    8,    0x11, 0x22, 0, 0,
		0,    0,    0x33, 0x44, 0xff, 0xfe, 0xfd, 0xfc};
	struct nbd_request request;

	(void)state;
	assert_int_equal(nbd_request_parse(bytes, &request), 0);
	assert_int_equal(request.flags, NBD_COMMAND_FLAG_FUA);
	assert_int_equal(request.command, NBD_COMMAND_WRITE_ZEROES);
	assert_int_equal(request.cookie, UINT64_C(0x0102030405060708));
	assert_int_equal(request.offset, UINT64_C(0x1122000000003344));
	assert_int_equal(request.length, 0xfffefdfc);
}

static void a_wrong_magic_is_no_request(void **state)
{
	uint8_t bytes[NBD_REQUEST_BYTES] = {0x25, 0x60, 0x95, 0x12};
	struct nbd_request request = {.cookie = 5};

	(void)state;
	assert_int_equal(nbd_request_parse(bytes, &request), -EPROTO);
	assert_int_equal(request.cookie, 5);
}

static void only_a_write_has_a_payload(void **state)
{
	struct nbd_request request = {.length = 4096};

	(void)state;
	for (uint16_t command = 0; command < 20; command++) {
		request.command = command;
		assert_int_equal(nbd_request_payload_bytes(&request),
				 command == NBD_COMMAND_WRITE ? 4096 : 0);
	}
}

static void the_last_sector_is_inside_and_the_next_is_not(void **state)
{
	(void)state;
	assert_int_equal(check(NBD_COMMAND_READ, DISK_BYTES - 512, 512), 0);
	assert_int_equal(check(NBD_COMMAND_READ, DISK_BYTES - 512, 1024),
			 NBD_EINVAL);
	assert_int_equal(check(NBD_COMMAND_READ, DISK_BYTES, 512), NBD_EINVAL);
	assert_int_equal(check(NBD_COMMAND_WRITE, DISK_BYTES - 512, 512), 0);
	assert_int_equal(check(NBD_COMMAND_WRITE, DISK_BYTES - 512, 1024),
			 NBD_ENOSPC);
}

static void an_offset_that_wraps_around_is_outside(void **state)
{
	(void)state;
	assert_int_equal(check(NBD_COMMAND_READ, UINT64_MAX - 511, 1024),
			 NBD_EINVAL);
	assert_int_equal(check(NBD_COMMAND_WRITE, UINT64_MAX - 511, 512),
			 NBD_ENOSPC);
}

static void lengths_up_to_the_limit_are_taken(void **state)
{
	(void)state;
	assert_int_equal(check(NBD_COMMAND_READ, 0, NBD_BLOCK_BYTES_MAX), 0);
	assert_int_equal(check(NBD_COMMAND_READ, 0, NBD_BLOCK_BYTES_MAX + 512),
			 NBD_EINVAL);
	assert_int_equal(check(NBD_COMMAND_WRITE, 0, NBD_BLOCK_BYTES_MAX), 0);
	assert_int_equal(check(NBD_COMMAND_WRITE, 0, NBD_BLOCK_BYTES_MAX + 512),
			 NBD_EINVAL);
	assert_int_equal(check(NBD_COMMAND_TRIM, 0, UINT32_MAX - 511), 0);
	assert_int_equal(check(NBD_COMMAND_WRITE_ZEROES, 0, UINT32_MAX - 511),
			 0);
}

static void a_simple_reply_is_sixteen_bytes(void **state)
{
	static const uint8_t expected[] = {0x67, 0x44, 0x66, 0x98, 0, 0, 0, 28,
					   0,	 0,    0,    0,	   0, 0, 0, 9};
	struct nbd_request request = {.command = NBD_COMMAND_WRITE,
				      .cookie = 9};
	uint8_t buffer[NBD_REPLY_HEAD_MAX];

	(void)state;
	assert_int_equal(nbd_reply_format(&request, NBD_ENOSPC, true, buffer),
			 sizeof(expected));
	assert_memory_equal(buffer, expected, sizeof(expected));
}

static void only_reads_are_answered_in_structure(void **state)
{
	struct nbd_request request = {.length = 512};
	uint8_t buffer[NBD_REPLY_HEAD_MAX];

	(void)state;
	request.command = NBD_COMMAND_READ;
	assert_int_equal(nbd_reply_format(&request, NBD_OK, true, buffer), 28);
	assert_int_equal(nbd_reply_format(&request, NBD_EIO, true, buffer), 26);
	assert_int_equal(nbd_reply_format(&request, NBD_OK, false, buffer), 16);
	request.command = NBD_COMMAND_FLUSH;
	assert_int_equal(nbd_reply_format(&request, NBD_OK, true, buffer), 16);
}

static void errors_have_the_protocols_numbers(void **state)
{
	(void)state;
	assert_int_equal(nbd_error_from_status(0), NBD_OK);
	assert_int_equal(nbd_error_from_status(-EROFS), NBD_EPERM);
	assert_int_equal(nbd_error_from_status(-EDQUOT), NBD_ENOSPC);
	assert_int_equal(nbd_error_from_status(-EOPNOTSUPP), NBD_ENOTSUP);
	assert_int_equal(nbd_error_from_status(-ENXIO), NBD_EIO);
	assert_int_equal(nbd_error_from_status(-4096), NBD_EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_taken_apart),
		cmocka_unit_test(a_wrong_magic_is_no_request),
		cmocka_unit_test(only_a_write_has_a_payload),
		cmocka_unit_test(the_last_sector_is_inside_and_the_next_is_not),
		cmocka_unit_test(an_offset_that_wraps_around_is_outside),
		cmocka_unit_test(lengths_up_to_the_limit_are_taken),
		cmocka_unit_test(a_simple_reply_is_sixteen_bytes),
		cmocka_unit_test(only_reads_are_answered_in_structure),
		cmocka_unit_test(errors_have_the_protocols_numbers),
	};

	return cmocka_run_group_tests_name("nbd_request", tests, NULL, NULL);
}
