// SPDX-License-Identifier: Apache-2.0
/*
 * test_inflight_packed.c - the in-flight region of a packed queue after a kill
 * at any instruction.
 *
 * A child is driver and device in one, on a ring and a region in shared memory.
 * Whenever the memory has changed, a successor recovers from a copy of it, and
 * must find what the ring and the driver's own record say is outstanding, with
 * the descriptors as the driver made them; and the driver must not find
 * anything returned that it hasn't been shown.
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
#define OFFERS_MAX 256u
#define REGION_BYTES                             \
	(sizeof(struct inflight_packed_region) + \
	 sizeof(struct inflight_packed_state) * SIZE)
#define BIT(number) ((uint16_t)(1u << (number)))
#define AVAILABLE_BIT BIT(VRING_PACKED_DESC_F_AVAIL)
#define USED_BIT BIT(VRING_PACKED_DESC_F_USED)

struct offer {
	uint16_t id;
	uint16_t count;
};

struct memory {
	struct vring_packed_desc ring[SIZE];
	struct vring_packed_desc_event driver_event;
	struct vring_packed_desc_event device_event;
	_Alignas(16) uint8_t region[REGION_BYTES];
	/* Each is written before, and counted after, the ring shows it. */
	uint16_t offer_count;
	struct offer offers[OFFERS_MAX];
};

struct device {
	struct virtqueue ring;
	struct inflight inflight;
};

/* What the driver knows by itself. */
struct driver {
	uint16_t available_next; /* positions in the ring */
	uint16_t used_next;
	bool returned[OFFERS_MAX];
};

static uint16_t move_on(uint16_t position, unsigned int count)
{
	return (uint16_t)((position + count) % (2 * SIZE));
}

/* Returns: as inflight_start(). */
static int begin(struct device *device, struct memory *memory,
		 uint16_t *ret_heads)
{
	memset(device, 0, sizeof(*device));
	device->ring.packed = true;
	device->ring.size = SIZE;
	device->ring.event_index = true;
	virtqueue_place(&device->ring, memory->ring, &memory->driver_event,
			&memory->device_event);
	if (virtqueue_start(&device->ring, VIRTQUEUE_BASE_FIRST) < 0)
		abort();
	return inflight_start(&device->inflight, memory->region, &device->ring,
			      ret_heads);
}

/* Tells the descriptors of each offer apart. */
static uint64_t address_of(unsigned int offer, unsigned int index)
{
	return offer * 0x10000u + index * 0x100u;
}

static void offer(struct driver *driver, struct memory *memory, uint16_t id,
		  uint16_t count)
{
	uint16_t number = memory->offer_count;
	uint16_t first_flags = 0;

	memory->offers[number] = (struct offer){id, count};
	for (unsigned int i = 0; i < count; i++) {
		uint16_t position = move_on(driver->available_next, i);
		struct vring_packed_desc *place =
			&memory->ring[position % SIZE];
		uint16_t flags = position < SIZE ? AVAILABLE_BIT : USED_BIT;

		if (i + 1u < count)
			flags |= VRING_DESC_F_NEXT;
		place->addr = address_of(number, i);
		place->len = number;
		place->id = id;
		if (i == 0)
			first_flags = flags;
		else
			place->flags = flags;
	}
	__atomic_store_n(&memory->ring[driver->available_next % SIZE].flags,
			 first_flags, __ATOMIC_RELEASE);
	__atomic_store_n(&memory->offer_count, number + 1, __ATOMIC_RELEASE);
	driver->available_next = move_on(driver->available_next, count);
}

static bool used_at(const struct memory *memory, uint16_t position)
{
	uint16_t flags = memory->ring[position % SIZE].flags;
	uint16_t wanted = position < SIZE ? AVAILABLE_BIT | USED_BIT : 0;

	return (flags & (AVAILABLE_BIT | USED_BIT)) == wanted;
}

/* The oldest offer of @id that hasn't come back. */
static unsigned int offer_of(const struct driver *driver,
			     const struct memory *memory, uint16_t id)
{
	for (unsigned int i = 0; i <= memory->offer_count; i++)
		if (!driver->returned[i] && memory->offers[i].id == id &&
		    memory->offers[i].count > 0)
			return i;
	fail_msg("%u came back and was never offered", id);
	return 0;
}

/* Returns: how many chains the driver finds returned. */
static unsigned int reap(struct driver *driver, const struct memory *memory)
{
	unsigned int count = 0;

	while (driver->used_next != driver->available_next &&
	       used_at(memory, driver->used_next)) {
		const struct vring_packed_desc *place =
			&memory->ring[driver->used_next % SIZE];
		unsigned int number = offer_of(driver, memory, place->id);

		driver->returned[number] = true;
		driver->used_next = move_on(driver->used_next,
					    memory->offers[number].count);
		count++;
	}
	return count;
}

