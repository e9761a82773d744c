/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_socket_peer.c - a listener that dies while its socket lives on.
 *
 * The test keeps a duplicate of the listening socket, as a dying process's
 * io_uring does: connections succeed, whether the listener lives or not.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fd.h"
#include "socket_peer.h"

struct listener {
	struct sockaddr_un address; /* abstract: leaves no file behind */
	int fd;
	pid_t pid;
};

/* Starts a process that listens on a socket which this one has bound. */
static void listener_start(struct listener *listener)
{
	int pipe_fds[2];
	char byte = 0;

	listener->address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(listener->address.sun_path + 1,
		 sizeof(listener->address.sun_path) - 1, "forebay-test-%d",
		 (int)getpid());
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(listener->fd >= 0);
	assert_int_equal(bind(listener->fd,
			      (struct sockaddr *)&listener->address,
			      sizeof(listener->address)),
			 0);
	assert_int_equal(pipe(pipe_fds), 0);
	listener->pid = fork();
	if (listener->pid == 0) {
		if (listen(listener->fd, 8) == 0 &&
		    write(pipe_fds[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static bool peer_is_dead(const struct listener *listener)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd,
				 (const struct sockaddr *)&listener->address,
				 sizeof(listener->address)),
			 0);
	return socket_peer_is_dead(fd);
}

static void listener_kill(const struct listener *listener)
{
	siginfo_t info;

	assert_int_equal(kill(listener->pid, SIGKILL), 0);
	assert_int_equal(
		waitid(P_PID, (id_t)listener->pid, &info, WEXITED | WNOWAIT),
		0);
}

static void a_living_listener_is_not_dead(void **state)
{
	struct listener listener;

	(void)state;
	listener_start(&listener);
	assert_false(peer_is_dead(&listener));
	listener_kill(&listener);
	waitpid(listener.pid, NULL, 0);
	close(listener.fd);
}

static void a_killed_listener_is_dead_before_and_after_it_is_reaped(
	void **state)
{
	struct listener listener;

	(void)state;
	listener_start(&listener);
	listener_kill(&listener);
	assert_true(peer_is_dead(&listener));
	waitpid(listener.pid, NULL, 0);
	assert_true(peer_is_dead(&listener));
	close(listener.fd);
}

static void what_is_no_socket_has_no_dead_peer(void **state)
{
	(void)state;
	assert_false(socket_peer_is_dead(-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_living_listener_is_not_dead),
		cmocka_unit_test(
			a_killed_listener_is_dead_before_and_after_it_is_reaped),
		cmocka_unit_test(what_is_no_socket_has_no_dead_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
