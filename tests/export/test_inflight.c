// SPDX-License-Identifier: Apache-2.0
/*
 * test_inflight.c - the in-flight region of a split queue after a kill at any
 * instruction.
 *
 * A child works on rings and region in shared memory and is stepped through
 * instruction by instruction. Whenever the memory has changed, the test stops
 * the clock: it takes a copy, lets a successor recover from it, and compares
 * with what the rings themselves say is outstanding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first. */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "inflight.h"
#include "single_step.h"

#define SIZE 8u
#define ENTRIES_MAX 64u
/* Enough of a memory for what the child touches. */
#define RING_BYTES 512u
#define REGION_BYTES \
	(sizeof(struct inflight_region) + sizeof(struct inflight_state) * SIZE)

struct memory {
	_Alignas(16) uint8_t available[RING_BYTES];
	_Alignas(16) uint8_t used[RING_BYTES];
	_Alignas(16) uint8_t region[REGION_BYTES];
	/* The guest's own record of all that it ever offered. */
	uint16_t offered_count;
	uint16_t offered[ENTRIES_MAX];
};

struct device {
	struct virtqueue ring;
	struct inflight inflight;
	struct vring_avail *available;
};

static void attach(struct device *device, struct memory *memory)
{
	device->available = (void *)memory->available;
	device->ring.available = device->available;
	device->ring.used = (void *)memory->used;
	device->ring.size = SIZE;
	device->ring.event_index = true;
}

/* Returns: how many heads are to be replayed. */
static unsigned int begin(struct device *device, struct memory *memory,
			  uint16_t *ret_heads)
{
	int count;

	memset(device, 0, sizeof(*device));
	attach(device, memory);
	if (virtqueue_start(&device->ring, VIRTQUEUE_BASE_FIRST) < 0)
		abort();
	count = inflight_start(&device->inflight, memory->region, &device->ring,
			       ret_heads);
	if (count < 0)
		abort();
	return (unsigned int)count;
}

static void offer(struct device *device, struct memory *memory, uint16_t head)
{
	uint16_t index = memory->offered_count;

	memory->offered[index] = head;
	device->available->ring[index % SIZE] = head;
	__atomic_store_n(&memory->offered_count, index + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&device->available->idx, (uint16_t)(index + 1),
			 __ATOMIC_RELEASE);
}

static void take(struct device *device)
{
	uint16_t head;

	if (virtqueue_take(&device->ring, &head) != 1)
		abort();
	inflight_take(&device->inflight, &device->ring, head);
}

static void stage(struct device *device, uint16_t head)
{
	virtqueue_stage(&device->ring, head, 1);
	inflight_stage(&device->inflight, &device->ring, head);
}

static void publish(struct device *device)
{
	inflight_prepare(&device->inflight, &device->ring);
	virtqueue_publish(&device->ring);
	inflight_publish(&device->inflight, &device->ring);
}

/* Batches of several sizes, completions out of order, heads used again. */
static void work(void *shared)
{
	static struct device device;
	struct memory *memory = shared;
	uint16_t heads[SIZE];

	begin(&device, memory, heads);
	for (uint16_t i = 0; i < 5; i++)
		offer(&device, memory, i);
	for (unsigned int i = 0; i < 5; i++)
		take(&device);
	stage(&device, 3);
	publish(&device);
	stage(&device, 0);
	stage(&device, 4);
	stage(&device, 1);
	publish(&device);
	offer(&device, memory, 4);
	offer(&device, memory, 7);
	take(&device);
	offer(&device, memory, 0);
	take(&device);
	take(&device);
	stage(&device, 0);
	stage(&device, 2);
	publish(&device);
	offer(&device, memory, 2);
	offer(&device, memory, 0);
	take(&device);
	stage(&device, 4);
	stage(&device, 7);
	stage(&device, 2);
	publish(&device);
}

/* The used ring is smaller than its history: keep what it forgets. */
struct history {
	uint16_t count;
	uint16_t heads[ENTRIES_MAX];
};

