// SPDX-License-Identifier: Apache-2.0
/*
 * process.c - fork, and between fork and exec only async-signal-safe calls,
 * because another thread may have held any lock at the moment of the fork.
 *
 * The child reports a failure of its own through a pipe that closes on exec:
 * the end of the file means that the program runs.
 */
#include "process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"

#define PROC_STAT_BYTES_MAX 4096u
/* Field 22 of /proc/PID/stat; the name, field 2, may hold spaces. */
#define FIELDS_FROM_NAME_TO_START 20u

/* All that the child needs, prepared before the fork. */
struct child {
	const struct process_spec *spec;
	int input_fd;
	int report_fd;
};

static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A copy of @fd above every number that the program gets. */
static int move_up(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC,
		     PROCESS_FIRST_FD + (int)PROCESS_FDS_MAX);
}

static int arrange_descriptors(const struct child *child, int *ret_report_fd)
{
	const struct process_spec *spec = child->spec;
	int moved[PROCESS_FDS_MAX];
	int input_fd = move_up(child->input_fd);
	int output_fd =
		move_up(spec->output_fd >= 0 ? spec->output_fd : STDERR_FILENO);
	int report_fd = move_up(child->report_fd);

	if (input_fd < 0 || output_fd < 0 || report_fd < 0)
		return -errno;
	*ret_report_fd = report_fd;
	for (uint32_t i = 0; i < spec->fd_count; i++) {
		moved[i] = move_up(spec->fds[i]);
		if (moved[i] < 0)
			return -errno;
	}
	if (dup2(input_fd, STDIN_FILENO) < 0)
		return -errno;
	if (spec->output_fd >= 0 && dup2(output_fd, STDOUT_FILENO) < 0)
		return -errno;
	if (dup2(output_fd, STDERR_FILENO) < 0)
		return -errno;
	for (uint32_t i = 0; i < spec->fd_count; i++)
		if (dup2(moved[i], PROCESS_FIRST_FD + (int)i) < 0)
			return -errno;
	/* The rest closes at exec. */
	if (close_range(PROCESS_FIRST_FD + spec->fd_count, ~0u,
			CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	return 0;
}

static _Noreturn void run_child(const struct child *child)
{
	int report_fd = child->report_fd;
	int status;
	ssize_t written;

	reset_signals();
	setsid();
	status = arrange_descriptors(child, &report_fd);
	if (status == 0) {
		execv(child->spec->path,
		      (char *const *)(uintptr_t)child->spec->arguments);
		status = -errno;
	}
	written = write(report_fd, &status, sizeof(status));
	(void)written;
	_exit(127);
}

/* Returns: 0 when the program runs, or what the child said. */
static int read_report(int fd)
{
	int status = 0;
	ssize_t count;

	do {
		count = read(fd, &status, sizeof(status));
	} while (count < 0 && errno == EINTR);
	return count == (ssize_t)sizeof(status) ? status : 0;
}

int process_start(const struct process_spec *spec, pid_t *ret_pid,
		  int *ret_pidfd)
{
	_cleanup_fd_ int input_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int report_read_fd = -1;
	_cleanup_fd_ int report_write_fd = -1;
	_cleanup_fd_ int pidfd = -1;
	sigset_t all, before;
	int report[2];
	int status;
	pid_t pid;

	assert(spec->fd_count <= PROCESS_FDS_MAX);
	if (input_fd < 0 || pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	report_read_fd = report[0];
	report_write_fd = report[1];
	/* No handler of ours may run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0) {
		struct child child = {spec, input_fd, report_write_fd};

		run_child(&child);
	}
	status = pid < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status < 0)
		return status;
	report_write_fd = fd_close(report_write_fd);
	status = read_report(report_read_fd);
	pidfd = status == 0 ? pidfd_open(pid, 0) : -1;
	if (status == 0 && pidfd < 0) {
		status = -errno;
		kill(pid, SIGKILL);
	}
	if (status < 0) {
		waitpid(pid, NULL, 0);
		return status;
	}
	*ret_pid = pid;
	*ret_pidfd = take_fd(&pidfd);
	return 0;
}

int process_start_time(pid_t pid, uint64_t *ret_ticks)
{
	char path[64];
	char *text;
	const char *at;
	int status;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	status = file_read(path, PROC_STAT_BYTES_MAX, &text, NULL);
	if (status < 0)
		return -ESRCH;
	at = strrchr(text, ')');
	for (unsigned int i = 0; at && i < FIELDS_FROM_NAME_TO_START; i++)
		at = strchr(at + 1, ' ');
	if (at)
		*ret_ticks = strtoull(at + 1, NULL, 10);
	free(text);
	return at ? 0 : -ESRCH;
}

int process_open(pid_t pid, uint64_t start_ticks)
{
	_cleanup_fd_ int pidfd = pidfd_open(pid, 0);
	uint64_t ticks;

	/* The pidfd first: from then on the pid can't be given to another. */
	if (pidfd < 0 || process_start_time(pid, &ticks) < 0 ||
	    ticks != start_ticks)
		return -ESRCH;
	return take_fd(&pidfd);
}

int process_signal(int pidfd, int signal_number)
{
	return pidfd_send_signal(pidfd, signal_number, NULL, 0) < 0 ? -errno
								    : 0;
}

int process_reap(int pidfd, int *ret_exit)
{
	siginfo_t information = {.si_pid = 0};

	if (waitid(P_PIDFD, (id_t)pidfd, &information, WEXITED | WNOHANG) < 0)
		return -errno;
	if (information.si_pid == 0)
		return -EAGAIN;
	*ret_exit = information.si_code == CLD_EXITED ? information.si_status
						      : -information.si_status;
	return 0;
}
