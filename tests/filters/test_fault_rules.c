// SPDX-License-Identifier: Apache-2.0
/* test_fault_rules.c - what the fault filter's rules mean, and what isn't one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "rules.h"

#define MIB (UINT64_C(1) << 20)
#define NS_PER_MS UINT64_C(1000000)

static struct rules parse(const char *text)
{
	struct rules rules;
	char message[RULES_MESSAGE_BYTES] = "";
	int status = rules_parse(text, 7, &rules, message);

	assert_string_equal(message, "");
	assert_int_equal(status, 0);
	return rules;
}

static void refuse(const char *text, const char *wanted)
{
	struct rules rules = {.count = 99};
	char message[RULES_MESSAGE_BYTES] = "";

	assert_int_equal(rules_parse(text, 7, &rules, message), -EINVAL);
	assert_string_equal(message, wanted);
	assert_int_equal(rules.count, 99);
}

/* How many of @count writes it happens to. */
static unsigned int hits(struct rule *rule, unsigned int count)
{
	unsigned int fired = 0;

	for (unsigned int i = 0; i < count; i++)
		fired += rule_fires(rule, FOREBAY_WRITE, 4096, 4096);
	return fired;
}

static void no_text_is_no_rule(void **state)
{
	(void)state;
	assert_int_equal(parse("").count, 0);
	assert_int_equal(parse("  ; ;;\n \n").count, 0);
}

static void an_error_is_an_io_error_unless_it_is_named(void **state)
{
	struct rules rules = parse("error; error ENOSPC on write\nerror on "
				   "read");

	(void)state;
	assert_int_equal(rules.count, 3);
	assert_int_equal(rules.list[0].status, -EIO);
	assert_int_equal(rules.list[1].status, -ENOSPC);
	assert_int_equal(rules.list[2].status, -EIO);
	assert_int_equal(rules.list[2].operations,
			 FOREBAY_OPERATION_BIT(FOREBAY_READ));
}

static void each_action_has_its_amount(void **state)
{
	struct rules rules = parse("delay 20ms; crash; hang 3s; hang on read; "
				   "loop 1min; loop; leak 64KiB");
	const uint64_t amounts[] = {20 * NS_PER_MS,
				    0,
				    3000 * NS_PER_MS,
				    RULE_FOR_EVER,
				    60000 * NS_PER_MS,
				    RULE_FOR_EVER,
				    65536};

	(void)state;
	for (unsigned int i = 0; i < 7; i++)
		assert_int_equal(rules.list[i].amount, amounts[i]);
	assert_int_equal(rules.list[0].action, RULE_DELAY);
	assert_int_equal(rules.list[1].action, RULE_CRASH);
	assert_int_equal(rules.list[2].action, RULE_HANG);
	assert_int_equal(rules.list[5].action, RULE_LOOP);
	assert_int_equal(rules.list[6].action, RULE_LEAK);
}

static void a_rule_is_kept_as_it_was_written(void **state)
{
	struct rules rules = parse("  error EIO  on write ;delay 5us\n");

	(void)state;
	assert_string_equal(rules.list[0].text, "error EIO  on write");
	assert_string_equal(rules.list[1].text, "delay 5us");
}

static void without_conditions_every_guest_request_is_hit(void **state)
{
	struct rules rules = parse("error");
	struct rule *rule = &rules.list[0];

	(void)state;
	assert_true(rule_fires(rule, FOREBAY_READ, 0, 512));
	assert_true(rule_fires(rule, FOREBAY_WRITE, 0, 512));
	assert_true(rule_fires(rule, FOREBAY_FLUSH, 0, 0));
	assert_true(rule_fires(rule, FOREBAY_DISCARD, 0, 512));
	assert_true(rule_fires(rule, FOREBAY_WRITE_ZEROES, 0, 512));
	assert_false(rule_fires(rule, FOREBAY_EXTENTS, 0, 512));
	assert_false(rule_fires(rule, FOREBAY_CACHE, 0, 512));
}

