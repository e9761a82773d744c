// SPDX-License-Identifier: Apache-2.0
/*
 * test_virtqueue_packed.c - the packed ring's arithmetic: wrap counters, event
 * suppression, order of publishing, and what a driver can't do.
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

#include "virtqueue.h"

/* Not a power of two: a packed ring needn't be. */
#define SIZE 5u
#define BIT(number) ((uint16_t)(1u << (number)))
#define AVAILABLE_BIT BIT(VRING_PACKED_DESC_F_AVAIL)
#define USED_BIT BIT(VRING_PACKED_DESC_F_USED)
#define WRAP_BIT BIT(VRING_PACKED_EVENT_F_WRAP_CTR)

struct fixture {
	struct virtqueue queue;
	struct vring_packed_desc ring[SIZE];
	_Alignas(4) struct vring_packed_desc_event driver_event;
	_Alignas(4) struct vring_packed_desc_event device_event;
	unsigned int position; /* the driver's */
};

static int setup(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof(fixture));
	fixture.queue.packed = true;
	fixture.queue.size = SIZE;
	fixture.queue.event_index = true;
	fixture.queue.indirect = true;
	virtqueue_place(&fixture.queue, fixture.ring, &fixture.driver_event,
			&fixture.device_event);
	assert_int_equal(virtqueue_start(&fixture.queue, VIRTQUEUE_BASE_FIRST),
			 0);
	*state = &fixture;
	return 0;
}

static void offer(struct fixture *fixture, uint16_t id, uint16_t flags)
{
	struct vring_packed_desc *place =
		&fixture->ring[fixture->position % SIZE];
	bool wrap = fixture->position / SIZE % 2 == 0;

	place->addr = 0x1000;
	place->len = 16;
	place->id = id;
	place->flags = (uint16_t)(flags | (wrap ? AVAILABLE_BIT : USED_BIT));
	fixture->position++;
}

static void take(struct fixture *fixture, uint16_t wanted)
{
	uint16_t head = UINT16_MAX;

	assert_int_equal(virtqueue_take(&fixture->queue, &head), 1);
	assert_int_equal(head, wanted);
}

/* One whole request. Returns: whether the driver is notified. */
static bool turn(struct fixture *fixture, uint16_t id)
{
	offer(fixture, id, 0);
	take(fixture, id);
	virtqueue_stage(&fixture->queue, id, 7);
	return virtqueue_publish(&fixture->queue);
}

static bool is_used(const struct fixture *fixture, unsigned int index,
		    bool wrap)
{
	uint16_t wanted = wrap ? AVAILABLE_BIT | USED_BIT : 0;

	return (fixture->ring[index].flags & (AVAILABLE_BIT | USED_BIT)) ==
	       wanted;
}

static void a_zeroed_ring_is_empty(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(virtqueue_look(&fixture->queue), 0);
	assert_false(virtqueue_arm(&fixture->queue));
}

static void wrap_counters_go_round(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned int i = 0; i < 7 * SIZE; i++) {
		turn(fixture, (uint16_t)(i % 3));
		assert_true(is_used(fixture, i % SIZE, i / SIZE % 2 == 0));
		assert_int_equal(fixture->ring[i % SIZE].id, i % 3);
		assert_int_equal(fixture->ring[i % SIZE].len, 7);
		assert_int_equal(virtqueue_look(&fixture->queue), 0);
	}
}

static void the_first_of_a_batch_becomes_visible_last(void **state)
{
	struct fixture *fixture = *state;

	for (uint16_t i = 0; i < 3; i++)
		offer(fixture, i, 0);
	for (uint16_t i = 0; i < 3; i++)
		take(fixture, i);
	virtqueue_stage(&fixture->queue, 2, 1);
	virtqueue_stage(&fixture->queue, 0, 1);
	assert_false(is_used(fixture, 0, true));
	assert_true(is_used(fixture, 1, true));
	virtqueue_publish(&fixture->queue);
	assert_true(is_used(fixture, 0, true));
	assert_int_equal(fixture->ring[0].id, 2);
	assert_int_equal(fixture->ring[1].id, 0);
	assert_false(is_used(fixture, 2, true));
}

