// SPDX-License-Identifier: Apache-2.0
/*
 * test_vhost_io.c - what a well-behaved guest gets from the vhost-user-blk
 * export: the export in a process of its own over a pipeline of memory, our
 * front-end as the VMM.
 */
#include "vhost_server.h"

#include <errno.h>
#include <string.h>

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

static void fill(uint8_t *data, size_t bytes, uint8_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(seed + i * 7 + i / 251);
}

static void what_is_written_is_read_back(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	uint8_t *data = front_data(front);
	uint8_t expected[8192];

	fill(data, sizeof(expected), 1);
	memcpy(expected, data, sizeof(expected));
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_OUT, 24, data,
				  sizeof(expected)),
			 VIRTIO_BLK_S_OK);
	memset(data, 0, sizeof(expected));
	assert_int_equal(
		transfer(front, 0, VIRTIO_BLK_T_IN, 24, data, sizeof(expected)),
		VIRTIO_BLK_S_OK);
	assert_memory_equal(data, expected, sizeof(expected));
	assert_int_equal(server_counts(*state).pipeline.copied_bytes, 0);
	front_destroy(front);
	server_stop(*state);
}

static void config_space_describes_the_disk(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});

	assert_int_equal(front->config.capacity, SERVER_DISK_BYTES / 512);
	assert_int_equal(front->config.blk_size, 512);
	assert_int_equal(front->config.physical_block_exp, 3);
	assert_int_equal(front->config.seg_max, FRONT_SEGMENTS_MAX);
	assert_int_equal(front->config.num_queues, 4);
	assert_true(front->features & (UINT64_C(1) << VIRTIO_BLK_F_FLUSH));
	assert_false(front->features & (UINT64_C(1) << VIRTIO_BLK_F_RO));
	front_destroy(front);
}

static void get_id_returns_the_start_of_the_uuid(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	uint8_t *data = front_data(front);

	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_GET_ID, 0, data,
				  VIRTIO_BLK_ID_BYTES),
			 VIRTIO_BLK_S_OK);
	/* "memory-pipeline" in hexadecimal. */
	assert_memory_equal(data, "6d656d6f-7279-2d70-6", 20);
	front_destroy(front);
}

static void a_flush_covers_writes_of_every_queue(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.queue_count = 2});
	uint8_t *data = front_data(front);
	uint8_t durable[4096];

	fill(data, 4096, 3);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_OUT, 0, data, 4096),
			 VIRTIO_BLK_S_OK);
	server_durable(*state, 0, durable, sizeof(durable));
	assert_memory_not_equal(durable, data, sizeof(durable));
	assert_int_equal(transfer(front, 1, VIRTIO_BLK_T_FLUSH, 0, NULL, 0),
			 VIRTIO_BLK_S_OK);
	server_durable(*state, 0, durable, sizeof(durable));
	assert_memory_equal(durable, data, sizeof(durable));
	front_destroy(front);
}

static void writes_are_durable_for_a_driver_that_never_flushes(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.no_flush = true});
	uint8_t *data = front_data(front);
	uint8_t durable[4096];

	fill(data, 4096, 5);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_OUT, 8, data, 4096),
			 VIRTIO_BLK_S_OK);
	server_durable(*state, 4096, durable, sizeof(durable));
	assert_memory_equal(durable, data, sizeof(durable));
	front_destroy(front);
}

