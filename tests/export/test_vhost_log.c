// SPDX-License-Identifier: Apache-2.0
/*
 * test_vhost_log.c - the log of dirty pages holds exactly the pages that a
 * request makes the device write.
 *
 * The model: a request's status, the data that it reads, the used entries and
 * the index that show it, and the word by which the device asks for kicks. The
 * queues are so large that each part of a ring has a page of its own.
 */
#include "vhost_server.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define QUEUE_SIZE 512u
#define PAGES_MAX 2048u
#define DATA_BYTES (64u << 10)

/* Pages of the front's memory, from its beginning. */
struct pages {
	bool marked[PAGES_MAX];
};

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

static void expect(const struct front *front, struct pages *pages,
		   const void *start, size_t bytes)
{
	size_t first = (size_t)((const uint8_t *)start - front->memory);

	for (size_t i = first / PAGE_BYTES;
	     i <= (first + bytes - 1) / PAGE_BYTES; i++)
		pages->marked[i] = true;
}

/* What the device writes of the ring for the next completion. */
static void expect_ring(const struct front *front, struct pages *pages)
{
	const struct front_queue *queue = &front->queues[0];
	uint16_t index = queue->used_next % QUEUE_SIZE;

	if (queue->packed) {
		expect(front, pages, &queue->ring[index],
		       sizeof(queue->ring[0]));
		expect(front, pages, queue->device_event,
		       sizeof(*queue->device_event));
		return;
	}
	expect(front, pages, &queue->used->ring[index],
	       sizeof(queue->used->ring[0]));
	expect(front, pages, &queue->used->idx, sizeof(queue->used->idx));
	if (queue->event_index)
		expect(front, pages, &queue->used->ring[QUEUE_SIZE],
		       sizeof(uint16_t));
	else
		expect(front, pages, &queue->used->flags,
		       sizeof(queue->used->flags));
}

/* Moves what has been logged to @pages. */
static void collect(struct front *front, struct pages *pages)
{
	for (size_t i = 0; i < front->memory_bytes / PAGE_BYTES; i++)
		if (front_log_take(front, FRONT_GUEST_BASE + i * PAGE_BYTES))
			pages->marked[i] = true;
}

/* Whether all of @some are in @all; else tells which isn't. */
static bool within(const struct pages *some, const struct pages *all,
		   size_t *ret_page)
{
	for (size_t i = 0; i < PAGES_MAX; i++)
		if (some->marked[i] && !all->marked[i]) {
			*ret_page = i;
			return false;
		}
	return true;
}

static void check_log(struct server *server, struct front *front,
		      const struct pages *expected, const char *name)
{
	struct pages seen = {0};
	size_t page = 0;

	/* The device asks for kicks when it goes to sleep again. */
	for (int i = 0; i < 5000; i++) {
		collect(front, &seen);
		if (!within(&seen, expected, &page))
			fail_msg("%s: page %zu is logged", name, page);
		if (within(expected, &seen, &page))
			break;
		usleep(1000);
	}
	if (!within(expected, &seen, &page))
		fail_msg("%s: page %zu is not logged", name, page);
	server_counts(server);
	collect(front, &seen);
	if (!within(&seen, expected, &page))
		fail_msg("%s: page %zu is logged too", name, page);
}

static struct front *logging_front(struct server *server,
				   const struct front_options *options)
{
	struct front_options own = *options;
	struct front *front;

	own.log = true;
	own.queue_size = QUEUE_SIZE;
	own.data_bytes = DATA_BYTES;
	front = connect_front(server, &own);
	assert_true(front->memory_bytes / PAGE_BYTES <= PAGES_MAX);
	assert_int_equal(front_log_start(front), 0);
	return front;
}

enum data { DATA_NONE, DATA_ALL, DATA_ID };

struct request_case {
	const char *name;
	uint64_t sector;
	size_t offset; /* of its data */
	size_t bytes;
	uint32_t type;
	int failure; /* of the pipeline */
	int status;
	enum data written;
};

