// SPDX-License-Identifier: Apache-2.0
/*
 * test_channel.c - a channel against a plain socket that the test holds, so
 * that the test can misbehave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "channel.h"
#include "clock.h"
#include "fd.h"

struct scene {
	struct loop *loop;
	struct channel *channel;
	int peer_fd;
	unsigned int messages;
	unsigned int closes;
	int reason;
	bool destroy_in_message;
	char last[CHANNEL_BYTES_MAX];
	size_t last_bytes;
	int fds[CHANNEL_FDS_MAX];
	uint32_t fd_count;
	struct loop_timer watchdog;
	char directory[64];
	char path[96];
};

static void scene_message(void *owner, const void *bytes, size_t count,
			  const int *fds, uint32_t fd_count)
{
	struct scene *scene = owner;

	scene->messages++;
	memcpy(scene->last, bytes, count);
	scene->last_bytes = count;
	memcpy(scene->fds, fds, fd_count * sizeof(int));
	scene->fd_count = fd_count;
	if (scene->destroy_in_message) {
		channel_destroy(scene->channel);
		scene->channel = NULL;
	}
	loop_stop(scene->loop);
}

static void scene_closed(void *owner, int reason)
{
	struct scene *scene = owner;

	scene->closes++;
	scene->reason = reason;
	channel_destroy(scene->channel);
	scene->channel = NULL;
	loop_stop(scene->loop);
}

static void scene_fail(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the loop waited for something that never came");
}

static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	const struct channel_handler handler = {scene_message, scene_closed,
						scene};
	const struct timeval limit = {.tv_sec = 20};
	int pair[2];

	assert_non_null(scene);
	assert_int_equal(loop_create(&scene->loop), 0);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	scene->peer_fd = pair[1];
	setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(
		channel_create(scene->loop, pair[0], &handler, &scene->channel),
		0);
	scene->watchdog.expired = scene_fail;
	loop_timer_arm(scene->loop, &scene->watchdog, 20 * NS_PER_SECOND);
	strcpy(scene->directory, "/tmp/channel-XXXXXX");
	assert_non_null(mkdtemp(scene->directory));
	snprintf(scene->path, sizeof(scene->path), "%s/s", scene->directory);
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	channel_destroy(scene->channel);
	fd_close(scene->peer_fd);
	loop_destroy(scene->loop);
	unlink(scene->path);
	rmdir(scene->directory);
	free(scene);
	return 0;
}

static void run(struct scene *scene)
{
	assert_int_equal(loop_run(scene->loop), 0);
}

/* Enough turns for a send to reach the kernel. */
static void run_turns(struct scene *scene, unsigned int turns)
{
	while (turns-- > 0) {
		loop_stop(scene->loop);
		run(scene);
	}
}

static unsigned int open_descriptors(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Sends @fds in one packet, as any program may. */
static ssize_t peer_send(struct scene *scene, const void *bytes, size_t count,
			 const int *fds, uint32_t fd_count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, count};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd_count > 0) {
		struct cmsghdr *at = &control.align;

		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		at->cmsg_level = SOL_SOCKET;
		at->cmsg_type = SCM_RIGHTS;
		at->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(at), fds, fd_count * sizeof(int));
	}
	return sendmsg(scene->peer_fd, &header, MSG_NOSIGNAL);
}

static void a_message_arrives_with_its_descriptors(void **state)
{
	struct scene *scene = *state;
	int pipe_fds[2];
	char byte = 0;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(peer_send(scene, "hello", 5, &pipe_fds[1], 1), 5);
	close(pipe_fds[1]);
	run(scene);
	assert_int_equal(scene->last_bytes, 5);
	assert_memory_equal(scene->last, "hello", 5);
	assert_int_equal(scene->fd_count, 1);
	assert_true(fcntl(scene->fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(scene->fds[0], "x", 1), 1);
	close(scene->fds[0]);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	/* Nobody else kept the write end: this is the end of the pipe. */
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
	close(pipe_fds[0]);
}

static void a_sender_may_close_its_descriptors_at_once(void **state)
{
	struct scene *scene = *state;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
	} control;
	char buffer[16];
	struct iovec iov = {buffer, sizeof(buffer)};
	struct msghdr header = {.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = &control,
				.msg_controllen = sizeof(control)};
	int pipe_fds[2];
	int received;
	char byte;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(channel_send(scene->channel, "fd", 2, &pipe_fds[1], 1),
			 0);
	close(pipe_fds[1]);
	run_turns(scene, 3);
	assert_int_equal(recvmsg(scene->peer_fd, &header, 0), 2);
	assert_non_null(CMSG_FIRSTHDR(&header));
	memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(received));
	assert_int_equal(write(received, "y", 1), 1);
	close(received);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	/* The channel's own copy is closed too. */
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
	close(pipe_fds[0]);
}

