// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_dialer_process.c - the forked side: waits to be asked, and connects.
 *
 * It was forked from a process that may have had threads, so what it calls must
 * not need a lock that one of them held: it allocates only inside
 * getaddrinfo(), and the C library's allocator survives a fork.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "nbd_dialer.h"
#include "nbd_dialer_wire.h"
#include "unix_address.h"

static int refused(struct nbd_dialer_answer *answer, const char *what,
		   const char *why)
{
	snprintf(answer->reason, sizeof(answer->reason), "%s: %s", what, why);
	return -1;
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

static int dial_unix(const char *path, struct nbd_dialer_answer *answer)
{
	struct sockaddr_un address;
	int fd;

	if (unix_address(path, &address) < 0)
		return refused(answer, path, "the path is too long");
	fd = connect_to((const struct sockaddr *)&address, sizeof(address));
	return fd < 0 ? refused(answer, path, strerror(-fd)) : fd;
}

/* The first of the server's addresses that answers. */
static int dial_tcp(const struct nbd_uri *uri, struct nbd_dialer_answer *answer)
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
		return refused(answer, uri->host, gai_strerror(status));
	for (const struct addrinfo *one = found; one && fd < 0;
	     one = one->ai_next)
		fd = connect_to(one->ai_addr, one->ai_addrlen);
	freeaddrinfo(found);
	if (fd < 0)
		return refused(answer, uri->host, strerror(-fd));
	/* Small requests must not wait for the acknowledgement of others. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	return fd;
}

/* Returns: whether there is still somebody there. */
static bool answer_with(int socket_fd, struct nbd_dialer_answer *answer, int fd)
{
	struct iovec part = {.iov_base = answer, .iov_len = sizeof(*answer)};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd >= 0) {
		control.header = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.bytes);
	}
	return sendmsg(socket_fd, &message, MSG_NOSIGNAL) >= 0;
}

void nbd_dialer_serve(int socket_fd, const struct nbd_uri *address)
{
	struct nbd_dialer_answer answer;
	bool wanted = true;
	char question;

	prctl(PR_SET_NAME, "forebay-dialer");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	while (wanted && recv(socket_fd, &question, 1, 0) == 1) {
		int fd;

		answer = (struct nbd_dialer_answer){0};
		fd = address->socket_path
			     ? dial_unix(address->socket_path, &answer)
			     : dial_tcp(address, &answer);
		wanted = answer_with(socket_fd, &answer, fd);
		fd_close(fd);
	}
	_exit(0);
}