static void history_update(struct history *history, const struct memory *memory)
{
	const struct vring_used *used = (const void *)memory->used;

	while (history->count < used->idx) {
		history->heads[history->count] =
			(uint16_t)used->ring[history->count % SIZE].id;
		history->count++;
	}
}

/*
 * What is outstanding by the rings alone, in the order in which it was
 * offered: each return answers the oldest offer of its head.
 * Returns: how many.
 */
static unsigned int outstanding(const struct history *history,
				const struct memory *memory,
				uint16_t ret_heads[ENTRIES_MAX])
{
	const struct vring_avail *available = (const void *)memory->available;
	bool returned[ENTRIES_MAX] = {false};
	unsigned int count = 0;

	for (uint16_t i = 0; i < history->count; i++)
		for (uint16_t j = 0; j < available->idx; j++) {
			if (returned[j] ||
			    memory->offered[j] != history->heads[i])
				continue;
			returned[j] = true;
			break;
		}
	for (uint16_t i = 0; i < available->idx; i++)
		if (!returned[i])
			ret_heads[count++] = memory->offered[i];
	return count;
}

static void check_snapshot(const void *bytes, void *owner)
{
	const struct memory *snapshot = bytes;
	struct history *history = owner;
	const struct vring_avail *available = (const void *)snapshot->available;
	static struct device successor;
	struct memory copy = *snapshot;
	uint16_t expected[ENTRIES_MAX];
	uint16_t heads[ENTRIES_MAX];
	unsigned int wanted;

	history_update(history, snapshot);
	wanted = outstanding(history, snapshot, expected);
	/* A second kill, right after the recovery, changes nothing. */
	for (unsigned int round = 0; round < 2; round++) {
		unsigned int count = begin(&successor, &copy, heads);
		uint16_t next = successor.ring.available_next;

		/* What it finds in the available ring comes after those. */
		while (next != available->idx)
			heads[count++] = available->ring[next++ % SIZE];
		assert_int_equal(count, wanted);
		assert_memory_equal(heads, expected, count * sizeof(heads[0]));
	}
}

static void a_kill_after_any_instruction_is_recovered_from(void **state)
{
	struct memory *memory =
		mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct history history = {0};
	int snapshots;

	(void)state;
	assert_ptr_not_equal(memory, MAP_FAILED);
	snapshots = single_step(memory, sizeof(*memory), work, check_snapshot,
				&history);
	munmap(memory, sizeof(*memory));
	if (snapshots < 0) {
		print_message("# no ptrace here\n");
		skip();
	}
	/* Each take is two stores, each return at least four. */
	assert_true(snapshots > 60);
}

static void heads_of_an_old_batch_stay_done(void **state)
{
	static struct device device;
	struct memory memory = {0};
	uint16_t heads[SIZE];

	(void)state;
	begin(&device, &memory, heads);
	offer(&device, &memory, 5);
	take(&device);
	stage(&device, 5);
	/* Killed between the used index and the rest. */
	virtqueue_publish(&device.ring);
	assert_int_equal(begin(&device, &memory, heads), 0);
	assert_int_equal(device.ring.available_next, 1);
}

static void a_count_that_makes_no_sense_ends(void **state)
{
	static struct device device;
	struct memory memory = {0};
	struct inflight_region *region = (void *)memory.region;
	uint16_t heads[SIZE];

	(void)state;
	begin(&device, &memory, heads); /* formats it */
	region->used_index = 12345;
	region->last_batch_head = 2;
	region->states[2].next = 2;
	region->states[3].inflight = 1;
	region->states[3].next = 60000;
	assert_int_equal(begin(&device, &memory, heads), 1);
	assert_int_equal(heads[0], 3);
	region->used_index = 4;
	region->last_batch_head = 3;
	assert_int_equal(begin(&device, &memory, heads), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_kill_after_any_instruction_is_recovered_from),
		cmocka_unit_test(heads_of_an_old_batch_stay_done),
		cmocka_unit_test(a_count_that_makes_no_sense_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