static void many_segments_make_one_request(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	uint8_t *data = front_data(front);
	struct iovec segments[FRONT_SEGMENTS_MAX];
	struct front_request request = {
		.type = VIRTIO_BLK_T_OUT,
		.segments = segments,
		.segment_count = FRONT_SEGMENTS_MAX,
	};
	uint32_t written;

	/* Every other 512 bytes of the memory, one behind the other on disk. */
	for (unsigned int i = 0; i < FRONT_SEGMENTS_MAX; i++) {
		segments[i].iov_base = data + i * 1024;
		segments[i].iov_len = 512;
		memset(data + i * 1024, (int)i + 1, 512);
	}
	assert_int_equal(front_run(front, 0, &request, &written),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(written, 1);
	request.type = VIRTIO_BLK_T_IN;
	memset(data, 0, 1024 * FRONT_SEGMENTS_MAX);
	assert_int_equal(front_run(front, 0, &request, &written),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(written, 512 * FRONT_SEGMENTS_MAX + 1);
	for (unsigned int i = 0; i < FRONT_SEGMENTS_MAX; i++) {
		assert_int_equal(data[i * 1024], i + 1);
		assert_int_equal(data[i * 1024 + 511], i + 1);
		assert_int_equal(data[i * 1024 + 512], 0);
	}
	front_destroy(front);
}

static void direct_chains_work_without_indirect_tables(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.no_indirect = true});
	uint8_t *data = front_data(front);

	for (unsigned int i = 0; i < 200; i++) {
		fill(data, 4096, (uint8_t)i);
		assert_int_equal(
			transfer(front, 0, VIRTIO_BLK_T_OUT, i * 8, data, 4096),
			VIRTIO_BLK_S_OK);
		memcpy(data + 8192, data, 4096);
		assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, i * 8,
					  data + 4096, 4096),
				 VIRTIO_BLK_S_OK);
		assert_memory_equal(data + 4096, data + 8192, 4096);
	}
	front_destroy(front);
}

static void a_buffer_may_cross_memory_regions(void **state)
{
	const struct front_options variants[] = {
		{.two_regions = true},
		{.two_regions = true, .memory_table = true},
	};

	for (unsigned int i = 0; i < 2; i++) {
		struct front *front = connect_front(*state, &variants[i]);
		uint8_t *data = front->memory + front->cut - 4096;

		fill(data, 8192, 9);
		assert_int_equal(
			transfer(front, 0, VIRTIO_BLK_T_OUT, 16, data, 8192),
			VIRTIO_BLK_S_OK);
		memcpy(front_data(front), data, 8192);
		memset(data, 0, 8192);
		assert_int_equal(
			transfer(front, 0, VIRTIO_BLK_T_IN, 16, data, 8192),
			VIRTIO_BLK_S_OK);
		assert_memory_equal(data, front_data(front), 8192);
		front_destroy(front);
	}
}

static void unaligned_buffers_are_copied_and_counted(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	uint8_t *data = front_data(front);

	server_set_order(*state, MEMORY_PIPELINE_LATER_REVERSED);
	fill(data + 3, 4096, 11);
	assert_int_equal(
		transfer(front, 0, VIRTIO_BLK_T_OUT, 8, data + 3, 4096),
		VIRTIO_BLK_S_OK);
	assert_int_equal(
		transfer(front, 0, VIRTIO_BLK_T_IN, 8, data + 8193, 4096),
		VIRTIO_BLK_S_OK);
	assert_memory_equal(data + 8193, data + 3, 4096);
	assert_int_equal(server_counts(*state).pipeline.copied_bytes, 8192);
	front_destroy(front);
	server_stop(*state);
}

/* Submits @count writes of 4 KiB to consecutive places without waiting. */
static void submit_writes(struct front *front, unsigned int count,
			  size_t misalignment)
{
	for (unsigned int i = 0; i < count; i++) {
		struct iovec segment = {
			.iov_base = front_data(front) + i * 8192 + misalignment,
			.iov_len = 4096,
		};
		struct front_request request = {
			.type = VIRTIO_BLK_T_OUT,
			.sector = i * 8,
			.segments = &segment,
			.segment_count = 1,
		};
		struct front_slot *slot;

		memset(segment.iov_base, (int)i + 1, segment.iov_len);
		assert_int_equal(front_submit(front, 0, &request, &slot), 0);
	}
	front_kick(&front->queues[0]);
}

static void reap_all(struct front *front, unsigned int count)
{
	struct front_completion completion;

	while (count > 0) {
		assert_int_equal(front_wait(front, 0, 10000), 0);
		while (front_reap(&front->queues[0], &completion, 1) == 1) {
			assert_int_equal(completion.status, VIRTIO_BLK_S_OK);
			count--;
		}
	}
}

static void unaligned_requests_take_turns_with_the_one_buffer(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	uint8_t *data = front_data(front);

	server_set_order(*state, MEMORY_PIPELINE_LATER_REVERSED);
	submit_writes(front, 32, 1);
	reap_all(front, 32);
	assert_int_equal(
		transfer(front, 0, VIRTIO_BLK_T_IN, 0, data, (size_t)32 * 4096),
		VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 32; i++) {
		assert_int_equal(data[i * 4096], i + 1);
		assert_int_equal(data[i * 4096 + 4095], i + 1);
	}
	front_destroy(front);
}

