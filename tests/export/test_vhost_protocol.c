// SPDX-License-Identifier: Apache-2.0
/*
 * test_vhost_protocol.c - the messages of vhost-user: what QEMU does with
 * them, and what a broken or hostile front-end may try.
 */
#include "vhost_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int setup(void **state)
{
	static struct server server;

	server_init(&server);
	server_start(&server);
	*state = &server;
	return 0;
}

static int teardown(void **state)
{
	server_cleanup(*state);
	return 0;
}

static struct front *plain_front(struct server *server)
{
	return connect_front(server, &(struct front_options){0});
}

static void expect_works(struct front *front)
{
	assert_int_equal(
		transfer(front, 0, VIRTIO_BLK_T_IN, 0, front_data(front), 4096),
		VIRTIO_BLK_S_OK);
}

static void wait_hung_up(struct front *front)
{
	for (int i = 0; i < 5000 && front_connected(front); i++)
		usleep(1000);
	assert_false(front_connected(front));
}

/* One held write; the caller releases it. */
static void hold_write(struct server *server, struct front *front)
{
	struct iovec segment = {.iov_base = front_data(front), .iov_len = 4096};
	struct front_request request = {
		.type = VIRTIO_BLK_T_OUT,
		.segments = &segment,
		.segment_count = 1,
	};
	struct front_slot *slot;

	server_set_order(server, MEMORY_PIPELINE_HELD);
	assert_int_equal(front_submit(front, 0, &request, &slot), 0);
	front_kick(&front->queues[0]);
	server_wait_in_flight(server, 1);
}

static int send_state(struct front *front, uint32_t type, uint32_t index,
		      uint32_t number)
{
	struct vhost_user_vring_state state = {.index = index,
					       .number = number};

	return front_acknowledged(front, &(struct front_message){
						 .type = type,
						 .payload = &state,
						 .bytes = sizeof(state),
					 });
}

static int send_slot(struct front *front, uint32_t type,
		     const struct vhost_user_region *region, int fd)
{
	struct vhost_user_memory_slot slot = {.region = *region};

	return front_acknowledged(front, &(struct front_message){
						 .type = type,
						 .payload = &slot,
						 .bytes = sizeof(slot),
						 .fds = &fd,
						 .fd_count = fd >= 0,
					 });
}

/* As firmware does before the guest's kernel: start, stop, start again. */
static void a_device_stops_and_starts_on_one_connection(void **state)
{
	struct front *front = plain_front(*state);

	for (unsigned int i = 0; i < 5; i++) {
		expect_works(front);
		assert_int_equal(front_stop(front), 0);
		if (i % 2 == 1)
			front_reset(front);
		assert_int_equal(front_start(front), 0);
	}
	front_destroy(front);
	server_stop(*state);
}

static void a_stop_waits_for_requests_in_flight(void **state)
{
	struct front *front = plain_front(*state);
	struct vhost_user_vring_state stop = {.index = 0};
	union vhost_user_payload answer;

	hold_write(*state, front);
	assert_int_equal(front_send(front,
				    &(struct front_message){
					    .type = VHOST_USER_GET_VRING_BASE,
					    .payload = &stop,
					    .bytes = sizeof(stop),
				    }),
			 0);
	/* A command's answer comes after what was sent before it. */
	assert_int_equal(server_counts(*state).pipeline.in_flight, 1);
	assert_int_equal(
		recv(front->socket, &answer, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	assert_int_equal(server_release(*state, 1), 1);
	assert_int_equal(front_receive(front, VHOST_USER_GET_VRING_BASE,
				       &answer, NULL, NULL),
			 0);
	assert_int_equal(answer.vring_state.number, 1);
	assert_int_equal(front->queues[0].used->idx, 1);
	front_destroy(front);
}

static void memory_is_removed_when_nothing_uses_it(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.two_regions = true});
	struct vhost_user_region region = {
		.guest_address = FRONT_GUEST_BASE + front->cut,
		.bytes = front->memory_bytes - front->cut,
		.user_address = (uintptr_t)front->memory + front->cut,
		.mmap_offset = front->cut,
	};

	expect_works(front);
	assert_int_equal(send_slot(front, VHOST_USER_REM_MEM_REG, &region, -1),
			 0);
	assert_int_equal(send_slot(front, VHOST_USER_REM_MEM_REG, &region, -1),
			 -EREMOTEIO);
	/* The rings lie in the other region, so the queue goes on. */
	expect_works(front);
	assert_int_equal(send_slot(front, VHOST_USER_ADD_MEM_REG, &region,
				   front->memory_fd),
			 0);
	expect_works(front);
	assert_int_equal(server_counts(*state).broken_queues, 0);
	front_destroy(front);
	server_stop(*state);
}

