// SPDX-License-Identifier: Apache-2.0
/*
 * front_message.c - the front's connection, and one message at a time on it.
 *
 * A signal disturbs nothing: what it interrupts goes on.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "front.h"
#include "passed_fds.h"

#define TIMEOUT_MS 10000u
#define FDS_MAX 16u

static int dial(int fd, const struct sockaddr_un *address)
{
	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) <
	       0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int front_dial(struct front *front)
{
	unsigned int timeout_ms = front->options.timeout_ms
					  ? front->options.timeout_ms
					  : TIMEOUT_MS;
	struct timeval timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_usec = timeout_ms % 1000 * 1000,
	};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, result;

	/* First: a disk that still sees it refuses another one. */
	front_disconnect(front);
	if (strlen(front->options.socket_path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, front->options.socket_path,
	       strlen(front->options.socket_path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	result = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout,
			    sizeof(timeout)) < 0
			 ? -errno
			 : dial(fd, &address);
	if (result < 0) {
		close(fd);
		return result;
	}
	front->socket = fd;
	return 0;
}

int front_send(struct front *front, const struct front_message *message)
{
	struct vhost_user_header header = {
		.type = message->type,
		.flags = VHOST_USER_VERSION | message->flags,
		.bytes = message->bytes,
	};
	struct iovec iov[2] = {
		{.iov_base = &header, .iov_len = sizeof(header)},
		{.iov_base = (void *)message->payload,
		 .iov_len = message->bytes},
	};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	_Alignas(struct cmsghdr) uint8_t control[PASSED_FDS_BYTES(FDS_MAX)];

	assert(message->fd_count <= FDS_MAX);
	passed_fds_put(&msg, control, message->fds, message->fd_count);
	while (sendmsg(front->socket, &msg, MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int receive_all(int fd, void *target, size_t bytes, int *ret_fd)
{
	uint8_t *at = target;

	while (bytes > 0) {
		_Alignas(struct cmsghdr) uint8_t control[PASSED_FDS_BYTES(1)];
		struct iovec iov = {.iov_base = at, .iov_len = bytes};
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		ssize_t count = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count < 0 && errno != EAGAIN ? -errno
			       : count < 0		    ? -ETIMEDOUT
							    : -EPIPE;
		passed_fds_take(&msg, ret_fd, ret_fd ? 1 : 0);
		at += count;
		bytes -= (size_t)count;
	}
	return 0;
}

int front_receive(struct front *front, uint32_t type,
		  union vhost_user_payload *ret_payload, uint32_t *ret_bytes,
		  int *ret_fd)
{
	struct vhost_user_header header;
	int result =
		receive_all(front->socket, &header, sizeof(header), ret_fd);

	if (result < 0)
		return result;
	if (header.type != type || !(header.flags & VHOST_USER_REPLY) ||
	    header.bytes > sizeof(*ret_payload))
		return -EPROTO;
	if (ret_bytes)
		*ret_bytes = header.bytes;
	return receive_all(front->socket, ret_payload, header.bytes, ret_fd);
}

int front_acknowledged(struct front *front, const struct front_message *message)
{
	struct front_message asking = *message;
	union vhost_user_payload answer;
	int result;

	asking.flags |= VHOST_USER_NEED_REPLY;
	result = front_send(front, &asking);
	if (result < 0)
		return result;
	result = front_receive(front, message->type, &answer, NULL, NULL);
	if (result < 0)
		return result;
	return answer.number == 0 ? 0 : -EREMOTEIO;
}
