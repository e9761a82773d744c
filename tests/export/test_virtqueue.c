// SPDX-License-Identifier: Apache-2.0
/*
 * test_virtqueue.c - the ring's arithmetic, and how a driver may cut requests
 * into descriptors. Malformed chains are in test_vhost_hostile.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first. */
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtio_blk.h"
#include "virtqueue.h"

#define SIZE 4u
#define GUEST UINT64_C(0x100000)
#define GUEST_BYTES (1u << 20)

struct fixture {
	struct virtqueue ring;
	struct vring_desc descriptors[SIZE];
	_Alignas(16) uint8_t available_bytes[64];
	_Alignas(16) uint8_t used_bytes[64];
	struct vring_avail *available;
	struct vring_used *used;
	struct guest_memory memory;
	uint8_t *guest;
	int fd;
};

static int setup(void **state)
{
	static struct fixture fixture;
	struct vhost_user_region region = {
		.guest_address = GUEST,
		.bytes = GUEST_BYTES,
		.user_address = 0x7000,
	};

	memset(&fixture, 0, sizeof(fixture));
	fixture.fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fixture.fd, GUEST_BYTES), 0);
	assert_int_equal(guest_memory_add(&fixture.memory, &region, fixture.fd),
			 0);
	fixture.guest =
		guest_memory_user(&fixture.memory, 0x7000, GUEST_BYTES, 1);
	fixture.ring.descriptors = fixture.descriptors;
	fixture.available = (void *)fixture.available_bytes;
	fixture.used = (void *)fixture.used_bytes;
	fixture.ring.available = fixture.available;
	fixture.ring.used = fixture.used;
	fixture.ring.size = SIZE;
	fixture.ring.event_index = true;
	fixture.ring.indirect = true;
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	guest_memory_clear(&fixture->memory);
	close(fixture->fd);
	return 0;
}

static void set_used_event(struct fixture *fixture, uint16_t event)
{
	fixture->available->ring[SIZE] = event;
}

static void notifications_are_right_around_the_wrap_of_the_index(void **state)
{
	struct fixture *fixture = *state;
	struct virtqueue *ring = &fixture->ring;

	fixture->used->idx = 65534;
	assert_int_equal(virtqueue_start(ring, 0), 0);
	set_used_event(fixture, 65535);
	virtqueue_stage(ring, 0, 0);
	assert_false(virtqueue_publish(ring)); /* 65534 */
	virtqueue_stage(ring, 1, 0);
	virtqueue_stage(ring, 2, 0);
	assert_true(virtqueue_publish(ring)); /* 65535 and 0 */
	assert_int_equal(fixture->used->idx, 1);
	virtqueue_stage(ring, 3, 0);
	assert_false(virtqueue_publish(ring));
	set_used_event(fixture, 2);
	virtqueue_stage(ring, 0, 0);
	assert_true(virtqueue_publish(ring));
	/* Nothing new is never worth a notification. */
	assert_false(virtqueue_publish(ring));
}

static void without_event_index_a_flag_decides(void **state)
{
	struct fixture *fixture = *state;
	struct virtqueue *ring = &fixture->ring;

	ring->event_index = false;
	assert_int_equal(virtqueue_start(ring, 0), 0);
	virtqueue_stage(ring, 0, 0);
	assert_true(virtqueue_publish(ring));
	fixture->available->flags = VRING_AVAIL_F_NO_INTERRUPT;
	virtqueue_stage(ring, 0, 0);
	assert_false(virtqueue_publish(ring));
	virtqueue_disarm(ring);
	assert_int_equal(fixture->used->flags, VRING_USED_F_NO_NOTIFY);
	assert_false(virtqueue_arm(ring));
	assert_int_equal(fixture->used->flags, 0);
}

static void arming_finds_what_came_just_before(void **state)
{
	struct fixture *fixture = *state;
	struct virtqueue *ring = &fixture->ring;
	uint16_t head;

	assert_int_equal(virtqueue_start(ring, 0), 0);
	assert_false(virtqueue_arm(ring));
	fixture->available->idx = 1;
	assert_true(virtqueue_arm(ring));
	assert_int_equal(virtqueue_take(ring, &head), 1);
	assert_int_equal(virtqueue_take(ring, &head), 0);
	assert_false(virtqueue_arm(ring));
}

static void an_index_may_run_ahead_by_the_size_and_no_more(void **state)
{
	struct fixture *fixture = *state;
	struct virtqueue *ring = &fixture->ring;

	assert_int_equal(virtqueue_start(ring, 0), 0);
	fixture->available->idx = SIZE;
	assert_int_equal(virtqueue_look(ring), 1);
	assert_int_equal(virtqueue_start(ring, 0), 0);
	fixture->available->idx = SIZE + 1;
	assert_true(virtqueue_arm(ring));
	assert_int_equal(virtqueue_look(ring), -EPROTO);
	fixture->available->idx = 65535;
	assert_int_equal(virtqueue_look(ring), -EPROTO);
}