static void a_memory_table_waits_for_requests_in_flight(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.memory_table = true});
	struct vhost_user_memory_table table = {
		.count = 1,
		.regions[0] = {.guest_address = FRONT_GUEST_BASE,
			       .bytes = front->memory_bytes,
			       .user_address = (uintptr_t)front->memory},
	};
	struct front_message message = {
		.type = VHOST_USER_SET_MEM_TABLE,
		.flags = VHOST_USER_NEED_REPLY,
		.payload = &table,
		.bytes = sizeof(table),
		.fds = &front->memory_fd,
		.fd_count = 1,
	};
	union vhost_user_payload answer;

	hold_write(*state, front);
	assert_int_equal(front_send(front, &message), 0);
	assert_int_equal(server_release(*state, 1), 1);
	server_set_order(*state, MEMORY_PIPELINE_AT_ONCE);
	assert_int_equal(
		front_receive(front, message.type, &answer, NULL, NULL), 0);
	assert_int_equal(answer.number, 0);
	assert_int_equal(front->queues[0].used->idx, 1);
	expect_works(front);
	front_destroy(front);
	server_stop(*state);
}

static void memory_that_cannot_be_mapped_is_refused(void **state)
{
	struct front *front = plain_front(*state);
	const uint64_t end = FRONT_GUEST_BASE + front->memory_bytes;
	const struct vhost_user_region bad[] = {
		/* Beyond the end of the file, by one page and by overflow. */
		{end, front->memory_bytes, 0x10000, 4096},
		{end, 4096, 0x10000, UINT64_MAX - 4095},
		/* Nothing, and around the end of the address space. */
		{end, 0, 0x10000, 0},
		{UINT64_MAX - 4095, 8192, 0x10000, 0},
		{end, 4096, UINT64_MAX - 4094, 0},
		/* Over what is there. */
		{end - 4096, 8192, 0x10000, 0},
	};
	unsigned int before = server_counts(*state).open_descriptors;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(send_slot(front, VHOST_USER_ADD_MEM_REG,
					   &bad[i], front->memory_fd),
				 -EREMOTEIO);
	/* Not memory at all, and no descriptor. */
	assert_int_equal(
		send_slot(front, VHOST_USER_ADD_MEM_REG,
			  &(struct vhost_user_region){end, 4096, 0x10000, 0},
			  front->socket),
		-EREMOTEIO);
	assert_int_equal(
		send_slot(front, VHOST_USER_ADD_MEM_REG,
			  &(struct vhost_user_region){end, 4096, 0x10000, 0},
			  -1),
		-EREMOTEIO);
	assert_int_equal(server_counts(*state).open_descriptors, before);
	expect_works(front);
	front_destroy(front);
	server_stop(*state);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct front *front = plain_front(*state);
	uint64_t features = UINT64_C(1) << VIRTIO_BLK_F_SECURE_ERASE;
	struct vhost_user_vring_address logged = {.index = 0, .flags = 1};
	struct front_message set_features = {
		.type = VHOST_USER_SET_FEATURES,
		.payload = &features,
		.bytes = sizeof(features),
	};

	/* No such queue; a running queue; not a power of two; too many. */
	assert_int_equal(send_state(front, VHOST_USER_SET_VRING_ENABLE, 4, 1),
			 -EREMOTEIO);
	assert_int_equal(send_state(front, VHOST_USER_SET_VRING_ENABLE, 0, 2),
			 -EREMOTEIO);
	assert_int_equal(send_state(front, VHOST_USER_SET_VRING_NUM, 0, 16),
			 -EREMOTEIO);
	assert_int_equal(send_state(front, VHOST_USER_SET_VRING_NUM, 1, 0),
			 -EREMOTEIO);
	assert_int_equal(send_state(front, VHOST_USER_SET_VRING_NUM, 1, 48),
			 -EREMOTEIO);
	assert_int_equal(send_state(front, VHOST_USER_SET_VRING_NUM, 1, 2048),
			 -EREMOTEIO);
	assert_int_equal(send_state(front, VHOST_USER_SET_VRING_BASE, 9, 0),
			 -EREMOTEIO);
	assert_int_equal(front_acknowledged(front, &set_features), -EREMOTEIO);
	assert_int_equal(
		front_acknowledged(front,
				   &(struct front_message){
					   .type = VHOST_USER_SET_VRING_ADDR,
					   .payload = &logged,
					   .bytes = sizeof(logged)}),
		-EREMOTEIO);
	/* A type that isn't offered, and one that doesn't exist. */
	assert_int_equal(
		front_acknowledged(front, &(struct front_message){.type = 6}),
		-EREMOTEIO);
	assert_int_equal(front_acknowledged(
				 front, &(struct front_message){.type = 9999}),
			 -EREMOTEIO);
	expect_works(front);
	front_destroy(front);
	server_stop(*state);
}