static void a_full_queue_completes_in_any_order(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	struct server_counts counts;

	server_set_order(*state, MEMORY_PIPELINE_HELD);
	submit_writes(front, 64, 0);
	server_wait_in_flight(*state, 64);
	assert_int_equal(server_release(*state, 10), 10);
	reap_all(front, 10);
	assert_int_equal(server_release(*state, 64), 54);
	reap_all(front, 54);
	counts = server_counts(*state);
	assert_int_equal(counts.pipeline.requests[FOREBAY_WRITE], 64);
	/* A batch is one notification, at most. */
	assert_true(counts.notifications <= 2);
	front_destroy(front);
}

static void requests_wait_when_the_pipeline_is_full(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});

	server_set_order(*state, MEMORY_PIPELINE_HELD);
	server_set_requests_max(*state, 5);
	submit_writes(front, 20, 0);
	for (unsigned int i = 0; i < 4; i++) {
		server_wait_in_flight(*state, 5);
		assert_int_equal(server_release(*state, 5), 5);
	}
	reap_all(front, 20);
	front_destroy(front);
}

static void a_driver_that_polls_is_not_notified(void **state)
{
	const struct front_options variants[] = {
		{0},
		{.no_event_index = true},
	};

	for (unsigned int i = 0; i < 2; i++) {
		struct front *front = connect_front(*state, &variants[i]);
		struct front_queue *queue = &front->queues[0];
		unsigned int before, done = 0;

		before = server_counts(*state).notifications;
		for (unsigned int j = 0; j < 100; j++) {
			struct front_completion completion;

			front_disarm(queue);
			submit_writes(front, 1, 0);
			while (front_reap(queue, &completion, 1) == 0)
				;
			done++;
		}
		assert_int_equal(done, 100);
		assert_int_equal(server_counts(*state).notifications, before);
		front_destroy(front);
	}
}

static void errors_of_the_pipeline_reach_the_guest(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	uint8_t *data = front_data(front);

	server_fail(*state, FOREBAY_WRITE, -ENOSPC, 1);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_OUT, 0, data, 4096),
			 VIRTIO_BLK_S_IOERR);
	server_fail(*state, FOREBAY_READ, -EIO, 1);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, 0, data, 4096),
			 VIRTIO_BLK_S_IOERR);
	server_fail(*state, FOREBAY_FLUSH, -EIO, 1);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, 0, data, 4096),
			 VIRTIO_BLK_S_OK);
	front_destroy(front);
}

/* Discards too, as long as the driver hasn't said that it knows them. */
static void what_is_not_implemented_is_unsupported(void **state)
{
	const uint32_t types[] = {VIRTIO_BLK_T_DISCARD,
				  VIRTIO_BLK_T_WRITE_ZEROES,
				  VIRTIO_BLK_T_SCSI_CMD, 0xffffffff};
	struct front *front = connect_front(*state, &(struct front_options){0});

	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(
			transfer(front, 0, types[i], 0, front_data(front), 512),
			VIRTIO_BLK_S_UNSUPP);
	front_destroy(front);
}

static void a_read_only_disk_says_so_and_refuses_writes(void **state)
{
	struct server *server = *state;
	struct front *front;

	server_stop(server);
	server->read_only = true;
	server_start(server);
	front = connect_front(server, &(struct front_options){0});
	assert_true(front->features & (UINT64_C(1) << VIRTIO_BLK_F_RO));
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_OUT, 0,
				  front_data(front), 4096),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(
		transfer(front, 0, VIRTIO_BLK_T_IN, 0, front_data(front), 4096),
		VIRTIO_BLK_S_OK);
	front_destroy(front);
}

/* One discard or write of zeroes of @count ranges. Returns: its status. */
static int run_ranges(struct front *front, uint32_t type,
		      const struct virtio_blk_discard_write_zeroes *ranges,
		      unsigned int count)
{
	uint8_t *data = front_data(front);

	memcpy(data, ranges, sizeof(*ranges) * count);
	return transfer(front, 0, type, 0, data, sizeof(*ranges) * count);
}

static struct front *discarding_front(struct server *server)
{
	struct front *front = connect_front(
		server, &(struct front_options){.discards = true});
	uint8_t *data = front_data(front);

