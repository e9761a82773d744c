/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe_filter.c - a library is loaded where it can do no harm.
 *
 * To load a library is to run its code, and nobody has seen this one run. So
 * its bytes are copied into memory first, and then the process gives up its
 * user, its privileges, every file but the system's libraries, and every
 * system call that a loader doesn't make.
 */
#include "describe_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk_user.h"
#include "fd.h"
#include "filter_library.h"
#include "log.h"
#include "sandbox.h"

#define LIBRARY_BYTES_MAX (INT64_C(256) << 20)
#define CPU_SECONDS 10u

/* The issue codes that filter bundles have for it: docs/filter-bundles.md. */
static const char *issue_of(int code)
{
	switch (-code) {
	case ENOSYS:
		return "missing-symbol";
	case EPROTONOSUPPORT:
		return "wrong-abi";
	case EDOM:
		return "wrong-class";
	case EINVAL:
		return "bad-table";
	}
	return "not-loadable";
}

/* No handler of the library's, and no leak checker, which would look into the
 * process. */
static _Noreturn void end(int code)
{
	fflush(stdout);
	fflush(stderr);
	_exit(code);
}

static _Noreturn void fail(const struct error *error)
{
	json_t *answer = json_pack("{s:s, s:s}", "issue", issue_of(error->code),
				   "detail", error->message);

	json_dumpf(answer, stdout, JSON_INDENT(2));
	putchar('\n');
	fprintf(stderr, "forebay-disk: %s\n", error->message);
	end(EXIT_FAILURE);
}

/* Returns: a descriptor, or -errno. */
static int copy_into_memory(const char *path)
{
	_cleanup_fd_ int file_fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int fd = memfd_create("filter", MFD_CLOEXEC);
	struct stat facts;
	ssize_t count = 1;

	if (file_fd < 0 || fd < 0 || fstat(file_fd, &facts) < 0)
		return -errno;
	if (!S_ISREG(facts.st_mode))
		return -EINVAL;
	if (facts.st_size > LIBRARY_BYTES_MAX)
		return -EFBIG;
	while (count > 0)
		count = sendfile(fd, file_fd, NULL, (size_t)LIBRARY_BYTES_MAX);
	return count < 0 ? -errno : take_fd(&fd);
}

static int enter_sandbox(struct error *error)
{
	const struct rlimit cpu = {CPU_SECONDS, CPU_SECONDS};
	struct sandbox_spec spec = {
		.purpose = SANDBOX_LOAD,
		.change_user = geteuid() == 0,
	};
	struct sandbox sandbox;
	uint8_t drawn[16];

	/* A user that nobody is, for once. */
	if (getrandom(drawn, sizeof(drawn), 0) != sizeof(drawn))
		return error_set(error, -EIO, "no randomness: %s",
				 strerror(errno));
	spec.uid = spec.gid = disk_user_of(drawn);
	(void)setrlimit(RLIMIT_CPU, &cpu);
	/* A kernel without a layer is told by the disks that run on it. */
	log_open("forebay-disk", LOG_LEVEL_ERROR);
	return sandbox_enter(&spec, &sandbox, error);
}

_Noreturn void describe_filter(const char *path)
{
	struct filter_library *library = NULL;
	struct error error = {0};
	char absolute[PATH_MAX];
	json_t *description;
	int fd, status = 0;

	if (!realpath(path, absolute))
		status = -errno;
	fd = status < 0 ? status : copy_into_memory(absolute);
	if (fd < 0)
		error_set(&error, fd == -EINVAL ? -ENOEXEC : fd, "%s: %s", path,
			  strerror(-fd));
	else if (enter_sandbox(&error) == 0)
		filter_library_open_fd(fd, absolute, &library, &error);
	if (error.code < 0)
		fail(&error);
	description = filter_library_describe(library);
	json_dumpf(description, stdout, JSON_INDENT(2));
	putchar('\n');
	end(EXIT_SUCCESS);
}
