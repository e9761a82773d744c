// SPDX-License-Identifier: Apache-2.0
/*
 * test_ring_limits.c - what the loop doesn't do, its ring can't do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "loop_private.h"

static int begin(void **state)
{
	static struct loop *loop;

	assert_int_equal(loop_create(&loop), 0);
	*state = loop;
	return 0;
}

static int end(void **state)
{
	loop_destroy(*state);
	return 0;
}

/* Submits the entry that is filled. Returns: what the kernel says. */
static int result_of(struct loop *loop)
{
	struct io_uring_cqe *completion;
	int result;

	assert_true(io_uring_submit(&loop->ring) >= 0);
	assert_int_equal(io_uring_wait_cqe(&loop->ring, &completion), 0);
	result = completion->res;
	io_uring_cqe_seen(&loop->ring, completion);
	return result;
}

static void what_the_loop_does_is_allowed(void **state)
{
	struct loop *loop = *state;

	io_uring_prep_poll_add(io_uring_get_sqe(&loop->ring), -1, 0);
	assert_int_equal(result_of(loop), -EBADF);
}

static void a_ring_opens_no_file(void **state)
{
	struct loop *loop = *state;

	io_uring_prep_openat(io_uring_get_sqe(&loop->ring), AT_FDCWD,
			     "/dev/null", O_RDONLY, 0);
	assert_int_equal(result_of(loop), -EACCES);
}

static void a_ring_makes_no_socket_and_connects_none(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct loop *loop = *state;

	io_uring_prep_socket(io_uring_get_sqe(&loop->ring), AF_INET,
			     SOCK_STREAM, 0, 0);
	assert_int_equal(result_of(loop), -EACCES);
	io_uring_prep_connect(io_uring_get_sqe(&loop->ring), 0,
			      (struct sockaddr *)&address, sizeof(address));
	assert_int_equal(result_of(loop), -EACCES);
}

static void a_ring_removes_and_renames_nothing(void **state)
{
	struct loop *loop = *state;

	io_uring_prep_unlinkat(io_uring_get_sqe(&loop->ring), AT_FDCWD,
			       "/nowhere", 0);
	assert_int_equal(result_of(loop), -EACCES);
	io_uring_prep_renameat(io_uring_get_sqe(&loop->ring), AT_FDCWD,
			       "/nowhere", AT_FDCWD, "/nowhere-else", 0);
	assert_int_equal(result_of(loop), -EACCES);
}

static void an_entry_has_no_flags(void **state)
{
	struct loop *loop = *state;
	struct io_uring_sqe *entry = io_uring_get_sqe(&loop->ring);

	io_uring_prep_poll_add(entry, -1, 0);
	io_uring_sqe_set_flags(entry, IOSQE_ASYNC);
	assert_int_equal(result_of(loop), -EACCES);
}

static void a_ring_registers_no_memory_and_no_files(void **state)
{
	struct loop *loop = *state;
	char memory[16];
	struct iovec iov = {memory, sizeof(memory)};
	int fd = 0;

	assert_int_equal(io_uring_register_buffers(&loop->ring, &iov, 1),
			 -EACCES);
	assert_int_equal(io_uring_register_files(&loop->ring, &fd, 1), -EACCES);
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(what_the_loop_does_is_allowed),
		RING_TEST(a_ring_opens_no_file),
		RING_TEST(a_ring_makes_no_socket_and_connects_none),
		RING_TEST(a_ring_removes_and_renames_nothing),
		RING_TEST(an_entry_has_no_flags),
		RING_TEST(a_ring_registers_no_memory_and_no_files),
	};

	return cmocka_run_group_tests_name("ring_limits", tests, NULL, NULL);
}
