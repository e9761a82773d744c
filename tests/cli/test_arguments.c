/* SPDX-License-Identifier: Apache-2.0 */
/* test_arguments.c - command lines, right and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "arguments.h"
#include "error.h"

#define WORDS_MAX 16

/* A command line taken apart; operands point into @words. */
struct line {
	char text[512];
	char *words[WORDS_MAX];
	int count;
	struct invocation invocation;
	struct error error;
};

static int parse(struct line *line, const char *text)
{
	char *rest = NULL;

	*line = (struct line){0};
	(void)strncpy(line->text, text, sizeof(line->text) - 1);
	for (char *word = strtok_r(line->text, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		assert_true(line->count < WORDS_MAX);
		line->words[line->count++] = word;
	}
	return arguments_parse(line->count, line->words, &line->invocation,
			       &line->error);
}

static void assert_refused(const char *text, const char *message)
{
	struct line line;

	assert_int_equal(parse(&line, text), -EINVAL);
	assert_string_equal(line.error.message, message);
}

static void flags_may_stand_anywhere(void **state)
{
	static const char *const lines[] = {
		"forebay --root /h disk create d1 --backend /i --size 1GiB",
		"forebay disk --size=1GiB create --root=/h d1 --backend=/i",
		"forebay disk create --backend /i --size 1GiB --root /h -- d1",
	};
	struct line line;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const struct invocation *invocation = &line.invocation;

		assert_int_equal(parse(&line, lines[i]), 0);
		assert_int_equal(invocation->intent, INTENT_RUN);
		assert_string_equal(invocation->noun->name, "disk");
		assert_string_equal(invocation->verb->name, "create");
		assert_string_equal(invocation->flags[FLAG_ROOT], "/h");
		assert_string_equal(invocation->flags[FLAG_SIZE], "1GiB");
		assert_string_equal(invocation->flags[FLAG_BACKEND], "/i");
		assert_null(invocation->flags[FLAG_POLICY]);
		assert_int_equal(invocation->operand_count, 1);
		assert_string_equal(invocation->operands[0], "d1");
	}
}

static void a_letter_takes_its_value_with_or_without_a_space(void **state)
{
	struct line line;

	(void)state;
	assert_int_equal(parse(&line, "forebay status -o json"), 0);
	assert_string_equal(line.invocation.flags[FLAG_OUTPUT], "json");
	assert_int_equal(parse(&line, "forebay status -oyaml"), 0);
	assert_string_equal(line.invocation.flags[FLAG_OUTPUT], "yaml");
	assert_int_equal(parse(&line, "forebay policy create -f -"), 0);
	assert_string_equal(line.invocation.flags[FLAG_FILE], "-");
}

static void words_behind_two_dashes_are_operands(void **state)
{
	struct line line;

	(void)state;
	assert_int_equal(parse(&line, "forebay pool create p -- --size -o"), 0);
	assert_int_equal(line.invocation.operand_count, 3);
	assert_string_equal(line.invocation.operands[1], "--size");
	assert_string_equal(line.invocation.operands[2], "-o");
}

static void the_last_operand_may_be_many(void **state)
{
	struct line line;

	(void)state;
	assert_int_equal(parse(&line, "forebay pool create p /a /b /c"), 0);
	assert_int_equal(line.invocation.operand_count, 4);
	assert_refused("forebay pool create p", "pool create: needs PATH; see "
						"'forebay pool create --help'");
}

static void a_noun_can_be_a_command(void **state)
{
	struct line line;

	(void)state;
	assert_int_equal(parse(&line, "forebay status"), 0);
	assert_int_equal(line.invocation.intent, INTENT_RUN);
	assert_null(line.invocation.verb->name);
	assert_refused("forebay status now",
		       "status: unexpected 'now'; see 'forebay status --help'");
}

static void help_needs_nothing_else_to_be_right(void **state)
{
	struct line line;

	(void)state;
	assert_int_equal(parse(&line, "forebay disk create --help"), 0);
	assert_int_equal(line.invocation.intent, INTENT_HELP);
	assert_string_equal(line.invocation.verb->name, "create");
	assert_int_equal(parse(&line, "forebay help disk"), 0);
	assert_int_equal(line.invocation.intent, INTENT_HELP);
	assert_string_equal(line.invocation.noun->name, "disk");
	assert_null(line.invocation.verb);
	assert_int_equal(parse(&line, "forebay -h"), 0);
	assert_int_equal(line.invocation.intent, INTENT_HELP);
	assert_int_equal(parse(&line, "forebay --version"), 0);
	assert_int_equal(line.invocation.intent, INTENT_VERSION);
}