static void operations_are_chosen_by_name(void **state)
{
	struct rules rules =
		parse("error on read,write-zeroes,extents,cache; error on "
		      "flush,discard");
	struct rule *rule = &rules.list[0];

	(void)state;
	assert_true(rule_fires(rule, FOREBAY_READ, 0, 512));
	assert_true(rule_fires(rule, FOREBAY_WRITE_ZEROES, 0, 512));
	assert_true(rule_fires(rule, FOREBAY_EXTENTS, 0, 512));
	assert_true(rule_fires(rule, FOREBAY_CACHE, 0, 512));
	assert_false(rule_fires(rule, FOREBAY_WRITE, 0, 512));
	assert_false(rule_fires(rule, FOREBAY_FLUSH, 0, 0));
	assert_true(rule_fires(&rules.list[1], FOREBAY_FLUSH, 0, 0));
	assert_true(rule_fires(&rules.list[1], FOREBAY_DISCARD, 0, 512));
}

static void a_range_is_hit_by_what_touches_it(void **state)
{
	struct rules rules = parse("error at 1MiB+4KiB");
	struct rule *rule = &rules.list[0];

	(void)state;
	assert_false(rule_fires(rule, FOREBAY_READ, MIB - 4096, 4096));
	assert_true(rule_fires(rule, FOREBAY_READ, MIB - 4096, 4608));
	assert_true(rule_fires(rule, FOREBAY_READ, MIB, 4096));
	assert_true(rule_fires(rule, FOREBAY_READ, MIB + 3584, 512));
	assert_false(rule_fires(rule, FOREBAY_READ, MIB + 4096, 4096));
	assert_false(rule_fires(rule, FOREBAY_FLUSH, 0, 0));
}

static void every_nth_is_hit(void **state)
{
	struct rules rules = parse("error every 10");
	struct rule *rule = &rules.list[0];

	(void)state;
	assert_int_equal(hits(rule, 9), 0);
	assert_int_equal(hits(rule, 1), 1);
	assert_int_equal(hits(rule, 990), 99);
	assert_int_equal(rule->met_count, 1000);
	assert_int_equal(rule->fired_count, 100);
}

static void the_first_ones_pass(void **state)
{
	struct rules rules = parse("error after 100");

	(void)state;
	assert_int_equal(hits(&rules.list[0], 100), 0);
	assert_int_equal(hits(&rules.list[0], 50), 50);
}

static void after_and_every_count_from_where_after_ends(void **state)
{
	struct rules rules = parse("error every 3 after 5");

	(void)state;
	assert_int_equal(hits(&rules.list[0], 7), 0);
	assert_int_equal(hits(&rules.list[0], 1), 1);
	assert_int_equal(hits(&rules.list[0], 2), 0);
	assert_int_equal(hits(&rules.list[0], 1), 1);
}

static void a_count_ends_it(void **state)
{
	struct rules rules = parse("error every 2 count 3");

	(void)state;
	assert_int_equal(hits(&rules.list[0], 1000), 3);
}

static void what_does_not_fit_is_not_counted(void **state)
{
	struct rules rules = parse("error on write every 2");
	struct rule *rule = &rules.list[0];

	(void)state;
	assert_false(rule_fires(rule, FOREBAY_WRITE, 0, 512));
	for (unsigned int i = 0; i < 9; i++)
		assert_false(rule_fires(rule, FOREBAY_READ, 0, 512));
	assert_true(rule_fires(rule, FOREBAY_WRITE, 0, 512));
}

static void a_chance_is_met_within_five_deviations(void **state)
{
	struct rules rules = parse("error chance 2%");
	unsigned int fired = hits(&rules.list[0], 1000000);

	(void)state;
	/* Of a million: 20,000 on average, and a deviation of 140. */
	assert_in_range(fired, 19300, 20700);
}

static void a_seed_decides_which_ones_a_chance_hits(void **state)
{
	static struct rules rules[3];
	char message[RULES_MESSAGE_BYTES];
	unsigned int differ = 0;

	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(rules_parse("error chance 50%", i / 2,
					     &rules[i], message),
				 0);
	for (unsigned int i = 0; i < 1000; i++) {
		bool first = hits(&rules[0].list[0], 1);

		assert_int_equal(hits(&rules[1].list[0], 1), first);
		differ += hits(&rules[2].list[0], 1) != first;
	}
	assert_in_range(differ, 400, 600);
}

