// SPDX-License-Identifier: Apache-2.0
/* test_medium.c - what a power failure may leave, and what it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "medium.h"

#define BYTES (8u * 512u)
#define TRIES 400u

static int blank(void **state)
{
	static struct medium medium;

	medium_init(&medium, BYTES);
	*state = &medium;
	return 0;
}

static int gone(void **state)
{
	medium_free(*state);
	return 0;
}

static void write_sectors(struct medium *medium, uint32_t sector,
			  uint32_t count, char letter)
{
	uint8_t bytes[BYTES];
	/* In two parts, as requests come. */
	struct iovec iov[] = {{bytes, 256}, {bytes + 256, count * 512 - 256}};

	memset(bytes, letter, sizeof(bytes));
	medium_write(medium, sector * 512, iov, 2);
}

/* The letter of a sector, as reads see it; it must be whole. */
static char read_sector(const struct medium *medium, uint32_t sector)
{
	uint8_t bytes[512];
	struct iovec iov[] = {{bytes, 100}, {bytes + 100, 412}};

	medium_read(medium, sector * 512, iov, 2);
	for (size_t i = 1; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], bytes[0]);
	return (char)bytes[0];
}

static void fail_power(struct medium *medium, struct random *random)
{
	struct medium_fate fate = medium_fate_draw(medium, random);

	medium_power_failure(medium, fate, random);
}

static void a_finished_write_is_visible_at_once(void **state)
{
	struct medium *medium = *state;

	write_sectors(medium, 2, 3, 'a');
	assert_int_equal(read_sector(medium, 1), 0);
	for (uint32_t i = 2; i < 5; i++)
		assert_int_equal(read_sector(medium, i), 'a');
	assert_int_equal(read_sector(medium, 5), 0);
	assert_int_equal(medium_durable(medium, 2)[0], 0);
}

static void what_was_flushed_survives_every_power_failure(void **state)
{
	struct medium *medium = *state;
	struct random random = {1};

	for (uint32_t i = 0; i < TRIES; i++) {
		char letter = (char)('a' + i % 26);

		write_sectors(medium, 0, 8, letter);
		medium_flush(medium, medium->write_count);
		fail_power(medium, &random);
		for (uint32_t j = 0; j < 8; j++)
			assert_int_equal(read_sector(medium, j), letter);
	}
}

static void a_flush_covers_no_more_than_it_was_told(void **state)
{
	struct medium *medium = *state;

	write_sectors(medium, 0, 1, 'a');
	write_sectors(medium, 1, 1, 'b');
	medium_flush(medium, 1);
	assert_int_equal(medium_durable(medium, 0)[0], 'a');
	assert_int_equal(medium_durable(medium, 1)[0], 0);
	assert_int_equal(medium->write_count, 1);
}

static void after_a_power_failure_only_what_is_durable_is_visible(void **state)
{
	struct medium *medium = *state;
	struct random random = {2};

	for (uint32_t i = 0; i < TRIES; i++) {
		write_sectors(medium, i % 6, 2, (char)i);
		fail_power(medium, &random);
		assert_memory_equal(medium->visible.sectors,
				    medium->durable.sectors,
				    BYTES / 512 * sizeof(void *));
		assert_int_equal(medium->visible.hash, medium->durable.hash);
		assert_int_equal(medium->write_count, 0);
	}
}

/* Each of these must happen now and then, or the simulator misses bugs. */
struct seen {
	bool nothing;
	bool everything;
	bool newer_without_older;
	bool torn;
};

static void note(const struct medium *medium, struct seen *seen)
{
	uint32_t older = 0;
	uint32_t newer = 0;

	for (uint32_t i = 0; i < 4; i++) {
		older += read_sector(medium, i) == 'a';
		newer += read_sector(medium, 4 + i) == 'b';
	}
	seen->nothing |= older + newer == 0;
	seen->everything |= older + newer == 8;
	seen->newer_without_older |= older == 0 && newer == 4;
	seen->torn |= older % 4 != 0 || newer % 4 != 0;
}

static void a_power_failure_reorders_tears_keeps_and_loses(void **state)
{
	struct medium *medium = *state;
	struct random random = {3};
	struct seen seen = {0};

	for (uint32_t i = 0; i < TRIES; i++) {
		write_sectors(medium, 0, 8, 'o');
		medium_flush(medium, medium->write_count);
		write_sectors(medium, 0, 4, 'a');
		write_sectors(medium, 4, 4, 'b');
		fail_power(medium, &random);
		note(medium, &seen);
	}
	assert_true(seen.nothing);
	assert_true(seen.everything);
	assert_true(seen.newer_without_older);
	assert_true(seen.torn);
}