static void a_kick_without_rings_is_refused(void **state)
{
	struct front *front = plain_front(*state);
	uint64_t number = 1;

	assert_int_equal(
		front_acknowledged(front,
				   &(struct front_message){
					   .type = VHOST_USER_SET_VRING_KICK,
					   .payload = &number,
					   .bytes = sizeof(number),
					   .fds = &front->memory_fd,
					   .fd_count = 1}),
		-EREMOTEIO);
	expect_works(front);
	front_destroy(front);
	server_stop(*state);
}

static void garbage_ends_the_connection_only(void **state)
{
	const struct vhost_user_header garbage[] = {
		{VHOST_USER_GET_FEATURES, 2, 0}, /* version */
		{VHOST_USER_GET_FEATURES, 1, 1u << 20}, /* size */
		{VHOST_USER_SET_FEATURES, 1, 4}, /* too short */
		{9999, 1, 0}, /* nobody asked whether it worked */
	};

	for (unsigned int i = 0; i < sizeof(garbage) / sizeof(garbage[0]);
	     i++) {
		struct front *front = plain_front(*state);
		uint8_t bytes[64] = {0};

		memcpy(bytes, &garbage[i], sizeof(garbage[i]));
		assert_true(send(front->socket, bytes,
				 sizeof(garbage[i]) + (i == 2 ? 4 : 0),
				 MSG_NOSIGNAL) > 0);
		wait_hung_up(front);
		front_disconnect(front);
		assert_int_equal(front_connect(front), 0);
		expect_works(front);
		front_destroy(front);
	}
	server_stop(*state);
}

static void too_many_descriptors_are_closed(void **state)
{
	struct front *front = plain_front(*state);
	unsigned int before = server_counts(*state).open_descriptors;
	int fds[16];

	for (unsigned int i = 0; i < 16; i++)
		fds[i] = front->memory_fd;
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(
			front_send(front,
				   &(struct front_message){
					   .type = VHOST_USER_GET_FEATURES,
					   .fds = fds,
					   .fd_count = 16,
				   }),
			0);
		wait_hung_up(front);
		front_disconnect(front);
		assert_int_equal(front_connect(front), 0);
	}
	/* Descriptors beside a message that wants none are closed too. */
	for (unsigned int i = 0; i < 4; i++) {
		union vhost_user_payload answer;

		assert_int_equal(
			front_send(front,
				   &(struct front_message){
					   .type = VHOST_USER_GET_FEATURES,
					   .fds = fds,
					   .fd_count = 8,
				   }),
			0);
		assert_int_equal(front_receive(front, VHOST_USER_GET_FEATURES,
					       &answer, NULL, NULL),
				 0);
	}
	expect_works(front);
	assert_int_equal(server_counts(*state).open_descriptors, before);
	front_destroy(front);
	server_stop(*state);
}

