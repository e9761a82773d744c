// SPDX-License-Identifier: Apache-2.0
/* test_engine_write.c - a write's way into the log, and when it is acked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "scene.h"

static void a_write_is_acked_when_its_record_is_on_the_ssd(void **state)
{
	struct scene *scene = *state;
	struct guest *write = scene_write(scene, 3, 1, 'a');

	scene_poll(scene);
	assert_int_equal(scene->waiting_count, 1);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 1);
	assert_false(write->done);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_true(write->done);
	assert_int_equal(write->request.status, 0);
	assert_int_equal(scene->waiting_count, 0);
	assert_below(scene, 3, 'o');
	assert_int_equal(scene_read_now(scene, 3), 'a');
}

static void writes_that_wait_together_share_a_record(void **state)
{
	struct scene *scene = *state;
	uint64_t records = scene_stats(scene).records;
	uint64_t sequence = scene_stats(scene).sequence;

	scene_write(scene, 3, 1, 'a');
	scene_write(scene, 50, 2, 'b');
	scene_write(scene, 90, 1, 'c');
	scene_poll(scene);
	assert_int_equal(scene->waiting_count, 1);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_int_equal(scene_stats(scene).records, records + 1);
	assert_int_equal(scene_record(scene, sequence + 1)->entry_count, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_true(scene->guests[i].done);
}

static void what_arrives_meanwhile_forms_the_next_record(void **state)
{
	struct scene *scene = *state;
	uint64_t sequence = scene_stats(scene).sequence;

	for (uint64_t i = 0; i < 4; i++) {
		scene_write(scene, i * 20, 1, 'a');
		scene_poll(scene);
	}
	/* Two records may be in flight. */
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 2);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 2);
	scene_end_all(scene);
	assert_int_equal(scene_record(scene, sequence + 3)->entry_count, 2);
	assert_int_equal(scene_stats(scene).sequence, sequence + 3);
}

static void acks_come_in_the_order_of_the_sequence(void **state)
{
	struct scene *scene = *state;
	struct guest *first = scene_write(scene, 1, 1, 'a');
	struct guest *second;

	scene_poll(scene);
	second = scene_write(scene, 100, 1, 'b');
	scene_poll(scene);
	scene_end_io(scene, scene->waiting[1], 0);
	assert_false(first->done);
	assert_false(second->done);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_true(first->done);
	assert_true(second->done);
}

static void the_later_of_two_writes_of_a_block_holds(void **state)
{
	struct scene *scene = *state;

	scene_write(scene, 1, 1, 'a');
	scene_poll(scene);
	scene_write(scene, 1, 1, 'b');
	scene_poll(scene);
	scene_end_io(scene, scene->waiting[1], 0);
	scene_end_all(scene);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 1), 'b');
}

static bool points_into(const struct engine_io *io, const struct guest *guest)
{
	const uint8_t *end = guest->bytes + sizeof(guest->bytes);

	for (uint32_t i = 0; i < io->iov_count; i++) {
		const uint8_t *base = io->iov[i].iov_base;

		if (base >= guest->bytes && base < end)
			return true;
	}
	return false;
}

static void aligned_requests_copy_no_byte(void **state)
{
	struct scene *scene = *state;
	struct guest *write = scene_write(scene, 8, 4, 'a');
	struct guest *read;

	scene_poll(scene);
	assert_true(points_into(scene_oldest(scene, ENGINE_SSD_WRITE), write));
	scene_end_all(scene);
	read = scene_read(scene, 8, 4);
	scene_poll(scene);
	assert_true(points_into(scene_oldest(scene, ENGINE_SSD_READ), read));
	scene_end_all(scene);
	for (uint32_t i = 0; i < 3; i++) {
		read = scene_read(scene, 100, 4);
		scene_poll(scene);
		assert_true(points_into(scene->waiting[0], read));
		scene_end_all(scene);
	}
	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	scene_write(scene, 8, 2, 'b');
	scene_end_all(scene);
	engine_set_mode(scene->engine, ENGINE_WRITE_AROUND);
	scene_write(scene, 100, 2, 'c');
	scene_end_all(scene);
	scene_drain(scene);
	assert_int_equal(scene_stats(scene).copied_bytes, 0);
}