static void run_case(struct server *server, struct front *front,
		     const struct request_case *one, bool ring)
{
	const struct front_slot *slot = front_next_slot(&front->queues[0]);
	uint8_t *data = front_data(front) + one->offset;
	struct pages expected = {0};
	size_t written = 0;

	if (one->written == DATA_ALL)
		written = one->bytes;
	else if (one->written == DATA_ID)
		written = VIRTIO_BLK_ID_BYTES;
	expect(front, &expected, slot->status, 1);
	if (written > 0)
		expect(front, &expected, data, written);
	if (ring)
		expect_ring(front, &expected);
	if (one->failure)
		server_fail(server, FOREBAY_READ, one->failure, 1);
	assert_int_equal(
		transfer(front, 0, one->type, one->sector, data, one->bytes),
		one->status);
	check_log(server, front, &expected, one->name);
}

static const struct request_case cases[] = {
	{"a read of a page", 0, 8192, 4096, VIRTIO_BLK_T_IN, 0, VIRTIO_BLK_S_OK,
	 DATA_ALL},
	{"a read over pages", 8, 2048, 8192, VIRTIO_BLK_T_IN, 0,
	 VIRTIO_BLK_S_OK, DATA_ALL},
	{"a read that ends with a page", 8, 3584, 512, VIRTIO_BLK_T_IN, 0,
	 VIRTIO_BLK_S_OK, DATA_ALL},
	{"a bounced read", 0, 4095, 512, VIRTIO_BLK_T_IN, 0, VIRTIO_BLK_S_OK,
	 DATA_ALL},
	{"a read that fails half-way", 0, 4096, 4096, VIRTIO_BLK_T_IN, -EIO,
	 VIRTIO_BLK_S_IOERR, DATA_ALL},
	{"a bounced read that fails", 0, 4095, 512, VIRTIO_BLK_T_IN, -EIO,
	 VIRTIO_BLK_S_IOERR, DATA_NONE},
	{"a read beyond the disk", SERVER_DISK_BYTES / 512, 4096, 4096,
	 VIRTIO_BLK_T_IN, 0, VIRTIO_BLK_S_IOERR, DATA_NONE},
	{"a write", 0, 4096, 4096, VIRTIO_BLK_T_OUT, 0, VIRTIO_BLK_S_OK,
	 DATA_NONE},
	{"a bounced write", 0, 4095, 512, VIRTIO_BLK_T_OUT, 0, VIRTIO_BLK_S_OK,
	 DATA_NONE},
	{"a flush", 0, 0, 0, VIRTIO_BLK_T_FLUSH, 0, VIRTIO_BLK_S_OK, DATA_NONE},
	{"get-id", 0, 4090, 20, VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_S_OK,
	 DATA_ID},
	{"get-id with room to spare", 0, 4070, 8192, VIRTIO_BLK_T_GET_ID, 0,
	 VIRTIO_BLK_S_OK, DATA_ID},
	{"what is unknown", 0, 4096, 4096, 77, 0, VIRTIO_BLK_S_UNSUPP,
	 DATA_NONE},
};

static void run_cases(struct server *server,
		      const struct front_options *options)
{
	struct front *front = logging_front(server, options);
	struct pages before = {0};

	/* What it wrote when logging began. */
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), 0);
	for (int i = 0; i < 50; i++) {
		usleep(1000);
		server_counts(server);
	}
	collect(front, &before);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run_case(server, front, &cases[i], true);
	front_destroy(front);
	server_stop(server);
}

static void exactly_the_pages_that_are_written_are_logged(void **state)
{
	run_cases(*state, &(struct front_options){0});
}

static void they_are_without_event_index_too(void **state)
{
	run_cases(*state, &(struct front_options){.no_event_index = true,
						  .no_indirect = true});
}

static void they_are_when_memory_has_several_regions(void **state)
{
	run_cases(*state, &(struct front_options){.two_regions = true});
}

/* Every entry of the ring, so that its pages are reached, and their wrap. */
static void a_whole_ring_is_logged(void **state)
{
	struct front *front = logging_front(*state, &(struct front_options){0});
	struct pages expected = {0};
	struct pages seen = {0};
	size_t page;

	for (unsigned int i = 0; i < QUEUE_SIZE + 10; i++) {
		const struct front_slot *slot =
			front_next_slot(&front->queues[0]);

		expect(front, &expected, slot->status, 1);
		expect_ring(front, &expected);
		assert_int_equal(
			transfer(front, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), 0);
	}
	for (int i = 0; i < 5000 && !within(&expected, &seen, &page); i++) {
		usleep(1000);
		collect(front, &seen);
	}
	assert_true(within(&expected, &seen, &page));
	assert_true(within(&seen, &expected, &page));
	front_destroy(front);
}

