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
		 NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO |
		 NBD_FLAG_SEND_CACHE,
	.name = "",
	.description = "",
};

static const struct nbd_terms read_only_terms = {
	.size_bytes = DISK_BYTES,
	.flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY | NBD_FLAG_SEND_CACHE,
	.name = "",
	.description = "",
};

static const uint16_t commands[] = {
	NBD_COMMAND_READ,	  NBD_COMMAND_WRITE, NBD_COMMAND_FLUSH,
	NBD_COMMAND_TRIM,	  NBD_COMMAND_CACHE, NBD_COMMAND_WRITE_ZEROES,
	NBD_COMMAND_BLOCK_STATUS,
};

static const struct nbd_session session = {
	.terms = &terms,
	.size_bytes = DISK_BYTES,
	.structured_replies = true,
	.contexts = 1,
};

static enum nbd_error check(uint16_t command, uint64_t offset, uint32_t length)
{
	struct nbd_request request = {
		.command = command,
		.offset = offset,
		.length = length,
	};

	return nbd_request_check(&request, &session);
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

static void each_command_takes_its_own_flags_and_fua(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(commands) / sizeof(*commands);
	     i++) {
		uint16_t command = commands[i];
		unsigned int known = NBD_COMMAND_FLAG_FUA;

		if (command == NBD_COMMAND_READ)
			known |= NBD_COMMAND_FLAG_DF;
		if (command == NBD_COMMAND_WRITE_ZEROES)
			known |= NBD_COMMAND_FLAG_NO_HOLE |
				 NBD_COMMAND_FLAG_FAST_ZERO;
		if (command == NBD_COMMAND_BLOCK_STATUS)
			known |= NBD_COMMAND_FLAG_REQ_ONE;
		for (unsigned int bit = 0; bit < 16; bit++) {
			struct nbd_request request = {
				.command = command,
				.flags = (uint16_t)(1u << bit),
				.length =
					command == NBD_COMMAND_FLUSH ? 0 : 512,
			};

			assert_int_equal(nbd_request_check(&request, &session),
					 known & 1u << bit ? NBD_OK
							   : NBD_EINVAL);
		}
	}
}

static void what_was_not_negotiated_is_refused(void **state)
{
	const struct nbd_session bare = {
		.terms = &terms,
		.size_bytes = DISK_BYTES,
	};
	const struct nbd_session other = {
		.terms = &read_only_terms,
		.size_bytes = DISK_BYTES,
	};
	struct nbd_request read = {.length = 512, .flags = NBD_COMMAND_FLAG_DF};
	struct nbd_request status = {.command = NBD_COMMAND_BLOCK_STATUS,
				     .length = 512};
	struct nbd_request zeroes = {.command = NBD_COMMAND_WRITE_ZEROES,
				     .flags = NBD_COMMAND_FLAG_FAST_ZERO,
				     .length = 512};

	(void)state;
	assert_int_equal(nbd_request_check(&read, &bare), NBD_EINVAL);
	assert_int_equal(nbd_request_check(&status, &bare), NBD_EINVAL);
	assert_int_equal(nbd_request_check(&zeroes, &bare), NBD_OK);
	assert_int_equal(nbd_request_check(&zeroes, &other), NBD_EINVAL);
}