static void a_message_may_come_in_pieces(void **state)
{
	struct front *front = plain_front(*state);
	struct {
		struct vhost_user_header header;
		struct vhost_user_vring_state state;
	} message = {
		.header = {.type = VHOST_USER_SET_VRING_ENABLE,
			   .flags = VHOST_USER_VERSION | VHOST_USER_NEED_REPLY,
			   .bytes = sizeof(message.state)},
		.state = {.index = 0, .number = 1},
	};
	union vhost_user_payload answer;

	for (size_t i = 0; i < sizeof(message); i++) {
		assert_int_equal(send(front->socket,
				      (const uint8_t *)&message + i, 1,
				      MSG_NOSIGNAL),
				 1);
		usleep(200);
	}
	assert_int_equal(front_receive(front, VHOST_USER_SET_VRING_ENABLE,
				       &answer, NULL, NULL),
			 0);
	assert_int_equal(answer.number, 0);
	front_destroy(front);
}

static void a_second_front_end_is_refused(void **state)
{
	struct front *front = plain_front(*state);
	struct front *second = NULL;
	struct front_options options = front->options;

	assert_int_equal(front_create(&options, &second), 0);
	assert_true(front_connect(second) < 0);
	expect_works(front);
	front_disconnect(front);
	assert_int_equal(front_connect(second), 0);
	expect_works(second);
	front_destroy(front);
	front_destroy(second);
	server_stop(*state);
}

/* The server's log goes there from its next start on. Returns: the file. */
static int log_to_file(struct server *server)
{
	int log = memfd_create("log", MFD_CLOEXEC);
	int own = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	assert_true(log >= 0 && own >= 0);
	server_kill(server);
	dup2(log, STDERR_FILENO);
	server_start(server);
	dup2(own, STDERR_FILENO);
	close(own);
	return log;
}

static unsigned int count_lines(int log, const char *words)
{
	static char text[1 << 20];
	ssize_t bytes = pread(log, text, sizeof(text) - 1, 0);
	unsigned int count = 0;

	assert_true(bytes >= 0);
	text[bytes] = '\0';
	for (const char *at = text; (at = strstr(at, words)); at++)
		count++;
	return count;
}

static void set_descriptors_max(const struct server *server, rlim_t count)
{
	struct rlimit limit;

	assert_int_equal(prlimit(server->pid, RLIMIT_NOFILE, NULL, &limit), 0);
	limit.rlim_cur = count;
	assert_int_equal(prlimit(server->pid, RLIMIT_NOFILE, &limit, NULL), 0);
}

static void a_server_out_of_descriptors_tries_again_now_and_then(void **state)
{
	struct server *server = *state;
	int log = log_to_file(server);
	struct front *front = plain_front(server);
	struct front *second = NULL;
	struct front_options options = front->options;

	assert_int_equal(front_create(&options, &second), 0);
	set_descriptors_max(server, 3);
	/* Its place was kept; after it there is none. */
	assert_true(front_connect(second) < 0);
	for (int i = 0; i < 5000 && count_lines(log, "accept: ") == 0; i++)
		usleep(1000);
	for (int i = 0; i < 500; i++)
		server_counts(server); /* a turn of its loop */
	assert_in_range(count_lines(log, "accept: "), 1, 250);
	expect_works(front);
	front_disconnect(front);
	set_descriptors_max(server, 256);
	assert_int_equal(front_connect(second), 0);
	expect_works(second);
	front_destroy(front);
	front_destroy(second);
	close(log);
	server_stop(server);
}

static void a_server_that_stops_returns_what_it_took(void **state)
{
	struct front *front = plain_front(*state);

	hold_write(*state, front);
	server_stop(*state);
	assert_int_equal(front->queues[0].used->idx, 1);
	wait_hung_up(front);
	server_start(*state);
	assert_int_equal(front_connect(front), 0);
	assert_int_equal(server_counts(*state).replayed, 0);
	front_destroy(front);
}

