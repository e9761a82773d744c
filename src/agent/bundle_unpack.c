/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle_unpack.c - one child, from a file without a name to another.
 */
#include "bundle_unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "text.h"

static int spawn(const char *program, int in_fd, int out_fd, int error_fd,
		 pid_t *ret_pid)
{
	const char *arguments[] = {program, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int result;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in_fd, 0);
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

/* Returns: its exit code, or -1 for any other end. */
static int wait_for(pid_t pid)
{
	_cleanup_fd_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};
	int status = 0;

	if (pidfd < 0 || poll(&ended, 1, BUNDLE_UNPACK_TIMEOUT_MS) <= 0)
		kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* "CODE: DETAIL" of its standard error. */
static int read_refusal(int error_fd, struct bundle_refusal *refusal)
{
	char text[ERROR_MESSAGE_BYTES];
	ssize_t count = pread(error_fd, text, sizeof(text) - 1, 0);
	enum bundle_issue issue = BUNDLE_DAMAGED;
	char *detail;

	text[count > 0 ? count : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	detail = strstr(text, ": ");
	if (!detail)
		return bundle_refuse(refusal, BUNDLE_DAMAGED,
				     "it can't be unpacked");
	*detail = '\0';
	(void)bundle_issue_find(text, &issue);
	return bundle_refuse(refusal, issue, "%s", text_clean(detail + 2));
}

static int map(int fd, struct bundle_span *ret_archive,
	       struct bundle_refusal *refusal)
{
	struct stat facts;
	void *bytes;

	if (fstat(fd, &facts) < 0)
		return -errno;
	if (facts.st_size == 0)
		return bundle_refuse(refusal, BUNDLE_DAMAGED, "it is empty");
	bytes = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, fd,
		     0);
	if (bytes == MAP_FAILED)
		return -errno;
	*ret_archive = (struct bundle_span){bytes, (size_t)facts.st_size};
	return 0;
}

/* On the file system of the state, not in memory: 65 MiB of it for each. */
static int nameless_file(const struct host *host)
{
	struct host_path path = host_lib(host, "filters/.new-XXXXXX");
	int fd = mkostemp(path.text, O_CLOEXEC);

	if (fd < 0)
		return -errno;
	unlink(path.text);
	return fd;
}

int bundle_unpack(const struct host *host, int fd,
		  struct bundle_span *ret_archive,
		  struct bundle_refusal *refusal)
{
	struct host_path program = host_program(host, "forebay-bundle");
	_cleanup_fd_ int out_fd = nameless_file(host);
	_cleanup_fd_ int error_fd = memfd_create("refusal", MFD_CLOEXEC);
	pid_t pid;
	int code;

	if (out_fd < 0)
		return out_fd;
	if (error_fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	code = spawn(program.text, fd, out_fd, error_fd, &pid);
	if (code < 0)
		return code;
	code = wait_for(pid);
	if (code == EXIT_FAILURE)
		return read_refusal(error_fd, refusal);
	/* It was ended, or ended itself: by what it was given, or by us. */
	if (code < 0)
		return bundle_refuse(refusal, BUNDLE_DAMAGED,
				     "the process that unpacked it was ended");
	return code == 0 ? map(out_fd, ret_archive, refusal) : -EIO;
}

void bundle_unpack_release(struct bundle_span *archive)
{
	if (archive->bytes)
		munmap((void *)archive->bytes, archive->count);
	*archive = (struct bundle_span){0};
}
