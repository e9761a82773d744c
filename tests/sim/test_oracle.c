// SPDX-License-Identifier: Apache-2.0
/* test_oracle.c - what the oracle lets pass and, above all, what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "oracle.h"

#define SECTORS 4u

struct written {
	uint64_t version;
	uint8_t bytes[ORACLE_SECTOR_BYTES];
};

static int nothing_written(void **state)
{
	static struct oracle oracle;

	oracle_init(&oracle, SECTORS);
	*state = &oracle;
	return 0;
}

static int gone(void **state)
{
	oracle_free(*state);
	return 0;
}

static struct written submit(struct oracle *oracle, uint64_t sector)
{
	struct written written;

	written.version = oracle_write(oracle, sector, written.bytes);
	return written;
}

static void ack(struct oracle *oracle, uint64_t sector,
		const struct written *written, bool durable)
{
	oracle_tick(oracle);
	oracle_acked(oracle, sector, written->version, durable);
}

static struct written write_acked(struct oracle *oracle, uint64_t sector)
{
	struct written written = submit(oracle, sector);

	ack(oracle, sector, &written, false);
	return written;
}

static bool passes(const struct oracle *oracle, uint64_t sector,
		   const void *bytes, uint64_t floor)
{
	char message[160] = "";
	uint64_t version = oracle_check(oracle, sector, bytes, floor, message,
					sizeof(message));

	/* It says why, or nothing. */
	assert_int_equal(version == UINT64_MAX, message[0] != '\0');
	return version != UINT64_MAX;
}

/* May a read that is submitted now return this? */
static bool readable(struct oracle *oracle, uint64_t sector, const void *bytes)
{
	return passes(oracle, sector, bytes,
		      oracle_floor(oracle, sector, oracle_tick(oracle)));
}

/* May it stand there after a power failure? */
static bool survivable(const struct oracle *oracle, uint64_t sector,
		       const void *bytes)
{
	return passes(oracle, sector, bytes,
		      oracle->sectors[sector].durable_floor);
}

static const uint8_t ZEROS[ORACLE_SECTOR_BYTES];

static void a_sector_never_written_reads_as_zeros_only(void **state)
{
	struct oracle *oracle = *state;
	uint8_t bytes[ORACLE_SECTOR_BYTES] = {0};

	assert_true(readable(oracle, 0, ZEROS));
	bytes[300] = 1;
	assert_false(readable(oracle, 0, bytes));
}

static void the_newest_acked_version_passes(void **state)
{
	struct oracle *oracle = *state;
	struct written first = write_acked(oracle, 1);

	assert_true(readable(oracle, 1, first.bytes));
}

static void an_older_version_is_refused_for_a_later_read(void **state)
{
	struct oracle *oracle = *state;
	struct written first = write_acked(oracle, 1);
	struct written second = write_acked(oracle, 1);

	assert_false(readable(oracle, 1, first.bytes));
	assert_false(readable(oracle, 1, ZEROS));
	assert_true(readable(oracle, 1, second.bytes));
}

static void a_read_that_began_before_may_see_the_older(void **state)
{
	struct oracle *oracle = *state;
	struct written first = write_acked(oracle, 1);
	uint64_t floor = oracle_floor(oracle, 1, oracle_tick(oracle));
	struct written second = write_acked(oracle, 1);

	assert_true(passes(oracle, 1, first.bytes, floor));
	assert_true(passes(oracle, 1, second.bytes, floor));
	assert_false(passes(oracle, 1, ZEROS, floor));
}

static void a_write_under_way_may_be_seen_or_not(void **state)
{
	struct oracle *oracle = *state;
	struct written first = write_acked(oracle, 1);
	struct written second = submit(oracle, 1);

	assert_true(readable(oracle, 1, first.bytes));
	assert_true(readable(oracle, 1, second.bytes));
}

static void of_two_overlapping_writes_either_may_win(void **state)
{
	struct oracle *oracle = *state;
	struct written first = submit(oracle, 1);
	struct written second = submit(oracle, 1);

	ack(oracle, 1, &second, false);
	ack(oracle, 1, &first, false);
	assert_true(readable(oracle, 1, first.bytes));
	assert_true(readable(oracle, 1, second.bytes));
}