/* Where the entry and the index of a split ring lie in two pages. */
static void an_entry_far_from_the_index_is_logged(void **state)
{
	struct front *front = logging_front(*state, &(struct front_options){0});
	struct pages before = {0};

	for (unsigned int i = 0; i < QUEUE_SIZE - 20; i++)
		assert_int_equal(
			transfer(front, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), 0);
	for (int i = 0; i < 50; i++) {
		usleep(1000);
		server_counts(*state);
	}
	collect(front, &before);
	run_case(*state, front, &cases[0], true);
	front_destroy(front);
}

static int give_address(struct front *front, uint32_t flags, uint64_t shift)
{
	const struct front_queue *queue = &front->queues[0];
	const bool packed = queue->packed;
	const void *device =
		packed ? (const void *)queue->device_event : queue->used;
	const void *driver =
		packed ? (const void *)queue->driver_event : queue->available;
	const void *first =
		packed ? (const void *)queue->ring : queue->descriptors;
	const struct vhost_user_vring_address address = {
		.flags = flags,
		.descriptor = (uintptr_t)first + shift,
		.available = (uintptr_t)driver,
		.used = (uintptr_t)device,
		.log = front_guest_address(front, device),
	};

	return front_acknowledged(front,
				  &(struct front_message){
					  .type = VHOST_USER_SET_VRING_ADDR,
					  .payload = &address,
					  .bytes = sizeof(address),
				  });
}

static void a_ring_without_its_flag_is_not_logged(void **state)
{
	struct front *front = logging_front(*state, &(struct front_options){0});
	struct pages before = {0};

	assert_int_equal(give_address(front, 0, 0), 0);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), 0);
	collect(front, &before);
	run_case(*state, front, &cases[0], false);
	front_destroy(front);
}

static void a_ring_cannot_move_while_it_runs(void **state)
{
	struct front *front = logging_front(*state, &(struct front_options){0});

	assert_int_equal(give_address(front, VHOST_USER_VRING_LOG, 4096),
			 -EREMOTEIO);
	assert_int_equal(give_address(front, 2, 0), -EREMOTEIO);
	assert_int_equal(give_address(front, VHOST_USER_VRING_LOG, 0), 0);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), 0);
	front_destroy(front);
}

static void logging_ends_when_it_is_told_to(void **state)
{
	struct front *front = logging_front(*state, &(struct front_options){0});
	const struct pages none = {0};
	struct pages before = {0};

	assert_int_equal(front_log_stop(front), 0);
	collect(front, &before);
	assert_int_equal(
		transfer(front, 0, VIRTIO_BLK_T_IN, 0, front_data(front), 4096),
		0);
	check_log(*state, front, &none, "no log");
	/* And begins again, with the same log or another one. */
	assert_int_equal(front_log_start(front), 0);
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), 0);
	collect(front, &before);
	run_case(*state, front, &cases[0], true);
	front_destroy(front);
	server_stop(*state);
}

/* Returns: whether the server takes a log of @bytes at @offset of a file. */
static bool log_taken(struct server *server, uint64_t bytes, uint64_t offset,
		      uint64_t file_bytes)
{
	struct front *front =
		connect_front(server, &(struct front_options){.log = true});
	const struct vhost_user_log log = {
		.mmap_bytes = bytes,
		.mmap_offset = offset,
	};
	int fd = memfd_create("log", MFD_CLOEXEC);
	union vhost_user_payload answer;
	uint64_t features = front->features;
	bool taken;

	assert_int_equal(ftruncate(fd, (off_t)file_bytes), 0);
	/* The VMM wants logging already, so that the log counts at once. */
	assert_int_equal(
		front_acknowledged(front,
				   &(struct front_message){
					   .type = VHOST_USER_SET_FEATURES,
					   .payload = &features,
					   .bytes = sizeof(features),
				   }),
		0);
	assert_int_equal(front_send(front,
				    &(struct front_message){
					    .type = VHOST_USER_SET_LOG_BASE,
					    .payload = &log,
					    .bytes = sizeof(log),
					    .fds = &fd,
					    .fd_count = 1,
				    }),
			 0);
	taken = front_receive(front, VHOST_USER_SET_LOG_BASE, &answer, NULL,
			      NULL) == 0;
	close(fd);
	front_destroy(front);
	return taken;
}