/* Fills an indirect table with @segments and parses the chain. */
static int parse(struct fixture *fixture, const struct vring_desc *segments,
		 unsigned int count, struct virtio_blk_command *ret_command,
		 struct iovec *ret_iov)
{
	struct vring_desc *table = (void *)fixture->guest;
	struct virtqueue_chain chain;

	memcpy(table, segments, sizeof(*table) * count);
	for (unsigned int i = 0; i + 1 < count; i++) {
		table[i].flags |= VRING_DESC_F_NEXT;
		table[i].next = (uint16_t)(i + 1);
	}
	fixture->descriptors[0] = (struct vring_desc){
		.addr = GUEST,
		.len = (uint32_t)(count * sizeof(*table)),
		.flags = VRING_DESC_F_INDIRECT,
	};
	assert_int_equal(virtqueue_read_chain(&fixture->ring, &fixture->memory,
					      0, &chain),
			 0);
	return virtio_blk_parse(&chain, &fixture->memory, ret_command, ret_iov);
}

static void a_header_may_come_in_single_bytes(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_OUT,
					   .sector = 0x1122334455667788};
	struct virtio_blk_command command;
	struct iovec iov[VIRTIO_BLK_IOV_MAX];
	struct vring_desc segments[18];

	memcpy(fixture->guest + 0x8000, &header, sizeof(header));
	for (unsigned int i = 0; i < 16; i++)
		segments[i] = (struct vring_desc){GUEST + 0x8000 + i, 1, 0, 0};
	segments[16] = (struct vring_desc){GUEST + 0x9000, 512, 0, 0};
	segments[17] =
		(struct vring_desc){GUEST + 0xa000, 1, VRING_DESC_F_WRITE, 0};
	assert_int_equal(parse(fixture, segments, 18, &command, iov), 0);
	assert_int_equal(command.type, VIRTIO_BLK_T_OUT);
	assert_int_equal(command.sector, 0x1122334455667788);
	assert_int_equal(command.length, 512);
	assert_int_equal(command.iov_count, 1);
	assert_ptr_equal(iov[0].iov_base, fixture->guest + 0x9000);
	assert_ptr_equal(command.status, fixture->guest + 0xa000);
}

static void header_and_data_may_share_a_descriptor(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_OUT};
	struct virtio_blk_command command;
	struct iovec iov[VIRTIO_BLK_IOV_MAX];
	const struct vring_desc segments[] = {
		{GUEST + 0x8000, 16 + 1024, 0, 0},
		{GUEST + 0xa000, 1, VRING_DESC_F_WRITE, 0},
	};

	memcpy(fixture->guest + 0x8000, &header, sizeof(header));
	assert_int_equal(parse(fixture, segments, 2, &command, iov), 0);
	assert_int_equal(command.length, 1024);
	assert_ptr_equal(iov[0].iov_base, fixture->guest + 0x8010);
}

static void data_and_status_may_share_a_descriptor(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN};
	struct virtio_blk_command command;
	struct iovec iov[VIRTIO_BLK_IOV_MAX];
	const struct vring_desc segments[] = {
		{GUEST + 0x8000, 16, 0, 0},
		{GUEST + 0x9000, 512, VRING_DESC_F_WRITE, 0},
		{GUEST + 0xa000, 513, VRING_DESC_F_WRITE, 0},
	};

	memcpy(fixture->guest + 0x8000, &header, sizeof(header));
	assert_int_equal(parse(fixture, segments, 3, &command, iov), 0);
	assert_int_equal(command.length, 1024);
	assert_int_equal(command.iov_count, 2);
	assert_int_equal(iov[1].iov_len, 512);
	assert_ptr_equal(command.status, fixture->guest + 0xa000 + 512);
}

static void a_range_is_checked_without_overflow(void **state)
{
	const struct {
		uint64_t sector, length;
		int result;
	} cases[] = {
		{0, 512, 0},
		{7, 512, 0},
		{8, 512, -EINVAL},
		{7, 1024, -EINVAL},
		{UINT64_MAX, 512, -EINVAL},
		{UINT64_MAX / 512 + 1, 512, -EINVAL},
		{0, 0, -EINVAL},
		{0, 511, -EINVAL},
		{0, 4096, 0},
		{0, UINT64_MAX - 511, -EINVAL},
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct virtio_blk_command command = {
			.sector = cases[i].sector,
			.length = cases[i].length,
		};

		assert_int_equal(virtio_blk_check_transfer(&command,
							   virtio_blk_model(2),
							   0, 4096),
				 cases[i].result);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(notifications_are_right_around_the_wrap_of_the_index),
		TEST(without_event_index_a_flag_decides),
		TEST(arming_finds_what_came_just_before),
		TEST(an_index_may_run_ahead_by_the_size_and_no_more),
		TEST(a_header_may_come_in_single_bytes),
		TEST(header_and_data_may_share_a_descriptor),
		TEST(data_and_status_may_share_a_descriptor),
		TEST(a_range_is_checked_without_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
