/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen_socket.c - a unix socket that clients of an export connect to.
 *
 * Called before the loop runs, so it may take system calls of its own. A disk's
 * processes follow each other under the backend's lock; what is found at the
 * path is normally what the one before left behind when it was killed.
 */
#include "listen_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "fd.h"
#include "socket_peer.h"
#include "unix_address.h"

#define BACKLOG 64

/* Returns: 0 if somebody who lives listens there. */
static int connect_to(const struct sockaddr_un *address)
{
	_cleanup_fd_ int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return -errno;
	return socket_peer_is_dead(fd) ? -ECONNREFUSED : 0;
}

/* Removes a socket that nobody listens on. */
static int clear_path(const struct sockaddr_un *address, struct error *error)
{
	const char *path = address->sun_path;
	struct stat status;
	int result;

	if (lstat(path, &status) < 0)
		return errno == ENOENT
			       ? 0
			       : error_set(error, -errno, "socket %s: %s", path,
					   strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return error_set(error, -EEXIST,
				 "socket %s: a file of this name is in the way",
				 path);
	result = connect_to(address);
	/* EAGAIN: it lives, and its queue is full. */
	if (result == 0 || result == -EAGAIN)
		return error_set(error, -EADDRINUSE,
				 "socket %s: another process listens there",
				 path);
	if (unlink(path) < 0 && errno != ENOENT)
		return error_set(error, -errno, "socket %s: can't replace: %s",
				 path, strerror(errno));
	return 0;
}

int listen_socket_open(const char *path, mode_t mode, int *ret_fd,
		       struct error *error)
{
	struct sockaddr_un address;
	_cleanup_fd_ int fd = -1;
	int result = unix_address(path, &address);

	if (result == -ENAMETOOLONG)
		return error_set(error, result,
				 "socket %s: longer than %u bytes", path,
				 UNIX_PATH_LENGTH_MAX);
	if (result < 0)
		return error_set(error, result, "a socket needs a path");
	result = clear_path(&address, error);
	if (result < 0)
		return result;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(error, -errno, "socket %s: %s", path,
				 strerror(errno));
	/*
	 * bind() makes the file with the descriptor's mode less the umask, so
	 * it is never wider than @mode; nobody connects before listen().
	 */
	if (fchmod(fd, mode) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return error_set(error, -errno, "socket %s: can't bind: %s",
				 path, strerror(errno));
	if (chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0) {
		result = error_set(error, -errno, "socket %s: can't listen: %s",
				   path, strerror(errno));
		unlink(path);
		return result;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}
