// SPDX-License-Identifier: Apache-2.0
/*
 * test_double_fetch.c - no word that a guest or a VMM can change is read twice
 * for one decision.
 *
 * The server here is built so that every read of such a word asks this file
 * (shared_word.h). The second load of a word, or a load of one that was polled,
 * is counted, and returns the opposite. That is reckoned anew each time the
 * guest has nothing under way, since it uses the same memory again.
 */
#include "vhost_server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shared_word.h"

#define SLOTS (1u << 16)
#define REQUESTS 24u
/* A server polls a ring when it starts, when it is kicked, and when it found
 * something; how often beside that is chance. So many lives reach the bounds of
 * check_ledger() without it. */
#define RECOVERIES 40u

/* Between this process, whose guest turns the page, and the server. */
struct ledger {
	unsigned int epoch;
	uint64_t loads;
	uint64_t polls;
	uint64_t second_loads;
};

/* Bytes that were read, and when; in each process by itself. */
struct mark {
	uintptr_t byte;
	unsigned int epoch;
};

static struct ledger *ledger;
static struct mark marks[SLOTS];

/* Returns: whether @byte was marked in this epoch already. */
static bool mark(uintptr_t byte)
{
	unsigned int epoch = __atomic_load_n(&ledger->epoch, __ATOMIC_ACQUIRE);
	size_t slot = (byte * 0x9e3779b97f4a7c15u) >> 48;

	for (size_t i = 0; i < SLOTS; i++) {
		struct mark *one = &marks[(slot + i) % SLOTS];

		if (one->epoch == epoch && one->byte == byte)
			return true;
		if (one->epoch == epoch)
			continue;
		*one = (struct mark){byte, epoch};
		return false;
	}
	abort();
}

static bool mark_all(const void *place, size_t bytes)
{
	bool seen = false;

	for (size_t i = 0; i < bytes; i++)
		if (mark((uintptr_t)place + i))
			seen = true;
	return seen;
}

uint64_t shared_word_hook(enum shared_read kind, const void *place,
			  size_t bytes, uint64_t value)
{
	bool seen = mark_all(place, bytes);

	if (kind == SHARED_POLL) {
		ledger->polls++;
		return value;
	}
	ledger->loads++;
	if (!seen)
		return value;
	ledger->second_loads++;
	return ~value;
}

void shared_bytes_hook(const void *place, size_t bytes, uint8_t *copy)
{
	ledger->loads++;
	if (!mark_all(place, bytes))
		return;
	ledger->second_loads++;
	for (size_t i = 0; i < bytes; i++)
		copy[i] = (uint8_t)~copy[i];
}

static void turn_page(void)
{
	__atomic_add_fetch(&ledger->epoch, 1, __ATOMIC_ACQ_REL);
}

static int setup(void **state)
{
	static struct server server;

	ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(ledger, MAP_FAILED);
	ledger->epoch = 1;
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
	munmap(ledger, sizeof(*ledger));
	return 0;
}

static void reap_all(struct front *front, unsigned int count, int status)
{
	struct front_completion completion;

	while (count > 0) {
		assert_int_equal(front_wait(front, 0, 10000), 0);
		while (count > 0 &&
		       front_reap(&front->queues[0], &completion, 1) == 1) {
			assert_int_equal(completion.status, status);
			count--;
		}
	}
}

/* Requests of @type, each with @segments pieces of 512 bytes. */
static void submit(struct front *front, uint32_t type, unsigned int count,
		   unsigned int segments)
{
	for (unsigned int i = 0; i < count; i++) {
		struct iovec pieces[3];
		const struct front_request request = {
			.type = type,
			.sector = i * 8,
			.segments = pieces,
			.segment_count = segments,
		};
		struct front_slot *slot;

		for (unsigned int j = 0; j < segments; j++)
			pieces[j] = (struct iovec){
				front_data(front) + (i * 3 + j) * 512u, 512};
		assert_int_equal(front_submit(front, 0, &request, &slot), 0);
	}
	front_kick(&front->queues[0]);
}