static void two_rules_with_a_chance_draw_apart(void **state)
{
	struct rules rules = parse("error chance 50%; delay 1ms chance 50%");
	unsigned int differ = 0;

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		differ += hits(&rules.list[0], 1) != hits(&rules.list[1], 1);
	assert_in_range(differ, 400, 600);
}

static void parts_of_a_percent_are_exact(void **state)
{
	struct rules rules = parse("error chance 0.0001%; error chance 100%; "
				   "error chance 12.5%");

	(void)state;
	assert_int_equal(rules.list[0].chance_ppm, 1);
	assert_int_equal(rules.list[1].chance_ppm, 1000000);
	assert_int_equal(rules.list[2].chance_ppm, 125000);
}

static void a_word_that_is_not_known_is_named(void **state)
{
	(void)state;
	refuse("fail", "rule 1: \"fail\" isn't one of error, delay, crash, "
		       "hang, loop, leak");
	refuse("error EFOO",
	       "rule 1: \"EFOO\" isn't one of EIO, EAGAIN, EBUSY, EINVAL, "
	       "ENOMEM, ENOSPC, EOPNOTSUPP, EPERM, ETIMEDOUT");
	refuse("error; crash when 3",
	       "rule 2: \"when\" isn't one of on, at, after, every, chance, "
	       "count");
	refuse("error on read,rite",
	       "rule 1: \"read,rite\" isn't a list of read, write, flush, "
	       "discard, write-zeroes, extents and cache");
	refuse("error on read,",
	       "rule 1: \"read,\" isn't a list of read, write, flush, "
	       "discard, write-zeroes, extents and cache");
}

static void a_number_is_a_number_to_its_end(void **state)
{
	(void)state;
	refuse("delay 20",
	       "rule 1: \"20\" isn't a time such as 20ms, of a day at most");
	refuse("delay 20msec", "rule 1: \"20msec\" isn't a time such as 20ms, "
			       "of a day at most");
	refuse("delay -1ms",
	       "rule 1: \"-1ms\" isn't a time such as 20ms, of a day at most");
	refuse("hang 5",
	       "rule 1: \"5\" isn't a time such as 20ms, of a day at most");
	refuse("leak 3X", "rule 1: \"3X\" isn't a size such as 64KiB");
	refuse("leak 99999999999TiB",
	       "rule 1: \"99999999999TiB\" isn't a size such as 64KiB");
	refuse("error every 18446744073709551616",
	       "rule 1: \"18446744073709551616\" isn't a number above 0");
	refuse("error every 0", "rule 1: \"0\" isn't a number above 0");
	refuse("error count 0", "rule 1: \"0\" isn't a number above 0");
	refuse("error after x", "rule 1: \"x\" isn't a number");
	for (const char *const *word =
		     (const char *const[]){"0%", "101%", "100.1%", "5", "5%%",
					   "1.%", "0.00001%", NULL};
	     *word; word++) {
		char text[64];
		char wanted[128];

		snprintf(text, sizeof(text), "error chance %s", *word);
		snprintf(wanted, sizeof(wanted),
			 "rule 1: \"%s\" isn't a chance such as 0.5%%", *word);
		refuse(text, wanted);
	}
}

static void a_time_is_a_day_at_most(void **state)
{
	(void)state;
	assert_int_equal(parse("delay 86400s").list[0].amount,
			 RULE_TIME_NS_MAX);
	refuse("delay 1441min", "rule 1: \"1441min\" isn't a time such as "
				"20ms, of a day at most");
}

