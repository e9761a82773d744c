// SPDX-License-Identifier: Apache-2.0
/* test_process.c - real children: shells that say what they see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "process.h"

#define DEADLINE_MS 20000

/* Starts a shell whose output goes to the pipe *ret_output. */
static int start_shell(const char *script, const int *fds, uint32_t fd_count,
		       pid_t *ret_pid, int *ret_output)
{
	const char *const arguments[] = {"sh", "-c", script, NULL};
	struct process_spec spec = {
		.path = "/bin/sh",
		.arguments = arguments,
		.fds = fds,
		.fd_count = fd_count,
	};
	int output[2];
	int pidfd;

	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	spec.output_fd = output[1];
	assert_int_equal(process_start(&spec, ret_pid, &pidfd), 0);
	close(output[1]);
	*ret_output = output[0];
	return pidfd;
}

static void wait_for_end(int pidfd)
{
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};

	assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
}

static void read_all(int fd, char *text, size_t text_bytes)
{
	size_t used = 0;
	ssize_t count;

	while ((count = read(fd, text + used, text_bytes - used - 1)) > 0)
		used += (size_t)count;
	text[used] = '\0';
}

static void a_program_gets_its_descriptors_and_no_others(void **state)
{
	char text[256];
	int leaked = open("/dev/zero", O_RDONLY);
	int given[2];
	int output, exit_code, pidfd;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(given, O_CLOEXEC), 0);
	assert_int_equal(write(given[1], "from 3\n", 7), 7);
	fd_close(given[1]);
	/* No pipeline: the shell would have its ends open for a moment. */
	pidfd = start_shell("cat <&3; echo to err >&2; ls /proc/$$/fd; cat",
			    given, 1, &pid, &output);
	read_all(output, text, sizeof(text));
	assert_string_equal(text, "from 3\nto err\n0\n1\n2\n3\n");
	wait_for_end(pidfd);
	assert_int_equal(process_reap(pidfd, &exit_code), 0);
	assert_int_equal(exit_code, 0);
	close(leaked);
	close(given[0]);
	close(output);
	close(pidfd);
}

static void descriptors_may_come_in_any_order(void **state)
{
	char text[64];
	int first[2], second[2];
	int output, exit_code, pidfd;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(first, O_CLOEXEC), 0);
	assert_int_equal(pipe2(second, O_CLOEXEC), 0);
	assert_int_equal(write(first[1], "1", 1), 1);
	assert_int_equal(write(second[1], "2", 1), 1);
	fd_close(first[1]);
	fd_close(second[1]);
	pidfd = start_shell("cat <&3; cat <&4",
			    (const int[]){second[0], first[0]}, 2, &pid,
			    &output);
	read_all(output, text, sizeof(text));
	assert_string_equal(text, "21");
	wait_for_end(pidfd);
	assert_int_equal(process_reap(pidfd, &exit_code), 0);
	close(first[0]);
	close(second[0]);
	close(output);
	close(pidfd);
}

static void a_living_child_is_signalled_and_reaped(void **state)
{
	int output, exit_code, pidfd;
	uint64_t ticks;
	int input[2];
	pid_t pid;
	int again;

	(void)state;
	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	pidfd = start_shell("read line <&3", input, 1, &pid, &output);
	assert_int_equal(process_reap(pidfd, &exit_code), -EAGAIN);
	assert_int_equal(process_start_time(pid, &ticks), 0);
	again = process_open(pid, ticks);
	assert_true(again >= 0);
	assert_int_equal(process_open(pid, ticks + 1), -ESRCH);
	assert_int_equal(process_signal(again, SIGKILL), 0);
	wait_for_end(pidfd);
	assert_int_equal(process_reap(pidfd, &exit_code), 0);
	assert_int_equal(exit_code, -SIGKILL);
	assert_int_equal(process_reap(pidfd, &exit_code), -ECHILD);
	assert_int_equal(process_signal(pidfd, SIGTERM), -ESRCH);
	assert_int_equal(process_start_time(pid, &ticks), -ESRCH);
	close(again);
	close(input[0]);
	close(input[1]);
	close(output);
	close(pidfd);
}

static void a_program_that_cannot_run_is_an_error(void **state)
{
	const char *const arguments[] = {"missing", NULL};
	struct process_spec spec = {.path = "/nonexistent/missing",
				    .arguments = arguments,
				    .output_fd = -1};
	pid_t pid;
	int pidfd;

	(void)state;
	assert_int_equal(process_start(&spec, &pid, &pidfd), -ENOENT);
	spec.path = "/tmp";
	assert_int_equal(process_start(&spec, &pid, &pidfd), -EACCES);
}

static void signals_are_as_in_a_new_program(void **state)
{
	char text[64];
	int output, exit_code, pidfd;
	sigset_t mask;
	pid_t pid;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	pidfd = start_shell("grep -E '^Sig(Blk|Ign)' /proc/self/status | "
			    "tr -d '\\n\\t'",
			    NULL, 0, &pid, &output);
	sigprocmask(SIG_UNBLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_DFL);
	read_all(output, text, sizeof(text));
	assert_string_equal(text,
			    "SigBlk:0000000000000000SigIgn:0000000000000000");
	wait_for_end(pidfd);
	assert_int_equal(process_reap(pidfd, &exit_code), 0);
	close(output);
	close(pidfd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_gets_its_descriptors_and_no_others),
		cmocka_unit_test(descriptors_may_come_in_any_order),
		cmocka_unit_test(a_living_child_is_signalled_and_reaped),
		cmocka_unit_test(a_program_that_cannot_run_is_an_error),
		cmocka_unit_test(signals_are_as_in_a_new_program),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