	assert_true(front->features &
		    (UINT64_C(1) << VIRTIO_BLK_F_WRITE_ZEROES));
	fill(data, 65536, 13);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_OUT, 0, data, 65536),
			 VIRTIO_BLK_S_OK);
	return front;
}

/* In all orders of completion. */
static void zeroes_may_have_several_ranges(void **state)
{
	const struct virtio_blk_discard_write_zeroes ranges[] = {
		{.sector = 1, .num_sectors = 2},
		{.sector = 8, .num_sectors = 0},
		{.sector = 16, .num_sectors = 16, .flags = 1},
	};
	struct front *front = discarding_front(*state);
	uint8_t *data = front_data(front);
	uint8_t before[65536];

	for (int order = MEMORY_PIPELINE_AT_ONCE;
	     order <= MEMORY_PIPELINE_LATER_REVERSED; order++) {
		fill(data, sizeof(before), 13);
		memcpy(before, data, sizeof(before));
		server_set_order(*state, (enum memory_pipeline_order)order);
		assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_OUT, 0, data,
					  sizeof(before)),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(
			run_ranges(front, VIRTIO_BLK_T_WRITE_ZEROES, ranges, 3),
			VIRTIO_BLK_S_OK);
		memset(before + 512, 0, (size_t)2 * 512);
		memset(before + 16 * 512, 0, (size_t)16 * 512);
		assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, 0, data,
					  sizeof(before)),
				 VIRTIO_BLK_S_OK);
		assert_memory_equal(data, before, sizeof(before));
	}
	assert_int_equal(
		server_counts(*state).pipeline.requests[FOREBAY_WRITE_ZEROES],
		4);
	front_destroy(front);
	server_stop(*state);
}

static void a_request_of_several_ranges_ends_with_the_last(void **state)
{
	const struct virtio_blk_discard_write_zeroes ranges[] = {
		{.sector = 0, .num_sectors = 8},
		{.sector = 16, .num_sectors = 8},
	};
	struct front *front = discarding_front(*state);
	struct iovec segment = {front_data(front), sizeof(ranges)};
	struct front_request request = {
		.type = VIRTIO_BLK_T_DISCARD,
		.segments = &segment,
		.segment_count = 1,
	};
	struct front_slot *slot;

	memcpy(segment.iov_base, ranges, sizeof(ranges));
	server_set_order(*state, MEMORY_PIPELINE_HELD);
	assert_int_equal(front_submit(front, 0, &request, &slot), 0);
	front_kick(&front->queues[0]);
	for (unsigned int i = 0; i < 2; i++) {
		server_wait_in_flight(*state, 1);
		assert_int_equal(front_returned(&front->queues[0]), 1);
		assert_int_equal(server_release(*state, 1), 1);
	}
	reap_all(front, 1);
	front_destroy(front);
	server_stop(*state);
}

static void a_range_that_fails_fails_the_request(void **state)
{
	const struct virtio_blk_discard_write_zeroes ranges[] = {
		{.sector = 0, .num_sectors = 8},
		{.sector = 16, .num_sectors = 8},
	};
	struct front *front = discarding_front(*state);

	server_fail(*state, FOREBAY_WRITE_ZEROES, -ENOSPC, 1);
	assert_int_equal(
		run_ranges(front, VIRTIO_BLK_T_WRITE_ZEROES, ranges, 2),
		VIRTIO_BLK_S_IOERR);
	assert_int_equal(
		server_counts(*state).pipeline.requests[FOREBAY_WRITE_ZEROES],
		1);
	assert_int_equal(
		run_ranges(front, VIRTIO_BLK_T_WRITE_ZEROES, ranges, 2),
		VIRTIO_BLK_S_OK);
	front_destroy(front);
}

static void zeroes_are_durable_for_a_driver_that_never_flushes(void **state)
{
	const struct virtio_blk_discard_write_zeroes range = {.sector = 8,
							      .num_sectors = 8};
	struct front *front = connect_front(
		*state,
		&(struct front_options){.discards = true, .no_flush = true});
	uint8_t *data = front_data(front);
	uint8_t durable[4096];
	const uint8_t zeros[4096] = {0};

	fill(data, 4096, 5);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_OUT, 8, data, 4096),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(
		run_ranges(front, VIRTIO_BLK_T_WRITE_ZEROES, &range, 1),
		VIRTIO_BLK_S_OK);
	server_durable(*state, 4096, durable, sizeof(durable));
	assert_memory_equal(durable, zeros, sizeof(durable));
	front_destroy(front);
}