static void a_changed_buffer_is_appended_again(void **state)
{
	struct scene *scene = *state;
	uint64_t sequence = scene_stats(scene).sequence;
	struct guest *write = scene_write(scene, 3, 2, 'a');
	struct log_entry *entry;

	scene_poll(scene);
	memset(write->bytes + LOG_BLOCK_BYTES, 'b', LOG_BLOCK_BYTES);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_false(write->done);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 1);
	/* It changes its mind once more, too late: the copy is ours. */
	memset(write->bytes + LOG_BLOCK_BYTES, 'c', LOG_BLOCK_BYTES);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_true(write->done);
	entry = (void *)scene_record(scene, sequence + 2)->entries;
	assert_int_equal(entry->flags, LOG_ENTRY_AMENDS);
	assert_int_equal(entry->upto, sequence + 1);
	assert_int_equal(scene_stats(scene).guest_changed_buffers, 1);
	assert_int_equal(scene_stats(scene).copied_bytes, LOG_BLOCK_BYTES);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'a');
	assert_int_equal(scene_read_now(scene, 4), 'b');
	scene_restart(scene);
	assert_int_equal(scene_read_now(scene, 3), 'a');
	assert_int_equal(scene_read_now(scene, 4), 'b');
}

static void nothing_is_acked_behind_a_record_that_waits_for_amendment(
	void **state)
{
	struct scene *scene = *state;
	struct guest *changed = scene_write(scene, 3, 1, 'a');
	struct guest *other;

	scene_poll(scene);
	other = scene_write(scene, 100, 1, 'x');
	scene_poll(scene);
	memset(changed->bytes, 'b', LOG_BLOCK_BYTES);
	scene_end(scene, ENGINE_SSD_WRITE);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_false(changed->done);
	assert_false(other->done);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_true(changed->done);
	assert_true(other->done);
}

static void a_part_of_a_block_is_laid_over_what_is_below(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	scene_write_sectors(scene, 3 * 8 + 2, 1, 'a');
	scene_end_all(scene);
	read = scene_read(scene, 3, 1);
	scene_end_all(scene);
	assert_true(read->done);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(read->bytes[i * LOG_SECTOR_BYTES],
				 i == 2 ? 'a' : 'o');
	assert_true(scene_stats(scene).copied_bytes > 0);
	scene_drain(scene);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(scene->below[3 * LOG_BLOCK_BYTES +
					      i * LOG_SECTOR_BYTES],
				 i == 2 ? 'a' : 'o');
}

static void parts_of_a_block_add_up(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	for (uint32_t i = 0; i < 8; i++) {
		scene_write_sectors(scene, 3 * 8 + i, 1, (char)('a' + i));
		scene_end_all(scene);
	}
	scene_forget_guests(scene);
	read = scene_read(scene, 3, 1);
	scene_poll(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_BELOW_READ), 0);
	scene_end_all(scene);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(read->bytes[i * LOG_SECTOR_BYTES], 'a' + i);
}

static void parts_that_are_written_at_once_add_up_too(void **state)
{
	struct scene *scene = *state;
	struct guest *read;

	for (uint32_t i = 0; i < 8; i++) {
		scene_write_sectors(scene, 3 * 8 + i, 1, (char)('a' + i));
		scene_poll(scene);
	}
	scene_end_all(scene);
	scene_forget_guests(scene);
	read = scene_read(scene, 3, 1);
	scene_end_all(scene);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(read->bytes[i * LOG_SECTOR_BYTES], 'a' + i);
}

static void a_whole_write_never_overtakes_a_part_that_reads_the_rest(
	void **state)
{
	struct scene *scene = *state;
	struct guest *whole;

	scene_write_now(scene, 3, 1, 'a');
	scene_write_sectors(scene, 3 * 8, 1, 'p');
	scene_poll(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_READ), 1);
	whole = scene_write(scene, 3, 1, 'n');
	scene_poll(scene);
	/* It would have its place before the part, which has old sectors. */
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 0);
	scene_end_all(scene);
	assert_true(whole->done);
	scene_forget_guests(scene);
	assert_int_equal(scene_read_now(scene, 3), 'n');
}

static void a_request_beyond_the_disk_is_refused(void **state)
{
	struct scene *scene = *state;
	struct guest *write = scene_write(scene, SCENE_DISK_BLOCKS, 1, 'a');
	struct guest *last = scene_write(scene, SCENE_DISK_BLOCKS - 1, 2, 'a');
	struct guest *read = scene_read(scene, UINT64_MAX / 8, 1);

	scene_poll(scene);
	assert_int_equal(scene->waiting_count, 0);
	assert_int_equal(write->request.status, -EINVAL);
	assert_int_equal(last->request.status, -EINVAL);
	assert_int_equal(read->request.status, -EINVAL);
}

static void a_request_of_more_than_a_segment_takes_several_records(void **state)
{
	struct scene *scene = *state;
	uint64_t records = scene_stats(scene).records;

	scene_write_now(scene, 10, 20, 'a');
	assert_true(scene_stats(scene).records >= records + 3);
	for (uint64_t block = 10; block < 30; block++)
		assert_int_equal(scene_read_now(scene, block), 'a');
}