static void another_sectors_bytes_are_refused(void **state)
{
	struct oracle *oracle = *state;
	struct written one = write_acked(oracle, 1);

	write_acked(oracle, 2);
	assert_false(readable(oracle, 2, one.bytes));
}

static void a_torn_sector_is_refused(void **state)
{
	struct oracle *oracle = *state;
	struct written first = write_acked(oracle, 1);
	struct written second = write_acked(oracle, 1);

	memcpy(second.bytes + 256, first.bytes + 256, 256);
	assert_false(readable(oracle, 1, second.bytes));
}

static void a_version_that_nobody_wrote_is_refused(void **state)
{
	struct oracle *oracle = *state;
	struct written other;
	struct oracle elsewhere;

	write_acked(oracle, 1);
	oracle_init(&elsewhere, SECTORS);
	for (int i = 0; i < 10; i++)
		other = write_acked(&elsewhere, 1);
	oracle_free(&elsewhere);
	assert_false(readable(oracle, 1, other.bytes));
}

static void without_a_flush_a_power_failure_may_take_acked_writes(void **state)
{
	struct oracle *oracle = *state;
	struct written first = write_acked(oracle, 1);

	assert_true(survivable(oracle, 1, ZEROS));
	assert_true(survivable(oracle, 1, first.bytes));
}

static void what_was_flushed_must_survive(void **state)
{
	struct oracle *oracle = *state;
	struct written first = write_acked(oracle, 1);
	struct written second = write_acked(oracle, 1);
	struct written third;

	oracle_flushed(oracle, oracle_tick(oracle));
	third = write_acked(oracle, 1);
	assert_false(survivable(oracle, 1, ZEROS));
	assert_false(survivable(oracle, 1, first.bytes));
	assert_true(survivable(oracle, 1, second.bytes));
	assert_true(survivable(oracle, 1, third.bytes));
}

static void a_flush_does_not_cover_what_was_acked_after_it_began(void **state)
{
	struct oracle *oracle = *state;
	uint64_t submitted = oracle_tick(oracle);

	write_acked(oracle, 1);
	oracle_flushed(oracle, submitted);
	assert_true(survivable(oracle, 1, ZEROS));
}

static void an_acked_forced_write_must_survive(void **state)
{
	struct oracle *oracle = *state;
	struct written first = submit(oracle, 1);

	ack(oracle, 1, &first, true);
	assert_false(survivable(oracle, 1, ZEROS));
	assert_true(survivable(oracle, 1, first.bytes));
}

static void a_changed_buffer_may_give_either_content(void **state)
{
	struct oracle *oracle = *state;
	struct written old = write_acked(oracle, 1);
	struct written first = submit(oracle, 1);
	struct written changed;

	changed.version =
		oracle_change(oracle, 1, first.version, changed.bytes);
	ack(oracle, 1, &first, false);
	oracle_acked(oracle, 1, changed.version, false);
	assert_true(readable(oracle, 1, first.bytes));
	assert_true(readable(oracle, 1, changed.bytes));
	assert_false(readable(oracle, 1, old.bytes));
}

static void what_a_power_failure_left_is_the_truth_from_then_on(void **state)
{
	struct oracle *oracle = *state;
	struct written first = write_acked(oracle, 1);
	struct written second = write_acked(oracle, 1);

	oracle_settle(oracle, 1, first.version);
	assert_true(readable(oracle, 1, first.bytes));
	assert_false(readable(oracle, 1, second.bytes));
	assert_false(survivable(oracle, 1, ZEROS));
}

static void what_a_failed_flush_left_in_doubt_stays_so_until_it_is_written(
	void **state)
{
	struct oracle *oracle = *state;
	struct written first = write_acked(oracle, 1);
	struct written second;

	oracle_flushed(oracle, oracle_tick(oracle));
	second = write_acked(oracle, 1);
	oracle_flush_failed(oracle);
	assert_false(readable(oracle, 1, first.bytes));
	/* The cache has a copy; below it is gone. */
	oracle_settle(oracle, 1, second.version);
	oracle_seen(oracle, 1, second.version);
	assert_true(readable(oracle, 1, second.bytes));
	assert_true(readable(oracle, 1, first.bytes));
	assert_false(survivable(oracle, 1, ZEROS));
	write_acked(oracle, 1);
	assert_false(readable(oracle, 1, first.bytes));
	assert_false(readable(oracle, 1, second.bytes));
}