static void a_read_only_name_permits_no_change(void **state)
{
	const struct nbd_session reader = {
		.size_bytes = DISK_BYTES,
		.terms = &read_only_terms,
		.structured_replies = true,
		.contexts = 1,
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(commands) / sizeof(*commands);
	     i++) {
		uint16_t command = commands[i];
		struct nbd_request request = {
			.command = command,
			.length = command == NBD_COMMAND_FLUSH ? 0 : 512,
		};
		bool changes = command == NBD_COMMAND_WRITE ||
			       command == NBD_COMMAND_TRIM ||
			       command == NBD_COMMAND_WRITE_ZEROES;

		assert_int_equal(nbd_request_check(&request, &reader),
				 changes ? NBD_EPERM : NBD_OK);
	}
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

static void reads_and_status_are_answered_in_structure(void **state)
{
	struct nbd_request request = {.length = 512};
	uint8_t buffer[NBD_REPLY_HEAD_MAX];

	(void)state;
	request.command = NBD_COMMAND_READ;
	assert_int_equal(nbd_reply_format(&request, NBD_OK, true, buffer), 28);
	assert_int_equal(nbd_reply_format(&request, NBD_OK, false, buffer), 16);
	assert_int_equal(nbd_reply_format(&request, NBD_EIO, false, buffer),
			 16);
	request.command = NBD_COMMAND_FLUSH;
	assert_int_equal(nbd_reply_format(&request, NBD_OK, true, buffer), 16);
	request.command = NBD_COMMAND_BLOCK_STATUS;
	nbd_reply_format(&request, NBD_EINVAL, true, buffer);
	assert_int_equal(nbd_get_u32(buffer), NBD_STRUCTURED_REPLY_MAGIC);
	assert_int_equal(nbd_get_u16(buffer + 6), NBD_STRUCTURED_ERROR);
}

/* An error chunk: its lengths add up, and its words are words. */
static void check_error(const struct nbd_request *request, enum nbd_error error,
			uint16_t type, size_t behind)
{
	uint8_t buffer[NBD_REPLY_HEAD_MAX];
	size_t bytes = nbd_reply_format(request, error, true, buffer);
	uint32_t length = nbd_get_u32(buffer + 16);
	uint16_t words = nbd_get_u16(buffer + 24);

	assert_int_equal(nbd_get_u16(buffer + 4), NBD_STRUCTURED_FLAG_DONE);
	assert_int_equal(nbd_get_u16(buffer + 6), type);
	assert_int_equal(bytes, NBD_STRUCTURED_REPLY_BYTES + length);
	assert_int_equal(nbd_get_u32(buffer + 20), error);
	assert_int_equal(length, 6 + words + behind);
	assert_true(words > 0);
	for (unsigned int i = 0; i < words; i++)
		assert_in_range(buffer[26 + i], ' ', '~');
	if (behind == 8)
		assert_int_equal(nbd_get_u64(buffer + 26 + words),
				 request->offset);
}

static void a_read_that_failed_says_where(void **state)
{
	struct nbd_request request = {.length = 512, .offset = 1 << 20};

	(void)state;
	check_error(&request, NBD_EIO, NBD_STRUCTURED_ERROR_OFFSET, 8);
	check_error(&request, NBD_ENOMEM, NBD_STRUCTURED_ERROR_OFFSET, 8);
	/* It was refused: that has no place. */
	check_error(&request, NBD_EINVAL, NBD_STRUCTURED_ERROR, 0);
	request.command = NBD_COMMAND_BLOCK_STATUS;
	check_error(&request, NBD_EIO, NBD_STRUCTURED_ERROR, 0);
}

static void errors_have_the_protocols_numbers(void **state)
{
	const struct nbd_request write = {.command = NBD_COMMAND_WRITE};

	(void)state;
	assert_int_equal(nbd_request_error(&write, 0), NBD_OK);
	assert_int_equal(nbd_request_error(&write, -EROFS), NBD_EPERM);
	assert_int_equal(nbd_request_error(&write, -EDQUOT), NBD_ENOSPC);
	assert_int_equal(nbd_request_error(&write, -ENXIO), NBD_EIO);
	assert_int_equal(nbd_request_error(&write, -4096), NBD_EIO);
}

static void only_fast_zeroes_are_not_supported(void **state)
{
	struct nbd_request zeroes = {
		.command = NBD_COMMAND_WRITE_ZEROES,
		.flags = NBD_COMMAND_FLAG_FAST_ZERO,
	};

	(void)state;
	assert_int_equal(nbd_request_error(&zeroes, -EOPNOTSUPP), NBD_ENOTSUP);
	zeroes.flags = 0;
	assert_int_equal(nbd_request_error(&zeroes, -EOPNOTSUPP), NBD_EINVAL);
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
		cmocka_unit_test(each_command_takes_its_own_flags_and_fua),
		cmocka_unit_test(what_was_not_negotiated_is_refused),
		cmocka_unit_test(a_read_only_name_permits_no_change),
		cmocka_unit_test(a_simple_reply_is_sixteen_bytes),
		cmocka_unit_test(reads_and_status_are_answered_in_structure),
		cmocka_unit_test(a_read_that_failed_says_where),
		cmocka_unit_test(errors_have_the_protocols_numbers),
		cmocka_unit_test(only_fast_zeroes_are_not_supported),
	};

	return cmocka_run_group_tests_name("nbd_request", tests, NULL, NULL);
}