static void a_log_that_is_too_small_is_refused(void **state)
{
	/* One bit a page up to the end of the front's memory: about 1 GiB. */
	const uint64_t enough = (FRONT_GUEST_BASE + (64u << 20)) / 4096 / 8;
	const uint64_t little = FRONT_GUEST_BASE / 4096 / 8;

	assert_true(log_taken(*state, enough, 0, enough));
	assert_true(log_taken(*state, enough, 100, enough + 100));
	assert_false(log_taken(*state, little, 0, enough));
	assert_false(log_taken(*state, enough, 0, enough - 1));
	assert_false(log_taken(*state, enough, UINT64_MAX - 100, enough));
	assert_false(log_taken(*state, UINT64_MAX, 1, enough));
	assert_false(log_taken(*state, 0, 0, enough));
	server_stop(*state);
}

static void memory_beyond_the_log_is_refused(void **state)
{
	struct front *front = logging_front(*state, &(struct front_options){0});
	const struct vhost_user_memory_slot slot = {
		.region = {.guest_address = UINT64_C(1) << 40,
			   .bytes = 4096,
			   .user_address = 4096},
	};

	assert_int_equal(
		front_acknowledged(front,
				   &(struct front_message){
					   .type = VHOST_USER_ADD_MEM_REG,
					   .payload = &slot,
					   .bytes = sizeof(slot),
					   .fds = &front->memory_fd,
					   .fd_count = 1,
				   }),
		-EREMOTEIO);
	/* It isn't there, and what is there is logged as before. */
	assert_int_equal(
		front_acknowledged(front,
				   &(struct front_message){
					   .type = VHOST_USER_REM_MEM_REG,
					   .payload = &slot,
					   .bytes = sizeof(slot),
				   }),
		-EREMOTEIO);
	run_case(*state, front, &cases[0], true);
	front_destroy(front);
	server_stop(*state);
}

/* A VMM that comes back in the midst of a migration. */
static void logging_goes_on_after_a_kill(void **state)
{
	struct front *front = logging_front(*state, &(struct front_options){0});
	struct pages expected = {0};
	struct pages seen = {0};
	uint8_t *data = front_data(front) + 4096;
	struct iovec segment = {data, 4096};
	const struct front_request request = {
		.type = VIRTIO_BLK_T_IN,
		.segments = &segment,
		.segment_count = 1,
	};
	struct front_completion completion;
	struct front_slot *slot;
	size_t page;

	server_set_order(*state, MEMORY_PIPELINE_HELD);
	assert_int_equal(front_submit(front, 0, &request, &slot), 0);
	front_kick(&front->queues[0]);
	server_wait_in_flight(*state, 1);
	collect(front, &seen);
	memset(&seen, 0, sizeof(seen));
	server_kill(*state);
	server_start(*state);
	assert_int_equal(front_connect(front), 0);
	assert_int_equal(front_wait(front, 0, 10000), 0);
	assert_int_equal(front_reap(&front->queues[0], &completion, 1), 1);
	assert_int_equal(completion.status, VIRTIO_BLK_S_OK);
	collect(front, &seen);
	expect(front, &expected, slot->status, 1);
	expect(front, &expected, data, 4096);
	assert_true(within(&expected, &seen, &page));
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
		BOTH(exactly_the_pages_that_are_written_are_logged),
		BOTH(they_are_without_event_index_too),
		BOTH(they_are_when_memory_has_several_regions),
		BOTH(a_whole_ring_is_logged),
		BOTH(an_entry_far_from_the_index_is_logged),
		BOTH(a_ring_without_its_flag_is_not_logged),
		BOTH(a_ring_cannot_move_while_it_runs),
		BOTH(logging_ends_when_it_is_told_to),
		TEST(a_log_that_is_too_small_is_refused),
		TEST(memory_beyond_the_log_is_refused),
		BOTH(logging_goes_on_after_a_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