static void the_largest_message_passes_both_ways(void **state)
{
	struct scene *scene = *state;
	char *bytes = malloc(CHANNEL_BYTES_MAX);

	memset(bytes, 'm', CHANNEL_BYTES_MAX);
	assert_int_equal(peer_send(scene, bytes, CHANNEL_BYTES_MAX, NULL, 0),
			 CHANNEL_BYTES_MAX);
	run(scene);
	assert_int_equal(scene->last_bytes, CHANNEL_BYTES_MAX);
	assert_int_equal(
		channel_send(scene->channel, bytes, CHANNEL_BYTES_MAX, NULL, 0),
		0);
	run_turns(scene, 3);
	assert_int_equal(recv(scene->peer_fd, bytes, CHANNEL_BYTES_MAX, 0),
			 CHANNEL_BYTES_MAX);
	free(bytes);
}

static void an_oversize_packet_ends_the_channel(void **state)
{
	struct scene *scene = *state;
	char *bytes = calloc(1, CHANNEL_BYTES_MAX + 1);
	unsigned int before;
	int fds[1] = {scene->peer_fd};

	assert_int_equal(peer_send(scene, bytes, CHANNEL_BYTES_MAX + 1, fds, 1),
			 CHANNEL_BYTES_MAX + 1);
	free(bytes);
	before = open_descriptors();
	run(scene);
	assert_int_equal(scene->messages, 0);
	assert_int_equal(scene->closes, 1);
	assert_int_equal(scene->reason, -EMSGSIZE);
	/* Its descriptor came, and went; so did the channel's own. */
	assert_int_equal(open_descriptors(), before - 1);
}

static void too_many_descriptors_end_the_channel(void **state)
{
	struct scene *scene = *state;
	int fds[CHANNEL_FDS_MAX + 1];
	unsigned int before;

	for (unsigned int i = 0; i < CHANNEL_FDS_MAX + 1; i++)
		fds[i] = scene->peer_fd;
	assert_int_equal(peer_send(scene, "x", 1, fds, CHANNEL_FDS_MAX + 1), 1);
	before = open_descriptors();
	run(scene);
	assert_int_equal(scene->messages, 0);
	assert_int_equal(scene->reason, -EMSGSIZE);
	assert_int_equal(open_descriptors(), before - 1);
}

static void a_full_queue_refuses_and_recovers(void **state)
{
	struct scene *scene = *state;
	char *bytes = calloc(1, CHANNEL_BYTES_MAX);
	unsigned int sent = 0;
	int status;

	/* Nobody reads: the socket's buffer fills, then the queue. */
	while ((status = channel_send(scene->channel, bytes, CHANNEL_BYTES_MAX,
				      NULL, 0)) == 0) {
		sent++;
		run_turns(scene, 2);
	}
	assert_int_equal(status, -ENOBUFS);
	assert_true(sent >= CHANNEL_QUEUE_MAX);
	for (unsigned int i = 0; i < sent; i++) {
		assert_int_equal(recv(scene->peer_fd, bytes, CHANNEL_BYTES_MAX,
				      MSG_DONTWAIT),
				 CHANNEL_BYTES_MAX);
		run_turns(scene, 3);
	}
	assert_int_equal(channel_send(scene->channel, bytes, 1, NULL, 0), 0);
	free(bytes);
}

static void messages_over_the_limits_are_refused_when_sent(void **state)
{
	struct scene *scene = *state;
	char *bytes = calloc(1, CHANNEL_BYTES_MAX + 1);
	int fds[CHANNEL_FDS_MAX + 1] = {0};

	assert_int_equal(channel_send(scene->channel, bytes,
				      CHANNEL_BYTES_MAX + 1, NULL, 0),
			 -EMSGSIZE);
	assert_int_equal(channel_send(scene->channel, bytes, 0, NULL, 0),
			 -EMSGSIZE);
	assert_int_equal(channel_send(scene->channel, bytes, 1, fds,
				      CHANNEL_FDS_MAX + 1),
			 -EMSGSIZE);
	fds[0] = -1;
	assert_int_equal(channel_send(scene->channel, bytes, 1, fds, 1),
			 -EBADF);
	free(bytes);
}

