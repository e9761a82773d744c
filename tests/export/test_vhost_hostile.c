// SPDX-License-Identifier: Apache-2.0
/*
 * test_vhost_hostile.c - a guest that breaks the rules loses its queue, and
 * nothing else: the server lives, says so once, and serves the next start.
 */
#include "vhost_server.h"
#include "virtqueue.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUE_SIZE 16u

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

/*
 * Cases make a split chain; for a packed ring it is taken over descriptor by
 * descriptor, an indirect table as it would be there.
 */
struct chain_case {
	const char *name;
	void (*build)(struct front *front, struct vring_desc *ring);
	bool split_only; /* about links, which packed rings don't have */
};

static uint64_t at(struct front *front, size_t offset)
{
	return front_guest_address(front, front_data(front) + offset);
}

/* A read in three descriptors; the cases spoil it. */
static void good_chain(struct front *front, struct vring_desc *ring)
{
	struct virtio_blk_outhdr *header = (void *)front_data(front);

	*header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN};
	ring[0] = (struct vring_desc){at(front, 0), sizeof(*header),
				      VRING_DESC_F_NEXT, 1};
	ring[1] =
		(struct vring_desc){at(front, 4096), 4096,
				    VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2};
	ring[2] = (struct vring_desc){at(front, 512), 1, VRING_DESC_F_WRITE, 0};
}

static void a_loop(struct front *front, struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[2].flags |= VRING_DESC_F_NEXT;
	ring[2].next = 1;
}

static void a_next_beyond_the_ring(struct front *front, struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[0].next = QUEUE_SIZE;
}

static void data_outside_memory(struct front *front, struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[1].addr = 0;
}

static void data_that_runs_out_of_memory(struct front *front,
					 struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[1].addr = FRONT_GUEST_BASE + front->memory_bytes - 512;
}

static void a_range_that_overflows(struct front *front, struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[1].addr = UINT64_MAX - 100;
}

static void a_huge_length(struct front *front, struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[1].len = UINT32_MAX;
}

static void no_status(struct front *front, struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[0].flags = 0;
}

static void a_short_header(struct front *front, struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[0].len = 15;
}

static void an_empty_descriptor(struct front *front, struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[1].len = 0;
}

static void readable_behind_writable(struct front *front,
				     struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[2].flags = 0;
}

static void a_header_outside_memory(struct front *front,
				    struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[0].addr = FRONT_GUEST_BASE - 16;
}

static void indirect_with_next(struct front *front, struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[0].flags = VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT;
}

static void indirect_of_odd_size(struct front *front, struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[0] =
		(struct vring_desc){at(front, 0), 17, VRING_DESC_F_INDIRECT, 0};
}

static void indirect_outside_memory(struct front *front,
				    struct vring_desc *ring)
{
	good_chain(front, ring);
	ring[0] = (struct vring_desc){UINT64_MAX - 15, 32,
				      VRING_DESC_F_INDIRECT, 0};
}

static void indirect_in_indirect(struct front *front, struct vring_desc *ring)
{
	struct vring_desc *table = (void *)(front_data(front) + 8192);

	good_chain(front, ring);
	table[0] = (struct vring_desc){at(front, 8192), 16,
				       VRING_DESC_F_INDIRECT, 0};
	ring[0] = (struct vring_desc){at(front, 8192), 16,
				      VRING_DESC_F_INDIRECT, 0};
}

static void an_indirect_loop(struct front *front, struct vring_desc *ring)
{
	struct vring_desc *table = (void *)(front_data(front) + 8192);

	good_chain(front, ring);
	memcpy(table, ring, sizeof(*table) * 3);
	table[2].flags |= VRING_DESC_F_NEXT;
	table[2].next = 2;
	ring[0] = (struct vring_desc){at(front, 8192), 48,
				      VRING_DESC_F_INDIRECT, 0};
}

static void a_table_that_is_too_long(struct front *front,
				     struct vring_desc *ring)
{
	struct vring_desc *table = (void *)(front_data(front) + 8192);
	unsigned int count = VIRTQUEUE_CHAIN_MAX + 1;

	good_chain(front, ring);
	table[0] = ring[0];
	for (unsigned int i = 1; i < count; i++) {
		table[i] = ring[1];
		table[i].next = (uint16_t)(i + 1);
	}
	table[count - 1].flags = VRING_DESC_F_WRITE;
	ring[0] = (struct vring_desc){at(front, 8192), count * 16,
				      VRING_DESC_F_INDIRECT, 0};
}