static void a_chain_is_returned_in_one_descriptor(void **state)
{
	struct fixture *fixture = *state;

	offer(fixture, 9, VRING_DESC_F_NEXT);
	offer(fixture, 9, VRING_DESC_F_NEXT);
	offer(fixture, 4, VRING_DESC_F_WRITE);
	offer(fixture, 1, 0);
	take(fixture, 4);
	take(fixture, 1);
	virtqueue_stage(&fixture->queue, 4, 1);
	virtqueue_stage(&fixture->queue, 1, 1);
	virtqueue_publish(&fixture->queue);
	assert_true(is_used(fixture, 0, true));
	assert_true(is_used(fixture, 3, true));
	assert_int_equal(fixture->ring[3].id, 1);
}

static void the_base_has_both_places_and_their_counters(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(virtqueue_base(&fixture->queue), 0x80008000u);
	for (unsigned int i = 0; i < SIZE - 1; i++)
		turn(fixture, 0);
	assert_int_equal(virtqueue_base(&fixture->queue), 0x80048004u);
	offer(fixture, 1, VRING_DESC_F_NEXT);
	offer(fixture, 1, 0);
	take(fixture, 1);
	/* Taken up to index 1 of the second round, returned up to the last. */
	assert_int_equal(virtqueue_base(&fixture->queue), 0x80040001u);
	assert_int_equal(virtqueue_start(&fixture->queue, 0x80040001u), 0);
	assert_int_equal(virtqueue_base(&fixture->queue), 0x80040001u);
}

static void a_base_that_is_none_is_refused(void **state)
{
	const uint32_t bases[] = {
		0x80008005u, /* an index beyond the ring */
		0x80058000u, 0x80018000u, /* returned more than taken */
		0x00008001u, /* more than a lap apart */
		0x7fff7fffu,
	};
	struct fixture *fixture = *state;

	for (unsigned int i = 0; i < sizeof(bases) / sizeof(bases[0]); i++)
		if (virtqueue_start(&fixture->queue, bases[i]) != -EINVAL)
			fail_msg("base %x", bases[i]);
}

static void set_driver_event(struct fixture *fixture, uint16_t flags,
			     uint16_t index, bool wrap)
{
	fixture->driver_event.flags = flags;
	fixture->driver_event.off_wrap =
		(uint16_t)(index | (wrap ? WRAP_BIT : 0));
}

static void an_event_is_wanted_for_one_descriptor(void **state)
{
	struct fixture *fixture = *state;

	set_driver_event(fixture, VRING_PACKED_EVENT_FLAG_DESC, 1, true);
	assert_false(turn(fixture, 0)); /* index 0 */
	assert_true(turn(fixture, 0));
	assert_false(turn(fixture, 0));
	/* The same index, one lap later. */
	set_driver_event(fixture, VRING_PACKED_EVENT_FLAG_DESC, 1, false);
	for (unsigned int i = 3; i < SIZE + 1; i++)
		assert_false(turn(fixture, 0));
	assert_true(turn(fixture, 0));
	/* Out of the ring: rather once too often. */
	set_driver_event(fixture, VRING_PACKED_EVENT_FLAG_DESC, 77, false);
	assert_true(turn(fixture, 0));
	/* Nothing new is never worth a notification. */
	assert_false(virtqueue_publish(&fixture->queue));
}

static void an_event_within_a_batch_counts(void **state)
{
	struct fixture *fixture = *state;

	set_driver_event(fixture, VRING_PACKED_EVENT_FLAG_DESC, 2, true);
	for (uint16_t i = 0; i < 4; i++)
		offer(fixture, i, 0);
	for (uint16_t i = 0; i < 4; i++)
		take(fixture, i);
	for (uint16_t i = 0; i < 4; i++)
		virtqueue_stage(&fixture->queue, i, 1);
	assert_true(virtqueue_publish(&fixture->queue));
}

