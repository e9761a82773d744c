// SPDX-License-Identifier: Apache-2.0
/*
 * test_vhost_patterns.c - what other vhost-user servers got wrong once, tried
 * on ours. SECURITY.md says who and where.
 */
#include "vhost_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK_BYTES 4096u
#define ROUNDS 50u
#define FDS_WITH_A_MESSAGE 8u

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

static void check_works(struct front *front)
{
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, 0,
				  front_data(front), BLOCK_BYTES),
			 VIRTIO_BLK_S_OK);
}

static int set_inflight(struct front *front,
			const struct vhost_user_inflight *shape, const int *fds,
			unsigned int fd_count)
{
	return front_acknowledged(front,
				  &(struct front_message){
					  .type = VHOST_USER_SET_INFLIGHT_FD,
					  .payload = shape,
					  .bytes = sizeof(*shape),
					  .fds = fds,
					  .fd_count = fd_count,
				  });
}

static void a_queue_number_is_not_cut_to_fewer_bits(void **state)
{
	static const uint32_t types[] = {
		VHOST_USER_SET_VRING_NUM,
		VHOST_USER_SET_VRING_BASE,
		VHOST_USER_SET_VRING_ENABLE,
	};
	static const uint32_t indexes[] = {1u << 8, 1u << 16, 1u << 31,
					   UINT32_MAX};
	struct front *front = plain_front(*state);

	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		for (unsigned int k = 0;
		     k < sizeof(indexes) / sizeof(indexes[0]); k++) {
			struct vhost_user_vring_state bad = {
				.index = indexes[k],
				.number = 1,
			};

			assert_int_equal(
				front_acknowledged(front,
						   &(struct front_message){
							   .type = types[i],
							   .payload = &bad,
							   .bytes = sizeof(bad),
						   }),
				-EREMOTEIO);
		}
	}
	check_works(front);
	front_destroy(front);
	server_stop(*state);
}

static void asking_for_in_flight_regions_again_leaks_nothing(void **state)
{
	struct front *front = plain_front(*state);
	unsigned int before = server_counts(*state).open_descriptors;
	struct vhost_user_inflight shape = {.queue_count = 1,
					    .queue_size = 128};
	union vhost_user_payload answer;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		int fd = -1;

		assert_int_equal(
			front_send(front,
				   &(struct front_message){
					   .type = VHOST_USER_GET_INFLIGHT_FD,
					   .payload = &shape,
					   .bytes = sizeof(shape),
				   }),
			0);
		assert_int_equal(front_receive(front,
					       VHOST_USER_GET_INFLIGHT_FD,
					       &answer, NULL, &fd),
				 0);
		assert_true(fd >= 0);
		close(fd);
	}
	assert_int_equal(server_counts(*state).open_descriptors, before);
	check_works(front);
	front_destroy(front);
	server_stop(*state);
}

static void descriptors_that_no_message_wants_are_closed(void **state)
{
	struct front *front = plain_front(*state);
	unsigned int before = server_counts(*state).open_descriptors;
	struct vhost_user_inflight shape = {.queue_count = 1,
					    .queue_size = 128};
	int fds[FDS_WITH_A_MESSAGE];

	for (unsigned int i = 0; i < FDS_WITH_A_MESSAGE; i++)
		fds[i] = front->memory_fd;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		union vhost_user_payload answer;
		int fd = -1;

		assert_int_equal(
			front_send(front,
				   &(struct front_message){
					   .type = VHOST_USER_GET_INFLIGHT_FD,
					   .payload = &shape,
					   .bytes = sizeof(shape),
					   .fds = fds,
					   .fd_count = FDS_WITH_A_MESSAGE,
				   }),
			0);
		assert_int_equal(front_receive(front,
					       VHOST_USER_GET_INFLIGHT_FD,
					       &answer, NULL, &fd),
				 0);
		close(fd);
		assert_int_equal(
			set_inflight(front, &shape, fds, FDS_WITH_A_MESSAGE),
			-EREMOTEIO);
	}
	assert_int_equal(server_counts(*state).open_descriptors, before);
	check_works(front);
	front_destroy(front);
	server_stop(*state);
}

