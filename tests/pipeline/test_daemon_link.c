// SPDX-License-Identifier: Apache-2.0
/*
 * test_daemon_link.c - an instance's link, and a daemon that the test plays.
 *
 * Both ends run on one loop. The daemon's answers are written by hand, so that
 * it can also be one that breaks the protocol.
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "clock.h"
#include "daemon_link.h"
#include "daemon_protocol.h"
#include "loop.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct scene {
	struct loop *loop;
	struct loop_timer watchdog;
	char folder[32];
	char path[64];
	/* The daemon. */
	int listen_fd;
	struct loop_io accept;
	struct channel *channel;
	struct daemon_head head; /* of the last packet */
	unsigned char payload[CHANNEL_BYTES_MAX];
	unsigned int packet_count;
	bool daemon_saw_end;
	/* The link and what it reported. */
	struct daemon_link *link;
	unsigned int up_count;
	unsigned int down_count;
	char message[64];
	struct stat message_file;
	void *memory;
	int memory_status; /* 1: nothing yet */
};

static void on_watchdog(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the loop waited for something that never came");
}

/* The daemon's side. */

static void daemon_message(void *owner, const void *bytes, size_t count,
			   const int *fds, uint32_t fd_count)
{
	struct scene *scene = owner;

	assert_int_equal(daemon_head_parse(bytes, count, &scene->head), 0);
	memcpy(scene->payload,
	       (const unsigned char *)bytes + sizeof(scene->head),
	       scene->head.bytes);
	scene->packet_count++;
	for (uint32_t i = 0; i < fd_count; i++)
		close(fds[i]);
	loop_stop(scene->loop);
}

static void daemon_closed(void *owner, int reason)
{
	struct scene *scene = owner;

	(void)reason;
	channel_destroy(scene->channel);
	scene->channel = NULL;
	scene->daemon_saw_end = true;
	loop_stop(scene->loop);
}

static void on_accept(struct loop_io *io, int result)
{
	struct scene *scene = io->owner;
	const struct channel_handler handler = {
		.message = daemon_message,
		.closed = daemon_closed,
		.owner = scene,
	};

	if (result < 0)
		return;
	assert_int_equal(
		channel_create(scene->loop, result, &handler, &scene->channel),
		0);
	loop_accept(scene->loop, io, scene->listen_fd);
}

static void daemon_start(struct scene *scene)
{
	scene->listen_fd = channel_listen(scene->path, 0600);
	assert_true(scene->listen_fd >= 0);
	scene->accept.done = on_accept;
	scene->accept.owner = scene;
	loop_accept(scene->loop, &scene->accept, scene->listen_fd);
}

static void daemon_hang_up(struct scene *scene)
{
	channel_destroy(scene->channel);
	scene->channel = NULL;
}

static void daemon_send(struct scene *scene, enum daemon_type type,
			const void *payload, size_t count, int fd)
{
	struct daemon_head head = daemon_head_make(type, count);
	unsigned char packet[256];

	assert_true(sizeof(head) + count <= sizeof(packet));
	memcpy(packet, &head, sizeof(head));
	memcpy(packet + sizeof(head), payload, count);
	assert_int_equal(channel_send(scene->channel, packet,
				      sizeof(head) + count, &fd, fd >= 0),
			 0);
}

