/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data_plane.c - a client of control sockets that never blocks but in poll().
 *
 * What a process answers is foreign: data_plane_receive() is the gate. A
 * connection carries one call, so an answer that comes too late meets a closed
 * socket instead of the next question.
 */
#include "data_plane.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "channel.h"
#include "clock.h"
#include "fd.h"
#include "text.h"

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* A full backlog is -EAGAIN: the process doesn't accept. */
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return take_fd(&fd);
}

int data_plane_send(const char *socket_path, const char *method,
		    const json_t *parameters)
{
	_cleanup_fd_ int fd = connect_to(socket_path);
	json_auto_t *request = NULL;
	char *text;
	ssize_t sent;

	if (fd < 0)
		return fd;
	request = json_pack(
		"{s:i, s:s, s:o}", "id", 1, "method", method, "params",
		parameters ? json_deep_copy(parameters) : json_object());
	text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	if (!text)
		return -ENOMEM;
	sent = send(fd, text, strlen(text), MSG_NOSIGNAL);
	free(text);
	if (sent < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return take_fd(&fd);
}

/* The gate for an answer's content. */
static int parse_answer(const char *bytes, size_t count, json_t **ret_result,
			struct error *error)
{
	json_auto_t *root =
		json_loadb(bytes, count, JSON_REJECT_DUPLICATES, NULL);
	json_t *result = json_object_get(root, "result");
	json_t *failure = json_object_get(root, "error");
	json_int_t code = json_integer_value(json_object_get(failure, "errno"));
	const char *message =
		json_string_value(json_object_get(failure, "message"));

	if (json_is_object(result)) {
		*ret_result = json_incref(result);
		return 0;
	}
	if (code >= 0 || code < -4095)
		return error_set(error, -EBADMSG,
				 "the process answered with nonsense");
	error_set(error, (int)code, "%s",
		  message ? message : strerror((int)-code));
	text_clean(error->message);
	return (int)code;
}

int data_plane_receive(int fd, json_t **ret_result, struct error *error)
{
	char *bytes = malloc(CHANNEL_BYTES_MAX);
	ssize_t count;
	int status;

	if (!bytes)
		return error_set(error, -ENOMEM, "out of memory");
	count = recv(fd, bytes, CHANNEL_BYTES_MAX, MSG_DONTWAIT);
	if (count > 0)
		status = parse_answer(bytes, (size_t)count, ret_result, error);
	else
		status = error_set(error, -ECONNRESET,
				   "the process ended before it answered");
	free(bytes);
	return status;
}

static void finish(struct data_plane_call *call, int status,
		   const char *message)
{
	call->fd = fd_close(call->fd);
	call->status = status;
	if (message)
		error_set(&call->error, status, "%s", message);
}

static void start(struct data_plane_call *call)
{
	call->result = NULL;
	call->status = -EINPROGRESS;
	call->fd = data_plane_send(call->socket_path, call->method,
				   call->parameters);
	if (call->fd >= 0)
		return;
	if (call->fd == -ETIMEDOUT)
		finish(call, -ETIMEDOUT, "the process does not answer");
	else if (call->fd == -ENOENT || call->fd == -ECONNREFUSED)
		finish(call, -ECONNREFUSED, "the process does not run");
	else if (call->fd == -EPIPE || call->fd == -ECONNRESET)
		finish(call, -ECONNRESET, "the process is ending");
	else
		finish(call, call->fd, strerror(-call->fd));
}

static size_t gather(struct data_plane_call *calls, size_t count,
		     struct pollfd *polls)
{
	size_t waiting = 0;

	for (size_t i = 0; i < count; i++) {
		polls[i] = (struct pollfd){.fd = calls[i].fd, .events = POLLIN};
		waiting += calls[i].fd >= 0;
	}
	return waiting;
}

static void collect(struct data_plane_call *calls, size_t count,
		    const struct pollfd *polls)
{
	for (size_t i = 0; i < count; i++) {
		struct data_plane_call *call = &calls[i];

		if (call->fd < 0 || polls[i].revents == 0)
			continue;
		call->status = data_plane_receive(call->fd, &call->result,
						  &call->error);
		call->fd = fd_close(call->fd);
	}
}

static void give_up(struct data_plane_call *calls, size_t count, int status,
		    const char *message)
{
	for (size_t i = 0; i < count; i++) {
		if (calls[i].status == -EINPROGRESS)
			finish(&calls[i], status, message);
	}
}

static int milliseconds_until(uint64_t deadline_ns)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (now_ns >= deadline_ns)
		return 0;
	return (int)((deadline_ns - now_ns) / NS_PER_MS) + 1;
}

void data_plane_call_all(struct data_plane_call *calls, size_t count,
			 uint64_t timeout_ns, int stop_fd)
{
	uint64_t deadline_ns = clock_monotonic_ns() + timeout_ns;
	struct pollfd *polls = calloc(count + 1, sizeof(*polls));

	for (size_t i = 0; i < count; i++)
		start(&calls[i]);
	if (!polls) {
		give_up(calls, count, -ENOMEM, "out of memory");
		return;
	}
	polls[count] = (struct pollfd){.fd = stop_fd, .events = POLLIN};
	while (gather(calls, count, polls) > 0) {
		int ready =
			poll(polls, count + 1, milliseconds_until(deadline_ns));

		if (ready > 0)
			collect(calls, count, polls);
		if (polls[count].revents)
			break;
		if (clock_monotonic_ns() >= deadline_ns)
			break;
	}
	if (polls[count].revents)
		give_up(calls, count, -ECANCELED, "forebayd is stopping");
	give_up(calls, count, -ETIMEDOUT, "the process does not answer");
	free(polls);
}

json_t *data_plane_cache_status(const json_t *stats)
{
	const json_t *filter;
	size_t index;

	json_array_foreach(json_object_get(stats, "filters"), index, filter)
	{
		const char *class =
			json_string_value(json_object_get(filter, "class"));

		if (class && strcmp(class, "cache") == 0)
			return json_object_get(filter, "status");
	}
	return NULL;
}

json_t *data_plane_cache_says(const json_t *stats, const char *member)
{
	json_t *said = json_object_get(data_plane_cache_status(stats), member);

	return said && !json_is_null(said) ? said : NULL;
}