static void run(struct front *front, uint32_t type, unsigned int segments)
{
	turn_page();
	submit(front, type, REQUESTS, segments);
	reap_all(front, REQUESTS, VIRTIO_BLK_S_OK);
}

static void run_discard(struct front *front)
{
	struct virtio_blk_discard_write_zeroes *range =
		(void *)front_data(front);

	turn_page();
	range[0] = (struct virtio_blk_discard_write_zeroes){
		.sector = 8,
		.num_sectors = 8,
	};
	assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, range,
				  sizeof(*range)),
			 VIRTIO_BLK_S_OK);
}

static void run_all(struct server *server, const struct front_options *options)
{
	bool indirect = !options->no_indirect;
	struct front_options own = *options;
	struct front *front;

	own.queue_size = 128;
	own.discards = true;
	turn_page();
	front = connect_front(server, &own);
	/* Often enough for a ring to begin anew. */
	for (unsigned int i = 0; i < 12; i++) {
		run(front, VIRTIO_BLK_T_OUT, 1);
		run(front, VIRTIO_BLK_T_IN, indirect ? 3 : 1);
		run(front, VIRTIO_BLK_T_FLUSH, 0);
		run_discard(front);
	}
	front_destroy(front);
}

static void check_ledger(void)
{
	assert_true(ledger->loads > 1000);
	assert_true(ledger->polls > 100);
	assert_int_equal(ledger->second_loads, 0);
}

static void a_second_read_would_be_seen(void **state)
{
	const uint32_t word = 77;
	uint8_t bytes[4];

	(void)state;
	assert_int_equal(shared_load_u32(&word), 77);
	assert_int_equal(shared_load_u32(&word), ~77u);
	assert_int_equal(ledger->second_loads, 1);
	turn_page();
	assert_int_equal(shared_poll_u32(&word), 77);
	assert_int_equal(shared_load_u32(&word), ~77u);
	turn_page();
	shared_copy(bytes, &word, sizeof(bytes));
	assert_int_equal(bytes[0], 77);
	shared_copy(bytes, &word, 1);
	assert_int_equal(bytes[0], 0xff & ~77);
	assert_int_equal(ledger->second_loads, 3);
}

static void no_word_is_read_twice(void **state)
{
	const struct front_options variants[] = {
		{0},
		{.no_event_index = true},
		{.no_indirect = true},
		{.no_inflight = true},
	};

	for (unsigned int i = 0; i < sizeof(variants) / sizeof(variants[0]);
	     i++)
		run_all(*state, &variants[i]);
	check_ledger();
	assert_int_equal(server_counts(*state).broken_queues, 0);
	server_stop(*state);
}

static void no_word_is_read_twice_in_a_recovery(void **state)
{
	const struct front_options options = {.queue_size = 128};
	struct front *front = connect_front(*state, &options);

	for (unsigned int round = 0; round < RECOVERIES; round++) {
		turn_page();
		server_set_order(*state, MEMORY_PIPELINE_HELD);
		submit(front, VIRTIO_BLK_T_OUT, REQUESTS, 1);
		server_wait_in_flight(*state, REQUESTS);
		assert_int_equal(server_release(*state, 7), 7);
		reap_all(front, 7, VIRTIO_BLK_S_OK);
		server_kill(*state);
		turn_page();
		server_start(*state);
		assert_int_equal(front_connect(front), 0);
		reap_all(front, REQUESTS - 7, VIRTIO_BLK_S_OK);
		assert_int_equal(server_counts(*state).replayed, REQUESTS - 7);
	}
	check_ledger();
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
		TEST(a_second_read_would_be_seen),
		BOTH(no_word_is_read_twice),
		BOTH(no_word_is_read_twice_in_a_recovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
