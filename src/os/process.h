/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h - start programs, know them again, signal and reap them.
 *
 * A started program outlives its starter: a dead supervisor must not stop the
 * data path. It is therefore known by {pid, start time}, which a successor of
 * the supervisor can store and check, and is watched through a pidfd, which a
 * recycled pid can't fool.
 */
#ifndef FOREBAY_OS_PROCESS_H
#define FOREBAY_OS_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#define PROCESS_FDS_MAX 16u
/* fds[i] of a process_spec is this plus i in the new program. */
#define PROCESS_FIRST_FD 3

struct process_spec {
	const char *path; /* of the executable */
	const char *const *arguments; /* ends with NULL; [0] is the name */
	const int *fds; /* passed on; all others are closed */
	uint32_t fd_count;
	int output_fd; /* its standard output and error; -1: ours */
};

/*
 * Starts a program in a session of its own, with standard input from
 * /dev/null, default signal handling and nothing blocked. May be called from a
 * process with several threads.
 * Returns: 0, or -errno, also that of execve(2) in the child.
 */
int process_start(const struct process_spec *spec, pid_t *ret_pid,
		  int *ret_pidfd);

/* Clock ticks after boot at which @pid started. Returns: 0 or -ESRCH. */
int process_start_time(pid_t pid, uint64_t *ret_ticks);

/* A pidfd of @pid if it still is the one that started at @start_ticks.
 * Returns: descriptor, or -ESRCH. */
int process_open(pid_t pid, uint64_t start_ticks);

/* Returns: 0 or -ESRCH. */
int process_signal(int pidfd, int signal_number);

/*
 * Reaps a child if it has ended; a pidfd is readable from then on.
 * Returns: 0 with the exit code, or minus the signal that killed it; -EAGAIN
 * while it lives; -ECHILD if it is nobody's or another's child.
 */
int process_reap(int pidfd, int *ret_exit);

#endif