static void an_in_flight_region_must_hold_what_it_says(void **state)
{
	struct front *front = plain_front(*state);
	struct vhost_user_inflight good = front->inflight;
	struct vhost_user_inflight bad[] = {good, good, good, good,
					    good, good, good};
	int fd = memfd_create("short", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(front_stop(front), 0);
	bad[0].queue_count = UINT16_MAX; /* more than there are */
	bad[1].queue_count = 0;
	bad[2].queue_size = UINT16_MAX; /* longer than any queue */
	bad[3].queue_size = 0;
	bad[4].mmap_bytes = 1; /* less than the queues take */
	bad[5].mmap_offset = UINT64_MAX - 4095; /* around the end */
	bad[6].mmap_offset = UINT64_C(1) << 40; /* behind the file's end */
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			set_inflight(front, &bad[i], &front->inflight_fd, 1),
			-EREMOTEIO);
	/* A file that is shorter than the message says. */
	assert_int_equal(set_inflight(front, &good, &fd, 1), -EREMOTEIO);
	assert_int_equal(set_inflight(front, &good, &front->inflight_fd, 1), 0);
	close(fd);
	front_destroy(front);
	server_stop(*state);
}

static void a_queue_longer_than_its_in_flight_region_is_refused(void **state)
{
	struct front *front = plain_front(*state);
	struct vhost_user_inflight shape = {.queue_count = 1, .queue_size = 16};
	union vhost_user_payload answer;
	int fd = -1;

	assert_int_equal(front_stop(front), 0);
	assert_int_equal(front_send(front,
				    &(struct front_message){
					    .type = VHOST_USER_GET_INFLIGHT_FD,
					    .payload = &shape,
					    .bytes = sizeof(shape),
				    }),
			 0);
	assert_int_equal(front_receive(front, VHOST_USER_GET_INFLIGHT_FD,
				       &answer, NULL, &fd),
			 0);
	assert_int_equal(set_inflight(front, &answer.inflight, &fd, 1), 0);
	/* It gives the region, and then starts queues that are longer. */
	close(front->inflight_fd);
	front->inflight_fd = fd;
	front->inflight = answer.inflight;
	assert_int_not_equal(front_start(front), 0);
	front_destroy(front);
	front = plain_front(*state);
	check_works(front);
	front_destroy(front);
	server_stop(*state);
}

/* Returns: whether the server takes a log of that shape. */
static bool log_taken(struct front *front, uint64_t bytes, uint64_t offset)
{
	const struct vhost_user_log log = {
		.mmap_bytes = bytes,
		.mmap_offset = offset,
	};
	union vhost_user_payload answer;

	assert_int_equal(front_send(front,
				    &(struct front_message){
					    .type = VHOST_USER_SET_LOG_BASE,
					    .payload = &log,
					    .bytes = sizeof(log),
					    .fds = &front->log_fd,
					    .fd_count = 1,
				    }),
			 0);
	return front_receive(front, VHOST_USER_SET_LOG_BASE, &answer, NULL,
			     NULL) == 0;
}

/* Both end a connection, so each has one of its own. */
static struct front *logging_front(struct server *server)
{
	struct front *front =
		connect_front(server, &(struct front_options){.log = true});

	assert_int_equal(front_log_start(front), 0);
	return front;
}

static void refuse_log(struct server *server, uint64_t bytes, uint64_t offset)
{
	struct front *front = logging_front(server);

	assert_false(log_taken(front, bytes, offset));
	front_destroy(front);
}

static void refuse_ring_log(struct server *server, uint64_t place)
{
	struct front *front = logging_front(server);
	const struct vhost_user_vring_address address = {
		.flags = VHOST_USER_VRING_LOG,
		.descriptor = (uintptr_t)front->queues[0].descriptors,
		.available = (uintptr_t)front->queues[0].available,
		.used = (uintptr_t)front->queues[0].used,
		.log = place,
	};

	assert_int_equal(
		front_acknowledged(front,
				   &(struct front_message){
					   .type = VHOST_USER_SET_VRING_ADDR,
					   .payload = &address,
					   .bytes = sizeof(address),
				   }),
		-EREMOTEIO);
	front_destroy(front);
}