static const struct chain_case cases[] = {
	{"a loop", a_loop, .split_only = true},
	{"a next beyond the ring", a_next_beyond_the_ring, .split_only = true},
	{"data outside memory", data_outside_memory},
	{"data that run out of memory", data_that_runs_out_of_memory},
	{"a range that overflows", a_range_that_overflows},
	{"a huge length", a_huge_length},
	{"no status", no_status},
	{"a short header", a_short_header},
	{"an empty descriptor", an_empty_descriptor},
	{"readable behind writable", readable_behind_writable},
	{"a header outside memory", a_header_outside_memory},
	{"indirect with next", indirect_with_next},
	{"indirect of odd size", indirect_of_odd_size},
	{"indirect outside memory", indirect_outside_memory},
	{"indirect in indirect", indirect_in_indirect, .split_only = true},
	{"an indirect loop", an_indirect_loop, .split_only = true},
	{"a table that is too long", a_table_that_is_too_long},
};

#define TABLE_OFFSET 8192u

static bool is_table(struct front *front, const struct vring_desc *descriptor)
{
	return descriptor->flags & VRING_DESC_F_INDIRECT &&
	       descriptor->addr == at(front, TABLE_OFFSET);
}

/* Makes a split table a packed one, in place. */
static void pack_table(struct front *front, uint32_t bytes)
{
	struct vring_desc *table = (void *)(front_data(front) + TABLE_OFFSET);

	for (uint32_t i = 0; i < bytes / sizeof(*table); i++) {
		const struct vring_packed_desc packed = {
			.addr = table[i].addr,
			.len = table[i].len,
			.flags = table[i].flags & VRING_DESC_F_WRITE,
		};

		memcpy(&table[i], &packed, sizeof(packed));
	}
}

static void offer_packed(struct front *front, const struct vring_desc *chain)
{
	for (;; chain++) {
		const struct vring_packed_desc descriptor = {
			.addr = chain->addr,
			.len = chain->len,
			.flags = chain->flags,
		};

		if (is_table(front, chain))
			pack_table(front, chain->len);
		front_offer_packed(&front->queues[0], &descriptor, 0);
		if (!(chain->flags & VRING_DESC_F_NEXT))
			return;
	}
}

static void offer_case(struct front *front, const struct chain_case *one)
{
	struct front_queue *queue = &front->queues[0];
	struct vring_desc chain[3];

	if (queue->packed) {
		one->build(front, chain);
		offer_packed(front, chain);
	} else {
		one->build(front, queue->descriptors);
		front_offer(queue, 0);
	}
	front_kick(queue);
}

static void wait_broken(struct server *server, unsigned int count,
			const char *name)
{
	for (int i = 0; i < 5000; i++) {
		if (server_counts(server).broken_queues == count)
			return;
		usleep(1000);
	}
	fail_msg("%s: %u queues broken, not %u", name,
		 server_counts(server).broken_queues, count);
}

/* As a VM's reset: nobody looks at the rings while they are wiped. */
static void restart(struct server *server, struct front *front)
{
	front_disconnect(front);
	for (int i = 0; i < 5000 && server_counts(server).connected; i++)
		usleep(1000);
	front_reset(front);
	assert_int_equal(front_connect(front), 0);
}

/* The other queue works on, and a reset brings the broken one back. */
static void check_recovery(struct server *server, struct front *front)
{
	uint8_t *data = front_data(front);

	assert_int_equal(transfer(front, 1, VIRTIO_BLK_T_IN, 0, data, 4096),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(front_returned(&front->queues[0]), 0);
	restart(server, front);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, 0, data, 4096),
			 VIRTIO_BLK_S_OK);
	restart(server, front);
}

static void a_malformed_chain_stops_its_queue_only(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){
							    .queue_count = 2,
							    .queue_size = 16,
						    });

	unsigned int broken = 0;

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].split_only && front->queues[0].packed)
			continue;
		offer_case(front, &cases[i]);
		wait_broken(*state, ++broken, cases[i].name);
		check_recovery(*state, front);
	}
	front_destroy(front);
	server_stop(*state);
}

