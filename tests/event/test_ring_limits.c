// SPDX-License-Identifier: Apache-2.0
/*
 * test_ring_limits.c - what the loop doesn't do, its ring can't do; and what it
 * does, it can.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop_private.h"

/* More than any operation on no file takes. */
#define ATTEMPT_NS UINT64_C(20000000000)

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

/* One operation of loop.h, on no file. */
struct attempt {
	const char *name;
	void (*start)(struct loop *loop, struct loop_io *io);
};

static char memory[16];
static struct iovec piece = {memory, sizeof(memory)};
static struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

static void start_readv(struct loop *loop, struct loop_io *io)
{
	loop_readv(loop, io, -1, &piece, 1, 0, 0);
}

static void start_writev(struct loop *loop, struct loop_io *io)
{
	loop_writev(loop, io, -1, &piece, 1, 0, 0);
}

static void start_fdatasync(struct loop *loop, struct loop_io *io)
{
	loop_fdatasync(loop, io, -1);
}

static void start_fallocate(struct loop *loop, struct loop_io *io)
{
	loop_fallocate(loop, io, -1, FALLOC_FL_KEEP_SIZE, 0, 4096);
}

static void start_recvmsg(struct loop *loop, struct loop_io *io)
{
	loop_recvmsg(loop, io, -1, &message, 0);
}

static void start_sendmsg(struct loop *loop, struct loop_io *io)
{
	loop_sendmsg(loop, io, -1, &message, 0);
}

static void start_recv(struct loop *loop, struct loop_io *io)
{
	loop_recv(loop, io, -1, memory, sizeof(memory), 0);
}

static void start_send(struct loop *loop, struct loop_io *io)
{
	loop_send(loop, io, -1, memory, sizeof(memory), 0);
}

static void start_accept(struct loop *loop, struct loop_io *io)
{
	loop_accept(loop, io, -1);
}

static void start_poll(struct loop *loop, struct loop_io *io)
{
	loop_poll(loop, io, -1, POLLIN);
}

static void start_poll_multishot(struct loop *loop, struct loop_io *io)
{
	loop_poll_multishot(loop, io, -1, POLLIN);
}

/* Its own result is nobody's: what it ends tells that it was allowed. */
static void start_cancel(struct loop *loop, struct loop_io *io)
{
	static int ends[2];

	assert_int_equal(pipe(ends), 0);
	loop_poll(loop, io, ends[0], POLLIN);
	loop_cancel(loop, io);
}

static const struct attempt attempts[] = {
	{"loop_readv", start_readv},
	{"loop_writev", start_writev},
	{"loop_fdatasync", start_fdatasync},
	{"loop_fallocate", start_fallocate},
	{"loop_recvmsg", start_recvmsg},
	{"loop_sendmsg", start_sendmsg},
	{"loop_recv", start_recv},
	{"loop_send", start_send},
	{"loop_accept", start_accept},
	{"loop_poll", start_poll},
	{"loop_poll_multishot", start_poll_multishot},
	{"loop_cancel", start_cancel},
};
#define ATTEMPT_COUNT (sizeof(attempts) / sizeof(attempts[0]))

static int attempt_result;

static void attempt_done(struct loop_io *io, int result)
{
	attempt_result = result;
	loop_stop(io->owner);
}

static void attempt_expired(struct loop_timer *timer)
{
	loop_stop(timer->owner);
}

static void what_the_loop_does_is_allowed(void **state)
{
	struct loop *loop = *state;

	for (size_t i = 0; i < ATTEMPT_COUNT; i++) {
		/* One that doesn't end outlives the test. */
		static struct loop_io io;
		struct loop_timer timer = {.expired = attempt_expired,
					   .owner = loop};

		io = (struct loop_io){.done = attempt_done, .owner = loop};
		attempt_result = 0;
		loop_timer_arm(loop, &timer, ATTEMPT_NS);
		attempts[i].start(loop, &io);
		assert_int_equal(loop_run(loop), 0);
		loop_timer_cancel(loop, &timer);
		if (attempt_result != -EBADF && attempt_result != -ECANCELED)
			fail_msg("%s ends with %d", attempts[i].name,
				 attempt_result);
	}
}

static bool is_attempted(const char *name, size_t length)
{
	for (size_t i = 0; i < ATTEMPT_COUNT; i++)
		if (strlen(attempts[i].name) == length &&
		    memcmp(attempts[i].name, name, length) == 0)
			return true;
	return false;
}

/* An operation is what is declared with a loop_io. */
static void all_that_the_loop_does_has_been_tried(void **state)
{
	static const char operation[] = "(struct loop *loop, struct loop_io *";
	char header[32768];
	FILE *file = fopen(LOOP_HEADER, "r");
	unsigned int count = 0;
	size_t bytes;

	(void)state;
	assert_non_null(file);
	bytes = fread(header, 1, sizeof(header) - 1, file);
	assert_true(bytes > 0 && bytes < sizeof(header) - 1);
	header[bytes] = '\0';
	fclose(file);
	for (char *at = strstr(header, operation); at;
	     at = strstr(at + 1, operation)) {
		const char *name = at;

		while (name > header && name[-1] != ' ')
			name--;
		if (!is_attempted(name, (size_t)(at - name)))
			fail_msg("%.*s of loop.h has not been tried",
				 (int)(at - name), name);
		count++;
	}
	assert_int_equal(count, ATTEMPT_COUNT);
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
	int fd = 0;

	assert_int_equal(io_uring_register_buffers(&loop->ring, &piece, 1),
			 -EACCES);
	assert_int_equal(io_uring_register_files(&loop->ring, &fd, 1), -EACCES);
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(what_the_loop_does_is_allowed),
		cmocka_unit_test(all_that_the_loop_does_has_been_tried),
		RING_TEST(a_ring_opens_no_file),
		RING_TEST(a_ring_makes_no_socket_and_connects_none),
		RING_TEST(a_ring_removes_and_renames_nothing),
		RING_TEST(an_entry_has_no_flags),
		RING_TEST(a_ring_registers_no_memory_and_no_files),
	};

	return cmocka_run_group_tests_name("ring_limits", tests, NULL, NULL);
}
