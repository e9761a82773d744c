// SPDX-License-Identifier: Apache-2.0
/*
 * test_vhost_stop.c - a guest, a VM and a front-end that end while requests
 * don't: the storage below holds them for as long as the test likes.
 */
#include "vhost_server.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The storage hangs for longer than that in each test. */
#define DEADLINE_MS 100u

static int setup(void **state)
{
	static struct server server;

	server_init(&server);
	server.stop_deadline_ms = DEADLINE_MS;
	server_start(&server);
	*state = &server;
	return 0;
}

static int teardown(void **state)
{
	server_cleanup(*state);
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Submits one request that the storage holds. */
static struct front_slot *hold(struct server *server, struct front *front,
			       uint32_t type, uint64_t sector, void *data)
{
	struct iovec segment = {.iov_base = data, .iov_len = 4096};
	const struct front_request request = {
		.type = type,
		.sector = sector,
		.segments = &segment,
		.segment_count = 1,
	};
	unsigned int before = server_counts(server).pipeline.in_flight;
	struct front_slot *slot;

	server_set_order(server, MEMORY_PIPELINE_HELD);
	assert_int_equal(front_submit(front, 0, &request, &slot), 0);
	front_kick(&front->queues[0]);
	server_wait_in_flight(server, before + 1);
	return slot;
}

static void expect_failed(struct front *front, const struct front_slot *slot)
{
	struct front_completion completion;

	assert_int_equal(front_reap(&front->queues[0], &completion, 1), 1);
	assert_ptr_equal(completion.slot, slot);
	assert_int_equal(completion.status, VIRTIO_BLK_S_IOERR);
}

static void release_all(struct server *server)
{
	server_set_order(server, MEMORY_PIPELINE_AT_ONCE);
	server_release(server, PIPELINE_REQUESTS_MAX);
	server_wait_in_flight(server, 0);
}

static void expect_all(const uint8_t *data, size_t bytes, int value)
{
	for (size_t i = 0; i < bytes; i++)
		assert_int_equal(data[i], value);
}

static void a_stop_ends_in_time_with_an_error_for_the_guest(void **state)
{
	struct server *server = *state;
	struct front *front = connect_front(server, &(struct front_options){0});
	uint64_t before = now_ms();
	struct front_slot *slot =
		hold(server, front, VIRTIO_BLK_T_OUT, 0, front_data(front));

	assert_int_equal(front_stop(front), 0);
	assert_in_range(now_ms() - before, DEADLINE_MS, 9000);
	expect_failed(front, slot);
	assert_int_equal(server_counts(server).pipeline.abandoned, 1);
	/* It is still below, and the next start doesn't mind. */
	assert_int_equal(server_counts(server).pipeline.in_flight, 1);
	assert_int_equal(front_start(front), 0);
	server_set_order(server, MEMORY_PIPELINE_AT_ONCE);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, 64,
				  front_data(front) + 8192, 4096),
			 VIRTIO_BLK_S_OK);
	release_all(server);
	front_destroy(front);
	server_stop(server);
}

static void a_stop_waits_for_requests_that_end_in_time(void **state)
{
	struct server *server = *state;
	struct vhost_user_vring_state stop = {.index = 0};
	union vhost_user_payload answer;
	struct front_completion completion;
	struct front *front;

	server_stop(server);
	server->stop_deadline_ms = 60000;
	server_start(server);
	front = connect_front(server, &(struct front_options){0});
	hold(server, front, VIRTIO_BLK_T_OUT, 0, front_data(front));
	assert_int_equal(front_send(front,
				    &(struct front_message){
					    .type = VHOST_USER_GET_VRING_BASE,
					    .payload = &stop,
					    .bytes = sizeof(stop),
				    }),
			 0);
	release_all(server);
	assert_int_equal(front_receive(front, VHOST_USER_GET_VRING_BASE,
				       &answer, NULL, NULL),
			 0);
	assert_int_equal(front_reap(&front->queues[0], &completion, 1), 1);
	assert_int_equal(completion.status, VIRTIO_BLK_S_OK);
	assert_int_equal(server_counts(server).pipeline.abandoned, 0);
	front_destroy(front);
	server_stop(server);
}

/* The guest has other plans with the memory by then. */
static void a_read_that_ends_late_reaches_nobody(void **state)
{
	/* The second is copied through the bounce buffer. */
	const size_t misalignments[] = {0, 1};

	for (unsigned int i = 0; i < 2; i++) {
		struct server *server = *state;
		struct front *front =
			connect_front(server, &(struct front_options){0});
		uint8_t *data = front_data(front) + misalignments[i];
		struct front_slot *slot =
			hold(server, front, VIRTIO_BLK_T_IN, 0, data);

		assert_int_equal(front_stop(front), 0);
		expect_failed(front, slot);
		memset(data, 0x55, 4096);
		release_all(server);
		expect_all(data, 4096, 0x55);
		assert_int_equal(front_start(front), 0);
		assert_int_equal(
			transfer(front, 0, VIRTIO_BLK_T_IN, 0, data, 4096),
			VIRTIO_BLK_S_OK);
		expect_all(data, 4096, 0);
		front_destroy(front);
		server_stop(server);
		server_start(server);
	}
}