/*
 * The sum of its size and offset is small when it is cut to 64 bits, and the
 * file is that large; so is the place of a ring's end in it.
 */
static void a_log_around_the_end_of_numbers_is_refused(void **state)
{
	static const uint64_t places[] = {UINT64_MAX, UINT64_MAX - 7,
					  UINT64_MAX - 4095, UINT64_C(1) << 63};
	struct front *front;

	for (unsigned int i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		refuse_ring_log(*state, places[i]);
		refuse_log(*state, 4096, places[i]);
	}
	/* A page would be mapped for it. */
	refuse_log(*state, UINT64_MAX - 49, 100);
	front = plain_front(*state);
	check_works(front);
	front_destroy(front);
	server_stop(*state);
}

static int set_event(struct front *front, uint32_t type, int fd)
{
	const uint64_t queue = 0;

	return front_acknowledged(front, &(struct front_message){
						 .type = type,
						 .payload = &queue,
						 .bytes = sizeof(queue),
						 .fds = &fd,
						 .fd_count = 1,
					 });
}

/* It can be handed over, and that is all that it can. */
static int open_path_only(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_PATH | O_CLOEXEC);
}

static void what_is_no_eventfd_is_refused(void **state)
{
	static const uint32_t types[] = {
		VHOST_USER_SET_VRING_KICK,
		VHOST_USER_SET_VRING_CALL,
		VHOST_USER_SET_VRING_ERR,
	};
	struct front *front = plain_front(*state);
	unsigned int before = server_counts(*state).open_descriptors;
	int pipe_fds[2];
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int path_only = open_path_only(event);

	assert_true(event >= 0 && path_only >= 0);
	assert_int_equal(pipe(pipe_fds), 0);
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		assert_int_equal(set_event(front, types[i], path_only),
				 -EREMOTEIO);
		assert_int_equal(set_event(front, types[i], pipe_fds[1]),
				 -EREMOTEIO);
		assert_int_equal(set_event(front, types[i], front->memory_fd),
				 -EREMOTEIO);
	}
	assert_int_equal(server_counts(*state).open_descriptors, before);
	check_works(front);
	close(path_only);
	close(event);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	front_destroy(front);
	server_stop(*state);
}

static void an_interrupt_that_nobody_takes_stops_nothing(void **state)
{
	struct front *front = plain_front(*state);
	struct front_queue *queue = &front->queues[0];
	struct front_completion completion;
	union vhost_user_payload answer;
	int full = eventfd(0, EFD_CLOEXEC); /* one that lets its writer wait */
	const struct front_request flush = {.type = VIRTIO_BLK_T_FLUSH};
	struct front_slot *slot;
	unsigned int reaped = 0;

	assert_true(full >= 0);
	assert_int_equal(eventfd_write(full, UINT64_MAX - 1), 0);
	assert_int_equal(set_event(front, VHOST_USER_SET_VRING_CALL, full), 0);
	assert_false(front_arm(queue));
	assert_int_equal(front_submit(front, 0, &flush, &slot), 0);
	front_kick(queue);
	for (int i = 0; i < 10000 && reaped == 0; i++) {
		reaped = front_reap(queue, &completion, 1);
		usleep(1000);
	}
	assert_int_equal(reaped, 1);
	assert_int_equal(front_send(front,
				    &(struct front_message){
					    .type = VHOST_USER_GET_FEATURES}),
			 0);
	assert_int_equal(front_receive(front, VHOST_USER_GET_FEATURES, &answer,
				       NULL, NULL),
			 0);
	close(full);
	front_destroy(front);
	server_stop(*state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_queue_number_is_not_cut_to_fewer_bits),
		TEST(asking_for_in_flight_regions_again_leaks_nothing),
		TEST(descriptors_that_no_message_wants_are_closed),
		TEST(an_in_flight_region_must_hold_what_it_says),
		TEST(a_queue_longer_than_its_in_flight_region_is_refused),
		TEST(a_log_around_the_end_of_numbers_is_refused),
		TEST(what_is_no_eventfd_is_refused),
		TEST(an_interrupt_that_nobody_takes_stops_nothing),
	};

	return cmocka_run_group_tests_name("vhost_patterns", tests, NULL, NULL);
}