static void a_range_has_both_its_ends(void **state)
{
	static const char *const bad[] = {
		"1MiB",	 "1MiB+0",	"+4KiB",
		"1MiB+", "1MiB+4KiB+1", "16777215TiB+16777215TiB",
		NULL,
	};

	(void)state;
	for (unsigned int i = 0; bad[i]; i++) {
		char text[64];
		char wanted[128];

		snprintf(text, sizeof(text), "error at %s", bad[i]);
		snprintf(wanted, sizeof(wanted),
			 "rule 1: \"%s\" isn't a range such as 1GiB+64KiB",
			 bad[i]);
		refuse(text, wanted);
	}
}

static void a_rule_that_ends_early_says_what_it_lacks(void **state)
{
	(void)state;
	refuse("delay",
	       "rule 1 ends before a time such as 20ms, of a day at most");
	refuse("error; error chance; crash",
	       "rule 2 ends before a chance such as 0.5%");
}

static void what_is_no_text_is_shown_as_such(void **state)
{
	(void)state;
	refuse("\x01\xff\\\"", "rule 1: \"???\"\" isn't one of error, delay, "
			       "crash, hang, loop, leak");
}

static void a_word_without_an_end_is_none(void **state)
{
	char text[400] = "error every ";
	struct rules rules;
	char message[RULES_MESSAGE_BYTES] = "";

	(void)state;
	/* Were it cut, what is left would be a number. */
	memset(text + strlen(text), '0', 200);
	text[strlen(text) - 1] = '1';
	assert_int_equal(rules_parse(text, 1, &rules, message), -EINVAL);
	assert_non_null(strstr(message, "isn't a number above 0"));
}

/* Puts one more piece behind @text, which has 512 bytes. */
static void put(char *text, const char *piece)
{
	size_t length = strlen(text);

	snprintf(text + length, 512 - length, "%s", piece);
}

static void there_are_only_so_many_rules(void **state)
{
	char text[512] = "";

	(void)state;
	for (unsigned int i = 0; i < RULES_MAX; i++)
		put(text, "error;");
	assert_int_equal(parse(text).count, RULES_MAX);
	put(text, "error");
	refuse(text, "there are more than 16 rules");
}

static void a_rule_has_only_so_many_characters(void **state)
{
	char text[512] = "error";

	(void)state;
	while (strlen(text) + strlen(" on read") < RULE_TEXT_BYTES)
		put(text, " on read");
	assert_int_equal(parse(text).count, 1);
	put(text, " on write");
	refuse(text, "rule 1 has more than 159 characters");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_text_is_no_rule),
		cmocka_unit_test(an_error_is_an_io_error_unless_it_is_named),
		cmocka_unit_test(each_action_has_its_amount),
		cmocka_unit_test(a_rule_is_kept_as_it_was_written),
		cmocka_unit_test(without_conditions_every_guest_request_is_hit),
		cmocka_unit_test(operations_are_chosen_by_name),
		cmocka_unit_test(a_range_is_hit_by_what_touches_it),
		cmocka_unit_test(every_nth_is_hit),
		cmocka_unit_test(the_first_ones_pass),
		cmocka_unit_test(after_and_every_count_from_where_after_ends),
		cmocka_unit_test(a_count_ends_it),
		cmocka_unit_test(what_does_not_fit_is_not_counted),
		cmocka_unit_test(a_chance_is_met_within_five_deviations),
		cmocka_unit_test(a_seed_decides_which_ones_a_chance_hits),
		cmocka_unit_test(two_rules_with_a_chance_draw_apart),
		cmocka_unit_test(parts_of_a_percent_are_exact),
		cmocka_unit_test(a_word_that_is_not_known_is_named),
		cmocka_unit_test(a_number_is_a_number_to_its_end),
		cmocka_unit_test(a_time_is_a_day_at_most),
		cmocka_unit_test(a_range_has_both_its_ends),
		cmocka_unit_test(a_rule_that_ends_early_says_what_it_lacks),
		cmocka_unit_test(what_is_no_text_is_shown_as_such),
		cmocka_unit_test(a_word_without_an_end_is_none),
		cmocka_unit_test(there_are_only_so_many_rules),
		cmocka_unit_test(a_rule_has_only_so_many_characters),
	};

	return cmocka_run_group_tests_name("fault-rules", tests, NULL, NULL);
}