static void a_write_that_ends_late_has_its_own_data(void **state)
{
	struct server *server = *state;
	struct front *front = connect_front(server, &(struct front_options){0});
	uint8_t *data = front_data(front);
	uint8_t durable[4096];
	struct front_slot *slot;

	memset(data, 0xaa, 4096);
	slot = hold(server, front, VIRTIO_BLK_T_OUT, 8, data);
	assert_int_equal(front_stop(front), 0);
	expect_failed(front, slot);
	memset(data, 0x55, 4096);
	release_all(server);
	assert_int_equal(front_start(front), 0);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0),
			 VIRTIO_BLK_S_OK);
	server_durable(server, 4096, durable, sizeof(durable));
	expect_all(durable, sizeof(durable), 0xaa);
	front_destroy(front);
	server_stop(server);
}

static void what_waits_for_the_bounce_buffer_never_reaches_the_disk(
	void **state)
{
	struct server *server = *state;
	struct front *front = connect_front(server, &(struct front_options){0});
	uint8_t *data = front_data(front);
	uint8_t durable[4096];

	memset(data, 0xaa, 16384);
	hold(server, front, VIRTIO_BLK_T_OUT, 0, data + 1);
	for (unsigned int i = 1; i < 4; i++) {
		struct iovec segment = {data + i * 4096 + 1, 4096};
		const struct front_request request = {
			.type = VIRTIO_BLK_T_OUT,
			.sector = i * 8,
			.segments = &segment,
			.segment_count = 1,
		};
		struct front_slot *slot;

		assert_int_equal(front_submit(front, 0, &request, &slot), 0);
	}
	front_kick(&front->queues[0]);
	assert_int_equal(front_stop(front), 0);
	assert_int_equal(front->queues[0].used->idx, 4);
	release_all(server);
	front_reset(front);
	assert_int_equal(front_start(front), 0);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0),
			 VIRTIO_BLK_S_OK);
	server_durable(server, 0, durable, sizeof(durable));
	expect_all(durable, sizeof(durable), 0xaa);
	server_durable(server, 4096, durable, sizeof(durable));
	expect_all(durable, sizeof(durable), 0);
	front_destroy(front);
	server_stop(server);
}