static void a_write_under_way_may_arrive_in_part_and_isnt_durable(void **state)
{
	struct medium *medium = *state;
	struct random random = {4};
	bool whole = false;
	bool partly = false;
	uint8_t bytes[BYTES];
	struct iovec iov = {bytes, sizeof(bytes)};

	for (uint32_t i = 0; i < TRIES; i++) {
		uint32_t arrived = 0;

		write_sectors(medium, 0, 8, 'o');
		medium_flush(medium, medium->write_count);
		memset(bytes, 'n', sizeof(bytes));
		medium_write_torn(medium, &random, 0, &iov, 1);
		for (uint32_t j = 0; j < 8; j++)
			arrived += read_sector(medium, j) == 'n';
		whole |= arrived == 8;
		partly |= arrived > 0 && arrived < 8;
		assert_int_equal(medium_durable(medium, 0)[0], 'o');
	}
	assert_true(whole);
	assert_true(partly);
}

static void a_copy_lives_its_own_life(void **state)
{
	struct medium *medium = *state;
	struct medium copy;

	medium_init(&copy, BYTES);
	write_sectors(medium, 0, 1, 'a');
	medium_copy(&copy, medium);
	write_sectors(medium, 0, 1, 'b');
	medium_flush(medium, 2);
	assert_int_equal(read_sector(&copy, 0), 'a');
	assert_int_equal(copy.write_count, 1);
	medium_flush(&copy, 1);
	assert_int_equal(medium_durable(&copy, 0)[0], 'a');
	medium_free(&copy);
}

/* The letters of the first four sectors after that fate. */
static void after(const struct medium *medium, size_t number, char letters[5])
{
	struct random random = {5};
	struct medium copy;

	medium_init(&copy, BYTES);
	medium_copy(&copy, medium);
	medium_power_failure(&copy, medium_fate(medium, number), &random);
	for (uint32_t i = 0; i < 4; i++)
		letters[i] =
			read_sector(&copy, i) ? read_sector(&copy, i) : '-';
	letters[4] = '\0';
	medium_free(&copy);
}

static void each_fate_is_looked_at_once(void **state)
{
	static const char *const fates[] = {"----", "a---", "aa--", "aab-",
					    "aabb", "--bb", "--bb"};
	struct medium *medium = *state;
	char letters[5];

	write_sectors(medium, 0, 2, 'a');
	write_sectors(medium, 2, 2, 'b');
	assert_int_equal(medium_fates(medium), 7);
	for (size_t i = 0; i < 7; i++) {
		after(medium, i, letters);
		assert_string_equal(letters, fates[i]);
	}
}

static void media_of_one_hash_hold_the_same(void **state)
{
	struct medium *medium = *state;
	uint64_t blank = medium->visible.hash;
	uint64_t one;

	write_sectors(medium, 1, 1, 'a');
	one = medium->visible.hash;
	assert_int_not_equal(one, blank);
	write_sectors(medium, 1, 1, 0);
	assert_int_equal(medium->visible.hash, blank);
	/* The same bytes in another place are another content. */
	write_sectors(medium, 2, 1, 'a');
	assert_int_not_equal(medium->visible.hash, one);
	assert_int_equal(medium->durable.hash, blank);
}

static void a_compact_medium_holds_what_it_held(void **state)
{
	struct medium *medium = *state;
	uint64_t hash;
	uint32_t used;

	for (uint32_t i = 0; i < 20000; i++) {
		write_sectors(medium, 0, 4, (char)('a' + i % 26));
		medium_flush(medium, medium->write_count - 1);
	}
	hash = medium->visible.hash;
	used = medium->store.used;
	medium_compact(medium);
	assert_true(medium->store.used < used / 1000);
	assert_int_equal(medium->visible.hash, hash);
	assert_int_equal(read_sector(medium, 3), 'a' + 19999 % 26);
	assert_int_equal(medium_durable(medium, 3)[0], 'a' + 19998 % 26);
	medium_flush(medium, 1);
	assert_int_equal(medium_durable(medium, 3)[0], 'a' + 19999 % 26);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, blank, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_finished_write_is_visible_at_once),
		TEST(what_was_flushed_survives_every_power_failure),
		TEST(a_flush_covers_no_more_than_it_was_told),
		TEST(after_a_power_failure_only_what_is_durable_is_visible),
		TEST(a_power_failure_reorders_tears_keeps_and_loses),
		TEST(a_write_under_way_may_arrive_in_part_and_isnt_durable),
		TEST(a_copy_lives_its_own_life),
		TEST(each_fate_is_looked_at_once),
		TEST(media_of_one_hash_hold_the_same),
		TEST(a_compact_medium_holds_what_it_held),
	};

	return cmocka_run_group_tests_name("medium", tests, NULL, NULL);
}
