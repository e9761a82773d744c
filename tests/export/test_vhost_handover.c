// SPDX-License-Identifier: Apache-2.0
/*
 * test_vhost_handover.c - the answer that lets a VM run elsewhere, and VMMs
 * that ask for it in different orders.
 */
#include "vhost_server.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUES 2u

static int setup(void **state)
{
	static struct server server;

	server_init(&server);
	server.follows = true;
	server_start(&server);
	*state = &server;
	return 0;
}

static int teardown(void **state)
{
	server_cleanup(*state);
	return 0;
}

static struct front *connect_two(struct server *server)
{
	return connect_front(server,
			     &(struct front_options){.queue_count = QUEUES});
}

static void tell(struct front *front, uint32_t type, const void *payload,
		 uint32_t bytes)
{
	assert_int_equal(front_acknowledged(front,
					    &(struct front_message){
						    .type = type,
						    .payload = payload,
						    .bytes = bytes,
					    }),
			 0);
}

/* As a VMM does when a migration begins; what it logs is not looked at here. */
static void begin_logging(struct front *front)
{
	uint64_t features = front->features | UINT64_C(1) << VHOST_F_LOG_ALL;

	tell(front, VHOST_USER_SET_FEATURES, &features, sizeof(features));
}

static void ask_base(struct front *front, unsigned int queue)
{
	const struct vhost_user_vring_state state = {.index = queue};

	assert_int_equal(front_send(front,
				    &(struct front_message){
					    .type = VHOST_USER_GET_VRING_BASE,
					    .payload = &state,
					    .bytes = sizeof(state),
				    }),
			 0);
}

static void expect_base(struct front *front, unsigned int queue)
{
	union vhost_user_payload answer;

	assert_int_equal(front_receive(front, VHOST_USER_GET_VRING_BASE,
				       &answer, NULL, NULL),
			 0);
	assert_int_equal(answer.vring_state.index, queue);
	assert_int_equal(answer.vring_state.number,
			 front->queues[queue].used->idx);
}

static void wait_hand_overs(struct server *server, unsigned int count)
{
	for (int i = 0; i < 5000 && server_counts(server).hand_overs < count;
	     i++)
		usleep(1000);
	assert_int_equal(server_counts(server).hand_overs, count);
}

/* It was asked a while ago: server_counts() has made a turn of the loop. */
static void expect_silence(struct front *front)
{
	char byte;

	assert_int_equal(recv(front->socket, &byte, 1, MSG_DONTWAIT | MSG_PEEK),
			 -1);
}

static void write_one(struct front *front, unsigned int queue,
		      unsigned int value)
{
	memset(front_data(front), (int)value, 4096);
	assert_int_equal(transfer(front, queue, VIRTIO_BLK_T_OUT, value * 8,
				  front_data(front), 4096),
			 VIRTIO_BLK_S_OK);
}

static void check_one(struct front *front, unsigned int queue,
		      unsigned int value)
{
	uint8_t *data = front_data(front);

	memset(data, 0, 4096);
	assert_int_equal(
		transfer(front, queue, VIRTIO_BLK_T_IN, value * 8, data, 4096),
		VIRTIO_BLK_S_OK);
	assert_int_equal(data[4095], value);
}

static void the_last_queues_answer_waits_until_the_disk_is_let_go(void **state)
{
	struct server *server = *state;
	struct front *front = connect_two(server);

	write_one(front, 0, 1);
	write_one(front, 1, 2);
	begin_logging(front);
	ask_base(front, 0);
	expect_base(front, 0);
	assert_int_equal(server_counts(server).hand_overs, 0);
	ask_base(front, 1);
	wait_hand_overs(server, 1);
	expect_silence(front);
	server_let_go(server);
	expect_base(front, 1);
	front_destroy(front);
	server_stop(server);
}

static void after_a_status_of_0_the_first_answer_waits(void **state)
{
	struct server *server = *state;
	struct front *front = connect_two(server);
	const uint64_t status = 0;

	write_one(front, 0, 1);
	write_one(front, 1, 2);
	begin_logging(front);
	tell(front, VHOST_USER_SET_STATUS, &status, sizeof(status));
	ask_base(front, 0);
	wait_hand_overs(server, 1);
	expect_silence(front);
	server_let_go(server);
	expect_base(front, 0);
	ask_base(front, 1);
	expect_base(front, 1);
	front_destroy(front);
	server_stop(server);
}

static void a_vm_that_only_stops_is_answered_at_once(void **state)
{
	struct server *server = *state;
	struct front *front = connect_two(server);

	write_one(front, 0, 1);
	for (unsigned int queue = 0; queue < QUEUES; queue++) {
		ask_base(front, queue);
		expect_base(front, queue);
	}
	assert_int_equal(server_counts(server).hand_overs, 0);
	front_destroy(front);
	server_stop(server);
}

/* The migration has failed elsewhere, the VMM begins anew. */
static void a_vm_that_runs_again_has_its_disk_back(void **state)
{
	struct server *server = *state;
	struct front *front = connect_two(server);

	write_one(front, 0, 1);
	begin_logging(front);
	for (unsigned int queue = 0; queue < QUEUES; queue++)
		ask_base(front, queue);
	expect_base(front, 0);
	wait_hand_overs(server, 1);
	server_let_go(server);
	expect_base(front, 1);
	assert_int_equal(server_counts(server).arrivals, 0);
	assert_int_equal(front_negotiate(front), 0);
	assert_int_equal(front_start(front), 0);
	check_one(front, 1, 1);
	write_one(front, 0, 3);
	check_one(front, 0, 3);
	assert_int_equal(server_counts(server).arrivals, 1);
	front_destroy(front);
	server_stop(server);
}

static void a_vmm_that_dies_meanwhile_leaves_a_disk_that_can_be_had(
	void **state)
{
	struct server *server = *state;
	struct front *front = connect_two(server);

	write_one(front, 0, 1);
	begin_logging(front);
	ask_base(front, 0);
	ask_base(front, 1);
	expect_base(front, 0);
	wait_hand_overs(server, 1);
	front_destroy(front);
	server_let_go(server);
	front = connect_two(server);
	check_one(front, 0, 1);
	front_destroy(front);
	server_stop(server);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_last_queues_answer_waits_until_the_disk_is_let_go),
		TEST(after_a_status_of_0_the_first_answer_waits),
		TEST(a_vm_that_only_stops_is_answered_at_once),
		TEST(a_vm_that_runs_again_has_its_disk_back),
		TEST(a_vmm_that_dies_meanwhile_leaves_a_disk_that_can_be_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