static void the_chain_that_the_cases_spoil_is_good(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.queue_size = QUEUE_SIZE});

	const struct chain_case good = {"good", good_chain};
	struct front_completion completion;

	offer_case(front, &good);
	assert_int_equal(front_wait(front, 0, 10000), 0);
	assert_int_equal(front_reap(&front->queues[0], &completion, 1), 1);
	assert_int_equal(front_data(front)[512], VIRTIO_BLK_S_OK);
	assert_int_equal(completion.written, 4097);
	front_destroy(front);
}

static void a_head_beyond_the_ring_breaks_the_queue(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.queue_size = QUEUE_SIZE});

	front_offer(&front->queues[0], QUEUE_SIZE);
	front_kick(&front->queues[0]);
	wait_broken(*state, 1, "head");
	front_destroy(front);
	server_stop(*state);
}

static void an_index_that_jumps_breaks_the_queue(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.queue_size = QUEUE_SIZE});

	front->queues[0].available_next = QUEUE_SIZE + 1;
	front_kick(&front->queues[0]);
	wait_broken(*state, 1, "index");
	front_destroy(front);
	server_stop(*state);
}

static void a_head_that_is_in_flight_cannot_be_offered_again(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.queue_size = QUEUE_SIZE});

	server_set_order(*state, MEMORY_PIPELINE_HELD);
	good_chain(front, front->queues[0].descriptors);
	front_offer(&front->queues[0], 0);
	front_offer(&front->queues[0], 0);
	front_kick(&front->queues[0]);
	wait_broken(*state, 1, "twice");
	/* The first of the two still ends, and the server lets go of all. */
	server_wait_in_flight(*state, 1);
	assert_int_equal(server_release(*state, 1), 1);
	assert_int_equal(front_wait(front, 0, 10000), 0);
	front_destroy(front);
	server_stop(*state);
}

struct packed_case {
	const char *name;
	void (*offer)(struct server *server, struct front *front);
};

static const struct vring_packed_desc packed_flush[] = {
	{.len = 16, .flags = VRING_DESC_F_NEXT},
	{.len = 1, .flags = VRING_DESC_F_WRITE},
};

/* A flush in two descriptors, with what the cases want of its ID. */
static void offer_flush(struct front *front, uint16_t id, uint16_t flags)
{
	struct virtio_blk_outhdr *header = (void *)front_data(front);

	*header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_FLUSH};
	for (unsigned int i = 0; i < 2; i++) {
		struct vring_packed_desc descriptor = packed_flush[i];

		descriptor.addr = at(front, i * 512u);
		descriptor.id = id;
		descriptor.flags |= flags;
		front_offer_packed(&front->queues[0], &descriptor, 0);
	}
}

static void an_id_beyond_the_ring(struct server *server, struct front *front)
{
	(void)server;
	offer_flush(front, QUEUE_SIZE, 0);
}

static void an_id_that_is_in_flight(struct server *server, struct front *front)
{
	(void)server;
	offer_flush(front, 3, 0);
	offer_flush(front, 3, 0);
}

static void a_chain_without_end(struct server *server, struct front *front)
{
	(void)server;
	for (unsigned int i = 0; i < QUEUE_SIZE; i += 2)
		offer_flush(front, 3, VRING_DESC_F_NEXT);
}

static void a_chain_into_what_is_in_flight(struct server *server,
					   struct front *front)
{
	(void)server;
	offer_flush(front, 3, 0);
	for (unsigned int i = 2; i < QUEUE_SIZE; i += 2)
		offer_flush(front, 4, VRING_DESC_F_NEXT);
}

/* The ring is full, and its first descriptor is offered once more. */
static void a_lap_too_many(struct server *server, struct front *front)
{
	const struct vring_packed_desc *first = &packed_flush[1];

	for (uint16_t i = 0; i < QUEUE_SIZE / 2; i++)
		offer_flush(front, i, 0);
	front_kick(&front->queues[0]);
	server_wait_in_flight(server, QUEUE_SIZE / 2);
	front_offer_packed(&front->queues[0], first, 0);
}

static void indirect_behind_direct(struct server *server, struct front *front)
{
	(void)server;
	struct vring_packed_desc descriptor = {
		.addr = at(front, 0),
		.len = 16,
		.flags = VRING_DESC_F_NEXT,
	};

	front_offer_packed(&front->queues[0], &descriptor, 0);
	descriptor.flags = VRING_DESC_F_INDIRECT;
	front_offer_packed(&front->queues[0], &descriptor, 0);
}

