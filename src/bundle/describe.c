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

/* The last line of what it complained about, in plain characters. */
static void last_complaint(int error_fd, char *buffer, size_t buffer_bytes)
{
	char text[ERROR_MESSAGE_BYTES];
	size_t length = read_text(error_fd, text, sizeof(text));
	const char *line;

	while (length > 0 && text[length - 1] == '\n')
		text[--length] = '\0';
	line = strrchr(text, '\n');
	(void)snprintf(buffer, buffer_bytes, "%s", line ? line + 1 : text);
	for (char *at = buffer; *at; at++) {
		if (*at < 0x20 || *at > 0x7e)
			*at = '?';
	}
}

/* What it printed, if that is an object. */
static json_t *read_object(int out_fd)
{
	char *text = malloc(DESCRIBE_BYTES_MAX);
	json_t *object;

	if (!text)
		return NULL;
	read_text(out_fd, text, DESCRIBE_BYTES_MAX);
	object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	if (json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}

/* It ended, and not well. */
static int complain(int out_fd, int error_fd, const char *library, int status,
		    struct bundle_refusal *refusal)
{
	json_t *answer = read_object(out_fd);
	const char *code = json_string_value(json_object_get(answer, "issue"));
	enum bundle_issue issue = BUNDLE_NOT_LOADABLE;
	char line[ERROR_MESSAGE_BYTES];

	if (WIFSIGNALED(status))
		issue = BUNDLE_LOAD_FAILED;
	else if (code)
		(void)bundle_issue_find(code, &issue);
	json_decref(answer);
	last_complaint(error_fd, line, sizeof(line));
	if (line[0])
		return bundle_refuse(refusal, issue, "%s", line);
	if (WIFSIGNALED(status))
		return bundle_refuse(refusal, issue,
				     "loading %s ended with signal %d", library,
				     WTERMSIG(status));
	return bundle_refuse(refusal, issue, "loading %s failed", library);
}

int describe_filter(const char *program, const char *library,
		    json_t **ret_description, struct bundle_refusal *refusal)
{
	_cleanup_fd_ int out_fd = memfd_create("description", MFD_CLOEXEC);
	_cleanup_fd_ int error_fd = memfd_create("complaint", MFD_CLOEXEC);
	int status = 0, result = 0;
	json_t *description;
	pid_t pid;

	if (out_fd < 0 || error_fd < 0)
		result = -errno;
	if (result == 0)
		result = spawn(program, library, out_fd, error_fd, &pid);
	if (result < 0) {
		(void)bundle_refuse(refusal, BUNDLE_NOT_LOADABLE,
				    "%s can't be run: %s", program,
				    strerror(-result));
		return result;
	}
	if (wait_for(pid, &status) < 0)
		return bundle_refuse(refusal, BUNDLE_LOAD_FAILED,
				     "loading %s took longer than %d s",
				     library, DESCRIBE_TIMEOUT_MS / 1000);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return complain(out_fd, error_fd, library, status, refusal);
	description = read_object(out_fd);
	if (!description)
		return bundle_refuse(refusal, BUNDLE_LOAD_FAILED,
				     "%s does not say what it is", library);
	*ret_description = description;
	return 0;
}