static void an_ssd_write_error_is_tried_again(void **state)
{
	struct scene *scene = *state;
	struct guest *write = scene_write(scene, 3, 1, 'a');

	scene_poll(scene);
	scene_end_with(scene, ENGINE_SSD_WRITE, -EIO);
	scene_end_with(scene, ENGINE_SSD_WRITE, -EIO);
	assert_false(write->done);
	scene_end(scene, ENGINE_SSD_WRITE);
	assert_true(write->done);
	assert_int_equal(write->request.status, 0);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
}

static void an_ssd_that_refuses_writes_fails_every_request(void **state)
{
	struct scene *scene = *state;
	struct guest *first = scene_write(scene, 3, 1, 'a');
	struct guest *others[4];

	scene_poll(scene);
	others[0] = scene_write(scene, 40, 1, 'b');
	scene_poll(scene);
	others[1] = scene_write(scene, 80, 1, 'c');
	others[2] = scene_flush(scene);
	scene_poll(scene);
	for (int i = 0; i < 3; i++)
		scene_end_io(scene, scene->waiting[scene->waiting_count - 1],
			     -EREMOTEIO);
	assert_int_equal(engine_state(scene->engine), ENGINE_FAILED);
	assert_int_equal(engine_failure(scene->engine)->code, -EREMOTEIO);
	assert_non_null(strstr(engine_failure(scene->engine)->message, "SSD"));
	scene_end_all(scene);
	assert_true(first->done);
	assert_int_equal(first->request.status, -EIO);
	for (int i = 0; i < 3; i++) {
		assert_true(others[i]->done);
		if (others[i]->request.operation == ENGINE_WRITE)
			assert_int_equal(others[i]->request.status, -EIO);
	}
	others[3] = scene_write(scene, 3, 1, 'd');
	scene_poll(scene);
	assert_int_equal(others[3]->request.status, -EIO);
	assert_true(engine_idle(scene->engine));
	assert_true(engine_drain_failed(scene->engine));
}

static void segments_that_were_never_written_get_zeros_first(void **state)
{
	struct scene *scene = *state;

	/* A quiet disk writes nothing. */
	assert_int_equal(scene->zeroed, 0);
	scene_write(scene, 3, 1, 'a');
	scene_end_all(scene);
	assert_int_equal(scene->zeroed, 1);
	for (int i = 0; i < 3 * (int)SCENE_SEGMENTS; i++) {
		scene_write(scene, 10, 4, 'b');
		scene_end_all(scene);
		scene_forget_guests(scene);
	}
	/* The log has gone round, and the first segment had the first record.
	 */
	assert_int_equal(scene->zeroed, SCENE_SEGMENTS - 1);
}

/* Or else an amendment of the first would follow the second in the log. */
static void overlapping_writes_through_go_one_after_the_other(void **state)
{
	struct scene *scene = *state;

	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	scene_write_now(scene, 9, 1, 'x');
	scene_write(scene, 5, 2, 'a');
	scene_poll(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 1);
	scene_write(scene, 6, 2, 'b');
	scene_poll(scene);
	assert_int_equal(scene_waiting(scene, ENGINE_SSD_WRITE), 1);
	scene_end_all(scene);
	assert_below(scene, 5, 'a');
	assert_below(scene, 6, 'b');
	assert_below(scene, 7, 'b');
	assert_int_equal(scene_read_now(scene, 6), 'b');
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_write_is_acked_when_its_record_is_on_the_ssd),
		TEST(writes_that_wait_together_share_a_record),
		TEST(what_arrives_meanwhile_forms_the_next_record),
		TEST(acks_come_in_the_order_of_the_sequence),
		TEST(the_later_of_two_writes_of_a_block_holds),
		TEST(overlapping_writes_through_go_one_after_the_other),
		TEST(aligned_requests_copy_no_byte),
		TEST(segments_that_were_never_written_get_zeros_first),
		TEST(a_changed_buffer_is_appended_again),
		TEST(nothing_is_acked_behind_a_record_that_waits_for_amendment),
		TEST(a_part_of_a_block_is_laid_over_what_is_below),
		TEST(parts_of_a_block_add_up),
		TEST(parts_that_are_written_at_once_add_up_too),
		TEST(a_whole_write_never_overtakes_a_part_that_reads_the_rest),
		TEST(a_request_beyond_the_disk_is_refused),
		TEST(a_request_of_more_than_a_segment_takes_several_records),
		TEST(an_ssd_write_error_is_tried_again),
		TEST(an_ssd_that_refuses_writes_fails_every_request),
	};

	return cmocka_run_group_tests_name("engine: writes", tests, NULL, NULL);
}
