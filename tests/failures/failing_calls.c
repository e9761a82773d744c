// SPDX-License-Identifier: Apache-2.0
/*
 * failing_calls.c - the n-th call that needs memory, space or a descriptor
 * fails.
 *
 * The linker sends our own calls of these functions here (--wrap, in
 * meson.build); those that a library makes inside go on as ever, for libjansson
 * ends the process by an assertion when it has no memory. All of them count as
 * one: whichever is the n-th fails, with the error that it has when
 * there is no more.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failpoint.h"

#pragma GCC visibility push(default)

#define LINE_BYTES 80

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_reallocarray(void *old, size_t count, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
int __real_posix_memalign(void **place, size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
void *__real_mmap(void *place, size_t bytes, int protection, int flags, int fd,
		  off_t offset);
int __real_memfd_create(const char *name, unsigned int flags);
int __real_open(const char *path, int flags, ...);
int __real_openat(int folder, const char *path, int flags, ...);
int __real_ftruncate(int fd, off_t bytes);
int __real_posix_fallocate(int fd, off_t offset, off_t bytes);
ssize_t __real_pwrite(int fd, const void *from, size_t bytes, off_t offset);
int __real_fsync(int fd);
int __real_linkat(int old_folder, const char *old, int folder, const char *path,
		  int flags);
int __real_mkdir(const char *path, mode_t mode);
int __real_mkdirat(int folder, const char *path, mode_t mode);
int __real_socket(int family, int type, int protocol);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *bytes,
		   int flags);
int __real_eventfd(unsigned int value, int flags);
int __real_signalfd(int fd, const sigset_t *mask, int flags);
int __real_fcntl(int fd, int command, ...);
int __real_io_uring_queue_init_params(unsigned int entries,
				      struct io_uring *ring,
				      struct io_uring_params *parameters);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_reallocarray(void *old, size_t count, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
int __wrap_posix_memalign(void **place, size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);
void *__wrap_mmap(void *place, size_t bytes, int protection, int flags, int fd,
		  off_t offset);
int __wrap_memfd_create(const char *name, unsigned int flags);
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);
int __wrap_ftruncate(int fd, off_t bytes);
int __wrap_posix_fallocate(int fd, off_t offset, off_t bytes);
ssize_t __wrap_pwrite(int fd, const void *from, size_t bytes, off_t offset);
int __wrap_fsync(int fd);
int __wrap_linkat(int old_folder, const char *old, int folder, const char *path,
		  int flags);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdirat(int folder, const char *path, mode_t mode);
int __wrap_socket(int family, int type, int protocol);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *bytes,
		   int flags);
int __wrap_eventfd(unsigned int value, int flags);
int __wrap_signalfd(int fd, const sigset_t *mask, int flags);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_io_uring_queue_init_params(unsigned int entries,
				      struct io_uring *ring,
				      struct io_uring_params *parameters);

/* Returns: whether this call fails; then errno is @error, and the log has it.
 */
static int fails(const char *name, int error)
{
	char line[LINE_BYTES];
	int length;

	if (failpoint_hit(FAILPOINT_CALL) == 0)
		return 0;
	length = snprintf(line, sizeof(line), "failpoint: %s: %s\n", name,
			  strerrorname_np(error));
	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		_exit(EXIT_FAILURE);
	errno = error;
	return 1;
}

void *__wrap_malloc(size_t bytes)
{
	return fails("malloc", ENOMEM) ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails("calloc", ENOMEM) ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return fails("realloc", ENOMEM) ? NULL : __real_realloc(old, bytes);
}