/* Answers a KEEP with a memfd of @bytes and @seals. */
static void daemon_keeps(struct scene *scene, const char *name,
			 uint64_t claimed_bytes, off_t bytes, int seals)
{
	struct daemon_kept kept = {.bytes = claimed_bytes};
	int fd = memfd_create("kept", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	assert_int_equal(pwrite(fd, "remembered", 10, 0), 10);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	memcpy(kept.name, name, strlen(name));
	daemon_send(scene, DAEMON_KEPT, &kept, sizeof(kept), fd);
	close(fd);
}

/* The link's side. */

static void link_state(void *owner, bool connected)
{
	struct scene *scene = owner;

	if (connected)
		scene->up_count++;
	else
		scene->down_count++;
	loop_stop(scene->loop);
}

static void link_message(void *owner, const void *bytes, size_t count,
			 const int *fds, uint32_t fd_count)
{
	struct scene *scene = owner;

	assert_true(count < sizeof(scene->message));
	memcpy(scene->message, bytes, count);
	scene->message[count] = '\0';
	for (uint32_t i = 0; i < fd_count; i++) {
		assert_int_equal(fstat(fds[i], &scene->message_file), 0);
		close(fds[i]);
	}
	loop_stop(scene->loop);
}

static void link_memory(void *owner, const char *name, void *address,
			uint64_t bytes, int status)
{
	struct scene *scene = owner;

	assert_string_equal(name, "index");
	assert_int_equal(bytes, 8192);
	scene->memory = address;
	scene->memory_status = status;
	loop_stop(scene->loop);
}

#define RUN_UNTIL(scene, condition)                                   \
	do {                                                          \
		while (!(condition))                                  \
			assert_int_equal(loop_run((scene)->loop), 0); \
	} while (0)

static int scene_begin(void **state)
{
	struct daemon_link_handler handler = {
		.state = link_state,
		.message = link_message,
		.memory = link_memory,
	};
	struct daemon_link_options options = {.filter = "cache"};
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	strcpy(scene->folder, "/tmp/fbXXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	snprintf(scene->path, sizeof(scene->path), "%s/d", scene->folder);
	scene->memory_status = 1;
	scene->listen_fd = -1;
	assert_int_equal(loop_create(&scene->loop), 0);
	scene->watchdog.expired = on_watchdog;
	loop_timer_arm(scene->loop, &scene->watchdog, 20 * NS_PER_SECOND);
	handler.owner = scene;
	options.socket = scene->path;
	memset(options.disk_uuid, 0x42, sizeof(options.disk_uuid));
	assert_int_equal(daemon_link_create(scene->loop, &options, &handler,
					    &scene->link),
			 0);
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	daemon_link_destroy(scene->link);
	channel_destroy(scene->channel);
	loop_timer_cancel(scene->loop, &scene->watchdog);
	loop_destroy(scene->loop);
	if (scene->listen_fd >= 0)
		close(scene->listen_fd);
	unlink(scene->path);
	rmdir(scene->folder);
	free(scene);
	return 0;
}

/* Connected, and the daemon has read the HELLO. */
static void connect_both(struct scene *scene)
{
	unsigned int packets = scene->packet_count;

	RUN_UNTIL(scene, scene->packet_count > packets && scene->up_count > 0);
	assert_int_equal(scene->head.type, DAEMON_HELLO);
}

static void a_connection_begins_with_who_is_calling(void **state)
{
	struct scene *scene = *state;
	struct daemon_hello hello;

	daemon_start(scene);
	connect_both(scene);
	memcpy(&hello, scene->payload, sizeof(hello));
	assert_int_equal(hello.version, DAEMON_VERSION);
	assert_string_equal(hello.filter, "cache");
	assert_int_equal(hello.disk_uuid[0], 0x42);
	assert_int_equal(hello.disk_uuid[15], 0x42);
}

static void end_pause(struct loop_timer *timer)
{
	struct scene *scene = timer->owner;

	loop_stop(scene->loop);
}

static void a_daemon_that_comes_later_is_found(void **state)
{
	struct scene *scene = *state;
	struct loop_timer pause = {.expired = end_pause, .owner = scene};

	/* Long enough for a few attempts; too few would be as good. */
	loop_timer_arm(scene->loop, &pause, 50 * NS_PER_MS);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(scene->up_count, 0);
	assert_int_equal(daemon_link_send(scene->link, "x", 1, NULL, 0),
			 -ENOTCONN);
	daemon_start(scene);
	connect_both(scene);
	assert_int_equal(scene->up_count, 1);
}

static void a_link_comes_back_by_itself(void **state)
{
	struct scene *scene = *state;

	daemon_start(scene);
	connect_both(scene);
	for (unsigned int i = 0; i < 3; i++) {
		daemon_hang_up(scene);
		RUN_UNTIL(scene, scene->down_count == i + 1);
		assert_int_equal(daemon_link_send(scene->link, "x", 1, NULL, 0),
				 -ENOTCONN);
		RUN_UNTIL(scene, scene->up_count == i + 2 && scene->channel &&
					 scene->packet_count == i + 2);
	}
}

static void messages_and_descriptors_pass_both_ways(void **state)
{
	struct scene *scene = *state;
	struct stat folder;
	int fd = open(scene->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &folder), 0);
	daemon_start(scene);
	connect_both(scene);
	assert_int_equal(daemon_link_send(scene->link, "to you", 6, &fd, 1), 0);
	RUN_UNTIL(scene, scene->packet_count == 2);
	assert_int_equal(scene->head.type, DAEMON_FILTER);
	assert_memory_equal(scene->payload, "to you", 6);
	daemon_send(scene, DAEMON_FILTER, "to me", 5, fd);
	RUN_UNTIL(scene, scene->message[0]);
	assert_string_equal(scene->message, "to me");
	assert_int_equal(scene->message_file.st_ino, folder.st_ino);
	close(fd);
}

static void the_largest_message_passes_and_no_larger_one(void **state)
{
	struct scene *scene = *state;
	unsigned char *bytes = calloc(1, DAEMON_PAYLOAD_MAX + 1);

	assert_non_null(bytes);
	daemon_start(scene);
	connect_both(scene);
	assert_int_equal(daemon_link_send(scene->link, bytes,
					  DAEMON_PAYLOAD_MAX + 1, NULL, 0),
			 -EMSGSIZE);
	assert_int_equal(daemon_link_send(scene->link, bytes,
					  DAEMON_PAYLOAD_MAX, NULL, 0),
			 0);
	RUN_UNTIL(scene, scene->packet_count == 2);
	assert_int_equal(scene->head.bytes, DAEMON_PAYLOAD_MAX);
	free(bytes);
}

static void kept_memory_is_mapped_and_outlives_the_daemon(void **state)
{
	struct scene *scene = *state;

	daemon_start(scene);
	connect_both(scene);
	assert_int_equal(daemon_link_keep(scene->link, "index", 8192), 0);
	assert_int_equal(daemon_link_keep(scene->link, "index", 8192), -EBUSY);
	RUN_UNTIL(scene, scene->packet_count == 2);
	assert_int_equal(scene->head.type, DAEMON_KEEP);
	daemon_keeps(scene, "index", 8192, 8192, SEALS);
	RUN_UNTIL(scene, scene->memory_status != 1);
	assert_int_equal(scene->memory_status, 0);
	assert_memory_equal(scene->memory, "remembered", 10);
	daemon_hang_up(scene);
	RUN_UNTIL(scene, scene->down_count == 1);
	memset(scene->memory, 0x55, 8192);
}

static void memory_that_could_be_cut_off_is_refused(void **state)
{
	struct scene *scene = *state;

	daemon_start(scene);
	connect_both(scene);
	assert_int_equal(daemon_link_keep(scene->link, "index", 8192), 0);
	RUN_UNTIL(scene, scene->packet_count == 2);
	daemon_keeps(scene, "index", 8192, 8192, F_SEAL_GROW);
	RUN_UNTIL(scene, scene->memory_status != 1);
	assert_int_equal(scene->memory_status, -EPERM);
	assert_null(scene->memory);
}

static void memory_of_another_size_is_refused(void **state)
{
	struct scene *scene = *state;

	daemon_start(scene);
	connect_both(scene);
	assert_int_equal(daemon_link_keep(scene->link, "index", 8192), 0);
	RUN_UNTIL(scene, scene->packet_count == 2);
	daemon_keeps(scene, "index", 8192, 4096, SEALS);
	RUN_UNTIL(scene, scene->memory_status != 1);
	assert_int_equal(scene->memory_status, -EBADMSG);
}

static void who_waits_for_memory_is_told_when_the_daemon_dies(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(daemon_link_keep(scene->link, "index", 8192),
			 -ENOTCONN);
	daemon_start(scene);
	connect_both(scene);
	assert_int_equal(daemon_link_keep(scene->link, "index", 8192), 0);
	RUN_UNTIL(scene, scene->packet_count == 2);
	daemon_hang_up(scene);
	RUN_UNTIL(scene, scene->memory_status != 1);
	assert_int_equal(scene->memory_status, -ENOTCONN);
}

static void names_and_sizes_of_memory_are_checked(void **state)
{
	struct scene *scene = *state;
	char name[DAEMON_NAME_BYTES + 1];

	daemon_start(scene);
	connect_both(scene);
	memset(name, 'a', sizeof(name));
	name[DAEMON_NAME_BYTES] = '\0';
	assert_int_equal(daemon_link_keep(scene->link, name, 4096), -EINVAL);
	assert_int_equal(daemon_link_keep(scene->link, "", 4096), -EINVAL);
	assert_int_equal(daemon_link_keep(scene->link, "a", 100), -EINVAL);
	assert_int_equal(daemon_link_keep(scene->link, "a", 0), -EINVAL);
	name[1] = '\0';
	for (unsigned int i = 0; i < DAEMON_LINK_MEMORIES_MAX; i++) {
		name[0] = (char)('a' + i);
		assert_int_equal(daemon_link_keep(scene->link, name, 4096), 0);
	}
	assert_int_equal(daemon_link_keep(scene->link, "z", 4096), -ENOSPC);
	/* The waiting ones are told at the end, and this test asks for no
	 * "index": so they must not be. */
	daemon_link_destroy(scene->link);
	scene->link = NULL;
}

static void a_daemon_that_breaks_the_protocol_loses_the_connection(void **state)
{
	struct scene *scene = *state;
	struct daemon_kept kept = {.bytes = 8192, .name = "never asked"};

	daemon_start(scene);
	connect_both(scene);
	assert_int_equal(channel_send(scene->channel, "rubbish", 7, NULL, 0),
			 0);
	RUN_UNTIL(scene, scene->daemon_saw_end && scene->down_count == 1);
	RUN_UNTIL(scene, scene->up_count == 2 && scene->channel);
	scene->daemon_saw_end = false;
	daemon_send(scene, DAEMON_KEPT, &kept, sizeof(kept), -1);
	RUN_UNTIL(scene, scene->daemon_saw_end && scene->down_count == 2);
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(a_connection_begins_with_who_is_calling),
		SCENE_TEST(a_daemon_that_comes_later_is_found),
		SCENE_TEST(a_link_comes_back_by_itself),
		SCENE_TEST(messages_and_descriptors_pass_both_ways),
		SCENE_TEST(the_largest_message_passes_and_no_larger_one),
		SCENE_TEST(kept_memory_is_mapped_and_outlives_the_daemon),
		SCENE_TEST(memory_that_could_be_cut_off_is_refused),
		SCENE_TEST(memory_of_another_size_is_refused),
		SCENE_TEST(who_waits_for_memory_is_told_when_the_daemon_dies),
		SCENE_TEST(names_and_sizes_of_memory_are_checked),
		SCENE_TEST(
			a_daemon_that_breaks_the_protocol_loses_the_connection),
	};

	return cmocka_run_group_tests_name("daemon_link", tests, NULL, NULL);
}
