// SPDX-License-Identifier: Apache-2.0
/*
 * test_vhost_replay.c - kill -9 of the server with requests in flight that
 * complete out of order; the next one takes up exactly what the guest hasn't
 * got back.
 *
 * Each server has a memory of its own, so that what a request wrote tells
 * which server carried it out.
 */
#include "vhost_server.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BLOCK_BYTES 4096u

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

static int teardown(void **state)
{
	server_cleanup(*state);
	return 0;
}

/* One write of a block full of @value; its memory is block @place of data. */
static void submit_write(struct front *front, unsigned int queue,
			 unsigned int place, unsigned int block, int value)
{
	struct iovec segment = {
		.iov_base = front_data(front) + (size_t)place * BLOCK_BYTES,
		.iov_len = BLOCK_BYTES,
	};
	struct front_request request = {
		.type = VIRTIO_BLK_T_OUT,
		.sector = (uint64_t)block * (BLOCK_BYTES / 512),
		.segments = &segment,
		.segment_count = 1,
	};
	struct front_slot *slot;

	memset(segment.iov_base, value, BLOCK_BYTES);
	assert_int_equal(front_submit(front, queue, &request, &slot), 0);
}

static unsigned int reap(struct front *front, unsigned int queue,
			 unsigned int count)
{
	struct front_completion completion;
	unsigned int done = 0;

	while (done < count) {
		assert_int_equal(front_wait(front, queue, 10000), 0);
		while (front_reap(&front->queues[queue], &completion, 1) == 1) {
			assert_int_equal(completion.status, VIRTIO_BLK_S_OK);
			done++;
		}
	}
	return done;
}

static int first_byte(struct front *front, unsigned int block)
{
	uint8_t *data = front_data(front) + (size_t)200 * BLOCK_BYTES;

	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN,
				  (uint64_t)block * (BLOCK_BYTES / 512), data,
				  BLOCK_BYTES),
			 VIRTIO_BLK_S_OK);
	return data[0];
}

static void restart(struct server *server, struct front *front)
{
	server_kill(server);
	server_start(server);
	assert_int_equal(front_connect(front), 0);
}

static void a_kill_replays_exactly_what_was_not_returned(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});

	server_set_order(*state, MEMORY_PIPELINE_HELD);
	for (unsigned int i = 0; i < 40; i++)
		submit_write(front, 0, i, i, (int)i + 1);
	front_kick(&front->queues[0]);
	server_wait_in_flight(*state, 40);
	/* The newest 15 complete: the ring's order isn't the heads' order. */
	assert_int_equal(server_release(*state, 15), 15);
	reap(front, 0, 15);
	restart(*state, front);
	reap(front, 0, 25);
	assert_int_equal(server_counts(*state).replayed, 25);
	assert_int_equal(server_counts(*state).pipeline.requests[FOREBAY_WRITE],
			 25);
	for (unsigned int i = 0; i < 40; i++)
		assert_int_equal(first_byte(front, i), i < 25 ? i + 1 : 0);
	front_destroy(front);
	server_stop(*state);
}

static void the_first_descriptor_is_replayed_too(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});

	server_set_order(*state, MEMORY_PIPELINE_HELD);
	submit_write(front, 0, 0, 3, 77);
	front_kick(&front->queues[0]);
	server_wait_in_flight(*state, 1);
	restart(*state, front);
	reap(front, 0, 1);
	assert_int_equal(first_byte(front, 3), 77);
	front_destroy(front);
}

static void replay_keeps_the_order_of_submission(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});

	/* Wear the slots, so that heads don't come in ascending order. */
	server_set_order(*state, MEMORY_PIPELINE_LATER_REVERSED);
	for (unsigned int i = 0; i < 64; i++)
		submit_write(front, 0, i, i, 1);
	front_kick(&front->queues[0]);
	reap(front, 0, 64);
	server_set_order(*state, MEMORY_PIPELINE_HELD);
	for (unsigned int i = 0; i < 30; i++)
		submit_write(front, 0, i, 100 + i % 3, (int)i + 1);
	front_kick(&front->queues[0]);
	server_wait_in_flight(*state, 30);
	restart(*state, front);
	reap(front, 0, 30);
	/* The last write to each block was submitted last. */
	assert_int_equal(first_byte(front, 100), 28);
	assert_int_equal(first_byte(front, 101), 29);
	assert_int_equal(first_byte(front, 102), 30);
	front_destroy(front);
}

/* A release is only safe from the kill when the guest sees it. */
static void wait_returned(struct front *front, unsigned int count)
{
	for (int i = 0; i < 10000; i++) {
		unsigned int returned = 0;

		for (unsigned int j = 0; j < front->options.queue_count; j++)
			returned +=
				(unsigned int)front_returned(&front->queues[j]);
		if (returned == count)
			return;
		usleep(1000);
	}
	fail_msg("the guest didn't get %u requests back", count);
}