static int set_writeback(struct front *front, uint8_t value)
{
	struct vhost_user_config config = {
		.offset = offsetof(struct virtio_blk_config, wce),
		.bytes = 1,
		.region = {value},
	};

	return front_acknowledged(
		front, &(struct front_message){
			       .type = VHOST_USER_SET_CONFIG,
			       .payload = &config,
			       .bytes = VHOST_USER_CONFIG_HEADER_BYTES + 1,
		       });
}

/* The durable image is what is left when un-flushed writes are lost. */
static void expect_durable(struct server *server, struct front *front,
			   uint64_t sector, uint8_t seed, bool durable)
{
	uint8_t *data = front_data(front);
	uint8_t left[4096];

	fill(data, sizeof(left), seed);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_OUT, sector, data,
				  sizeof(left)),
			 VIRTIO_BLK_S_OK);
	server_durable(server, sector * 512, left, sizeof(left));
	if (durable)
		assert_memory_equal(left, data, sizeof(left));
	else
		assert_memory_not_equal(left, data, sizeof(left));
}

static void without_write_back_each_write_is_durable(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.cache_mode = true});

	assert_int_equal(front->config.wce, 1);
	expect_durable(*state, front, 0, 1, false);
	assert_int_equal(set_writeback(front, 0), 0);
	expect_durable(*state, front, 8, 2, true);
	assert_int_equal(set_writeback(front, 1), 0);
	expect_durable(*state, front, 16, 3, false);
	front_destroy(front);
}

/* The VMM doesn't set it again: QEMU 7.2 doesn't. */
static void the_mode_survives_a_killed_server(void **state)
{
	struct server *server = *state;
	struct front *front = connect_front(
		server, &(struct front_options){.cache_mode = true});

	assert_int_equal(set_writeback(front, 0), 0);
	expect_durable(server, front, 0, 1, true);
	server_kill(server);
	server_start(server);
	front_disconnect(front);
	assert_int_equal(front_connect(front), 0);
	expect_durable(server, front, 8, 2, true);
	/* Another VM begins with the cache on. */
	front_destroy(front);
	front = connect_front(server,
			      &(struct front_options){.cache_mode = true});
	assert_int_equal(front->config.wce, 1);
	expect_durable(server, front, 16, 3, false);
	front_destroy(front);
}

/* A driver that doesn't know the byte must flush, and does. */
static void the_mode_counts_for_drivers_that_know_it(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});

	assert_int_equal(set_writeback(front, 0), 0);
	expect_durable(*state, front, 0, 1, false);
	front_destroy(front);
	front = connect_front(
		*state,
		&(struct front_options){.cache_mode = true, .no_flush = true});
	assert_int_equal(set_writeback(front, 1), 0);
	expect_durable(*state, front, 8, 2, true);
	front_destroy(front);
}

/* QEMU has sent no features yet when a driver writes before it starts. */
static void the_mode_may_be_set_before_the_features(void **state)
{
	struct server *server = *state;
	struct front_options options = {.socket_path = server->socket_path,
					.queue_count = 1,
					.queue_size = 64,
					.data_bytes = 1 << 20,
					.cache_mode = true};
	struct front *front = NULL;

	assert_int_equal(front_create(&options, &front), 0);
	assert_int_equal(front_dial(front), 0);
	assert_int_equal(front_negotiate(front), 0);
	assert_int_equal(set_writeback(front, 0), 0);
	assert_int_equal(front_start(front), 0);
	expect_durable(server, front, 0, 1, true);
	front_destroy(front);
}

static void limits_that_the_driver_knows_are_enforced(void **state)
{
	struct front *front = connect_front(
		*state, &(struct front_options){.data_bytes = 2 << 20});
	uint8_t *data = front_data(front);

	assert_int_equal(front->config.size_max, 256 << 10);
	assert_int_equal(
		transfer(front, 0, VIRTIO_BLK_T_OUT, 0, data, 256 << 10),
		VIRTIO_BLK_S_OK);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_OUT, 0, data,
				  (256 << 10) + 512),
			 VIRTIO_BLK_S_IOERR);
	front_destroy(front);
}

