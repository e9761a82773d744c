// SPDX-License-Identifier: Apache-2.0
/*
 * control_request.c - one request and its answer, blocking up to a deadline.
 *
 * For worker threads: it uses nothing but its own connection.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "channel.h"
#include "clock.h"
#include "control.h"
#include "control_message.h"
#include "fd.h"

#define REQUEST_ID 1u

/* Waits for @events. Returns: 0, -ETIMEDOUT or -errno. */
static int wait_for(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};

	for (;;) {
		uint64_t now_ns = clock_monotonic_ns();
		uint64_t left_ns =
			deadline_ns > now_ns ? deadline_ns - now_ns : 0;
		struct timespec left = {
			.tv_sec = (time_t)(left_ns / NS_PER_SECOND),
			.tv_nsec = (long)(left_ns % NS_PER_SECOND),
		};
		int count = ppoll(&poll_fd, 1, &left, NULL);

		if (count > 0)
			return 0;
		if (count == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int send_text(int fd, const char *text, uint64_t deadline_ns)
{
	for (;;) {
		int status;

		if (send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) >=
		    0)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		status = wait_for(fd, POLLOUT, deadline_ns);
		if (status < 0)
			return status;
	}
}

/* Returns: how many bytes arrived, or -errno. */
static ssize_t receive(int fd, char *buffer, uint64_t deadline_ns)
{
	ssize_t count;
	int status = wait_for(fd, POLLIN, deadline_ns);

	if (status < 0)
		return status;
	count = recv(fd, buffer, CHANNEL_BYTES_MAX, MSG_DONTWAIT | MSG_TRUNC);
	if (count < 0)
		return -errno;
	if (count > (ssize_t)CHANNEL_BYTES_MAX)
		return -EMSGSIZE;
	return count > 0 ? count : -ECONNRESET;
}

/* Sends @text, gets the answer into @buffer. Returns: its bytes or -errno. */
static ssize_t exchange(int fd, const char *text, char *buffer,
			uint64_t deadline_ns)
{
	int status = send_text(fd, text, deadline_ns);

	return status < 0 ? status : receive(fd, buffer, deadline_ns);
}

int control_request(const char *path, const char *method, json_t *params,
		    uint64_t timeout_ns, json_t **ret_result,
		    struct error *error)
{
	uint64_t deadline_ns = clock_monotonic_ns() + timeout_ns;
	_cleanup_fd_ int fd = -1;
	char *text, *buffer;
	ssize_t count;
	uint64_t id;
	int status;

	status = control_message_request(REQUEST_ID, method, params, &text,
					 error);
	if (status < 0)
		return status;
	buffer = malloc(CHANNEL_BYTES_MAX);
	fd = channel_connect(path);
	count = !buffer	 ? -ENOMEM
		: fd < 0 ? fd
			 : exchange(fd, text, buffer, deadline_ns);
	if (count < 0)
		status = error_set(error, (int)count, "%s at %s: %s", method,
				   path, strerror((int)-count));
	else
		status = control_message_parse_answer(buffer, (size_t)count,
						      &id, ret_result, error);
	free(buffer);
	free(text);
	return status;
}