static void a_command_that_stops_early_is_incomplete(void **state)
{
	struct line line;

	(void)state;
	assert_int_equal(parse(&line, "forebay"), 0);
	assert_int_equal(line.invocation.intent, INTENT_INCOMPLETE);
	assert_int_equal(parse(&line, "forebay disk"), 0);
	assert_int_equal(line.invocation.intent, INTENT_INCOMPLETE);
	assert_string_equal(line.invocation.noun->name, "disk");
}

static void a_mistyped_word_gets_the_one_it_meant(void **state)
{
	(void)state;
	assert_refused("forebay dsik list",
		       "dsik: no such noun; did you mean 'forebay disk'?");
	assert_refused("forebay disk crate d1",
		       "disk: no verb 'crate'; did you mean "
		       "'forebay disk create'?");
	assert_refused("forebay disk stat d1",
		       "disk: no verb 'stat'; did you mean "
		       "'forebay disk stats'?");
	assert_refused("forebay disk create d1 --bakend /i",
		       "--bakend: no such flag; did you mean --backend?");
	assert_refused("forebay disk create d1 --polcy=x",
		       "--polcy: no such flag; did you mean --policy?");
}

static void a_word_near_nothing_is_sent_to_the_help(void **state)
{
	(void)state;
	assert_refused("forebay xyzzy",
		       "xyzzy: no such noun; see 'forebay --help'");
	assert_refused("forebay disk xyzzy",
		       "disk: no verb 'xyzzy'; see 'forebay disk --help'");
	assert_refused("forebay status --xyzzy",
		       "--xyzzy: no such flag; see 'forebay --help'");
	assert_refused("forebay status -x",
		       "-x: no such flag; see 'forebay --help'");
}

static void a_flag_must_fit_the_verb(void **state)
{
	(void)state;
	assert_refused("forebay disk list --size 1GiB",
		       "disk list: does not take --size; see "
		       "'forebay disk list --help'");
	assert_refused("forebay disk create d1",
		       "disk create: needs --backend URI; see "
		       "'forebay disk create --help'");
	assert_refused("forebay disk delete d1 --discard-dirty=yes",
		       "--discard-dirty: takes no value; write it without '='");
	assert_refused("forebay status --root",
		       "--root: lacks its value; write --root DIR");
	assert_refused("forebay disk create d1 --backend --size 1",
		       "--backend: lacks its value; write --backend URI");
	assert_refused("forebay --root a status --root b",
		       "--root: given twice; keep one of them");
	assert_refused("forebay status -o xml",
		       "--output: 'xml' is no form; write table, json or yaml");
}

static void an_empty_operand_is_refused(void **state)
{
	char *words[] = {"forebay", "disk", "show", "", NULL};
	struct invocation invocation;
	struct error error;

	(void)state;
	assert_int_equal(arguments_parse(4, words, &invocation, &error),
			 -EINVAL);
	assert_string_equal(error.message,
			    "disk show: an operand is empty; see "
			    "'forebay disk show --help'");
}

static void every_verb_can_be_found_and_has_an_example(void **state)
{
	(void)state;
	assert_in_range(grammar_noun_count, 1, GRAMMAR_NAMES_MAX);
	for (size_t i = 0; i < grammar_noun_count; i++) {
		const struct noun *noun = &grammar_nouns[i];

		assert_in_range(noun->verb_count, 1, GRAMMAR_NAMES_MAX);

		assert_ptr_equal(grammar_find_noun(noun->name), noun);
		for (size_t j = 0; j < noun->verb_count; j++) {
			const struct verb *verb = &noun->verbs[j];

			assert_non_null(verb->run);
			assert_non_null(verb->examples[0]);
			assert_int_equal(verb->required & ~verb->flags, 0);
			if (verb->name)
				assert_ptr_equal(
					grammar_find_verb(noun, verb->name),
					verb);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_may_stand_anywhere),
		cmocka_unit_test(
			a_letter_takes_its_value_with_or_without_a_space),
		cmocka_unit_test(words_behind_two_dashes_are_operands),
		cmocka_unit_test(the_last_operand_may_be_many),
		cmocka_unit_test(a_noun_can_be_a_command),
		cmocka_unit_test(help_needs_nothing_else_to_be_right),
		cmocka_unit_test(a_command_that_stops_early_is_incomplete),
		cmocka_unit_test(a_mistyped_word_gets_the_one_it_meant),
		cmocka_unit_test(a_word_near_nothing_is_sent_to_the_help),
		cmocka_unit_test(a_flag_must_fit_the_verb),
		cmocka_unit_test(an_empty_operand_is_refused),
		cmocka_unit_test(every_verb_can_be_found_and_has_an_example),
	};

	return cmocka_run_group_tests_name("arguments", tests, NULL, NULL);
}
