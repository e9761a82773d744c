/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd.h - who owns a descriptor, visible in the code.
 *
 * A local `_cleanup_fd_ int fd = -1;` owns its descriptor; leaving the scope
 * closes it. Giving it away is written `take_fd(&fd)`, which leaves -1 behind.
 */
#ifndef FOREBAY_OS_FD_H
#define FOREBAY_OS_FD_H

#include <errno.h>
#include <unistd.h>

/* Closes unless negative; keeps errno. Returns: -1, to overwrite the variable.
 */
static inline int fd_close(int fd)
{
	int saved_errno = errno;

	if (fd >= 0)
		close(fd);
	errno = saved_errno;
	return -1;
}

static inline void fd_cleanup(int *fd)
{
	fd_close(*fd);
}

#define _cleanup_fd_ __attribute__((cleanup(fd_cleanup)))

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