static void flags_turn_all_events_on_and_off(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned int i = 0; i < 2; i++) {
		fixture->queue.event_index = i == 0;
		set_driver_event(fixture, VRING_PACKED_EVENT_FLAG_ENABLE, 0, 0);
		assert_true(turn(fixture, 0));
		set_driver_event(fixture, VRING_PACKED_EVENT_FLAG_DISABLE, 0,
				 0);
		assert_false(turn(fixture, 0));
	}
}

static void arming_names_the_next_descriptor(void **state)
{
	struct fixture *fixture = *state;
	struct vring_packed_desc_event *event = &fixture->device_event;

	for (unsigned int i = 0; i < SIZE + 2; i++)
		turn(fixture, 0);
	assert_false(virtqueue_arm(&fixture->queue));
	assert_int_equal(event->flags, VRING_PACKED_EVENT_FLAG_DESC);
	assert_int_equal(event->off_wrap, 2); /* wrap counter 0 */
	offer(fixture, 0, 0);
	assert_true(virtqueue_arm(&fixture->queue));
	fixture->queue.event_index = false;
	virtqueue_disarm(&fixture->queue);
	assert_int_equal(event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	virtqueue_arm(&fixture->queue);
	assert_int_equal(event->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
}

static void a_full_ring_has_nothing_more(void **state)
{
	struct fixture *fixture = *state;
	uint16_t head;

	for (uint16_t i = 0; i < SIZE; i++)
		offer(fixture, i, 0);
	for (uint16_t i = 0; i < SIZE; i++)
		take(fixture, i);
	assert_int_equal(virtqueue_look(&fixture->queue), 0);
	/* A driver that goes on all the same takes back what is ours. */
	offer(fixture, 0, 0);
	assert_int_equal(virtqueue_look(&fixture->queue), -EPROTO);
	assert_int_equal(virtqueue_take(&fixture->queue, &head), -EPROTO);
	assert_true(virtqueue_arm(&fixture->queue));
}

static void what_a_driver_cannot_offer_is_refused(void **state)
{
	struct fixture *fixture = *state;
	uint16_t head;

	offer(fixture, SIZE, 0);
	assert_int_equal(virtqueue_take(&fixture->queue, &head), -EPROTO);
	setup(state);
	offer(fixture, 1, 0);
	take(fixture, 1);
	offer(fixture, 1, 0); /* in flight already */
	assert_int_equal(virtqueue_take(&fixture->queue, &head), -EPROTO);
	setup(state);
	for (unsigned int i = 0; i < SIZE; i++) /* has no end */
		offer(fixture, 1, VRING_DESC_F_NEXT);
	assert_int_equal(virtqueue_take(&fixture->queue, &head), -EPROTO);
	setup(state);
	offer(fixture, 0, 0); /* runs into what is in flight */
	take(fixture, 0);
	for (unsigned int i = 1; i < SIZE; i++)
		offer(fixture, 1, VRING_DESC_F_NEXT);
	assert_int_equal(virtqueue_take(&fixture->queue, &head), -EPROTO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, NULL)
	const struct CMUnitTest tests[] = {
		TEST(a_zeroed_ring_is_empty),
		TEST(wrap_counters_go_round),
		TEST(the_first_of_a_batch_becomes_visible_last),
		TEST(a_chain_is_returned_in_one_descriptor),
		TEST(the_base_has_both_places_and_their_counters),
		TEST(a_base_that_is_none_is_refused),
		TEST(an_event_is_wanted_for_one_descriptor),
		TEST(an_event_within_a_batch_counts),
		TEST(flags_turn_all_events_on_and_off),
		TEST(arming_names_the_next_descriptor),
		TEST(a_full_ring_has_nothing_more),
		TEST(what_a_driver_cannot_offer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