static void what_nobody_could_read_after_a_power_failure_may_be_either(
	void **state)
{
	struct oracle *oracle = *state;
	struct written older = write_acked(oracle, 1);
	struct written first = write_acked(oracle, 1);
	struct written second;

	oracle_flushed(oracle, oracle_tick(oracle));
	second = write_acked(oracle, 1);
	oracle_unread(oracle, 1);
	assert_true(readable(oracle, 1, first.bytes));
	assert_true(readable(oracle, 1, second.bytes));
	assert_false(readable(oracle, 1, older.bytes));
}

static void what_a_kill_showed_once_may_not_go_away(void **state)
{
	struct oracle *oracle = *state;
	struct written first = write_acked(oracle, 1);
	struct written second = submit(oracle, 1);

	oracle_seen(oracle, 1, second.version);
	assert_false(readable(oracle, 1, first.bytes));
	assert_true(readable(oracle, 1, second.bytes));
}

static void many_versions_later_it_still_refuses_the_old(void **state)
{
	struct oracle *oracle = *state;
	struct written written[200];

	for (uint32_t i = 0; i < 200; i++) {
		oracle->oldest_read = oracle_tick(oracle);
		written[i] = write_acked(oracle, 1);
		oracle_flushed(oracle, oracle_tick(oracle));
	}
	/* It forgets what nobody may read any more. */
	assert_true(oracle->sectors[1].count < 100);
	for (uint32_t i = 0; i < 199; i++)
		assert_false(readable(oracle, 1, written[i].bytes));
	assert_true(readable(oracle, 1, written[199].bytes));
}

static void what_was_submitted_later_is_not_of_a_moment(void **state)
{
	struct oracle *oracle = *state;
	struct written old = write_acked(oracle, 1);
	struct written under_way = submit(oracle, 1);
	uint64_t moment = oracle->time;
	uint64_t floor = oracle_floor(oracle, 1, moment);
	struct written later = submit(oracle, 1);

	ack(oracle, 1, &under_way, false);
	ack(oracle, 1, &later, false);
	assert_true(
		oracle_allows_between(oracle, 1, old.version, floor, moment));
	assert_true(oracle_allows_between(oracle, 1, under_way.version, floor,
					  moment));
	assert_false(
		oracle_allows_between(oracle, 1, later.version, floor, moment));
	/* Zeros that nobody wrote are older than what was acknowledged. */
	assert_false(oracle_allows_between(oracle, 1, 0, floor, moment));
	assert_true(oracle_allows_between(oracle, 2, 0, 0, moment));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, nothing_written, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sector_never_written_reads_as_zeros_only),
		TEST(the_newest_acked_version_passes),
		TEST(an_older_version_is_refused_for_a_later_read),
		TEST(a_read_that_began_before_may_see_the_older),
		TEST(a_write_under_way_may_be_seen_or_not),
		TEST(of_two_overlapping_writes_either_may_win),
		TEST(another_sectors_bytes_are_refused),
		TEST(a_torn_sector_is_refused),
		TEST(a_version_that_nobody_wrote_is_refused),
		TEST(without_a_flush_a_power_failure_may_take_acked_writes),
		TEST(what_was_flushed_must_survive),
		TEST(a_flush_does_not_cover_what_was_acked_after_it_began),
		TEST(an_acked_forced_write_must_survive),
		TEST(a_changed_buffer_may_give_either_content),
		TEST(what_a_power_failure_left_is_the_truth_from_then_on),
		TEST(what_a_failed_flush_left_in_doubt_stays_so_until_it_is_written),
		TEST(what_nobody_could_read_after_a_power_failure_may_be_either),
		TEST(what_a_kill_showed_once_may_not_go_away),
		TEST(many_versions_later_it_still_refuses_the_old),
		TEST(what_was_submitted_later_is_not_of_a_moment),
	};

	return cmocka_run_group_tests_name("oracle", tests, NULL, NULL);
}