static void a_dead_peer_is_reported_after_its_last_words(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(peer_send(scene, "last", 4, NULL, 0), 4);
	scene->peer_fd = fd_close(scene->peer_fd);
	assert_int_equal(channel_send(scene->channel, "you?", 4, NULL, 0), 0);
	run(scene);
	assert_int_equal(scene->messages, 1);
	assert_memory_equal(scene->last, "last", 4);
	if (scene->closes == 0)
		run(scene);
	assert_int_equal(scene->closes, 1);
}

static void a_channel_may_be_destroyed_by_its_message(void **state)
{
	struct scene *scene = *state;
	char byte;

	scene->destroy_in_message = true;
	peer_send(scene, "bye", 3, NULL, 0);
	peer_send(scene, "never", 5, NULL, 0);
	run(scene);
	run_turns(scene, 3);
	assert_int_equal(scene->messages, 1);
	assert_int_equal(scene->closes, 0);
	assert_int_equal(recv(scene->peer_fd, &byte, 1, MSG_DONTWAIT) > 0, 0);
}

static void the_peer_of_a_destroyed_channel_sees_the_end(void **state)
{
	struct scene *scene = *state;
	char byte;

	channel_destroy(scene->channel);
	scene->channel = NULL;
	assert_int_equal(recv(scene->peer_fd, &byte, 1, 0), 0);
}

static void a_channel_knows_who_is_on_the_other_side(void **state)
{
	struct scene *scene = *state;
	uid_t uid;
	pid_t pid;

	assert_int_equal(channel_peer(scene->channel, &uid, &pid), 0);
	assert_int_equal(uid, getuid());
	assert_int_equal(pid, getpid());
}

static void listening_replaces_a_socket_that_nobody_answers_on(void **state)
{
	struct scene *scene = *state;
	struct stat facts;
	int first, second, third;

	first = channel_listen(scene->path, 0660);
	assert_true(first >= 0);
	assert_int_equal(channel_listen(scene->path, 0660), -EADDRINUSE);
	close(first);
	/* The file is still there, as after a crash. */
	assert_int_equal(channel_connect(scene->path), -ECONNREFUSED);
	second = channel_listen(scene->path, 0660);
	assert_true(second >= 0);
	assert_int_equal(stat(scene->path, &facts), 0);
	assert_int_equal(facts.st_mode & 0777, 0660);
	third = channel_connect(scene->path);
	assert_true(third >= 0);
	close(third);
	close(second);
}

static void listening_never_replaces_what_is_not_a_socket(void **state)
{
	struct scene *scene = *state;
	int fd = open(scene->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	close(fd);
	assert_int_equal(channel_listen(scene->path, 0600), -EADDRINUSE);
	assert_int_equal(access(scene->path, F_OK), 0);
}

static void a_path_of_107_characters_works_and_108_do_not(void **state)
{
	struct scene *scene = *state;
	char path[128];
	int fd;

	memset(path, 'x', sizeof(path));
	memcpy(path, scene->directory, strlen(scene->directory));
	path[strlen(scene->directory)] = '/';
	path[108] = '\0';
	assert_int_equal(channel_listen(path, 0600), -ENAMETOOLONG);
	assert_int_equal(channel_connect(path), -ENAMETOOLONG);
	path[107] = '\0';
	fd = channel_listen(path, 0600);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(a_message_arrives_with_its_descriptors),
		SCENE_TEST(a_sender_may_close_its_descriptors_at_once),
		SCENE_TEST(the_largest_message_passes_both_ways),
		SCENE_TEST(an_oversize_packet_ends_the_channel),
		SCENE_TEST(too_many_descriptors_end_the_channel),
		SCENE_TEST(a_full_queue_refuses_and_recovers),
		SCENE_TEST(messages_over_the_limits_are_refused_when_sent),
		SCENE_TEST(a_dead_peer_is_reported_after_its_last_words),
		SCENE_TEST(a_channel_may_be_destroyed_by_its_message),
		SCENE_TEST(the_peer_of_a_destroyed_channel_sees_the_end),
		SCENE_TEST(a_channel_knows_who_is_on_the_other_side),
		SCENE_TEST(listening_replaces_a_socket_that_nobody_answers_on),
		SCENE_TEST(listening_never_replaces_what_is_not_a_socket),
		SCENE_TEST(a_path_of_107_characters_works_and_108_do_not),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
