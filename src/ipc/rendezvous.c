// SPDX-License-Identifier: Apache-2.0
/*
 * rendezvous.c - how the two ends of a channel find each other by a path.
 *
 * A crashed listener leaves its socket file behind. Whether anyone still
 * answers on it is asked by connecting; the directory is locked meanwhile, so
 * that of two listeners that start together one finds the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "channel.h"
#include "fd.h"
#include "socket_peer.h"
#include "unix_address.h"

#define BACKLOG 64
/* A listener whose backlog is full and that doesn't accept isn't there. */
#define CONNECT_TIMEOUT_SECONDS 2

static int connect_to(const struct sockaddr_un *address)
{
	const struct timeval limit = {.tv_sec = CONNECT_TIMEOUT_SECONDS};
	const struct timeval no_limit = {.tv_sec = 0};
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) <
	       0) {
		if (errno != EINTR)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &no_limit,
		       sizeof(no_limit)) < 0)
		return -errno;
	return take_fd(&fd);
}

int channel_connect(const char *path)
{
	struct sockaddr_un address;
	int status = unix_address(path, &address);

	return status < 0 ? status : connect_to(&address);
}

int channel_connect_now(const char *path)
{
	struct sockaddr_un address;
	_cleanup_fd_ int fd = -1;
	int status = unix_address(path, &address);

	if (status < 0)
		return status;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	/* The ring waits by itself, and only on a descriptor that may wait. */
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0)
		return -errno;
	return take_fd(&fd);
}

static int lock_directory_of(const struct sockaddr_un *address)
{
	char directory[sizeof(address->sun_path)] = ".";
	const char *slash = strrchr(address->sun_path, '/');
	_cleanup_fd_ int fd = -1;

	if (slash)
		snprintf(directory, sizeof(directory), "%.*s",
			 slash == address->sun_path
				 ? 1
				 : (int)(slash - address->sun_path),
			 address->sun_path);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return -errno;
	return take_fd(&fd);
}

/* Removes a socket that nobody listens on. Returns: 0 or -EADDRINUSE. */
static int remove_stale(const struct sockaddr_un *address)
{
	struct stat facts;
	bool in_use;
	int fd;

	if (lstat(address->sun_path, &facts) < 0)
		return errno == ENOENT ? 0 : -errno;
	/* Connecting to a plain file is refused as well. */
	if (!S_ISSOCK(facts.st_mode))
		return -EADDRINUSE;
	fd = connect_to(address);
	in_use = fd >= 0 ? !socket_peer_is_dead(fd) : fd != -ECONNREFUSED;
	fd_close(fd);
	if (in_use)
		return -EADDRINUSE;
	return unlink(address->sun_path) < 0 ? -errno : 0;
}

int channel_listen(const char *path, mode_t mode)
{
	struct sockaddr_un address;
	_cleanup_fd_ int directory_fd = -1;
	_cleanup_fd_ int fd = -1;
	int status = unix_address(path, &address);

	if (status < 0)
		return status;
	directory_fd = lock_directory_of(&address);
	if (directory_fd < 0)
		return directory_fd;
	status = remove_stale(&address);
	if (status < 0)
		return status;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	/*
	 * The socket's own mode is what bind() gives the file, less the umask:
	 * so it is never more open than asked, and exact in the end.
	 */
	if (fd < 0 || fchmod(fd, mode) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return take_fd(&fd);
}