static void replay_survives_one_kill_after_the_other(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.queue_count = 2});

	server_set_order(*state, MEMORY_PIPELINE_HELD);
	for (unsigned int i = 0; i < 20; i++)
		submit_write(front, i % 2, i, i, (int)i + 1);
	front_kick(&front->queues[0]);
	front_kick(&front->queues[1]);
	server_wait_in_flight(*state, 20);
	for (unsigned int round = 0; round < 3; round++) {
		server_kill(*state);
		server_start(*state);
		server_set_order(*state, MEMORY_PIPELINE_HELD);
		assert_int_equal(front_connect(front), 0);
		server_wait_in_flight(*state, 20 - round * 4);
		assert_int_equal(server_release(*state, 4), 4);
		wait_returned(front, (round + 1) * 4);
	}
	server_release(*state, 100);
	reap(front, 0, 10);
	reap(front, 1, 10);
	front_destroy(front);
}

static void what_was_published_meanwhile_is_found(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});

	server_kill(*state);
	submit_write(front, 0, 0, 5, 55);
	front_kick(&front->queues[0]);
	server_start(*state);
	assert_int_equal(front_connect(front), 0);
	reap(front, 0, 1);
	assert_int_equal(first_byte(front, 5), 55);
	front_destroy(front);
}

static void a_lost_interrupt_is_made_up_for(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	struct front_queue *queue = &front->queues[0];
	eventfd_t count;

	submit_write(front, 0, 0, 0, 1);
	front_kick(queue);
	assert_int_equal(front_wait(front, 0, 10000), 0);
	/* The entry is there, the event is taken away: as if killed between. */
	(void)eventfd_read(queue->call_fd, &count);
	restart(*state, front);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), 0);
	front_destroy(front);
}

static void a_front_end_that_drops_its_connection_loses_nothing(void **state)
{
	const struct front_options variants[] = {
		{0},
		{.no_inflight = true},
	};

	for (unsigned int i = 0; i < 2; i++) {
		struct front *front = connect_front(*state, &variants[i]);

		server_set_order(*state, MEMORY_PIPELINE_HELD);
		for (unsigned int j = 0; j < 10; j++)
			submit_write(front, 0, j, j, (int)j + 1);
		front_kick(&front->queues[0]);
		server_wait_in_flight(*state, 10);
		front_disconnect(front);
		/* It waits in line until the old requests are done. */
		assert_int_equal(front_dial(front), 0);
		assert_int_equal(server_release(*state, 10), 10);
		server_set_order(*state, MEMORY_PIPELINE_AT_ONCE);
		assert_int_equal(front_negotiate(front), 0);
		assert_int_equal(front_start(front), 0);
		reap(front, 0, 10);
		assert_int_equal(server_counts(*state).replayed, 0);
		assert_int_equal(first_byte(front, 9), 10);
		front_destroy(front);
	}
	server_stop(*state);
}

/* As QEMU keeps the region over a migration's end: new region, old ring. */
static void a_new_region_under_an_old_ring_replays_nothing(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});

	for (unsigned int i = 0; i < 5; i++)
		submit_write(front, 0, i, i, 1);
	front_kick(&front->queues[0]);
	reap(front, 0, 5);
	assert_int_equal(front_stop(front), 0);
	front_disconnect(front);
	close(front->inflight_fd);
	front->inflight_fd = -1;
	assert_int_equal(front_connect(front), 0);
	server_set_order(*state, MEMORY_PIPELINE_HELD);
	submit_write(front, 0, 0, 0, 42);
	front_kick(&front->queues[0]);
	server_wait_in_flight(*state, 1);
	restart(*state, front);
	reap(front, 0, 1);
	assert_int_equal(first_byte(front, 0), 42);
	assert_int_equal(server_counts(*state).replayed, 1);
	front_destroy(front);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
/* With packed virtqueues too. */
#define BOTH(name)                                                    \
	TEST(name),                                                   \
	{                                                             \
		PACKED_NAME(name), name, setup_packed, teardown, NULL \
	}
	const struct CMUnitTest tests[] = {
		BOTH(a_kill_replays_exactly_what_was_not_returned),
		BOTH(the_first_descriptor_is_replayed_too),
		BOTH(replay_keeps_the_order_of_submission),
		BOTH(replay_survives_one_kill_after_the_other),
		BOTH(what_was_published_meanwhile_is_found),
		BOTH(a_lost_interrupt_is_made_up_for),
		BOTH(a_front_end_that_drops_its_connection_loses_nothing),
		BOTH(a_new_region_under_an_old_ring_replays_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