static void a_packed_driver_that_lies_stops_its_queue_only(void **state)
{
	static const struct packed_case lies[] = {
		{"an ID beyond the ring", an_id_beyond_the_ring},
		{"an ID that is in flight", an_id_that_is_in_flight},
		{"a chain without end", a_chain_without_end},
		{"a chain into what is in flight",
		 a_chain_into_what_is_in_flight},
		{"a lap too many", a_lap_too_many},
		{"indirect behind direct", indirect_behind_direct},
	};
	struct front *front = connect_front(*state, &(struct front_options){
							    .packed = true,
							    .queue_count = 2,
							    .queue_size = 16,
						    });

	for (unsigned int i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		server_set_order(*state, MEMORY_PIPELINE_HELD);
		lies[i].offer(*state, front);
		front_kick(&front->queues[0]);
		wait_broken(*state, i + 1, lies[i].name);
		server_release(*state, QUEUE_SIZE);
		server_set_order(*state, MEMORY_PIPELINE_AT_ONCE);
		assert_int_equal(
			transfer(front, 1, VIRTIO_BLK_T_FLUSH, 0, NULL, 0),
			VIRTIO_BLK_S_OK);
		restart(*state, front);
		assert_int_equal(
			transfer(front, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0),
			VIRTIO_BLK_S_OK);
		restart(*state, front);
	}
	front_destroy(front);
	server_stop(*state);
}

/* Flags that don't fit the wrap counter offer nothing. */
static void wrong_wrap_counters_offer_nothing(void **state)
{
	const uint16_t wrong[] = {1u << VRING_PACKED_DESC_F_AVAIL,
				  1u << VRING_PACKED_DESC_F_USED,
				  1u << VRING_PACKED_DESC_F_AVAIL |
					  1u << VRING_PACKED_DESC_F_USED};
	struct front *front = connect_front(
		*state, &(struct front_options){.packed = true,
						.queue_size = QUEUE_SIZE});
	struct front_queue *queue = &front->queues[0];

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		front_offer_packed(queue, &packed_flush[0], wrong[i]);
		front_kick(queue);
		eventfd_write(queue->kick_fd, 1);
		server_counts(*state);
		queue->available_next = 0;
		queue->available_published = 0;
	}
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(server_counts(*state).broken_queues, 0);
	front_destroy(front);
}

static void a_request_beyond_the_disk_fails_alone(void **state)
{
	const uint64_t sectors = SERVER_DISK_BYTES / 512;
	const struct {
		uint64_t sector;
		size_t bytes;
	} ranges[] = {
		{sectors, 512},
		{sectors - 7, 4096},
		{UINT64_MAX, 512},
		{sectors - 1, 1024},
		{1, 4096 - 1},
		{0, 100},
		{UINT64_MAX / 512 + 1, 4096},
	};
	struct front *front = connect_front(*state, &(struct front_options){0});

	for (unsigned int i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN,
					  ranges[i].sector, front_data(front),
					  ranges[i].bytes),
				 VIRTIO_BLK_S_IOERR);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, sectors - 8,
				  front_data(front), 4096),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, 0, NULL, 0),
			 VIRTIO_BLK_S_IOERR);
	front_destroy(front);
}

static void a_hostile_in_flight_region_harms_nobody(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	uint8_t noise[4096];

	for (unsigned int round = 0; round < 20; round++) {
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (uint8_t)(i * 31 + round * 17 + i / 7);
		front_disconnect(front);
		assert_true(pwrite(front->inflight_fd, noise,
				   front->inflight.mmap_bytes < sizeof(noise)
					   ? front->inflight.mmap_bytes
					   : sizeof(noise),
				   0) > 0);
		/* Rings full of zeros: what is replayed is malformed. */
		memset(front->memory, 0, 4096);
		/* A packed queue doesn't start with what can't be. */
		if (front_connect(front) < 0)
			assert_true(front->options.packed);
	}
	front_reset(front);
	assert_int_equal(front_connect(front), 0);
	front_destroy(front);
	server_stop(*state);
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
		BOTH(the_chain_that_the_cases_spoil_is_good),
		BOTH(a_malformed_chain_stops_its_queue_only),
		TEST(a_head_beyond_the_ring_breaks_the_queue),
		TEST(an_index_that_jumps_breaks_the_queue),
		TEST(a_head_that_is_in_flight_cannot_be_offered_again),
		TEST(a_packed_driver_that_lies_stops_its_queue_only),
		TEST(wrong_wrap_counters_offer_nothing),
		BOTH(a_request_beyond_the_disk_fails_alone),
		BOTH(a_hostile_in_flight_region_harms_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
