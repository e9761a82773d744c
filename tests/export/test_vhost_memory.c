// SPDX-License-Identifier: Apache-2.0
/*
 * test_vhost_memory.c - a VMM that takes memory back that it has shared loses
 * its connection, and nobody else loses anything.
 *
 * A front's memory is gone for the front, too: after it was taken the tests
 * touch none of it, and kick by hand.
 */
#include "vhost_server.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK_BYTES 4096u
/* A write that failed may have been carried out, or not. */
#define ANYTHING (-1)

static int setup(void **state)
{
	static struct server server;

	server_init(&server);
	server_start(&server);
	*state = &server;
	return 0;
}

static int setup_packed(void **state)
{
	setup(state);
	((struct server *)*state)->packed = true;
	return 0;
}

/* A device doesn't wait for long for requests that don't end. */
static int setup_hurried(void **state)
{
	static struct server server;

	server_init(&server);
	server.stop_deadline_ms = 100;
	server_start(&server);
	*state = &server;
	return 0;
}

static int setup_hurried_packed(void **state)
{
	setup_hurried(state);
	((struct server *)*state)->packed = true;
	return 0;
}

static int teardown(void **state)
{
	server_cleanup(*state);
	return 0;
}

static struct front_request request_of(uint32_t type, const struct iovec *data)
{
	return (struct front_request){
		.type = type,
		.segments = data,
		.segment_count = 1,
	};
}

static void submit(struct front *front, uint32_t type, const struct iovec *data)
{
	struct front_request request = request_of(type, data);
	struct front_slot *slot;

	assert_int_equal(front_submit(front, 0, &request, &slot), 0);
}

static void kick(struct front *front)
{
	uint64_t one = 1;

	assert_int_equal(write(front->queues[0].kick_fd, &one, sizeof(one)),
			 sizeof(one));
}

static void take_memory(struct front *front, size_t left_bytes)
{
	assert_int_equal(ftruncate(front->memory_fd, (off_t)left_bytes), 0);
}

static void wait_disconnected(struct server *server, struct front *front)
{
	unsigned int tries = 2000;

	while (front_connected(front) && tries-- > 0)
		usleep(10000);
	assert_false(front_connected(front));
	front_destroy(front);
	tries = 2000;
	while (server_counts(server).connected && tries-- > 0)
		usleep(10000);
	assert_false(server_counts(server).connected);
}

/* A VM with memory gets what it wants. */
static void check_served(struct server *server, int first_byte)
{
	struct front *front = connect_front(server, &(struct front_options){0});
	uint8_t *data = front_data(front);

	assert_int_equal(
		transfer(front, 0, VIRTIO_BLK_T_IN, 0, data, BLOCK_BYTES),
		VIRTIO_BLK_S_OK);
	if (first_byte != ANYTHING)
		assert_int_equal(data[0], first_byte);
	front_destroy(front);
}

static void memory_that_is_gone_when_a_kick_comes_ends_the_connection(
	void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});

	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, 0,
				  front_data(front), BLOCK_BYTES),
			 VIRTIO_BLK_S_OK);
	take_memory(front, 0);
	kick(front);
	wait_disconnected(*state, front);
	check_served(*state, 0);
	server_stop(*state);
}

static void memory_that_goes_while_requests_are_in_flight_ends_them(
	void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	struct iovec data = {front_data(front), BLOCK_BYTES};

	server_set_order(*state, MEMORY_PIPELINE_HELD);
	memset(data.iov_base, 'w', BLOCK_BYTES);
	for (unsigned int i = 0; i < 8; i++)
		submit(front, VIRTIO_BLK_T_OUT, &data);
	front_kick(&front->queues[0]);
	server_wait_in_flight(*state, 8);
	take_memory(front, 0);
	server_release(*state, 8);
	wait_disconnected(*state, front);
	server_set_order(*state, MEMORY_PIPELINE_AT_ONCE);
	assert_int_equal(server_counts(*state).pipeline.in_flight, 0);
	check_served(*state, ANYTHING);
	server_stop(*state);
}

static void hold(struct server *server, struct front *front)
{
	struct iovec out = {front_data(front), BLOCK_BYTES};
	struct iovec in = {front_data(front) + BLOCK_BYTES, BLOCK_BYTES};
	struct iovec odd = {front_data(front) + 2 * BLOCK_BYTES + 8,
			    BLOCK_BYTES};

	server_set_order(server, MEMORY_PIPELINE_HELD);
	memset(out.iov_base, 'w', BLOCK_BYTES);
	submit(front, VIRTIO_BLK_T_OUT, &out);
	submit(front, VIRTIO_BLK_T_IN, &in);
	submit(front, VIRTIO_BLK_T_IN, &odd);
	front_kick(&front->queues[0]);
	server_wait_in_flight(server, 3);
}

static void let_go(struct server *server)
{
	server_set_order(server, MEMORY_PIPELINE_AT_ONCE);
	server_release(server, 3);
	server_wait_in_flight(server, 0);
}

static void memory_goes_before_its_stuck_requests_are_given_up(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});

	hold(*state, front);
	take_memory(front, 0);
	kick(front);
	wait_disconnected(*state, front);
	assert_int_equal(server_counts(*state).pipeline.in_flight, 3);
	let_go(*state);
	check_served(*state, ANYTHING);
	server_stop(*state);
}