static void take(struct device *device, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		uint16_t head;

		if (virtqueue_take(&device->ring, &head) != 1)
			abort();
		inflight_take(&device->inflight, &device->ring, head);
	}
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

/* Chains of several lengths, returned out of order over the wrap. */
static void work_of_chains(struct device *device, struct driver *driver,
			   struct memory *memory)
{
	offer(driver, memory, 0, 2);
	offer(driver, memory, 1, 1);
	offer(driver, memory, 2, 3);
	offer(driver, memory, 3, 2);
	take(device, 4);
	stage(device, 2);
	publish(device);
	stage(device, 0);
	stage(device, 3);
	stage(device, 1);
	publish(device);
	reap(driver, memory);
	/* A batch as long as the ring brings the index to where it was. */
	offer(driver, memory, 5, SIZE);
	take(device, 1);
	stage(device, 5);
	publish(device);
	reap(driver, memory);
	/* Chains are taken while others wait to be published. */
	offer(driver, memory, 1, 1);
	offer(driver, memory, 6, 1);
	take(device, 2);
	stage(device, 6);
	offer(driver, memory, 0, 3);
	take(device, 1);
	stage(device, 0);
	publish(device);
	reap(driver, memory);
	offer(driver, memory, 7, 2);
	take(device, 1);
	stage(device, 7);
	stage(device, 1);
	publish(device);
	reap(driver, memory);
}

/* Three IDs go round, each batch another way. */
static void work_of_rounds(struct device *device, struct driver *driver,
			   struct memory *memory)
{
	for (uint16_t round = 0; round < 12; round++) {
		uint16_t first = (uint16_t)(round % 3 + 1);

		offer(driver, memory, first, 1);
		offer(driver, memory, 4, (uint16_t)(round % 4 + 1));
		take(device, 2);
		offer(driver, memory, 5, 2);
		stage(device, 4);
		if (round % 2)
			publish(device);
		take(device, 1);
		stage(device, 5);
		stage(device, first);
		publish(device);
		reap(driver, memory);
	}
}

static void work(void *shared)
{
	static struct device device;
	static struct driver driver;
	struct memory *memory = shared;
	uint16_t heads[SIZE];

	begin(&device, memory, heads);
	work_of_chains(&device, &driver, memory);
	work_of_rounds(&device, &driver, memory);
}

/* The chain that was taken or is replayed is the driver's offer @number. */
static void check_taken(const struct device *device,
			const struct memory *memory, unsigned int number)
{
	const struct offer *wanted = &memory->offers[number];

	assert_int_equal(device->ring.taken_count, wanted->count);
	for (unsigned int i = 0; i < wanted->count; i++) {
		assert_int_equal(device->ring.taken[i].addr,
				 address_of(number, i));
		assert_int_equal(device->ring.taken[i].len, number);
	}
}

/* Returns: the next offer that hasn't come back, from @number on. */
static unsigned int next_outstanding(const struct driver *driver,
				     unsigned int number)
{
	while (driver->returned[number])
		number++;
	return number;
}

/* Returns: how many the device finds, each the next that is outstanding. */
static unsigned int check_recovery(struct memory *copy,
				   const struct driver *driver)
{
	static struct device successor;
	uint16_t heads[SIZE];
	unsigned int number = 0;
	unsigned int found = 0;
	int count = begin(&successor, copy, heads);

	assert_true(count >= 0);
	for (int i = 0; i < count; i++) {
		number = next_outstanding(driver, number);
		assert_int_equal(heads[i], copy->offers[number].id);
		inflight_replay(&successor.inflight, &successor.ring, heads[i]);
		check_taken(&successor, copy, number++);
		found++;
	}
	while (virtqueue_take(&successor.ring, &heads[0]) == 1) {
		number = next_outstanding(driver, number);
		assert_int_equal(heads[0], copy->offers[number].id);
		check_taken(&successor, copy, number++);
		found++;
	}
	return found;
}

/*
 * A successor that returns one chain shows the driver that one, and nothing of
 * what its predecessor had staged behind it.
 */
static void check_return(const struct memory *snapshot,
			 const struct driver *before, bool oldest)
{
	static struct device successor;
	struct memory copy = *snapshot;
	struct driver driver = *before;
	uint16_t heads[SIZE];
	uint16_t head;
	int count = begin(&successor, &copy, heads);

	while (count < (int)SIZE &&
	       virtqueue_take(&successor.ring, &head) == 1) {
		inflight_take(&successor.inflight, &successor.ring, head);
		heads[count++] = head;
	}
	if (count <= 0)
		return;
	stage(&successor, heads[oldest ? 0 : count - 1]);
	virtqueue_publish(&successor.ring);
	assert_int_equal(reap(&driver, &copy), 1);
}

