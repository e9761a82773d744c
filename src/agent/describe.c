/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe.c - one short-lived child, its output in memory files.
 *
 * Memory files instead of pipes: the child can't block on us, and there is
 * nothing to wait for but its end.
 */
#include "describe.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "text.h"

static int spawn(const char *program, const char *library, int out_fd,
		 int error_fd, pid_t *ret_pid)
{
	const char *arguments[] = {program, "--describe-filter", library, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int result;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
	posix_spawn_file_actions_adddup2(&actions, error_fd, 2);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	result = posix_spawn(ret_pid, program, &actions, &attributes,
			     (char *const *)arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -result;
}

/* Waits for the child's end, and kills it when it takes too long. */
static int wait_for(pid_t pid, int *ret_status)
{
	_cleanup_fd_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};
	int result = 0;

	if (pidfd < 0 || poll(&ended, 1, DESCRIBE_TIMEOUT_MS) <= 0) {
		kill(pid, SIGKILL);
		result = -ETIMEDOUT;
	}
	waitpid(pid, ret_status, 0);
	return result;
}

/* The whole of @fd as text. Returns: its length. */
static size_t read_text(int fd, char *buffer, size_t buffer_bytes)
{
	ssize_t count = pread(fd, buffer, buffer_bytes - 1, 0);

	if (count < 0)
		count = 0;
	buffer[count] = '\0';
	return (size_t)count;
}

/* What the child complained about: its last line. */
static int complain(int error_fd, const char *library, int status,
		    struct error *error)
{
	char text[ERROR_MESSAGE_BYTES];
	size_t length = read_text(error_fd, text, sizeof(text));
	char *line;

	while (length > 0 && text[length - 1] == '\n')
		text[--length] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	text_clean(line);
	if (line[0])
		return error_set(error, -ENOEXEC, "%s", line);
	if (WIFSIGNALED(status))
		return error_set(error, -ENOEXEC,
				 "loading %s ended with signal %d", library,
				 WTERMSIG(status));
	return error_set(error, -ENOEXEC, "loading %s failed", library);
}

static int parse(int out_fd, const char *library, json_t **ret_description,
		 struct error *error)
{
	char *text = malloc(DESCRIBE_BYTES_MAX);
	json_t *description;

	if (!text)
		return error_set(error, -ENOMEM, "out of memory");
	read_text(out_fd, text, DESCRIBE_BYTES_MAX);
	description = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	if (!json_is_object(description)) {
		json_decref(description);
		return error_set(error, -EBADMSG, "%s does not say what it is",
				 library);
	}
	*ret_description = description;
	return 0;
}

int describe_filter(const char *program, const char *library,
		    json_t **ret_description, struct error *error)
{
	_cleanup_fd_ int out_fd = memfd_create("description", MFD_CLOEXEC);
	_cleanup_fd_ int error_fd = memfd_create("complaint", MFD_CLOEXEC);
	int status = 0, result;
	pid_t pid;

	if (out_fd < 0 || error_fd < 0)
		return error_set(error, -errno, "no memory file: %s",
				 strerror(errno));
	result = spawn(program, library, out_fd, error_fd, &pid);
	if (result < 0)
		return error_set(error, result, "%s can't be run: %s", program,
				 strerror(-result));
	result = wait_for(pid, &status);
	if (result < 0)
		return error_set(error, result,
				 "loading %s took longer than %d s", library,
				 DESCRIBE_TIMEOUT_MS / 1000);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return complain(error_fd, library, status, error);
	return parse(out_fd, library, ret_description, error);
}