static void memory_goes_after_its_stuck_requests_were_given_up(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});

	hold(*state, front);
	assert_int_equal(front_stop(front), 0);
	assert_int_equal(front_start(front), 0);
	take_memory(front, 0);
	kick(front);
	wait_disconnected(*state, front);
	let_go(*state);
	check_served(*state, ANYTHING);
	server_stop(*state);
}

static void data_that_are_gone_are_not_written_as_zeros(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	/* Unaligned, so that it is copied by us, and behind the cut. */
	struct iovec data = {front_data(front) + BLOCK_BYTES + 8, BLOCK_BYTES};

	memset(front_data(front), 'v', BLOCK_BYTES);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_OUT, 0,
				  front_data(front), BLOCK_BYTES),
			 VIRTIO_BLK_S_OK);
	submit(front, VIRTIO_BLK_T_OUT, &data);
	take_memory(front, front->data_offset + BLOCK_BYTES);
	front_kick(&front->queues[0]);
	kick(front);
	wait_disconnected(*state, front);
	assert_int_equal(server_counts(*state).pipeline.requests[FOREBAY_WRITE],
			 1);
	check_served(*state, 'v');
	server_stop(*state);
}

static void rings_that_are_gone_end_the_connection(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.two_regions = true});

	take_memory(front, 0);
	for (unsigned int i = 0; i < 3; i++)
		kick(front);
	wait_disconnected(*state, front);
	check_served(*state, 0);
	server_stop(*state);
}

static void an_in_flight_region_that_is_gone_is_only_forgotten(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	uint8_t region[1 << 16];
	int fd = memfd_create("inflight", MFD_CLOEXEC);
	size_t bytes = front->inflight.mmap_bytes;

	assert_true(fd >= 0 && bytes <= sizeof(region));
	assert_int_equal(pread(front->inflight_fd, region, bytes, 0), bytes);
	assert_int_equal(write(fd, region, bytes), bytes);
	front_disconnect(front);
	/* The server's own is sealed; this one isn't. */
	close(front->inflight_fd);
	front->inflight_fd = fd;
	assert_int_equal(front_connect(front), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, 0,
					  front_data(front), BLOCK_BYTES),
				 VIRTIO_BLK_S_OK);
	front_destroy(front);
	server_stop(*state);
}

static struct front *connect_migrating(struct server *server)
{
	struct front *front =
		connect_front(server, &(struct front_options){.log = true});

	assert_int_equal(front_log_start(front), 0);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, 0,
				  front_data(front), BLOCK_BYTES),
			 VIRTIO_BLK_S_OK);
	return front;
}

/* All but the log is still there, and the guest gets what it was owed. */
static void a_log_that_is_gone_ends_the_connection(void **state)
{
	struct front *front = connect_migrating(*state);
	struct iovec data = {front_data(front), BLOCK_BYTES};
	struct front_completion completion = {.status = 0xff};

	server_set_order(*state, MEMORY_PIPELINE_HELD);
	submit(front, VIRTIO_BLK_T_IN, &data);
	front_kick(&front->queues[0]);
	server_wait_in_flight(*state, 1);
	assert_int_equal(ftruncate(front->log_fd, 0), 0);
	server_set_order(*state, MEMORY_PIPELINE_AT_ONCE);
	server_release(*state, 1);
	for (unsigned int tries = 2000; front_connected(front) && tries-- > 0;)
		usleep(10000);
	assert_int_equal(front_reap(&front->queues[0], &completion, 1), 1);
	assert_int_equal(completion.status, VIRTIO_BLK_S_OK);
	wait_disconnected(*state, front);
	check_served(*state, 0);
	server_stop(*state);
}

/* Only the wish for kicks is marked then, by who goes to sleep. */
static void a_log_that_goes_while_nothing_happens_ends_it_with_a_kick(
	void **state)
{
	struct front *front = connect_migrating(*state);

	assert_int_equal(ftruncate(front->log_fd, 0), 0);
	kick(front);
	wait_disconnected(*state, front);
	check_served(*state, 0);
	server_stop(*state);
}

int main(void)
{
#define TEST(name)                                                    \
	cmocka_unit_test_setup_teardown(name, setup, teardown),       \
	{                                                             \
		PACKED_NAME(name), name, setup_packed, teardown, NULL \
	}
#define HURRIED(name)                                                         \
	cmocka_unit_test_setup_teardown(name, setup_hurried, teardown),       \
	{                                                                     \
		PACKED_NAME(name), name, setup_hurried_packed, teardown, NULL \
	}
	const struct CMUnitTest tests[] = {
		TEST(memory_that_is_gone_when_a_kick_comes_ends_the_connection),
		TEST(memory_that_goes_while_requests_are_in_flight_ends_them),
		HURRIED(memory_goes_before_its_stuck_requests_are_given_up),
		HURRIED(memory_goes_after_its_stuck_requests_were_given_up),
		TEST(data_that_are_gone_are_not_written_as_zeros),
		TEST(rings_that_are_gone_end_the_connection),
		TEST(an_in_flight_region_that_is_gone_is_only_forgotten),
		TEST(a_log_that_is_gone_ends_the_connection),
		TEST(a_log_that_goes_while_nothing_happens_ends_it_with_a_kick),
	};

	return cmocka_run_group_tests_name("vhost_memory", tests, NULL, NULL);
}
