// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_dial.c - a socket, connected.
 *
 * It also runs in a process that was forked from one that may have had threads,
 * so what it calls must not need a lock that one of them held: it allocates
 * only inside getaddrinfo(), and the C library's allocator survives a fork.
 */
#include "nbd_dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "fd.h"
#include "unix_address.h"

/* Returns: @status. */
static int refused(char *reason, const char *what, const char *why, int status)
{
	snprintf(reason, NBD_DIAL_REASON_BYTES, "%s: %s", what, why);
	return status;
}

/* Returns: 0 or a negative errno. */
static int wait_connected(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	socklen_t bytes = sizeof(int);
	int status = 0;

	if (poll(&wait, 1, NBD_DIAL_TIMEOUT_MS) == 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &bytes) < 0)
		return -errno;
	return -status;
}

/* Returns: a connected socket or a negative errno. */
static int connect_to(const struct sockaddr *address, socklen_t bytes)
{
	_cleanup_fd_ int fd =
		socket(address->sa_family,
		       SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int status = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, address, bytes) < 0)
		status = errno == EINPROGRESS ? wait_connected(fd) : -errno;
	return status < 0 ? status : take_fd(&fd);
}

static int dial_unix(const char *path, char *ret_reason)
{
	struct sockaddr_un address;
	int fd;

	if (unix_address(path, &address) < 0)
		return refused(ret_reason, path, "the path is too long",
			       -ENAMETOOLONG);
	fd = connect_to((const struct sockaddr *)&address, sizeof(address));
	return fd < 0 ? refused(ret_reason, path, strerror(-fd), fd) : fd;
}

/* The first of the server's addresses that answers. */
static int dial_tcp(const struct nbd_uri *uri, char *ret_reason)
{
	const struct addrinfo wanted = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV,
	};
	struct addrinfo *found;
	int status = getaddrinfo(uri->host, uri->port, &wanted, &found);
	int fd = -EADDRNOTAVAIL;
	const int yes = 1;

	if (status != 0)
		return refused(ret_reason, uri->host, gai_strerror(status),
			       -EHOSTUNREACH);
	for (const struct addrinfo *one = found; one && fd < 0;
	     one = one->ai_next)
		fd = connect_to(one->ai_addr, one->ai_addrlen);
	freeaddrinfo(found);
	if (fd < 0)
		return refused(ret_reason, uri->host, strerror(-fd), fd);
	/* Small requests must not wait for the acknowledgement of others. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	return fd;
}

int nbd_dial(const struct nbd_uri *uri, char ret_reason[NBD_DIAL_REASON_BYTES])
{
	ret_reason[0] = '\0';
	return uri->socket_path ? dial_unix(uri->socket_path, ret_reason)
				: dial_tcp(uri, ret_reason);
}
