// SPDX-License-Identifier: Apache-2.0
/* test_packing.c - one zstd frame, and no more than the limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "bundle_scene.h"
#include "fd.h"
#include "packing.h"

#define SMALL 200000u

/* Unpacks @count bytes. Returns: what packing_unpack() does. */
static int unpack(const uint8_t *bytes, size_t count, int *ret_fd,
		  struct bundle_refusal *refusal)
{
	_cleanup_fd_ int in_fd = memfd_create("in", MFD_CLOEXEC);
	_cleanup_fd_ int out_fd = memfd_create("out", MFD_CLOEXEC);
	int status;

	assert_int_equal(write(in_fd, bytes, count), count);
	assert_int_equal(lseek(in_fd, 0, SEEK_SET), 0);
	status = packing_unpack(in_fd, out_fd, refusal);
	if (ret_fd)
		*ret_fd = take_fd(&out_fd);
	return status;
}

static void refused(const uint8_t *bytes, size_t count, enum bundle_issue issue)
{
	struct bundle_refusal refusal = {BUNDLE_ISSUE_COUNT, ""};

	assert_int_equal(unpack(bytes, count, NULL, &refusal), -EBADMSG);
	assert_int_equal(refusal.issue, issue);
}

static uint8_t *make_input(size_t count)
{
	uint8_t *bytes = malloc(count);

	assert_non_null(bytes);
	for (size_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)(i * i >> 7);
	return bytes;
}

static uint8_t *pack(const uint8_t *bytes, size_t count, size_t *ret_bytes)
{
	uint8_t *packed;

	assert_int_equal(packing_pack((struct bundle_span){bytes, count},
				      &packed, ret_bytes),
			 0);
	return packed;
}

static void what_was_packed_is_unpacked(void **state)
{
	uint8_t *bytes = make_input(SMALL), same[SMALL];
	struct bundle_refusal refusal;
	uint8_t *packed;
	size_t packed_bytes;
	int fd;

	(void)state;
	packed = pack(bytes, SMALL, &packed_bytes);
	assert_int_equal(unpack(packed, packed_bytes, &fd, &refusal), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), SMALL);
	assert_int_equal(pread(fd, same, SMALL, 0), SMALL);
	assert_memory_equal(same, bytes, SMALL);
	close(fd);
	free(packed);
	free(bytes);
}

static void a_frame_that_is_not_whole_is_refused(void **state)
{
	uint8_t *bytes = make_input(SMALL);
	size_t packed_bytes;
	uint8_t *packed = pack(bytes, SMALL, &packed_bytes);

	(void)state;
	for (size_t count = 0; count < packed_bytes;
	     count += count < 64 ? 1 : packed_bytes / 50)
		refused(packed, count, BUNDLE_DAMAGED);
	refused(packed, packed_bytes - 1, BUNDLE_DAMAGED);
	/* Its checksum covers what the codes don't. */
	packed[packed_bytes - 1] ^= 1;
	refused(packed, packed_bytes, BUNDLE_DAMAGED);
	free(packed);
	free(bytes);
}

static void what_stands_behind_the_frame_is_refused(void **state)
{
	static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
	uint8_t *bytes = make_input(SMALL), *both;
	size_t packed_bytes;
	uint8_t *packed = pack(bytes, SMALL, &packed_bytes);

	(void)state;
	both = malloc(2 * packed_bytes);
	assert_non_null(both);
	memcpy(both, packed, packed_bytes);
	memcpy(both + packed_bytes, packed, packed_bytes);
	refused(both, 2 * packed_bytes, BUNDLE_UNEXPECTED_FILE);
	refused(both, packed_bytes + 1, BUNDLE_UNEXPECTED_FILE);
	memcpy(both + packed_bytes, skippable, sizeof(skippable));
	refused(both, packed_bytes + sizeof(skippable), BUNDLE_UNEXPECTED_FILE);
	free(both);
	free(packed);
	free(bytes);
}

/* A few kilobytes that stand for more than the limit, and for the limit. */
static void a_bomb_is_refused_at_the_limit(void **state)
{
	uint8_t *bytes = calloc(1, BUNDLE_ARCHIVE_BYTES_MAX + 1);
	struct bundle_refusal refusal;
	size_t packed_bytes;
	uint8_t *packed;
	struct stat facts;
	int fd;

	(void)state;
	assert_non_null(bytes);
	packed = pack(bytes, BUNDLE_ARCHIVE_BYTES_MAX + 1, &packed_bytes);
	assert_true(packed_bytes < 100000);
	assert_int_equal(unpack(packed, packed_bytes, &fd, &refusal), -EBADMSG);
	assert_int_equal(refusal.issue, BUNDLE_TOO_LARGE);
	assert_int_equal(fstat(fd, &facts), 0);
	assert_true((uint64_t)facts.st_size <= BUNDLE_ARCHIVE_BYTES_MAX);
	close(fd);
	free(packed);
	packed = pack(bytes, BUNDLE_ARCHIVE_BYTES_MAX, &packed_bytes);
	assert_int_equal(unpack(packed, packed_bytes, NULL, &refusal), 0);
	free(packed);
	free(bytes);
}

static void a_frame_that_wants_much_memory_is_refused(void **state)
{
	const size_t count = 1u << (BUNDLE_WINDOW_LOG_MAX + 1);
	uint8_t *bytes = make_input(count);
	size_t room = ZSTD_compressBound(count), packed_bytes;
	ZSTD_CCtx *coder = ZSTD_createCCtx();
	uint8_t *packed = malloc(room);

	(void)state;
	assert_non_null(packed);
	ZSTD_CCtx_setParameter(coder, ZSTD_c_compressionLevel, 1);
	ZSTD_CCtx_setParameter(coder, ZSTD_c_windowLog,
			       BUNDLE_WINDOW_LOG_MAX + 1);
	ZSTD_CCtx_setParameter(coder, ZSTD_c_contentSizeFlag, 0);
	packed_bytes = ZSTD_compress2(coder, packed, room, bytes, count);
	assert_false(ZSTD_isError(packed_bytes));
	refused(packed, packed_bytes, BUNDLE_DAMAGED);
	ZSTD_freeCCtx(coder);
	free(packed);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_packed_is_unpacked),
		cmocka_unit_test(a_frame_that_is_not_whole_is_refused),
		cmocka_unit_test(what_stands_behind_the_frame_is_refused),
		cmocka_unit_test(a_bomb_is_refused_at_the_limit),
		cmocka_unit_test(a_frame_that_wants_much_memory_is_refused),
	};

	return cmocka_run_group_tests_name("packing", tests, NULL, NULL);
}
