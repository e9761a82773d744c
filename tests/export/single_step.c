// SPDX-License-Identifier: Apache-2.0
/* single_step.c - a child under ptrace, one instruction at a time. */
#include "single_step.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants those first. */
#include <cmocka.h>

static pid_t start_child(void *memory, void (*work)(void *memory))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		raise(SIGSTOP);
		work(memory);
		_exit(0);
	}
	return pid;
}

int single_step(void *memory, size_t bytes, void (*work)(void *memory),
		void (*check)(const void *copy, void *owner), void *owner)
{
	void *copy = malloc(bytes);
	int changes = 0;
	int status;
	pid_t pid;

	assert_non_null(copy);
	memcpy(copy, memory, bytes);
	pid = start_child(memory, work);
	waitpid(pid, &status, 0);
	if (WIFEXITED(status))
		changes = -1;
	while (WIFSTOPPED(status)) {
		if (memcmp(copy, memory, bytes) != 0) {
			memcpy(copy, memory, bytes);
			check(copy, owner);
			changes++;
		}
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
		waitpid(pid, &status, 0);
	}
	free(copy);
	if (changes >= 0)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return changes;
}