/* More than published, fewer than a ring could have. */
static void too_many_segments_fail_the_request_only(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	struct vring_desc *table = (void *)front_data(front);
	struct front_slot *slot = front_next_slot(&front->queues[0]);
	struct vring_desc *ring = &front->queues[0].descriptors[0];
	struct front_completion completion;
	const unsigned int count = FRONT_SEGMENTS_MAX + 3;

	for (unsigned int i = 0; i < count; i++)
		table[i] = (struct vring_desc){
			.addr = front_guest_address(front,
						    front_data(front) + 8192),
			.len = 512,
			.flags = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
			.next = (uint16_t)(i + 1),
		};
	memset(slot->header, 0, sizeof(*slot->header));
	*slot->status = 0xff;
	table[0].addr = front_guest_address(front, slot->header);
	table[0].len = sizeof(*slot->header);
	table[0].flags = VRING_DESC_F_NEXT;
	table[count - 1].addr = front_guest_address(front, slot->status);
	table[count - 1].len = 1;
	table[count - 1].flags = VRING_DESC_F_WRITE;
	*ring = (struct vring_desc){
		.addr = front_guest_address(front, table),
		.len = (uint32_t)(count * sizeof(table[0])),
		.flags = VRING_DESC_F_INDIRECT,
	};
	front_offer(&front->queues[0], 0);
	front_kick(&front->queues[0]);
	assert_int_equal(front_wait(front, 0, 10000), 0);
	assert_int_equal(front_reap(&front->queues[0], &completion, 1), 1);
	assert_int_equal(*slot->status, VIRTIO_BLK_S_IOERR);
	assert_int_equal(completion.written, 0);
	assert_int_equal(
		transfer(front, 0, VIRTIO_BLK_T_IN, 0, front_data(front), 4096),
		VIRTIO_BLK_S_OK);
	front_destroy(front);
}

static void a_device_of_the_first_revision_stays_what_it_was(void **state)
{
	struct server *server = *state;
	struct front *front;

	server_stop(server);
	server->revision = 1;
	server_start(server);
	front = connect_front(
		server,
		&(struct front_options){.discards = true, .cache_mode = true});
	assert_false(front->features &
		     (UINT64_C(1) << VIRTIO_BLK_F_CONFIG_WCE |
		      UINT64_C(1) << VIRTIO_BLK_F_DISCARD |
		      UINT64_C(1) << VIRTIO_BLK_F_WRITE_ZEROES));
	assert_int_equal(front->config.max_discard_seg, 0);
	assert_int_equal(front->config.wce, 0);
	assert_int_equal(set_writeback(front, 0), -EREMOTEIO);
	front_destroy(front);
	server->revision = 0;
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
		BOTH(what_is_written_is_read_back),
		BOTH(config_space_describes_the_disk),
		BOTH(get_id_returns_the_start_of_the_uuid),
		BOTH(a_flush_covers_writes_of_every_queue),
		BOTH(writes_are_durable_for_a_driver_that_never_flushes),
		BOTH(many_segments_make_one_request),
		BOTH(direct_chains_work_without_indirect_tables),
		BOTH(a_buffer_may_cross_memory_regions),
		BOTH(unaligned_buffers_are_copied_and_counted),
		BOTH(unaligned_requests_take_turns_with_the_one_buffer),
		BOTH(a_full_queue_completes_in_any_order),
		BOTH(requests_wait_when_the_pipeline_is_full),
		BOTH(a_driver_that_polls_is_not_notified),
		BOTH(errors_of_the_pipeline_reach_the_guest),
		BOTH(what_is_not_implemented_is_unsupported),
		BOTH(a_read_only_disk_says_so_and_refuses_writes),
		BOTH(zeroes_may_have_several_ranges),
		BOTH(a_request_of_several_ranges_ends_with_the_last),
		BOTH(a_range_that_fails_fails_the_request),
		BOTH(zeroes_are_durable_for_a_driver_that_never_flushes),
		BOTH(without_write_back_each_write_is_durable),
		BOTH(the_mode_survives_a_killed_server),
		BOTH(the_mode_counts_for_drivers_that_know_it),
		BOTH(the_mode_may_be_set_before_the_features),
		BOTH(limits_that_the_driver_knows_are_enforced),
		TEST(too_many_segments_fail_the_request_only),
		TEST(a_device_of_the_first_revision_stays_what_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