void *__wrap_reallocarray(void *old, size_t count, size_t bytes)
{
	return fails("reallocarray", ENOMEM)
		       ? NULL
		       : __real_reallocarray(old, count, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
	return fails("aligned_alloc", ENOMEM)
		       ? NULL
		       : __real_aligned_alloc(alignment, bytes);
}

int __wrap_posix_memalign(void **place, size_t alignment, size_t bytes)
{
	return fails("posix_memalign", ENOMEM)
		       ? ENOMEM
		       : __real_posix_memalign(place, alignment, bytes);
}

char *__wrap_strdup(const char *text)
{
	return fails("strdup", ENOMEM) ? NULL : __real_strdup(text);
}

void *__wrap_mmap(void *place, size_t bytes, int protection, int flags, int fd,
		  off_t offset)
{
	return fails("mmap", ENOMEM) ? MAP_FAILED
				     : __real_mmap(place, bytes, protection,
						   flags, fd, offset);
}

int __wrap_memfd_create(const char *name, unsigned int flags)
{
	return fails("memfd_create", EMFILE) ? -1
					     : __real_memfd_create(name, flags);
}

static mode_t mode_of(int flags, va_list words)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(words, mode_t) : 0;
}

int __wrap_open(const char *path, int flags, ...)
{
	va_list words;
	mode_t mode;

	va_start(words, flags);
	mode = mode_of(flags, words);
	va_end(words);
	return fails("open", EMFILE) ? -1 : __real_open(path, flags, mode);
}

int __wrap_openat(int folder, const char *path, int flags, ...)
{
	va_list words;
	mode_t mode;

	va_start(words, flags);
	mode = mode_of(flags, words);
	va_end(words);
	return fails("openat", EMFILE)
		       ? -1
		       : __real_openat(folder, path, flags, mode);
}

int __wrap_ftruncate(int fd, off_t bytes)
{
	return fails("ftruncate", ENOSPC) ? -1 : __real_ftruncate(fd, bytes);
}

int __wrap_posix_fallocate(int fd, off_t offset, off_t bytes)
{
	return fails("posix_fallocate", ENOSPC)
		       ? ENOSPC
		       : __real_posix_fallocate(fd, offset, bytes);
}

ssize_t __wrap_pwrite(int fd, const void *from, size_t bytes, off_t offset)
{
	return fails("pwrite", ENOSPC) ? -1
				       : __real_pwrite(fd, from, bytes, offset);
}

int __wrap_fsync(int fd)
{
	return fails("fsync", ENOSPC) ? -1 : __real_fsync(fd);
}

int __wrap_linkat(int old_folder, const char *old, int folder, const char *path,
		  int flags)
{
	return fails("linkat", ENOSPC)
		       ? -1
		       : __real_linkat(old_folder, old, folder, path, flags);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
	return fails("mkdir", ENOSPC) ? -1 : __real_mkdir(path, mode);
}

int __wrap_mkdirat(int folder, const char *path, mode_t mode)
{
	return fails("mkdirat", ENOSPC) ? -1
					: __real_mkdirat(folder, path, mode);
}

int __wrap_socket(int family, int type, int protocol)
{
	return fails("socket", EMFILE) ? -1
				       : __real_socket(family, type, protocol);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *bytes,
		   int flags)
{
	return fails("accept4", EMFILE)
		       ? -1
		       : __real_accept4(fd, address, bytes, flags);
}

int __wrap_eventfd(unsigned int value, int flags)
{
	return fails("eventfd", EMFILE) ? -1 : __real_eventfd(value, flags);
}

int __wrap_signalfd(int fd, const sigset_t *mask, int flags)
{
	return fails("signalfd", EMFILE) ? -1
					 : __real_signalfd(fd, mask, flags);
}

/* Of its commands only these need anything. */
int __wrap_fcntl(int fd, int command, ...)
{
	va_list words;
	void *argument;

	va_start(words, command);
	argument = va_arg(words, void *);
	va_end(words);
	if ((command == F_DUPFD_CLOEXEC || command == F_DUPFD) &&
	    fails("fcntl", EMFILE))
		return -1;
	if (command == F_OFD_SETLK && fails("fcntl", ENOLCK))
		return -1;
	return __real_fcntl(fd, command, argument);
}

int __wrap_io_uring_queue_init_params(unsigned int entries,
				      struct io_uring *ring,
				      struct io_uring_params *parameters)
{
	return fails("io_uring_queue_init_params", ENOMEM)
		       ? -ENOMEM
		       : __real_io_uring_queue_init_params(entries, ring,
							   parameters);
}