/* One deadline for the device, not one for each queue. */
static void requests_of_all_queues_are_given_up_at_once(void **state)
{
	struct server *server = *state;
	struct front *front = connect_front(
		server, &(struct front_options){.queue_count = 4});
	uint8_t *data = front_data(front);

	server_set_order(server, MEMORY_PIPELINE_HELD);
	for (unsigned int i = 0; i < 4; i++) {
		struct iovec segment = {data + i * 4096, 4096};
		const struct front_request request = {
			.type = VIRTIO_BLK_T_IN,
			.segments = &segment,
			.segment_count = 1,
		};
		struct front_slot *slot;

		assert_int_equal(front_submit(front, i, &request, &slot), 0);
		front_kick(&front->queues[i]);
	}
	server_wait_in_flight(server, 4);
	assert_int_equal(front_stop(front), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(front->queues[i].used->idx, 1);
	assert_int_equal(server_counts(server).pipeline.abandoned, 4);
	release_all(server);
	front_destroy(front);
	server_stop(server);
}

static void a_reset_message_ends_in_time_too(void **state)
{
	struct server *server = *state;
	struct front *front = connect_front(server, &(struct front_options){0});
	struct front_slot *slot =
		hold(server, front, VIRTIO_BLK_T_OUT, 0, front_data(front));

	assert_int_equal(
		front_acknowledged(front,
				   &(struct front_message){
					   .type = VHOST_USER_RESET_DEVICE,
				   }),
		0);
	expect_failed(front, slot);
	release_all(server);
	front_destroy(front);
	server_stop(server);
}

/*
 * A front-end that hung up may come back with its region: its requests aren't
 * failed but carried out again, behind the fence of the real pipeline.
 */
static void a_front_end_that_hangs_up_is_let_go_and_may_come_back(void **state)
{
	struct server *server = *state;
	struct front *front = connect_front(server, &(struct front_options){0});
	uint8_t *data = front_data(front);
	struct front_completion completion;

	hold(server, front, VIRTIO_BLK_T_IN, 0, data);
	front_disconnect(front);
	/* Waits for the one before, which takes the deadline. */
	assert_int_equal(front_connect(front), 0);
	assert_int_equal(front->queues[0].used->idx, 0);
	server_wait_in_flight(server, 2);
	assert_int_equal(server_counts(server).replayed, 1);
	release_all(server);
	assert_int_equal(front_wait(front, 0, 10000), 0);
	assert_int_equal(front_reap(&front->queues[0], &completion, 1), 1);
	assert_int_equal(completion.status, VIRTIO_BLK_S_OK);
	front_destroy(front);
	server_stop(server);
}

static void nothing_leaks_when_requests_end_late(void **state)
{
	struct server *server = *state;
	unsigned int before = server_counts(server).open_descriptors;

	for (unsigned int i = 0; i < 3; i++) {
		struct front *front =
			connect_front(server, &(struct front_options){0});

		hold(server, front, VIRTIO_BLK_T_IN, 0, front_data(front));
		front_destroy(front);
	}
	for (int i = 0; i < 5000 && server_counts(server).connected; i++)
		usleep(1000);
	assert_false(server_counts(server).connected);
	assert_int_equal(server_counts(server).open_descriptors, before);
	assert_int_equal(server_counts(server).pipeline.in_flight, 3);
	release_all(server);
	/* Every request and its memory is back, or this would abort. */
	server_stop(server);
}

static void accept_log_all(struct front *front)
{
	uint64_t features = front->features | UINT64_C(1) << VHOST_F_LOG_ALL;

	assert_int_equal(
		front_acknowledged(front,
				   &(struct front_message){
					   .type = VHOST_USER_SET_FEATURES,
					   .payload = &features,
					   .bytes = sizeof(features),
				   }),
		0);
}

static void ask_base(struct front *front)
{
	const struct vhost_user_vring_state stop = {.index = 0};

	assert_int_equal(front_send(front,
				    &(struct front_message){
					    .type = VHOST_USER_GET_VRING_BASE,
					    .payload = &stop,
					    .bytes = sizeof(stop),
				    }),
			 0);
}

/* Longer than the deadline of a stop that isn't one of a migration. */
static void expect_no_answer(struct server *server, struct front *front)
{
	char byte;

	for (int i = 0; i < 5000 && !server_counts(server).overdue; i++)
		usleep(1000);
	assert_true(server_counts(server).overdue);
	assert_int_equal(recv(front->socket, &byte, 1, MSG_DONTWAIT | MSG_PEEK),
			 -1);
}

static void expect_answer(struct server *server, struct front *front)
{
	union vhost_user_payload answer;
	struct front_completion completion;

	assert_int_equal(front_receive(front, VHOST_USER_GET_VRING_BASE,
				       &answer, NULL, NULL),
			 0);
	assert_false(server_counts(server).overdue);
	assert_int_equal(front_reap(&front->queues[0], &completion, 1), 1);
	assert_int_equal(completion.status, VIRTIO_BLK_S_OK);
	assert_int_equal(server_counts(server).pipeline.abandoned, 0);
}

/* What runs on the other side is this guest: it must get every request. */
static void a_migration_waits_for_as_long_as_it_takes(void **state)
{
	struct server *server = *state;
	struct front *front = connect_front(server, &(struct front_options){0});

	accept_log_all(front);
	hold(server, front, VIRTIO_BLK_T_OUT, 0, front_data(front));
	ask_base(front);
	expect_no_answer(server, front);
	release_all(server);
	expect_answer(server, front);
	front_destroy(front);
	server_stop(server);
}

/* The other host doesn't get the in-flight region. */
static void a_migration_waits_for_what_a_parked_disk_has_to_replay(void **state)
{
	struct server *server = *state;
	struct front *front = connect_front(server, &(struct front_options){0});

	hold(server, front, VIRTIO_BLK_T_OUT, 0, front_data(front));
	server_kill(server);
	server->parked = true;
	server_start(server);
	assert_int_equal(front_connect(front), 0);
	accept_log_all(front);
	ask_base(front);
	expect_no_answer(server, front);
	server_unpark(server);
	expect_answer(server, front);
	assert_int_equal(server_counts(server).replayed, 1);
	front_destroy(front);
	server_stop(server);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_stop_ends_in_time_with_an_error_for_the_guest),
		TEST(a_stop_waits_for_requests_that_end_in_time),
		TEST(a_read_that_ends_late_reaches_nobody),
		TEST(a_write_that_ends_late_has_its_own_data),
		TEST(what_waits_for_the_bounce_buffer_never_reaches_the_disk),
		TEST(requests_of_all_queues_are_given_up_at_once),
		TEST(a_reset_message_ends_in_time_too),
		TEST(a_front_end_that_hangs_up_is_let_go_and_may_come_back),
		TEST(nothing_leaks_when_requests_end_late),
		TEST(a_migration_waits_for_as_long_as_it_takes),
		TEST(a_migration_waits_for_what_a_parked_disk_has_to_replay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