static void check_snapshot(const void *bytes, void *owner)
{
	const struct memory *snapshot = bytes;
	struct driver *driver = owner;
	struct memory copy = *snapshot;
	unsigned int wanted = 0;
	unsigned int descriptors = 0;
	unsigned int found;

	/* As far as the driver may look: it may have shown one more. */
	for (unsigned int i = 0; i <= snapshot->offer_count; i++)
		descriptors += snapshot->offers[i].count;
	driver->available_next = move_on(0, descriptors);
	reap(driver, snapshot);
	for (unsigned int i = 0; i < snapshot->offer_count; i++)
		wanted += !driver->returned[i];
	found = check_recovery(&copy, driver);
	assert_true(found == wanted || found == wanted + 1);
	/* A second kill, right after the recovery, changes nothing. */
	assert_int_equal(check_recovery(&copy, driver), found);
	assert_int_equal(reap(driver, &copy), 0);
	check_return(snapshot, driver, true);
	check_return(snapshot, driver, false);
}

static void a_kill_after_any_instruction_is_recovered_from(void **state)
{
	static struct driver driver;
	struct memory *memory =
		mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int snapshots;

	(void)state;
	assert_ptr_not_equal(memory, MAP_FAILED);
	snapshots = single_step(memory, sizeof(*memory), work, check_snapshot,
				&driver);
	munmap(memory, sizeof(*memory));
	if (snapshots < 0) {
		print_message("# no ptrace here\n");
		skip();
	}
	assert_true(snapshots > 500);
}

static void a_new_region_goes_on_where_the_base_says(void **state)
{
	static struct device device;
	static struct memory memory;
	uint16_t heads[SIZE];

	(void)state;
	begin(&device, &memory, heads);
	memset(&memory, 0, sizeof(memory));
	/* Index 3 with wrap counter 0, for both. */
	assert_int_equal(virtqueue_start(&device.ring, 0x00030003), 0);
	assert_int_equal(inflight_start(&device.inflight, memory.region,
					&device.ring, heads),
			 0);
	assert_int_equal(virtqueue_base(&device.ring), 0x00030003);
	/* From then on the region counts. */
	assert_int_equal(begin(&device, &memory, heads), 0);
	assert_int_equal(virtqueue_base(&device.ring), 0x00030003);
}

struct lie {
	const char *name;
	void (*tell)(struct inflight_packed_region *region);
};

static void an_index_beyond_the_ring(struct inflight_packed_region *region)
{
	region->places = SIZE;
}

static void a_free_list_that_loops(struct inflight_packed_region *region)
{
	region->states[region->free_head].next = region->free_head;
}

static void a_free_entry_missing(struct inflight_packed_region *region)
{
	region->states[region->free_head].next = UINT16_MAX;
}

static void a_chain_of_nothing(struct inflight_packed_region *region)
{
	region->states[0].count = 0;
}

static void a_chain_into_the_free_list(struct inflight_packed_region *region)
{
	region->states[2].count++;
}

static void an_id_beyond_the_ring(struct inflight_packed_region *region)
{
	region->states[1].id = SIZE;
}

static void an_id_twice(struct inflight_packed_region *region)
{
	region->states[1].id = region->states[2].id;
}

static void a_link_out_of_the_region(struct inflight_packed_region *region)
{
	region->states[0].next = 60000;
}

/* Two chains in flight, one of two descriptors and one of one. */
static void make_region(struct memory *memory)
{
	static struct device device;
	struct driver driver = {0};
	uint16_t heads[SIZE];

	memset(memory, 0, sizeof(*memory));
	assert_int_equal(begin(&device, memory, heads), 0);
	offer(&driver, memory, 3, 2);
	offer(&driver, memory, 4, 1);
	take(&device, 2);
}

static void a_region_that_lies_is_refused(void **state)
{
	static const struct lie lies[] = {
		{"an index beyond the ring", an_index_beyond_the_ring},
		{"a free list that loops", a_free_list_that_loops},
		{"a free entry missing", a_free_entry_missing},
		{"a chain of nothing", a_chain_of_nothing},
		{"a chain into the free list", a_chain_into_the_free_list},
		{"an ID beyond the ring", an_id_beyond_the_ring},
		{"an ID twice", an_id_twice},
		{"a link out of the region", a_link_out_of_the_region},
	};
	static struct device device;
	static struct memory memory;
	uint16_t heads[SIZE];

	(void)state;
	make_region(&memory);
	assert_int_equal(begin(&device, &memory, heads), 2);
	for (unsigned int i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		make_region(&memory);
		lies[i].tell((void *)memory.region);
		if (begin(&device, &memory, heads) >= 0)
			fail_msg("%s was believed", lies[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_kill_after_any_instruction_is_recovered_from),
		cmocka_unit_test(a_new_region_goes_on_where_the_base_says),
		cmocka_unit_test(a_region_that_lies_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