static void the_socket_is_for_owner_and_group(void **state)
{
	const struct server *server = *state;
	struct stat status;

	assert_int_equal(stat(server->socket_path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0660);
}

static void a_config_space_ends_where_it_ends(void **state)
{
	struct front *front = plain_front(*state);
	struct vhost_user_config config = {.offset = 0, .bytes = 256};
	struct front_message message = {
		.type = VHOST_USER_GET_CONFIG,
		.payload = &config,
		.bytes = VHOST_USER_CONFIG_HEADER_BYTES + 256,
	};
	union vhost_user_payload answer;
	uint32_t bytes;

	assert_int_equal(front_send(front, &message), 0);
	assert_int_equal(front_receive(front, VHOST_USER_GET_CONFIG, &answer,
				       &bytes, NULL),
			 0);
	assert_int_equal(bytes, VHOST_USER_CONFIG_HEADER_BYTES + 256);
	assert_int_equal(answer.config.region[255], 0);
	config.offset = 1;
	assert_int_equal(front_send(front, &message), 0);
	assert_int_equal(front_receive(front, VHOST_USER_GET_CONFIG, &answer,
				       &bytes, NULL),
			 0);
	assert_int_equal(bytes, 0);
	expect_works(front);
	front_destroy(front);
}

static int set_config(struct front *front, uint32_t offset, uint32_t bytes,
		      uint32_t flags, const void *region)
{
	struct vhost_user_config config = {
		.offset = offset,
		.bytes = bytes,
		.flags = flags,
	};

	memcpy(config.region, region, bytes < 256 ? bytes : 256);
	return front_acknowledged(
		front, &(struct front_message){
			       .type = VHOST_USER_SET_CONFIG,
			       .payload = &config,
			       .bytes = VHOST_USER_CONFIG_HEADER_BYTES +
					(bytes < 256 ? bytes : 256),
		       });
}

static void a_driver_writes_the_cache_mode_and_nothing_else(void **state)
{
	const uint32_t at = offsetof(struct virtio_blk_config, wce);
	struct front *front = connect_front(
		*state, &(struct front_options){.cache_mode = true});
	uint8_t bytes[256] = {0};

	assert_int_equal(set_config(front, at, 1, 0, bytes), 0);
	bytes[0] = 2;
	assert_int_equal(set_config(front, at, 1, 0, bytes), -EREMOTEIO);
	bytes[0] = 0;
	assert_int_equal(set_config(front, at - 1, 1, 0, bytes), -EREMOTEIO);
	assert_int_equal(set_config(front, at, 2, 0, bytes), -EREMOTEIO);
	assert_int_equal(set_config(front, at + 1, 1, 0, bytes), -EREMOTEIO);
	assert_int_equal(set_config(front, 0, 8, 0, bytes), -EREMOTEIO);
	assert_int_equal(set_config(front, 256, 1, 0, bytes), -EREMOTEIO);
	assert_int_equal(set_config(front, UINT32_MAX, 1, 0, bytes),
			 -EREMOTEIO);
	assert_int_equal(set_config(front, at, 1, 3, bytes), -EREMOTEIO);
	expect_works(front);
	front_destroy(front);
}

static void a_migration_brings_the_whole_configuration(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.cache_mode = true});
	struct virtio_blk_config config = front->config;
	const uint32_t bytes = 60;

	config.wce = 0;
	assert_int_equal(set_config(front, 0, bytes, 1, &config), 0);
	/* Another disk's isn't taken. */
	config.capacity++;
	assert_int_equal(set_config(front, 0, bytes, 1, &config), -EREMOTEIO);
	front_disconnect(front);
	assert_int_equal(front_connect(front), 0);
	front_destroy(front);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_device_stops_and_starts_on_one_connection),
		TEST(a_stop_waits_for_requests_in_flight),
		TEST(memory_is_removed_when_nothing_uses_it),
		TEST(a_memory_table_waits_for_requests_in_flight),
		TEST(memory_that_cannot_be_mapped_is_refused),
		TEST(what_makes_no_sense_is_refused),
		TEST(a_kick_without_rings_is_refused),
		TEST(garbage_ends_the_connection_only),
		TEST(too_many_descriptors_are_closed),
		TEST(a_message_may_come_in_pieces),
		TEST(a_second_front_end_is_refused),
		TEST(a_server_out_of_descriptors_tries_again_now_and_then),
		TEST(a_server_that_stops_returns_what_it_took),
		TEST(the_socket_is_for_owner_and_group),
		TEST(a_config_space_ends_where_it_ends),
		TEST(a_driver_writes_the_cache_mode_and_nothing_else),
		TEST(a_migration_brings_the_whole_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
